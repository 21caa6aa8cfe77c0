"""What the page Overview shows: how many people, how fresh, and what happened day by day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from typing import Any, Final

from cdp.domain.days import ExportTable, State, state_of
from cdp.domain.policy import Policy
from cdp.insight.ask import ask, may
from cdp.insight.consent import states
from cdp.profiles.port import PROFILES, DocumentStore, Where
from cdp.warehouse.port import Warehouse

DAYS: Final = 400
RECENT: Final = 14
TOP: Final = 12
WEEK: Final = 7
SPARK: Final = 90
_MOST_CLEANED: Final = 10_000  # days: 27 years

Row = Mapping[str, Any]


# --- the report -----------------------------------------------------------------------------------


def report(
    warehouse: Warehouse, documents: DocumentStore, policy: Policy, *, today: date
) -> dict[str, Any]:
    """Return the figures of the page, as JSON.

    What happened counts only for profiles whose consent in force permits the field that tells it,
    and only rows that the policy lets measure: days and splits sum up to the documents.

    Args:
        today: the property's own, on which the last refresh looked at the export.

    Returns:
        `clusters`: people seen; `profiles`: those that hold something besides consent; `stitched`:
        of these, those with several identifiers; `documents`: live ones in the store, also those
        that keep only their consent; `consent`: see `cdp.insight.consent.states`; `freshness`: see
        there; `days`: a list a column, one value a cleaned day of the last 400 with `day` as ISO
        text and its `state`; `sources`, `countries`, `devices`: of profiles that tell when they
        were seen: `top`, at most 12 with `value` (sources: and `medium`; null: none told),
        `profiles`, `sessions` and `revenue`, and `other`, the sum of the rest: `different` values,
        `profiles`, `sessions`, `revenue`. Revenue is in the property's currency.
    """
    cleaned = ask(warehouse, "overview_cleaned", most=_MOST_CLEANED)
    last = max((row["event_date"] for row in cleaned), default=today)
    days = ask(
        warehouse,
        "overview_days",
        **may(policy, *_MEASURES),
        since=last - timedelta(days=DAYS - 1),
        most=DAYS,
    )
    splits = ask(warehouse, "overview_splits", top=TOP)
    return {
        **ask(warehouse, "overview_totals")[0],
        "documents": documents.count(PROFILES, [Where("sync.state", "==", "live")]),
        "consent": states(warehouse, policy),
        "freshness": freshness(cleaned, today),
        "days": _columns(days, {row["event_date"]: _state(row, today) for row in cleaned}),
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


_MEASURES: Final = (
    "ga4.last_seen",
    "ga4.events",
    "ga4.leads",
    "ga4.sessions",
    "ga4.engaged_sessions",
    "ga4.purchases",
    "ga4.revenue",
)
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


def _columns(rows: Sequence[Row], states: Mapping[date, State]) -> dict[str, list[Any]]:
    return {
        "day": [row["event_date"].isoformat() for row in rows],
        "state": [states[row["event_date"]].value for row in rows],
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


# --- what the page shows of it --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Week:
    """A figure over the last days that are complete, and over as many before them.

    `before` is None where there are too few days to compare; then there is no change to tell.
    """

    now: float
    before: float | None
    spark: tuple[float, ...]  # by day, up to 90, ending at complete until


@dataclass(frozen=True, slots=True)
class Figures:
    """The row of figures. All of it ends at complete until: a provisional day is still growing.

    Attributes:
        until: the last complete day, as ISO text; None where no day is final yet.
        days: how many days a week has here: 7, or fewer where fewer are complete.
        stitched_share: of profiles; None where there are none.
        emptied: live documents that keep only their consent.
        new: profiles first seen in the week; its spark adds them up.
        active: profiles with a session, the mean of the week's days.
        revenue: of the week, in the property's currency.
    """

    profiles: int
    stitched: int
    stitched_share: float | None
    withheld: int
    emptied: int
    until: str | None
    days: int
    new: Week | None
    active: Week | None
    revenue: Week | None


def figures(report: Mapping[str, Any]) -> Figures:
    """Return the row of figures that a report tells."""
    days, until = report["days"], report["freshness"]["complete_until"]
    complete = sum(day <= until for day in days["day"]) if until else 0
    week = min(WEEK, complete)

    def over(name: str) -> Week | None:
        return _week(days[name][:complete], week) if week else None

    new, active, revenue = (over(name) for name in ("new_profiles", "active_profiles", "revenue"))
    profiles, stitched = report["profiles"], report["stitched"]
    return Figures(
        profiles=profiles,
        stitched=stitched,
        stitched_share=stitched / profiles if profiles else None,
        withheld=report["clusters"] - profiles,
        emptied=max(0, report.get("documents", profiles) - profiles),
        until=until,
        days=week,
        new=new and _added_up(new, days["new_profiles"][:complete]),
        active=active and _daily(active, week),
        revenue=revenue,
    )


def _week(values: Sequence[float], days: int) -> Week:
    before = sum(values[-2 * days : -days]) if len(values) >= 2 * days else None
    return Week(sum(values[-days:]), before, tuple(values[-SPARK:]))


def _added_up(week: Week, values: Sequence[float]) -> Week:
    return replace(week, spark=tuple(accumulate(values))[-SPARK:])


def _daily(week: Week, days: int) -> Week:
    before = None if week.before is None else week.before / days
    return replace(week, now=week.now / days, before=before)


def span(report: Mapping[str, Any], days: int) -> dict[str, Any]:
    """Return the last *days* of the report's days, with the totals of what they earned.

    Returns:
        the columns of `days`; `provisional`: days (ISO text) that Google may still rewrite;
        `revenue_total`, `purchases_total`.
    """
    last = {name: values[-days:] for name, values in report["days"].items()}
    states = last.get("state", [])  # a report that an earlier release made has none
    return {
        **last,
        "provisional": [
            day
            for day, state in zip(last["day"], states, strict=False)
            if state == State.PROVISIONAL
        ],
        "revenue_total": sum(last["revenue"]),
        "purchases_total": sum(last["purchases"]),
    }
