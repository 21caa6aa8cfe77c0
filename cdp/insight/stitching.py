"""How identifiers were joined, what was kept out of the graph, and why two are not one.

Identifier values are returned whole: pages mask them. Ids of identifiers are text, for they have
up to 60 bits and JavaScript's numbers have 53.
"""

import base64
import heapq
import json
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from cdp.domain.errors import CdpError
from cdp.domain.identifiers import spellings
from cdp.domain.payload import timestamp
from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.warehouse.port import Warehouse

SEARCHED: Final = 5_000
"""Edges of one cluster that are searched for a way, and among which the drawn ones are chosen."""

HUB: Final = "hub"
"""The reason of links that are kept out for one of their ends; the others are the warehouse's."""


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
    hub: Hub | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """An identifier of a cluster."""

    identifier_id: str
    type: str
    value: str
    stream: str | None
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
class Page:
    """Links kept out, the most recently seen first; *after* leads on, None at the end."""

    links: tuple[KeptOut, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Identifier:
    """What is known of an identifier.

    *profile_id* is the profile it is in, or was in last; *kept_out* are reasons of its links.
    """

    identifier_id: str
    type: str
    value: str
    stream: str | None
    state: State
    profile_id: str | None
    kept_out: tuple[str, ...]
    hub: Hub | None
    first_seen: datetime | None
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why two identifiers are joined, or not: a code, its parameters; `explain` has the words."""

    code: str
    params: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Shared:
    """A third identifier that both sides were seen with; the newest link of each that is kept out.

    In both links `b` is the third, and `a` the side's own identifier.
    """

    first: KeptOut
    second: KeptOut


@dataclass(frozen=True, slots=True)
class Joined:
    """How two identifiers are joined: *nodes* from the first to the second, *edges* between them.

    Where they are not joined, both are empty; *direct* and *shared* hold links kept out that would
    have joined their profiles, 100 at most.
    """

    first: Identifier
    second: Identifier
    joined: bool
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    direct: tuple[KeptOut, ...]
    shared: tuple[Shared, ...]
    reasons: tuple[Reason, ...]


# --- the report -----------------------------------------------------------------------------------

_LARGEST: Final = 50
_HUBS: Final = 50
_RUNS: Final = 30
_CHANGES: Final = 200
_NAMES: Final = 50
_RANGES: Final = {1: "1", 2: "2", 3: "3", 4: "4", 5: "5", 6: "6-10", 11: "11-20", 21: "21-50",
                  51: "51-100", 101: "101+"}  # fmt: skip


def report(warehouse: Warehouse, policy: Policy) -> dict[str, Any]:
    """Return what the audit shows at once, as JSON: counts and opaque ids, no identifier's value.

    Args:
        policy: the one in force, whose limits the hubs exceed.
    """
    counts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    total: dict[str, dict[str, Any]] = {}
    for row in ask(warehouse, "stitching_totals", most=_NAMES):
        if row["name"] is None:
            total[row["what"]] = row
        else:
            counts[row["what"]].append(row)
    sizes = {row["from_size"]: row for row in ask(warehouse, "stitching_sizes")}
    return {
        "identifiers": {
            "total": total["identifiers"]["counted"],
            "by_type": {row["name"]: row["counted"] for row in counts["identifiers"]},
        },
        "edges": {
            "total": total["edges"]["counted"],
            "by_source": [
                {"source": row["name"], "edges": row["counted"], "seen": row["seen"]}
                for row in counts["edges"]
            ],
        },
        "kept_out": {
            "links": total["kept_out"]["counted"],
            "seen": total["kept_out"]["seen"] or 0,
            "by_reason": [
                {
                    "reason": row["name"],
                    "why": why(row["name"]),
                    "links": row["counted"],
                    "seen": row["seen"],
                }
                for row in counts["kept_out"]
            ],
        },
        "hubs": {
            "total": total["hubs"]["counted"],
            "by_limit": [
                {
                    "limit": row["name"],
                    "most": policy.limits.get(row["name"]),
                    "hubs": row["counted"],
                }
                for row in counts["hubs"]
            ],
            # A value is personal data, which the document store has no need of: only its id.
            "worst": [
                {name: row[name] for name in ("identifier_id", "type", "joins", "joined", "most")}
                for row in hubs(warehouse, _HUBS)
            ],
        },
        "clusters": {
            "total": total["clusters"]["counted"],
            "max_size": max((row["largest"] for row in sizes.values()), default=0),
            "by_size": [
                {"size": words, "clusters": sizes[size]["clusters"] if size in sizes else 0}
                for size, words in _RANGES.items()
            ],
            "largest": [_dated(row) for row in ask(warehouse, "stitching_largest", most=_LARGEST)],
        },
        "changes": {
            "runs": [_dated(row) for row in ask(warehouse, "stitching_runs", most=_RUNS)],
            "latest": [_dated(row) for row in changes(warehouse, limit=_CHANGES)],
        },
    }


def hubs(warehouse: Warehouse, most: int = _HUBS) -> list[dict[str, Any]]:
    """Return the hubs that join most values, the worst first.

    Each is a map of `identifier_id`, `type`, `value`, `stream`, `joins` (a type), `joined` (how
    many) and `most` (how many the policy allows).
    """
    rows = ask(warehouse, "stitching_hubs", limit=most)
    return [row | _shown(row["type"], row["value"]) for row in rows]


def changes(
    warehouse: Warehouse, seq: int | None = None, limit: int = _CHANGES
) -> list[dict[str, Any]]:
    """Return merges and splits of the run *seq*, or of the newest run that had some.

    Each is a map of `kind` (merge: from_id is to_id from then on; split: to_id was part of
    from_id), `from_id`, `to_id`, `happened_at`, `run_id` and `seq`.
    """
    rows = ask(warehouse, "stitching_changes", seq=seq or 0, most=limit)
    return [row | {"happened_at": _utc(row["happened_at"])} for row in rows]


# --- clusters -------------------------------------------------------------------------------------


def cluster(warehouse: Warehouse, profile_id: str, most: int = 200) -> Cluster:
    """Return the graph of a profile, without nodes where there is no such profile.

    Where it has more than *most* identifiers, the best connected are returned: a part of the graph
    that hangs together.
    """
    rows = _nodes(warehouse, profile_id, [-1], most)
    node_count = rows[0]["nodes"] if rows else 0
    graph: list[dict[str, Any]] = []
    if node_count > most:
        graph = ask(warehouse, "stitching_graph", profile_id=profile_id, most=SEARCHED)
        rows = _nodes(warehouse, profile_id, _best_connected(graph, most), most)
    edges = _edges(warehouse, [row["identifier_id"] for row in rows])
    touching = ask(warehouse, "stitching_touching", profile_id=profile_id, most=100)
    return Cluster(
        profile_id=profile_id,
        nodes=tuple(_node(row) for row in rows),
        edges=edges,
        node_count=node_count,
        edge_count=graph[0]["edges"] if graph else len(edges),
        kept_out=tuple(_kept_out(row) for row in touching),
        kept_out_count=touching[0]["links"] if touching else 0,
    )


def _nodes(
    warehouse: Warehouse, profile_id: str, ids: Sequence[int], most: int
) -> list[dict[str, Any]]:
    return ask(warehouse, "stitching_nodes", profile_id=profile_id, ids=ids, most=most)


def _best_connected(graph: Iterable[Mapping[str, Any]], most: int) -> list[int]:
    """Return *most* identifiers that hang together, from the best connected outwards.

    Of the neighbours of what is chosen, the one with the most edges is next; of equal ones, the one
    that was seen last.
    """
    neighbours: dict[str, list[str]] = defaultdict(list)
    seen: dict[str, datetime] = {}
    for edge in graph:
        for one, other in ((edge["a"], edge["b"]), (edge["b"], edge["a"])):
            neighbours[one].append(other)
            seen[one] = max(seen.get(one, edge["last_seen"]), edge["last_seen"])
    rank = {
        one: (-len(others), -_utc(seen[one]).timestamp(), one) for one, others in neighbours.items()
    }
    waiting = [min(rank.values())]
    met = {waiting[0][2]}
    chosen: list[int] = []
    while waiting and len(chosen) < most:
        *_, one = heapq.heappop(waiting)
        chosen.append(int(one))
        for other in neighbours[one]:
            if other not in met:
                met.add(other)
                heapq.heappush(waiting, rank[other])
    return chosen


def _edges(warehouse: Warehouse, ids: Sequence[str]) -> tuple[Edge, ...]:
    """Return the edges among *ids*, of one cluster."""
    if len(ids) < 2:
        return ()
    rows = ask(warehouse, "stitching_evidence", ids=list(map(int, ids)), most=SEARCHED)
    return tuple(
        Edge(
            row["a"],
            row["b"],
            tuple(
                Evidence(
                    source=one["source"],
                    consent=one["consent"],
                    seen=one["seen"],
                    first_seen=_utc(one["first_seen"]),
                    last_seen=_utc(one["last_seen"]),
                )
                for one in row["evidence"]
            ),
        )
        for row in rows
    )


# --- what is kept out -----------------------------------------------------------------------------

_WHY: Final[Mapping[str, str]] = {
    "blocked value": "The policy blocks one of the two values: it stands for nobody.",
    "not a phone number": "One of the two has too few digits for a phone number.",
    "not an e-mail address": "One of the two does not read as an e-mail address.",
    "not a user id": "The policy says that one of the two does not look like a user id.",
    "consent denied": "Consent to link them was denied.",
    "consent unknown": "Nobody said whether they may be linked, and silence does not permit it.",
    HUB: "One of the two joins more values than the policy allows one person.",
}
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "user_id": ("user id", "user ids"),
    "email": ("e-mail address", "e-mail addresses"),
    "phone": ("phone number", "phone numbers"),
    "client_id": ("client id", "client ids"),
}


def why(reason: str) -> str:
    """Return in words, without values, why links are kept out for *reason*."""
    return _WHY.get(reason, f"Kept out: {reason}.")


def kept_out(
    warehouse: Warehouse, reason: str | None = None, after: str | None = None, limit: int = 50
) -> Page:
    """Return a page of the links kept out, for one *reason* or for any.

    Args:
        after: the page before's, or None for the first.

    Raises:
        CdpError: *after* is none of a page's.
    """
    before, place = _position(after)
    rows = ask(
        warehouse,
        "stitching_kept_out",
        reason=reason or "",
        before=before,
        after=place,
        most=limit + 1,
    )
    links = tuple(_kept_out(row) for row in rows[:limit])
    return Page(links, _cursor(rows[limit - 1]) if len(rows) > limit else None)


def _cursor(row: Mapping[str, Any]) -> str:
    position = [_utc(row["last_seen"]).isoformat(), row["place"]]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(after: str | None) -> tuple[datetime, str]:
    if after is None:
        return datetime.max.replace(tzinfo=UTC), ""
    try:
        time, place = json.loads(base64.urlsafe_b64decode(after))
        return datetime.fromisoformat(time).astimezone(UTC), str(place)
    except (ValueError, TypeError, OverflowError):  # base64's and JSON's are ValueErrors
        raise CdpError("this is no place in the list; start at its first page") from None


def _kept_out(row: Mapping[str, Any]) -> KeptOut:
    a, b = _end(row, "a"), _end(row, "b")
    shared = next((end for end in (a, b) if end.hub), None)
    words = why(row["reason"])
    if row["reason"] == HUB and shared and shared.hub:
        words = f"The {_joins_too_many(shared.type, shared.hub)}: it is not one person's."
    return KeptOut(
        a=a,
        b=b,
        reason=row["reason"],
        why=words,
        source=row["source"],
        consent=row["consent"],
        seen=row["seen"],
        first_seen=_utc(row["first_seen"]),
        last_seen=_utc(row["last_seen"]),
    )


def _joins_too_many(type: str, hub: Hub) -> str:
    return (
        f"{_WORDS[type][0]} joins {_count(hub.joined, *_WORDS[hub.joins])}, at most {hub.most} "
        f"{'is' if hub.most == 1 else 'are'} allowed"
    )


def _end(row: Mapping[str, Any], side: str) -> End:
    kind = row[f"{side}_type"]
    hub = _hub(row[f"{side}_joins"], row[f"{side}_joined"], row[f"{side}_most"])
    return End(row[f"{side}_id"], kind, **_shown(kind, row[f"{side}_value"]), hub=hub)


# --- finding identifiers --------------------------------------------------------------------------


def lookup(warehouse: Warehouse, policy: Policy, value: str) -> list[Identifier]:
    """Return the identifiers that somebody may mean who typed *value*, those in profiles first.

    A client is found by its bare id or its key, a profile's identifiers by its id, also by one that
    has ended in another profile. What is known nowhere is returned as one identifier that is
    unknown, of the type it looks like; nothing was typed, nothing is returned.
    """
    names = spellings(value)
    if not names[0]:
        return []
    found = _identifiers(warehouse, names=names, profile_id=_live(warehouse, names[0]))
    known = [one for one in found if one.state is not State.UNKNOWN]
    return known or [_unknown(policy, names, found)]


def _unknown(policy: Policy, names: Sequence[str], found: Iterable[Identifier]) -> Identifier:
    """Return the one of *found* that the typed text looks like; *found* holds them all."""
    like = "user_id", names[0]
    if re.fullmatch(r"[0-9]+\.[0-9]{10}", names[0]):  # a client id ends in its first second
        like = "client_id", names[0]
    elif "@" in names[-1]:
        like = "email", names[-1]
    elif re.fullmatch(r"\+[0-9]+", names[-1]):
        like = "phone", names[-1]
    blocked = any(re.search(policy.blocked_pattern(), name.lower()) for name in names)
    (one,) = [one for one in found if (one.type, one.value) == like]
    return replace(one, state=State.BLOCKED) if blocked else one


def _identifiers(
    warehouse: Warehouse,
    *,
    names: Sequence[str] = (),
    ids: Sequence[int] = (-1,),
    profile_id: str = "",
) -> list[Identifier]:
    rows = ask(
        warehouse, "stitching_lookup", names=names, ids=ids, profile_id=profile_id, most=_FOUND
    )
    return [_identifier(row) for row in rows]


_FOUND: Final = 500
"""Identifiers that a look-up returns, at most; only a profile's own id finds as many."""


def _identifier(row: Mapping[str, Any]) -> Identifier:
    state = State.UNKNOWN
    if row["present"]:
        state = State.IN_PROFILE
    elif row["kept_out"]:
        state = State.KEPT_OUT
    elif row["profile_id"]:
        state = State.GONE
    return Identifier(
        identifier_id=row["identifier_id"],
        type=row["type"] or "",
        **_shown(row["type"], row["value"] or ""),
        state=state,
        profile_id=row["profile_id"],
        kept_out=tuple(row["kept_out"] or ()),
        hub=_hub(row["joins"], row["joined"], row["most"]),
        first_seen=row["first_seen"] and _utc(row["first_seen"]),
        last_seen=row["last_seen"] and _utc(row["last_seen"]),
    )


def _live(warehouse: Warehouse, profile_id: str) -> str:
    """Return the profile that *profile_id* is now, itself where it has ended in no other."""
    met = {profile_id}
    while rows := ask(warehouse, "stitching_heir", profile_id=profile_id):
        profile_id = rows[0]["to_id"]
        if profile_id in met:
            break
        met.add(profile_id)
    return profile_id


# --- why two are one, or not ----------------------------------------------------------------------


def between(warehouse: Warehouse, a: str, b: str) -> Joined:
    """Return how the identifiers with the ids *a* and *b* are joined, or why they are not.

    Raises:
        CdpError: one of them is no id of an identifier.
    """
    ids = _ids(a, b)
    found = {int(one.identifier_id): one for one in _identifiers(warehouse, ids=ids)}
    first, second = (found[one] for one in ids)
    in_one = first.state is second.state is State.IN_PROFILE
    if first == second or (in_one and first.profile_id == second.profile_id):
        return _way(warehouse, first, second)
    rows = ask(warehouse, "stitching_between", first=ids[0], second=ids[1], most=100)
    direct = tuple(_kept_out(row) for row in rows if row["direct"])
    shared = _shared(row for row in rows if not row["direct"])
    return Joined(
        first=first,
        second=second,
        joined=False,
        nodes=(),
        edges=(),
        direct=direct,
        shared=shared,
        reasons=tuple(_reasons(first, second, direct, shared)),
    )


def _ids(*texts: str) -> list[int]:
    for text in texts:
        if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) >= 2**63:
            raise CdpError("an identifier's id is a number; look the identifier up first")
    return [int(text) for text in texts]


def _way(warehouse: Warehouse, first: Identifier, second: Identifier) -> Joined:
    """Return the shortest way between two identifiers of one profile."""
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    if first == second:
        reason = Reason("same", {})
    else:
        profile_id = str(first.profile_id)
        graph = ask(warehouse, "stitching_graph", profile_id=profile_id, most=SEARCHED)
        if graph[0]["edges"] > SEARCHED:
            reason = Reason("too_many_edges", {"edges": graph[0]["edges"], "most": SEARCHED})
        else:
            way = _shortest(graph, first.identifier_id, second.identifier_id)
            rows = _nodes(warehouse, profile_id, list(map(int, way)), len(way))
            node_of = {row["identifier_id"]: _node(row) for row in rows}
            edge_of = {frozenset((edge.a, edge.b)): edge for edge in _edges(warehouse, way)}
            nodes = tuple(node_of[one] for one in way)
            edges = tuple(edge_of[frozenset(pair)] for pair in pairwise(way))
            reason = Reason("linked" if len(edges) == 1 else "joined", {"edges": len(edges)})
    return Joined(
        first=first,
        second=second,
        joined=True,
        nodes=nodes,
        edges=edges,
        direct=(),
        shared=(),
        reasons=(reason,),
    )


def _shortest(graph: Iterable[Mapping[str, Any]], start: str, goal: str) -> list[str]:
    """Return the identifiers on the shortest way from *start* to *goal*, both included."""
    neighbours: dict[str, list[str]] = defaultdict(list)
    for edge in graph:
        neighbours[edge["a"]].append(edge["b"])
        neighbours[edge["b"]].append(edge["a"])
    came_from = {goal: goal}
    waiting = deque([goal])
    while start not in came_from:
        here = waiting.popleft()
        for other in neighbours[here]:
            if other not in came_from:
                came_from[other] = here
                waiting.append(other)
    way = [start]
    while way[-1] != goal:
        way.append(came_from[way[-1]])
    return way


def _shared(rows: Iterable[Mapping[str, Any]]) -> tuple[Shared, ...]:
    """Return the third identifiers of which both sides are among *rows*."""
    sides: dict[str, dict[int, KeptOut]] = defaultdict(dict)
    for row in rows:
        sides[row["b_id"]][row["side"]] = _kept_out(row)
    return tuple(Shared(of[1], of[2]) for of in sides.values() if len(of) == 2)


def _reasons(
    first: Identifier,
    second: Identifier,
    direct: Sequence[KeptOut],
    shared: Sequence[Shared],
) -> Iterable[Reason]:
    for which, one in (("first", first), ("second", second)):
        if one.state is State.UNKNOWN:
            yield Reason("unknown", {"which": which})
        elif one.state is State.GONE:
            yield Reason("gone", {"which": which})
        elif one.state is State.KEPT_OUT:
            yield Reason("kept_out_only", {"which": which, "why": " ".join(map(why, one.kept_out))})
        if one.hub:
            words = _joins_too_many(one.type, one.hub)
            yield Reason("hub", {"which": which, "type": one.type, "why": words, **asdict(one.hub)})
    if first.state is second.state is State.IN_PROFILE:
        yield Reason("different_profiles", {})
    ends = {first.identifier_id, second.identifier_id}
    for link in direct:
        if {link.a.identifier_id, link.b.identifier_id} == ends:
            yield Reason("link_kept_out", {"reason": link.reason, "why": link.why})
        else:
            yield Reason("profiles_link_kept_out", {"reason": link.reason, "why": link.why})
    if shared:
        words = " ".join(dict.fromkeys(x.why for one in shared for x in (one.first, one.second)))
        yield Reason("shared", {"identifiers": len(shared), "why": words})
    if not direct and not shared:
        yield Reason("nothing", {})


_SENTENCES: Final[Mapping[str, str]] = {
    "same": "The first and the second are the same identifier.",
    "linked": "The first and the second were seen together, and that joined them.",
    "joined": (
        "No link joins the first and the second directly; other identifiers join them, over "
        "{edges} edges."
    ),
    "too_many_edges": (
        "The first and the second are in one profile, but its graph has {edges:,} edges: more than "
        "the {most:,} that are searched for the way between them."
    ),
    "unknown": "The {which} is unknown: it was never seen, or only without consent.",
    "gone": "The {which} was in a profile, but nothing is left of it that may be linked.",
    "kept_out_only": "The {which} was seen only in links that are kept out. {why}",
    "hub": "The {which} is not one person's, so that none of its links joins anything: this {why}.",
    "different_profiles": "The first and the second are in different profiles.",
    "link_kept_out": "They were seen together, but that link is kept out. {why}",
    "profiles_link_kept_out": (
        "Something of the first's profile was seen together with something of the second's, but "
        "that link is kept out. {why}"
    ),
    "shared": (
        "Identifiers with which both profiles were seen, in links that are kept out: "
        "{identifiers:,}. {why}"
    ),
    "nothing": "Nothing ever linked the first and the second.",
}


def explain(result: Joined) -> list[str]:
    """Return *result* in English, each reason once, without any identifier's value."""
    told = (_SENTENCES[reason.code].format_map(reason.params) for reason in result.reasons)
    return list(dict.fromkeys(told))


# --- small things ---------------------------------------------------------------------------------


def _node(row: Mapping[str, Any]) -> Node:
    return Node(
        row["identifier_id"],
        row["type"],
        **_shown(row["type"], row["value"]),
        first_seen=_utc(row["first_seen"]),
        last_seen=_utc(row["last_seen"]),
    )


def _shown(type: str | None, value: str) -> dict[str, Any]:
    """Return `value` and `stream`: of a client key, property/stream/client id, its parts."""
    parts = value.split("/", 2)  # a client id may hold a slash
    if type != "client_id" or len(parts) < 3:
        return {"value": value, "stream": None}
    return {"value": parts[2], "stream": parts[1]}


def _hub(joins: str | None, joined: int | None, most: int | None) -> Hub | None:
    return None if joins is None or joined is None or most is None else Hub(joins, joined, most)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _utc(moment: datetime) -> datetime:
    """Return *moment* with its zone: an engine may leave out that it is UTC."""
    return moment.replace(tzinfo=UTC)


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return *row* with its times as documents spell them."""
    return {
        name: timestamp(_utc(value)) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
