"""Numbers, dates and text as the viewer reads them."""

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import (
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
)

from cdp.ui import app

NOTHING: Final = "—"
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&^=@\"'/])")
# What Streamlit replaces in escaped text, too: addresses by links, a name by its logo, arrows by
# their signs. An empty directive, which nobody sees or copies, keeps the halves apart.
_REPLACED: Final = re.compile(
    r"(?<=http)(?=s?://)|(?<=www)(?=\.)|(?=@)|(?<=:streamlit)(?=:)|(?<=[-<>=~!])(?=[-<>=~])",
    re.IGNORECASE,
)
_APART: Final = ":small[]"


def plain(text: object) -> str:
    """Return *text* so that Markdown shows it as it is, whatever it spells."""
    halves = _REPLACED.split(" ".join(str(text).split()))
    return _APART.join(_SPECIAL.sub(r"\\\1", half) for half in halves)


def locale() -> Locale:
    """Return the viewer's locale; English where the browser's is none that is known."""
    return _locale(str(st.context.locale or "en"))


@lru_cache(maxsize=64)
def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def zone() -> ZoneInfo:
    """Return the viewer's time zone; UTC where the browser does not tell."""
    return _zone(str(st.context.timezone or "UTC"))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with its group separators, or a dash where there is none."""
    if value is None:
        return NOTHING
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return str(format_decimal(round(value, digits), format=pattern, locale=locale()))


def short(value: float) -> str:
    """Return a number in few characters: 1.2K, 3M."""
    return str(format_compact_decimal(value, fraction_digits=1, locale=locale()))


def money(value: float | None, digits: int = 2) -> str:
    """Return an amount in the property's currency, or as a number where that is not known."""
    currency = app.currency()
    if value is None or currency is None:
        return number(value, digits)
    pattern = _money_pattern(locale(), digits)
    amount = round(value, digits)
    return str(
        format_currency(amount, currency, format=pattern, locale=locale(), currency_digits=False)
    )


@lru_cache(maxsize=256)
def _money_pattern(of: Locale, digits: int) -> str:
    """Return the locale's pattern of amounts with that many digits; it says where the sign is."""
    amount = "#,##0" + ("." + "0" * digits if digits else "")
    before = of.currency_formats["standard"].pattern.startswith("¤")
    return f"¤{amount}" if before else f"{amount}\xa0¤"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share of 1 as a percentage."""
    if share is None:
        return NOTHING
    return str(format_percent(share, format=_percent_pattern(locale(), digits), locale=locale()))


@lru_cache(maxsize=256)
def _percent_pattern(of: Locale, digits: int) -> str:
    amount = "#,##0" + ("." + "0" * digits if digits else "")
    return str(of.percent_formats[None].pattern.replace("#,##0", amount))


def share(part: float, of: float) -> float | None:
    """Return what share *part* is, None of nothing."""
    return part / of if of else None


def change(now: float, before: float) -> str | None:
    """Return the change as a signed percentage, None from nothing."""
    if not before:
        return None
    rise = (now - before) / before
    # A plain minus: Streamlit tells a fall by it, and some locales have another.
    return ("-" if rise < 0 else "+") + percent(abs(rise))


def cut(text: str, most: int) -> str:
    """Return *text*, shortened to *most* characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def moment(value: str | datetime | None, *, seconds: bool = False) -> str:
    """Return a time in the viewer's zone, which it names: 31 Oct 2026, 14:05 CET."""
    at = _datetime(value)
    if at is None:
        return NOTHING
    here = at.astimezone(zone())
    day = format_date(here.date(), "medium", locale=locale())
    clock = format_time(here, "medium" if seconds else "short", tzinfo=zone(), locale=locale())
    name = here.tzname() or ""  # of zones without one, what it is ahead of UTC: -03
    return f"{day}, {clock} {name if name.isalpha() else f'UTC{name}'}"


def day(value: str | date | datetime | None) -> str:
    """Return a day: a date as it is, a time's in the viewer's zone."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, str) and len(value) == 10:
        try:
            value = date.fromisoformat(value)
        except ValueError:  # others may write anything into a document
            return NOTHING
    if isinstance(value, str | datetime):
        at = _datetime(value)
        value = at.astimezone(zone()).date() if at else None
    return NOTHING if value is None else str(format_date(value, "medium", locale=locale()))


def ago(value: str | datetime | None) -> str:
    """Return how long ago in the viewer's language: 3 hours ago."""
    at = _datetime(value)
    if at is None:
        return "never"
    gone = at - datetime.now(UTC)
    return str(format_timedelta(gone, add_direction=True, locale=locale()))


def duration(seconds: float | None) -> str:
    """Return a time span: 850 ms, 12.4 s, 3 min 20 s, 1 h 5 min."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{number(seconds, 1)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(value: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: 1 profile, 1,204 profiles."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def _datetime(value: str | datetime | None) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if value is None:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
