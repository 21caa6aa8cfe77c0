"""Turning pages, however often somebody clicks."""

from typing import Any

import pytest
import streamlit as st

from cdp.ui import frame


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", kept)
    return kept


def test_a_list_begins_at_its_start_and_turns_page_by_page() -> None:
    assert frame.cursor("list") is None
    frame._on("list", 1, "second")
    assert frame.cursor("list") == "second"
    frame._on("list", 2, "third")
    assert frame.cursor("list") == "third"
    frame._back("list", 3)
    assert frame.cursor("list") == "second"
    frame._back("list", 2)
    assert frame.cursor("list") is None


def test_a_second_click_on_the_same_button_does_nothing() -> None:
    frame.cursor("list")
    for _ in range(3):
        frame._on("list", 1, "second")
    assert frame._trail("list") == [None, "second"]
    for _ in range(3):
        frame._back("list", 2)
    assert frame._trail("list") == [None]
    frame._back("list", 1)
    assert frame._trail("list") == [None]


def test_another_list_of_that_name_begins_at_its_start() -> None:
    assert frame.cursor("list", "one") is None
    frame._on("list", 1, "second")
    assert frame.cursor("list", "one") == "second"
    assert frame.cursor("list", "other") is None
    assert frame.cursor("list", "one") is None
    frame._on("list", 1, "second")
    assert frame.cursor("another") is None


def test_a_click_in_a_session_that_is_over_does_nothing(session: dict[str, Any]) -> None:
    frame._on("list", 1, "second")
    frame._back("list", 1)
    assert session == {}
