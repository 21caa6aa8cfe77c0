"""How a profile's identifiers were joined, and what was kept out."""

import streamlit as st

from cdp.domain.access import HIDDEN
from cdp.insight import person, stitching
from cdp.insight.person import Person
from cdp.ui import app, graph, masks, words
from cdp.ui.masks import NAMES, Show


@app.per_version
def _cluster(version: str, profile_id: str) -> stitching.Cluster:
    del version
    return stitching.cluster(app.need_warehouse(), profile_id)


def known(found: Person, version: str | None) -> list[person.Identifier]:
    """Return what the warehouse joined into the profile, also what consent withholds from it."""
    if version is None or found.state == "unknown":
        return []
    return [person.Identifier(n.type, n.value) for n in _cluster(version, found.profile_id).nodes]


def identities(found: Person, version: str, show: Show) -> stitching.Cluster:
    """Draw how the identifiers were joined."""
    cluster = _cluster(version, found.profile_id)
    if not cluster.nodes:
        st.caption("The warehouse has no identifiers of this profile.")
    elif len(cluster.nodes) == 1:
        node = cluster.nodes[0]
        st.caption("One identifier; nothing was joined.")
        st.markdown(f"{NAMES[node.type]} **{words.plain(show(node.type, node.value))}**")
        st.caption(f"Seen {words.day(node.first_seen)} to {words.day(node.last_seen)}.")
    else:
        alone = masks.withheld_alone(found, known(found, version))
        hidden = masks.withheld(found) & {node.type for node in cluster.nodes}
        hidden |= {one.type for one in alone}
        kinds = " and ".join(NAMES[name].lower() for name in NAMES if name in hidden)
        st.caption(
            f"{words.count(cluster.node_count, 'identifier')}, "
            f"{words.count(cluster.edge_count, 'edge')}; dotted links were kept out."
            + (f" Consent withholds what reads {HIDDEN}: {kinds}." if kinds else "")
        )
        graph.draw(cluster, show, key="identities", height=300)
    return cluster


def evidence(cluster: stitching.Cluster, found: Person, show: Show) -> None:
    """Draw the identifiers with what joins them, and what was kept out."""
    rows = [
        {
            "Type": NAMES[node.type],
            "Value": show(node.type, node.value),
            "First seen": words.day(node.first_seen),
            "Last seen": words.day(node.last_seen),
        }
        for node in cluster.nodes
    ] or [{"Type": NAMES[i.type], "Value": show(i.type, i.value)} for i in found.identifiers]
    for words_of, of, key in (
        ("Identifiers", rows, "nodes"),
        ("Joined by", graph.edge_table(cluster, show), "joined"),
        ("Kept out", graph.kept_out_table(cluster.kept_out, show), "kept_out"),
    ):
        st.markdown(f"**{words_of}**")
        if of:
            st.dataframe(of, hide_index=True, key=key, alt=words_of)
        else:
            st.caption("None.")


def link_to_audit(found: Person) -> None:
    """Draw the way to the cluster's audit."""
    st.page_link(
        "pages/stitching.py",
        label="Audit",
        icon=":material/arrow_forward:",
        icon_position="right",
        query_params={"tab": "Clusters", "cluster": found.profile_id},
    )
