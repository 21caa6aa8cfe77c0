"""Lists as Firestore's structured queries."""

import base64
from collections.abc import Sequence
from typing import Any, Final

from google.cloud.firestore_v1.types import query
from google.protobuf.message import DecodeError

from cdp.profiles import firestore_values as values
from cdp.profiles.port import InvalidQuery, Position, Where

StructuredQuery: Final[Any] = query.StructuredQuery.pb()
Cursor: Final[Any] = query.Cursor.pb()
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
_RANGES: Final = frozenset({"<", "<=", ">", ">=", "!="})
_PLAIN: Final = frozenset({"string_value", "integer_value", "double_value", "boolean_value"})
_ODD: Final = "\0"  # before the value of a cursor that is more than one text or number


def stored(collection: str) -> str:
    """Return what a collection is called in Firestore, where others may have theirs beside ours."""
    return f"cdp_{collection}"


def conditions(collection: str, where: Sequence[Where]) -> Any:
    """Return a query for the documents that meet every condition."""
    result = StructuredQuery()
    result.from_.add().collection_id = stored(collection)
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


def compared(where: Sequence[Where]) -> list[str]:
    """Return the paths by which conditions take a range, in the order of Firestore's own rule."""
    return sorted({condition.path for condition in where if condition.op in _RANGES})


def order(where: Sequence[Where], order_by: str | None) -> tuple[str, ...]:
    """Return the paths of a list's order before the id.

    A path that is equal to one value orders nothing, and Firestore takes none. After the order come
    the paths of which a range is asked for: Firestore wants so.
    """
    constant = {condition.path for condition in where if condition.op == "=="}
    given = [] if order_by is None or order_by in constant else [order_by]
    return tuple(dict.fromkeys([*given, *compared(where)]))


def count(collection: str, where: Sequence[Where], paths: Sequence[str], descending: bool) -> Any:
    """Return a query for what meets every condition, in an order that an index has."""
    result = conditions(collection, where)
    for path in paths:
        _add_order(result, path, descending)
    return result


def _add_order(query: Any, path: str, descending: bool) -> None:
    added = query.order_by.add()
    added.field.field_path = path
    added.direction = _DIRECTIONS[descending]


def page(
    collection: str,
    where: Sequence[Where],
    *,
    paths: Sequence[str],
    descending: bool,
    start: Position | None,
    limit: int,
    parent: str,
) -> Any:
    """Return a query for *limit* documents in order, those after *start*.

    Args:
        paths: of `order`, the id comes after them.
        parent: the name above every collection.
    """
    result = conditions(collection, where)
    result.limit.value = limit
    for path in (*paths, "__name__"):
        _add_order(result, path, descending)
    if paths:
        # Null is a value to Firestore, the lowest; false comes next.
        bound = result.end_at if descending else result.start_at
        bound.before = not descending
        bound.values.add().boolean_value = False
    if start is not None:
        result.start_at.Clear()
        result.start_at.values.extend(_values(start, len(paths)))
        result.start_at.values.add().reference_value = f"{parent}/{stored(collection)}/{start.id}"
    return result


def position(document: Any, paths: Sequence[str], order_by: str | None) -> Position:
    """Return where *document*, the last of a page, stands in the order."""
    key = document.name.rpartition("/")[2]
    found: list[Any] = [values.at(document.fields, path) for path in paths]
    if order_by is None:
        return Position(key)
    if len(found) == 1 and found[0].WhichOneof("value_type") in _PLAIN:
        plain = values.json_value(found[0])
        if values.value(plain) == found[0]:  # NaN is no number in JSON
            return Position(key, plain)
    message = Cursor(values=found).SerializeToString()
    return Position(key, _ODD + base64.b64encode(message).decode())


def _values(start: Position, expected: int) -> list[Any]:
    """Return the messages of a cursor's values; InvalidQuery where it was made up."""
    plain = start.value
    try:
        if plain is None:
            found = []
        elif isinstance(plain, str) and plain.startswith(_ODD):
            found = list(Cursor.FromString(base64.b64decode(plain[1:], validate=True)).values)
        else:
            found = [values.value(plain)]
    except (ValueError, TypeError, DecodeError):
        found = None
    if found is None or len(found) != expected:
        raise InvalidQuery("the cursor is not one of this list; start at its first page")
    return found
