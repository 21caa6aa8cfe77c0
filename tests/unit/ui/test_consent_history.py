"""What the table of a person's consent shows of each statement."""

from datetime import UTC, datetime
from typing import Any

import pytest
import streamlit as st

from cdp.insight.consent import Told
from cdp.insight.person import Identifier
from cdp.ui import masks
from cdp.ui.profile.consent import history_table

ANA = Identifier("email", "ana@example.com")
FILE = "ana@example.com.csv, line 3"


def rows(
    monkeypatch: pytest.MonkeyPatch,
    told: list[Told],
    theirs: set[Identifier],
    *,
    is_admin: bool = True,
) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = []
    monkeypatch.setattr(st, "dataframe", lambda data, **_: drawn.extend(data))
    monkeypatch.setattr(st, "caption", lambda text: None)
    history_table(
        told,
        theirs,
        masks.shower(set()),
        lambda text: text.replace(ANA.value, "•••"),
        is_admin=is_admin,
        key="history",
    )
    return drawn


def said(evidence: str | None = FILE, told_by: str | None = "ada") -> Told:
    at = datetime(2026, 10, 21, 12, tzinfo=UTC)
    return Told(
        at, "marketing", "granted", "crm", False, ANA.type, ANA.value, True, evidence, told_by
    )


@pytest.mark.parametrize("is_admin", [True, False])
def test_evidence_is_concealed_as_other_text_and_who_told_it_is_the_admins(
    monkeypatch: pytest.MonkeyPatch, is_admin: bool
) -> None:
    (row,) = rows(monkeypatch, [said()], {ANA}, is_admin=is_admin)
    assert row["Evidence"] == "•••.csv, line 3"
    assert row.get("Told by") == ("ada" if is_admin else None)


def test_what_nobody_told_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = rows(monkeypatch, [said(None, None)], {ANA})
    assert (row["Evidence"], row["Told by"]) == ("", "")


def test_who_consents_to_be_joined_with_nobody_is_shown_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (theirs,) = rows(monkeypatch, [said()], {ANA})
    (bound,) = rows(monkeypatch, [said()], set())
    assert theirs["Identifier"] == "E-mail ana@example.com"
    assert bound["Identifier"] == "E-mail •••"


def test_nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows(monkeypatch, [], set()) == []
