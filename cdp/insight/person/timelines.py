"""What happened to a profile, by event and by day."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from cdp.domain.payload import FIELDS
from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.insight.person.lenient import Json
from cdp.warehouse.port import Value, Warehouse

CLIENTS_AT_MOST: Final = 10_000
COUNTS_AT_MOST: Final = 10_000
CHANGES_AT_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Window:
    """First and last day (the property's own) with events, both inclusive, and their number."""

    first: date
    last: date
    events: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a profile in a window, everything newest first.

    Attributes:
        events: `event_at` (aware, UTC), `event_name`, `client` (an identifier of type client_id),
            `source`, `medium`, `page_location`, `page_title` (300 characters at most), `device`,
            `country`, `revenue` (the property's currency), `engagement_ms`, `session_id`,
            `transaction_id`. What the profile's consent withholds is None.
        total: events of the window, shown or not.
        counts: `day`, `event_name`, `events`.
        changes: `kind` (merge or split), `other_id`, `direction` ('in' where identifiers came from
            the other profile), `happened_at` (aware, UTC).
        withheld: the purpose without which no event is shown; None where it permits.
    """

    events: list[Json]
    total: int
    counts: list[Json]
    changes: list[Json]
    withheld: str | None


# A column tells what a field tells, so the field's purpose permits it; all of them need that of
# the first.
_EVENTS: Final = "ga4.events"
_COLUMN_FIELDS: Final[Mapping[str, str]] = {
    "client": "ga4.last_client_id",
    "source": "ga4.last_source",
    "medium": "ga4.last_medium",
    "device": "ga4.device",
    "country": "ga4.country",
    "revenue": "ga4.revenue",
    "transaction_id": "ga4.purchases",
    "engagement_ms": "ga4.engagement_ms",
    "session_id": "ga4.sessions",
}
METRICS: Final = (
    *("sessions", "engaged_sessions", "engagement_ms", "events", "purchases", "revenue"),
)


def profile_window(warehouse: Warehouse, profile_id: str, policy: Policy) -> Window | None:
    """Return when the profile was seen; None where it was not, or where consent withholds it."""
    seen = _seen(warehouse, profile_id, policy)
    if seen is None or not seen.permits(_EVENTS):
        return None
    (row,) = ask(warehouse, "person_window", **seen.rows, since=seen.first, until=seen.until)
    if row["first_day"] is None:
        return None
    return Window(row["first_day"], row["last_day"], int(row["events"]))


def timeline(
    warehouse: Warehouse,
    profile_id: str,
    policy: Policy,
    since: date,
    until: date,
    *,
    limit: int = 1000,
) -> Timeline:
    """Return what happened in [since, until): the property's days; for merges and splits, UTC's.

    Only rows whose analytics state the policy permits, and only where the profile's consent does.
    """
    start, end = (datetime.combine(day, time(), UTC) for day in (since, until))
    changes = ask(
        warehouse,
        "person_history",
        profile_id=profile_id,
        since_at=start,
        until_at=end,
        most=CHANGES_AT_MOST,
    )
    changes = [row | {"happened_at": _utc(row["happened_at"])} for row in changes]
    seen = _seen(warehouse, profile_id, policy)
    if seen is None or not seen.permits(_EVENTS):
        return Timeline([], 0, [], changes, policy.purpose_of(_EVENTS) if seen else None)
    window: dict[str, Value] = {**seen.rows, "since": since, "until": until}
    hidden = {name: None for name, field in _COLUMN_FIELDS.items() if not seen.permits(field)}
    events = [
        row | hidden | {"event_at": _utc(row["event_at"])}
        for row in ask(warehouse, "person_event", **window, most=limit)
    ]
    counts = ask(warehouse, "person_event_count", **window, most=COUNTS_AT_MOST)
    return Timeline(
        events=events,
        total=int(counts[0]["total"]) if counts else 0,
        counts=[
            {"day": row["event_date"], "event_name": row["event_name"], "events": row["events"]}
            for row in counts
        ],
        changes=changes,
        withheld=None,
    )


def trends(
    warehouse: Warehouse, profile_id: str, policy: Policy, until: date, days: int = 90
) -> Json:
    """Return what the profile did by day, for the *days* days before *until*.

    A session counts on its first day, a transaction when it was first told: over all days, the sums
    are the document's `ga4.*`.

    Returns:
        `days`: `day` and METRICS of each day, the oldest first, zeros where nothing happened;
        `last_30` and `before_30`: sums of METRICS over the last 30 days and the 30 before;
        `withheld`: metrics that the profile's consent withholds, None wherever they would stand.
        Units: `engagement_ms` milliseconds, `revenue` the property's currency.
    """
    seen = _seen(warehouse, profile_id, policy)
    reach = max(days, 60)
    start = until - timedelta(days=reach)
    permitted = [name for name in METRICS if seen is None or seen.permits(f"ga4.{name}")]
    found: dict[date, Json] = {}
    if seen and permitted:
        rows = ask(
            warehouse,
            "person_trend",
            **seen.rows,
            first=seen.first,
            since=start,
            until=until,
            most=reach,
        )
        found = {row["event_date"]: row for row in rows}
    every = [start + timedelta(days=n) for n in range(reach)]

    def sums(window: Collection[date]) -> Json:
        rows = [found[day] for day in window if day in found]
        totals: Json = {
            name: sum(int(row[name]) for row in rows) for name in METRICS if name != "revenue"
        }
        # Adding up leaves 0.30000000000000004; the document's revenue is rounded so, too.
        totals["revenue"] = round(sum((row["revenue"] for row in rows), 0.0), 6)
        return {name: totals[name] if name in permitted else None for name in METRICS}

    return {
        "days": [{"day": day, **sums([day])} for day in every[reach - days :]],
        "last_30": sums(every[-30:]),
        "before_30": sums(every[-60:-30]),
        "withheld": [name for name in METRICS if name not in permitted],
    }


@dataclass(frozen=True, slots=True)
class _Seen:
    """A profile with clients: what its rows are found by, and what it permits."""

    rows: Mapping[str, Value]
    first: date
    until: date
    permitted: frozenset[str]

    def permits(self, field: str) -> bool:
        return field in self.permitted


def _seen(warehouse: Warehouse, profile_id: str, policy: Policy) -> _Seen | None:
    rows = ask(warehouse, "person_client", profile_id=profile_id, most=CLIENTS_AT_MOST)
    if not rows:
        return None
    granted = rows[0]["granted"]
    keys = [row["client_key"] for row in rows]
    return _Seen(
        {
            "client_keys": keys,
            "first_key": min(keys),
            "last_key": max(keys),
            "opened_keys": [row["client_key"] for row in rows if row["opened"]],
        },
        # The property's day is up to one off the day in UTC, more where a sender's clock is wrong.
        rows[0]["first_seen"].date() - timedelta(days=3),
        rows[0]["last_seen"].date() + timedelta(days=4),
        frozenset(path for path in FIELDS if f"|{policy.purpose_of(path)}|" in granted),
    )


def _utc(moment: datetime) -> datetime:
    """Return *moment* with its zone: engines give times in UTC with or without it."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
