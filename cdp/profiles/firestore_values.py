"""JSON values as Firestore's messages, and back.

These are the plain protobuf classes: the wrappers around them take many times as long to build.
"""

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.cloud.firestore_v1.types import document

from cdp.domain.payload import timestamp

Value: Final[Any] = document.Value.pb()

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def fill(fields: Any, body: Mapping[str, Any]) -> None:
    """Set *fields*, the empty map of a message, to what *body* holds.

    Raises:
        TypeError: a value that is not JSON, or that a store refuses.
    """
    try:
        _fill(fields, body)
    except ValueError:  # also half a surrogate pair, and an integer beyond 64 bits
        raise TypeError("a value that a store refuses: see the document store's port") from None


def value(plain: Any) -> Any:
    """Return the message of one value; TypeError as of `fill`."""
    message = Value()
    fill(message.map_value.fields, {"it": plain})
    return message.map_value.fields["it"]


def _fill(fields: Any, body: Mapping[str, Any]) -> None:
    for key, plain in body.items():
        _set(fields[key], plain)


def _set(message: Any, plain: Any) -> None:
    kind = type(plain)
    if kind is str:
        message.string_value = plain
    elif kind is dict:
        if plain:
            _fill(message.map_value.fields, plain)
        else:
            message.map_value.SetInParent()
    elif kind is bool:
        message.boolean_value = plain
    elif kind is int:
        message.integer_value = plain
    elif kind is float:
        message.double_value = plain
    elif plain is None:
        message.null_value = 0
    elif kind is list:
        message.array_value.SetInParent()
        for item in plain:
            _set(message.array_value.values.add(), item)
    else:
        _set(message, _plain(plain))


def _plain(value: Any) -> Any:
    """Return a value of a class of its own, such as a StrEnum, as JSON writes it."""
    if isinstance(value, str):
        return str.__str__(value)
    bases: tuple[type[Any], ...] = (int, float, dict, list)
    for base in bases:
        if isinstance(value, base):
            return base(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def body(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document's fields as JSON; what only others write becomes text, or a map."""
    return {key: json_value(message) for key, message in fields.items()}


def json_value(message: Any) -> Any:
    """Return one value as JSON."""
    kind = message.WhichOneof("value_type")
    if kind in _SAME:
        return getattr(message, kind)
    convert = _CONVERT.get(kind)
    return convert(getattr(message, kind)) if convert else None


def _time(at: Any) -> str:
    return timestamp(_EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanos // 1000))


_SAME: Final = frozenset({"string_value", "integer_value", "boolean_value"})
_CONVERT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "map_value": lambda below: body(below.fields),
    "array_value": lambda items: [json_value(item) for item in items.values],
    "double_value": lambda number: number if math.isfinite(number) else str(number),
    "timestamp_value": _time,
    "bytes_value": lambda data: base64.b64encode(data).decode(),
    "reference_value": lambda name: name.partition("/documents/")[2],
    "geo_point_value": lambda at: {"latitude": at.latitude, "longitude": at.longitude},
}


def path(names: Iterable[str]) -> str:
    """Return a path of keys as a field mask spells it; any text may be a key."""
    return ".".join(map(_quoted, names))


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def at(fields: Any, dotted: str) -> Any | None:
    """Return the message of the value at a dotted path, or None where there is none."""
    *above, last = dotted.split(".")
    for name in above:
        if name not in fields:
            return None
        fields = fields[name].map_value.fields
    return fields.get(last)


def stored_size(name: str, body: Mapping[str, Any]) -> int:
    """Return the bytes that Firestore counts for a document of this name.

    Source: https://cloud.google.com/firestore/docs/storage-size#document-size
    """
    names = name.partition("/documents/")[2].split("/")
    return sum(len(part.encode()) + 1 for part in names) + 16 + _size(body) + 32


def _size(plain: Any) -> int:
    if isinstance(plain, str):
        return len(plain.encode()) + 1
    if isinstance(plain, dict):
        return sum(len(key.encode()) + 1 + _size(below) for key, below in plain.items())
    if isinstance(plain, list):
        return sum(map(_size, plain))
    return 1 if plain is None or isinstance(plain, bool) else 8
