"""Why two identifiers are one person's, or not."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

from cdp.domain.access import Ground
from cdp.domain.errors import CdpError
from cdp.insight.ask import ask
from cdp.insight.stitching.clusters import SEARCHED, edges_of, nodes_of
from cdp.insight.stitching.finding import identifiers
from cdp.insight.stitching.links import joins_too_many, kept_out_of, why
from cdp.insight.stitching.parts import Edge, Identifier, KeptOut, Node, State, node_from
from cdp.warehouse.port import Warehouse


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


def between(warehouse: Warehouse, a: str, b: str) -> Joined:
    """Return how the identifiers with the ids *a* and *b* are joined, or why they are not.

    Raises:
        CdpError: one of them is no id of an identifier.
    """
    ids = _ids(a, b)
    found = {int(one.identifier_id): one for one in identifiers(warehouse, ids=ids)}
    first, second = (found.get(one) or _never_met(one) for one in ids)
    in_one = first.state is second.state is State.IN_PROFILE
    if first == second or (in_one and first.profile_id == second.profile_id):
        return _way(warehouse, first, second)
    rows = ask(warehouse, "stitching_between", first=ids[0], second=ids[1], most=100)
    direct = tuple(kept_out_of(row) for row in rows if row["direct"])
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
        # Below -1 are those that a look-up gives what was never met; -1 stands for none.
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(int(text)) >= 2**63 or text == "-1":
            raise CdpError("an identifier's id is a number; look the identifier up first")
    return [int(text) for text in texts]


def _never_met(number: int) -> Identifier:
    return Identifier(
        identifier_id=str(number),
        type="",
        value="",
        stream=None,
        state=State.UNKNOWN,
        profile_id=None,
        kept_out=(),
        hub=None,
        closed=False,
        ground=Ground(None),
        first_seen=None,
        last_seen=None,
    )


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
            rows = nodes_of(warehouse, profile_id, list(map(int, way)), len(way))
            node_of = {row["identifier_id"]: node_from(row) for row in rows}
            edge_of = {frozenset((edge.a, edge.b)): edge for edge in edges_of(warehouse, way)}
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
        sides[row["b_id"]][row["side"]] = kept_out_of(row)
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
            words = joins_too_many(one.type, one.hub)
            yield Reason("hub", {"which": which, "type": one.type, "why": words, **asdict(one.hub)})
        if one.closed:
            yield Reason("closed", {"which": which})
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
    "closed": (
        "Of the {which}, consent to be joined is denied, so that none of its links joins anything."
    ),
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
