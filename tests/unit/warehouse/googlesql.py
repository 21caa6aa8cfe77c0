"""GoogleSQL itself, offline: Google's analyzer and reference engine, from the package `zetasql`.

The engine is WebAssembly; translating it to machine code takes some 12 s of two cores, so that its
result is kept beside pytest's cache.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import sqlglot
import wasmtime
from zetasql import types
from zetasql.api import Analyzer, CatalogBuilder, TypeFactory, Value
from zetasql.core import wasm_client
from zetasql.core.local_service import ZetaSqlLocalService
from zetasql.types import TypeKind
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2

SEMICOLON: Final = sqlglot.TokenType.SEMICOLON

# What the analyzer knows and BigQuery does not, as far as a statement could use it unawares.
_NOT_IN_BIGQUERY: Final = frozenset(
    f"FEATURE_{name}"
    for name in (
        "AGGREGATE_FILTERING",
        "ARRAY_EQUALITY",
        "ARRAY_ORDERING",
        "CAST_DIFFERENT_ARRAY_TYPES",
        "CONCAT_MIXED_TYPES",
        "LATERAL_JOIN",
        "LIMIT_OFFSET_EXPRESSIONS",
        "MULTILEVEL_AGGREGATION",
        "TEMPLATE_FUNCTIONS",
        "TIMESTAMP_NANOS",
        "TIMESTAMP_PICOS",
        "UUID_TYPE",
        "WITH_EXPRESSION",
    )
)
# BigQuery takes GROUP BY on a FLOAT64, but no PARTITION BY; no statement needs either.
_STRICTER: Final = ("FEATURE_DISALLOW_GROUP_BY_FLOAT",)
# AT, FULL, HASH, ROWS, SET and the like are always reserved in GoogleSQL; these BigQuery reserves
# besides, of those that the analyzer leaves to its host.
_RESERVED: Final = ("QUALIFY",)

Columns = Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Table:
    """A table's columns, and rows in Python's values."""

    columns: Columns
    rows: Sequence[Sequence[Any]] = ()


class GoogleSqlError(Exception):
    """The analyzer or the engine refused; its words."""


class GoogleSql:
    """The language as BigQuery speaks it; *compiled* is a folder to keep machine code in."""

    def __init__(self, compiled: Path) -> None:
        wasm_client.Module = _Compiled(compiled)
        self._language = types.LanguageOptions.maximum_features()
        kept = {
            feature.value
            for feature in map(types.LanguageFeature, self._language.enabled_language_features)
            if feature.name not in _NOT_IN_BIGQUERY
        }
        kept |= {types.LanguageFeature[name].value for name in _STRICTER}
        self._language.enabled_language_features = sorted(kept)
        self._language.product_mode = types.ProductMode.PRODUCT_EXTERNAL
        self._language.reserved_keywords = list(_RESERVED)

    def analyze(
        self, sql: str, tables: Mapping[str, Columns] = {}, parameters: Mapping[str, str] = {}
    ) -> Any:
        """Return the resolved statement; *parameters* gives each one's type by name.

        Raises:
            GoogleSqlError: what is wrong, with its place.
        """
        catalog = self._catalog(tables)
        try:
            return Analyzer(self._options(parameters), catalog).analyze_statement(sql)
        except Exception as error:  # noqa: BLE001 - the package has no class of its own for all
            raise GoogleSqlError(str(error)) from None

    def columns(self, sql: str) -> list[tuple[str, Any]]:
        """Return names and types of the columns that a CREATE TABLE makes."""
        return columns_of(self.analyze(sql))

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any] = {},
        kinds: Mapping[str, str] = {},
        tables: Mapping[str, Table] = {},
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query, in Python's values.

        Raises:
            GoogleSqlError: not valid, or failed while it ran.
        """
        done = self._evaluate("Query", sql, parameters, kinds, tables)
        columns = [column.type for column in done.prepared.columns]
        return [_row(row.cell, columns) for row in done.content.table_data.row]

    def changes(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        kinds: Mapping[str, str],
        tables: Mapping[str, Table],
    ) -> list[tuple[Any, ...]]:
        """Return the rows that an INSERT or UPDATE leaves; of a DELETE an empty row for each.

        Raises:
            GoogleSqlError: not valid, or failed while it ran.
        """
        done = self._evaluate("Modify", sql, parameters, kinds, tables)
        columns = [kind for _, kind in tables[done.table_name].columns]
        return [_row(row.cell, columns) if row.cell else () for row in done.content]

    def _evaluate(
        self,
        what: str,
        sql: str,
        parameters: Mapping[str, Any],
        kinds: Mapping[str, str],
        tables: Mapping[str, Table],
    ) -> Any:
        request = getattr(types, f"Evaluate{what}Request")(
            sql=sql,
            options=self._options(kinds),
            simple_catalog=self._catalog({name: table.columns for name, table in tables.items()}),
            params=_bound(parameters),
        ).to_proto()
        for name, table in tables.items():
            content = request.table_content[name].table_data
            content.SetInParent()
            for row in table.rows:
                cells = content.row.add().cell
                for value, (_, kind) in zip(row, table.columns, strict=True):
                    _fill(cells.add(), value, kind)
        try:
            # Not the package's own methods: they lose the types of times.
            return ZetaSqlLocalService.get_instance().wasm_client.call_grpc_func(
                f"ZetaSqlLocalService_Evaluate{what}",
                request,
                getattr(local_service_pb2, f"Evaluate{what}Response"),
            )
        except Exception as error:  # noqa: BLE001 - the package has no class of its own for all
            raise GoogleSqlError(str(error)) from None

    def _options(self, parameters: Mapping[str, str]) -> types.AnalyzerOptions:
        return types.AnalyzerOptions(
            language_options=self._language,
            default_timezone="UTC",
            query_parameters=[
                types.AnalyzerOptions.QueryParameter(name=name, type=type_named(kind))
                for name, kind in parameters.items()
            ],
        )

    def _catalog(self, tables: Mapping[str, Columns]) -> Any:
        builder = CatalogBuilder("warehouse").with_builtin_functions(
            types.ZetaSQLBuiltinFunctionOptions(language_options=self._language)
        )
        for name, columns in tables.items():
            builder = builder.add_table(_table(name, columns))
        return builder.build()


def columns_of(statement: Any) -> list[tuple[str, Any]]:
    """Return names and types of the columns of a resolved CREATE TABLE."""
    return [(column.name, column.type) for column in statement.column_definition_list]


def altered(statement: Any, columns: Columns) -> list[tuple[str, Any]]:
    """Return what a resolved ALTER TABLE makes of *columns*, adding and dropping some."""
    left = dict(columns)
    for action in statement.alter_action_list:
        if type(action).__name__ == "ResolvedDropColumnAction":
            left.pop(action.name, None)
        else:
            added = action.column_definition
            left.setdefault(added.name, added.type)
    return list(left.items())


def type_named(kind: str) -> Any:
    """Return the type that BigQuery's REST API calls *kind*, or `ARRAY<kind>`."""
    if kind.startswith("ARRAY<"):
        return TypeFactory.create_array_type(type_named(kind[6:-1]))
    kind = {"FLOAT64": "DOUBLE"}.get(kind, kind)
    return TypeFactory.create_simple_type(TypeKind[f"TYPE_{kind}"])


def split(script: str) -> list[str]:
    """Return the statements of *script* as they are written, comments included."""
    ends = [t.start for t in sqlglot.tokenize(script, "bigquery") if t.token_type is SEMICOLON]
    starts = [0, *(end + 1 for end in ends)]
    parts = [script[start:end] for start, end in zip(starts, [*ends, None], strict=True)]
    return [part for part in parts if sqlglot.tokenize(part, "bigquery")]


class _Compiled:
    """Stands in for `wasmtime.Module`: translates a file once, and keeps the result in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def from_file(self, engine: wasmtime.Engine, path: str) -> wasmtime.Module:
        kept = self._folder / f"{version('zetasql')}-{version('wasmtime')}.cwasm"
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of two processes, one translates it
            try:
                return wasmtime.Module.deserialize_file(engine, str(kept))
            except wasmtime.WasmtimeError:  # not there yet, or of another machine
                module = wasmtime.Module.from_file(engine, path)
            temporary = kept.with_suffix(f".{os.getpid()}")
            temporary.write_bytes(module.serialize())
            temporary.replace(kept)
        return module


def _table(name: str, columns: Columns) -> types.SimpleTable:
    table = types.SimpleTable(name=name)
    for column, kind in columns:
        pseudo = column.startswith("_")  # as BigQuery's are: `select *` leaves them out
        table.column.append(
            types.SimpleColumn(
                name=column, type=kind, is_pseudo_column=pseudo, is_writable_column=not pseudo
            )
        )
    return table


def _bound(parameters: Mapping[str, Any]) -> list[types.Parameter]:
    return [
        types.Parameter(name=name, value=_value(value).to_proto())
        for name, value in parameters.items()
    ]


_VALUES: Final[Mapping[type, Callable[[Any], Value]]] = {
    bool: Value.bool,
    int: Value.int64,
    float: Value.double,
    str: Value.string,
    date: lambda day: Value.date(day.year, day.month, day.day),
    datetime: Value.timestamp,
}


def _value(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return Value.array([_value(item) for item in value])
    return _VALUES[type(value)](value)


def _fill(cell: Any, value: Any, kind: Any) -> None:
    """Write a value of DuckDB's into *cell*; a null array is empty, as where BigQuery stores it."""
    if kind.type_kind is TypeKind.TYPE_ARRAY:
        cell.array_value.SetInParent()
        for item in value or ():
            _fill(cell.array_value.element.add(), item, kind.array_type.element_type)
    elif kind.type_kind is TypeKind.TYPE_STRUCT and value is not None:
        cell.struct_value.SetInParent()
        for part in kind.struct_type.field:
            _fill(cell.struct_value.field.add(), value[part.field_name], part.field_type)
    elif kind.type_kind is TypeKind.TYPE_TIMESTAMP and value is not None:
        cell.timestamp_value.FromDatetime(value)
    elif kind.type_kind is TypeKind.TYPE_DATE and value is not None:
        cell.date_value = (value - date(1970, 1, 1)).days
    elif value is not None:
        setattr(cell, _FIELDS[kind.type_kind], value)


_FIELDS: Final = {
    TypeKind.TYPE_BOOL: "bool_value",
    TypeKind.TYPE_DOUBLE: "double_value",
    TypeKind.TYPE_INT64: "int64_value",
    TypeKind.TYPE_STRING: "string_value",
}


def _row(cells: Iterable[Any], columns: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(_python(cell, kind) for cell, kind in zip(cells, columns, strict=True))


def rest(name: str, kind: Any) -> dict[str, Any]:
    """Return a column as BigQuery's REST API tells it."""
    mode = "NULLABLE"
    if kind.type_kind is TypeKind.TYPE_ARRAY:
        mode, kind = "REPEATED", kind.array_type.element_type
    field = {"name": name, "type": _REST[kind.type_kind], "mode": mode}
    if kind.struct_type:
        parts = kind.struct_type.field
        field["fields"] = [rest(part.field_name, part.field_type) for part in parts]
    return field


def columns_from(fields: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Return the columns that BigQuery's REST API tells as *fields*."""
    return [(field["name"], _type_from(field)) for field in fields]


def _type_from(field: Mapping[str, Any]) -> Any:
    kinds = {name: kind for kind, name in _REST.items()}
    if field["type"] == "RECORD":
        kind = TypeFactory.create_struct_type(columns_from(field["fields"]))
    else:
        kind = TypeFactory.create_simple_type(kinds[field["type"]])
    return TypeFactory.create_array_type(kind) if field["mode"] == "REPEATED" else kind


_REST: Final = {
    TypeKind.TYPE_BOOL: "BOOLEAN",
    TypeKind.TYPE_DATE: "DATE",
    TypeKind.TYPE_DOUBLE: "FLOAT",
    TypeKind.TYPE_INT64: "INTEGER",
    TypeKind.TYPE_STRING: "STRING",
    TypeKind.TYPE_STRUCT: "RECORD",
    TypeKind.TYPE_TIMESTAMP: "TIMESTAMP",
}


def _python(cell: Any, kind: Any) -> Any:
    """Return a cell as DuckDB returns it: structs as dicts, times naive in UTC."""
    field = cell.WhichOneof("value")
    value = field and getattr(cell, field)
    match field:
        case "array_value":
            of = kind.array_type.element_type
            value = [_python(item, of) for item in value.element]
        case "struct_value":
            parts = zip(kind.struct_type.field, value.field, strict=True)
            value = {part.field_name: _python(item, part.field_type) for part, item in parts}
        case "date_value":
            value = date(1970, 1, 1) + timedelta(value)
        case "timestamp_value":
            value = value.ToDatetime()
    return value
