"""Generate the demo property: GA4 days, links, consent decisions, and the truth behind them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq

from cdp.demo import export, records
from cdp.demo.behaviour import PURCHASE, Events, day_events
from cdp.demo.population import Population, populate
from cdp.demo.records import Observed, Spoken
from cdp.domain.errors import InputError, unusable

UNTIL: Final = date(2026, 10, 31)
ZONE: Final = ZoneInfo("Europe/Berlin")
_BLOCK: Final = 40_000  # people at a time: bounds the memory, and is part of what a seed means


@dataclass(frozen=True, slots=True)
class Generated:
    """What was written; `events` counts each day once, from its best table."""

    people: int
    devices: int
    shared_devices: int
    events: int
    rows: int  # in all tables
    links: int
    decisions: int


@dataclass(frozen=True, slots=True)
class _Table:
    kind: str  # "", "intraday_" or "fresh_", as in the table's name
    lacks: Sequence[str]


def generate(
    out: Path,
    *,
    people: int,
    days: int,
    seed: int,
    until: date = UNTIL,
    progress: Callable[[int, int], None] | None = None,
) -> Generated:
    """Write a property of *people* over the *days* that end with *until* to *out*.

    The same arguments give the same files. Memory grows with people and the links between them,
    not with events.

    Args:
        out: a folder that is new or empty; what an earlier run left would mix with this one.
        progress: called with days done and days in all.

    Raises:
        InputError: *out* is not empty, or there is nobody or no day to generate.
        Unusable: *out* cannot be written.
    """
    if people < 1 or days < 1:
        raise InputError(f"{people} people and {days} days are too few; ask for 1 or more.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a new folder.")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; name a new folder, or empty this one first.")
    try:
        return _generate(out, people=people, days=days, seed=seed, until=until, progress=progress)
    except OSError as error:
        raise unusable(out, error) from error


def _generate(
    out: Path,
    *,
    people: int,
    days: int,
    seed: int,
    until: date,
    progress: Callable[[int, int], None] | None,
) -> Generated:
    starts = [_midnight(until - timedelta(days=days - 1 - n)) for n in range(days + 1)]
    population = populate(people, days, starts[0], np.random.default_rng([seed, 0]))
    run = _Run(out, population, starts, seed)
    for day in range(days):
        run.write_day(day, until - timedelta(days=days - 1 - day))
        if progress:
            progress(day + 1, days)
    rng = np.random.default_rng([seed, 2])
    observed = Observed.join(run.observed)
    spoken = Spoken.join(run.spoken)
    links = records.links(population, observed, starts[0], starts[-1], rng)
    decisions = records.decisions(population, starts[0], starts[-1], rng)
    shared = records.write(out, population, observed, spoken, links=links, decisions=decisions)
    for file in out.rglob("*"):  # people, if invented ones
        file.chmod(0o700 if file.is_dir() else 0o600)
    return Generated(
        people=people,
        devices=len(population.owner),
        shared_devices=shared,
        events=run.events,
        rows=run.rows,
        links=links.height,
        decisions=decisions.height,
    )


class _Run:
    """Days of one property, written in order, because people remember the day before."""

    def __init__(self, out: Path, population: Population, starts: Sequence[int], seed: int) -> None:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._out = out / "ga4"
        self._out.mkdir(exist_ok=True, mode=0o700)
        self._population = population
        self._user_values = export.user_values(population)
        self._starts = starts
        self._seed = seed
        first = population.first_device
        edges = [*range(0, population.people, _BLOCK), population.people]
        self._blocks = [slice(int(first[a]), int(first[b])) for a, b in pairwise(edges)]
        self._after_midnight: dict[int, Events] = {}
        self._transaction = 1_000_000
        self.observed: list[Observed] = []
        self.spoken: list[Spoken] = []
        self.events = 0
        self.rows = 0

    def write_day(self, day: int, on: date) -> None:
        tables = _tables(day, len(self._starts) - 1)
        with ExitStack() as stack:
            writers: list[Any] = [None] * len(tables)
            for block in range(len(self._blocks)):
                events = self._events(block, day)
                final = not tables[0].kind
                if not final:
                    events = _on_time(events)
                self.observed.append(records.observe(events, final=final))
                self.spoken.append(records.speak(events, final=final))
                self.events += len(events)
                for n, table in enumerate(tables):
                    rows = self._table(events, table, on)
                    if writers[n] is None:
                        path = self._out / f"events_{table.kind}{on:%Y%m%d}.parquet"
                        writers[n] = stack.enter_context(_writer(path, rows.schema))
                    writers[n].write_table(rows, row_group_size=max(1, len(rows)))
                    self.rows += len(rows)
                buys = events.pick(np.flatnonzero(events.kind == PURCHASE))
                np.add.at(self._population.revenue, buys.device, export.basket_values(buys))

    def _events(self, block: int, day: int) -> Events:
        """Return what happens on *day*, and keep what happens after its midnight for later."""
        start, end = self._starts[day], self._starts[day + 1]
        events = day_events(
            self._population,
            devices=self._blocks[block],
            day=day,
            midnight=start,
            day_length=end - start,
            first_transaction=self._transaction,
            rng=np.random.default_rng([self._seed, 1, day, block]),
        )
        self._transaction = max(self._transaction, int(events.transaction.max(initial=0)) + 1)
        if block in self._after_midnight:
            events = events.join(self._after_midnight[block])
        today = events.dated < end
        self._after_midnight[block] = events.pick(np.flatnonzero(~today))
        return events.pick(np.flatnonzero(today))

    def _table(self, events: Events, table: _Table, on: date) -> Any:
        if table.kind:
            events = _on_time(events)
        return export.ga4_table(
            self._population,
            events,
            date=f"{on:%Y%m%d}",
            intraday=table.kind == "intraday_",
            lacks=table.lacks,
            user_values=self._user_values,
        )


def _on_time(events: Events) -> Events:
    """Leave out what is late: a provisional table does not have it yet."""
    return events.pick(np.flatnonzero(events.at == events.dated))


def _tables(day: int, days: int) -> list[_Table]:
    """Say which tables a day has: the newest one intraday only, the one before all three."""
    intraday = _Table("intraday_", export.INTRADAY_LACKS)
    if day == days - 1:
        return [intraday]
    if day == days - 2:
        return [_Table("", ()), intraday, _Table("fresh_", export.FRESH_LACKS)]
    return [_Table("", export.OLD_LACKS if day == 0 else ())]


def _writer(path: Path, schema: Any) -> Any:
    # No Arrow schema in the file: readers see texts, not the dictionaries they were built from.
    return pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)


def _midnight(day: date) -> int:
    """Return when *day* starts in the property's zone, in UTC microseconds."""
    local = datetime.combine(day, time(), ZONE)
    return (local - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
