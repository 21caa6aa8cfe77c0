"""Values of a workflow: JSON and bytes, 64-bit integers, by value.

Values are shared between variables and never changed in place: assigning to `m.k` copies the
containers on the path. That is "Passing by value" of the page "Variables", without its cost.
"""

import math
from typing import Any, NoReturn

from cdp.workflow_engine.errors import Raised

LARGEST = 2**63 - 1

_TYPES = {
    bool: "boolean",
    bytes: "bytes",
    float: "double",
    int: "integer",
    list: "list",
    dict: "map",
    type(None): "null",
    str: "string",
}


def type_name(value: Any) -> str:
    """Return what `get_type` says. Source: "Expression helpers"."""
    return _TYPES[type(value)]


def type_error(message: str) -> NoReturn:
    raise Raised.tagged("TypeError", message)


def value_error(message: str) -> NoReturn:
    raise Raised.tagged("ValueError", message)


def is_number(value: Any) -> bool:
    # type() and not isinstance: a Python bool is an int, a workflow's is not.
    return type(value) is int or type(value) is float


def checked(number: Any) -> Any:
    """Return *number* if it is a 64-bit integer or a finite double; ValueError if not."""
    if type(number) is int and -LARGEST - 1 <= number <= LARGEST:
        return number
    if type(number) is float and math.isfinite(number):
        return number
    value_error(f"{number} is not a 64-bit number")


def to_string(value: Any) -> str:
    """Return a string, number or boolean as text, e.g. true as "true"."""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        return value
    if is_number(value):
        return repr(value)
    type_error(f"a {type_name(value)} does not convert to a string")


def same(left: Any, right: Any) -> bool:
    """Deep equality; 1 equals 1.0 but not true."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if type(left) is list:
        return len(left) == len(right) and all(map(same, left, right))
    if type(left) is dict:
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return bool(left == right)


def own(value: Any, what: str) -> Any:
    """Return a copy that shares nothing with the caller; TypeError where it is not JSON."""
    kind = type(value)
    if kind is dict:
        return {own_key(key, what): own(item, what) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [own(item, what) for item in value]
    if kind is int or kind is float:
        return checked(value)
    if kind in _TYPES:
        return value
    type_error(f"{what} holds a {kind.__name__}, which is not JSON")


def own_key(key: Any, what: str) -> str:
    if type(key) is not str:
        type_error(f"{what} has the key {key!r}, which is not a string")
    return key


def size_of(value: Any) -> int:
    """Return the memory a value counts for, in bytes. Source: "Variables", memory usage."""
    kind = type(value)
    if kind is str:
        return 8 + (len(value) if value.isascii() else len(value.encode()))
    if kind is bytes:
        return 8 + len(value)
    if kind is list:
        return 8 + sum(map(size_of, value))
    if kind is dict:
        return 8 + sum(size_of(key) + size_of(item) for key, item in value.items())
    return 8


def item_of(container: Any, key: Any) -> Any:
    """Return container[key] or container.key: KeyError, IndexError or TypeError if it cannot."""
    if type(container) is dict:
        if type(key) is not str:
            type_error(f"a map key is a string, not the {type_name(key)} {key!r}")
        if key not in container:
            raise Raised.tagged("KeyError", f"key not found: {key}")
        return container[key]
    if type(container) is list:
        return container[_index(container, key)]
    type_error(f"a {type_name(container)} has no {key!r}: only maps and lists have items")


def with_item(container: Any, path: list[Any], value: Any) -> Any:
    """Return *container* with the item at *path* replaced; only the last key may be new."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if type(container) is dict and not rest and type(key) is str:
        return {**container, key: value}
    inner = with_item(item_of(container, key), rest, value)
    if type(container) is dict:
        return {**container, key: inner}
    changed = list(container)
    changed[_index(container, key)] = inner
    return changed


def _index(container: list[Any], key: Any) -> int:
    if type(key) is not int:
        type_error(f"a list index is an integer, not the {type_name(key)} {key!r}")
    if not 0 <= key < len(container):
        raise Raised.tagged("IndexError", f"index {key} of a list of {len(container)}")
    return key
