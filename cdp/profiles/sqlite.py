"""Documents in one SQLite file, for the embedded deployment."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cdp.domain.merge import Merge, Outcome, merged, outcome
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.profiles import sqlite_lists as lists
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
    (
        # The number stays where a file is vacuumed: entries name their document by it.
        """create table numbered (
             number integer primary key,
             collection text not null, id text not null,
             version text not null, body text not null,
             unique (collection, id)
           )""",
        """insert into numbered (collection, id, version, body)
           select collection, id, version, body from document""",
        "drop table document",  # and with it the indexes that it had a path
        "alter table numbered rename to document",
    ),
)

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
        self._filtered = frozenset([*FILTERED[PROFILES], *filtered])
        self._indexes = {
            f"{name}.{path}": _index(name, path)
            for name, paths in ORDERED.items()
            if name != PROFILES
            for path in paths
        }
        self._file = SqliteFile(path, _MIGRATIONS, self._lacking)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def purge(self) -> None:
        self._file.purge()

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
            listed = {write.id for write in writes if write.collection == PROFILES}
            if listed:
                lists.remove(db, listed)
            for write, text in zip(writes, texts, strict=True):
                _apply(db, write, text, version)
            if listed:
                lists.add(db, listed)

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
        order = lists.Order(order_by, descending, start)
        with self._file.reading() as db:
            rows = lists.page(db, collection, self._filtered, where, order=order, limit=limit + 1)
            ids = [key for key, _ in rows[:limit]]
            stored = db.execute(_GET_MANY, (collection, json.dumps(ids))).fetchall()
        found = {row[0]: _document(row) for row in stored}
        last = Position(*rows[limit - 1]) if len(rows) > limit else None
        return Page(
            [found[key] for key in ids], cursor(last, order_by, descending) if last else None
        )

    def lists(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order_by: str | None = None,
        descending: bool = False,
    ) -> bool:
        del collection, where, order_by, descending
        return True  # without an index it reads every document

    def count(self, collection: str, where: Sequence[Where] = ()) -> int:
        check_collection(collection)
        with self._file.reading() as db:
            return lists.count(db, collection, self._filtered, where)

    def find(self, value: str, type: str | None = None) -> list[str]:
        check_type(type)
        query = "select profile_id from identifier where value = ? and type = coalesce(?, type)"
        with self._file.reading() as db:
            found = {key for (key,) in db.execute(query, (value, type))}
            if type is None:
                itself = f"""select id from document where collection = '{PROFILES}' and id = ?
                    and coalesce(json_extract(body, '$.sync.state'), '') <> 'deleted'"""  # noqa: S608
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
            if collection == PROFILES:
                lists.remove(db, texts)
            db.executemany(_PUT, [(collection, key, version, text) for key, text in texts.items()])
            if collection == PROFILES:
                lists.add(db, texts)
                _index_identifiers(db, [(key, before.get(key), after[key]) for key in texts])
        return outcomes

    def _lacking(self, db: sqlite3.Connection) -> Sequence[str]:
        names = {name for (name,) in db.execute("select name from sqlite_master")}
        indexes = [text for name, text in self._indexes.items() if name not in names]
        return [*indexes, *lists.lacking(db, ORDERED[PROFILES], sorted(self._filtered))]


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


def _index(collection: str, path: str) -> str:
    return (
        f"create index \"{collection}.{path}\" on document (json_extract(body, '$.{path}'), id) "
        f"where collection = '{collection}'"
    )
