"""What no stored text may hold: e-mail addresses, phone numbers, and what else a URL carries.

A day's rows are redacted in SQL, by the same expressions (RE2) in the same order: first tokens of
base64 that hold a shape, then the shapes. A test holds both against each other.
"""

import base64
from collections.abc import Iterable
from typing import Final

import re2

MARKER: Final = "(redacted)"

_ESCAPE: Final = r"%(?:25)*"
"""Begins an escaped byte, however often it was escaped again: `%40`, `%2540`, `%252540`."""
_ESCAPED: Final = _ESCAPE + r"[0-9a-f]{2}"

# Ranges, for tables of letters take a hundred times as long to compile: no punctuation, no symbols.
_BEYOND: Final = (
    r"\x{aa}\x{b5}\x{ba}\x{c0}-\x{1fff}\x{2c00}-\x{2fff}\x{3005}-\x{d7ff}\x{f900}-\x{fdff}"
    r"\x{fe70}-\x{fefe}\x{ff10}-\x{ff19}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{ff66}-\x{10ffff}"
)
_BYTES: Final = "4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|[89a-f][0-9a-f]"  # of letters
_LETTER: Final = rf"(?:[a-z{_BEYOND}]|{_ESCAPE}(?:{_BYTES}))"
_LABEL: Final = rf"(?:[a-z0-9_{_BEYOND}-]|{_ESCAPE}(?:2d|3[0-9]|5f|{_BYTES}))"
_DOT: Final = rf"(?:[.\x{{3002}}\x{{ff0e}}\x{{ff61}}]|{_ESCAPE}2e)"
_AT: Final = rf"(?:[@\x{{fe6b}}\x{{ff20}}]|{_ESCAPE}(?:40|ef{_ESCAPE}bc{_ESCAPE}a0))"
_LOCAL: Final = rf"(?:[^\x00-\x20\x7f\pZ<>()\[\]\\,;:/?&=#%@\x{{fe6b}}\x{{ff20}}]|{_ESCAPED})+"
_ADDRESS: Final = rf"{_LOCAL}{_AT}(?:{_LABEL}+{_DOT})+{_LETTER}{{2}}{_LABEL}*"

_BLANK: Final = rf"[\t\pZ]|{_ESCAPE}(?:09|20|c2{_ESCAPE}a0)"
_BREAK: Final = rf"{_BLANK}|[\x{{2010}}-\x{{2015}}\x{{2212}}-]|{_ESCAPE}2d"
_SPACE: Final = rf"(?:{_BLANK}|\+)"  # `+` is a URL's space
_GAP: Final = rf"(?:{_BREAK}|\+)"
_POINT: Final = rf"(?:{_GAP}|\.|{_ESCAPE}2e)"
_BETWEEN: Final = rf"(?:{_BREAK}|[().]|{_ESCAPE}(?:28|29|2e)){{0,3}}"
_BETWEEN_ESCAPED: Final = rf"(?:{_BREAK}|[().+]|{_ESCAPE}(?:28|29|2e)){{0,3}}"
_NUMERALS: Final = r"\x{660}-\x{669}\x{6f0}-\x{6f9}\x{966}-\x{96f}\x{ff10}-\x{ff19}"
_DIGIT: Final = rf"(?:[0-9{_NUMERALS}]|{_ESCAPE}3[0-9])"
_COUNTRY: Final = rf"(?:[1-9{_NUMERALS}]|{_ESCAPE}3[1-9])"

# After a plus a country and at least 8 digits; where the plus is escaped, `+` is a space.
_PLUS: Final = rf"\+\(?{_COUNTRY}(?:{_BETWEEN}{_DIGIT}){{8,}}"
_PLUS_ESCAPED: Final = (
    rf"(?:\x{{ff0b}}|{_ESCAPE}2b){_BETWEEN_ESCAPED}{_COUNTRY}(?:{_BETWEEN_ESCAPED}{_DIGIT}){{8,}}"
)
_AREA: Final = (
    rf"(?:\(|{_ESCAPE}28)(?:0[1-9][0-9]{{0,3}}(?:\)|{_ESCAPE}29){_GAP}?(?:[0-9]{_GAP}?){{5,}}[0-9]\b"
    rf"|[1-9][0-9]{{1,2}}(?:\)|{_ESCAPE}29){_GAP}?[0-9]{{3,5}}{_POINT}[0-9]{{4}}\b)"
)
_NATIONAL: Final = "|".join(
    [
        # 0033612345678: 10 to 13 digits after the zeros
        r"00[1-9][0-9]{9,12}\b",
        # 00 33 6 12 34 56 78, 0033-6-12-34-56-78
        rf"00(?:{_SPACE}[1-9][0-9]{{0,2}}{_SPACE}|[1-9][0-9]{{0,2}}{_GAP})"
        rf"[0-9](?:{_GAP}?[0-9]){{6,}}\b",
        # 06 12 34 56 78
        rf"0[1-9](?:{_POINT}[0-9]{{2}}){{4}}\b",
        # 0171 1234567, 06-12345678: 10 digits and more, in two groups
        rf"0[1-9](?:{_GAP}[0-9]{{8}}|[0-9]{_GAP}[0-9]{{7,8}}|[0-9]{{2}}{_GAP}[0-9]{{6,8}}"
        rf"|[0-9]{{3}}{_GAP}[0-9]{{5,7}})\b",
        # 020 7946 0958, 03-1234-5678
        rf"0[1-9](?:{_GAP}[0-9]{{4}}|[0-9]{{1,3}}{_GAP}[0-9]{{3,4}}){_GAP}[0-9]{{3,4}}\b",
        # 415-555-2671: not with spaces, for so are written sizes and prices
        r"(?:1-)?[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}\b",
        r"(?:1\.)?[2-9][0-9]{2}\.[2-9][0-9]{2}\.[0-9]{4}\b",
    ]
)
_BEFORE: Final = rf"(^|[^0-9A-Za-z_.%-]|{_ESCAPED})"

SHAPE: Final = rf"(?i)(?:{_ADDRESS}|{_PLUS}|{_PLUS_ESCAPED}|{_AREA}|{_BEFORE}(?:{_NATIONAL}))"
"""An e-mail address or a phone number (RE2); its group is what stands before it and is kept."""

# Three printable bytes of ASCII are a group of these; few ids and words hold several in a row. Of
# `+`, `/`, `-` and `_` are only `>`, `?` and `~`: a token goes on behind them as another one.
_SECOND: Final = "C-HS-Xi-ny-z0-3"
_GROUP: Final = f"[I-Za-f][{_SECOND}][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9]"
TOKEN: Final = (
    f"(?:{_GROUP}){{2,}}(?:{_GROUP}|[I-Za-f][{_SECOND}][AEIMQUYcgkosw048]|[I-Za-f][AQgw])"
)
"""Base64 of seven and more printable bytes, without its padding (RE2)."""
PIECES: Final = rf"(?s){_ESCAPE}[0-9A-Fa-f]{{2}}|{TOKEN}|[^%I-Za-f]+|."
"""Takes a text apart: tokens, escaped bytes, what begins neither, and other characters (RE2)."""
SUSPECT: Final = f"(?:{SHAPE})|(?-i:{TOKEN})"
"""Matches every text that redaction may change (RE2)."""

_SHAPE: Final = re2.compile(SHAPE)
_TOKEN: Final = re2.compile(TOKEN)
_PIECES: Final = re2.compile(PIECES)
_FIRST: Final = re2.compile("^.")
_USER: Final = re2.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)[^/]*@")


def redact(text: str) -> str:
    """Return *text* with `(redacted)` for each address and number in it, however it is encoded."""
    if _TOKEN.search(text):
        text = "".join(MARKER if _tells(piece) else piece for piece in _PIECES.findall(text))
    return str(_SHAPE.sub(lambda found: (found[1] or "") + MARKER, text))


def is_personal(text: str) -> bool:
    """Return whether *text* holds an address or a number: such a text is no identifier."""
    return redact(text) != text


def redact_url(text: str, allowed: Iterable[str]) -> str:
    """Return the URL *text* without user, fragment and parameters but *allowed*, and redacted."""
    path, mark, query = text.partition("#")[0].partition("?")
    kept = re2.compile(parameters_pattern(allowed)).findall(mark + query)
    return redact(_USER.sub(r"\1", path) + _FIRST.sub("?", "".join(kept)))


def parameters_pattern(allowed: Iterable[str]) -> str:
    """Return one RE2 expression that finds each *allowed* parameter of a query, with its value."""
    # A parameter that matches nothing, where none is allowed: \b cannot precede \B.
    names = "|".join(re2.escape(name) for name in allowed) or r"\b\B"
    return f"(?i)[?&;](?:{names})=[^?&;]*"


def _tells(piece: str) -> bool:
    if not _TOKEN.search(piece):
        return False
    decoded = base64.b64decode(piece + "=" * (-len(piece) % 4)).decode("ascii")
    return bool(_SHAPE.search(decoded))
