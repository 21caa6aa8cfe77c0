"""BigQuery SQL → DuckDB SQL: sqlglot's translation, and what it gets slow or wrong.

Each construct that the statements use has a golden result in the tests of this module: a
translation that is wrong without an error is found no other way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlglot
from sqlglot import exp

from cdp.domain.errors import CdpError
from cdp.warehouse.port import Value, type_of

EXPORT_TABLES: Final = "events_*"


class DialectError(CdpError):
    """A statement uses something that has no equal in DuckDB; names it."""


@dataclass(frozen=True, slots=True)
class Translated:
    """DuckDB statements in order, with the parameters that each names."""

    sql: str
    parameters: frozenset[str]
    kind: str  # select, create, insert, update, delete, merge, begin, commit
    reads_export: bool


@lru_cache(maxsize=256)
def translate(sql: str, types: tuple[tuple[str, str], ...]) -> tuple[Translated, ...]:
    """Return the statements of *sql* in DuckDB's dialect.

    Args:
        sql: one statement or several, separated by semicolons, with `@name` parameters.
        types: each parameter's BigQuery type, so that an empty list still has one.

    Raises:
        DialectError: does not parse, or sqlglot says that something was left out.
    """
    try:
        parsed = [tree for tree in sqlglot.parse(sql, dialect="bigquery") if tree is not None]
    except sqlglot.errors.ParseError as error:
        raise DialectError(f"not BigQuery SQL: {error}") from None
    return tuple(_translate(tree, dict(types)) for tree in parsed)


def parameter_types(parameters: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
    """Return each parameter's BigQuery type, by name; an empty list counts as strings."""
    return tuple(sorted((name, _type(value)) for name, value in parameters.items()))


def _type(value: Value) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"ARRAY<{type_of(value[0]) if value else 'STRING'}>"
    return type_of(value)


def _translate(tree: exp.Expr, types: Mapping[str, str]) -> Translated:
    kind = type(tree).__name__.lower()
    kind = {"transaction": "begin", "command": "command"}.get(kind, kind)
    if kind == "command":
        raise DialectError(f"{tree.sql(dialect='bigquery')[:80]!r} has no equal in DuckDB")
    reads_export = any(table.name == EXPORT_TABLES for table in tree.find_all(exp.Table))
    names = frozenset(parameter.name for parameter in tree.find_all(exp.Parameter))
    unknown = names - types.keys()
    if unknown:
        raise DialectError(f"no value for parameter @{', @'.join(sorted(unknown))}")
    tree = tree.transform(_list_lookup).transform(_list_text)
    tree = tree.transform(_membership)
    tree = tree.transform(lambda node: _typed_parameter(node, types))
    tree = tree.transform(_without_storage)
    sql = tree.sql(dialect="duckdb", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)
    # All times are UTC, here as in the statements: DuckDB's zoned type only costs.
    return Translated(sql.replace("TIMESTAMPTZ", "TIMESTAMP"), names, kind, reads_export)


_STORAGE: Final = (exp.PartitionedByProperty, exp.Cluster, exp.ClusterProperty)


def _without_storage(node: exp.Expr) -> exp.Expr:
    """Leave out partitions and clusters: they steer only BigQuery's storage."""
    if isinstance(node, exp.Properties):
        node.set(
            "expressions",
            [
                kept
                for kept in node.expressions
                if not isinstance(
                    kept, exp.PartitionedByProperty | exp.Cluster | exp.ClusterProperty
                )
            ],
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
    return exp.Anonymous(this="list_contains", expressions=[array, node.this])


def _unnest_of(select: exp.Expr) -> tuple[exp.Expr, str] | None:
    """Return array and alias of `SELECT … FROM UNNEST(array) AS alias`, and of nothing else."""
    if not isinstance(select, exp.Select) or select.args.get("joins"):
        return None
    source = select.args.get("from_") or select.args.get("from")
    unnest = source.this if source else None
    if not isinstance(unnest, exp.Unnest) or len(unnest.expressions) != 1:
        return None
    alias = unnest.args.get("alias")
    if alias is None or not alias.columns:
        return None
    return unnest.expressions[0], alias.columns[0].name


def _list_lookup(node: exp.Expr) -> exp.Expr:
    """`(SELECT p.x FROM UNNEST(a) AS p WHERE c LIMIT 1)` → `LIST_FILTER(a, p -> c)[1].x`.

    DuckDB makes a join of each such sub-select: 40 times slower on the GA4 export.
    """
    if not isinstance(node, exp.Subquery) or not isinstance(node.this, exp.Select):
        return node
    select = node.this
    found = _unnest_of(select)
    where = select.args.get("where")
    if found is None or where is None or len(select.expressions) != 1:
        return node
    value = select.expressions[0]
    if not isinstance(value, exp.Dot | exp.Column) or select.args.get("limit") is None:
        return node
    array, alias = found
    path = value.sql(dialect="duckdb").removeprefix(f"{alias}.").removeprefix(f'"{alias}".')
    condition = where.this.sql(dialect="duckdb")
    text = f"list_filter({array.sql(dialect='duckdb')}, lambda {alias}: {condition})[1].{path}"
    return _raw(text)


def _list_text(node: exp.Expr) -> exp.Expr:
    """`(SELECT STRING_AGG(f(p), s ORDER BY f(p)) FROM UNNEST(a) AS p)` → a sorted list's text."""
    if not isinstance(node, exp.Subquery) or not isinstance(node.this, exp.Select):
        return node
    select = node.this
    found = _unnest_of(select)
    if found is None or select.args.get("where") or len(select.expressions) != 1:
        return node
    aggregate = select.expressions[0]
    if not isinstance(aggregate, exp.GroupConcat) or not isinstance(aggregate.this, exp.Order):
        return node
    array, alias = found
    value = aggregate.this.this
    keys = aggregate.this.expressions
    if len(keys) != 1 or keys[0].this != value:
        return node
    separator = aggregate.args["separator"].sql(dialect="duckdb")
    text = (
        f"nullif(array_to_string(list_sort(list_transform({array.sql(dialect='duckdb')}, "
        f"lambda {alias}: {value.sql(dialect='duckdb')})), {separator}), '')"
    )
    return _raw(text)


def _raw(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect="duckdb")


def bind(statement: Translated, parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Return the parameters that *statement* names, as DuckDB takes them."""
    return {name: parameters[name] for name in statement.parameters}
