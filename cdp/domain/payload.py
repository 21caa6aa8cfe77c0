"""The profile document: every field that the platform owns, with its type.

The warehouse writes these fields, ingest types and merges them, pages read them. Fields that are
not listed belong to others (server-side tag managers, a CRM) and are never touched.
"""

import math
import re
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
    "identifiers.count": FieldType.INTEGER,  # in all, not only those that the lists keep
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


_MAPS: Final = frozenset(path.rpartition(".")[0] for path in FIELDS) | {"consent"}
_DIGITS: Final = re.compile(r"-?[0-9]{1,19}")
_PURPOSE: Final = re.compile(r"consent\.[a-z][a-z0-9_]{0,31}(?:\.(?P<field>[a-z]+))?")


def field_type(path: str) -> FieldType | None:
    """Return the type of an owned *path*, or None where the platform does not own it."""
    known = FIELDS.get(path)
    if known is None and (purpose := _PURPOSE.fullmatch(path)):
        return CONSENT_FIELDS.get(purpose["field"])
    return known


def owns(path: str) -> bool:
    """Whether *path* is an owned field, or a map in which the platform keeps owned fields."""
    if path in FIELDS or path in _MAPS:
        return True
    purpose = _PURPOSE.fullmatch(path)
    return purpose is not None and purpose["field"] in {None, *CONSENT_FIELDS}


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
    result = cast(kind, value)
    if result is None:
        raise ValueError(f"{path} takes a {kind.value}, not {type(value).__name__}")
    return result


def cast(kind: FieldType, value: Any) -> Any | None:
    """Return *value* as a *kind*, or None where it is none."""
    return _CASTS[kind](value)


def timestamp(moment: datetime) -> str:
    """Return *moment* (aware) as the document's text: UTC, microseconds, sortable."""
    if moment.tzinfo is None:
        raise ValueError("a timestamp needs a time zone")
    # Not strftime: its %Y writes the year 987 with three digits, which would not sort.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _strings(value: Any) -> list[str] | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    digits = isinstance(value, str) and _DIGITS.fullmatch(value)
    if digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _timestamp(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.removesuffix(" UTC"))
        return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):  # overflow: the year 1 or 9999, beyond it in UTC
        return None


_CASTS: Final[Mapping[FieldType, Callable[[Any], Any]]] = {
    FieldType.STRING: _string,
    FieldType.STRINGS: _strings,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _number,
    FieldType.BOOLEAN: _boolean,
    FieldType.TIMESTAMP: _timestamp,
}
