"""The stitching audit's figures, tables and pictures."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import streamlit as st

from cdp.domain.policy import Policy
from cdp.insight import person, stitching
from cdp.insight.stitching import Identifier, Joined
from cdp.ui import app, charts, frame, graph, masks, words
from cdp.ui.frame import card, kpi
from cdp.ui.masks import NAMES, Show
from cdp.warehouse.port import Warehouse

Report = Mapping[str, Any]
PROFILE: Final = "pages/profile.py"


def numbers(report: Report) -> None:
    """Draw the row of figures."""
    runs = report["changes"]["runs"]
    latest: Report = runs[0] if runs else {"merges": 0, "splits": 0}
    clusters, identifiers = report["clusters"], report["identifiers"]
    with st.grid(5, min_column_width=155, gap="small"):
        kpi(
            "Identifiers",
            words.number(identifiers["total"]),
            "Values that may be in a profile: user ids, e-mail addresses, phone numbers, clients.",
            note=", ".join(
                f"{words.short(count)} {NAMES[kind].lower()}"
                for kind, count in identifiers["by_type"].items()
            ),
        )
        kpi(
            "Edges",
            words.number(report["edges"]["total"]),
            "Pairs that were seen together with consent to link, and that nothing speaks against.",
            note=f"from {words.count(len(report['edges']['by_source']), 'source')}",
        )
        kpi(
            "Clusters",
            words.number(clusters["total"]),
            "Groups of identifiers that edges join: each is one person.",
            note=f"the largest has {words.number(clusters['max_size'])}",
        )
        kpi(
            "Links kept out",
            words.number(report["kept_out"]["links"]),
            "Pairs that were seen together and do not join: no consent, a blocked value, or an "
            "identifier that is not one person's. One for each source and state of consent.",
            note=f"{words.count(report['hubs']['total'], 'shared identifier')}",
        )
        kpi(
            "Merges and splits",
            f"{words.number(latest['merges'])} / {words.number(latest['splits'])}",
            "Profiles that the newest run with changes joined, and parted.",
            note=words.ago(latest["happened_at"]) if runs else "none so far",
        )


def shape(report: Report) -> None:
    """Draw how clusters are made."""
    left, right = st.columns(2)
    with left, card("Cluster sizes", "Clusters by number of identifiers, on a logarithmic scale."):
        _sizes(report["clusters"]["by_size"])
    with right, card("Kept out", "Links that do not join, by reason."):
        rows = report["kept_out"]["by_reason"]
        charts.ranked(
            [row["reason"] for row in rows],
            [row["links"] for row in rows],
            "reasons",
            "Links kept out by reason",
            hints=[row["why"] for row in rows],
        )
    left, right = st.columns(2)
    with left, card("Identifiers by type"):
        types = report["identifiers"]["by_type"]
        charts.ranked(
            [NAMES[kind] for kind in types], list(types.values()), "types", "Identifiers by type"
        )
    with right, card("Edges by source", "An edge that several sources saw counts for each."):
        rows = report["edges"]["by_source"]
        charts.ranked(
            [row["source"] for row in rows],
            [row["edges"] for row in rows],
            "sources",
            "Edges by source",
            hints=[f"seen {words.number(row['seen'])} times" for row in rows],
        )


def _sizes(rows: Sequence[Mapping[str, Any]]) -> None:
    colors = charts.palette()
    last = max((n for n, row in enumerate(rows) if row["clusters"]), default=0)
    rows = rows[: max(last + 1, 6)]
    bars = {
        "type": "bar",
        "x": [row["size"] for row in rows],
        "y": [row["clusters"] or None for row in rows],
        "text": [words.short(row["clusters"]) if row["clusters"] else "" for row in rows],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": colors.accent, "cornerradius": 3},
        "hovertemplate": "%{x} identifiers: %{y:,} clusters<extra></extra>",
    }
    charts.show(
        [bars],
        height=220,
        alt="Number of clusters by size",
        key="sizes",
        bargap=0.35,
        xaxis={"type": "category", "nticks": 12},
        yaxis={"type": "log", "visible": False, "range": [-0.3, None]},
        margin={"l": 4, "r": 4, "t": 22, "b": 4},
    )


def largest(report: Report, warehouse: Warehouse, *, is_admin: bool) -> None:
    """Draw the largest clusters, and the one that is chosen."""
    rows = report["clusters"]["largest"]
    left, right = st.columns([2, 3])
    with left, card("The largest clusters", "Choose one to see why each pair was joined."):
        chosen = st.dataframe(
            [
                {
                    "Profile": row["profile_id"],
                    "Size": row["size"],
                    **{name: row[kind] for kind, name in NAMES.items()},
                    "Edges": row["edges"],
                    "Last seen": words.day(row["last_seen"]),
                }
                for row in rows
            ],
            key="largest",
            hide_index=True,
            on_select="rerun",
            selection_mode="single-row",
            height=430,
            alt="The largest clusters",
        )
    picked = chosen["selection"]["rows"]
    if picked and picked[0] < len(rows):
        st.query_params["cluster"] = rows[picked[0]]["profile_id"]
    profile_id = st.query_params.get("cluster") or (rows[0]["profile_id"] if rows else None)
    with right:
        if profile_id is None:
            frame.nothing("There is no cluster yet.")
        else:
            of(warehouse, profile_id, is_admin=is_admin)


def of(warehouse: Warehouse, profile_id: str, *, is_admin: bool) -> None:
    """Draw one cluster with its evidence."""
    found = stitching.cluster(warehouse, profile_id)
    platform = app.platform()
    someone = person.person(platform.documents, platform.policy, profile_id)
    known = [person.Identifier(node.type, node.value) for node in found.nodes]
    show, _ = masks.of_person(someone, masks.masked(is_admin, someone), known)
    with card("The cluster", _size_of(found)):
        if not found.nodes:
            st.info("No cluster has this profile id now; it may have been merged into another.")
            return
        graph.draw(found, show, key="cluster_picture")
        joined = partial(table, graph.edge_table(found, show), "edges", "Evidence of each edge")
        kept = graph.kept_out_table(found.kept_out, show)
        frame.tabs(
            {
                "Joined": joined,
                "Kept out": partial(table, kept, "touching", "Links kept out"),
            },
            key="edges_of",
        )
        st.page_link(
            PROFILE,
            label="Open the profile",
            icon=":material/person:",
            query_params={"profile": profile_id},
        )


def _size_of(found: stitching.Cluster) -> str:
    shown = len(found.nodes)
    more = "" if shown == found.node_count else f", the {shown} best connected are drawn"
    return (
        f"{words.count(found.node_count, 'identifier')}, {words.count(found.edge_count, 'edge')}"
        f"{more}; {words.count(found.kept_out_count, 'link')} kept out"
    )


def table(rows: Sequence[Mapping[str, Any]], key: str, alt: str) -> None:
    """Draw a table, or say that it is empty."""
    if rows:
        st.dataframe(rows, key=key, hide_index=True, alt=alt)
    else:
        st.caption("None.")


def kept_out(report: Report, warehouse: Warehouse, show: Show) -> None:
    """Draw the links kept out, page by page, and identifiers that join too many."""
    reasons = {row["reason"]: row for row in report["kept_out"]["by_reason"]}
    with card("Links kept out", "They join nobody; each says why."):
        reason = st.pills(
            "Reason",
            list(reasons),
            key="reason",
            format_func=lambda name: f"{name} ({words.number(reasons[name]['links'])})",
            label_visibility="collapsed",
        )
        if reason:
            st.caption(reasons[reason]["why"])
        page = stitching.kept_out(warehouse, reason, frame.cursor("kept_out", reason))
        table(graph.kept_out_table(page.links, show), "kept_out", "Links kept out")
        frame.pager("kept_out", page.after)
    with card(
        "Shared identifiers",
        "They join more values of a type than the policy allows one person, so that none of their "
        "links joins anything: shared devices, shared mailboxes, test accounts.",
    ):
        table(
            [
                {
                    "Identifier": show(hub["type"], hub["value"], hub["ground"]),
                    "Type": NAMES[hub["type"]],
                    "Joins": f"{words.number(hub['joined'])} of {NAMES[hub['joins']].lower()}",
                    "Allowed": hub["most"],
                }
                for hub in stitching.hubs(warehouse)
            ],
            "hubs",
            "Identifiers that join too many",
        )


def changes(report: Report) -> None:
    """Draw merges and splits, by run and one by one."""
    runs, latest = report["changes"]["runs"], report["changes"]["latest"]
    if not runs:
        frame.nothing(
            "No run has merged or split a profile yet: the first one only makes them.", "call_merge"
        )
        return
    left, right = st.columns([2, 3])
    with left, card("By run", "Runs that merged or split something, the newest first."):
        st.dataframe(
            [
                {
                    "When": words.moment(run["happened_at"]),
                    "Merges": run["merges"],
                    "Splits": run["splits"],
                }
                for run in runs
            ],
            hide_index=True,
            key="change_runs",
        )
    with right, card("The newest changes", "An id that was merged leads to its profile forever."):
        st.dataframe(
            [
                {
                    "What": [change["kind"]],
                    "Profile": change["from_id"],
                    "Became": f"profile?profile={change['to_id']}",
                    "When": words.moment(change["happened_at"]),
                }
                for change in latest
            ],
            hide_index=True,
            key="changes",
            column_config={
                "What": st.column_config.MultiselectColumn(
                    options=["merge", "split"], color=["blue", "orange"]
                ),
                "Became": st.column_config.LinkColumn(display_text=r"profile=(.*)"),
            },
        )


def look_up(warehouse: Warehouse, policy: Policy, show: Show) -> None:
    """Ask for two identifiers and say how they are joined, or why not."""
    with card("Are these two one person?", "Any identifier: e-mail, phone, user, client, profile."):
        columns = st.columns(2)
        typed = [
            column.text_input(name, key=f"look_up_{place}", icon=":material/search:")
            for place, (column, name) in enumerate(
                zip(columns, ("First identifier", "Second identifier"), strict=True)
            )
        ]
        found = [
            _picked(stitching.lookup(warehouse, policy, text), column, f"pick_{place}", show)
            for place, (text, column) in enumerate(zip(typed, columns, strict=True))
        ]
    if found[0] is None or found[1] is None:
        return
    _joined(stitching.between(warehouse, found[0].identifier_id, found[1].identifier_id), show)


def _picked(found: Sequence[Identifier], column: Any, key: str, show: Show) -> Identifier | None:
    """Return the identifier that was meant, asking where there are several; say what is known."""
    if not found:
        return None
    one = found[0]
    with column:
        if len(found) > 1:
            one = st.selectbox(
                "Which one?",
                found,
                key=key,
                format_func=lambda i: (
                    f"{NAMES.get(i.type, i.type)} {show(i.type, i.value, i.ground)}"
                ),
            )
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            color: frame.Color = "green" if one.profile_id else "gray"
            frame.badge(one.state.value, color)
            st.caption(NAMES.get(one.type, one.type), width="content")
            # Whose it is, consent may withhold even from who knows the value.
            if one.profile_id and masks.may_show(one.type, one.ground):
                st.page_link(
                    PROFILE,
                    label=words.plain(one.profile_id),
                    icon=":material/person:",
                    query_params={"profile": one.profile_id},
                )
    return one


def _joined(result: Joined, show: Show) -> None:
    title = "Yes: they are one person" if result.joined else "No: nothing joins them"
    with card(title):
        for sentence in stitching.explain(result):
            st.markdown(words.plain(sentence))
        if result.edges:
            path = stitching.Cluster(
                profile_id=result.first.profile_id or "",
                nodes=result.nodes,
                edges=result.edges,
                node_count=len(result.nodes),
                edge_count=len(result.edges),
                kept_out=(),
                kept_out_count=0,
            )
            graph.draw(path, show, key="path", height=220)
            table(graph.edge_table(path, show), "path_edges", "Evidence of each step")
        links = [*result.direct, *(x for one in result.shared for x in (one.first, one.second))]
        if links:
            st.caption("What speaks for it, and was kept out")
            table(graph.kept_out_table(links, show), "path_kept_out", "Links kept out")
