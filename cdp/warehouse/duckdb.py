"""The embedded warehouse: one DuckDB file, and the export as Parquet files beside it.

One process writes `warehouse.duckdb`; every published state is a read-only copy that readers open.
"""

import glob
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypedDict

import duckdb
import polars as pl

from cdp.domain.days import ExportTable
from cdp.domain.errors import CdpError, disk_full, tells_full_disk, unusable
from cdp.warehouse.dialect import Translated, bind, parameter_types, translate
from cdp.warehouse.forgetting import forget, forget_demo
from cdp.warehouse.ga4_files import export_files
from cdp.warehouse.port import Erasure, Job, Shape, StatementError, Value, WarehouseBusy
from cdp.warehouse.row_files import RAW_TABLES, TOLD_BESIDE
from cdp.warehouse.sources import first_line, literal, move, sync
from cdp.warehouse.statements import erasing, made

_CLOSING_SECONDS: Final = 5
WORK: Final = "warehouse.duckdb"
PUBLISHED: Final = "published.duckdb"


class Resources(TypedDict):
    """Memory such as `1GB`, beyond which DuckDB spills; 0 threads is all cores."""

    memory_limit: str
    threads: int


class DuckWarehouse:
    """The warehouse below the folder *home*; see the port for what its methods promise.

    Args:
        home: `CDP_HOME`; the export's files are in its folder `raw`.
        memory_limit: such as `1GB`; DuckDB spills to `home/spill` beyond it.
        threads: 0 for all cores.
        published: read the state that the last settled run published; nothing can be written.
    """

    def __init__(
        self, home: Path, *, memory_limit: str, threads: int, published: bool = False
    ) -> None:
        self._home = home
        self._resources: Resources = {"memory_limit": memory_limit, "threads": threads}
        self._connect = partial(_connect, home, memory_limit, threads, published=published)
        self._connected = partial(_connect_to, home=home, **self._resources)
        self._opened: duckdb.DuckDBPyConnection | None = self._connect() if published else None
        # A connection serves one statement at a time, which uses all threads by itself.
        self._lock = threading.RLock()

    @property
    def _db(self) -> duckdb.DuckDBPyConnection:
        """The connection. A writer's is made on first use: who meets the lease needs none."""
        with self._lock:
            if self._opened is None:
                self._opened = _patiently(self._connect)
            return self._opened

    def run(self, sql: str, parameters: Mapping[str, Value]) -> Job:
        with self._lock:
            return self._run(sql, parameters)

    def _run(self, sql: str, parameters: Mapping[str, Value]) -> Job:
        affected = 0
        began = False
        try:
            for statement in translate(sql, parameter_types(parameters)):
                rows = self._execute(statement, parameters).fetchall()
                began = began or statement.kind == "begin"
                if statement.kind in {"insert", "update", "delete", "merge"} and rows:
                    affected += int(rows[0][0])
        except BaseException:
            if began:
                # The statement's own error is the one to tell; there may be no transaction left.
                with suppress(duckdb.Error):
                    self._db.execute("ROLLBACK")
            raise
        return Job(affected)

    def query(self, sql: str, parameters: Mapping[str, Value]) -> pl.DataFrame:
        statement = _one(sql, parameters)
        with self._lock:
            cursor = self._execute(statement, parameters)
            names = [column[0] for column in cursor.description or ()]
            rows = cursor.fetchall()
        return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)

    def shapes(self) -> dict[str, Shape]:
        sql = (
            "SELECT table_name, list(column_name || ' ' || data_type ORDER BY column_index) "
            "FROM duckdb_columns() JOIN duckdb_tables() USING (table_oid, table_name) "
            "WHERE duckdb_tables.database_name = current_database() GROUP BY table_name"
        )
        with self._lock:
            rows = self._db.execute(sql).fetchall()
        return {name: Shape(tuple(map(_declared, columns)), None) for name, columns in rows}

    def drop(self, tables: Sequence[str]) -> None:
        with self._lock:
            for name in tables:
                self._db.execute(f'DROP TABLE IF EXISTS "{name}"')

    def export(self, sql: str, parameters: Mapping[str, Value], file: Path) -> int:
        """Write the rows of one SELECT to *file* as NDJSON and return how many they are."""
        statement = _one(sql, parameters)
        copy = f"COPY ({statement.sql}) TO {literal(str(file))} (FORMAT json)"
        exporting = Translated(copy, statement.parameters, "copy")
        with self._lock:
            return int(self._execute(exporting, parameters).fetchall()[0][0])

    def export_tables(self) -> list[ExportTable]:
        return [table for table, _ in export_files(self._home / "raw")]

    def show_export(self, suffixes: Sequence[str]) -> None:
        files = {table.suffix: str(file) for table, file in export_files(self._home / "raw")}
        missing = [suffix for suffix in suffixes if suffix not in files]
        if missing or not suffixes:
            raise StatementError(
                f"no table of the export ends in {', '.join(missing) or 'nothing'}; refresh again"
            )
        with self._lock, _in_words(self._home):
            self._db.execute(
                "CREATE OR REPLACE TEMP VIEW export_event AS "
                "SELECT *, regexp_extract(filename, 'events_((?:[a-z]+_)?\\d{8})\\.parquet$', 1) "
                f"AS table_suffix FROM {_parquet([files[suffix] for suffix in suffixes])}"
            )

    def loaded_versions(self) -> list[str]:
        raw = self._home / "raw"
        return sorted(
            f"{t}/{file.name}" for t in RAW_TABLES for file in (raw / t).glob("*.parquet")
        )

    def stop(self, run_id: str) -> None:
        """Nothing is left at work: statements end with the one process that may write."""
        del run_id

    def publish(self, run_id: str) -> None:
        target = self._home / PUBLISHED
        copy = target.with_suffix(".new")
        with self._lock, _in_words(self._home):
            self._db.execute("CREATE OR REPLACE TABLE publication AS SELECT ? AS run_id", [run_id])
            self._db.execute("CHECKPOINT")
            try:
                _copy(self._home / WORK, copy)
                copy.replace(target)
            finally:
                copy.unlink(missing_ok=True)

    def published_run(self) -> str | None:
        try:
            with duckdb.connect(str(self._home / PUBLISHED), read_only=True) as db:
                found = db.execute("SELECT run_id FROM publication").fetchone()
        except duckdb.Error:  # there is none, or none that can be read: publish it again
            return None
        return str(found[0]) if found else None

    def erase(self, erasure: Erasure) -> dict[str, int]:
        counts = forget(self._home / "raw", erasure, **self._resources)
        if demo := forget_demo(self._home / "demo", erasure, **self._resources):
            counts["demo"] = demo
        with self._lock:
            for script, tables in erasing():
                if tables - self._names():  # a run that died: the next one makes them all anew
                    self.drop(sorted(tables & self._names() & made().keys()))
                else:
                    counts["warehouse"] = (
                        counts.get("warehouse", 0) + self.run(script, erasure.parameters).affected
                    )
            self.drop(["stored"])
            with _in_words(self._home):
                self._write_anew(erasure)
        return counts

    def _names(self) -> set[str]:
        sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
        return {name for (name,) in self._db.execute(sql).fetchall()}

    def _write_anew(self, erasure: Erasure) -> None:
        """Write both files anew: in a block that is free again stands what it held before."""
        work, published = self._home / WORK, self._home / PUBLISHED
        seen, fresh = published.with_suffix(".seen"), work.with_suffix(".fresh")
        try:
            if published.exists():
                # What readers see may be of an earlier run than what stands in the tables.
                _copy(published, seen)
                with self._connected(seen) as db:
                    for script, _ in erasing():
                        for statement in translate(script, parameter_types(erasure.parameters)):
                            db.execute(statement.sql, bind(statement, erasure.parameters))
                    _copy_tables(db, seen.stem, fresh)
                move(fresh, published)
            _copy_tables(self._db, work.stem, fresh)
            self.close()
            self._opened = None
            move(fresh, work)
            sync(self._home)
        finally:
            for left in (seen, seen.with_suffix(".seen.wal"), fresh):
                left.unlink(missing_ok=True)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _execute(
        self, statement: Translated, parameters: Mapping[str, Value]
    ) -> duckdb.DuckDBPyConnection:
        try:
            with _in_words(self._home):
                self._show_loaded(statement)
                return self._db.execute(statement.sql, bind(statement, parameters))
        except duckdb.Error as error:
            raise StatementError(f"{error} — in: {statement.sql[:400]}") from error

    def _show_loaded(self, statement: Translated) -> None:
        """Let `raw_link` and `raw_decision` be the files that were loaded."""
        for table, columns in RAW_TABLES.items():
            if table not in statement.sql:
                continue
            self._db.execute(f"DROP VIEW IF EXISTS temp.{table}")
            if _CHANGED.match(statement.sql):  # the table that stays empty behind it
                continue
            files = sorted(str(file) for file in (self._home / "raw" / table).glob("*.parquet"))
            kinds = {**{name: column.kind for name, column in columns.items()}, **TOLD_BESIDE}
            empty = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in kinds.items())
            source = f"SELECT {empty}, CAST(NULL AS VARCHAR) AS file WHERE false"
            if files:
                # Files of an earlier release have fewer columns.
                source += (
                    " UNION ALL BY NAME SELECT * EXCLUDE (filename), filename AS file "
                    f"FROM {_parquet(files, 'union_by_name=true')}"
                )
            self._db.execute(f"CREATE TEMP VIEW {table} AS {source}")


def published_path(home: Path) -> Path:
    """Return where the last settled run's state is."""
    return home / PUBLISHED


def _patiently(connect: Callable[[], duckdb.DuckDBPyConnection]) -> duckdb.DuckDBPyConnection:
    """Return what *connect* does; a run that has just ended may still be about to close the file.

    Raises:
        WarehouseBusy: another process keeps it.
    """
    deadline = time.monotonic() + _CLOSING_SECONDS
    while True:
        try:
            return connect()
        except WarehouseBusy:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


_TYPES: Final = {"BIGINT": "int64", "BOOLEAN": "bool", "DOUBLE": "float64", "VARCHAR": "string"}


_CHANGED: Final = re.compile(r"(ALTER|CREATE) TABLE (IF NOT EXISTS )?raw_")


def _declared(column: str) -> str:
    """Return `name TYPE` as the statements declare it."""
    name, _, kind = column.partition(" ")
    return f"{name} {_TYPES.get(kind, kind.lower())}"


def _one(sql: str, parameters: Mapping[str, Value]) -> Translated:
    (statement,) = translate(sql, parameter_types(parameters))
    return statement


def _parquet(files: list[str], *options: str) -> str:
    """Return a table function over *files*, whose names are names, not patterns."""
    names = ", ".join(literal(glob.escape(file)) for file in files)
    told = ", ".join(["filename=true", "hive_partitioning=false", *options])
    return f"read_parquet([{names}], {told})"


def _connect(
    home: Path, memory_limit: str, threads: int, *, published: bool
) -> duckdb.DuckDBPyConnection:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise unusable(home, error) from error
    file = home / (PUBLISHED if published else WORK)
    db = _connect_to(
        file, home=home, memory_limit=memory_limit, threads=threads, read_only=published
    )
    if not published:
        file.chmod(0o600)
    return db


def _connect_to(
    file: Path, *, home: Path, memory_limit: str, threads: int, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    spill = home / "spill"
    config: dict[str, Any] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill),
        # Ids, hashes and deletes take care of order where it matters; keeping it costs memory.
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads:
        config["threads"] = threads
    try:
        db = duckdb.connect(str(file), read_only=read_only, config=config)
    except duckdb.Error as error:
        holder = re.search(r"PID (\d+)", str(error))
        if "lock on file" not in str(error):
            if tells_full_disk(str(error)):
                raise disk_full(home) from error
            raise _damaged(file, error) from error
        who = f"process {holder[1]}" if holder else "another process"
        raise WarehouseBusy(
            f"{who} is writing the warehouse; wait until it ends, or see `cdp runs`"
        ) from error
    db.execute("SET TimeZone = 'UTC'")
    return db


def problems(home: Path, memory_limit: str, threads: int) -> list[str]:
    """Return what is wrong with the two files below *home*, each with its fix."""
    config: dict[str, Any] = {"memory_limit": memory_limit}
    if threads:
        config["threads"] = threads
    found = []
    for file in (home / WORK, home / PUBLISHED):
        if not file.exists():
            continue
        try:
            with duckdb.connect(str(file), read_only=True, config=config) as db:
                # Nobody waits for who reads what was published.
                for (table,) in db.execute("SHOW TABLES").fetchall() if file.name != WORK else ():
                    db.execute(f'SELECT bit_xor(hash(t)) FROM "{table}" AS t').fetchall()
        except duckdb.Error as error:
            if "lock on file" not in str(error):  # whoever writes it has opened it
                found.append(str(_damaged(file, error)))
    return found


@contextmanager
def _in_words(home: Path) -> Iterator[None]:
    """Tell what is wrong with the files below *home*; a statement that is wrong is told as such."""
    try:
        yield
    except OSError as error:
        raise unusable(home, error) from error
    except duckdb.Error as error:
        text = first_line(error)
        if tells_full_disk(str(error)):
            raise disk_full(home) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise StatementError(f"{text}; set CDP_MEMORY_LIMIT higher") from error
        # Of a damaged block the engine's error has no class of its own.
        if isinstance(error, _OF_FILES) or type(error) is duckdb.Error or ".parquet'" in text:
            raise StatementError(f"{home}: {text}; `cdp doctor` says what to do") from error
        raise


_OF_FILES: Final = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.SerializationException,
)


def _damaged(file: Path, error: duckdb.Error) -> CdpError:
    fix = (
        "move it away and run `cdp refresh --full`: it is built again from what was loaded"
        if file.name == WORK
        else "run `cdp refresh --full`: it is published again"
    )
    return CdpError(f"{file} cannot be read ({first_line(error)}); {fix}")


def _copy_tables(db: duckdb.DuckDBPyConnection, name: str, target: Path) -> None:
    """Write every table of the database *name* to the new file *target*."""
    target.unlink(missing_ok=True)
    db.execute(f"ATTACH {literal(str(target))} AS anew")
    target.chmod(0o600)
    db.execute(f'COPY FROM DATABASE "{name}" TO anew')
    db.execute("DETACH anew")


def _copy(source: Path, target: Path) -> None:
    """Copy a file; file systems that can share its blocks do."""
    with source.open("rb") as reader, target.open("wb") as writer:
        os.fchmod(writer.fileno(), 0o600)
        left = source.stat().st_size
        try:
            while left > 0:
                done = os.copy_file_range(reader.fileno(), writer.fileno(), left)
                if done == 0:
                    break
                left -= done
        except (OSError, AttributeError):  # another kind of file system, or of system
            reader.seek(0)
            writer.seek(0)
            writer.truncate()
            shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())
