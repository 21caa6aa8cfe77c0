"""Numbers, dates and text as viewers read them."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from cdp.ui import app, words
from tests.unit.ui.conftest import Viewer

NB = "\xa0"
NARROW = "\u202f"

TRICKS = [
    "**bold**",
    "__bold__",
    "_i_ *i*",
    "~~gone~~",
    "`code`",
    "```\ncode\n```",
    "# title",
    "1. one",
    "1) one",
    "- item",
    "+49 151",
    "> quote",
    "[x](javascript:alert(1))",
    "![x](http://x/y.png)",
    "[^1]: note",
    "<b>bold</b>",
    "<https://x.example>",
    "&lt;b&gt;",
    "$x^2$",
    "$$x$$",
    ":smile:",
    ":red[x]",
    ":red-background[x]",
    ":material/home:",
    ":small[]",
    "| a | b |\n| - | - |",
    "---",
    "===",
    "a\\b",
    "\\*x\\*",
    '"quoted"',
]


def shown(text: str) -> str:
    """Return what a reader of Markdown sees of *text*: escapes undone, the empty directive away."""
    return re.sub(r"\\(.)", r"\1", text.replace(":small[]", ""))


@pytest.mark.parametrize("trick", TRICKS)
def test_plain_text_has_no_character_left_that_markdown_takes_for_its_own(trick: str) -> None:
    text = words.plain(trick)
    bare = re.sub(r"\\.", "", text.replace(":small[]", ""))
    assert not re.search(r"[\\`*_{}\[\]()#+.!|~$:<>&^=@\"'/-]", bare)
    assert shown(text) == " ".join(trick.split())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://x.example", ["http", "s://x.example"]),
        ("HTTP://x.example", ["HTTP", "://x.example"]),
        ("see www.x.example", ["see www", ".x.example"]),
        ("ana@x.example", ["ana", "@x.example"]),
        ("a:streamlit:b", ["a:streamlit", ":b"]),
        ("a -> b", ["a -", "> b"]),
        ("<-> -- >= <=", ["<", "-", "> -", "- >", "= <", "="]),
    ],
)
def test_what_streamlit_replaces_in_escaped_text_is_kept_apart(text: str, parts: list[str]) -> None:
    told = words.plain(text)
    assert [shown(part) for part in told.split(":small[]")] == parts
    assert shown(told) == text


@pytest.mark.parametrize("text", ["", " ", 7, None, "ordinary words", "Grüße, 東京"])
def test_ordinary_text_stays_what_it_is(text: object) -> None:
    assert words.plain(text) == str(text).strip()


def test_lines_become_one() -> None:
    assert words.plain(" a\n\n# b\tc\r\nd ") == r"a \# b c d"


@pytest.mark.parametrize(
    ("locale", "count", "rest", "share"),
    [
        ("en-US", "1,234,567", "1,234.5", "12.3%"),
        ("de-DE", "1.234.567", "1.234,5", f"12,3{NB}%"),
        ("fr-FR", f"1{NARROW}234{NARROW}567", f"1{NARROW}234,5", f"12,3{NB}%"),
        ("ja-JP", "1,234,567", "1,234.5", "12.3%"),
    ],
)
def test_numbers_are_spelled_in_the_viewers_locale(
    viewer: Viewer, locale: str, count: str, rest: str, share: str
) -> None:
    viewer(locale)
    assert words.number(1234567) == count
    assert words.number(1234.5, 1) == rest
    assert words.percent(0.1234) == share


@pytest.mark.parametrize(
    ("locale", "currency", "told"),
    [
        ("en-US", "EUR", ("€1,234.50", "-€3")),
        ("de-DE", "EUR", (f"1.234,50{NB}€", f"-3{NB}€")),
        ("fr-FR", "USD", (f"1{NARROW}234,50{NB}$US", f"-3{NB}$US")),
        ("ja-JP", "JPY", ("\uffe51,234.50", "-\uffe53")),
        ("de-DE", None, ("1.234,50", "-3")),
    ],
)
def test_money_has_the_currency_where_the_locale_puts_it(
    viewer: Viewer,
    monkeypatch: pytest.MonkeyPatch,
    locale: str,
    currency: str | None,
    told: tuple[str, str],
) -> None:
    viewer(locale)
    monkeypatch.setitem(app._shown, "currency", currency)
    assert (words.money(1234.5), words.money(-3, 0)) == told
    assert words.money(None) == words.NOTHING


@pytest.mark.parametrize(
    ("locale", "zone", "day", "moment"),
    [
        ("en-US", "UTC", "Oct 31, 2026", f"Oct 31, 2026, 11:05{NARROW}PM UTC"),
        ("en-GB", "Europe/London", "31 Oct 2026", "31 Oct 2026, 23:05 GMT"),
        ("de-DE", "Europe/Berlin", "01.11.2026", "01.11.2026, 00:05 CET"),
        ("fr-FR", "America/Toronto", "31 oct. 2026", "31 oct. 2026, 19:05 EDT"),
        ("ja-JP", "Asia/Tokyo", "2026/11/01", "2026/11/01, 8:05 JST"),
        ("en-GB", "America/Sao_Paulo", "31 Oct 2026", "31 Oct 2026, 20:05 UTC-03"),
    ],
)
def test_times_are_told_in_the_viewers_zone_and_days_are_not_shifted(
    viewer: Viewer, locale: str, zone: str, day: str, moment: str
) -> None:
    viewer(locale, zone)
    text = "2026-10-31T23:05:00.000000Z"
    assert (words.day(text), words.moment(text)) == (day, moment)
    assert words.moment(datetime(2026, 10, 31, 23, 5)) == moment  # noqa: DTZ001 - UTC, as stored
    assert words.day("2026-10-31") == words.day(date(2026, 10, 31))
    assert words.moment(text, seconds=True) == moment.replace(":05", ":05:00")


@pytest.mark.parametrize("locale", [None, "", "xx-YY", "en-US-posix-x", "../x", "klingon", "_"])
@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus", "../../etc/passwd", "/etc/passwd"])
def test_a_locale_or_zone_that_nobody_knows_is_english_and_utc(
    viewer: Viewer, locale: str | None, zone: str | None
) -> None:
    viewer(locale, zone)
    assert words.number(1234.5, 1) == "1,234.5"
    assert words.moment("2026-10-31T23:05:00Z") == f"Oct 31, 2026, 11:05{NARROW}PM UTC"


@pytest.mark.parametrize("value", [None, "", "soon", "2026-13-45T00:00:00Z"])
def test_what_is_no_time_is_a_dash(viewer: Viewer, value: str | None) -> None:
    assert words.moment(value) == words.day(value) == words.NOTHING
    assert words.ago(value) == "never"


def test_a_text_of_ten_characters_that_is_no_day_is_a_dash(viewer: Viewer) -> None:
    assert words.day("yesterday!") == words.NOTHING
    assert words.day("2026-02-31") == words.NOTHING


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "—"), (0.85, "850 ms"), (12.41, "12.4 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")],
)
def test_a_duration_has_the_unit_that_fits(
    viewer: Viewer, seconds: float | None, told: str
) -> None:
    assert words.duration(seconds) == told


def test_small_words(viewer: Viewer) -> None:
    assert [words.count(n, "profile") for n in (0, 1, 1204)] == [
        "0 profiles",
        "1 profile",
        "1,204 profiles",
    ]
    assert words.count(2, "person", "people") == "2 people"
    assert words.short(1234) == "1.2K"
    assert (words.change(3, 2), words.change(1, 2), words.change(1, 0)) == (
        "+50.0%",
        "-50.0%",
        None,
    )
    assert (words.share(1, 4), words.share(1, 0)) == (0.25, None)
    assert (words.cut("abc", 3), words.cut("abcd", 3)) == ("abc", "ab…")
    assert words.percent(None) == words.number(None) == words.NOTHING
    assert words.ago(datetime.now(UTC) - timedelta(hours=3)) == "3 hours ago"


@pytest.mark.parametrize(
    ("locale", "up", "down", "ago"),
    [
        ("en-US", "+50.0%", "-50.0%", "3 hours ago"),
        ("de-DE", f"+50,0{NB}%", f"-50,0{NB}%", "vor 3 Stunden"),
        # Its minus is another sign, by which Streamlit would not know a fall.
        ("sv-SE", f"+50,0{NB}%", f"-50,0{NB}%", "för 3 timmar sedan"),
    ],
)
def test_changes_and_times_ago_follow_the_viewers_locale(
    viewer: Viewer, locale: str, up: str, down: str, ago: str
) -> None:
    viewer(locale)
    assert (words.change(3, 2), words.change(1, 2)) == (up, down)
    assert words.ago(datetime.now(UTC) - timedelta(hours=3)) == ago
