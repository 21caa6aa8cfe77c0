"""One profile: who it is, what happened, how it was joined, what was permitted."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import streamlit as st

from cdp.domain.policy import Policy
from cdp.insight import consent, person, stitching
from cdp.insight.person import Person
from cdp.ui import app, charts, frame, graph, masks, words
from cdp.ui.frame import Badge, card, kpi
from cdp.ui.masks import NAMES, Show

SPANS: Final = {"30d": 30, "90d": 90, "1y": 365}
_LANES: Final = 5
_STATE: Final[Mapping[str, tuple[frame.Color, str]]] = {
    "granted": ("green", "check_circle"),
    "denied": ("orange", "do_not_disturb_on"),
    "unknown": ("gray", "help"),
}
# A profile is asked for anew only when a run has published: the version is part of the key.
_cached = st.cache_data(max_entries=500, ttl="1h", show_spinner=False)


def title(found: Person, show: Show) -> str:
    """Return what a person is called: the strongest identifier that may be shown."""
    if found.identifiers:
        first = found.identifiers[0]
        return masks.name(first.type, first.value, show)
    return "Nobody that may be told"


def badges(found: Person) -> tuple[Badge, ...]:
    """Return what stands below the title."""
    shown: list[Badge] = []
    match found.state:
        case "not synchronised yet":
            shown.append(("Not synchronised yet", "orange", "sync_problem"))
        case "gone" | "deleted":
            shown.append((found.state.capitalize(), "red", "person_off"))
    match found.identity:
        case "known":
            shown.append(("Known customer", "green", "check_circle"))
        case "anonymous":
            shown.append(("Anonymous visitor", "gray", "visibility_off"))
    total = sum(found.counts.values())
    if total:
        shown.append((words.count(total, "identifier"), "blue", "hub"))
    shown += [
        (f"{told.purpose} denied", "orange", "do_not_disturb_on")
        for told in found.consent
        if told.state == "denied"
    ]
    return tuple(shown)


def caption(found: Person) -> str:
    """Return the line of facts below the title."""
    ga4 = found.body.get("ga4")
    ga4 = ga4 if isinstance(ga4, dict) else {}
    parts = [words.plain(found.profile_id)]
    if ga4.get("country"):
        parts.append(words.plain(ga4["country"]))
    if ga4.get("first_seen"):
        parts.append(f"first seen {words.day(str(ga4['first_seen']))}")
    if ga4.get("last_seen"):
        parts.append(f"last seen {words.day(str(ga4['last_seen']))}")
    return " · ".join(parts)


def explain_state(found: Person) -> None:
    """Say what a reader might wonder about."""
    if found.was:
        st.info(
            f"The profile {words.plain(found.was)} was merged into this one.",
            icon=":material/call_merge:",
        )
    match found.state:
        case "not synchronised yet":
            st.info(
                "Another system wrote this document and no refresh has reached it yet. It shows "
                "what is there; the next refresh that knows the person adds the rest.",
                icon=":material/sync_problem:",
            )
        case "gone":
            st.info(
                "Nothing is known of this profile any more: its consent was withdrawn, or its "
                "identifiers belong to other profiles now.",
                icon=":material/person_off:",
            )
        case "deleted":
            st.info("This profile was deleted.", icon=":material/person_off:")
        case "unknown":
            st.error(
                "There is no such profile. The link may be mistyped, or of another deployment.",
                icon=":material/person_off:",
            )


# --- what happened --------------------------------------------------------------------------------


@_cached
def _trends(version: str, profile_id: str, until: date) -> dict[str, Any]:
    del version
    platform = app.platform()
    return person.trends(app.need_warehouse(), profile_id, platform.policy, until)


@_cached
def _timeline(version: str, profile_id: str, since: date, until: date) -> person.Timeline:
    del version
    platform = app.platform()
    return person.timeline(app.need_warehouse(), profile_id, platform.policy, since, until)


@_cached
def _cluster(version: str, profile_id: str) -> stitching.Cluster:
    del version
    return stitching.cluster(app.need_warehouse(), profile_id)


@_cached
def _history(version: str, profile_id: str) -> list[consent.Told]:
    del version
    return consent.history(app.need_warehouse(), app.platform().policy, profile_id)


def numbers(found: Person, version: str | None, until: date) -> None:
    """Draw the figures of the document, with how each went."""
    ga4 = found.body.get("ga4")
    ga4 = ga4 if isinstance(ga4, dict) else {}
    if not ga4:
        return
    trend = _trends(version, found.profile_id, until) if version else None

    def drawn(label: str, name: str, shown: str, help: str, kind: Any = "bar") -> None:
        withheld = trend is None or name in trend["withheld"]
        now = 0 if withheld or trend is None else trend["last_30"][name]
        before = 0 if withheld or trend is None else trend["before_30"][name]
        kpi(
            label,
            shown,
            help,
            delta=words.change(now, before) if not withheld else None,
            note="30 days on the 30 before" if before else "no earlier month to compare",
            chart=[day[name] or 0 for day in trend["days"][-30:]] if trend and not withheld else (),
            chart_type=kind,
        )

    with st.grid(4, min_column_width=155, gap="small"):
        drawn(
            "Revenue",
            "revenue",
            words.money(_number(ga4.get("revenue"))),
            "Of all purchases, each transaction once, in the property's currency.",
        )
        drawn(
            "Purchases",
            "purchases",
            words.number(_number(ga4.get("purchases"))),
            "Each transaction once, however often and from whichever device it was told.",
        )
        drawn(
            "Sessions",
            "sessions",
            words.number(_number(ga4.get("sessions"))),
            "Sessions on all devices; one that crosses midnight is one session.",
        )
        engaged = _number(ga4.get("engagement_ms"))
        drawn(
            "Engagement",
            "engagement_ms",
            words.duration(engaged / 1000 if engaged is not None else None),
            "Time in which a page or screen was in front.",
            "area",
        )


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def engagement(
    found: Person, version: str, until: date, conceal: Callable[[str], str]
) -> person.Timeline | None:
    """Draw the sessions of a span as dots, a lane a source, and return its events."""
    span = st.segmented_control(
        "Span",
        list(SPANS),
        default="30d",
        required=True,
        key="span",
        bind="query-params",
        label_visibility="collapsed",
    )
    since = until - timedelta(days=SPANS[span or "30d"])
    line = _timeline(version, found.profile_id, since, until)
    if line.withheld:
        st.caption(f"The consent to {words.plain(line.withheld)} does not permit to show events.")
        return line
    if not line.events:
        seen = person.profile_window(app.need_warehouse(), found.profile_id, app.platform().policy)
        last = f"the last were on {words.day(seen.last)}" if seen else "there are none at all"
        st.caption(f"No events in this span; {last}.")
        return line
    more = "" if line.total <= len(line.events) else f", the newest {len(line.events)} are shown"
    st.caption(f"{words.count(line.total, 'event')}{more}. Diamonds are purchases.")
    _lanes(line, since, until, conceal)
    return line


def _lanes(line: person.Timeline, since: date, until: date, conceal: Callable[[str], str]) -> None:
    sessions = _sessions(line.events)
    weight: dict[str, int] = defaultdict(int)
    for session in sessions:
        weight[session["lane"]] += session["events"]
    ranked = sorted(weight, key=lambda lane: -weight[lane])
    lanes = [*ranked[: _LANES - 1], "other"] if len(ranked) > _LANES else ranked
    place = {lane: len(lanes) - 1 - n for n, lane in enumerate(lanes)}
    colors = charts.palette()
    traces: list[dict[str, Any]] = []
    for number, lane in enumerate(lanes):
        of_lane = [s for s in sessions if place.get(s["lane"], 0) == place[lane]]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [s["at"].isoformat() for s in of_lane],
                "y": [place[lane]] * len(of_lane),
                "marker": {
                    "size": [min(7 + 1.6 * s["events"] ** 0.7, 26) for s in of_lane],
                    "opacity": 1,
                    "color": charts.soft(colors.series[number % 7], 0.65),
                    "line": {"width": 1, "color": colors.series[number % 7]},
                },
                "customdata": [[words.moment(s["at"]), s["events"]] for s in of_lane],
                "hovertemplate": "%{customdata[0]}<br>%{customdata[1]} events<extra></extra>",
            }
        )
    bought = [s for s in sessions if s["purchases"]]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [s["bought_at"].isoformat() for s in bought],
            "y": [place.get(s["lane"], 0) for s in bought],
            "marker": {"symbol": "diamond", "size": 11, "opacity": 1, "color": colors.text},
            "customdata": [
                [words.moment(s["bought_at"]), words.money(s["revenue"])] for s in bought
            ],
            "hovertemplate": "%{customdata[0]}<br>purchase of %{customdata[1]}<extra></extra>",
        }
    )
    ticks = [since + timedelta(days=n) for n in range((until - since).days)]
    charts.show(
        traces,
        height=56 + 44 * len(lanes),
        alt="Sessions by day and source; purchases as diamonds",
        key="engagement",
        xaxis=charts.days([day.isoformat() for day in ticks])
        # Half a day more, so that no dot is cut.
        | {"range": [f"{since - timedelta(days=1)}T12:00", f"{until}T12:00"]},
        yaxis={
            "tickmode": "array",
            "tickvals": list(place.values()),
            "ticktext": [charts.label(words.cut(conceal(lane), 22)) for lane in place],
            "showgrid": True,
            "gridcolor": colors.line,
            "linecolor": "rgba(0,0,0,0)",
            "range": [-0.6, len(lanes) - 0.4],
        },
        shapes=[_merge_line(change, colors) for change in line.changes],
    )


def _merge_line(change: Mapping[str, Any], colors: charts.Palette) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": change["happened_at"].isoformat(),
        "x1": change["happened_at"].isoformat(),
        "y0": 0,
        "y1": 1,
        "line": {"color": colors.series[3], "width": 1.5, "dash": "dot"},
        "label": {
            "text": f"Identity {change['kind']}",
            "textposition": "end",
            "font": {"color": colors.series[3], "size": 11},
        },
    }


def _sessions(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the sessions that *events* tell, those without an id by day; the oldest first."""
    grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        inside = event["session_id"] or event["event_at"].date()
        grouped[event["client"], inside].append(event)
    sessions = []
    for of_session in grouped.values():
        told = next((e for e in reversed(of_session) if e["source"]), of_session[-1])
        lane = f"{told['source']} / {told['medium'] or '(none)'}" if told["source"] else "not told"
        bought = [e for e in of_session if e["revenue"]]
        sessions.append(
            {
                "at": min(e["event_at"] for e in of_session),
                "events": len(of_session),
                "lane": lane,
                "purchases": len(bought),
                "bought_at": bought[0]["event_at"] if bought else None,
                "revenue": sum(e["revenue"] for e in bought),
            }
        )
    return sorted(sessions, key=lambda session: session["at"])


def event_table(line: person.Timeline, conceal: Callable[[str], str], show: Show) -> None:
    """Draw the events of a span, the newest first."""
    if not line.events:
        st.caption("No events to show.")
        return
    shown = st.session_state.get("events_shown", _EVENTS_SHOWN)
    st.dataframe(
        [
            {
                "When": words.moment(event["event_at"], seconds=True),
                "Event": event["event_name"],
                "Page": conceal(event["page_title"] or event["page_location"] or ""),
                "Source": conceal(event["source"] or ""),
                "Device": event["device"] or "",
                "Revenue": words.money(event["revenue"]) if event["revenue"] else "",
                "Client": show("client_id", event["client"]) if event["client"] else "",
            }
            for event in line.events[:shown]
        ],
        hide_index=True,
        key="events",
        height=420,
        alt="Events, the newest first",
    )
    if shown < line.total:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(
                f"The newest {min(shown, len(line.events))} of "
                f"{words.count(line.total, 'event')} in this span.",
                width="content",
            )
            if shown < len(line.events):
                st.button(
                    "Show more",
                    key="more_events",
                    on_click=lambda: st.session_state.update(events_shown=shown + 200),
                )


_EVENTS_SHOWN: Final = 50


# --- identities -----------------------------------------------------------------------------------


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
        hidden = masks.withheld(found) & {node.type for node in cluster.nodes}
        kinds = " and ".join(NAMES[name].lower() for name in NAMES if name in hidden)
        st.caption(
            f"{words.count(cluster.node_count, 'identifier')}, "
            f"{words.count(cluster.edge_count, 'edge')}; dotted links were kept out."
            + (f" Consent withholds {kinds} from the document." if kinds else "")
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


# --- consent, fields, document --------------------------------------------------------------------


def consents(found: Person) -> None:
    """Draw the state a purpose, with what decided it."""
    st.dataframe(
        [
            {
                "Purpose": told.purpose,
                "State": [told.state],
                "Source": told.source or "nobody said",
                "Since": words.day(told.since) if told.since else words.NOTHING,
                "So": "fields are kept" if told.permits else "fields are withheld",
            }
            for told in found.consent
        ],
        hide_index=True,
        key="consents",
        column_config={"State": state_column()},
        alt="Consent by purpose",
    )


def state_column(title: str = "State") -> Any:
    """Return the column of consent states, each a badge."""
    return st.column_config.MultiselectColumn(
        title, options=list(_STATE), color=[color for color, _ in _STATE.values()]
    )


def consent_history(found: Person, version: str, show: Show) -> None:
    """Draw all that was said, the newest first."""
    history_table(_history(version, found.profile_id), show, key="consent_history")


def history_table(told: Sequence[consent.Told], show: Show, key: str) -> None:
    """Draw what was said of a person's consent."""
    if not told:
        st.caption("Nothing was ever said.")
        return
    st.dataframe(
        [
            {
                "From": words.moment(one.at),
                "Until": words.moment(one.until),
                "Purpose": one.purpose,
                "State": [one.state],
                "Source": one.source,
                "Kind": "decision" if one.explicit else "signal",
                "In force": "in force" if one.in_force else "",
                "Identifier": f"{NAMES[one.type]} {show(one.type, one.value)}",
            }
            for one in told
        ],
        hide_index=True,
        key=key,
        column_config={"State": state_column()},
        alt="Consent history",
    )


def origins(shown: Person, policy: Policy) -> None:
    """Draw where each field comes from, and why others are absent.

    Args:
        shown: with the body that may be shown.
    """
    rows = person.fields(shown, policy)
    st.dataframe(
        [
            {
                "Field": row.path,
                "Value": f"absent: {row.absent}" if row.absent else _text(row.value),
                "Comes from": row.origin.rule if row.origin else "written by another system",
                "Made by": f"{row.origin.statement}.sql" if row.origin else "",
                "Purpose": row.purpose or "",
                "Consent": [row.consent] if row.consent else [],
                "Run": row.run or "",
            }
            for row in rows
        ],
        hide_index=True,
        key="origins",
        height=520,
        column_config={"Consent": state_column()},
        alt="Origin of each field",
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def link_to_audit(found: Person) -> None:
    """Draw the way to the cluster's audit."""
    st.page_link(
        "pages/stitching_audit.py",
        label="Audit",
        icon=":material/arrow_forward:",
        icon_position="right",
        query_params={"tab": "Clusters", "cluster": found.profile_id},
    )


def card_row(found: Person, version: str | None, until: date, show: Show, conceal: Any) -> Any:
    """Draw the timeline beside the identities, and return both for the tables below."""
    if version is None:
        st.info("No refresh has settled yet: there are no events and no evidence to show.")
        return None, None
    left, right = st.columns([5, 3])
    with left, card("Engagement"):
        line = engagement(found, version, until, conceal)
    with right, card("Identities"):
        cluster = identities(found, version, show)
        link_to_audit(found)
    return line, cluster
