"""Charts: one look, the viewer's theme and locale, every word shown as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st
from babel.dates import format_skeleton

from cdp.ui.words import cut, locale, number

CONFIG: Final = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False}
FONT: Final = "Inter, system-ui, sans-serif"


@dataclass(frozen=True, slots=True)
class Palette:
    """The theme's colours; all pass a contrast of 3 against its background, text 4.5."""

    text: str
    soft: str
    line: str
    back: str
    accent: str
    good: str
    warn: str
    bad: str
    series: Sequence[str]


LIGHT: Final = Palette(
    text="#0F1526",
    soft="#5B657A",
    line="#E4E7EE",
    back="#FFFFFF",
    accent="#4F5BD5",
    good="#0E9384",
    warn="#C4560A",
    bad="#D92D20",
    series=("#4F5BD5", "#0E9384", "#DC6803", "#C11574", "#2E90FA", "#7A5AF8", "#667085"),
)
DARK: Final = Palette(
    text="#E6E9F2",
    soft="#A4AEC2",
    line="#293149",
    back="#0F1320",
    accent="#8B95F6",
    good="#2DD4BF",
    warn="#FDB022",
    bad="#F97066",
    series=("#8B95F6", "#2DD4BF", "#FDB022", "#F670C7", "#53B1FD", "#A48AFB", "#98A2B3"),
)


def palette() -> Palette:
    """Return the colours of the viewer's theme."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def soft(color: str, opacity: float) -> str:
    """Return *color* (#RRGGBB) as CSS with that opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def show(
    data: Sequence[Mapping[str, Any]],
    height: int,
    alt: str,
    key: str,
    *,
    legend: bool = False,
    nothing: str = "Nothing happened in these days.",
    **layout: Any,
) -> None:
    """Draw traces at a fixed height, or say why there is nothing to draw.

    Args:
        data: Plotly traces; their text is escaped already (`label`).
        alt: what the chart shows, for those who do not see it.
        nothing: what is said where all bars and lines are at zero.
        layout: Plotly's, over the house's.
    """
    if _flat(data):
        st.caption(nothing)
        return
    colors = palette()
    axis = {
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
        "tickangle": 0,
        "nticks": 5,
        "linecolor": colors.line,
        "tickfont": {"color": colors.soft},
    }
    house: dict[str, Any] = {
        "template": {},  # Plotly's own is 7 kB that each chart would send along
        "height": height,
        "margin": {"l": 4, "r": 4, "t": 26 if legend else 8, "b": 4},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "color": colors.text, "size": 12},
        "showlegend": legend,
        "separators": _separators(),
        "hoverlabel": {"bgcolor": colors.back, "font": {"color": colors.text}},
        "dragmode": False,
        "xaxis": axis | layout.pop("xaxis", {}),
        "yaxis": axis | layout.pop("yaxis", {}),
    }
    if legend:
        house["legend"] = {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "normal",
            "font": {"color": colors.soft},
            "itemclick": False,
            "itemdoubleclick": False,
        }
    figure = go.Figure({"data": list(data), "layout": house | layout}, skip_invalid=False)
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=alt, key=key)


def ranked(
    names: Sequence[str],
    values: Sequence[int],
    key: str,
    alt: str,
    hints: Sequence[str] = (),
) -> None:
    """Draw bars with their names, the greatest first.

    Args:
        hints: what hovering adds to each.
    """
    colors = palette()
    shown = [label(cut(name, 24)) for name in names]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": list(range(len(names))),
        "x": list(values),
        "text": [number(value) for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": soft(colors.accent, 0.75), "cornerradius": 3},
        "width": 0.55,
        "customdata": [
            label(name) + (f"<br>{label(hints[place])}" if hints else "")
            for place, name in enumerate(names)
        ],
        "hovertemplate": "%{customdata}: %{x:,}<extra></extra>"
        if not hints
        else ("%{x:,} %{customdata}<extra></extra>"),
    }
    show(
        [bars],
        height=30 * len(names) + 12,
        alt=alt,
        key=key,
        nothing="There are none yet.",
        xaxis={"visible": False, "range": [0, max(values, default=1) * 1.25]},
        yaxis={
            "autorange": "reversed",
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": shown,
            "linecolor": "rgba(0,0,0,0)",
        },
    )


def quiet() -> dict[str, Any]:
    """Return an axis of few short numbers."""
    return {"nticks": 4, "tickformat": "~s", "linecolor": "rgba(0,0,0,0)"}


def spark(values: Sequence[float], kind: str, key: str, alt: str) -> None:
    """Draw how a figure went, without axes.

    Args:
        kind: bar or area.
    """
    if not any(values):
        st.caption("Nothing happened in these days.")
        return
    colors = palette()
    bar = {"type": "bar", "marker": {"color": soft(colors.accent, 0.55), "cornerradius": 2}}
    area = {
        "type": "scatter",
        "mode": "lines",
        "line": {"color": colors.accent, "width": 1.75},
        "fill": "tozeroy",
        "fillcolor": soft(colors.accent, 0.1),
    }
    hidden = {"visible": False, "fixedrange": True}
    trace = {**(bar if kind == "bar" else area), "y": list(values), "hoverinfo": "skip"}
    layout = {
        "template": {},
        "height": 56,
        "margin": {"l": 0, "r": 0, "t": 4, "b": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "dragmode": False,
        "bargap": 0.35,
        "xaxis": hidden,
        "yaxis": hidden | {"rangemode": "tozero"},
    }
    st.plotly_chart(
        go.Figure({"data": [trace], "layout": layout}),
        theme=None,
        config=CONFIG,
        alt=alt,
        key=key,
    )


def _flat(data: Sequence[Mapping[str, Any]]) -> bool:
    """Whether bars and lines, and nothing else, are drawn, and none leaves zero."""
    drawn = [trace for trace in data if trace.get("mode") != "text"]
    return all(
        (trace.get("type") == "bar" or trace.get("mode") == "lines")
        and not any(trace["x" if trace.get("orientation") == "h" else "y"])
        for trace in drawn
    )


def label(text: object) -> str:
    """Return *text* so that Plotly, which knows some HTML, shows it as it is."""
    return escape(" ".join(str(text).split()), quote=False)


def days(values: Sequence[str]) -> dict[str, Any]:
    """Return an axis of days (ISO text) whose ticks are spelled in the viewer's locale."""
    if not values:
        return {}
    step = max(1, round(len(values) / 5))
    ticks = list(values[step // 2 :: step])
    spelled = [format_skeleton("MMMd", date.fromisoformat(tick), locale=locale()) for tick in ticks]
    return {"type": "date", "tickmode": "array", "tickvals": ticks, "ticktext": spelled}


def spelled(values: Sequence[str]) -> list[str]:
    """Return days as hover texts in the viewer's locale."""
    return [
        str(format_skeleton("yMMMd", date.fromisoformat(value), locale=locale()))
        for value in values
    ]


def _separators() -> str:
    symbols = locale().number_symbols.get("latn", {})
    return f"{symbols.get('decimal', '.')}{symbols.get('group', ',')}"
