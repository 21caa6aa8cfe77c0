"""Take the rows of who was erased out of loaded files; what stays is written anew, byte by byte."""

import glob
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb

from cdp.domain.erasure import mentioned
from cdp.domain.identifiers import AROUND, INVISIBLE, Speller, keyed, spell
from cdp.warehouse.port import Erasure
from cdp.warehouse.sources import connect, literal, move, sync, workplace

REDACTED: Final = "(redacted)"
_TYPES: Final = {"raw_link": ("a", "b"), "raw_decision": ("",)}


def forget(raw: Path, erasure: Erasure, *, memory_limit: str, threads: int) -> dict[str, int]:
    """Rewrite the files below the folder *raw*; return how many rows each table lost or changed.

    Files that hold nothing of the erased are not touched; one that keeps no row goes.
    """
    counts: dict[str, int] = {}
    with workplace(raw) as scratch, connect(scratch, memory_limit, threads, ordered=True) as db:
        for file in sorted(raw.glob("events_*.parquet")):
            if count := sum(forget_events(db, file, scratch, erasure)):
                counts[file.stem] = count
        for table in _TYPES:
            for file in sorted((raw / table).glob("*.parquet")):
                if count := _forget_rows(db, table, file, scratch, erasure):
                    counts[table] = counts.get(table, 0) + count
            if (raw / table).is_dir():
                sync(raw / table)
        sync(raw)
    return counts


def held(
    raw: Path, erasure: Erasure, speller: Speller, *, memory_limit: str, threads: int
) -> dict[str, int]:
    """Return how many identifiers of the erased files below *raw* hold, by table, row by row."""
    found: dict[str, int] = {}
    with (
        TemporaryDirectory() as folder,
        connect(Path(folder), memory_limit, threads, ordered=False) as db,
    ):
        for file in sorted(raw.glob("events_*.parquet")):
            if count := sum(map(len, _met(db, _reader(file), erasure))):
                found[file.stem] = count
        for table in _TYPES:
            for file in sorted((raw / table).glob("*.parquet")):
                if told := _told(db, table, file, erasure, speller):
                    found[table] = found.get(table, 0) + len(told)
    return found


def forget_demo(folder: Path, erasure: Erasure, *, memory_limit: str, threads: int) -> int:
    """Rewrite the files that a demo was made as; return how many rows and lines went."""
    if not folder.is_dir():
        return 0
    values = [subject.partition("|")[2] for subject in erasure.told]
    words = re.compile("|".join(map(re.escape, filter(None, values))) or r"(?!)", re.IGNORECASE)
    count = 0
    with workplace(folder) as scratch, connect(scratch, memory_limit, threads, ordered=True) as db:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            if file.suffix == ".parquet" and file.stem.startswith("events_"):
                count += sum(forget_events(db, file, scratch, erasure))
            elif file.suffix == ".parquet":
                count += _forget_texts(db, file, scratch, values)
            elif file.suffix in {".csv", ".ndjson"}:
                lines = file.read_text("utf-8").splitlines(keepends=True)
                kept = [line for line in lines if not words.search(line)]
                count += len(lines) - len(kept)
                if len(kept) < len(lines):
                    new = scratch / f"{file.name}.anew"
                    new.write_text("".join(kept), "utf-8")
                    move(new, file)
    return count


def _forget_texts(
    db: duckdb.DuckDBPyConnection, file: Path, scratch: Path, values: Sequence[str]
) -> int:
    """Rewrite a file without the rows in which a text is one of the values."""
    reader = _reader(file)
    texts = [name for name, kind in _columns(db, reader).items() if kind.id == "varchar"]
    theirs = " OR ".join(f"coalesce({_quoted(name)} IN ({_list(values)}), false)" for name in texts)
    if not values or not theirs:
        return 0
    (count,) = db.execute(f"SELECT count(*) FROM {reader} WHERE {theirs}").fetchone() or (0,)
    if count:
        _rewrite(db, file, scratch, f"SELECT * FROM {reader} WHERE NOT ({theirs})")
    return int(count)


def forget_events(
    db: duckdb.DuckDBPyConnection, file: Path, scratch: Path, erasure: Erasure
) -> tuple[int, int]:
    """Rewrite a table of the export in its place; return how many rows went, and lost a text."""
    reader = _reader(file)
    clients, bare, users = _met(db, reader, erasure)
    parts = [
        *([f"({_client(erasure.property)}) IN ({_list(clients)})"] if clients else []),
        *([f"user_pseudo_id IN ({_list(bare)})"] if bare else []),
        *([f"({_USER}) IN ({_list(users)})"] if users else []),
    ]
    theirs = f"coalesce({' OR '.join(parts)}, false)" if parts else "false"
    (gone,) = db.execute(f"SELECT count(*) FROM {reader} WHERE {theirs}").fetchone() or (0,)
    # To spell a row as text costs most: it is done once, of the few that may tell of anybody.
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE telling AS SELECT {_text(db, reader)} AS told FROM {reader} "
        f"WHERE NOT {theirs} AND {_any_text(db, reader, _may_tell)}"
    )
    pattern = mentioned([*erasure.mentions, *_mentions(db, erasure)])
    (changed,) = db.execute(
        f"SELECT count(*) FROM telling WHERE {_matches(pattern) if pattern else 'false'}"
    ).fetchone() or (0,)
    if gone or changed:
        columns = _redacted(db, reader, pattern) if changed else "*"
        select = f"SELECT {columns} FROM {reader} WHERE NOT {theirs}"
        _rewrite(db, file, scratch, select)
    return int(gone), int(changed)


def _mentions(db: duckdb.DuckDBPyConnection, erasure: Erasure) -> list[str]:
    """Return the addresses in texts of the file that were erased, as they stand there."""
    rows = db.execute(
        f"SELECT DISTINCT unnest(regexp_extract_all(told, {literal(_ADDRESS)})) FROM telling"
    ).fetchall()
    found = []
    for (text,) in rows:
        address = spell("email", _CODED.sub("@", text)).value
        if keyed(erasure.key, "email", address) in erasure.keyed:
            found.append(address)
    return found


def _text(db: duckdb.DuckDBPyConnection, reader: str) -> str:
    """Return all texts of a row as one."""
    return " || ' ' || ".join(
        f"coalesce(CAST({_quoted(name)} AS VARCHAR), '')"
        for name, kind in _columns(db, reader).items()
        if _holds_text(kind)
    )


def _may_tell(text: str) -> str:
    """Return whether a text may hold an address or a number, in any spelling of `mentioned`."""
    signs = ("@", "+", "%40", "%2b", "%2B", "%25")
    return f"({' OR '.join(f'contains({text}, {literal(sign)})' for sign in signs)})"


_ADDRESS: Final = r"[\pL\pN._+\-]{1,64}(?:@|%(?:25)*40)[\pL\pN.\-]{1,200}"
_CODED: Final = re.compile(r"%(?:25)*40", re.IGNORECASE)


def _met(
    db: duckdb.DuckDBPyConnection, reader: str, erasure: Erasure
) -> tuple[list[str], list[str], list[str]]:
    """Return the client keys, the bare client ids and the user ids of the file that were erased."""
    found = []
    spelled = (
        ("client_id", _client(erasure.property)),
        ("client_id", "user_pseudo_id"),
        ("user_id", _USER),
    )
    for type_, value in spelled:
        inner = f"sha256($key || '{type_}|' || value)"
        rows = db.execute(
            f"SELECT value FROM (SELECT DISTINCT {value} AS value FROM {reader}) "
            f"WHERE sha256($key || {inner}) IN (SELECT unnest($keyed))",
            {"key": erasure.key, "keyed": sorted(erasure.keyed)},
        ).fetchall()
        found.append([value for (value,) in rows])
    return found[0], found[1], found[2]


_USER: Final = (
    f"regexp_replace(nfc_normalize(regexp_replace(user_id, {literal(INVISIBLE)}, '', 'g')), "
    f"{literal(AROUND)}, '', 'g')"
)


def _client(property_: str) -> str:
    return f"{literal(property_)} || '/' || coalesce(stream_id, '') || '/' || user_pseudo_id"


def _list(values: Iterable[str]) -> str:
    return ", ".join(map(literal, values))


def _reader(file: Path) -> str:
    return f"read_parquet({literal(glob.escape(str(file)))}, hive_partitioning=false)"


def _any_text(db: duckdb.DuckDBPyConnection, reader: str, test: Callable[[str], str]) -> str:
    """Return whether *test* holds of any text of a row, however deep it is."""
    texts = [
        _any(_quoted(name), kind, test)
        for name, kind in _columns(db, reader).items()
        if _holds_text(kind)
    ]
    return f"({' OR '.join(texts)})" if texts else "false"


def _any(value: str, kind: Any, test: Callable[[str], str], depth: int = 0) -> str:
    if kind.id == "varchar":
        return f"coalesce({test(value)}, false)"
    if kind.id == "list":
        one = f"v{depth}"
        below = _any(one, kind.children[0][1], test, depth + 1)
        return f"coalesce(len(list_filter({value}, lambda {one}: {below})) > 0, false)"
    return " OR ".join(
        _any(f"{value}.{_quoted(name)}", below, test, depth)
        for name, below in kind.children
        if _holds_text(below)
    )


def _matches(pattern: str) -> str:
    return f"regexp_matches(told, {literal(pattern)})"


def _redacted(db: duckdb.DuckDBPyConnection, reader: str, pattern: str) -> str:
    """Return every column, with the pattern taken out of its texts."""
    return ", ".join(
        f"{_scrubbed(_quoted(name), kind, pattern)} AS {_quoted(name)}"
        for name, kind in _columns(db, reader).items()
    )


def _columns(db: duckdb.DuckDBPyConnection, reader: str) -> Mapping[str, Any]:
    relation = db.sql(f"SELECT * FROM {reader} LIMIT 0")
    return dict(zip(relation.columns, relation.types, strict=True))


def _holds_text(kind: Any) -> bool:
    if kind.id in {"list", "struct"}:
        return any(_holds_text(below) for _, below in kind.children)
    return bool(kind.id == "varchar")


def _scrubbed(value: str, kind: Any, pattern: str, depth: int = 0) -> str:
    if not _holds_text(kind):
        return value
    if kind.id == "varchar":
        return f"regexp_replace({value}, {literal(pattern)}, {literal(REDACTED)}, 'g')"
    if kind.id == "list":
        one = f"v{depth}"
        below = _scrubbed(one, kind.children[0][1], pattern, depth + 1)
        return f"list_transform({value}, lambda {one}: {below})"
    fields = ", ".join(
        f"{_quoted(name)} := {_scrubbed(f'{value}.{_quoted(name)}', below, pattern, depth)}"
        for name, below in kind.children
    )
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({fields}) END"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _forget_rows(
    db: duckdb.DuckDBPyConnection, table: str, file: Path, scratch: Path, erasure: Erasure
) -> int:
    """Rewrite a file of loaded links or decisions; return how many rows went."""
    if not erasure.told:
        return 0
    reader = _reader(file)
    ends = [
        f"{f'{end}_' if end else ''}type || '|' || {f'{end}_' if end else ''}value"
        for end in _TYPES[table]
    ]
    theirs = " OR ".join(f"{end} IN ({_list(erasure.told)})" for end in ends)
    (count,) = db.execute(f"SELECT count(*) FROM {reader} WHERE {theirs}").fetchone() or (0,)
    if count:
        _rewrite(db, file, scratch, f"SELECT * FROM {reader} WHERE NOT ({theirs})")
    return int(count)


def forget_told(
    db: duckdb.DuckDBPyConnection,
    table: str,
    file: Path,
    erased: Erasure | None,
    speller: Speller | None,
) -> int:
    """Rewrite a file that is being loaded, spelling each identifier; return how many rows went."""
    if erased is None or speller is None or not file.exists():
        return 0
    told = _told(db, table, file, erased, speller)
    return _forget_rows(db, table, file, file.parent, replace(erased, told=tuple(sorted(told))))


def _told(
    db: duckdb.DuckDBPyConnection, table: str, file: Path, erasure: Erasure, speller: Speller
) -> set[str]:
    """Return `type|value`, as the file spells it, of each identifier in it that was erased."""
    ends = [f"{end}_" if end else "" for end in _TYPES[table]]
    names = " UNION ".join(
        f"SELECT {end}type, {end}value, source FROM {_reader(file)}" for end in ends
    )
    return {
        f"{type_}|{text}"
        for type_, text, source in db.execute(names).fetchall()
        if keyed(erasure.key, type_, speller.spell(type_, text, source).value) in erasure.keyed
    }


def _rewrite(db: duckdb.DuckDBPyConnection, file: Path, scratch: Path, select: str) -> None:
    """Put the rows of *select* in the place of the file, under the version that it had."""
    versions = db.execute(
        "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = 'cdp_version'",
        [glob.escape(str(file))],
    ).fetchall()
    told = f", KV_METADATA {{cdp_version: {literal(versions[0][0])}}}" if versions else ""
    new = scratch / f"{file.name}.anew"
    db.execute(
        f"COPY ({select}) TO {literal(str(new))} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480{told})"
    )
    move(new, file)
