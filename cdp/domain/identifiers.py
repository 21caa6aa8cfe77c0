"""Identifiers as people type them, and as the warehouse compares them."""

import re


def spellings(text: str) -> list[str]:
    """Return how *text* may be stored, the likeliest first: as typed, as e-mail, as phone number.

    The warehouse keeps e-mail addresses in lower case and phone numbers as `+` and digits.
    """
    typed = text.strip()
    found = [typed]
    if "@" in typed:
        found.append(typed.lower())
    if re.fullmatch(r"\+?[0-9][0-9 ()./-]{5,}", typed):
        digits = re.sub(r"[^0-9]", "", typed)
        found.append(f"+{digits.removeprefix('00')}")
    return list(dict.fromkeys(found))
