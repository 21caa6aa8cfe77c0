"""Documents in one SQLite file, for the embedded deployment."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cdp.domain.merge import Merge, Outcome, merged, outcome
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.profiles.port import (
    FILTERED,
    ORDERED,
    PROFILES,
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    DocumentStore,
    InvalidDocument,
    Page,
    Position,
    Where,
    Write,
    check_collection,
    check_id,
    check_path,
    check_type,
    cursor,
    encode,
    encode_checked,
    position,
)
from cdp.sqlite_file import SqliteFile

_MIGRATIONS: Final = (
    (
        """create table document (
             collection text not null, id text not null,
             version text not null,  -- random, another after every write
             body text not null,     -- JSON
             primary key (collection, id)
           )""",
        # One row per identifier and profile that holds it: what `find` reads.
        """create table identifier (
             value text not null, type text not null, profile_id text not null,
             primary key (value, type, profile_id)
           ) without rowid""",
    ),
)

# Up to so many documents that meet a condition, reading and sorting them all is quicker than
# walking the index of the order until enough of them were met.
_FEW: Final = 2_000

_PRIMARY: Final = "sqlite_autoindex_document_1"  # SQLite's name for that of the primary key
_PUT: Final = """
    insert into document (collection, id, version, body) values (?, ?, ?, ?)
    on conflict do update set version = excluded.version, body = excluded.body"""
_HOLD: Final = "insert or ignore into identifier (value, type, profile_id) values (?, ?, ?)"
_RELEASE: Final = "delete from identifier where value = ? and type = ? and profile_id = ?"
_GET_MANY: Final = """
    select id, version, body from document
    where collection = ? and id in (select value from json_each(?))"""

Row = tuple[str, str, str]


class SqliteDocuments(DocumentStore):
    """Several processes and threads may use one file.

    Args:
        path: the file, made on first use.
        filtered: paths of profiles by which pages filter, besides those the port declares.
    """

    def __init__(self, path: Path, *, filtered: Sequence[str] = ()) -> None:
        indexes = [_index(name, p, "id") for name, paths in ORDERED.items() for p in paths]
        indexes += [_index(name, p) for name, paths in FILTERED.items() for p in paths]
        indexes += [_index(PROFILES, path) for path in filtered]
        self._indexes = dict(indexes)
        self._file = SqliteFile(path, _MIGRATIONS, self._indexes)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def get(self, collection: str, id: str) -> Document | None:
        return self.get_many(collection, [id]).get(id)

    def get_many(self, collection: str, ids: Iterable[str]) -> dict[str, Document]:
        wanted = list(ids)
        for key in wanted:
            check_id(key)
        with self._file.reading() as db:
            rows = db.execute(_GET_MANY, (collection, json.dumps(wanted))).fetchall()
        return {row[0]: _document(row) for row in rows}

    def commit(self, writes: Sequence[Write]) -> None:
        texts = [None if isinstance(write, Delete) else encode(write.body) for write in writes]
        for write in writes:
            check_collection(write.collection)
            check_id(write.id)
        version = _version()
        with self._file.writing() as db:
            for write, text in zip(writes, texts, strict=True):
                _apply(db, write, text, version)

    def page(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order_by: str | None = None,
        descending: bool = False,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        check_collection(collection)
        if order_by is not None:
            check_path(order_by)
        start = None if after is None else position(after, order_by, descending)
        with self._file.reading() as db:
            index = self._best_index(db, collection, where, order_by)
            terms, values = _terms(where)
            ranges, order = _ranges(order_by, descending, start)
            rows: list[tuple[str, str, str, Any]] = []
            for beyond, bounds in ranges:
                query = (
                    f"select id, version, body, {_value(order_by) if order_by else 'null'} "  # noqa: S608
                    f'from document indexed by "{index}" '
                    f"where collection = '{collection}'{terms}{beyond} order by {order} limit ?"
                )
                missing = limit + 1 - len(rows)
                rows += db.execute(query, (*values, *bounds, missing)).fetchall()
        more = len(rows) > limit
        last = Position(rows[limit - 1][0], rows[limit - 1][3]) if more else None
        return Page(
            [_document(row[:3]) for row in rows[:limit]],
            cursor(last, order_by, descending) if last else None,
        )

    def count(self, collection: str, where: Sequence[Where] = ()) -> int:
        check_collection(collection)
        terms, values = _terms(where)
        index = next((name for name, _ in self._usable(collection, where)), _PRIMARY)
        query = (
            f'select count(*) from document indexed by "{index}" '  # noqa: S608
            f"where collection = '{collection}'{terms}"
        )
        with self._file.reading() as db:
            return int(db.execute(query, values).fetchone()[0])

    def find(self, value: str, type: str | None = None) -> list[str]:
        check_type(type)
        query = "select profile_id from identifier where value = ? and type = coalesce(?, type)"
        with self._file.reading() as db:
            found = {key for (key,) in db.execute(query, (value, type))}
            if type is None:
                itself = f"""select id from document where collection = '{PROFILES}' and id = ?
                    and coalesce({_value("sync.state")}, '') <> 'deleted'"""  # noqa: S608
                found |= {key for (key,) in db.execute(itself, (value,))}
        return sorted(found)

    def merge(self, collection: str, rows: Sequence[Merge]) -> list[Outcome]:
        check_collection(collection)
        for row in rows:
            check_id(row.id)
        ids = json.dumps([row.id for row in rows])
        outcomes: list[Outcome] = []
        texts: dict[str, str] = {}
        version = _version()
        with self._file.writing() as db:
            stored = db.execute(_GET_MANY, (collection, ids)).fetchall()
            before = {key: json.loads(body) for key, _, body in stored}
            after = dict(before)
            for row in rows:
                result = outcome(after.get(row.id), row)
                if result is Outcome.WRITTEN:
                    document = merged(after.get(row.id), row)
                    try:
                        texts[row.id] = encode_checked(document)
                    except InvalidDocument:
                        result = Outcome.TOO_LARGE
                    else:
                        after[row.id] = document
                outcomes.append(result)
            db.executemany(_PUT, [(collection, key, version, text) for key, text in texts.items()])
            if collection == PROFILES:
                _index_identifiers(db, [(key, before.get(key), after[key]) for key in texts])
        return outcomes

    def _usable(self, collection: str, where: Sequence[Where]) -> Iterator[tuple[str, Where]]:
        """Yield the conditions that an index can answer, each with its name."""
        for condition in where:
            name = f"{collection}.{condition.path}"
            if name in self._indexes and condition.op not in {"!=", "contains"}:
                yield name, condition

    def _best_index(
        self,
        db: sqlite3.Connection,
        collection: str,
        where: Sequence[Where],
        order_by: str | None,
    ) -> str:
        """Return the index to walk: SQLite's planner keeps no statistics, and often sorts all."""
        for name, condition in self._usable(collection, where):
            term, values = _terms([condition])
            query = (
                f'select 1 from document indexed by "{name}" '  # noqa: S608
                f"where collection = '{collection}'{term} limit ?"
            )
            met = f"select count(*) from ({query})"  # noqa: S608
            if db.execute(met, (*values, _FEW)).fetchone()[0] < _FEW:
                return name
        ordered = f"{collection}.{order_by}"
        return ordered if ordered in self._indexes else _PRIMARY


def _apply(db: sqlite3.Connection, write: Write, text: str | None, version: str) -> None:
    key = (write.collection, write.id)
    query = "select version, body from document where collection = ? and id = ?"
    stored = db.execute(query, key).fetchone()
    if isinstance(write, Create):
        if stored:
            raise AlreadyExists(f"{write.collection}/{write.id} exists already")
    elif write.expect is not None and (stored is None or stored[0] != write.expect):
        raise Conflict(f"{write.collection}/{write.id} was changed meanwhile; read it again")
    if text is None:
        db.execute("delete from document where collection = ? and id = ?", key)
    else:
        db.execute(_PUT, (*key, version, text))
    if write.collection == PROFILES:
        before = json.loads(stored[1]) if stored else None
        after = None if isinstance(write, Delete) else write.body
        _index_identifiers(db, [(write.id, before, after)])


def _index_identifiers(
    db: sqlite3.Connection,
    changes: Iterable[tuple[str, Mapping[str, Any] | None, Mapping[str, Any] | None]],
) -> None:
    """Keep what `find` reads in step with profiles: (id, before, after) of each."""
    held: list[Row] = []
    released: list[Row] = []
    for key, before, after in changes:
        old, new = _identifiers(before), _identifiers(after)
        held += [(*identifier, key) for identifier in new - old]
        released += [(*identifier, key) for identifier in old - new]
    db.executemany(_RELEASE, released)
    db.executemany(_HOLD, held)


def _identifiers(document: Mapping[str, Any] | None) -> set[tuple[str, str]]:
    """Return (value, type) of each identifier; others may have written something else there."""
    known = (document or {}).get("identifiers")
    if not isinstance(known, dict):
        return set()
    return {
        (value, name)
        for name in IDENTIFIER_TYPES
        if isinstance(values := known.get(name), list)
        for value in values
        if isinstance(value, str)
    }


def _document(row: Row) -> Document:
    key, version, body = row
    return Document(key, version, json.loads(body))


def _version() -> str:
    return secrets.token_hex(8)


def _json_path(path: str) -> str:
    """Return SQLite's spelling of a dotted path; its parts need no quotes: see `check_path`."""
    return f"'$.{path}'"


def _value(path: str) -> str:
    return f"json_extract(body, {_json_path(path)})"


def _index(collection: str, path: str, *ties: str) -> tuple[str, str]:
    check_path(path)
    name = f"{collection}.{path}"
    columns = ", ".join([_value(path), *ties])
    return name, (
        f'create index if not exists "{name}" on document ({columns}) '
        f"where collection = '{collection}'"
    )


def _terms(where: Iterable[Where]) -> tuple[str, list[Any]]:
    """Return SQL that holds where every condition does, and its values."""
    terms: list[str] = []
    values: list[Any] = []
    for condition in where:
        value = _value(condition.path)
        path = _json_path(condition.path)
        given = condition.value
        if isinstance(given, list | tuple):
            terms.append(f"{value} in ({', '.join('?' * len(given))})")
            values += given
            continue
        values.append(given)
        match condition.op:
            case "contains":
                items = f"select item.value from json_each(body, {path}) as item"  # noqa: S608
                terms.append(f"json_type(body, {path}) = 'array' and ? in ({items})")
            case "==":
                terms.append(f"{value} = ?")
            case op:
                terms.append(f"{value} {op} ?")
        # SQLite compares across types: every number comes before every text, and true is 1.
        if isinstance(given, bool):
            terms.append(f"json_type(body, {path}) in ('true', 'false')")
        elif isinstance(given, str) and condition.op in {"<", "<="}:
            terms.append(f"{value} >= ''")
        elif not isinstance(given, str) and condition.op in {">", ">="}:
            terms.append(f"{value} < ''")
    return "".join(f" and {term}" for term in terms), values


def _ranges(
    order_by: str | None, descending: bool, start: Position | None
) -> tuple[list[tuple[str, list[Any]]], str]:
    """Return the ranges to read one after the other, each with its values, and the order.

    What ties with the start is a range of its own, for then each range is one seek in the index.
    """
    direction, beyond = ("desc", "<") if descending else ("asc", ">")
    after_id = f" and id {beyond} ?"
    if order_by is None:
        only: tuple[str, list[Any]] = (after_id, [start.id]) if start else ("", [])
        return [only], f"id {direction}"
    value = _value(order_by)
    order = f"{value} {direction}, id {direction}"
    if start is None:
        # Minus infinity is below every number and every text: a document without a value, above.
        return [(f" and {value} >= -9e999", [])], order
    ties = (f" and {value} = ?{after_id}", [start.value, start.id])
    return [ties, (f" and {value} {beyond} ?", [start.value])], order
