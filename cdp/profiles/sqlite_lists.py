# ruff: noqa: S608 - our own names and checked paths are spelled into SQL; values never are
"""How pages and counts are read from SQLite.

Profiles are listed from narrow tables, kept in step with their documents. `entry`
has a row for each profile, with its values at the ordered paths and its `facet`: a row for each
combination of values at the filtered paths that occurs, with the number `n` of profiles that have
it. A million profiles have some ten thousand facets: conditions on filtered paths are answered by
those, and every index of `entry` holds all that a list needs, so that no document is read before
the page is known.

Values are what `json_extract` gives; null where a document has none.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cdp.profiles.port import ORDERED, PROFILES, Position, Where, check_path

# Up to so many profiles that meet some of the conditions, looking at each of them and sorting is
# sure to be quick. With more of them a page is likely to be full after so many in its order; where
# it is not, what was counted up to a limit tells which profiles to look at.
_FEW: Final = 20_000
_WINDOW: Final = 5_000
_COUNTED: Final = 150_000

_BY_ID: Final = "sqlite_autoindex_document_1"  # SQLite's name for that of collection and id
_OWN: Final = {"number", "id", "facet", "key", "n"}


@dataclass(frozen=True, slots=True)
class Order:
    """By the value at `path`, or by id; `start` is where the page before ended."""

    path: str | None
    descending: bool
    start: Position | None


@dataclass(frozen=True, slots=True)
class _Source:
    """SQL up to the conditions, the conditions, and the values in them.

    `id` and `value` spell the id and the value in the order, which is None for the order of ids.
    `window`, where there is one, are the tables in that order, and the conditions on it alone.
    """

    tables: str
    terms: str
    values: Sequence[Any]
    id: str
    value: str | None
    window: "_Source | None" = None


def page(
    db: sqlite3.Connection,
    collection: str,
    filtered: Collection[str],
    where: Sequence[Where],
    *,
    order: Order,
    limit: int,
) -> list[tuple[str, Any]]:
    """Return the id and the value in the order, of up to *limit* documents.

    Args:
        filtered: paths of profiles by which pages filter only.
    """
    if collection == PROFILES:
        source = _profiles(db, filtered, where, order)
    else:
        source = _documents(collection, where, order)
    if source.window and (found := _in_window(db, source, source.window, order, limit)) is not None:
        return found
    rows: list[tuple[str, Any]] = []
    stretches, by = _stretches(source, order)
    for stretch, bounds in stretches:
        query = (
            f"select {source.id}, {source.value or 'null'} "
            f"from {source.tables}{source.terms}{stretch} order by {by} limit ?"
        )
        rows += db.execute(query, (*source.values, *bounds, limit - len(rows))).fetchall()
    return rows


def count(
    db: sqlite3.Connection, collection: str, filtered: Collection[str], where: Sequence[Where]
) -> int:
    """Return how many documents meet every condition; *filtered* as for `page`."""
    if collection != PROFILES:
        source = _documents(collection, where, None)
    else:
        known = [c for c in where if _facet_term(c, filtered)]
        if len(known) == len(where):
            return _sum(db, *_facet_terms(known, filtered))
        source = _profiles(db, filtered, _needed(db, filtered, where), None)
    query = f"select count(*) from {source.tables}{source.terms}"
    return int(db.execute(query, source.values).fetchone()[0])


def _documents(collection: str, where: Sequence[Where], order: Order | None) -> _Source:
    """Return what to read of a collection that has no entries; a count has no order."""
    paths = [order.path] if order else [condition.path for condition in where]
    indexed = (path for path in paths if path in ORDERED.get(collection, ()))
    index = next((f"{collection}.{path}" for path in indexed), _BY_ID)
    terms, values = _terms(where, _stored, order)
    tables = f"document as d indexed by \"{index}\" where d.collection = '{collection}'"
    value = _stored(order.path) if order and order.path else None
    return _Source(tables, terms, values, "d.id", value)


def _profiles(
    db: sqlite3.Connection, filtered: Collection[str], where: Sequence[Where], order: Order | None
) -> _Source:
    """Return the entries to read, with their documents where a path has no column.

    SQLite has no statistics to plan with: what each index leaves to look at is counted.
    """
    path = order.path if order else None
    ordered = ORDERED[PROFILES]
    facets = [c for c in where if _has_column(c, filtered)]
    ranges = [c for c in where if _has_column(c, ordered)]
    others = [c for c in where if not _has_column(c, {*ordered, *filtered})]
    ranged = [name for name in ordered if any(c.path == name for c in ranges)]
    left: dict[str, float] = {}
    terms, values = "", list[Any]()
    if facets:
        narrow, values = _terms(facets, _facet)
        # Who has no value at a path that is asked for is no match, whatever the value.
        asked = [name for name in ordered if name in {path, *ranged}]
        narrow += "".join(f" and {_facet(name)} <> 'null'" for name in asked)
        left[_index("facet")] = _sum(db, narrow, values)
        terms = f" and e.facet in (select f.id from facet as f where true{narrow})"
    for name in ranged:
        if min(left.values(), default=_FEW) < _FEW:
            break
        own = [c for c in ranges if c.path == name]
        if all(_facet_term(c, filtered) for c in own):
            left[_index(name)] = float("inf")
            continue
        bounds, given = _terms(own, _entry)
        met = f'select 1 from entry as e indexed by "{_index(name)}" where true{bounds} limit ?'
        (number,) = db.execute(f"select count(*) from ({met})", (*given, _COUNTED)).fetchone()
        left[_index(name)] = number if number < _COUNTED else float("inf")
    for conditions, spell in ((ranges, _entry), (others, _stored)):
        more, given = _terms(conditions, spell, order)
        terms += more
        values = [*values, *given]

    index = min(left, key=left.__getitem__, default=None)
    joined = bool(others) or not (path is None or path in ordered)
    join = " cross join document as d on d.number = e.number" if joined else ""
    walk = None
    if order and path is None:
        tables = f"document as d indexed by {_BY_ID} cross join entry as e on e.number = d.number"
        walk = _Source(f"{tables} where d.collection = '{PROFILES}'", terms, values, "d.id", None)
    elif path and path in ordered:
        tables = f'entry as e indexed by "{_index(path)}"{join} where true'
        walk = _Source(tables, terms, values, "e.id", _entry(path))
    if walk and index in {None, path and _index(path)}:
        return walk
    tables = f'entry as e indexed by "{index}"' if index else "entry as e not indexed"
    value = path and (_entry(path) if path in ordered else _stored(path))
    source = _Source(f"{tables}{join} where true", terms, values, "e.id", value)
    if walk and index and left[index] >= _FEW and not joined:
        more, given = _terms([c for c in ranges if c.path == path], _entry, order)
        return replace(source, window=replace(walk, terms=more, values=given))
    return source


def _in_window(
    db: sqlite3.Connection, source: _Source, window: _Source, order: Order, limit: int
) -> list[tuple[str, Any]] | None:
    """Return the page, or None where it would take more than the window."""
    rows: list[tuple[str, Any]] = []
    _, by = _stretches(source, order)
    stretches, by_window = _stretches(window, order)
    for stretch, bounds in stretches:
        seen = (
            f"select e.* from {window.tables}{window.terms}{stretch} "
            f"order by {by_window} limit {_WINDOW}"
        )
        given = (*window.values, *bounds)
        query = (
            f"select {source.id}, {source.value or 'null'} from ({seen}) as e "
            f"where true{source.terms} order by {by} limit ?"
        )
        rows += db.execute(query, (*given, *source.values, limit - len(rows))).fetchall()
        if len(rows) == limit:
            return rows
        if db.execute(f"select count(*) from ({seen})", given).fetchone()[0] == _WINDOW:
            return None
    return rows


def _sum(db: sqlite3.Connection, terms: str, values: Sequence[Any]) -> int:
    query = f"select coalesce(sum(f.n), 0) from facet as f where true{terms}"
    return int(db.execute(query, values).fetchone()[0])


def _needed(
    db: sqlite3.Connection, filtered: Collection[str], where: Sequence[Where]
) -> Sequence[Where]:
    """Return *where* without what holds for whoever has a value at the other paths anyway."""
    implied = [c for c in where if not _has_column(c, filtered) and _facet_term(c, filtered)]
    others = [c for c in where if c not in implied]
    terms, values = _facet_terms([c for c in others if _has_column(c, filtered)], filtered)
    ranged = [c.path for c in others if _has_column(c, ORDERED[PROFILES])]
    terms += "".join(f" and {_facet(path)} <> 'null'" for path in ranged)
    terms += f" and not (true{_facet_terms(implied, filtered)[0]})"
    return where if _sum(db, terms, values) else others


def _facet_terms(where: Iterable[Where], filtered: Collection[str]) -> tuple[str, list[Any]]:
    terms = [term for condition in where if (term := _facet_term(condition, filtered))]
    return "".join(text for text, _ in terms), [value for _, values in terms for value in values]


def _facet_term(condition: Where, filtered: Collection[str]) -> tuple[str, list[Any]] | None:
    """Return the condition on facets that says the same, or None where none does."""
    if _has_column(condition, filtered):
        return _terms([condition], _facet)
    if condition.path in ORDERED[PROFILES] and condition.op == ">=":
        # The lowest value of a type: what a list implies that is in the order of this path.
        if condition.value == "":
            return f" and {_facet(condition.path)} = 'text'", []
        if condition.value == float("-inf"):
            return f" and {_facet(condition.path)} in ('integer', 'real')", []
    return None


def _stretches(source: _Source, order: Order) -> tuple[list[tuple[str, list[Any]]], str]:
    """Return the stretches to read one after the other, each with its values, and the order.

    What ties with the start is a stretch of its own, for then each one is one seek in the index.
    """
    direction, beyond = ("desc", "<") if order.descending else ("asc", ">")
    key, value, start = source.id, source.value, order.start
    if value is None:
        only: tuple[str, list[Any]] = (f" and {key} {beyond} ?", [start.id]) if start else ("", [])
        return [only], f"{key} {direction}"
    by = f"{value} {direction}, {key} {direction}"
    if start is None:
        # Minus infinity is below every number and every text: a document without a value, above.
        return [(f" and {value} >= -9e999", [])], by
    ties = (f" and {value} = ? and {key} {beyond} ?", [start.value, start.id])
    return [ties, (f" and {value} {beyond} ?", [start.value])], by


def _has_column(condition: Where, paths: Collection[str]) -> bool:
    """Whether the column of one of *paths* answers the condition: it holds true as 1."""
    return (
        condition.path in paths
        and condition.op != "contains"
        and not isinstance(condition.value, bool)
    )


def _terms(
    where: Iterable[Where], spell: Callable[[str], str], order: Order | None = None
) -> tuple[str, list[Any]]:
    """Return SQL that holds where every condition does, and its values."""
    terms: list[str] = []
    values: list[Any] = []
    for condition in where:
        # Where a page starts is the tighter bound; + keeps the index from using a looser one.
        bounded = order is not None and order.start is not None and order.path == condition.path
        value = spell(condition.path)
        lower = f"+{value}" if bounded and order and not order.descending else value
        upper = f"+{value}" if bounded and order and order.descending else value
        body = f"d.body, '$.{condition.path}'"
        given = condition.value
        if isinstance(given, list | tuple):
            terms.append(f"{value} in ({', '.join('?' * len(given))})")
            values += given
            continue
        values.append(given)
        match condition.op:
            case "contains":
                items = f"select item.value from json_each({body}) as item"
                terms.append(f"json_type({body}) = 'array' and ? in ({items})")
            case "==":
                terms.append(f"{value} = ?")
            case "<" | "<=" as op:
                terms.append(f"{upper} {op} ?")
            case ">" | ">=" as op:
                terms.append(f"{lower} {op} ?")
            case op:
                terms.append(f"{value} {op} ?")
        # SQLite compares across types: every number comes before every text, and true is 1.
        if isinstance(given, bool):
            terms.append(f"json_type({body}) in ('true', 'false')")
        elif isinstance(given, str) and condition.op in {"<", "<="}:
            terms.append(f"{lower} >= ''")
        elif not isinstance(given, str) and condition.op in {">", ">="}:
            terms.append(f"{upper} < ''")
    return "".join(f" and {term}" for term in terms), values


def _stored(path: str) -> str:
    return _extracted(path, "d.body")


def _entry(path: str) -> str:
    return f"e.{_column(path)}"


def _facet(path: str) -> str:
    """Return the value at a filtered path; of an ordered path, the type of the values."""
    return f"f.{_column(path)}"


def _extracted(path: str, body: str = "body") -> str:
    """Return the value at *path*; its parts need no quotes: see `check_path`."""
    return f"json_extract({body}, '$.{path}')"


def _column(path: str) -> str:
    return f'"{path}"'


def _index(path: str) -> str:
    return f"entry.{path}"


def lacking(
    db: sqlite3.Connection, ordered: Sequence[str], filtered: Sequence[str]
) -> Sequence[str]:
    """Return the statements that make and fill the tables; none where they have these paths.

    Paths that only other processes declare stay: none of them ever misses a column.
    """
    for path in (*ordered, *filtered):
        check_path(path)
    had, had_filtered = _columns(db)
    if {*ordered} <= {*had} and {*filtered} <= {*had_filtered}:
        return []
    ordered = [*dict.fromkeys([*had, *ordered])]
    filtered = [*dict.fromkeys([*had_filtered, *filtered])]
    columns = _list(ordered)
    return [
        "drop table if exists entry",
        "drop table if exists facet",
        f"""create table entry (
              number integer primary key, id text not null, facet integer not null, {columns}
            )""",
        # key: the values as JSON, and the types; unlike columns, it is unique also with nulls.
        f"""create table facet (
              id integer primary key, key text not null unique, n integer not null,
              {_list([*filtered, *ordered])}
            )""",
        *_filling(ordered, filtered, ""),
        f'create index "{_index("facet")}" on entry (facet, {columns})',
        *(
            f'create index "{_index(path)}" on entry ({_column(path)}, id, facet, '
            f"{_list(other for other in ordered if other != path)}) "
            f"where {_column(path)} is not null"
            for path in ordered
        ),
    ]


def remove(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Take profiles off the lists, before they are written or deleted."""
    among = (json.dumps([*ids]),)
    db.execute(
        f"""update facet set n = n - gone.many from (
              select e.facet, count(*) as many
              from document as d cross join entry as e on e.number = d.number
              where d.collection = '{PROFILES}'{_AMONG} group by e.facet
            ) as gone where id = gone.facet""",
        among,
    )
    db.execute(
        f"""delete from entry where number in (
              select d.number from document as d where d.collection = '{PROFILES}'{_AMONG}
            )""",
        among,
    )


def add(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """List profiles as they are stored now; they were removed before they were written."""
    fresh, *others = _filling(*_columns(db), _AMONG)
    db.execute(fresh, (json.dumps([*ids]),))
    for statement in others:
        db.execute(statement)
    # A combination that nobody has any more: others may have written anything into a document.
    db.execute("delete from facet where n = 0")


_AMONG: Final = " and d.id in (select value from json_each(?))"


def _filling(ordered: Sequence[str], filtered: Sequence[str], among: str) -> list[str]:
    """Return the statements that list profiles, each read once; *among* narrows them."""
    values = ", ".join(f"{_stored(path)} as {_column(path)}" for path in [*filtered, *ordered])
    paths = ", ".join(f"'$.{path}'" for path in filtered)
    types = [f"typeof({_column(path)})" for path in ordered]
    key = " || ".join(f"substr({type_}, 1, 1)" for type_ in types)
    return [
        f"""create temp table fresh as
            select *, filters || {key} as key
            from (
              select d.number, d.id, json_extract(d.body, {paths}) as filters, {values}
              from document as d where d.collection = '{PROFILES}'{among}
            )""",
        f"""insert into facet (key, n, {_list([*filtered, *ordered])})
            select key, count(*), {", ".join([_list(filtered), *types])}
            from fresh where true group by key
            on conflict (key) do update set n = n + excluded.n""",
        f"""insert into entry (number, id, facet, {_list(ordered)})
            select r.number, r.id, f.id, {", ".join(f"r.{_column(path)}" for path in ordered)}
            from fresh as r join facet as f on f.key = r.key""",
        "drop table fresh",
    ]


def _columns(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """Return the ordered and the filtered paths that the file has columns for."""
    entry, facet = (
        [row[1] for row in db.execute(f"pragma table_info({table})") if row[1] not in _OWN]
        for table in ("entry", "facet")
    )
    return entry, [path for path in facet if path not in entry]


def _list(paths: Iterable[str]) -> str:
    return ", ".join(map(_column, paths))
