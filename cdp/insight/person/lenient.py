"""Reading what others may have written, too: nothing in a document has the type it should."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def as_map(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def as_texts(value: Any) -> list[str]:
    """Return the texts in *value*, a list as it should be or a text alone."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def value_at(body: Mapping[str, Any], path: str) -> Any:
    group, _, name = path.partition(".")
    return as_map(body.get(group)).get(name)
