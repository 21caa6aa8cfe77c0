"""First-party links and consent decisions → the raw tables, one Parquet file a loaded file.

A file is kept under a name made from its content: loading it again changes nothing.
"""

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import duckdb

from cdp.domain.errors import InputError
from cdp.domain.identifiers import Speller
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.warehouse.forgetting import forget_told
from cdp.warehouse.port import Erasure
from cdp.warehouse.sources import (
    Source,
    connect,
    digest,
    find_sources,
    first_line,
    literal,
    move,
    sync,
    workplace,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a raw table: the input's name, DuckDB's type, and what a wrong value is told."""

    input: str
    kind: str
    accepts: str
    check: str  # true where the value, spelled {0}, is right
    default: str | None = None


_TYPES: Final = ", ".join(f"'{name}'" for name in IDENTIFIER_TYPES)
_TYPE: Final = f"one of {', '.join(IDENTIFIER_TYPES)}"
_TEXT: Final = "length({0}) BETWEEN 1 AND 1024"
_TIME: Final = "an ISO 8601 time such as 2026-10-31T08:00:00Z"
# The cast alone would take 'epoch', 'infinity', the year 0 and the names of time zones.
_TIME_SHAPE: Final = (
    r"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}"
    r"([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{1,9}})?)?"
    r"(Z| ?UTC|[+-][0-9]{{2}}(:?[0-9]{{2}})?)?)?"
)
_TIME_CHECK: Final = (
    f"regexp_full_match({{0}}, '{_TIME_SHAPE}') AND {{0}} >= '0001' "
    "AND try_cast({0} AS TIMESTAMPTZ) IS NOT NULL"
)
_TOLERANCE: Final = timedelta(minutes=5)  # clocks differ

RAW_TABLES: Final[Mapping[str, Mapping[str, Column]]] = {
    "raw_link": {
        "a_type": Column("a_type", "VARCHAR", _TYPE, f"{{0}} IN ({_TYPES})"),
        "a_value": Column("a_value", "VARCHAR", "text of 1 to 1024 characters", _TEXT),
        "b_type": Column("b_type", "VARCHAR", _TYPE, f"{{0}} IN ({_TYPES})"),
        "b_value": Column("b_value", "VARCHAR", "text of 1 to 1024 characters", _TEXT),
        "seen_at": Column("at", "TIMESTAMP", _TIME, _TIME_CHECK),
        "source": Column("source", "VARCHAR", "text of 1 to 1024 characters", _TEXT),
        "consent": Column(
            "consent",
            "VARCHAR",
            "granted, denied or unknown",
            "{0} IN ('granted', 'denied', 'unknown')",
            default="unknown",
        ),
    },
    "raw_decision": {
        "type": Column("type", "VARCHAR", _TYPE, f"{{0}} IN ({_TYPES})"),
        "value": Column("value", "VARCHAR", "text of 1 to 1024 characters", _TEXT),
        "purpose": Column("purpose", "VARCHAR", "text of 1 to 1024 characters", _TEXT),
        "state": Column("state", "VARCHAR", "granted or denied", "{0} IN ('granted', 'denied')"),
        "decided_at": Column("at", "TIMESTAMP", _TIME, _TIME_CHECK),
        "source": Column("source", "VARCHAR", "text of 1 to 1024 characters", _TEXT),
        "notice": Column(
            "notice",
            "VARCHAR",
            "text of at most 1024 characters",
            "length({0}) <= 1024",
            default="",
        ),
    },
}
"""The raw tables, with how each column is read; times without a zone are UTC."""


TOLD_BESIDE: Final[Mapping[str, str]] = {
    "date_only": "BOOLEAN",  # of raw_decision: when it was decided is told without a time
    "name": "VARCHAR",  # of the file
    "line": "BIGINT",  # in it, from 1
    "loaded_at": "TIMESTAMP",
    "loaded_by": "VARCHAR",
}
"""Columns that the raw tables have besides; files of an earlier release lack them."""


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """A file that was loaded; *unchanged* where the same content was there before."""

    path: Path
    rows: int
    unchanged: bool
    stored: str  # the name of its file in the raw table, made from its content
    erased: int = 0  # rows of who was erased, which were left out


def load_rows(
    raw: Path,
    table: str,
    paths: Sequence[Path],
    *,
    purposes: Sequence[str] | None = None,
    erased: Erasure | None = None,
    speller: Speller | None = None,
    by: str = "",
    now: datetime | None = None,
    memory_limit: str = "1GB",
    threads: int = 0,
    skipped: Callable[[Path], None] = lambda _: None,
) -> list[LoadedRows]:
    """Load files into the raw table *table* below the folder *raw*.

    Args:
        paths: files, or folders of files: NDJSON, a JSON list or CSV; each plain or .gz.
        purposes: the policy's, of which decisions are; any where it is None.
        erased, speller: whose rows are left out, and how they are spelled to tell.
        by: the account that loads.
        now: aware; a row of a later time is refused. The clock's where it is None.
        memory_limit: DuckDB spills to a folder below *raw* beyond it.
        threads: 0 for all cores.
        skipped: told each file of a folder that is left out.

    Raises:
        InputError: names file and line; nothing was changed.
    """
    folder = raw / table
    columns = RAW_TABLES[table]
    now = now or datetime.now(UTC)
    rules = _rules(columns, purposes, now)
    sources = find_sources(paths, ("ndjson", "array", "csv"), skipped)
    told: list[LoadedRows] = []
    written: set[Path] = set()
    with workplace(folder) as scratch:
        # In order: a wrong row's number is its place in the file.
        with connect(scratch, memory_limit, threads, ordered=True) as db:
            for source in sources:
                name = f"{digest([source.path])}.parquet"
                # The same content twice in one call is one file, as it is in two calls.
                unchanged = (folder / name).exists() or scratch / name in written
                beside = _beside(source, table, now, by)
                rows = _write(db, source, columns, beside, rules, target=scratch / name)
                if not unchanged:  # what was told first stays: when, and by whom
                    written.add(scratch / name)
                gone = forget_told(db, table, scratch / name, erased, speller)
                told.append(LoadedRows(source.path, rows - gone, unchanged, name, gone))
        for file in sorted(written):
            move(file, folder / file.name)
        sync(folder)
    return told


def _beside(source: Source, table: str, now: datetime, by: str) -> dict[str, str]:
    """Return DuckDB SQL for the columns besides, over the rows in the order of the file."""
    moment = literal(now.astimezone(UTC).replace(tzinfo=None).isoformat())
    first = 2 if source.format == "csv" else 1
    beside = {
        "name": literal(source.path.name),
        "line": f"row_number() OVER () + {first - 1}",
        "loaded_at": f"TIMESTAMP {moment}",
        "loaded_by": literal(by),
    }
    if table == "raw_decision":
        beside["date_only"] = 'length(trim("at")) = 10'
    return beside


def _rules(
    columns: Mapping[str, Column], purposes: Sequence[str] | None, now: datetime
) -> list[tuple[str, Column]]:
    """Return what must be right of each column, in the order in which it is told."""
    rules = list(columns.items())
    if purposes is not None and "purpose" in columns:
        names = ", ".join(literal(name) for name in purposes)
        accepts = f"one of the policy's purposes: {', '.join(purposes)}"
        known = replace(columns["purpose"], accepts=accepts, check=f"{{0}} IN ({names})")
        rules.append(("purpose", known))
    latest = literal((now + _TOLERANCE).isoformat())
    accepts = (
        f"no time after now ({now.astimezone(UTC):%Y-%m-%dT%H:%MZ}): what has not happened yet "
        "would stand above all that does"
    )
    for name, column in columns.items():
        if column.kind == "TIMESTAMP":
            past = f"try_cast({{0}} AS TIMESTAMPTZ) <= TIMESTAMPTZ {latest}"
            rules.append((name, replace(column, accepts=accepts, check=past)))
    return rules


def problems(raw: Path) -> list[str]:
    """Return what is wrong with the files of the raw tables below *raw*, each with its fix."""
    found = []
    with duckdb.connect() as db:
        for file in sorted(raw.glob("raw_*/*.parquet")):
            try:
                db.execute("SELECT * FROM parquet_file_metadata(?)", [glob.escape(str(file))])
            except duckdb.Error as error:
                found.append(
                    f"{file} is damaged ({first_line(error)}); move it away, and load the file "
                    "that it was made from again"
                )
    return found


def _write(
    db: duckdb.DuckDBPyConnection,
    source: Source,
    columns: Mapping[str, Column],
    beside: Mapping[str, str],
    rules: Sequence[tuple[str, Column]],
    *,
    target: Path,
) -> int:
    """Write the rows of *source* to *target* and return how many they are."""
    reader = _reader(source, columns)
    texts = {name: _text(column) for name, column in columns.items()}
    rights = [f"coalesce({rule.check.format(texts[name])}, false)" for name, rule in rules]
    counted = ", ".join(f"count(*) FILTER (NOT {right})" for right in rights)
    try:
        counts = db.execute(f"SELECT count(*), {counted} FROM ({reader})").fetchone()
    except duckdb.Error as error:
        raise _explained(source, error) from None
    assert counts is not None
    rows, *wrong = counts
    if rows == 0:
        raise InputError(f"{source.path}: no rows in it")
    for (_, rule), right, count in zip(rules, rights, wrong, strict=True):
        if count:
            where, value = _first_wrong(db, source, reader, rule, right)
            shown = "missing" if value is None else repr(value)[:80]
            raise InputError(
                f"{where}: {rule.input} is {shown}; it takes {rule.accepts} "
                f"({count} of {rows} rows)"
            )
    values = ", ".join(
        f"CAST({texts[name]} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS {name}"
        if column.kind == "TIMESTAMP"
        else f"{texts[name]} AS {name}"
        for name, column in columns.items()
    )
    values += "".join(f", {text} AS {name}" for name, text in beside.items())
    db.execute(
        f"COPY (SELECT {values} FROM ({reader})) TO {literal(str(target))} "
        "(FORMAT parquet, COMPRESSION zstd)"
    )
    return int(rows)


def _reader(source: Source, columns: Mapping[str, Column]) -> str:
    """Return a SELECT of every input column as text, null where the file has none.

    Raises:
        InputError: a column is missing, or the file cannot be read.
    """
    inputs = [column.input for column in columns.values()]
    if source.format == "csv":
        have = source.header()
        read = dict.fromkeys(have, "VARCHAR")
        # An empty value and none are the same in CSV.
        texts = [f'"{name}"' if name in have else "NULL" for name in inputs]
    else:
        # Records leave out what they do not know: any may lack an optional column.
        _, record = next(source.records(), (1, dict.fromkeys(inputs)))
        have = [
            *record,
            *(column.input for column in columns.values() if column.default is not None),
        ]
        read = dict.fromkeys(inputs, "JSON")
        # A list or a record is no value; as no text is that long, every check refuses it.
        texts = [
            f"CASE WHEN json_type(\"{name}\") IN ('OBJECT', 'ARRAY') "
            f"THEN \"{name}\"::VARCHAR || repeat(' ', 1100) || '.' "
            f"ELSE \"{name}\" ->> '$' END"
            for name in inputs
        ]
    missing = [c.input for c in columns.values() if c.default is None and c.input not in have]
    if missing:
        raise InputError(
            f"{source.at(1)}: no column {', '.join(missing)}; these are read: {', '.join(inputs)}"
        )
    named = ", ".join(f'{text} AS "{name}"' for text, name in zip(texts, inputs, strict=True))
    return f"SELECT {named} FROM {source.reader(read)}"


def _text(column: Column) -> str:
    """Return DuckDB SQL for the column's text, its default where the input has none."""
    text = f'trim("{column.input}")'
    if column.default is None:
        return text
    return f"coalesce(nullif({text}, ''), '{column.default}')"


def _first_wrong(
    db: duckdb.DuckDBPyConnection, source: Source, reader: str, column: Column, right: str
) -> tuple[str, Any]:
    """Return file and line, and the value, of the first record whose *column* is wrong."""
    found = db.execute(
        f"SELECT place FROM (SELECT *, row_number() OVER () AS place FROM ({reader})) "
        f"WHERE NOT {right} ORDER BY place LIMIT 1"
    ).fetchone()
    assert found is not None
    line, record = next(islice(source.records(), found[0] - 1, None))
    return source.at(line), record.get(column.input)


def _explained(source: Source, error: duckdb.Error) -> InputError:
    try:
        for _ in source.records():
            pass
    except InputError as reason:
        return reason
    hint = "; all lines must end alike" if source.format == "csv" else ""
    return InputError(f"{source.path}: cannot be read: {first_line(error)}{hint}")
