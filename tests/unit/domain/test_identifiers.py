"""One spelling of an identifier, however it was told."""

import unicodedata

import phonenumbers
import pytest
from email_validator import validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from cdp.domain.identifiers import (
    _AROUND,
    _INVISIBLE,
    _PLAIN_MAIL,
    _TIDY,
    Spelled,
    spell,
    spellings,
    tidy,
)
from cdp.domain.payload import IDENTIFIER_TYPES

TYPES = st.sampled_from(IDENTIFIER_TYPES)
REGIONS = st.sampled_from([None, "FR", "DE", "US", "IT"])
ANYTHING = st.text(max_size=60) | st.from_regex(r"[+0-9 ()./x-]{0,20}", fullmatch=True)
FRENCH = "+33612345678"


@pytest.mark.parametrize(
    "told",
    [
        "+33 6 12 34 56 78",
        "0033612345678",
        "06 12 34 56 78",
        "+33 (0)6 12 34 56 78",
        "+33 (0) 6.12.34.56.78",
        "33612345678",
        "tel:+33-6-12-34-56-78",
        "\u202a+33 6\u00a012\u200934\u202f56\u200b78\u202c",
        "'06-12-34-56-78",
        "٠٦١٢٣٤٥٦٧٨",
    ],
)
def test_a_phone_number_has_one_spelling(told: str) -> None:
    assert spell("phone", told, "FR") == Spelled(FRENCH)


@pytest.mark.parametrize(
    ("told", "region", "value"),
    [
        ("0049 30 123456", None, "+4930123456"),
        ("0049 30 123456", "US", "+4930123456"),
        ("011 33 6 12 34 56 78", "US", FRENCH),
        ("+39 (0)6 1234 5678", None, "+390612345678"),  # an Italian zero is part of the number
        ("(202) 555-0123", "US", "+12025550123"),
        ("+15551234567", None, "+15551234567"),
        ("+33 1 42 68 53 00 ext. 12", None, "+33142685300;ext=12"),
        ("+33142685300;ext=12", None, "+33142685300;ext=12"),
    ],
)
def test_a_number_is_spelled_with_its_country(told: str, region: str | None, value: str) -> None:
    assert spell("phone", told, region) == Spelled(value)


@pytest.mark.parametrize(
    ("told", "region", "problem"),
    [
        ("call me at 12345678", "FR", "not a phone number"),
        ("call me at 12345678", None, "not a phone number"),
        ("000-000-0000", "US", "not a phone number"),
        ("+1 000 000 0000", None, "not a phone number"),
        ("999 999 9999", "US", "not a phone number"),
        ("12345678", None, "a phone number without its country"),
        ("06 12 34 56 78", None, "a phone number without its country"),
        ("1234", None, "not a phone number"),
        ("+999 123456789", None, "not a phone number"),
        ("ada@example.com", None, "not a phone number"),
        ("\u200b", None, "blank"),
    ],
)
def test_what_is_no_number_says_why(told: str, region: str | None, problem: str) -> None:
    assert spell("phone", told, region).problem == problem


@pytest.mark.parametrize(
    "told",
    [
        "zoë@bücher.example.org",
        "ZOË@BÜCHER.EXAMPLE.ORG",
        unicodedata.normalize("NFD", "zoë@bücher.example.org"),
        "zoë@xn--bcher-kva.example.org",
        "mailto:zoë@bücher.example.org?subject=Hi",
        "mailto:zo%C3%AB@b%C3%BCcher.example.org",
        "\ufeffzoë\u200b@bü\u00adcher.example.org\u200e",
        "  «zoë@bücher.example.org» ",
        '"zoë@bücher.example.org"',
        "Zoë <zoë@bücher.example.org>",
        "<zoë@bücher.example.org>",
        "zoë@bücher.example.org.",
    ],
)
def test_an_address_has_one_spelling(told: str) -> None:
    assert spell("email", told) == Spelled("zoë@bücher.example.org")


def test_dots_and_tags_are_left_alone() -> None:
    told = ["ada.lovelace@example.com", "adalovelace@example.com", "ada.lovelace+x@example.com"]
    assert [spell("email", one) for one in told] == [Spelled(one) for one in told]


@pytest.mark.parametrize(
    "told", ["ada", "ada@", "@example.com", "ada@localhost", "a@b@example.com", "ada@[127.0.0.1]"]
)
def test_what_is_no_address_says_so(told: str) -> None:
    assert spell("email", told).problem == "not an e-mail address"


@pytest.mark.parametrize("type_", ["user_id", "client_id"])
def test_an_id_keeps_its_case(type_: str) -> None:
    assert spell(type_, " \u200bAda-7\u00a0") == Spelled("Ada-7")


def test_the_cookie_of_a_client_names_it() -> None:
    assert spell("client_id", "GA1.2.1234567890.1700000000") == Spelled("1234567890.1700000000")
    assert spell("client_id", "GA1.1-2.1234567890.1700000000") == Spelled("1234567890.1700000000")
    assert spell("client_id", "1234567890.1700000000") == Spelled("1234567890.1700000000")


@given(type_=TYPES, told=ANYTHING, region=REGIONS)
@example(type_="email", told="İ@x.org", region=None)
def test_a_spelling_is_final(type_: str, told: str, region: str | None) -> None:
    once = spell(type_, told, region)
    if once.problem is None:
        assert once.value
        assert spell(type_, once.value, region) == once
        assert spell(type_, once.value) == once


@given(type_=TYPES, told=ANYTHING, region=REGIONS)
def test_what_nobody_sees_makes_no_difference(type_: str, told: str, region: str | None) -> None:
    decorated = f"\ufeff'\u200b{unicodedata.normalize('NFD', told)}\u2060\u00a0\u201d"
    assert spell(type_, decorated, region) == spell(type_, told, region)


@given(address=st.from_regex(_PLAIN_MAIL, fullmatch=True))
def test_a_plain_address_is_what_the_library_makes_of_it(address: str) -> None:
    found = validate_email(address, check_deliverability=False, globally_deliverable=False)
    assert spell("email", address) == Spelled(found.normalized)


@given(text=st.text(st.characters(max_codepoint=127)) | st.from_regex(_TIDY, fullmatch=True))
def test_what_is_taken_for_tidy_is(text: str) -> None:
    if _TIDY.fullmatch(text):
        assert _AROUND.sub("", _INVISIBLE.sub("", unicodedata.normalize("NFC", text))) == text


@given(text=st.text())
def test_a_tidy_text_is_tidy(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


@given(
    region=st.sampled_from(["FR", "DE", "GB", "US", "JP", "BR", "IN", "IT"]),
    kind=st.sampled_from(
        [
            phonenumbers.PhoneNumberFormat.E164,
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.NATIONAL,
            phonenumbers.PhoneNumberFormat.RFC3966,
        ]
    ),
)
def test_every_usual_format_of_a_number_is_the_number(region: str, kind: int) -> None:
    for make in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, make)
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert spell("phone", phonenumbers.format_number(number, kind), region) == Spelled(e164)


@pytest.mark.parametrize(
    ("typed", "regions", "found"),
    [
        (" Ada@Example.com", (None,), ["Ada@Example.com", "ada@example.com"]),
        ("06 12 34 56 78", ("FR", "DE"), ["06 12 34 56 78", FRENCH, "+49612345678"]),
        ("0033 6 12 34 56 78", (None,), ["0033 6 12 34 56 78", FRENCH]),
        ("GA1.2.12.34", (None,), ["GA1.2.12.34", "12.34"]),
        ("user-1", (None,), ["user-1"]),
        ("", (None,), [""]),
    ],
)
def test_what_somebody_looks_for_is_spelled_as_any_type(
    typed: str, regions: tuple[str | None, ...], found: list[str]
) -> None:
    assert spellings(typed, regions) == found
