"""Input files as they come: formats, records with their lines, digests, and the place to load."""

import codecs
import csv
import fcntl
import glob
import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, NoReturn, cast

import duckdb

from cdp.domain.errors import InputError, disk_full, tells_full_disk, unusable

FORMATS: Final[Mapping[str, str]] = {
    "parquet": "Parquet",
    "ndjson": "NDJSON",
    "array": "a JSON list",
    "csv": "CSV",
}
"""The formats, in words for messages."""

_ENDINGS: Final = (".parquet", ".ndjson", ".jsonl", ".json", ".csv")
_CHUNK: Final = 1 << 20
_UNREADABLE: Final = (OSError, EOFError, zlib.error)  # a .gz raises any of them


@dataclass(frozen=True, slots=True)
class Source:
    """A file to load; its format is parquet, ndjson, array (one JSON list) or csv."""

    path: Path
    format: str

    def reader(self, columns: Mapping[str, str] | None = None) -> str:
        """Return a DuckDB table function over the file; CSV and JSON are read as *columns*.

        Of CSV these are all columns of the file, in their order. JSON without any is one column
        `json`, a record each.
        """
        # Neither a pattern, nor a folder such as `day=3` that DuckDB would make a column of.
        name = f"{literal(glob.escape(str(self.path)))}, hive_partitioning=false"
        if self.format == "parquet":
            return f"read_parquet({name})"
        shape = "newline_delimited" if self.format == "ndjson" else "array"
        if columns is None:
            return f"read_json_objects({name}, format='{shape}')"
        spelled = ", ".join(
            f"{literal(column)}: {literal(kind)}" for column, kind in columns.items()
        )
        if self.format == "csv":
            # Without detection: it takes other characters for the separator, and drops bad rows.
            return (
                f"read_csv({name}, columns={{{spelled}}}, auto_detect=false, header=true, "
                "delim=',', quote='\"', escape='\"')"
            )
        return f"read_json({name}, format='{shape}', columns={{{spelled}}})"

    def records(self, columns: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each record with the line it starts on, from 1; a row of Parquet with its place.

        Args:
            columns: of Parquet, read only these; the other formats are read whole anyway.

        Raises:
            InputError: names the line that is no record.
        """
        if self.format == "parquet":
            yield from self._rows(columns)
            return
        read = {"csv": self._csv, "array": self._list, "ndjson": self._lines}[self.format]
        with self._open() as file:
            yield from read(file)

    def at(self, place: int) -> str:
        """Return file and line as messages name them."""
        return f"{self.path}, {'row' if self.format == 'parquet' else 'line'} {place}"

    def header(self) -> list[str]:
        """Return the names in a CSV file's first line.

        Raises:
            InputError: it cannot be read, or names a column twice.
        """
        try:
            with self._open() as file:
                names = next(csv.reader(_text_lines(self.path, file), strict=True), [])
        except csv.Error as error:
            raise InputError(f"{self.at(1)}: not CSV: {error}") from None
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InputError(f"{self.at(1)}: the column {', '.join(sorted(twice))} is there twice")
        return names

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            with _open(self.path) as file:
                yield file
        except _UNREADABLE as error:
            raise InputError(
                f"{self.path}: cannot be read to its end: {error}; fetch the file again"
            ) from None

    def _rows(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        with duckdb.connect() as db:
            cursor = db.execute(f"SELECT {', '.join(columns) or '*'} FROM {self.reader({})}")
            names = [column[0] for column in cursor.description or ()]
            place = 0
            while rows := cursor.fetchmany(1000):
                for row in rows:
                    place += 1
                    yield place, dict(zip(names, row, strict=True))

    def _csv(self, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
        reader = csv.reader(_text_lines(self.path, file), strict=True)
        names: list[str] | None = None
        line = 1
        try:
            for row in reader:
                if names is None:
                    names = row
                elif row and len(row) != len(names):
                    raise InputError(
                        f"{self.at(line)}: {len(row)} values, but the header names {len(names)} "
                        "columns; put a value with a comma or a new line into double quotes"
                    )
                elif row:  # a blank line is none
                    yield line, dict(zip(names, row, strict=True))
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{self.at(line)}: not CSV: {error}") from None

    def _lines(self, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
        for line, text in enumerate(_text_lines(self.path, file), start=1):
            if not text.strip():
                continue
            try:
                record = _DECODER.decode(text)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{self.at(line)}: not a whole JSON record: {_why(error)}"
                ) from None
            if not isinstance(record, dict):
                raise InputError(f"{self.at(line)}: not a JSON record: {text.strip()[:60]!r}")
            yield line, record

    def _list(self, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Read a JSON list piece by piece: it may be larger than memory."""
        decode = codecs.getincrementaldecoder("utf-8")().decode
        text, line, size, wanted = "", 1, _CHUNK, "["
        while True:
            left = text.lstrip()
            line += text.count("\n", 0, len(text) - len(left))
            text, problem, below = left, "the list ends early", 0
            if text[:1] and text[0] in wanted:
                if text[0] == "]":
                    return
                # After a comma there must be a value; after the opening there may be none.
                closes = wanted == "[" and text[1:].lstrip()[:1] == "]"
                text, wanted = text[1:], "]" if closes else ""
                continue
            if text and wanted:
                problem = f"expected {' or '.join(wanted)}, not {text[0]!r}"
            elif text:
                try:
                    record, end = _DECODER.raw_decode(text)
                except (ValueError, RecursionError) as error:
                    problem, below = _why(error), getattr(error, "lineno", 1) - 1
                else:
                    if not isinstance(record, dict):
                        raise InputError(f"{self.at(line)}: not a JSON record: {text[:60]!r}")
                    yield line, record
                    line += text.count("\n", 0, end)
                    text, wanted = text[end:], ",]"
                    continue
            piece = file.read(size)
            if not piece:
                raise InputError(f"{self.at(line + below)}: not a whole JSON list: {problem}")
            try:
                text += decode(piece)
            except UnicodeDecodeError as error:
                _refuse_bytes(self.path, line + text.count("\n"), error)
            size = _CHUNK if len(text) < 2 * size else 2 * size


def _why(error: Exception) -> str:
    """Return the reason without the place, which the decoder counts from the record's begin."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, in column {error.colno}"
    return str(error)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return record


# As strict as DuckDB, so that what it refuses is found again, with its line.
_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_once)


def _text_lines(path: Path, file: IO[bytes]) -> Iterator[str]:
    for line, content in enumerate(file, start=1):
        try:
            # CSV from Excel begins with a byte order mark; DuckDB takes it there, not in JSON.
            yield content.decode("utf-8-sig" if line == 1 and _ending(path) == ".csv" else "utf-8")
        except UnicodeDecodeError as error:
            _refuse_bytes(path, line, error)


def _refuse_bytes(path: Path, line: int, error: UnicodeDecodeError) -> NoReturn:
    line += error.object.count(b"\n", 0, error.start)
    raise InputError(
        f"{path}, line {line}: not UTF-8 text: {error.reason}; save it as UTF-8"
    ) from None


def find_sources(
    paths: Sequence[Path],
    formats: Sequence[str],
    skipped: Callable[[Path], None] = lambda _: None,
) -> list[Source]:
    """Return the files of *paths*, folders opened; each once, and of one of *formats*.

    Args:
        skipped: told what else is in a folder, but for what is hidden there.

    Raises:
        InputError: no such file, empty, nothing to load in a folder, or of another format.
    """
    found: dict[Path, Source] = {}
    for path in paths:
        try:
            files = _files(path, skipped)
            for file in files:
                found.setdefault(file.resolve(), _source(file, formats))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return list(found.values())


def _files(path: Path, skipped: Callable[[Path], None]) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    files = []
    for file in sorted(path.iterdir()):
        if file.name.startswith("."):
            continue
        if _ending(file) in _ENDINGS and file.is_file():
            files.append(file)
        else:
            skipped(file)
    if not files:
        raise InputError(f"{path}: no file in it ends in {', '.join(_ENDINGS)}")
    return files


def _source(path: Path, formats: Sequence[str]) -> Source:
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    ending = _ending(path)
    kind = {".parquet": "parquet", ".csv": "csv"}.get(ending, "ndjson")
    if kind == "ndjson" and ending in _ENDINGS and _starts_list(path):
        kind = "array"
    if ending not in _ENDINGS or kind not in formats:
        raise InputError(
            f"{path}: cannot load {ending or 'a file without an ending'}; "
            f"these are taken: {', '.join(FORMATS[name] for name in formats)}"
        )
    return Source(path, kind)


def _ending(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _starts_list(path: Path) -> bool:
    try:
        with _open(path) as file:
            return file.read(4096).lstrip().startswith(b"[")
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def literal(text: str) -> str:
    """Return *text* as a DuckDB string literal."""
    return "'" + text.replace("'", "''") + "'"


def first_line(error: BaseException) -> str:
    """Return the first line of an engine's message, without its class."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.partition("Error: ")[2] or text


def digest(paths: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that name the content of the files, in any order.

    Of a .gz the content is what it unpacks to, which checks it on the way: DuckDB does not.

    Raises:
        InputError: a file cannot be read to its end.
    """
    parts = []
    for path in paths:
        hashed = hashlib.sha256()
        try:
            with _open(path) as file:
                while piece := file.read(_CHUNK):
                    hashed.update(piece)
        except _UNREADABLE as error:
            raise InputError(
                f"{path}: cannot be read to its end: {error}; fetch the file again"
            ) from None
        parts.append(hashed.hexdigest())
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]


def refuse_full_disk(folder: Path, error: duckdb.Error) -> None:
    """Raise where *error* says that there is no space left, whatever was read or written."""
    if tells_full_disk(str(error)):
        raise disk_full(folder) from None


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Hold *folder* and yield a folder in it for files that are renamed into *folder* when whole.

    It is removed at the end, and so is what a killed process left.

    Raises:
        InputError: another process holds *folder*.
        Unusable: it cannot be written.
    """
    try:
        with _held(folder) as place:
            yield place
    except OSError as error:
        raise unusable(folder, error) from error
    except duckdb.IOException as error:
        refuse_full_disk(folder, error)
        raise InputError(f"{folder}: {first_line(error)}; check its disk") from error


@contextmanager
def _held(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process
        except BlockingIOError:
            raise InputError(f"{folder}: another load is writing it; wait until it ends") from None
        place = folder / ".loading"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(handle)


def connect(
    scratch: Path, memory_limit: str, threads: int, *, ordered: bool
) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that spills to *scratch*.

    Args:
        threads: 0 for all cores.
        ordered: keep rows in the order of the file, at a price in memory.
    """
    config: dict[str, Any] = {
        "memory_limit": memory_limit,
        "temp_directory": str(scratch / "spill"),
        "preserve_insertion_order": ordered,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    db = duckdb.connect(config={**config, "threads": threads} if threads else config)
    db.execute("SET TimeZone = 'UTC'")
    return db


def move(written: Path, place: Path) -> None:
    """Put a file that is written in full in its *place*, readable by nobody else."""
    written.chmod(0o600)
    sync(written)
    written.replace(place)


def sync(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot, for folders
            os.fsync(handle)
    finally:
        os.close(handle)
