"""The Customer Explorer: the list of profiles, filtered and in an order, page by page."""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cdp.domain.access import mask
from cdp.domain.payload import FIELDS, IDENTIFIER_TYPES, FieldType, cast, timestamp
from cdp.domain.policy import Policy
from cdp.profiles.port import PROFILES, Document, DocumentStore, Where

LIVE: Final = "live"
NOT_YET: Final = "not synchronised yet"
STATES: Final = ("granted", "denied", "unknown")

_HIDDEN: Final = ("merged", "deleted", "gone")
_ROUNDS: Final = 20  # reads for one page where most of what is met is not shown
_EXPORTED: Final = 1_000  # rows read at once


class Order(StrEnum):
    """Highest or newest first; only `ID` lists every profile, those without the value included."""

    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"
    REVENUE = "revenue"
    SESSIONS = "sessions"
    IDENTIFIERS = "identifiers"
    ID = "id"


_PATHS: Final[Mapping[Order, str]] = {
    Order.LAST_SEEN: "ga4.last_seen",
    Order.FIRST_SEEN: "ga4.first_seen",
    Order.REVENUE: "ga4.revenue",
    Order.SESSIONS: "ga4.sessions",
    Order.IDENTIFIERS: "identifiers.count",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What profiles must have; a profile without the value is left out. Bounds are included.

    Args:
        consent: (purpose, state) pairs; each holds.
        seen_days: last seen today or on one of that many days before, UTC; or else
        seen_from, seen_to: last seen on these days or between them, UTC.
        stitched: whether more than one identifier was joined into the profile.
        ignored: what `from_query` could not use, in words for the reader.
    """

    consent: tuple[tuple[str, str], ...] = ()
    seen_days: int | None = None
    seen_from: date | None = None
    seen_to: date | None = None
    revenue_from: float | None = None
    revenue_to: float | None = None
    sessions_from: int | None = None
    sessions_to: int | None = None
    source: str | None = None
    country: str | None = None
    stitched: bool | None = None
    ignored: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A profile as the list shows it; None where it has no value, or none that can be read."""

    profile_id: str
    state: str  # LIVE or NOT_YET
    identifiers: dict[str, list[str]]  # type → values; types without one are left out
    identifiers_count: int | None
    first_seen: datetime | None  # UTC
    last_seen: datetime | None
    sessions: int | None
    revenue: float | None  # in the property's currency
    source: str | None
    country: str | None
    consent: dict[str, str]  # purpose → state


@dataclass(frozen=True, slots=True)
class Listing:
    """One page; `cursor` leads to the next one, None where there is none."""

    rows: Sequence[Row]
    cursor: str | None


def page(
    documents: DocumentStore,
    filters: Filters,
    order: Order,
    after: str | None = None,
    limit: int = 50,
    *,
    today: date | None = None,
) -> Listing:
    """Return the profiles that follow `after`; what was merged, erased or is gone is not shown.

    Where much is not shown a page may be short, or even empty, and still lead to a next one.

    Raises:
        InvalidQuery: `after` is no cursor of this order, or it is none of `orders`.
    """
    where = _conditions(filters, order, today)
    rows: list[Row] = []
    for _ in range(_ROUNDS):
        found = documents.page(
            PROFILES,
            where=where,
            order_by=_PATHS.get(order),
            descending=order is not Order.ID,
            after=after,
            limit=limit - len(rows),
        )
        rows += [row for document in found.documents if (row := _row(document))]
        after = found.cursor
        if after is None or len(rows) >= limit:
            break
    return Listing(rows, after)


def orders(documents: DocumentStore, filters: Filters, *, today: date | None = None) -> list[Order]:
    """Return the orders in which the store lists what meets the filters; a store may lack some.

    Those come first that leave out nobody who meets the filters.
    """
    conditions = {order: _conditions(filters, order, today) for order in Order}
    found = [
        order
        for order, where in conditions.items()
        if documents.lists(
            PROFILES,
            where=where,
            order_by=_PATHS.get(order),
            descending=order is not Order.ID,
        )
    ]
    return sorted(found, key=lambda order: len(conditions[order]))


def total(
    documents: DocumentStore, filters: Filters, order: Order, *, today: date | None = None
) -> int:
    """Return how many profiles all pages hold."""
    where = _conditions(filters, order, today)
    if where:  # on fields of ours: what was merged, erased or is gone has none
        return documents.count(PROFILES, where)
    hidden = Where("sync.state", "in", _HIDDEN)
    return documents.count(PROFILES) - documents.count(PROFILES, [hidden])


def without_value(
    documents: DocumentStore, filters: Filters, order: Order, *, today: date | None = None
) -> int:
    """Return how many profiles meet the filters and are not listed: they have no such value."""
    every = total(documents, filters, Order.ID, today=today)
    return every - total(documents, filters, order, today=today)


def _conditions(filters: Filters, order: Order, today: date | None) -> list[Where]:
    seen_from = filters.seen_from
    if filters.seen_days is not None:
        today = today or datetime.now(UTC).date()
        seen_from = today - timedelta(days=filters.seen_days)
    seen_to = filters.seen_to if filters.seen_days is None else None
    limits: list[tuple[str, Any, Any]] = [
        (
            "ga4.last_seen",
            seen_from and f"{seen_from}T00:00:00.000000Z",
            seen_to and f"{seen_to}T23:59:59.999999Z",
        ),
        ("ga4.revenue", filters.revenue_from, filters.revenue_to),
        ("ga4.sessions", filters.sessions_from, filters.sessions_to),
    ]
    where = [Where(f"consent.{purpose}.state", "==", state) for purpose, state in filters.consent]
    if filters.source is not None:
        where.append(Where("ga4.last_source", "==", filters.source))
    if filters.country is not None:
        where.append(Where("ga4.country", "==", filters.country))
    if filters.stitched is not None:
        where.append(Where("identifiers.count", ">" if filters.stitched else "<=", 1))
    where += [Where(path, ">=", low) for path, low, _ in limits if low is not None]
    where += [Where(path, "<=", high) for path, _, high in limits if high is not None]
    path = _PATHS.get(order)
    if path and all(condition.path != path for condition in where):
        # What the order implies, of the right type: pages and totals hold the same.
        text = FIELDS[path] is FieldType.TIMESTAMP
        where.append(Where(path, ">=", "" if text else float("-inf")))
    return where


def _row(document: Document) -> Row | None:
    """Return what the list shows, or None for what it does not; others may write anything."""
    state = _map(document.body, "sync").get("state")
    if isinstance(state, str) and state in _HIDDEN:
        return None
    identifiers = _map(document.body, "identifiers")
    consent = _map(document.body, "consent")

    def owned(path: str) -> Any:
        group, _, name = path.partition(".")
        return cast(FIELDS[path], _map(document.body, group).get(name))

    def moment(path: str) -> datetime | None:
        text = owned(path)
        return datetime.fromisoformat(text) if text else None

    return Row(
        profile_id=document.id,
        state=LIVE if state == LIVE else NOT_YET,
        identifiers={
            name: texts
            for name in IDENTIFIER_TYPES
            if isinstance(values := identifiers.get(name), list)
            if (texts := [value for value in values if isinstance(value, str)])
        },
        identifiers_count=owned("identifiers.count"),
        first_seen=moment("ga4.first_seen"),
        last_seen=moment("ga4.last_seen"),
        sessions=owned("ga4.sessions"),
        revenue=owned("ga4.revenue"),
        source=owned("ga4.last_source"),
        country=owned("ga4.country"),
        consent={
            purpose: answer
            for purpose in consent
            if isinstance(answer := _map(consent, purpose).get("state"), str)
        },
    )


def _map(holder: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


# --- filters in a URL ---------------------------------------------------------------------------

_DAY: Final = r"(\d{4}-\d{2}-\d{2})?"
_DAYS: Final = re.compile(r"([1-9]\d{0,3})d", re.ASCII)
_BETWEEN: Final = re.compile(rf"{_DAY}\.\.{_DAY}", re.ASCII)
_REVENUE: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)?-(\d{1,12}(?:\.\d{1,6})?)?", re.ASCII)
_SESSIONS: Final = re.compile(r"(\d{1,9})?-(\d{1,9})?", re.ASCII)
_LONGEST: Final = 200  # characters of a source or a country
_ANSWERS: Final = {"yes": True, "no": False}


def to_query(filters: Filters) -> dict[str, str]:
    """Return the parameters of a URL that say the same; what looks like a person's is left out."""
    query: dict[str, str] = {}
    if filters.consent:
        query["consent"] = ",".join(f"{purpose}:{state}" for purpose, state in filters.consent)
    if filters.seen_days is not None:
        query["seen"] = f"{filters.seen_days}d"
    elif filters.seen_from or filters.seen_to:
        query["seen"] = f"{filters.seen_from or ''}..{filters.seen_to or ''}"
    for name, low, high in (
        ("revenue", filters.revenue_from, filters.revenue_to),
        ("sessions", filters.sessions_from, filters.sessions_to),
    ):
        if low is not None or high is not None:
            query[name] = f"{_number(low)}-{_number(high)}"
    texts = {"source": filters.source, "country": filters.country}
    query |= {name: text for name, text in texts.items() if text and _is_plain(text)}
    if filters.stitched is not None:
        query["stitched"] = "yes" if filters.stitched else "no"
    return query


def from_query(query: Mapping[str, str], policy: Policy) -> Filters:
    """Return the filters that a URL's parameters say; other parameters belong to others.

    A parameter that cannot be used is left out and told in `ignored`, which quotes no value.
    """
    read: Mapping[str, Callable[[str], dict[str, Any]]] = {
        "consent": lambda text: _consent(text, policy),
        "seen": _seen,
        "revenue": lambda text: _bounds("revenue", _REVENUE, float, text),
        "sessions": lambda text: _bounds("sessions", _SESSIONS, int, text),
        "source": lambda text: _text("source", text),
        "country": lambda text: _text("country", text),
        "stitched": lambda text: {"stitched": _ANSWERS[text]},
    }
    found: dict[str, Any] = {}
    ignored: list[str] = []
    for name, reader in read.items():
        if name not in query:
            continue
        try:
            found |= reader(query[name])
        except (ValueError, KeyError, TypeError):
            ignored.append(f"{name} was ignored: it takes {_TAKES[name]}")
    return Filters(**found, ignored=tuple(ignored))


_TAKES: Final[Mapping[str, str]] = {
    "consent": "purposes of the policy, each with a state, such as marketing:granted",
    "seen": "a number of days such as 30d, or days such as 2026-01-01..2026-01-31",
    "revenue": "an amount and more (100-), up to one (-100), or both (50-100)",
    "sessions": "a number and more (2-), up to one (-5), or both (2-5)",
    "source": f"up to {_LONGEST} characters and no e-mail address",
    "country": f"up to {_LONGEST} characters and no e-mail address",
    "stitched": "yes or no",
}


def _consent(text: str, policy: Policy) -> dict[str, Any]:
    pairs = dict(pair.split(":") for pair in text.split(","))
    if not (pairs.keys() <= policy.purposes.keys() and {*pairs.values()} <= {*STATES}):
        raise ValueError(text)
    return {"consent": tuple(pairs.items())}


def _seen(text: str) -> dict[str, Any]:
    if days := _DAYS.fullmatch(text):
        return {"seen_days": int(days[1])}
    bounds = _both(_BETWEEN, date.fromisoformat, text)
    return dict(zip(("seen_from", "seen_to"), bounds, strict=True))


def _bounds(
    name: str, pattern: re.Pattern[str], number: Callable[[str], float], text: str
) -> dict[str, Any]:
    return dict(zip((f"{name}_from", f"{name}_to"), _both(pattern, number, text), strict=True))


def _both(pattern: re.Pattern[str], convert: Callable[[str], Any], text: str) -> tuple[Any, Any]:
    found = pattern.fullmatch(text)
    if not found or not any(found.groups()):
        raise ValueError(text)
    low, high = (None if part is None else convert(part) for part in found.groups())
    return low, high


def _text(name: str, text: str) -> dict[str, Any]:
    if not _is_plain(text):
        raise ValueError(text)
    return {name: text}


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and "@" not in text and text.isprintable()


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


# --- export ---------------------------------------------------------------------------------------

_COLUMNS: Final = (
    "profile_id",
    "state",
    *IDENTIFIER_TYPES,
    "identifiers",
    "first_seen",
    "last_seen",
    "sessions",
    "revenue",
    "source",
    "country",
    "consent",
)
# A spreadsheet takes such a cell for a formula; also what follows a semicolon, where a spreadsheet
# of another language splits there. Source: OWASP, CSV Injection.
_FORMULA: Final = re.compile(r"(?:^|(?<=;))(?=\s*[=+\-@＝＋－＠])|^(?=[\t\r\n])")  # noqa: RUF001


def export(
    documents: DocumentStore,
    filters: Filters,
    order: Order,
    most: int,
    masked: Collection[str],
    *,
    today: date | None = None,
) -> Iterator[str]:
    """Yield the list as CSV: a header (with a byte-order mark, for Excel), then up to *most* rows.

    Text that a spreadsheet would run gets an apostrophe; identifiers of the types in *masked* are
    shown in part. Several values of one type stand in one cell, ` | ` between them.
    """
    yield "\ufeff" + _csv([_COLUMNS])
    after = None
    while most > 0:
        listing = page(documents, filters, order, after, min(most, _EXPORTED), today=today)
        yield _csv([_cells(row, masked) for row in listing.rows])
        most -= len(listing.rows)
        after = listing.cursor
        if after is None:
            break


def _cells(row: Row, masked: Collection[str]) -> list[Any]:
    known = {
        name: " | ".join(mask(name, value) if name in masked else value for value in values)
        for name, values in row.identifiers.items()
    }
    cells = [
        row.profile_id,
        row.state,
        *(known.get(name) for name in IDENTIFIER_TYPES),
        row.identifiers_count,
        row.first_seen and timestamp(row.first_seen),
        row.last_seen and timestamp(row.last_seen),
        row.sessions,
        row.revenue,
        row.source,
        row.country,
        ", ".join(f"{purpose}: {state}" for purpose, state in sorted(row.consent.items())),
    ]
    return [_safe(cell) if isinstance(cell, str) else cell for cell in cells]


def _safe(text: str) -> str:
    return _FORMULA.sub("'", text.replace("\0", ""))


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
