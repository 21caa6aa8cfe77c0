"""What the page Overview shows: how many people, how fresh, and what happened day by day."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from cdp.domain.days import ExportTable, State, state_of
from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.insight.consent import states
from cdp.warehouse.port import Warehouse

DAYS: Final = 400
RECENT: Final = 14
TOP: Final = 12
_MOST_CLEANED: Final = 10_000  # days: 27 years

Row = Mapping[str, Any]


def report(warehouse: Warehouse, policy: Policy, *, today: date) -> dict[str, Any]:
    """Return the figures of the page, as JSON.

    Args:
        today: the property's own, on which the last refresh looked at the export.

    Returns:
        `clusters`, `profiles` (those that hold something besides consent), `stitched` (of these,
        those with several identifiers); `consent`: see `cdp.insight.consent.states`;
        `freshness`: see there; `days`: a list a column, one value a cleaned day of the last 400
        with `day` as ISO text; `sources`, `countries`, `devices`: `top`, at most 12 with `value`
        (sources: and `medium`; null: none told), `profiles`, `sessions` and `revenue`, and `other`,
        the sum of the rest: `different` values, `profiles`, `sessions`, `revenue`.
        Revenue is in the property's currency; only rows count that the policy lets measure.
    """
    cleaned = ask(warehouse, "overview_cleaned", most=_MOST_CLEANED)
    last = max((row["event_date"] for row in cleaned), default=today)
    days = ask(
        warehouse,
        "overview_days",
        analytics_states=_permitting(policy),
        since=last - timedelta(days=DAYS - 1),
        most=DAYS,
    )
    splits = ask(warehouse, "overview_splits", top=TOP)
    return {
        **ask(warehouse, "overview_totals")[0],
        "consent": states(warehouse, policy),
        "freshness": freshness(cleaned, today),
        "days": _columns(days),
        "sources": _split(splits, "source", "value", "medium"),
        "countries": _split(splits, "country", "value"),
        "devices": _split(splits, "device", "value"),
    }


def freshness(cleaned: Sequence[Row], today: date) -> dict[str, Any]:
    """Say up to which day the warehouse is complete.

    Args:
        cleaned: rows of `overview_cleaned`, any order.
        today: see `report`. A day that was provisional when it was cleaned is final once Google may
            no longer rewrite its table.

    Returns:
        `first_day`, `last_day`, `last_state`: null where nothing was cleaned; `complete_until`: the
        last final day before the first that is missing or provisional, or null; `recent`: `day`,
        `state` (final, provisional, missing) and `rows` (as exported) of the last 14 days, the
        newest first.
    """
    known = {row["event_date"]: (_state(row, today).value, row["rows_read"]) for row in cleaned}
    if not known:
        return {
            "first_day": None,
            "last_day": None,
            "last_state": None,
            "complete_until": None,
            "recent": [],
        }
    first, last = min(known), max(known)
    complete = None
    day = first
    while day in known and known[day][0] == State.FINAL:
        complete, day = day, day + timedelta(days=1)
    recent = [last - timedelta(days=n) for n in range(RECENT)]
    return {
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
        "last_state": known[last][0],
        "complete_until": complete.isoformat() if complete else None,
        "recent": [
            dict(zip(("day", "state", "rows"), (day.isoformat(), *of_day), strict=True))
            for day in recent
            if day >= first
            for of_day in [known.get(day, ("missing", 0))]
        ],
    }


def _state(row: Row, today: date) -> State:
    if row["state"] == State.FINAL:
        return State.FINAL
    return state_of(ExportTable(row["suffix"], row["version"], row["rows_read"]), today)


def _permitting(policy: Policy) -> list[str]:
    """Return the states in which events may be measured."""
    silence = policy.purposes[policy.linking.purpose].unknown
    return ["granted", "unknown"] if silence == "granted" else ["granted"]


_DAY: Final = (
    "events",
    "sessions",
    "engaged_sessions",
    "active_profiles",
    "new_profiles",
    "returning_profiles",
    "purchases",
    "revenue",
    "leads",
)


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {
        "day": [row["event_date"].isoformat() for row in rows],
        **{name: [row[name] for row in rows] for name in _DAY},
    }


def _split(rows: Sequence[Row], kind: str, *names: str) -> dict[str, Any]:
    sums = ("profiles", "sessions", "revenue")
    of_kind = [row for row in rows if row["kind"] == kind]
    rest = next((row for row in of_kind if row["place"] == 0), None)
    empty = {"different": 0, "profiles": 0, "sessions": 0, "revenue": 0.0}
    return {
        "top": [{n: row[n] for n in (*names, *sums)} for row in of_kind if row["place"] > 0],
        "other": {n: rest[n] for n in empty} if rest else empty,
    }
