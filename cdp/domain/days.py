"""Which days of the GA4 export to clean: one table a day, new, restated, provisional or final."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

FINAL_AFTER: Final = timedelta(days=3)
"""Google may rewrite a daily table for this long. Source: Google Analytics help 7029846."""

BATCH_DAYS: Final = 64
"""Days a batch: one view spells all of their tables, and BigQuery bounds its text."""

_SUFFIX: Final = re.compile(r"(?:(intraday|fresh)_)?([0-9]{8})")


class Kind(StrEnum):
    """The kinds of events table, in the order in which one is chosen for a day."""

    DAILY = "daily"
    FRESH = "fresh"
    INTRADAY = "intraday"


class State(StrEnum):
    PROVISIONAL = "provisional"  # intraday, fresh, or a daily table that Google may still rewrite
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class ExportTable:
    """One table of the export: `suffix` follows `events_`, `version` changes with its rows."""

    suffix: str
    version: str
    rows: int

    @property
    def day(self) -> date:
        return parse_suffix(self.suffix)[1]

    @property
    def kind(self) -> Kind:
        return parse_suffix(self.suffix)[0]


@dataclass(frozen=True, slots=True)
class DayWork:
    """A day to clean from *table*; `restated` where an earlier version was cleaned before."""

    table: ExportTable
    state: State
    restated: bool


def parse_suffix(suffix: str) -> tuple[Kind, date]:
    """Return kind and day of `20210129`, `intraday_20210129` or `fresh_20210129`.

    Raises:
        ValueError: not the suffix of an events table.
    """
    match = _SUFFIX.fullmatch(suffix)
    if match is None:
        raise ValueError(f"{suffix!r} does not end a GA4 events table's name")
    return Kind(match[1] or "daily"), datetime.strptime(match[2], "%Y%m%d").date()  # noqa: DTZ007


def suffix_of(kind: Kind, day: date) -> str:
    """Return what follows `events_` in the name of the table of *kind* for *day*."""
    prefix = "" if kind is Kind.DAILY else f"{kind.value}_"
    return f"{prefix}{day:%Y%m%d}"


def plan_days(
    tables: Iterable[ExportTable],
    cleaned: Mapping[date, str],
    *,
    today: date,
    since: date | None = None,
    until: date | None = None,
    full: bool = False,
) -> list[DayWork]:
    """Return the days whose chosen table is not what was cleaned before, oldest first.

    Args:
        tables: the export's tables, any order; other tables' suffixes are not among them.
        cleaned: for each day cleaned before, `suffix@version` of the table it was cleaned from.
        today: the date in the property's reporting zone.
        since, until: both inclusive; days outside are left as they are.
        full: clean every day again.

    A day whose table is gone keeps what was cleaned: an export that expires takes no history away.
    """
    chosen: dict[date, ExportTable] = {}
    order = list(Kind)
    for table in tables:
        held = chosen.get(table.day)
        if held is None or order.index(table.kind) < order.index(held.kind):
            chosen[table.day] = table
    work = []
    for day, table in sorted(chosen.items()):
        if (since and day < since) or (until and day > until):
            continue
        if full or cleaned.get(day) != version_of(table):
            work.append(DayWork(table, state_of(table, today), restated=day in cleaned))
    return work


def state_of(table: ExportTable, today: date) -> State:
    """Return whether Google may still change the day's rows."""
    final = table.kind is Kind.DAILY and today - table.day > FINAL_AFTER
    return State.FINAL if final else State.PROVISIONAL


def version_of(table: ExportTable) -> str:
    """Return what identifies the rows of *table* as they are now."""
    return f"{table.suffix}@{table.version}"


def batches(work: Sequence[DayWork], events: int) -> list[list[DayWork]]:
    """Split *work* into runs of consecutive days of about *events* rows, at least one day each.

    And at most `BATCH_DAYS` days, whatever their rows.
    """
    result: list[list[DayWork]] = []
    size = 0
    for day in work:
        if not result or size + day.table.rows > events or len(result[-1]) == BATCH_DAYS:
            result.append([])
            size = 0
        result[-1].append(day)
        size += day.table.rows
    return result
