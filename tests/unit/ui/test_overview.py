"""What stands beside a figure: how it went, against what, or why that is not told."""

import pytest

from cdp.insight.overview import Week
from cdp.ui import overview, words

pytestmark = pytest.mark.usefixtures("viewer")
NAMED = "7 days to Oct 30, 2026"


def week(now: float, before: float | None, *spark: float) -> Week:
    return Week(now, before, spark)


def test_a_change_says_what_it_is_compared_with() -> None:
    assert overview._change(week(15, 10), 7, NAMED) == {
        "delta": words.change(15, 10),
        "note": f"{NAMED} vs the 7 days before",
    }


@pytest.mark.parametrize(
    ("told", "note"),
    [
        (None, "no day is final yet"),
        (week(15, None), f"{NAMED}; too few days before to compare"),
        (week(15, 0), f"{NAMED}; nothing before to compare"),
    ],
)
def test_without_a_change_it_says_why(told: Week | None, note: str) -> None:
    assert overview._change(told, 7, NAMED) == {"note": note}


@pytest.mark.parametrize("told", [None, week(1, None), week(1, None, 1)])
def test_a_line_of_too_few_days_says_so(told: Week | None) -> None:
    assert overview._spark(told) == {"no_chart": "Too few complete days for a line."}


def test_a_line_of_nothing_says_so() -> None:
    (said,) = overview._spark(week(0, 0, 0, 0, 0)).values()
    assert "consent permits" in said


def test_a_line_is_drawn_as_it_is() -> None:
    assert overview._spark(week(3, 1, 1, 2)) == {"chart": (1, 2)}
