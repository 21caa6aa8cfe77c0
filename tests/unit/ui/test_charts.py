"""Charts show words as they are, in the viewer's locale."""

import tomllib

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import HOME_PAGE
from cdp.ui import charts
from tests.unit.ui.conftest import Viewer


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("a & b", "a &amp; b"),
        ("&lt;", "&amp;lt;"),
        (" a\n<br>\tb ", "a &lt;br&gt; b"),
        ('say "x"', 'say "x"'),
        (None, "None"),
        ("Grüße", "Grüße"),
    ],
)
def test_a_label_is_no_html(text: object, shown: str) -> None:
    assert charts.label(text) == shown


def test_days_are_spelled_in_the_viewers_locale(viewer: Viewer) -> None:
    days = [f"2026-10-{day:02}" for day in range(1, 11)]
    viewer("de-DE")
    axis = charts.days(days)
    assert len(axis["tickvals"]) == len(axis["ticktext"]) == 5
    assert set(axis["tickvals"]) <= set(days)
    assert axis["ticktext"][0] == "2. Okt."
    assert charts.spelled(["2026-10-01"]) == ["1. Okt. 2026"]
    assert charts.days([]) == {}
    assert charts.days(["2026-10-01"])["tickvals"] == ["2026-10-01"]


def test_numbers_of_axes_have_the_viewers_separators(viewer: Viewer) -> None:
    assert charts._separators() == ".,"
    viewer("de-DE")
    assert charts._separators() == ",."


def test_the_palette_is_that_of_the_viewers_theme(viewer: Viewer) -> None:
    assert charts.palette() is charts.LIGHT
    viewer(theme="dark")
    assert charts.palette() is charts.DARK


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [charts.LIGHT, charts.DARK], ids=["light", "dark"])
def test_colours_pass_contrast_against_their_background(palette: charts.Palette) -> None:
    assert contrast(palette.text, palette.back) >= 4.5
    assert contrast(palette.soft, palette.back) >= 4.5
    for color in (palette.accent, palette.good, palette.warn, palette.bad, *palette.series):
        assert contrast(color, palette.back) >= 3, color


def test_a_colour_is_thinned() -> None:
    assert charts.soft("#4F5BD5", 0.35) == "rgba(79,91,213,0.35)"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_captions_of_the_theme_can_be_read_on_all_that_they_stand_on(theme: str) -> None:
    told = tomllib.loads((HOME_PAGE.parent / ".streamlit" / "config.toml").read_text("utf-8"))
    look = told["theme"][theme]
    palette = {"light": charts.LIGHT, "dark": charts.DARK}[theme]
    assert (look["textColor"], look["backgroundColor"]) == (palette.text, palette.back)
    for part in (look, look["sidebar"]):
        for back in (part["backgroundColor"], part["secondaryBackgroundColor"]):
            # Streamlit writes captions in six tenths of the text's colour.
            assert contrast(faded(look["textColor"], back, 0.6), back) >= 4.5
    assert contrast(look["primaryColor"], look["backgroundColor"]) >= 4.5


def faded(color: str, back: str, opacity: float) -> str:
    pairs = [(int(color[i : i + 2], 16), int(back[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(c * opacity + b * (1 - opacity)):02x}" for c, b in pairs)


@pytest.mark.parametrize(
    ("name", "palette"), [("wordmark", charts.LIGHT), ("wordmark-dark", charts.DARK)]
)
def test_the_wordmark_is_drawn_in_outlines_that_need_no_font(
    name: str, palette: charts.Palette
) -> None:
    mark = (HOME_PAGE.parent / "static" / f"{name}.svg").read_text("utf-8")
    assert "<text" not in mark
    assert f'<path fill="{palette.text}"' in mark


# --- nothing to draw ------------------------------------------------------------------------------


def bars(*values: float | None, **more: object) -> dict[str, object]:
    return {"type": "bar", "y": list(values), **more}


@pytest.mark.parametrize(
    ("data", "flat"),
    [
        ([], True),
        ([bars()], True),
        ([bars(0, None), bars(0)], True),
        ([bars(0), bars(0, 1)], False),
        ([{"type": "bar", "orientation": "h", "x": [0], "y": ["a"]}], True),
        ([{"type": "bar", "orientation": "h", "x": [2], "y": ["a"]}], False),
        ([bars(0), {"type": "scatter", "mode": "text", "y": [1], "text": ["-"]}], True),
        ([{"type": "scatter", "mode": "lines", "y": [0, 0]}], True),
        ([{"type": "scatter", "mode": "markers", "x": [0], "y": [0]}], False),
    ],
)
def test_a_chart_without_a_value_is_told_from_one_of_places(
    data: list[dict[str, object]], flat: bool
) -> None:
    assert charts._flat(data) is flat


def test_what_has_nothing_to_draw_says_so() -> None:
    def page() -> None:
        from cdp.ui import charts

        charts.spark([0, 0], "bar", key="spark", alt="Revenue, day by day")
        charts.ranked([], [], "ranked", "Sources")
        charts.show([{"type": "bar", "y": [0]}], height=90, alt="Revenue", key="bars")

    at = AppTest.from_function(page).run()
    assert not at.exception
    assert not at.get("plotly_chart")
    nothing = "Nothing happened in these days."
    assert [told.value for told in at.caption] == [nothing, "There are none yet.", nothing]
