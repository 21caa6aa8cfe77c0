"""Input files as they come: formats, records with their lines, and digests."""

import csv
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import duckdb
from sqlglot import exp

from cdp.domain.errors import InputError

_ENDINGS: Final = (".parquet", ".ndjson", ".jsonl", ".json", ".csv")


@dataclass(frozen=True, slots=True)
class Source:
    """A file to load; its format is parquet, ndjson, array (one JSON list) or csv."""

    path: Path
    format: str

    def reader(self, columns: Mapping[str, str]) -> str:
        """Return a DuckDB table function over the file; JSON is read as *columns*."""
        name = literal(str(self.path))
        if self.format == "parquet":
            return f"read_parquet({name})"
        if self.format == "csv":
            return f"read_csv({name}, header=true, all_varchar=true, strict_mode=true)"
        shape = "newline_delimited" if self.format == "ndjson" else "array"
        spelled = ", ".join(
            f"{literal(column)}: {literal(kind)}" for column, kind in columns.items()
        )
        return f"read_json({name}, format='{shape}', columns={{{spelled}}})"

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each record with its line (of a JSON list or Parquet: its place), from 1.

        Raises:
            InputError: names the line that is no record.
        """
        if self.format == "parquet":
            with duckdb.connect() as db:
                cursor = db.execute(f"SELECT * FROM {self.reader({})}")
                names = [column[0] for column in cursor.description or ()]
                line = 0
                while rows := cursor.fetchmany(1000):
                    for row in rows:
                        line += 1
                        yield line, dict(zip(names, row, strict=True))
            return
        with self._open() as file:
            if self.format == "csv":
                reader = csv.DictReader(file)
                for record in reader:
                    yield reader.line_num, record
            elif self.format == "array":
                try:
                    records = json.load(file)
                except ValueError as error:
                    line = getattr(error, "lineno", 1)
                    raise InputError(f"{self.path}, line {line}: not JSON: {error}") from None
                yield from enumerate(records, start=1)
            else:
                yield from self._lines(file)

    def _lines(self, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except ValueError as error:
                raise InputError(
                    f"{self.path}, line {line}: not a whole JSON record: {error}"
                ) from None
            if not isinstance(record, dict):
                raise InputError(f"{self.path}, line {line}: not a JSON record: {text[:60]!r}")
            yield line, record

    def _open(self) -> IO[str]:
        if self.path.suffix == ".gz":
            return gzip.open(self.path, "rt", encoding="utf-8", newline="")
        return self.path.open("rt", encoding="utf-8", newline="")

    def first(self) -> dict[str, Any]:
        """Return the first record.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        try:
            record = next(self.records(), None)
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}: cannot be read: {error}") from None
        if record is None:
            raise InputError(f"{self.path}: no rows in it")
        return record[1]

    def line_where(self, wrong: Callable[[Mapping[str, Any]], bool]) -> int:
        """Return the line of the first record that is *wrong*, for a message."""
        return next((line for line, record in self.records() if wrong(record)), 1)


def find_sources(paths: Sequence[Path], formats: Sequence[str]) -> list[Source]:
    """Return the files of *paths*, folders opened; each of one of *formats*.

    Raises:
        InputError: no such file, empty, nothing to load in a folder, or of another format.
    """
    found: list[Source] = []
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if _ending(file) in _ENDINGS)
            if not files:
                raise InputError(f"{path}: no file in it ends in {', '.join(_ENDINGS)}")
        elif path.is_file():
            files = [path]
        else:
            raise InputError(f"{path}: no such file or folder")
        found += [_source(file, formats) for file in files]
    return found


def _source(path: Path, formats: Sequence[str]) -> Source:
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    ending = _ending(path)
    kind = {".parquet": "parquet", ".csv": "csv"}.get(ending, "ndjson")
    if ending == ".json" and _starts_list(path):
        kind = "array"
    if ending not in _ENDINGS or kind not in formats:
        raise InputError(
            f"{path}: cannot load {ending or 'a file without an ending'}; "
            f"these are taken: {', '.join(formats)}"
        )
    return Source(path, kind)


def _ending(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _starts_list(path: Path) -> bool:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(4096).lstrip().startswith(b"[")
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def literal(text: str) -> str:
    """Return *text* as a DuckDB string literal."""
    return exp.Literal.string(text).sql("duckdb")


def first_line(error: BaseException) -> str:
    """Return the first line of an engine's message, without its class."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.partition("Error: ")[2] or text


def digest(paths: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that name the content of the files, in any order."""
    parts = []
    for path in paths:
        with path.open("rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]


def sync(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot, for folders
            os.fsync(handle)
    finally:
        os.close(handle)
