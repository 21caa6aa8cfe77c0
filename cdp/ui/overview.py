"""The overview's numbers and charts."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import streamlit as st

from cdp.insight import overview
from cdp.insight.consent import shares
from cdp.insight.overview import Week
from cdp.ui import charts, words
from cdp.ui.frame import card, kpi

Report = Mapping[str, Any]

EXPLORER: Final = "pages/customers.py"
CONSENT: Final = "pages/consent.py"
PIPELINE: Final = "pages/pipeline.py"


def numbers(report: Report) -> None:
    """Draw the row of figures."""
    told = overview.figures(report)
    until = words.day(told.until) if told.until else ""
    week = f"{words.count(told.days, 'day')} to {until}"
    with st.grid(4, min_column_width=155, gap="small"):
        kpi(
            "Profiles",
            words.number(told.profiles),
            "People of whom consent permits to keep something. "
            f"{words.number(told.withheld)} more are known only to have said no, or nothing; "
            f"{words.number(told.emptied)} of them have a document that keeps only their consent, "
            "which the list of everybody shows, too.",
            delta=f"+{words.number(told.new.now)}" if told.new else None,
            **_spark(told.new),
            note=f"first seen in {week}" if told.new else _NO_DAY,
            link=(EXPLORER, "Everybody", {"order": "id"}),
        )
        kpi(
            "Stitched profiles",
            words.percent(told.stitched_share),
            f"{words.number(told.stitched)} profiles that more than one "
            "identifier leads to, as far as consent lets their documents tell.",
            note=f"{words.number(told.stitched)} profiles",
            share=told.stitched_share,
            link=(EXPLORER, "Stitched", {"stitched": "yes", "order": "id"}),
        )
        kpi(
            "Active a day",
            words.number(told.active.now if told.active else None),
            "Profiles seen on a day, the mean of the last days that are complete, seven at most. "
            "Consent in force permits to tell of them.",
            **_change(told.active, told.days, week),
            **_spark(told.active),
            link=(EXPLORER, "Last seen", {"order": "last_seen"}),
        )
        kpi(
            f"Revenue in {words.count(told.days, 'day')}" if told.days else "Revenue",
            words.money(told.revenue.now if told.revenue else None, 0),
            "Of purchases of profiles whose consent in force permits to tell, each transaction "
            "once, in the property's currency, on the last days that are complete.",
            **_change(told.revenue, told.days, week),
            **_spark(told.revenue),
            chart_type="bar",
            link=(EXPLORER, "By revenue", {"order": "revenue"}),
        )


_NO_DAY: Final = "no day is final yet"


def _change(week: Week | None, days: int, named: str) -> dict[str, Any]:
    """Return what a figure is compared with, or why it is not."""
    if week is None:
        return {"note": _NO_DAY}
    if week.before is None:
        return {"note": f"{named}; too few days before to compare"}
    if not week.before:
        return {"note": f"{named}; nothing before to compare"}
    before = words.count(days, "day")
    return {
        "delta": words.change(week.now, week.before),
        "note": f"{named} vs the {before} before",
    }


def _spark(week: Week | None) -> dict[str, Any]:
    """Return the line of a figure, or why there is none."""
    if week is None or len(week.spark) < 2:
        return {"no_chart": "Too few complete days for a line."}
    if not any(week.spark):
        return {"no_chart": "Nothing that consent permits to tell on any of these days."}
    return {"chart": week.spark}


def growth(report: Report, span: int) -> None:
    """Draw new and returning profiles by day."""
    days = overview.span(report, span)
    colors = charts.palette()
    hover = _spelled(days)
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": days["day"],
            "y": days[column],
            "customdata": hover,
            "marker": {"color": color, "cornerradius": 2},
            "hovertemplate": f"%{{customdata}}<br>%{{y:,}} {name}<extra></extra>",
        }
        for name, column, color in (
            ("returning", "returning_profiles", charts.soft(colors.accent, 0.35)),
            ("new", "new_profiles", colors.accent),
        )
    ]
    charts.show(
        bars,
        height=230,
        alt="New and returning profiles by day",
        key="growth",
        legend=True,
        barmode="stack",
        bargap=0.25,
        xaxis=charts.days(days["day"]),
        shapes=_provisional(days),
        yaxis=charts.quiet(),
    )


def engagement(report: Report, span: int) -> None:
    """Draw sessions by day, and how many of them were engaged."""
    days = overview.span(report, span)
    colors = charts.palette()
    hover = _spelled(days)
    area = {"type": "scatter", "mode": "lines", "x": days["day"], "customdata": hover}
    traces = [
        area
        | {
            "name": "sessions",
            "y": days["sessions"],
            "line": {"color": colors.soft, "width": 1.5, "shape": "spline", "smoothing": 0.4},
            "hovertemplate": "%{customdata}<br>%{y:,} sessions<extra></extra>",
        },
        area
        | {
            "name": "engaged",
            "y": days["engaged_sessions"],
            "line": {"color": colors.good, "width": 2, "shape": "spline", "smoothing": 0.4},
            "fill": "tozeroy",
            "fillcolor": charts.soft(colors.good, 0.12),
            "hovertemplate": "%{customdata}<br>%{y:,} engaged<extra></extra>",
        },
    ]
    charts.show(
        traces,
        height=226,
        alt="Sessions and engaged sessions by day",
        key="engagement",
        legend=True,
        xaxis=charts.days(days["day"]),
        shapes=_provisional(days),
        yaxis=charts.quiet() | {"rangemode": "tozero"},
    )


def revenue(report: Report, span: int) -> None:
    """Draw revenue by day."""
    days = overview.span(report, span)
    colors = charts.palette()
    bars = {
        "type": "bar",
        "x": days["day"],
        "y": days["revenue"],
        "customdata": [
            [day, words.money(revenue), words.count(purchases, "purchase")]
            for day, revenue, purchases in zip(
                _spelled(days), days["revenue"], days["purchases"], strict=True
            )
        ],
        "marker": {"color": colors.series[4], "cornerradius": 2},
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]}, %{customdata[2]}<extra></extra>",
    }
    total = words.money(days["revenue_total"], 0)
    st.caption(f"{total} from {words.count(days['purchases_total'], 'purchase')}")
    charts.show(
        [bars],
        height=190,
        alt="Revenue by day",
        key="revenue",
        bargap=0.3,
        xaxis=charts.days(days["day"]),
        shapes=_provisional(days),
        yaxis=charts.quiet(),
    )


def sources(report: Report) -> None:
    """Draw the sources that people came from last."""
    rows = report["sources"]["top"][:8]
    names = [_source(row) for row in rows]
    if rest := report["sources"]["other"]["profiles"]:
        st.caption(f"{words.count(rest, 'profile')} more came from other sources.")
    charts.ranked(
        names, [row["profiles"] for row in rows], "sources", "Profiles by their last source"
    )


def countries(report: Report) -> None:
    """Draw the countries that people were seen in last."""
    rows = report["countries"]["top"][:8]
    names = [row["value"] or "not told" for row in rows]
    charts.ranked(names, [row["profiles"] for row in rows], "countries", "Profiles by country")


def consent(report: Report) -> None:
    """Draw who granted, denied or said nothing, a purpose at a time."""
    colors = charts.palette()
    told = shares(report["consent"])
    shades = (
        ("granted", colors.good),
        ("unknown", charts.soft(colors.soft, 0.35)),
        ("denied", colors.warn),
    )
    bars: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": state,
            "y": [charts.label(row["purpose"]) for row in told],
            "x": [row[state] for row in told],
            "customdata": [words.percent(row["shares"][state]) for row in told],
            "marker": {"color": color, "cornerradius": 2},
            "hovertemplate": f"%{{y}}: %{{x:,}} {state}, %{{customdata}}<extra></extra>",
            "width": 0.5,
        }
        for state, color in shades
    ]
    bars.append(
        {
            "type": "scatter",
            "mode": "text",
            "y": [charts.label(row["purpose"]) for row in told],
            "x": [1.02 * row["people"] for row in told],
            "text": [words.percent(row["shares"]["permitted"]) for row in told],
            "textposition": "middle right",
            "showlegend": False,
            "hoverinfo": "skip",
            "cliponaxis": False,
        }
    )
    st.caption(":green[●] granted   :gray[●] unknown   :orange[●] denied")
    everybody = max((row["people"] for row in told), default=1)
    charts.show(
        bars,
        height=44 * len(told) + 12,
        alt="Consent states by purpose",
        key="consent",
        barmode="stack",
        xaxis={"visible": False, "range": [0, everybody * 1.22]},
        yaxis={"autorange": "reversed", "nticks": len(told), "linecolor": "rgba(0,0,0,0)"},
    )


def freshness(report: Report) -> None:
    """Draw the state of the last fourteen days."""
    fresh = report["freshness"]
    colors = charts.palette()
    recent = list(reversed(fresh["recent"]))
    shade = {"final": colors.good, "provisional": colors.warn}
    says = {
        "final": "final: Google rewrites it no more",
        "provisional": "provisional: Google may still rewrite it",
        "missing": "missing: load it",
    }
    bars = {
        "type": "bar",
        "x": [row["day"] for row in recent],
        "y": [max(row["rows"], 1) for row in recent],
        "customdata": [
            [words.day(row["day"]), says[row["state"]], words.number(row["rows"])] for row in recent
        ],
        "marker": {
            "color": [shade.get(row["state"], colors.bad) for row in recent],
            "cornerradius": 2,
        },
        "hovertemplate": (
            "%{customdata[0]}<br>%{customdata[2]} rows<br>%{customdata[1]}<extra></extra>"
        ),
    }
    st.caption(":green[●] final   :orange[●] provisional   :red[●] missing")
    charts.show(
        [bars],
        height=150,
        alt="Rows of the last fourteen days and whether each is final",
        key="freshness",
        bargap=0.3,
        xaxis=charts.days([row["day"] for row in recent]),
        yaxis={"visible": False},
    )


def fresh_badge(report: Report) -> tuple[str, Any, str]:
    """Return the badge that says how far the warehouse is complete."""
    until = report["freshness"]["complete_until"]
    if until is None:
        return "no day is final yet", "orange", "hourglass"
    return f"complete until {words.day(until)}", "green", "event_available"


def charts_of(report: Report) -> None:
    """Draw every chart, a span of days above them."""
    known = len(report["days"]["day"])
    spans = [span for span in (14, 30, 90, 400) if span < known] or [14]
    if known > spans[-1]:
        spans.append(known)
    left, right = st.columns([2, 1])
    with left, card("Growth", "Profiles seen on that day. Shaded days are provisional."):
        span = _span(spans, known)
        growth(report, span)
    with right, card("Freshness", "Rows of each of the last 14 days."):
        freshness(report)
        st.page_link(PIPELINE, label="Runs", icon=":material/arrow_forward:")
    left, right = st.columns(2)
    with left, card("Engagement"):
        engagement(report, span)
    with right, card("Revenue"):
        revenue(report, span)
    left, middle, right = st.columns(3)
    with left, card("Sources", "Where profiles came from last, of those with a visit."):
        sources(report)
    with middle, card("Countries", "Where profiles were seen last, of those with a visit."):
        countries(report)
    with right, card("Consent", "Share of all people seen who permit each purpose."):
        consent(report)
        st.page_link(CONSENT, label="Review", icon=":material/arrow_forward:")


def _span(spans: Sequence[int], known: int) -> int:
    if len(spans) == 1:
        return min(spans[0], known)
    words_of = {spans[-1]: "all"} if spans[-1] == known else {}
    chosen = st.segmented_control(
        "Days",
        spans,
        default=spans[min(1, len(spans) - 1)],
        required=True,
        key="span",
        format_func=lambda span: words_of.get(span, f"{span} d"),
        label_visibility="collapsed",
    )
    return int(chosen or spans[0])


def _spelled(days: Report) -> list[str]:
    """Return hover texts of days; a provisional one says so."""
    return [
        f"{text}, provisional" if day in days["provisional"] else text
        for day, text in zip(days["day"], charts.spelled(days["day"]), strict=True)
    ]


def _provisional(days: Report) -> list[dict[str, Any]]:
    """Return what stands behind the days that Google may still rewrite."""
    color = charts.soft(charts.palette().warn, 0.16)
    return [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": f"{date.fromisoformat(day) - timedelta(days=1)}T12:00",
            "x1": f"{day}T12:00",
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "line": {"width": 0},
            "fillcolor": color,
        }
        for day in days["provisional"]
    ]


def _source(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "not told"
    return f"{row['value']} / {row['medium']}" if row["medium"] else str(row["value"])


def as_of(report: Report) -> str:
    """Say which run made the report."""
    last = report["freshness"]["last_day"]
    first = report["freshness"]["first_day"]
    if not last:
        return "No day was cleaned yet."
    span = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    return f"{words.count(span, 'day')} of events, refreshed {words.ago(report['at'])}"
