"""How identifiers were joined, what was kept out of the graph, and why two are not one.

One module a question. Identifier values are returned whole: pages mask them. Ids of identifiers are
text, for they have up to 60 bits and JavaScript's numbers have 53.
"""

from cdp.insight.stitching.clusters import cluster
from cdp.insight.stitching.finding import lookup
from cdp.insight.stitching.joining import Joined, Reason, Shared, between, explain
from cdp.insight.stitching.links import HUB, Page, kept_out, why
from cdp.insight.stitching.parts import (
    Cluster,
    Edge,
    End,
    Evidence,
    Hub,
    Identifier,
    KeptOut,
    Node,
    State,
)
from cdp.insight.stitching.totals import changes, hubs, report

__all__ = [
    "HUB",
    "Cluster",
    "Edge",
    "End",
    "Evidence",
    "Hub",
    "Identifier",
    "Joined",
    "KeptOut",
    "Node",
    "Page",
    "Reason",
    "Shared",
    "State",
    "between",
    "changes",
    "cluster",
    "explain",
    "hubs",
    "kept_out",
    "lookup",
    "report",
    "why",
]
