"""GA4 export files → the export's tables, one Parquet file a table.

A call loads all of its files or changes nothing: each table is written beside its place in one
pass over the input, checked there, and all of them are renamed into place at the end.
"""

import glob
import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import duckdb
import sqlglot
from sqlglot import exp

from cdp.domain.days import ExportTable, Kind, parse_suffix, suffix_of
from cdp.domain.errors import InputError
from cdp.warehouse.dialect import PARSING
from cdp.warehouse.forgetting import forget_events
from cdp.warehouse.port import Erasure
from cdp.warehouse.sources import (
    Source,
    connect,
    digest,
    find_sources,
    first_line,
    literal,
    move,
    refuse_full_disk,
    sync,
    workplace,
)

_REQUIRED: Final = ("event_date", "event_timestamp", "event_name", "event_params", "user_pseudo_id")
_NEVER_NULL: Final = _REQUIRED[:3]
_TABLE: Final = re.compile(r"events_(?:([a-z]+)_)?(\d{8})(?!\d)")
_OTHER_TABLE: Final = re.compile(r"(?:pseudonymous_)?users_\d{8}")
# Readers share a file's row groups among their threads; a day has some 70,000 rows.
_ROW_GROUP: Final = 20_480


@dataclass(frozen=True, slots=True)
class Loaded:
    """One table that was loaded; `unknown` are columns and fields that were left out.

    So are `erased` rows: of who was erased.
    """

    name: str
    rows: int
    unchanged: bool
    unknown: tuple[str, ...] = ()
    erased: int = 0


@dataclass(frozen=True, slots=True)
class _Written:
    """A table that is checked and ready for its place; no file where the place holds it already."""

    suffix: str
    file: Path | None
    version: str
    rows: int
    unknown: tuple[str, ...]
    source: Path
    erased: int = 0


def export_files(raw: Path) -> list[tuple[ExportTable, Path]]:
    """Return the export's tables below the folder *raw*, with their files.

    Raises:
        InputError: a file there is damaged, or was not written by `load_ga4`.
    """
    files = sorted(raw.glob("events_*.parquet"))
    if not files:
        return []
    query = (
        "SELECT file_name, num_rows, decode(value) "
        "FROM parquet_file_metadata($files) JOIN parquet_kv_metadata($files) USING (file_name) "
        "WHERE decode(key) = 'cdp_version'"
    )
    with duckdb.connect() as db:
        try:
            rows = db.execute(
                query, {"files": [glob.escape(str(file)) for file in files]}
            ).fetchall()
        except duckdb.Error as error:
            raise InputError(
                f"{raw}: a table cannot be read ({first_line(error)}); load its day again"
            ) from None
    found = {Path(name): (count, version) for name, count, version in rows}
    tables = []
    for file in files:
        if file not in found:
            raise InputError(_not_loaded(file))
        count, version = found[file]
        tables.append((ExportTable(file.stem.removeprefix("events_"), version, count), file))
    return tables


def problems(raw: Path) -> list[str]:
    """Return what is wrong with the tables below the folder *raw*, each with its fix."""
    found = []
    with duckdb.connect() as db:
        for file in sorted(raw.glob("events_*.parquet")):
            query = "SELECT decode(key) FROM parquet_kv_metadata(?)"
            try:
                keys = {key for (key,) in db.execute(query, [glob.escape(str(file))]).fetchall()}
            except duckdb.Error as error:
                found.append(f"{file} is damaged ({first_line(error)}); load its day again")
                continue
            if "cdp_version" not in keys:
                found.append(_not_loaded(file))
    return found


def _not_loaded(file: Path) -> str:
    return f"{file}: not a table that was loaded; move it elsewhere and load it from there"


def load_ga4(
    raw: Path,
    paths: Sequence[Path],
    *,
    day: date | None = None,
    kind: Kind | None = None,
    erased: Erasure | None = None,
    memory_limit: str = "1GB",
    replace: bool = False,
    threads: int = 0,
    progress: Callable[[str], None] = lambda _: None,
    skipped: Callable[[Path], None] = lambda _: None,
) -> list[Loaded]:
    """Load GA4 export files below the folder *raw*; a day that is loaded again is replaced.

    Args:
        paths: files, or folders of files: Parquet, NDJSON (plain or .gz) or the console's JSON.
            Files of one day and kind in one call form that day's table together.
        day, kind: for files whose names do not tell; without *day*, each row's own date decides.
        erased: whose rows are left out.
        memory_limit: DuckDB spills to a folder below *raw* beyond it.
        replace: also where a table then has fewer rows than it had.
        threads: 0 for all cores.
        progress: told each table's name before it is written, from the thread that writes it.
        skipped: told each file of a folder that is left out.

    Raises:
        InputError: names file and line; nothing was changed.
    """
    groups: dict[str | None, list[Source]] = defaultdict(list)
    for source in find_sources(paths, ("parquet", "ndjson", "array"), skipped):
        groups[_suffix_of_file(source.path, day, kind)].append(source)
    ordered = sorted(groups.items(), key=lambda item: item[0] or "")
    threads = threads or os.cpu_count() or 1
    with workplace(raw) as scratch:
        held: dict[str, ExportTable] = {}
        with suppress(InputError):  # a damaged table is no reason not to load it again
            held = {table.suffix: table for table, _ in export_files(raw)}
        with (
            connect(scratch, memory_limit, threads, ordered=False) as db,
            # DuckDB writes one file with few threads; several files keep all of them busy.
            ThreadPoolExecutor(min(threads, len(ordered))) as pool,
        ):
            loads = [
                pool.submit(
                    _Group(
                        db.cursor(), scratch, str(number), sources, progress, erased=erased
                    ).write,
                    suffix,
                    kind,
                    held,
                )
                for number, (suffix, sources) in enumerate(ordered)
            ]
            try:
                written = [table for load in loads for table in load.result()]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        _refuse_twice(written)
        if not replace:
            _refuse_fewer(written, held)
        for table in written:
            if table.file is not None:
                move(table.file, raw / f"events_{table.suffix}.parquet")
        sync(raw)
    before = {suffix: table.version for suffix, table in held.items()}
    return [
        Loaded(f"events_{t.suffix}", t.rows, before.get(t.suffix) == t.version, t.unknown, t.erased)
        for t in written
    ]


@cache
def ga4_schema() -> Mapping[str, exp.DataType]:
    """Return the export's columns and types, as of July 2026."""
    with PARSING:
        table = sqlglot.parse_one(_schema_text(), dialect="bigquery").this
    return {column.name: column.args["kind"] for column in table.expressions}


def _schema_text() -> str:
    return resources.files("cdp.warehouse").joinpath("ga4_events.sql").read_text("utf-8")


@cache
def _duck_types() -> Mapping[str, str]:
    with PARSING:
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


def _refuse_twice(tables: Iterable[_Written]) -> None:
    """Raise where rows told one table and a file's name the same: one would replace the other."""
    seen: dict[str, Path] = {}
    for table in tables:
        other = seen.setdefault(table.suffix, table.source)
        if other != table.source:
            raise InputError(
                f"{other}: has rows of events_{table.suffix}, which {table.source} is named after; "
                "name both files after their tables, or neither"
            )


def _refuse_fewer(tables: Iterable[_Written], held: Mapping[str, ExportTable]) -> None:
    """Raise where a table would lose rows: one shard of several looks like a whole day."""
    fewer = [
        f"{table.source}: events_{table.suffix} would have {table.rows:,} rows, and has "
        f"{held[table.suffix].rows:,}"
        for table in tables
        if table.suffix in held and table.rows < held[table.suffix].rows
    ]
    if fewer:
        more = f" (and {len(fewer) - 1:,} more days)" if len(fewer) > 1 else ""
        raise InputError(
            f"{fewer[0]}{more}; load all files of a day in one command, or say --replace if it "
            "has fewer rows now"
        )


class _Group:
    """The sources of one table, or of several where the rows' dates decide."""

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        scratch: Path,
        name: str,
        sources: Sequence[Source],
        progress: Callable[[str], None],
        *,
        erased: Erasure | None,
    ) -> None:
        self._erased = erased
        self._db = db
        self._scratch = scratch
        self._name = name
        self._sources = sources
        self._progress = progress

    def write(
        self, suffix: str | None, kind: Kind | None, held: Mapping[str, ExportTable]
    ) -> list[_Written]:
        """Write the tables beside their places.

        Raises:
            InputError: names file and line.
        """
        unknown, selects = set[str](), []
        for source in self._sources:
            select, left_out = _select(self._db, source)
            selects.append(select)
            unknown |= left_out
        version = self._version(by_rows=suffix is None)
        left_out_of_all = tuple(sorted(unknown))
        first = self._sources[0].path
        if suffix is not None and suffix in held and held[suffix].version == version:
            # These very files were checked when they were loaded as this very table.
            self._progress(f"events_{suffix}")
            return [_Written(suffix, None, version, held[suffix].rows, left_out_of_all, first)]
        if suffix is not None:
            self._progress(f"events_{suffix}")
        staged = self._scratch / f"{self._name}.parquet"
        rows = self._stage(selects, staged, version)
        self._check(staged, None if suffix is None else parse_suffix(suffix)[1])
        gone = 0
        if self._erased:
            gone, _ = forget_events(self._db, staged, self._scratch, self._erased)
        if suffix is not None:
            return [_Written(suffix, staged, version, rows - gone, left_out_of_all, first, gone)]
        assert kind is not None
        tables = []
        for text in self._days(staged):
            target = suffix_of(kind, _day(text))
            self._progress(f"events_{target}")
            file = self._scratch / f"{self._name}.{text}.parquet"
            select = (
                f"SELECT * FROM {Source(staged, 'parquet').reader({})} WHERE event_date = '{text}'"
            )
            count = _copy(self._db, select, file, version)
            tables.append(_Written(target, file, version, count, left_out_of_all, first))
        return tables

    def _version(self, *, by_rows: bool) -> str:
        # With the schema, so that a newer one writes the columns that an older one left out.
        version = digest(source.path for source in self._sources)
        parts = [version, _schema_text(), "by rows" if by_rows else "by name"]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _stage(self, selects: Sequence[str], file: Path, version: str) -> int:
        try:
            return _copy(self._db, " UNION ALL ".join(selects), file, version)
        except duckdb.Error as error:
            refuse_full_disk(file.parents[1], error)
            for source, select in zip(self._sources, selects, strict=True):
                try:
                    _copy(self._db, select, file, version)
                except duckdb.Error as found:
                    raise _explained(source, found) from None
            raise _explained(self._sources[0], error) from None

    def _check(self, staged: Path, day: date | None) -> None:
        """Raise for the first row that is no event, or of another day than the name's."""
        null = " OR ".join(f"{name} IS NULL" for name in _NEVER_NULL)
        told = f"{day:%Y%m%d}" if day else None
        elsewhere = (
            f"event_date <> '{told}'" if told else "NOT regexp_full_match(event_date, '[0-9]{8}')"
        )
        if told is None:
            elsewhere += " OR try_strptime(event_date, '%Y%m%d') IS NULL"
        row = self._db.execute(
            f"SELECT count(*), count(*) FILTER ({null}), count(*) FILTER ({elsewhere}), "
            f"min(event_date) FILTER ({elsewhere}) FROM {Source(staged, 'parquet').reader({})}"
        ).fetchone()
        assert row is not None
        rows, incomplete, wrong, example = row
        if incomplete:
            where = self._where(lambda r: any(r.get(name) is None for name in _NEVER_NULL))
            raise InputError(
                f"{where}: a row without {' or '.join(_NEVER_NULL)} ({incomplete} of {rows} rows)"
            )
        if wrong and told:
            where = self._where(lambda r: str(r.get("event_date")) != told)
            raise InputError(
                f"{where}: a row of {example}, but the file is of {told} "
                f"({wrong} of {rows} rows); name the right day"
            )
        if wrong:
            where = self._where(lambda r: not _is_day(str(r.get("event_date"))))
            raise InputError(
                f"{where}: event_date is {example!r}; it takes a day such as 20210129 "
                f"({wrong} of {rows} rows)"
            )

    def _where(self, wrong: Callable[[Mapping[str, Any]], bool]) -> str:
        for source in self._sources:
            for place, record in source.records(_NEVER_NULL):
                if wrong(record):
                    return source.at(place)
        return str(self._sources[0].path)

    def _days(self, staged: Path) -> list[str]:
        rows = self._db.execute(
            f"SELECT DISTINCT event_date FROM {Source(staged, 'parquet').reader({})} ORDER BY 1"
        ).fetchall()
        return [row[0] for row in rows]


def _copy(db: duckdb.DuckDBPyConnection, select: str, file: Path, version: str) -> int:
    """Write the rows of *select* to *file* and return how many they are."""
    rows = db.execute(
        f"COPY ({select}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd, "
        f"ROW_GROUP_SIZE {_ROW_GROUP}, KV_METADATA {{cdp_version: '{version}'}})"
    ).fetchall()
    return int(rows[0][0])


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007


def _is_day(text: str) -> bool:
    try:
        return len(text) == 8 and text.isdigit() and bool(_day(text))
    except ValueError:
        return False


def _select(db: duckdb.DuckDBPyConnection, source: Source) -> tuple[str, set[str]]:
    """Return a SELECT of every column of the schema, and what of the file it leaves out.

    Raises:
        InputError: not readable, no rows, or another table than the export's events.
    """
    if source.format == "parquet":
        return _select_parquet(db, source)
    have, unknown, odd = set[str](), set[str](), False
    for held in _structures(db, source):
        have |= held.keys()
        for name, kind in held.items():
            shape = _shapes().get(name)
            unknown |= _unknown(shape, kind, name)
            odd = odd or (shape is not None and _is_odd(shape, kind))
    if not have:
        raise InputError(f"{source.path}: no rows in it")
    _refuse_missing(source, have, _NEVER_NULL)
    wrong = _first_misfit(source) if odd else None
    if wrong:
        raise wrong
    return f"SELECT * FROM {source.reader(_duck_types())}", unknown


def _structures(db: duckdb.DuckDBPyConnection, source: Source) -> Iterator[dict[str, Any]]:
    """Yield what the records of a JSON file look like, each look once: its types by name.

    Of every record: JSON leaves nulls out, and DuckDB's reader looks only at the first thousand.
    """
    try:
        looks = db.execute(f"SELECT DISTINCT json_structure(json) FROM {source.reader()}")
        while found := looks.fetchmany(1000):
            for (look,) in found:
                held = json.loads(look)
                if not isinstance(held, dict):
                    raise _first_misfit(source) or InputError(f"{source.path}: not JSON records")
                yield held
    except duckdb.Error as error:
        raise _explained(source, error) from None


def _select_parquet(db: duckdb.DuckDBPyConnection, source: Source) -> tuple[str, set[str]]:
    reader = source.reader({})
    try:
        relation = db.sql(f"SELECT * FROM {reader}")
        have = dict(zip(relation.columns, relation.types, strict=True))
        (rows,) = db.execute(f"SELECT count(*) FROM {reader}").fetchall()
    except duckdb.Error as error:
        raise InputError(
            f"{source.path}: not a whole Parquet file ({first_line(error)}); export it again"
        ) from None
    _refuse_missing(source, have.keys(), _REQUIRED)
    unknown, columns = set[str](), []
    for name, held in have.items():
        shape = _shapes().get(name)
        wrong = shape and _other_type(shape, held, name)
        if wrong:
            raise InputError(f"{source.path}: {wrong} (told by its schema, not by a line)")
        unknown |= _unknown_of_type(shape, held, name)
    if rows[0] == 0:
        raise InputError(f"{source.path}: no rows in it")
    for name, kind_text in _duck_types().items():
        columns.append(
            f"CAST({_quoted(name) if name in have else 'NULL'} AS {kind_text}) AS {_quoted(name)}"
        )
    return f"SELECT {', '.join(columns)} FROM {reader}", unknown


def _quoted(name: str) -> str:
    return f'"{name}"'


def _refuse_missing(source: Source, have: Iterable[str], required: Iterable[str]) -> None:
    names = set(have)
    missing = [name for name in required if name not in names]
    if missing:
        where = source.path if source.format == "parquet" else source.at(1)
        raise InputError(
            f"{where}: no column {', '.join(missing)}; this is not a GA4 events table"
            f" (it has {', '.join(sorted(names)[:8])}…)"
        )


def _explained(source: Source, error: duckdb.Error) -> InputError:
    """Return what *error* means, with the line, which DuckDB tells only roughly."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return InputError(
            f"{source.path}: {first_line(error)}; give it more memory, or fewer rows a file"
        )
    if source.format == "parquet":
        return InputError(
            f"{source.path}: cannot be loaded: {first_line(error)}; if the file is damaged, export "
            "it again (Parquet has no lines to name)"
        )
    return _first_misfit(source) or InputError(f"{source.path}: {first_line(error)}")


def _first_misfit(source: Source) -> InputError | None:
    """Return what is wrong with the first record of a JSON file that does not fit, or None."""
    try:
        for line, record in source.records():
            wrong = _misfit_of(record)
            if wrong:
                return InputError(f"{source.at(line)}: {wrong}")
    except InputError as reason:
        return reason
    return None


_INTEGERS: Final = frozenset(
    f"{sign}{name}" for sign in ("", "u") for name in ("tinyint", "smallint", "integer", "bigint")
)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A type of the schema: a list of `item`, a record of `fields`, or neither."""

    takes: str  # in words
    types: frozenset[str]  # DuckDB's, of Parquet columns that fit
    fits: Callable[[Any], bool]  # for a JSON value
    plain: frozenset[str] = frozenset()  # types of JSON values that DuckDB reads exactly or refuses
    item: "_Shape | None" = None
    fields: Mapping[str, "_Shape"] = field(default_factory=dict)


def _is_integer(value: Any) -> bool:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return False
    exact = isinstance(value, str) or number == value
    return exact and not isinstance(value, bool) and -(2**63) <= number < 2**63


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return not isinstance(value, bool)


_JSON_INTEGERS: Final = frozenset({"UBIGINT", "BIGINT", "HUGEINT"})
_YES_OR_NO: Final = frozenset({"true", "t", "yes", "y", "1", "false", "f", "no", "n", "0"})

_LEAVES: Final = {
    exp.DataType.Type.BIGINT: _Shape(
        "a whole number of 64 bits", _INTEGERS, _is_integer, _JSON_INTEGERS | {"VARCHAR"}
    ),
    exp.DataType.Type.DOUBLE: _Shape(
        "a number",
        _INTEGERS | {"double", "float", "decimal"},
        _is_number,
        _JSON_INTEGERS | {"DOUBLE", "VARCHAR"},
    ),
    exp.DataType.Type.BOOLEAN: _Shape(
        "true or false",
        frozenset({"boolean"}),
        lambda value: (
            isinstance(value, bool) or (isinstance(value, str) and value.lower() in _YES_OR_NO)
        ),
        frozenset({"BOOLEAN", "VARCHAR"}),
    ),
    exp.DataType.Type.TEXT: _Shape(
        "text",
        _INTEGERS | {"varchar", "boolean"},
        lambda value: not isinstance(value, list | dict),
        _JSON_INTEGERS | {"DOUBLE", "BOOLEAN", "VARCHAR"},
    ),
}


def _shape(kind: exp.DataType) -> _Shape:
    if kind.this is exp.DataType.Type.ARRAY:
        item = _shape(kind.expressions[0])
        return _Shape("a list", frozenset({"list"}), lambda v: isinstance(v, list), item=item)
    if kind.this is exp.DataType.Type.STRUCT:
        fields = {part.name: _shape(part.args["kind"]) for part in kind.expressions}
        takes = f"a record of {', '.join(fields)}"
        return _Shape(takes, frozenset({"struct"}), lambda v: isinstance(v, dict), fields=fields)
    return _LEAVES[kind.this]


@cache
def _shapes() -> Mapping[str, _Shape]:
    return {name: _shape(kind) for name, kind in ga4_schema().items()}


def _other_type(shape: _Shape, held: Any, path: str) -> str | None:
    """Return what is wrong with a Parquet column of DuckDB's type *held*, or None."""
    found = held.id.strip('"')
    if found == "null":  # a column of nulls only
        return None
    fits = found in shape.types
    below: Iterable[str | None] = ()
    if fits and shape.item:
        below = (_other_type(shape.item, held.children[0][1], path),)
    elif fits and shape.fields:
        known = {name: type_ for name, type_ in held.children if name in shape.fields}
        fits = bool(known)
        below = (_other_type(shape.fields[n], t, f"{path}.{n}") for n, t in known.items())
    if not fits:
        return f"{path} takes {shape.takes}, not {held!s:.80}"
    return next((wrong for wrong in below if wrong), None)


def _unknown_of_type(shape: _Shape | None, held: Any, path: str) -> set[str]:
    """Return the paths at and below a Parquet column that the schema does not know."""
    if shape is None:
        return {path}
    if held.id == "list":
        return _unknown_of_type(shape.item, held.children[0][1], path)
    if held.id != "struct":
        return set()
    below = (_unknown_of_type(shape.fields.get(n), t, f"{path}.{n}") for n, t in held.children)
    return set().union(*below)


def _unknown(shape: _Shape | None, held: Any, path: str) -> set[str]:
    """Return the paths at and below a JSON structure that the schema does not know."""
    if shape is None:
        return {path}
    if isinstance(held, list):
        return set().union(*(_unknown(shape.item, item, path) for item in held))
    if isinstance(held, dict):
        below = (_unknown(shape.fields.get(n), h, f"{path}.{n}") for n, h in held.items())
        return set().union(*below)
    return set()


def _is_odd(shape: _Shape, held: Any) -> bool:
    """Whether values of the JSON structure *held* may not fit: only they can tell."""
    if held == "NULL":
        return False
    if isinstance(held, list):
        return shape.item is None or any(_is_odd(shape.item, item) for item in held)
    if isinstance(held, dict):
        fields = shape.fields
        return not fields or any(_is_odd(fields[n], h) for n, h in held.items() if n in fields)
    return held not in shape.plain


def _misfit_of(record: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the first value of *record* that does not fit, or None."""
    shapes = _shapes()
    wrong = (_misfit(shapes[n], value, n) for n, value in record.items() if n in shapes)
    return next((text for text in wrong if text), None)


def _misfit(shape: _Shape, value: Any, path: str) -> str | None:
    """Return what is wrong with the JSON *value*, or None."""
    if value is None:
        return None
    if not shape.fits(value):
        return f"{path} takes {shape.takes}, not {value!r:.60}"
    below: Iterable[str | None] = ()
    if shape.item:
        item = shape.item
        below = (_misfit(item, one, path) for one in value)
    elif shape.fields:
        fields = shape.fields
        below = (_misfit(fields[n], v, f"{path}.{n}") for n, v in value.items() if n in fields)
    return next((wrong for wrong in below if wrong), None)
