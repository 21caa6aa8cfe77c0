"""A profile's graph, and what speaks for each edge of it."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cdp.insight.ask import ask
from cdp.insight.stitching.links import kept_out_of
from cdp.insight.stitching.parts import Cluster, Edge, Evidence, node_from, utc
from cdp.warehouse.port import Warehouse

SEARCHED: Final = 5_000
"""Edges of one cluster that are searched for a way, and among which the drawn ones are chosen."""


def cluster(warehouse: Warehouse, profile_id: str, most: int = 200) -> Cluster:
    """Return the graph of a profile, without nodes where there is no such profile.

    Where it has more than *most* identifiers, the best connected are returned: a part of the graph
    that hangs together.
    """
    rows = nodes_of(warehouse, profile_id, [-1], most)
    node_count = rows[0]["nodes"] if rows else 0
    graph: list[dict[str, Any]] = []
    if node_count > most:
        graph = ask(warehouse, "stitching_graph", profile_id=profile_id, most=SEARCHED)
        rows = nodes_of(warehouse, profile_id, _best_connected(graph, most), most)
    edges = edges_of(warehouse, [row["identifier_id"] for row in rows])
    touching = ask(warehouse, "stitching_touching", profile_id=profile_id, most=100)
    return Cluster(
        profile_id=profile_id,
        nodes=tuple(node_from(row) for row in rows),
        edges=edges,
        node_count=node_count,
        edge_count=graph[0]["edges"] if graph else len(edges),
        kept_out=tuple(kept_out_of(row) for row in touching),
        kept_out_count=touching[0]["links"] if touching else 0,
    )


def nodes_of(
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
        one: (-len(others), -utc(seen[one]).timestamp(), one) for one, others in neighbours.items()
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


def edges_of(warehouse: Warehouse, ids: Sequence[str]) -> tuple[Edge, ...]:
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
                    first_seen=utc(one["first_seen"]),
                    last_seen=utc(one["last_seen"]),
                )
                for one in row["evidence"]
            ),
        )
        for row in rows
    )
