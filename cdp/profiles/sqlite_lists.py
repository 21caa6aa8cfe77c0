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
from dataclasses import dataclass
from typing import Any, Final

from cdp.profiles.port import ORDERED, PROFILES, Position, Where, check_path

# Up to so many profiles that meet some of the conditions, looking at each of them and sorting is
# sure to be quick; walking the index of the order may have to pass by all profiles.
_FEW: Final = 100_000

_BY_ID: Final = "sqlite_autoindex_document_1"  # SQLite's name for that of collection and id
_OWN: Final = {"number", "id", "facet", "key", "n"}


@dataclass(frozen=True, slots=True)
class Order:
    """By the value at `path`, or by id; `start` is where the page before ended."""

    path: str | None
    descending: bool
    start: Position | None


@dataclass(frozen=True, slots=True)
class Source:
    """SQL from `from` to the last condition, with the parameters in it.

    `id` and `value` spell the id and the value in the order, which is None for the order of ids.
    """

    text: str
    parameters: Sequence[Any]
    id: str
    value: str | None


def documents(collection: str, where: Sequence[Where], order: Order | None) -> Source:
    """Return what to read of a collection that has no entries; a count has no order."""
    paths = [order.path] if order else [condition.path for condition in where]
    indexed = (path for path in paths if path in ORDERED.get(collection, ()))
    index = next((f"{collection}.{path}" for path in indexed), _BY_ID)
    terms, parameters = _terms(where, _stored, order)
    return Source(
        f"from document as d indexed by \"{index}\" where d.collection = '{collection}'{terms}",
        parameters,
        "d.id",
        _stored(order.path) if order and order.path else None,
    )


def profiles(
    db: sqlite3.Connection, filtered: Collection[str], where: Sequence[Where], order: Order | None
) -> Source:
    """Return the entries to read, with their documents where a path has no column.

    SQLite has no statistics to plan with: what each index leaves to look at is counted, which
    takes a millisecond or two.
    """
    path = order.path if order else None
    ordered = ORDERED[PROFILES]
    facets = [c for c in where if _has_column(c, filtered)]
    ranges = [c for c in where if _has_column(c, ordered)]
    others = [c for c in where if not _has_column(c, {*ordered, *filtered})]
    left: dict[str, float] = {}
    terms, parameters = "", list[Any]()
    if facets:
        narrow, parameters = _terms(facets, _facet)
        # Who has no value at a path that is asked for is no match, whatever the value.
        asked = [name for name in ordered if name == path or name in {c.path for c in ranges}]
        narrow += "".join(f" and {_facet(name)} <> 'null'" for name in asked)
        left[_index("facet")] = _sum(db, narrow, parameters)
        terms = f" and e.facet in (select f.id from facet as f where true{narrow})"
    for name in dict.fromkeys(c.path for c in ranges):
        if min(left.values(), default=_FEW) < _FEW / 100:
            break
        bounds, values = _terms([c for c in ranges if c.path == name], _entry)
        met = f'select 1 from entry as e indexed by "{_index(name)}" where true{bounds} limit ?'
        (number,) = db.execute(f"select count(*) from ({met})", (*values, _FEW)).fetchone()
        left[_index(name)] = number if number < _FEW else float("inf")
    index = min(left, key=left.__getitem__, default=None)
    if order and (index is None or left[index] >= _FEW):
        if path and path in ordered:
            index = _index(path)
        elif len(left) < 2:
            # One condition that many meet is met soon, two may rule each other out.
            index = None
    if index:
        text = f'from entry as e indexed by "{index}"'
        if others or not (path is None or path in ordered):
            text += " cross join document as d on d.number = e.number"
        text += " where true"
    else:
        text = (
            f"from document as d indexed by {_BY_ID} cross join entry as e on e.number = d.number "
            f"where d.collection = '{PROFILES}'"
        )
    for conditions, spell in ((ranges, _entry), (others, _stored)):
        more, values = _terms(conditions, spell, order)
        terms += more
        parameters = [*parameters, *values]
    value = path and (_entry(path) if path in ordered else _stored(path))
    return Source(text + terms, parameters, "e.id" if index else "d.id", value)


def count(db: sqlite3.Connection, filtered: Collection[str], where: Sequence[Where]) -> int:
    """Return how many profiles meet every condition."""
    facets = [_facet_term(condition, filtered) for condition in where]
    known = [term for term in facets if term]
    if len(known) == len(where):
        values = [value for _, given in known for value in given]
        return _sum(db, "".join(text for text, _ in known), values)
    source = profiles(db, filtered, where, None)
    return int(db.execute(f"select count(*) {source.text}", source.parameters).fetchone()[0])


def _sum(db: sqlite3.Connection, terms: str, values: Sequence[Any]) -> int:
    query = f"select coalesce(sum(f.n), 0) from facet as f where true{terms}"
    return int(db.execute(query, values).fetchone()[0])


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


def stretches(source: Source, order: Order) -> tuple[list[tuple[str, list[Any]]], str]:
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
