"""How a row of a shard changes a stored profile; every document store applies this one rule.

Maps merge deep; lists and scalars replace. A null never overwrites a value and an empty map removes
nothing: removal is only by `unset`. Fields the platform does not own are never touched, with one
exception: an erasure leaves nothing but the stamp, so that an older row cannot bring anything back.
A withdrawal of consent is no run's: it takes fields away and leaves the stamp as it is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cdp.domain.payload import field_type, owns
from cdp.domain.withdrawal import Denial, withdrawn


class Kind(StrEnum):
    """What a row asks for."""

    UPSERT = "upsert"
    DELETE = "delete"  # erasure: others' fields go, too
    MERGED = "merged"  # the profile lives on under another id; others' fields stay
    GONE = "gone"  # nothing is known of the profile any more; others' fields stay


class Outcome(StrEnum):
    """What became of a row."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    STALE = "stale"
    TOO_LARGE = "too_large"  # the document would exceed the store's limit; nothing was written


@dataclass(frozen=True, slots=True)
class Merge:
    """One row: `set` is a nested map, `unset` holds dotted paths, `at` is timestamp text."""

    id: str
    seq: int
    run: str
    at: str
    hash: str = ""
    set: Mapping[str, Any] = field(default_factory=dict)
    unset: Collection[str] = ()
    kind: Kind = Kind.UPSERT
    into: str | None = None  # with MERGED: the id under which the profile lives on
    confirm: bool = False  # an earlier delivery was never confirmed, and may still be under way
    denial: Denial | None = None  # a withdrawal; nothing else of the row counts but its id


def withdrawal(profile_id: str, denial: Denial) -> Merge:
    """Return the row that applies *denial* to a stored profile."""
    return Merge(profile_id, seq=0, run="", at=denial.at, denial=denial)


_STATES: Final = {
    Kind.UPSERT: "live",
    Kind.DELETE: "deleted",
    Kind.MERGED: "merged",
    Kind.GONE: "gone",
}


def outcome(document: Mapping[str, Any] | None, row: Merge) -> Outcome:
    """Return what *row* does to *document*, None being no document.

    Only `sync` is read, and of a withdrawal all that the platform owns. An erasure is for good:
    whatever comes after it, of whatever `seq`, changes nothing. Else the order is that of `seq`,
    whatever the order of arrival. A row with `confirm` is written also where nothing else changes:
    its `seq` keeps out what an earlier run may still deliver.
    """
    if row.denial:
        same = document is None or withdrawn(row.id, document, row.denial) == document
        return Outcome.UNCHANGED if same else Outcome.WRITTEN
    stamp = _map((document or {}).get("sync"))
    if stamp.get("state") == _STATES[Kind.DELETE] and row.kind is not Kind.DELETE:
        return Outcome.UNCHANGED
    seq = stamp.get("seq")
    if not isinstance(seq, int):
        return Outcome.WRITTEN
    if row.seq < seq:
        return Outcome.STALE
    asked = (row.hash, _STATES[row.kind], row.into)
    stored = (stamp.get("hash"), stamp.get("state"), stamp.get("merged_into"))
    unchanged = asked == stored and not (row.confirm and row.seq > seq)
    return Outcome.UNCHANGED if unchanged else Outcome.WRITTEN


def merged(document: Mapping[str, Any] | None, row: Merge) -> dict[str, Any]:
    """Return *document* as *row* leaves it; for rows whose outcome is WRITTEN.

    `unset` comes before `set`. A whole map in `unset` removes the owned fields below it.
    """
    if row.denial:
        return withdrawn(row.id, document or {}, row.denial)
    base: dict[str, Any] = {}
    if document and row.kind is not Kind.DELETE:
        removed = row.unset if row.kind is Kind.UPSERT else [""]
        base = _without(document, "", frozenset(removed)) if removed else dict(document)
    if row.kind is Kind.UPSERT:
        base = _overlaid(base, row.set)
    stamp = {"run": row.run, "seq": row.seq, "hash": row.hash, "at": row.at}
    base["sync"] = stamp | {"state": _STATES[row.kind]}
    if row.into is not None:
        base["sync"]["merged_into"] = row.into
    return base


def _overlaid(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in new.items():
        if isinstance(value, dict):
            if below := _overlaid(_map(base.get(key)), value):
                result[key] = below
        elif value is not None:
            result[key] = value
    return result


def _without(base: Mapping[str, Any], at: str, paths: frozenset[str]) -> dict[str, Any]:
    """Return *base*, the map at path *at*, without its owned fields at or below *paths*."""
    result: dict[str, Any] = {}
    everything = at in paths
    for key, value in base.items():
        path = f"{at}.{key}" if at else key
        # A key with a dot in it only looks like the path of an owned field.
        if "." in key or not owns(path):
            result[key] = value
        elif field_type(path):
            if not everything and path not in paths:
                result[key] = value
        elif not isinstance(value, dict):
            result[key] = value
        else:
            below = _without(value, path, paths | {path} if everything else paths)
            if below or not value:
                result[key] = below
    return result


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
