"""The consent review's figures, charts and tables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import streamlit as st

from cdp.domain.policy import Policy
from cdp.insight import consent
from cdp.profiles.port import Document, DocumentStore
from cdp.ui import charts, frame, words
from cdp.ui.frame import card, kpi
from cdp.ui.masks import NAMES, Show
from cdp.ui.profile.consent import state_column
from cdp.warehouse.port import Warehouse

Report = Mapping[str, Any]
PROFILE: Final = "pages/profile.py"


def numbers(report: Report) -> None:
    """Draw the share of people who permit each purpose, and what must be 0."""
    conflicts = consent.conflicting(report)
    unpermitted = consent.findings(report["reachable"])
    with st.grid(len(report["states"]) + 2, min_column_width=155, gap="small"):
        for told in consent.shares(report["states"]):
            share = told["shares"]["permitted"]
            kpi(
                f"Permit {words.plain(told['purpose'])}",
                words.percent(share),
                f"{words.number(told['granted'])} granted, {words.number(told['denied'])} denied, "
                f"{words.number(told['unknown'])} unknown, of all people seen.",
                share=share,
            )
        kpi(
            "Disagreements",
            words.number(conflicts),
            "Profiles and purposes where one identifier grants what another denies. For the person "
            "any No denies, unless a newer explicit Yes on their user id stands; where the purpose "
            "has the scope value, each address or number is resolved by itself.",
            note="resolved by the policy",
        )
        kpi(
            "Reachable without consent",
            words.number(unpermitted),
            "Profiles in the document store that hold a field whose purpose the same document does "
            "not permit. Counted there, not in the warehouse.",
            note="must be 0" if unpermitted else "as it must be",
        )


def states(report: Report) -> None:
    """Draw states and their change over time."""
    left, right = st.columns([2, 3])
    with left, card("Who decided", "States by purpose and the source that decided them."):
        rows = [
            {
                "Purpose": told["purpose"],
                "Source": source["source"] or "others",
                "Granted": source["granted"],
                "Denied": source["denied"],
            }
            for told in report["states"]
            for source in told["sources"]
        ] + [
            {"Purpose": told["purpose"], "Source": "nobody, or lapsed", "Unknown": told["unknown"]}
            for told in report["states"]
        ]
        st.dataframe(
            rows,
            hide_index=True,
            key="states",
            placeholder="",
            column_config={
                name: st.column_config.NumberColumn(format="localized")
                for name in ("Granted", "Denied", "Unknown")
            },
            alt="States by purpose and source",
        )
    with right, card("Change over time", "Profiles whose state in force began on that day."):
        _changes(report["changes"])
    with card("What was told", "Identifiers that told a state on that day, by source."):
        _told(report["changes"])


def _changes(changes: Report) -> None:
    series = {row["purpose"]: row for row in changes["began"]}
    if not series:
        st.caption("Nobody has said anything yet.")
        return
    purpose = st.segmented_control(
        "Purpose",
        list(series),
        default=next(iter(series)),
        required=True,
        key="changed",
        label_visibility="collapsed",
    )
    row = series[purpose or next(iter(series))]
    _bars(changes["days"], row["granted"], row["denied"], "began", "profiles")


def _told(changes: Report) -> None:
    series = {
        f"{row['purpose']} · {row['source'] or 'others'}": row
        for row in sorted(changes["told"], key=lambda r: (r["purpose"], r["source"] or "~"))
    }
    if not series:
        st.caption("Nobody has said anything yet.")
        return
    name = st.selectbox(
        "Purpose and source", list(series), key="told", label_visibility="collapsed", width=320
    )
    row = series[name]
    _bars(changes["days"], row["granted"], row["denied"], "told_chart", "identifiers")


def _bars(
    days: Sequence[str], granted: Sequence[int], denied: Sequence[int], key: str, noun: str
) -> None:
    """Draw grants above the line and denials below it."""
    colors = charts.palette()
    hover = charts.spelled(days)
    charts.show(
        [
            {
                "type": "bar",
                "name": name,
                "x": list(days),
                "y": [sign * value for value in values],
                "customdata": list(zip(hover, values, strict=True)),
                "marker": {"color": color, "cornerradius": 2},
                "hovertemplate": (
                    f"%{{customdata[0]}}<br>%{{customdata[1]:,}} {noun} {name}<extra></extra>"
                ),
            }
            for name, values, color, sign in (
                ("granted", granted, colors.good, 1),
                ("denied", denied, colors.warn, -1),
            )
        ],
        height=230,
        alt=f"{noun} that granted and denied, by day",
        key=key,
        legend=True,
        barmode="relative",
        bargap=0.2,
        xaxis=charts.days(days),
        yaxis=charts.quiet() | {"zeroline": True, "zerolinecolor": colors.line},
    )


def disagreements(
    report: Report,
    warehouse: Warehouse,
    policy: Policy,
    show: Show,
    resolve: Callable[[consent.Disagreement], None],
) -> None:
    """Draw profiles whose identifiers disagree, with both sides.

    Args:
        resolve: draws the way to resolve one.
    """
    rows = report["conflicts"]
    with card("Disagreements", "One identifier grants what another denies."):
        if not rows:
            st.caption("No two identifiers of one profile disagree.")
            return
        st.dataframe(
            [
                {
                    "Purpose": row["purpose"],
                    "In force": [row["state"]],
                    "Decided by": "an explicit decision" if row["explicit"] else "a signal",
                    "Profiles": row["profiles"],
                }
                for row in rows
            ],
            hide_index=True,
            key="conflicts",
            column_config={"In force": state_column("In force")},
            alt="Disagreements by purpose",
        )
        purpose = st.pills(
            "Purpose", list(policy.purposes), key="purpose", label_visibility="collapsed"
        )
        page = consent.disagreements(
            warehouse, policy, purpose, frame.cursor("disagreements", purpose)
        )
        st.dataframe(
            [
                {
                    "Profile": f"profile?profile={found.profile_id}&details=Consent+history",
                    "Purpose": found.purpose,
                    "In force": [found.state],
                    "By": found.source,
                    "Granted by": "; ".join(_side(found.said, "granted", show)),
                    "Denied by": "; ".join(_side(found.said, "denied", show)),
                }
                for found in page.found
            ],
            hide_index=True,
            key="disagreements",
            column_config={
                "Profile": st.column_config.LinkColumn(display_text=r"profile=(p_[0-9a-f]+)"),
                "In force": state_column("In force"),
                "Granted by": st.column_config.TextColumn(width="large"),
                "Denied by": st.column_config.TextColumn(width="large"),
            },
            alt="Profiles whose identifiers disagree",
        )
        frame.pager("disagreements", page.after)
    if page.found:
        with card(
            "Resolve one",
            "The identifiers that say otherwise get a decision, as the person's own. A No acts at "
            "once, a Yes with the next refresh.",
        ):
            names = {
                f"{found.profile_id} · {found.purpose} · {found.state}": found
                for found in page.found
            }
            chosen = st.selectbox("Disagreement", list(names), key="torn", width=480)
            if chosen:
                found = names[chosen]
                left, right = st.columns(2)
                for column, state in ((left, "granted"), (right, "denied")):
                    with column:
                        st.markdown(f"**{state.capitalize()} by**")
                        for one in _side(found.said, state, show):
                            st.caption(words.plain(one))
                resolve(found)


def _side(said: Sequence[consent.Said], state: str, show: Show) -> list[str]:
    return [
        f"{NAMES[one.type]} {show(one.type, one.value, one.ground)}, "
        f"{one.source}, {words.day(one.at)}"
        for one in said
        if one.state == state
    ]


def decisions(report: Report, loads: Sequence[Document], unheard: Callable[[], None]) -> None:
    """Draw the decisions that were loaded, those without effect, and who loaded them when.

    Args:
        unheard: draws those without effect.
    """
    with card(
        "Decisions",
        "What was loaded or written down, by source. The policy says which sources are explicit: "
        "their No is opened by a newer explicit Yes only.",
    ):
        rows = report["decisions"]
        if rows:
            st.dataframe(
                [
                    {
                        "Source": row["source"],
                        "Purpose": row["purpose"],
                        "State": [row["state"]],
                        "Kind": _kind(row),
                        "Decisions": row["decisions"],
                        "First": words.moment(row["first_at"]),
                        "Last": words.moment(row["last_at"]),
                    }
                    for row in rows
                ],
                hide_index=True,
                key="decisions",
                column_config={
                    "State": state_column(),
                    "Decisions": st.column_config.NumberColumn(format="localized"),
                },
                alt="Decisions by source, purpose and state",
            )
        else:
            st.caption("No decision was loaded yet: `cdp load consent FILE`.")
    unheard()
    with card("Loaded by", "Files of decisions, the newest first."):
        if loads:
            st.dataframe(
                [
                    {
                        "When": words.moment(load.body["at"]),
                        "Who": load.body["actor"],
                        "File": name,
                        "Decisions": rows,
                    }
                    for load in loads
                    for name, rows in load.body["details"].get("files", {}).items()
                ],
                hide_index=True,
                key="loads",
                alt="Loaded files",
            )
        else:
            st.caption("No file was loaded since the audit log began.")


def _kind(row: Mapping[str, Any]) -> str:
    if not row["declared"]:
        return "ignored: no such purpose"
    return "explicit decision" if row["explicit"] else "signal"


def reachable(report: Report, documents: DocumentStore, policy: Policy) -> None:
    """Draw the check of what was delivered."""
    with card(
        "Reachable without consent",
        "Fields that the document store holds although the same document does not permit them. "
        f"Checked in the store {words.ago(report['at'])}, when the last run settled.",
    ):
        rows = report["reachable"]
        if st.button("Check now, every document", key="check", icon=":material/fact_check:"):
            with st.spinner("Reading the document store"):
                rows = consent.reachable(documents, policy)
        found = consent.findings(rows)
        if found:
            st.error(
                f"{words.count(found, 'finding')}: start a full refresh, which writes every "
                "profile again; what remains was written by another system.",
                icon=":material/gpp_bad:",
            )
        else:
            st.success("0: no profile holds what it may not.", icon=":material/gpp_good:")
        st.dataframe(
            [
                {
                    "Field": row["path"],
                    "Purpose": row["purpose"],
                    "State in the document": row["state"],
                    "Profiles": row["count"],
                }
                for row in rows
            ],
            hide_index=True,
            key="reachable",
            alt="Checked fields",
        )
        for row in rows:
            for profile_id in row["ids"]:
                st.page_link(
                    PROFILE, label=words.plain(profile_id), query_params={"profile": profile_id}
                )
