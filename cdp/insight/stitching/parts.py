"""What a graph is made of, and how rows of the warehouse become it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cdp.domain.access import Ground


class State(StrEnum):
    """Where an identifier stands."""

    IN_PROFILE = "in a profile"
    GONE = "was in a profile"
    KEPT_OUT = "seen only in links kept out"
    BLOCKED = "blocked by the policy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Hub:
    """What an identifier joins too many of: *joined* values of the type *joins*, of *most*."""

    joins: str
    joined: int
    most: int


@dataclass(frozen=True, slots=True)
class End:
    """An identifier; a client's value is its bare id, and *stream* the stream it belongs to."""

    identifier_id: str
    type: str
    value: str
    stream: str | None
    ground: Ground
    hub: Hub | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """An identifier of a cluster."""

    identifier_id: str
    type: str
    value: str
    stream: str | None
    ground: Ground
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one source saw of a pair, under one state of consent: *seen* times."""

    source: str
    consent: str
    seen: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Edge:
    """Two identifiers, by id, and all that speaks for joining them, the earliest first."""

    a: str
    b: str
    evidence: tuple[Evidence, ...]

    @property
    def seen(self) -> int:
        """How often the pair was seen, by all sources."""
        return sum(one.seen for one in self.evidence)


@dataclass(frozen=True, slots=True)
class KeptOut:
    """A link that does not join; *reason* is a code, *why* says it in words without values."""

    a: End
    b: End
    reason: str
    why: str
    source: str
    consent: str
    seen: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Cluster:
    """A profile's graph. Counts are of all; nodes, edges and links kept out may be fewer."""

    profile_id: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    node_count: int
    edge_count: int
    kept_out: tuple[KeptOut, ...]
    kept_out_count: int


@dataclass(frozen=True, slots=True)
class Identifier:
    """What is known of an identifier.

    *profile_id* is the profile it is in, or was in last; *kept_out* are reasons of its links;
    *closed*: consent to be joined by it is denied.
    """

    identifier_id: str
    type: str
    value: str
    stream: str | None
    state: State
    profile_id: str | None
    kept_out: tuple[str, ...]
    hub: Hub | None
    closed: bool
    ground: Ground
    first_seen: datetime | None
    last_seen: datetime | None


def node_from(row: Mapping[str, Any]) -> Node:
    return Node(
        row["identifier_id"],
        row["type"],
        **shown(row["type"], row["value"]),
        ground=ground_of(row["granted"]),
        first_seen=utc(row["first_seen"]),
        last_seen=utc(row["last_seen"]),
    )


def shown(type: str | None, value: str) -> dict[str, Any]:
    """Return `value` and `stream`: of a client key, property/stream/client id, its parts."""
    parts = value.split("/", 2)  # a client id may hold a slash
    if type != "client_id" or len(parts) < 3:
        return {"value": value, "stream": None}
    return {"value": parts[2], "stream": parts[1]}


def ground_of(granted: str | None, link: tuple[str, str] | None = None) -> Ground:
    """Return what is known of the consent behind an identifier.

    Args:
        granted: `permit.granted` of its profile, '|analytics||ads|'; None where it is in none.
        link: see `Ground`.
    """
    if granted is None:
        return Ground(None, link)
    return Ground(frozenset(name for name in granted.split("|") if name), link)


def hub_of(joins: str | None, joined: int | None, most: int | None) -> Hub | None:
    return None if joins is None or joined is None or most is None else Hub(joins, joined, most)


def utc(moment: datetime) -> datetime:
    """Return *moment* with its zone: an engine may leave out that it is UTC."""
    return moment.replace(tzinfo=UTC)
