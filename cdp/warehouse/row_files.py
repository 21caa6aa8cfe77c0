"""First-party links and consent decisions → the raw tables, one Parquet file a loaded file.

A file is kept under a name made from its content: loading it again changes nothing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from cdp.domain.errors import InputError
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.warehouse.sources import Source, digest, find_sources, first_line, literal, sync


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
_TIME_CHECK: Final = "try_cast({0} AS TIMESTAMPTZ) IS NOT NULL"

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
    },
}
"""The raw tables, with how each column is read; times without a zone are UTC."""


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """A file that was loaded; *unchanged* where the same content was there before."""

    path: Path
    rows: int
    unchanged: bool


def load_rows(raw: Path, table: str, paths: Sequence[Path]) -> list[LoadedRows]:
    """Load files into the raw table *table* below the folder *raw*.

    Raises:
        InputError: names file and line; nothing was changed.
    """
    folder = raw / table
    folder.mkdir(parents=True, exist_ok=True)
    columns = RAW_TABLES[table]
    written: list[tuple[Path, Path, LoadedRows]] = []
    try:
        for source in find_sources(paths, ("ndjson", "array", "csv")):
            place = folder / f"{digest([source.path])}.parquet"
            temporary = folder / f".{place.name}.{os.getpid()}.new"
            rows = _write(source, columns, temporary)
            written.append((temporary, place, LoadedRows(source.path, rows, place.exists())))
        for temporary, place, _ in written:
            temporary.replace(place)
        sync(folder)
    finally:
        for temporary, _, _ in written:
            temporary.unlink(missing_ok=True)
    return [loaded for _, _, loaded in written]


def _write(source: Source, columns: Mapping[str, Column], target: Path) -> int:
    have = set(source.first())
    missing = [c.input for c in columns.values() if c.default is None and c.input not in have]
    if missing:
        raise InputError(
            f"{source.path}, line 1: no column {', '.join(missing)}; these are read: "
            f"{', '.join(c.input for c in columns.values())}"
        )
    spelled = {name: _spelled(column, column.input in have) for name, column in columns.items()}
    reader = source.reader({column.input: "VARCHAR" for column in columns.values()})
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as db:
        db.execute("SET TimeZone = 'UTC'")
        wrong = ", ".join(
            f"count(*) FILTER (NOT coalesce({column.check.format(spelled[name])}, false))"
            for name, column in columns.items()
        )
        try:
            counts = db.execute(f"SELECT count(*), {wrong} FROM {reader}").fetchone()
        except duckdb.Error as error:
            raise _explained(source, error) from None
        assert counts is not None
        for (name, column), count in zip(columns.items(), counts[1:], strict=True):
            if count:
                line, value = _first_wrong(db, source, column, spelled[name])
                raise InputError(
                    f"{source.path}, line {line}: {column.input} is {value!r:.80}; it takes "
                    f"{column.accepts} ({count} of {counts[0]} rows)"
                )
        values = ", ".join(
            f"CAST({spelled[name]} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS {name}"
            if column.kind == "TIMESTAMP"
            else f"{spelled[name]} AS {name}"
            for name, column in columns.items()
        )
        db.execute(
            f"COPY (SELECT {values} FROM {reader}) TO {literal(str(target))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
    target.chmod(0o600)
    sync(target)
    return int(counts[0])


def _spelled(column: Column, given: bool) -> str:
    """Return DuckDB SQL for the column's text, its default where the input has none."""
    text = f'trim(CAST("{column.input}" AS VARCHAR))'
    if column.default is None:
        return text
    return f"coalesce(nullif({text}, ''), '{column.default}')" if given else f"'{column.default}'"


def _first_wrong(
    db: duckdb.DuckDBPyConnection, source: Source, column: Column, spelled: str
) -> tuple[int, str | None]:
    """Return line and value of the first record whose *column* is wrong."""
    check = column.check.format(spelled)
    for line, record in source.records():
        value = record.get(column.input)
        right = db.execute(
            f'SELECT coalesce({check}, false) FROM (SELECT ?::VARCHAR AS "{column.input}")',
            [None if value is None else str(value)],
        ).fetchone()
        if right == (False,):
            return line, value
    return 1, None


def _explained(source: Source, error: duckdb.Error) -> InputError:
    try:
        for _ in source.records():
            pass
    except InputError as reason:
        return reason
    except (OSError, EOFError, UnicodeDecodeError) as reason:
        return InputError(f"{source.path}: cannot be read to its end: {reason}")
    return InputError(f"{source.path}: {first_line(error)}")
