"""Questions to what a refresh published."""

from cdp.insight.ask import ask


def test_a_question_is_answered_with_rows(warehouse):
    (row,) = ask(warehouse, "totals")
    assert row["clusters"] > 0
    assert row["identifiers"] >= row["clusters"]
