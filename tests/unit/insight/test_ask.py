"""Questions to what a refresh published."""

from cdp.insight.ask import ask


def test_a_question_is_answered_with_rows(warehouse):
    rows = ask(warehouse, "stitching_sizes")
    assert rows[0]["from_size"] == 1
    assert rows[0]["clusters"] > 0
