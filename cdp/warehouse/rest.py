"""Parameters in the shape of BigQuery's REST API, in which the workflow passes them around.

Source: BigQuery REST reference, QueryParameter.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from cdp.warehouse.port import Scalar, Value, type_of


def query_parameter(name: str, value: Value) -> dict[str, Any]:
    """Return a QueryParameter; an empty list counts as strings."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        kind = type_of(value[0]) if value else "STRING"
        return {
            "name": name,
            "parameterType": {"type": "ARRAY", "arrayType": {"type": kind}},
            "parameterValue": {"arrayValues": [{"value": _text(item)} for item in value]},
        }
    return {
        "name": name,
        "parameterType": {"type": type_of(value)},
        "parameterValue": {"value": _text(value)},
    }


def parameter_values(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Value]:
    """Return the values of QueryParameters by name; a later one of the same name stands."""
    values: dict[str, Value] = {}
    for parameter in parameters:
        kind = parameter["parameterType"]
        value = parameter["parameterValue"]
        if kind["type"] == "ARRAY":
            items = value.get("arrayValues", [])
            of = kind["arrayType"]["type"]
            values[parameter["name"]] = [_value(of, item["value"]) for item in items]
        else:
            values[parameter["name"]] = _value(kind["type"], value["value"])
    return values


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        # Not strftime: its %Y writes the year 987 with three digits, which nobody reads back.
        return value.astimezone(UTC).isoformat(" ", timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else str(value)


def _value(kind: str, text: str) -> Scalar:
    match kind:
        case "BOOL":
            return text == "true"
        case "INT64":
            return int(text)
        case "FLOAT64":
            return float(text)
        case "DATE":
            return date.fromisoformat(text)
        case "TIMESTAMP":
            return datetime.fromisoformat(text)
    return text
