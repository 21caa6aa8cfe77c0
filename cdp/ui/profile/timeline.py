"""What a person did: sessions as dots, a lane a source, and the events themselves."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import streamlit as st

from cdp.insight import person
from cdp.insight.person import Person
from cdp.ui import app, charts, words
from cdp.ui.masks import Show

SPANS: Final = {"30d": 30, "90d": 90, "1y": 365}
_LANES: Final = 5
_EVENTS_SHOWN: Final = 50


@app.per_version
def _timeline(version: str, profile_id: str, since: date, until: date) -> person.Timeline:
    del version
    platform = app.platform()
    return person.timeline(app.need_warehouse(), profile_id, platform.policy, since, until)


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
