"""Who consented to what: the report's figures, both sides of a disagreement, what was delivered."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import HIDDEN, Role, mask
from cdp.profiles.port import PROFILES, Put
from cdp.ui import words
from tests.pages.property import FORMULA, HOSTILE, OPAL
from tests.pages.support import go, links, metrics, said, table

SignedIn = Callable[[Role], AppTest]


def review(at: AppTest, tab: str = "") -> AppTest:
    return go(at, "consent", tab)


def report(platform: Platform) -> dict[str, Any]:
    found = platform.documents.get("reports", "consent")
    assert found is not None
    return found.body


@pytest.mark.parametrize("role", Role)
def test_figures_are_the_reports(refreshed: Platform, signed_in: SignedIn, role: Role) -> None:
    told = report(refreshed)
    shares = {
        f"Permit {row['purpose']}": words.percent(
            row["permitted"] / (row["granted"] + row["denied"] + row["unknown"])
        )
        for row in told["states"]
    }
    assert metrics(review(signed_in(role))) == shares | {
        "Disagreements": words.number(sum(row["profiles"] for row in told["conflicts"])),
        "Reachable without consent": "0",
    }
    assert shares.keys() == {"Permit analytics", "Permit ads", "Permit marketing"}


def test_states_are_told_by_the_source_that_decided(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    rows = table(review(signed_in(Role.MARKETER), "States"), "Purpose", "Granted")
    shown = {(r["Purpose"], r["Source"]): (r["Granted"], r["Denied"]) for r in rows}
    for state in report(refreshed)["states"]:
        for source in state["sources"]:
            key = (state["purpose"], source["source"] or "others")
            assert shown[key] == (source["granted"], source["denied"])


@pytest.mark.parametrize("role", Role)
def test_both_sides_of_a_disagreement_are_shown_as_the_role_may_see_them(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    rows = table(review(signed_in(role), "Disagreements"), "Granted by", "Denied by")
    assert len(rows) == sum(row["profiles"] for row in report(refreshed)["conflicts"])
    value = FORMULA if role is Role.ADMIN else mask("user_id", FORMULA)
    (row,) = [row for row in rows if row["Purpose"] == "marketing"]
    assert row["Granted by"].startswith(f"User id {value}, {HOSTILE}, ")
    assert row["Denied by"].startswith(f"E-mail {HIDDEN}, crm, "), "denied: shown to nobody"
    (formula,) = refreshed.documents.find("formula.1")
    assert row["Profile"] == f"profile?profile={formula}&details=Consent+history"


def test_disagreements_are_filtered_by_purpose(refreshed: Platform, signed_in: SignedIn) -> None:
    at = review(signed_in(Role.ADMIN), "Disagreements")
    at.get_by_key("purpose").set_value("ads").run()
    assert not at.exception
    assert {row["Purpose"] for row in table(at, "Granted by")} == {"ads"}


def test_decisions_tell_who_loaded_them_when(refreshed: Platform, signed_in: SignedIn) -> None:
    at = review(signed_in(Role.MARKETER), "Decisions")
    loads = table(at, "File", "Who")
    assert {(row["File"], row["Decisions"]) for row in loads} >= {
        ("planted.ndjson", 8),
        ("withdrawn.ndjson", 1),
    }
    assert all(row["Who"].startswith("shell:") for row in loads)
    rows = table(at, "Kind", "Decisions")
    kinds = {row["Source"]: row["Kind"] for row in rows}
    assert (kinds["support"], kinds["crm"]) == ("explicit decision", "signal")
    total = sum(row["decisions"] for row in report(refreshed)["decisions"])
    assert sum(row["Decisions"] for row in rows) == total


def test_nobody_is_reachable_without_consent(refreshed: Platform, signed_in: SignedIn) -> None:
    at = review(signed_in(Role.MARKETER), "Reachable")
    assert at.success[0].value == "0: no profile holds what it may not."
    assert {row["Profiles"] for row in table(at, "Field", "Profiles")} == {0}
    assert {"contact.email", "identifiers.user_id"} <= {r["Field"] for r in table(at, "Field")}


def test_checking_now_finds_what_another_system_wrote_since(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    (opal,) = refreshed.documents.find(OPAL["user_id"])
    held = refreshed.documents.get(PROFILES, opal)
    assert held is not None
    held.body["consent"]["marketing"]["state"] = "denied"
    refreshed.documents.commit([Put(PROFILES, opal, held.body)])
    at = review(signed_in(Role.MARKETER), "Reachable")
    assert at.success
    at.button(key="check").click().run()
    assert not at.exception
    assert "start a full refresh" in at.error[0].value
    assert (words.plain(opal), "profile", f"profile={opal}") in links(at)
    reached = [row for row in table(at, "Field") if row["Profiles"]]
    assert {row["Field"] for row in reached} >= {"contact.email", "contact.phone"}
    assert {row["State in the document"] for row in reached} >= {"denied"}


@pytest.mark.parametrize("role", Role)
def test_a_persons_history_is_found_by_any_identifier(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    (opal,) = refreshed.documents.find(OPAL["user_id"])
    at = review(signed_in(role), "A person")
    for typed in (OPAL["email"].upper(), OPAL["phone"], OPAL["client_id"], opal):
        at.text_input(key="who").input(typed).run()
        assert not at.exception
        assert links(at) == [(words.plain(opal), "profile", f"profile={opal}")]
        told = [r for r in table(at, "When", "Identifier") if r["Purpose"] == "marketing"]
        email, phone = (
            OPAL[kind] if role is Role.ADMIN else mask(kind, OPAL[kind])
            for kind in ("email", "phone")
        )
        assert [row["Identifier"] for row in told] == [f"E-mail {email}", f"Phone {phone}"]
        assert at.query_params.keys() <= {"view"}


@pytest.mark.parametrize("typed", ["nobody@example.com", "\0", "x" * 3000, "crm-1", "malformed-2"])
def test_a_person_of_whom_nothing_was_said(
    refreshed: Platform, signed_in: SignedIn, typed: str
) -> None:
    at = review(signed_in(Role.ADMIN), "A person")
    at.text_input(key="who").input(typed).run()
    assert not at.exception
    known = typed in {"crm-1", "malformed-2"}
    assert ("Nothing was ever said." if known else "Nobody has this identifier") in said(at)


@pytest.mark.parametrize("tab", ["", "Disagreements", "A person", "Nothing"])
@pytest.mark.parametrize("role", Role)
def test_before_the_first_refresh_the_next_step_is_told(
    signed_in: SignedIn, role: Role, tab: str
) -> None:
    at = review(signed_in(role), tab)
    assert "Nothing was refreshed yet" in said(at)
    assert links(at) == [("Pipeline Control", "pipeline", "")]
