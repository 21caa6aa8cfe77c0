"""GA4 export files → the export's tables, one Parquet file a table.

Everything is checked before anything is kept: a call either loads all of its files or changes
nothing. A table is written beside its place and renamed into it.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import duckdb
import sqlglot
from sqlglot import exp

from cdp.domain.days import ExportTable, Kind, parse_suffix, suffix_of
from cdp.domain.errors import InputError
from cdp.warehouse.sources import Source, digest, find_sources, first_line, sync

_REQUIRED: Final = ("event_date", "event_timestamp", "event_name", "event_params", "user_pseudo_id")
_TABLE: Final = re.compile(r"events_(?:([a-z]+)_)?(\d{8})(?!\d)")
_OTHER_TABLE: Final = re.compile(r"(?:pseudonymous_)?users_\d{8}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """One table or file that was loaded; `unknown` are columns that were left out."""

    name: str
    rows: int
    unchanged: bool
    unknown: tuple[str, ...] = ()


def export_files(raw: Path) -> list[tuple[ExportTable, Path]]:
    """Return the export's tables below the folder *raw*, with their files."""
    found = []
    for file in sorted(raw.glob("events_*.parquet")):
        with duckdb.connect() as db:
            rows = db.execute(
                "SELECT decode(key), decode(value) FROM parquet_kv_metadata(?) "
                "WHERE decode(key) IN ('cdp_version', 'cdp_rows')",
                [str(file)],
            ).fetchall()
        told = dict(rows)
        suffix = file.stem.removeprefix("events_")
        found.append((ExportTable(suffix, told["cdp_version"], int(told["cdp_rows"])), file))
    return found


def load_ga4(
    raw: Path,
    paths: Sequence[Path],
    *,
    day: date | None = None,
    kind: Kind | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Loaded]:
    """Load GA4 export files below the folder *raw*; a day that is loaded again is replaced.

    Args:
        paths: files, or folders of files: Parquet, NDJSON (plain or .gz) or the console's JSON.
            Files of one day and kind in one call form that day's table together.
        day, kind: for files whose names do not tell; without *day*, each row's own date decides.
        progress: told each table's name before it is written.

    Raises:
        InputError: names file and line; nothing was changed.
    """
    groups: dict[str | None, list[Source]] = defaultdict(list)
    for source in find_sources(paths, ("parquet", "ndjson", "array")):
        groups[_suffix_of_file(source.path, day, kind)].append(source)
    raw.mkdir(parents=True, exist_ok=True)
    written: list[tuple[Path, Path, Loaded]] = []
    try:
        for suffix, sources in sorted(groups.items(), key=lambda item: item[0] or ""):
            written += _write_days(raw, suffix, kind, sources, progress)
        for temporary, place, _ in written:
            temporary.replace(place)
        sync(raw)
    finally:
        for temporary, _, _ in written:
            temporary.unlink(missing_ok=True)
    return [loaded for _, _, loaded in written]


@cache
def ga4_schema() -> Mapping[str, exp.DataType]:
    """Return the export's columns and types, as of July 2026."""
    text = resources.files("cdp.warehouse").joinpath("ga4_events.sql").read_text("utf-8")
    tree = sqlglot.parse_one(text, dialect="bigquery")
    return {column.name: column.args["kind"] for column in tree.find_all(exp.ColumnDef)}


def _duck_types() -> dict[str, str]:
    return {name: kind.sql("duckdb") for name, kind in ga4_schema().items()}


def _suffix_of_file(path: Path, day: date | None, kind: Kind | None) -> str | None:
    """Return the table's suffix, or None where each row's own date decides."""
    match = _TABLE.match(path.name)
    if match is None:
        if _OTHER_TABLE.match(path.name):
            raise InputError(
                f"{path}: a table of users, not of events; load events_YYYYMMDD, "
                "events_intraday_YYYYMMDD or events_fresh_YYYYMMDD"
            )
        if kind is None:
            raise InputError(
                f"{path}: the name does not tell the table; rename it to events_YYYYMMDD…, or say "
                "--kind daily|intraday|fresh and, unless its rows tell, --day YYYY-MM-DD"
            )
        return suffix_of(kind, day) if day else None
    if match[1] not in (None, "intraday", "fresh"):
        raise InputError(
            f"{path}: unknown kind of table {match[1]!r}; known are events_YYYYMMDD, "
            "events_intraday_YYYYMMDD and events_fresh_YYYYMMDD"
        )
    try:
        told_kind, told_day = parse_suffix("_".join(part for part in match.groups() if part))
    except ValueError:
        raise InputError(f"{path}: {match[2]} is not a date; the name ends in YYYYMMDD") from None
    return suffix_of(kind or told_kind, day or told_day)


def _write_days(
    raw: Path,
    suffix: str | None,
    kind: Kind | None,
    sources: Sequence[Source],
    progress: Callable[[str], None],
) -> list[tuple[Path, Path, Loaded]]:
    """Write the tables of *sources* beside their places; return (temporary, place, loaded)."""
    types = _duck_types()
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as db:
        selects, unknown = [], set[str]()
        for source in sources:
            have = _columns(db, source, types)
            unknown |= have - types.keys()
            selects.append(_typed_select(source, have, types))
        if suffix is None:
            assert kind is not None
            days = [row[0] for row in _days_of(db, sources, selects)]
            targets = [(suffix_of(kind, parsed), f"{parsed:%Y%m%d}") for parsed in days]
        else:
            targets = [(suffix, suffix[-8:])]
        for source, select in zip(sources, selects, strict=True):
            _check_rows(db, source, select, None if suffix is None else suffix[-8:])
        version = digest(source.path for source in sources)
        written = []
        for target, day_text in targets:
            progress(f"events_{target}")
            place = raw / f"events_{target}.parquet"
            temporary = raw / f".events_{target}.{os.getpid()}.new"
            union = " UNION ALL ".join(
                f"(SELECT * FROM ({select}) WHERE event_date = '{day_text}')" for select in selects
            )
            rows = db.execute(f"SELECT count(*) FROM ({union})").fetchone()
            assert rows is not None
            name = exp.Literal.string(str(temporary)).sql("duckdb")
            db.execute(
                f"COPY ({union}) TO {name} (FORMAT parquet, COMPRESSION zstd, "
                f"KV_METADATA {{cdp_version: '{version}', cdp_rows: '{rows[0]}'}})"
            )
            sync(temporary)
            before = {table.suffix: table.version for table, _ in export_files(raw)}
            loaded = Loaded(
                f"events_{target}", rows[0], before.get(target) == version, tuple(sorted(unknown))
            )
            written.append((temporary, place, loaded))
    return written


def _columns(db: duckdb.DuckDBPyConnection, source: Source, types: Mapping[str, str]) -> set[str]:
    """Return the columns of *source*; its required ones are there.

    Raises:
        InputError: not readable, empty, or another table than the export's events.
    """
    if source.format != "parquet":
        have = set(source.first())
    else:
        try:
            rows = db.execute(f"DESCRIBE SELECT * FROM {source.reader(types)}").fetchall()
        except duckdb.Error as error:
            raise InputError(
                f"{source.path}: not a whole Parquet file ({first_line(error)}); export it again"
            ) from None
        have = {row[0] for row in rows}
    # NDJSON leaves nulls out, so that its first row need not show every column.
    required = _REQUIRED if source.format == "parquet" else _REQUIRED[:3]
    missing = [name for name in required if name not in have]
    if missing:
        raise InputError(
            f"{source.path}, line 1: no column {', '.join(missing)}; this is not a GA4 events table"
            f" (it has {', '.join(sorted(have)[:8])}…)"
        )
    return have


def _typed_select(source: Source, have: set[str], types: Mapping[str, str]) -> str:
    """Return a SELECT of every column of the schema; those the file lacks are null."""
    if source.format != "parquet":
        return f"SELECT * FROM {source.reader(types)}"
    columns = ", ".join(
        f'CAST({chr(34) + name + chr(34) if name in have else "NULL"} AS {kind}) AS "{name}"'
        for name, kind in types.items()
    )
    return f"SELECT {columns} FROM {source.reader(types)}"


def _days_of(
    db: duckdb.DuckDBPyConnection, sources: Sequence[Source], selects: Sequence[str]
) -> list[tuple[date]]:
    union = " UNION ALL ".join(f"SELECT event_date FROM ({select})" for select in selects)
    try:
        return db.execute(
            "SELECT DISTINCT strptime(event_date, '%Y%m%d')::date AS day "
            f"FROM ({union}) WHERE event_date IS NOT NULL ORDER BY day"
        ).fetchall()
    except duckdb.Error as error:
        raise _explained(sources[0], error) from None


def _check_rows(
    db: duckdb.DuckDBPyConnection, source: Source, select: str, day: str | None
) -> None:
    """Raise for the first row that is no event, or of another day than the name's."""
    other = "false" if day is None else f"event_date <> '{day}'"
    try:
        row = db.execute(
            "SELECT count(*), count(*) FILTER (event_date IS NULL OR event_timestamp IS NULL "
            f"OR event_name IS NULL), count(*) FILTER ({other}), min(event_date) FILTER ({other}) "
            f"FROM ({select})"
        ).fetchone()
    except duckdb.Error as error:
        raise _explained(source, error) from None
    assert row is not None
    rows, incomplete, elsewhere, example = row
    if rows == 0:
        raise InputError(f"{source.path}: no rows in it")
    if incomplete:
        line = source.line_where(lambda r: any(r.get(name) is None for name in _REQUIRED[:3]))
        raise InputError(
            f"{source.path}, line {line}: a row without event_date, event_timestamp or event_name "
            f"({incomplete} of {rows} rows)"
        )
    if elsewhere:
        line = source.line_where(lambda r: str(r.get("event_date")) != day)
        raise InputError(
            f"{source.path}, line {line}: a row of {example}, but the file is of {day} "
            f"({elsewhere} of {rows} rows); name the right day"
        )


def _explained(source: Source, error: duckdb.Error) -> InputError:
    """Return what *error* means, with the line, which DuckDB tells only roughly."""
    if source.format == "parquet":
        return InputError(
            f"{source.path}: a column has another type than the export's, or the file is damaged: "
            f"{first_line(error)}"
        )
    try:
        for line, record in source.records():
            for name, kind in ga4_schema().items():
                wrong = _misfit(kind, record.get(name), name)
                if wrong:
                    return InputError(f"{source.path}, line {line}: {wrong}")
    except InputError as reason:
        return reason
    except (OSError, EOFError, UnicodeDecodeError) as reason:
        return InputError(f"{source.path}: cannot be read to its end: {reason}")
    return InputError(f"{source.path}: {first_line(error)}")


def _misfit(kind: exp.DataType, value: Any, path: str) -> str | None:
    """Return what is wrong with *value* as *kind*, or None."""
    takes = "text"
    fits = not isinstance(value, list | dict)
    below: Iterable[str | None] = ()
    if kind.this is exp.DataType.Type.ARRAY:
        takes, fits = "a list", isinstance(value, list)
        below = (_misfit(kind.expressions[0], item, path) for item in value or ())
    elif kind.this is exp.DataType.Type.STRUCT:
        takes, fits = "a record", isinstance(value, dict)
        below = (
            _misfit(field.args["kind"], value.get(field.name), f"{path}.{field.name}")
            for field in kind.expressions
        )
    elif kind.is_type("bigint", "double"):
        takes, fits = "a number", _is_number(value)
    elif kind.is_type("boolean"):
        takes, fits = "true or false", str(value).lower() in {"true", "false"}
    if value is None:
        return None
    if not fits:
        return f"{path} takes {takes}, not {value!r:.60}"
    return next((wrong for wrong in below if wrong), None)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
