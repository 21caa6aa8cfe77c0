"""BigQuery SQL → DuckDB SQL: sqlglot's translation, and what it gets slow or wrong.

Each construct that the statements use has a golden result in the tests of this module: a
translation that is wrong without an error is found no other way.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlglot
from sqlglot import exp

from cdp.domain.errors import CdpError
from cdp.warehouse.port import Value, type_of


class DialectError(CdpError):
    """A statement uses something that has no equal in DuckDB; names it."""


@dataclass(frozen=True, slots=True)
class Translated:
    """DuckDB statements in order, with the parameters that each names."""

    sql: str
    parameters: frozenset[str]
    kind: str  # select, create, alter, drop, insert, update, delete, merge, begin, commit


PARSING: Final = threading.RLock()
"""Held while sqlglot works: two threads that parse at once have failed on each other's tokens."""


def translate(sql: str, types: tuple[tuple[str, str], ...]) -> tuple[Translated, ...]:
    """Return the statements of *sql* in DuckDB's dialect.

    Args:
        sql: one statement or several, separated by semicolons, with `@name` parameters.
        types: each parameter's BigQuery type, so that an empty list still has one.

    Raises:
        DialectError: does not parse, or sqlglot says that something was left out.
    """
    with PARSING:
        return _translated(sql, types)


def exported(sql: str) -> tuple[str, str]:
    """Return the URI and the SELECT of an EXPORT DATA statement, in BigQuery's dialect."""
    with PARSING:
        tree = sqlglot.parse_one(sql, dialect="bigquery")
        options = tree.args["options"].expressions
        (uri,) = (option.args["value"].name for option in options if option.this.name == "uri")
        return uri, tree.this.sql("bigquery")


@lru_cache(maxsize=256)
def _translated(sql: str, types: tuple[tuple[str, str], ...]) -> tuple[Translated, ...]:
    try:
        parsed = [tree for tree in sqlglot.parse(sql, dialect="bigquery") if tree is not None]
    except (sqlglot.errors.ParseError, sqlglot.errors.TokenError) as error:
        raise DialectError(f"not BigQuery SQL: {error}") from None
    try:
        return tuple(_translate(tree, dict(types)) for tree in parsed)
    except sqlglot.errors.UnsupportedError as error:
        raise DialectError(f"has no equal in DuckDB: {error}") from None


def parameter_types(parameters: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
    """Return each parameter's BigQuery type, by name; an empty list counts as strings."""
    return tuple(sorted((name, _type(value)) for name, value in parameters.items()))


def _type(value: Value) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"ARRAY<{type_of(value[0]) if value else 'STRING'}>"
    return type_of(value)


_KINDS: Final = frozenset(
    (
        *("select", "union", "create", "alter", "drop"),
        *("insert", "update", "delete", "merge", "begin", "commit"),
    )
)


def _translate(tree: exp.Expr, types: Mapping[str, str]) -> Translated:
    kind = type(tree).__name__.lower()
    kind = {"transaction": "begin"}.get(kind, kind)
    if kind not in _KINDS:
        raise DialectError(f"{tree.sql(dialect='bigquery')[:80]!r} has no equal in DuckDB")
    names = frozenset(parameter.name for parameter in tree.find_all(exp.Parameter))
    unknown = names - types.keys()
    if unknown:
        raise DialectError(f"no value for parameter @{', @'.join(sorted(unknown))}")
    for rewrite in (*_REWRITES, lambda node: _typed_parameter(node, types), _without_storage):
        tree = tree.transform(rewrite, copy=False)  # it was parsed for this
    sql = tree.sql(dialect="duckdb", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)
    return Translated(_without_zones(sql), names, kind)


_STORAGE: Final = (exp.PartitionedByProperty, exp.Cluster, exp.ClusterProperty)


def _without_storage(node: exp.Expr) -> exp.Expr:
    """Leave out partitions and clusters: they steer only BigQuery's storage."""
    if isinstance(node, exp.Properties):
        node.set(
            "expressions",
            [kept for kept in node.expressions if not isinstance(kept, _STORAGE)],
        )
    return node


def _typed_parameter(node: exp.Expr, types: Mapping[str, str]) -> exp.Expr:
    """Give each parameter its type: DuckDB cannot tell an empty list's."""
    if not isinstance(node, exp.Parameter) or isinstance(node.parent, exp.Cast):
        return node
    return exp.cast(node.copy(), exp.DataType.build(types[node.name], dialect="bigquery"))


def _membership(node: exp.Expr) -> exp.Expr:
    """`x IN UNNEST(@list)` → `LIST_CONTAINS(@list, x)`: lists of parameters hold no null."""
    if not isinstance(node, exp.In) or node.args.get("unnest") is None:
        return node
    array = node.args["unnest"].expressions[0]
    if not isinstance(array, exp.Parameter):
        return node
    # Nothing, not even null, is in an empty list; whether null is in another is unknown.
    empty = exp.EQ(this=exp.func("len", array.copy()), expression=exp.Literal.number(0))
    contains = exp.Anonymous(this="list_contains", expressions=[array, node.this])
    return exp.Case().when(empty, exp.false()).else_(contains)


def _element(node: exp.Expr) -> exp.Expr:
    """`a[SAFE_OFFSET(0)]` → `LIST_EXTRACT(a, 1)`.

    A function, because sqlglot shifts the index of a bracket each time that it writes or reads it:
    it gets `PARSE_DATE` and others by reading what it wrote, and so shifts twice.
    """
    if not isinstance(node, exp.Bracket):
        return node
    index = node.expressions[0]
    if not node.args.get("safe") or len(node.expressions) != 1 or not index.is_int:
        raise DialectError(
            f"{node.sql(dialect='bigquery')!r}: write SAFE_OFFSET with a number; DuckDB raises no "
            "error outside of an array, and counts negative indexes from its end"
        )
    place = int(index.to_py()) + 1 - int(node.args["offset"])
    if place < 1:
        return exp.null()
    return exp.Anonymous(this="list_extract", expressions=[node.this, exp.Literal.number(place)])


# What BigQuery's TRIM takes off; DuckDB's takes off spaces only.
_SPACE: Final = r"[\t-\r\x{85}\p{Z}]+"


def _trimmed(node: exp.Expr) -> exp.Expr:
    """`TRIM(x)` → `REGEXP_REPLACE(…)`: tabs, line ends and other white space go, too."""
    if not isinstance(node, exp.Trim) or node.args.get("expression") is not None:
        return node
    left, right = f"^{_SPACE}", f"{_SPACE}$"
    pattern = {"LEADING": left, "TRAILING": right}.get(
        str(node.args.get("position") or ""), f"{left}|{right}"
    )
    texts = [exp.Literal.string(text) for text in (pattern, "", "g")]
    return exp.Anonymous(this="regexp_replace", expressions=[node.this, *texts])


def _without_nulls(node: exp.Expr) -> exp.Expr:
    """`ARRAY_CONCAT(a, b)` → `a || b`: null if one is; DuckDB's LIST_CONCAT passes over nulls."""
    if not isinstance(node, exp.ArrayConcat):
        return node
    arrays = [exp.Paren(this=array) for array in (node.this, *node.expressions)]
    joined: exp.Expr = arrays[0]
    for array in arrays[1:]:
        joined = exp.DPipe(this=joined, expression=array)
    return exp.Paren(this=joined)


def _count(node: exp.Expr) -> exp.Expr:
    """`COUNTIF(c)` → `COUNT(CASE WHEN c THEN 1 END)`: DuckDB's COUNT_IF is null over no row."""
    if not isinstance(node, exp.CountIf):
        return node
    return exp.Count(this=exp.Case().when(node.this, exp.Literal.number(1)))


def _real(node: exp.Expr) -> exp.Expr:
    """`0.5` → `CAST(0.5 AS DOUBLE)`: DuckDB takes it for a decimal."""
    if not isinstance(node, exp.Literal) or node.is_string or node.is_int:
        return node
    return exp.cast(node.copy(), exp.DType.DOUBLE)


def _unnest_of(select: exp.Select) -> tuple[exp.Expr, str] | None:
    """Return array and alias of `SELECT x FROM UNNEST(array) AS alias [WHERE …] [LIMIT …]`."""
    clauses = {name for name, clause in select.args.items() if clause}
    if not clauses <= {"expressions", "from_", "where", "limit"} or len(select.expressions) != 1:
        return None
    source = select.args.get("from_")
    unnest = source.this if source else None
    if not isinstance(unnest, exp.Unnest) or len(unnest.expressions) != 1:
        return None
    alias = unnest.args.get("alias")
    if alias is None or not alias.columns or unnest.args.get("offset"):
        return None
    return unnest.expressions[0], alias.columns[0].name


def _list_lookup(node: exp.Expr) -> exp.Expr:
    """`(SELECT p.x FROM UNNEST(a) AS p WHERE c LIMIT 1)` → `LIST_FILTER(a, p -> c)`, its first's x.

    DuckDB makes a join of each such sub-select: 40 times slower on the GA4 export.
    """
    if not isinstance(node, exp.Subquery) or not isinstance(node.this, exp.Select):
        return node
    select = node.this
    found = _unnest_of(select)
    where, limit = select.args.get("where"), select.args.get("limit")
    if found is None or where is None or limit is None:
        return node
    array, alias = found
    value = select.expressions[0]
    if limit.expression != exp.Literal.number(1) or not isinstance(value, exp.Column):
        return node
    parts = value.parts
    if parts[0].name != alias or len(parts) == 1 or select.find(exp.Subquery):
        return node
    for column in where.find_all(exp.Column):
        if len(column.parts) == 1 and column.name != alias:
            raise DialectError(
                f"{column.name!r} in {select.sql(dialect='bigquery')!r}: write "
                f"{alias}.{column.name} for a field of the array's element"
            )
    path = ".".join(part.sql(dialect="duckdb") for part in parts[1:])
    listed = f"list_filter({array.sql(dialect='duckdb')}, {_lambda(alias, where.this)})"
    return _raw(f"list_extract({listed}, 1).{path}")


def _list_text(node: exp.Expr) -> exp.Expr:
    """`(SELECT STRING_AGG(f(p), s ORDER BY f(p)) FROM UNNEST(a) AS p)` → a sorted list's text."""
    if not isinstance(node, exp.Subquery) or not isinstance(node.this, exp.Select):
        return node
    select = node.this
    found = _unnest_of(select)
    if found is None or select.args.get("where") or select.args.get("limit"):
        return node
    aggregate = select.expressions[0]
    if not isinstance(aggregate, exp.GroupConcat) or not isinstance(aggregate.this, exp.Order):
        return node
    array, alias = found
    value = aggregate.this.this
    keys = aggregate.this.expressions
    if len(keys) != 1 or keys[0].this != value or keys[0].args.get("desc"):
        return node
    separator = aggregate.args.get("separator") or exp.Literal.string(",")
    listed = f"list_transform({array.sql(dialect='duckdb')}, {_lambda(alias, value)})"
    text = separator.sql(dialect="duckdb")
    return _raw(f"list_aggregate(list_sort({listed}), 'string_agg', {text})")


def _list_map(node: exp.Expr) -> exp.Expr:
    """`ARRAY(SELECT f(p) FROM UNNEST(a) AS p WITH OFFSET AS n ORDER BY n)` → `LIST_TRANSFORM(…)`.

    DuckDB makes a join of it, over every row, also those that a CASE keeps out. Within the function
    a regular expression is compiled again for each 2,048 rows: keep long ones outside.
    """
    if not isinstance(node, exp.Array) or len(node.expressions) != 1:
        return node
    select = node.expressions[0]
    if not isinstance(select, exp.Select) or len(select.expressions) != 1:
        return node
    clauses = {name for name, clause in select.args.items() if clause}
    unnest = select.args["from_"].this if "from_" in clauses else None
    if clauses != {"expressions", "from_", "order"} or not isinstance(unnest, exp.Unnest):
        return node
    offset, alias, keys = unnest.args.get("offset"), unnest.args["alias"], select.args["order"]
    if offset is None or [key.sql() for key in keys.expressions] != [offset.sql()]:
        return node
    listed = unnest.expressions[0].sql(dialect="duckdb")
    each = _lambda(alias.columns[0].name, select.expressions[0].transform(_list_map))
    # Of null there is an empty array.
    return _raw(f"coalesce(list_transform({listed}, {each}), [])")


def _lambda(alias: str, body: exp.Expr) -> str:
    """Return a function of *alias*, renamed: DuckDB prefers a column of the same name."""
    body = body.copy()
    for column in list(body.find_all(exp.Column)):
        first = column.parts[0]
        if first.name == alias:
            first.replace(exp.to_identifier(f"each_{alias}"))
    return f"lambda each_{alias}: {body.sql(dialect='duckdb')}"


def _composed(node: exp.Expr) -> exp.Expr:
    """`NORMALIZE(x, NFC)` → `NFC_NORMALIZE(x)`."""
    if not isinstance(node, exp.Normalize) or node.args.get("is_casefold"):
        return node
    if node.args["form"].name.upper() != "NFC":
        raise DialectError(f"{node.sql(dialect='bigquery')!r}: DuckDB knows NFC only")
    return exp.Anonymous(this="nfc_normalize", expressions=[node.this])


def _text(node: exp.Expr) -> exp.Expr:
    """`SAFE_CONVERT_BYTES_TO_STRING(x)` → `DECODE(x)`, which fails where bytes are no UTF-8."""
    if not isinstance(node, exp.SafeConvertBytesToString):
        return node
    return exp.Anonymous(this="decode", expressions=[node.this])


_REWRITES: Final = (
    _composed,
    _element,
    _list_lookup,
    _list_map,
    _list_text,
    _trimmed,
    _without_nulls,
    _membership,
    _count,
    _real,
    _text,
)


def _raw(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect="duckdb")


def _without_zones(sql: str) -> str:
    """All times are UTC, here as in the statements: DuckDB's zoned type only costs."""
    zoned = [
        token
        for token in sqlglot.tokenize(sql, "duckdb")
        if token.token_type is sqlglot.TokenType.TIMESTAMPTZ
    ]
    for token in reversed(zoned):
        sql = f"{sql[: token.start]}TIMESTAMP{sql[token.end + 1 :]}"
    return sql


def bind(statement: Translated, parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Return the parameters that *statement* names, as DuckDB takes them."""
    return {name: parameters[name] for name in statement.parameters}
