"""One table of the export's many, whatever columns and types each of them has.

GA4's export changes: newer tables have more columns, intraday and fresh ones lack some, and types
differ between properties and years. A view spells each table's columns as statements read them.
Source: Google Analytics help 7029846; BigQuery quotas, "Maximum GoogleSQL query length" of a view.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cdp.warehouse.port import StatementError

Shape = Any  # a type's name, a mapping of fields, or a list of one shape
Field = Mapping[str, Any]  # name, type, mode and fields, as BigQuery's REST API tells a column

EXPORT_EVENT: Final[Mapping[str, Shape]] = {
    "event_timestamp": "INT64",
    "event_name": "STRING",
    "event_params": [
        {
            "key": "STRING",
            "value": {
                "string_value": "STRING",
                "int_value": "INT64",
                "float_value": "FLOAT64",
                "double_value": "FLOAT64",
            },
        }
    ],
    "user_id": "STRING",
    "user_pseudo_id": "STRING",
    "privacy_info": {
        "analytics_storage": "STRING",
        "ads_storage": "STRING",
        "uses_transient_token": "STRING",
    },
    "device": {"category": "STRING"},
    "geo": {"country": "STRING"},
    "traffic_source": {"medium": "STRING", "source": "STRING"},
    "stream_id": "STRING",
    "ecommerce": {"purchase_revenue": "FLOAT64", "transaction_id": "STRING"},
    "collected_traffic_source": {
        "manual_campaign_name": "STRING",
        "manual_source": "STRING",
        "manual_medium": "STRING",
        "gclid": "STRING",
    },
}
"""What statements read of the export, of which each table may lack some: a list is an array."""

VIEW_CHARACTERS: Final = 256_000
"""What BigQuery allows a view's text. Source: BigQuery quotas and limits, views."""

_NAMES: Final = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def export_view(
    view: str, tables: Mapping[str, str], columns: Mapping[str, Sequence[Field]]
) -> str:
    """Return the statement that makes *view* of the rows of *tables*.

    Args:
        view: `project.dataset.table`.
        tables: what follows `events_` in each one's name → `project.dataset.table`.
        columns: likewise → its columns.

    Raises:
        StatementError: a record where a value belongs, or the other way round.
    """
    selects = []
    for suffix, table in tables.items():
        have = {field["name"].lower(): field for field in columns[suffix]}
        try:
            values = [_named(name, shape, "", have) for name, shape in EXPORT_EVENT.items()]
        except TypeError as error:
            raise StatementError(
                f"{table}: {error}; this is not a GA4 events table, keep others out of the dataset"
            ) from None
        selects.append(f"select '{suffix}' as table_suffix, {', '.join(values)} from `{table}`")
    return f"create or replace view `{view}` as\n" + "\nunion all\n".join(selects)


def _named(name: str, shape: Shape, above: str, have: Mapping[str, Field]) -> str:
    path = f"{above}{name}"
    value = _value(path, shape, have.get(name))
    return path if value == path else f"{value} as {name}"


def _value(path: str, shape: Shape, field: Field | None) -> str:
    """Return the expression of what is at *path*, in the type that *shape* says."""
    if field is None:
        return f"cast(null as {_spelled(shape)})"
    if _shape(field) == shape:
        return path
    below = {part["name"].lower(): part for part in field.get("fields", ())}
    repeated = field.get("mode") == "REPEATED"
    if isinstance(shape, str):
        if repeated or below:
            raise TypeError(f"{path} is no single value")
        return f"cast({path} as {shape})"
    if not below or repeated is isinstance(shape, Mapping):
        raise TypeError(f"{path} is not {_spelled(shape)}")
    if isinstance(shape, Mapping):
        return f"struct({_listed(shape, f'{path}.', below)})"
    return (
        f"array(select as struct {_listed(shape[0], 'p.', below)} "
        f"from unnest({path}) as p with offset as o order by o)"
    )


def _listed(shape: Mapping[str, Shape], above: str, have: Mapping[str, Field]) -> str:
    return ", ".join(_named(name, part, above, have) for name, part in shape.items())


def _shape(field: Field) -> Shape:
    kind = _NAMES.get(field["type"], field["type"])
    shape = {f["name"].lower(): _shape(f) for f in field["fields"]} if kind == "STRUCT" else kind
    return [shape] if field.get("mode") == "REPEATED" else shape


def _spelled(shape: Shape) -> str:
    if isinstance(shape, str):
        return shape
    if isinstance(shape, Mapping):
        return f"struct<{', '.join(f'{name} {_spelled(part)}' for name, part in shape.items())}>"
    return f"array<{_spelled(shape[0])}>"
