"""What is redacted and what is not, beside a slow reference that decodes a text in every way."""

import base64
import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.domain.redaction import MARKER, is_personal, redact, redact_url

ALLOWED = ("utm_source", "utm_term")


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def escaped(text: str, times: int) -> str:
    for _ in range(times):
        text = quote(text, safe="")
    return text


ENCODINGS = {
    "plain": str,
    "escaped": lambda text: escaped(text, 1),
    "escaped twice": lambda text: escaped(text, 2),
    "escaped three times": lambda text: escaped(text, 3),
    "escaped in lower case": lambda text: escaped(text, 1).lower(),
    "every byte escaped": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
}
HIDING = {
    "base64": base64_of,
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 with its padding escaped": lambda text: quote(base64_of(text), safe=""),
    "base64 of JSON": lambda text: base64_of(f'{{"id":7,"to":"{text}"}}'),
    "base64 of what is escaped": lambda text: base64_of(escaped(text, 1)),
}

# --- what counts ----------------------------------------------------------------------------------

ADDRESSES = [
    "jane@example.com",
    "Jane.Doe+shop@sub.Example.co.uk",
    "o'brien_1@example-mail.org",
    "a@b.co",
    "jörg@münchen.de",
    "用户@例子.中国",
    "jane@xn--mnchen-3ya.de",
    "jane\uff20example.com",
]
NUMBERS = [
    "+33 6 12 34 56 78",
    "+33612345678",
    "+33 (0)6 12 34 56 78",
    "+49 30 1234567",
    "+1 (415) 555-2671",
    "+1.415.555.2671",
    "0033612345678",
    "00 33 6 12 34 56 78",
    "0033-612-345-678",
    "06 12 34 56 78",
    "06.12.34.56.78",
    "06-12-34-56-78",
    "0171 1234567",
    "06-12345678",
    "020 7946 0958",
    "03-1234-5678",
    "(030) 1234567",
    "(415) 555-2671",
    "(11) 98765-4321",
    "415-555-2671",
    "1-415-555-2671",
    "415.555.2671",
]


@pytest.mark.parametrize(
    ("shape", "encoding"),
    [
        (shape, encoding)
        for shape in (*ADDRESSES, *NUMBERS)
        for encoding in ENCODINGS
        # Nobody escapes digits: of numbers without a plus that is not looked for.
        if encoding != "every byte escaped" or shape in ADDRESSES or shape.startswith("+")
    ],
)
def test_a_shape_is_redacted_however_often_it_is_escaped(shape: str, encoding: str) -> None:
    text = f"to {ENCODINGS[encoding](shape)} today"
    assert redact(text) == f"to {MARKER} today"


@pytest.mark.parametrize("shape", [a for a in ADDRESSES if a.isascii() and len(a) > 6] + NUMBERS)
@pytest.mark.parametrize("hiding", HIDING)
@pytest.mark.parametrize("around", ["{}", "/u/{}/x", "id={}&x", "uid_{}", "a-{}", "%3D{}", "%3d{}"])
def test_a_shape_is_redacted_where_base64_hides_it(shape: str, hiding: str, around: str) -> None:
    text = around.format(HIDING[hiding](shape))
    assert MARKER in redact(text)
    assert survivors(redact(text)) == []


@pytest.mark.parametrize("shape", [*ADDRESSES, *NUMBERS])
def test_an_identifier_that_holds_a_shape_is_personal(shape: str) -> None:
    assert is_personal(shape)
    assert is_personal(f"user:{escaped(shape, 2)}" if "@" in shape else f"user={shape}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1234567890.1234567890",  # a client id
        "GA1.2.1234567890.1690000000",
        "GS1.1.1690000000.5.1.1690000100.60.0.0",
        "1690000000",  # a session id
        "1690000000123456",
        "2026-10-31T08:00:00+02:00",
        "2026-10-31 08:00:00.123456",
        "08:00:00 2026-10-31 08:15",
        "31.10.2026 08:00",
        "01.02.2026 10:00",
        "01/02/2026-03/04/2026",
        "sale+2026-10-31",
        "EUR 1.234.567,89",
        "1 234 567 890",
        "19.99",
        "256 512 1024 GB",
        "192.168.100.100",
        "2.10.0-rc.1",
        "9783161484100",
        "978-3-16-148410-0",
        "550e8400-e29b-41d4-a716-446655440000",
        "000123456",
        "0012345678",
        "INV-2026-000123",
        "00012345678905",
        "5d41402abc4b2a76b9719d911017c592",
        "Cj0KCQjw1Yy5BhD-ARIsAI0RbXYaB3x0_BwE",
        "internationalization",
        "@example",
        "/@jane.doe/photos",
        "react@18.2.0",
        "48.8566,2.3522",
        "a @ b",
        base64_of("nothing to see here, and 7 of it"),
    ],
)
def test_what_is_no_shape_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
    assert not is_personal(text)


def test_what_stands_around_a_shape_stays() -> None:
    told = "mailto:jane@example.com?subject=x, tel:0033612345678; (06 12 34 56 78)"
    assert redact(told) == f"mailto:{MARKER}?subject=x, tel:{MARKER}; ({MARKER})"
    assert redact("a@b.com,c@d.org 0171 1234567 0172 1234567") == (
        f"{MARKER},{MARKER} {MARKER} {MARKER}"
    )


# --- any text -------------------------------------------------------------------------------------

local = st.text("abcXYZ0189._+-'é", min_size=1, max_size=12)
label = st.text("abcxyz0189é", min_size=1, max_size=8)
addresses = st.builds(
    "{}@{}.{}".format, local, label, st.sampled_from(["com", "co.uk", "de", "photography"])
)
ascii_addresses = addresses.filter(lambda text: text.isascii() and len(text) > 7)
numbers = st.sampled_from(NUMBERS)
words = st.text("abcxyz019 /:;=&?.,()-_+%\"'<>\n", max_size=10)
delimiters = st.sampled_from([" ", "/", "=", "&", ":", "%20", "%3D", ",", "\n", "?", "<", '"'])


@st.composite
def encoded(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return ENCODINGS[draw(st.sampled_from(sorted(ENCODINGS)))](draw(addresses))
    return HIDING[draw(st.sampled_from(sorted(HIDING)))](draw(ascii_addresses))


texts = st.lists(encoded() | words | delimiters | numbers | st.text(max_size=5), max_size=6).map(
    "".join
)
"""Text with shapes in it, next to each other and to anything."""


def from_base64(token: str) -> str:
    whole = token[:-1] if len(token) % 4 == 1 else token
    return base64.b64decode(whole + "=" * (-len(whole) % 4)).decode("ascii", "replace")


def survivors(text: str) -> list[str]:
    """Return the addresses that *text* holds, in whatever encoding: slowly, by decoding it."""
    found: list[str] = []
    seen = {text}
    left = [text]
    while left:
        one = left.pop()
        found += re.findall(r"[^\W]['+.\w-]*@[^\W_][\w-]*(?:\.[\w-]+)*\.[a-zA-Z]{2}", one)
        tokens = re.findall(r"[A-Za-z0-9]{8,}", one)
        decoded = {unquote(one), *map(from_base64, tokens)} - seen
        left += decoded if len(seen) < 200 else ()
        seen |= decoded
    return found


@given(text=texts)
@settings(max_examples=500)
def test_redacting_again_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)
    assert redact_url(redact_url(text, ALLOWED), ALLOWED) == redact_url(text, ALLOWED)


@given(before=words, between=delimiters, shape=encoded(), after=delimiters, more=words)
@settings(max_examples=500)
def test_no_address_survives_in_any_encoding(
    before: str, between: str, shape: str, after: str, more: str
) -> None:
    found = redact(f"{before}{between}{shape}{after}{more}")
    assert MARKER in found
    assert survivors(found) == []


@given(text=st.text("abcdefghijklmnopqrstuvwxyz0123456789 /:;=&?.,()-_<>\"'é", max_size=80))
def test_a_text_without_signs_of_a_shape_changes_only_where_a_number_is(text: str) -> None:
    if not re.search(r"\d(?:\D{0,3}\d){8}", text):
        assert redact(text) == text


# --- URLs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.com/", "https://example.com/"),
        ("https://example.com/a?utm_source=x", "https://example.com/a?utm_source=x"),
        ("https://example.com/a?b=1&utm_source=x&c=2", "https://example.com/a?utm_source=x"),
        ("https://example.com/a?UTM_Term=x;utm_source=", "https://example.com/a?UTM_Term=x;utm_source="),
        ("https://example.com/a?utm_source", "https://example.com/a"),
        ("https://example.com/a?x_utm_source=1", "https://example.com/a"),
        ("https://example.com/a?utm_source=x?name=Jane;n=2", "https://example.com/a?utm_source=x"),
        ("https://example.com/a#name=Jane?utm_source=x", "https://example.com/a"),
        ("https://example.com/a?b#c", "https://example.com/a"),
        ("https://jane:secret@example.com/a?b", "https://example.com/a"),
        ("https://jane@example.com", "https://example.com"),
        ("//jane@example.com/a", "//example.com/a"),
        ("https://example.com/jane@example.org/a", f"https://example.com/{MARKER}/a"),
        ("https://example.com/?utm_term=a%40b.com", f"https://example.com/?utm_term={MARKER}"),
        (f"https://example.com/u/{base64_of('jane@example.com')}", f"https://example.com/u/{MARKER}=="),
        ("", ""),
        ("(not set)", "(not set)"),
    ],
)  # fmt: skip
def test_a_url_keeps_its_path_and_the_allowed_parameters(url: str, kept: str) -> None:
    assert redact_url(url, ALLOWED) == kept


def test_where_no_parameter_is_allowed_none_is_kept() -> None:
    assert redact_url("https://example.com/a?=1&b=2&utm_source=x", ()) == "https://example.com/a"


@given(
    parameters=st.lists(
        st.tuples(st.sampled_from(["utm_source", "utm_term", "name", "q", "utm"]), st.text("ab1%."))
    )
)
def test_of_parameters_the_allowed_ones_are_kept_in_their_order(
    parameters: list[tuple[str, str]],
) -> None:
    def url(those: list[tuple[str, str]]) -> str:
        query = "&".join(f"{name}={value}" for name, value in those)
        return f"https://example.com/a?{query}" if those else "https://example.com/a"

    kept = [(name, value) for name, value in parameters if name in ALLOWED]
    assert redact_url(url(parameters), ALLOWED) == redact(url(kept))
