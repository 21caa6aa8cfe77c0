"""The one spelling of an identifier: as it was told, and as it is joined.

Every loader, look-up and page spells here. The ids that an export's rows bring are spelled in SQL,
by the same `INVISIBLE` and `QUOTES`; a test holds both against each other.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import phonenumbers
import re2
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

from cdp.domain.redaction import is_personal

VERSION: Final = "2"
"""Counts up with every change of a spelling: what was loaded is then spelled again."""

INVISIBLE: Final = (
    r"[\x00-\x1f\x7f\x{80}-\x{9f}\x{ad}\x{34f}\x{61c}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}"
    r"\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{3164}\x{fe00}-\x{fe0f}\x{feff}"
    r"\x{ffa0}\x{fff9}-\x{fffb}\x{e0000}-\x{e0fff}]"
)
"""What nobody sees (RE2): controls, joiners, marks of direction, fillers."""

_QUOTES: Final = r"[\pZ\x22\x27\x60\x{ab}\x{b4}\x{bb}\x{2018}-\x{201f}\x{2039}\x{203a}]+"
AROUND: Final = f"^{_QUOTES}|{_QUOTES}$"
"""Space and quotes that spreadsheets and texts leave around a value (RE2)."""

_MAIL_SCHEME: Final = re2.compile(r"(?i)^mailto:([^?]*)(?:\?.*)?$")
_DISPLAY_NAME: Final = re2.compile(r"^[^<>]*<([^<>]*)>$")
_SPACE: Final = re2.compile(r"\pZ")
_PHONE: Final = re2.compile(
    r"(?i)^(?:tel:|callto:)?(\+?[\pN\pZ()./\-\x{2010}-\x{2015}\x{2212}]*?)"
    r"(?:[;,\pZ]*(?:ext\.?|ext=|x)\pZ*([0-9]{1,8}))?$"
)
_INVISIBLE: Final = re2.compile(INVISIBLE)
_AROUND: Final = re2.compile(AROUND)
_COOKIE: Final = re2.compile(r"^GA1\.[0-9]+(?:-[0-9]+)?\.([0-9]+\.[0-9]+)$")
# Most are spelled already: the libraries would take ten times as long to say so.
_TIDY: Final = re.compile(r"[!#-&(-_a-~]+")
_PLAIN_MAIL: Final = re.compile(
    r"[a-z0-9]{1,30}(?:[._+-][a-z0-9]{1,30}){0,1}@(?:[a-z0-9]{1,30}(?:-[a-z0-9]{1,30}){0,1}\.){1,3}"
    r"(?:com|net|org|edu|gov|info|biz|[a-z]{2})"
)
_NO_MAIL: Final = "not an e-mail address"
_NO_PHONE: Final = "not a phone number"
_NO_COUNTRY: Final = "a phone number without its country"


@dataclass(frozen=True, slots=True)
class Spelled:
    """An identifier as it is joined, and why it stands for nobody, where it does."""

    value: str
    problem: str | None = None


def spell(type_: str, told: str, region: str | None = None) -> Spelled:
    """Return how *told* is joined.

    Args:
        type_: user_id, email, phone or client_id.
        region: where a phone number without a country code is from, ISO 3166-1 alpha-2.

    Returns:
        With a problem, where *told* is no identifier of its type; its value is then what is left
        of it. Spelling a value that has no problem again gives the same value.
    """
    text = tidy(told)
    if not text:
        return Spelled("", "blank")
    match type_:
        case "email":
            return _email(text)
        case "phone":
            return _phone(text, region)
        case "client_id":
            # What the cookie `_ga` holds: the client id is its end.
            cookie = _COOKIE.search(text)
            return Spelled(cookie[1] if cookie else text)
        case _:
            return Spelled(text)


def tidy(told: str) -> str:
    """Return *told* in NFC, without what nobody sees, and without space and quotes around it."""
    if _TIDY.fullmatch(told):
        return told
    text = unicodedata.normalize("NFC", told)
    return unicodedata.normalize("NFC", _AROUND.sub("", _INVISIBLE.sub("", text)))


def _email(text: str) -> Spelled:
    """Spell an address: in lower case, its domain in Unicode. Dots and tags are the owner's."""
    if _PLAIN_MAIL.fullmatch(text):
        return Spelled(text)
    if linked := _MAIL_SCHEME.search(text):
        text = tidy(unquote(linked[1]))
    if named := _DISPLAY_NAME.search(text):
        text = tidy(named[1])
    text = text.rstrip(".,;")
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,
        )
    except EmailNotValidError:
        return Spelled(text.lower(), _NO_MAIL)
    address = unicodedata.normalize("NFC", found.normalized.lower())
    # A name without a dot is a machine's: its `root` is somebody else on each.
    return Spelled(address, None if "." in found.domain else _NO_MAIL)


def _phone(text: str, region: str | None) -> Spelled:
    """Spell a number as E.164; an extension stays, for it is another desk's."""
    found = _PHONE.search(text)
    if found is None or not found[1]:
        return Spelled(text, _NO_PHONE)
    digits, extension = _SPACE.sub(" ", found[1]), found[2]
    number = _number(digits, region)
    if number is None:
        national = not digits.startswith(("+", "00")) and region is None
        return Spelled(text, _NO_COUNTRY if national and _is_long(digits) else _NO_PHONE)
    value = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return Spelled(f"{value};ext={extension}" if extension else value)


def _number(text: str, region: str | None) -> PhoneNumber | None:
    """Return the number that *text* is: with its country code as told, else of *region*.

    Who writes the country knows more than the tables of valid numbers, which are always behind;
    whose country is a guess must be a valid number of it.
    """
    if text.startswith("+"):
        return _parsed(text, None, phonenumbers.is_possible_number)
    found = _parsed(text, region, phonenumbers.is_valid_number) if region else None
    if found is None:
        bare = "".join(char for char in text if char.isdigit()).removeprefix("00")
        found = _parsed(f"+{bare}", None, phonenumbers.is_valid_number)
    return found


def _parsed(
    text: str, region: str | None, is_number: Callable[[PhoneNumber], bool]
) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    # 000-000-0000 and its like are what people type who give none.
    same = len(set(phonenumbers.national_significant_number(number))) == 1
    return number if is_number(number) and not same else None


def _is_long(digits: str) -> bool:
    return sum(char.isdigit() for char in digits) >= 7


class Speller:
    """Identifiers as a policy lets them be joined.

    Args:
        blocked, not_user_id: RE2 expressions that match, in lower case and as a whole, values that
            stand for nobody, and what no user id is.
        regions: where phone numbers without a country code are from, by source in lower case;
            `*` for every other.
    """

    def __init__(self, blocked: str, not_user_id: str, regions: Mapping[str, str]) -> None:
        self._blocked = re2.compile(blocked)
        self._not_user_id = re2.compile(not_user_id)
        self._regions = regions
        rules = json.dumps([VERSION, blocked, not_user_id, dict(regions)], sort_keys=True)
        self.digest: Final = hashlib.sha256(rules.encode()).hexdigest()[:8]
        """Changes with every rule: what was spelled by others is to be spelled again."""

    def spell(self, type_: str, told: str, source: str) -> Spelled:
        """Return how *told*, as *source* has it, is joined."""
        region = self._regions.get(source.strip().lower(), self._regions.get("*"))
        found = spell(type_, told, region)
        if any(self._blocked.search(text) for text in {tidy(told).lower(), found.value.lower()}):
            return Spelled(found.value, "blocked value")
        if type_ == "user_id" and self._is_no_user_id(found.value):
            return Spelled(found.value, "not a user id")
        return found

    def _is_no_user_id(self, value: str) -> bool:
        return bool(self._not_user_id.search(value.lower())) or is_personal(value)

    def spellings(self, text: str) -> list[str]:
        """Return how what somebody looks for may be joined, the likeliest first."""
        return spellings(text, dict.fromkeys([self._regions.get("*"), *self._regions.values()]))


def spellings(text: str, regions: Iterable[str | None] = (None,)) -> list[str]:
    """Return how what somebody looks for may be joined, the likeliest first: any type's spelling.

    Args:
        regions: where a phone number without a country code may be from.
    """
    found = [spell("user_id", text)]
    found += [one for one in (spell("email", text), spell("client_id", text)) if not one.problem]
    found += [one for region in regions if not (one := spell("phone", text, region)).problem]
    return list(dict.fromkeys(one.value for one in found))


def identifier_key(salt: str) -> str:
    """Return the secret that identifiers are keyed with, made from the secret *salt*."""
    return hashlib.blake2b(b"keyed identifiers", key=salt.encode()[:64]).hexdigest()


def keyed(key: str, type_: str, value: str) -> str:
    """Return what stands for an identifier where it may not stand itself, as `22_keyed` does."""
    inner = hashlib.sha256(f"{key}{type_}|{value}".encode()).hexdigest()
    return hashlib.sha256(f"{key}{inner}".encode()).hexdigest()
