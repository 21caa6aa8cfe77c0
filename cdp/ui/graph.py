"""A cluster as a picture: identifiers, the edges that join them, and links that were kept out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import networkx as nx
import streamlit as st

from cdp.insight.stitching import Cluster, Edge, End, KeptOut, Node
from cdp.ui import charts, words
from cdp.ui.masks import NAMES, Show

LABELLED: Final = 40
"""Identifiers up to which each has its value beside it; beyond, hovering tells."""

_KEPT_OUT_AT_MOST: Final = 12
_SIZES: Final = {"user_id": 20, "email": 16, "phone": 16, "client_id": 13}

Spot = tuple[float, float]


def draw(cluster: Cluster, show: Show, key: str, height: int = 340) -> None:
    """Draw a cluster."""
    colors = charts.palette()
    outside = _outside(cluster)
    pairs = [(edge.a, edge.b) for edge in cluster.edges]
    others = [(link.a.identifier_id, link.b.identifier_id) for link in outside]
    spots = _layout([node.identifier_id for node in cluster.nodes], pairs, others)
    traces = [
        _lines(others, spots, colors.warn, "dot", 1.5),
        *_edges(cluster.edges, spots, colors),
        *_kept_out(outside, cluster, spots, show, colors),
    ]
    for position, kind in enumerate(NAMES):
        nodes = [node for node in cluster.nodes if node.type == kind]
        if not nodes:
            continue
        labels = [charts.label(words.cut(_shown(node, show), 28)) for node in nodes]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text" if len(cluster.nodes) <= LABELLED else "markers",
                "name": NAMES[kind],
                "x": [spots[node.identifier_id][0] for node in nodes],
                "y": [spots[node.identifier_id][1] for node in nodes],
                "text": labels,
                "textposition": [_beside(spots[node.identifier_id]) for node in nodes],
                "textfont": {"size": 11, "color": colors.text},
                "cliponaxis": False,
                "marker": {
                    "size": _SIZES[kind] if len(cluster.nodes) <= LABELLED else 9,
                    "opacity": 1,
                    "color": colors.series[(1, 0, 3, 4)[position]],
                    "line": {"color": colors.back, "width": 2},
                },
                "customdata": [
                    [NAMES[kind], words.day(node.first_seen), words.day(node.last_seen)]
                    for node in nodes
                ],
                "hovertemplate": (
                    "%{customdata[0]} %{text}<br>seen %{customdata[1]} to %{customdata[2]}"
                    "<extra></extra>"
                ),
            }
        )
    charts.show(
        traces,
        height=height,
        alt=f"{cluster.node_count} identifiers and the {cluster.edge_count} edges that join them",
        key=key,
        legend=True,
        xaxis={"visible": False, "range": [-1.5, 1.5]},
        yaxis={"visible": False, "range": [-1.25, 1.2]},
        margin={"l": 0, "r": 0, "t": 26, "b": 0},
    )


def _beside(spot: Spot) -> str:
    """Return where a label stands: away from the middle, where the edges are."""
    return "top center" if spot[1] > 0.15 else "bottom center"


def _outside(cluster: Cluster) -> list[KeptOut]:
    """Return the links kept out that are drawn: one a pair, of which one end is in the cluster."""
    inside = {node.identifier_id for node in cluster.nodes}
    found: dict[frozenset[str], KeptOut] = {}
    for link in cluster.kept_out:
        ends = frozenset((link.a.identifier_id, link.b.identifier_id))
        if ends & inside and ends not in found and len(found) < _KEPT_OUT_AT_MOST:
            found[ends] = link
    return list(found.values())


@st.cache_data(max_entries=200, ttl="1h", show_spinner=False)
def _layout(
    nodes: list[str], edges: list[tuple[str, str]], others: list[tuple[str, str]]
) -> dict[str, Spot]:
    """Return where each identifier stands, within -1 and 1; the same for the same graph."""
    graph = nx.Graph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges, weight=1.0)
    graph.add_edges_from([pair for pair in others if pair not in set(edges)], weight=0.5)
    if len(graph) < 2:
        return dict.fromkeys(nodes, (0.0, 0.0))
    found = nx.spring_layout(graph, seed=4, iterations=120 if len(graph) <= LABELLED else 60)
    # Stretched to fill the picture in both directions.
    spans = [max(abs(float(spot[i])) for spot in found.values()) or 1.0 for i in (0, 1)]
    return {str(n): (float(s[0]) / spans[0], float(s[1]) / spans[1]) for n, s in found.items()}


def _lines(
    pairs: Sequence[tuple[str, str]], spots: Mapping[str, Spot], color: str, dash: str, width: float
) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for a, b in pairs:
        x += [spots[a][0], spots[b][0], None]
        y += [spots[a][1], spots[b][1], None]
    line = {"color": color, "width": width, "dash": dash}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": line,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _edges(
    edges: Sequence[Edge], spots: Mapping[str, Spot], colors: charts.Palette
) -> list[dict[str, Any]]:
    """Return the edges, thicker where they were seen often, with what tells of them midway."""
    often = [edge for edge in edges if edge.seen >= 5]
    seldom = [edge for edge in edges if edge not in often]
    middle = {
        "type": "scatter",
        "mode": "markers",
        "x": [(spots[e.a][0] + spots[e.b][0]) / 2 for e in edges],
        "y": [(spots[e.a][1] + spots[e.b][1]) / 2 for e in edges],
        "marker": {"size": 10, "opacity": 0},
        "text": [charts.label(evidence(e)) for e in edges],
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }
    return [
        _lines([(e.a, e.b) for e in seldom], spots, charts.soft(colors.soft, 0.55), "solid", 1.5),
        _lines([(e.a, e.b) for e in often], spots, charts.soft(colors.soft, 0.8), "solid", 3),
        middle,
    ]


def _kept_out(
    links: Sequence[KeptOut],
    cluster: Cluster,
    spots: Mapping[str, Spot],
    show: Show,
    colors: charts.Palette,
) -> list[dict[str, Any]]:
    inside = {node.identifier_id for node in cluster.nodes}
    ends = {
        end.identifier_id: (end, link)
        for link in links
        for end in (link.a, link.b)
        if end.identifier_id not in inside
    }
    if not ends:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers+text" if len(cluster.nodes) <= LABELLED else "markers",
            "name": "kept out",
            "x": [spots[one][0] for one in ends],
            "y": [spots[one][1] for one in ends],
            "text": [charts.label(words.cut(_shown(e, show), 22)) for e, _ in ends.values()],
            "textposition": [_beside(spots[one]) for one in ends],
            "textfont": {"size": 11, "color": colors.soft},
            "cliponaxis": False,
            "marker": {
                "size": 11,
                "opacity": 1,
                "color": colors.back,
                "line": {"color": colors.warn, "width": 2},
            },
            "customdata": [[NAMES[e.type], charts.label(link.why)] for e, link in ends.values()],
            "hovertemplate": "%{customdata[0]} %{text}<br>%{customdata[1]}<extra></extra>",
        }
    ]


def _shown(one: Node | End, show: Show) -> str:
    return show(one.type, one.value, one.ground)


def evidence(edge: Edge) -> str:
    """Say what joins a pair: each source, how often, first and last seen."""
    return "; ".join(
        f"{one.source}: seen {words.count(one.seen, 'time')}, {words.day(one.first_seen)}"
        + (f" to {words.day(one.last_seen)}" if one.last_seen != one.first_seen else "")
        for one in edge.evidence
    )


def edge_table(cluster: Cluster, show: Show) -> list[dict[str, Any]]:
    """Return rows for a table of what joins a cluster: one an edge and source."""
    nodes = {node.identifier_id: node for node in cluster.nodes}
    return [
        {
            "Identifier": _shown(nodes[edge.a], show),
            "Type": NAMES[nodes[edge.a].type],
            "Joined with": _shown(nodes[edge.b], show),
            "Its type": NAMES[nodes[edge.b].type],
            "Source": one.source,
            "Consent": one.consent,
            "Seen": one.seen,
            "First": words.day(one.first_seen),
            "Last": words.day(one.last_seen),
        }
        for edge in cluster.edges
        for one in edge.evidence
    ]


def kept_out_table(links: Sequence[KeptOut], show: Show) -> list[dict[str, Any]]:
    """Return rows for a table of links kept out."""
    return [
        {
            "Why": link.why,
            "Identifier": _shown(link.a, show),
            "Type": NAMES[link.a.type],
            "Seen with": _shown(link.b, show),
            "Its type": NAMES[link.b.type],
            "Source": link.source,
            "Consent": link.consent,
            "Seen": link.seen,
            "First": words.day(link.first_seen),
            "Last": words.day(link.last_seen),
        }
        for link in links
    ]
