"""Lists as Firestore's structured queries."""

import base64
from collections.abc import Sequence
from typing import Any, Final

from google.cloud.firestore_v1.types import query
from google.protobuf.message import DecodeError

from cdp.profiles import firestore_values as values
from cdp.profiles.port import InvalidQuery, Position, Where

StructuredQuery: Final[Any] = query.StructuredQuery.pb()
_Operator: Final = query.StructuredQuery.FieldFilter.Operator
_OPERATORS: Final = {
    "==": _Operator.EQUAL,
    "!=": _Operator.NOT_EQUAL,
    "<": _Operator.LESS_THAN,
    "<=": _Operator.LESS_THAN_OR_EQUAL,
    ">": _Operator.GREATER_THAN,
    ">=": _Operator.GREATER_THAN_OR_EQUAL,
    "in": _Operator.IN,
    "contains": _Operator.ARRAY_CONTAINS,
}
_AND: Final = query.StructuredQuery.CompositeFilter.Operator.AND
_DIRECTIONS: Final = {
    False: query.StructuredQuery.Direction.ASCENDING,
    True: query.StructuredQuery.Direction.DESCENDING,
}
_ODD: Final = "\0"  # before the value of a cursor that is neither text nor a number


def conditions(collection: str, where: Sequence[Where]) -> Any:
    """Return a query for the documents that meet every condition."""
    result = StructuredQuery()
    result.from_.add().collection_id = collection
    if where:
        result.where.composite_filter.op = _AND
    for condition in where:
        term = result.where.composite_filter.filters.add().field_filter
        term.field.field_path = condition.path
        term.op = _OPERATORS[condition.op]
        try:
            plain = condition.value
            term.value.CopyFrom(values.value(list(plain) if condition.op == "in" else plain))  # type: ignore[arg-type]
        except TypeError as error:
            raise InvalidQuery(str(error)) from None
    return result


def page(
    collection: str,
    where: Sequence[Where],
    *,
    order_by: str | None,
    descending: bool,
    start: Position | None,
    limit: int,
    parent: str,
) -> Any:
    """Return a query for *limit* documents in order, those after *start*.

    Args:
        parent: the name above every collection.
    """
    result = conditions(collection, where)
    result.limit.value = limit
    for path in (order_by, "__name__"):
        if path is not None:
            order = result.order_by.add()
            order.field.field_path = path
            order.direction = _DIRECTIONS[descending]
    if order_by is not None:
        # Null is a value to Firestore, the lowest; false comes next.
        bound = result.end_at if descending else result.start_at
        bound.before = not descending
        bound.values.add().boolean_value = False
    if start is not None:
        result.start_at.Clear()
        if order_by is not None:
            result.start_at.values.add().CopyFrom(_value(start.value))
        result.start_at.values.add().reference_value = f"{parent}/{collection}/{start.id}"
    return result


def position(document: Any, order_by: str | None) -> Position:
    """Return where *document*, the last of a page, stands in the order."""
    key = document.name.rpartition("/")[2]
    if order_by is None:
        return Position(key)
    message = values.at(document.fields, order_by)
    assert message is not None  # a query in this order gives no document without the value
    match message.WhichOneof("value_type"):
        case "string_value" | "integer_value" | "double_value" | "boolean_value":
            return Position(key, values.json_value(message))
    return Position(key, _ODD + base64.b64encode(message.SerializeToString()).decode())


def _value(plain: Any) -> Any:
    """Return the message of a cursor's value; InvalidQuery where it was made up."""
    try:
        if isinstance(plain, str) and plain.startswith(_ODD):
            return values.Value.FromString(base64.b64decode(plain[1:], validate=True))
        return values.value(plain)
    except (ValueError, TypeError, DecodeError):
        raise InvalidQuery("the cursor is not one of this list; start at its first page") from None
