"""The profile document: every field that the platform owns, with its type.

The warehouse writes these fields, ingest types and merges them, pages read them. Fields that are
not listed belong to others (server-side tag managers, a CRM) and are never touched.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final


class FieldType(StrEnum):
    """Types of the document; each is a JSON type, so every store holds the same values."""

    STRING = "string"
    STRINGS = "strings"  # a list; replaced as a whole
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # RFC 3339 text in UTC, sortable: 2021-01-29T08:00:00.000000Z


IDENTIFIER_TYPES: Final = ("user_id", "email", "phone", "client_id")

FIELDS: Final[Mapping[str, FieldType]] = {
    **{f"identifiers.{name}": FieldType.STRINGS for name in IDENTIFIER_TYPES},
    "contact.email": FieldType.STRING,
    "contact.email_valid": FieldType.BOOLEAN,
    "contact.phone": FieldType.STRING,
    "ga4.first_seen": FieldType.TIMESTAMP,
    "ga4.last_seen": FieldType.TIMESTAMP,
    "ga4.events": FieldType.INTEGER,
    "ga4.sessions": FieldType.INTEGER,
    "ga4.engaged_sessions": FieldType.INTEGER,
    "ga4.engagement_ms": FieldType.INTEGER,
    "ga4.leads": FieldType.INTEGER,
    "ga4.purchases": FieldType.INTEGER,
    "ga4.revenue": FieldType.NUMBER,
    "ga4.last_client_id": FieldType.STRING,
    "ga4.last_source": FieldType.STRING,
    "ga4.last_medium": FieldType.STRING,
    "ga4.country": FieldType.STRING,
    "ga4.device": FieldType.STRING,
    "ads.last_campaign": FieldType.STRING,
    "ads.last_gclid": FieldType.STRING,
}
"""Dotted path → type, for all fields but `consent.<purpose>.…`, whose purposes the policy names."""

CONSENT_FIELDS: Final[Mapping[str, FieldType]] = {
    "state": FieldType.STRING,
    "since": FieldType.TIMESTAMP,
    "source": FieldType.STRING,
}
"""Fields below `consent.<purpose>`."""


def field_type(path: str) -> FieldType | None:
    """Return the type of an owned *path*, or None where the platform does not own it."""
    parts = path.split(".")
    if len(parts) == 3 and parts[0] == "consent":
        return CONSENT_FIELDS.get(parts[2])
    return FIELDS.get(path)


def owns(path: str) -> bool:
    """Whether *path* is an owned field or a map that holds only owned fields."""
    if field_type(path) or path == "consent":
        return True
    parts = path.split(".")
    if len(parts) == 2 and parts[0] == "consent":
        return True
    return any(known.startswith(path + ".") for known in FIELDS)


def typed(path: str, value: Any) -> Any:
    """Return *value* as the type of *path*, whatever the exporter made of it.

    BigQuery's JSON export writes INT64 and timestamps as text, DuckDB's does not; both must end
    in equal documents.

    Raises:
        ValueError: not of the type; says which was expected.
        KeyError: *path* is not an owned field.
    """
    kind = field_type(path)
    if kind is None:
        raise KeyError(path)
    result = _CASTS[kind](value)
    if result is None:
        raise ValueError(f"{path} takes a {kind.value}, not {type(value).__name__}")
    return result


def timestamp(moment: datetime) -> str:
    """Return *moment* (aware) as the document's text: UTC, microseconds, sortable."""
    if moment.tzinfo is None:
        raise ValueError("a timestamp needs a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _strings(value: Any) -> list[str] | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, str) and value.removeprefix("-").isdecimal() else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _timestamp(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.removesuffix(" UTC")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


_CASTS: Final[Mapping[FieldType, Callable[[Any], Any]]] = {
    FieldType.STRING: _string,
    FieldType.STRINGS: _strings,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _number,
    FieldType.BOOLEAN: _boolean,
    FieldType.TIMESTAMP: _timestamp,
}
