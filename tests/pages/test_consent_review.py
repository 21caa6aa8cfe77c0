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
from tests.people import audited

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


# --- on request -----------------------------------------------------------------------------------


def fill_in(at: AppTest, **given: str) -> AppTest:
    """Fill the form of a decision, and send it."""
    asked = {"kind": "email", "about": "marketing", "says": "denied", "channel": "phone"}
    for key, value in {**asked, **given}.items():
        if key in {"told", "why", "notice"}:
            at.text_input(key=key).input(value)
        else:
            at.selectbox(key=key).set_value(value)
    at.button(key="decide").click().run()
    assert not at.exception
    return at


def told(at: AppTest) -> str:
    """Return the page's prose, as Markdown shows it."""
    return said(at).replace("\\", "")


def test_an_admins_no_acts_at_once_and_every_page_shows_so(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    (opal,) = refreshed.documents.find(OPAL["user_id"])
    at = review(signed_in(Role.ADMIN), "On request")
    fill_in(at, told=OPAL["email"].upper(), why="asked on the phone")
    assert at.success[0].value == (
        "The No is written down, and what it closes is gone from the stored profile."
    )
    assert at.text_input(key="told").value == ""
    held = refreshed.documents.get(PROFILES, opal)
    assert held is not None
    assert held.body["identifiers"].get("email") is None
    assert held.body["contact"] == {"phone": OPAL["phone"]}
    # The warehouse is as of the last run, and would still show it.
    at = review(at, "A person")
    at.text_input(key="who").input(OPAL["email"]).run()
    assert not at.exception
    rows = [r for r in table(at, "When", "Identifier") if r["Purpose"] == "marketing"]
    assert [(row["In force"], row["Identifier"]) for row in rows] == [
        ("at once", f"E-mail {HIDDEN}"),
        ("", f"E-mail {HIDDEN}"),
        ("", f"Phone {OPAL['phone']}"),
    ]
    at = go(at, "stitching", "Look up")
    at.text_input(key="look_up_0").input(OPAL["user_id"])
    at.text_input(key="look_up_1").input(OPAL["email"]).run()
    assert not at.exception
    assert OPAL["email"] not in said(at)
    assert all(OPAL["email"] not in str(frame.value.to_dict()) for frame in at.dataframe)


def test_what_is_refused_is_told_and_the_form_keeps_what_was_typed(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = review(signed_in(Role.ADMIN), "On request")
    fill_in(at, told="no address", why="asked on the phone")
    assert "not an e-mail address; write it as the person has it" in told(at)
    assert at.text_input(key="told").value == "no address"
    fill_in(at, told=OPAL["email"], why="because")
    assert "say why, in 8 characters or more" in told(at)
    assert refreshed.documents.count("decisions") == 0


def test_marketers_see_why_they_write_no_decision_down(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = review(signed_in(Role.MARKETER), "On request")
    assert "Admins write decisions down" in at.info[0].value
    assert not [button for button in at.button if button.key == "decide"]
    at = review(at, "Disagreements")
    assert at.button(key="resolve_denied").disabled
    assert "Admins resolve disagreements; ask one." in said(at)


def test_a_disagreement_is_resolved_for_the_identifiers_that_say_otherwise(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = review(signed_in(Role.ADMIN), "Disagreements")
    (name,) = [one for one in at.selectbox(key="torn").options if "· marketing ·" in one]
    at.selectbox(key="torn").set_value(name).run()
    at.button(key="resolve_denied").click().run()
    at.text_input(key="reason").input("the person says no to both")
    at.button(key="resolve_denied").click().run()  # AppTest draws a dialog only then
    at.button(key="resolve_it").click().run()
    assert not at.exception
    (decided,) = refreshed.documents.page("decisions").documents
    assert (decided.body["type"], decided.body["value"]) == ("user_id", FORMULA)
    assert (decided.body["purpose"], decided.body["state"]) == ("marketing", "denied")
    profile_id = name.partition(" ")[0]
    rows = audited(refreshed.documents, "target", "reason", action="consent:resolve")
    assert rows == [(profile_id, "the person says no to both")]


def test_decisions_without_effect_are_listed_without_saying_whose(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = review(signed_in(Role.ADMIN), "Decisions")
    rows = table(at, "Why", "Evidence")
    assert rows
    assert {"When", "Of", "Purpose", "State", "Source", "Why", "Evidence"} == {*rows[0]}
    assert all("@" not in str(row) for row in rows)


def test_where_no_grant_lapses_that_is_told(refreshed: Platform, signed_in: SignedIn) -> None:
    at = review(signed_in(Role.MARKETER), "Expiring soon")
    assert "No grant lapses: no purpose of the policy has `expires`." in said(at)


@pytest.mark.parametrize("role", Role)
def test_the_history_of_somebody_whom_no_document_holds(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    at = review(signed_in(role), "A person")
    at.text_input(key="who").input("gone.1").run()
    assert not at.exception
    assert "This is what was said for it." in said(at)
    rows = table(at, "When", "Identifier")
    assert ("analytics", ["denied"], "support") in [
        (row["Purpose"], row["State"], row["Source"]) for row in rows
    ]
    assert {row["Identifier"] for row in rows} == {f"Client id {HIDDEN}"}
    assert ("Told by" in rows[0]) == (role is Role.ADMIN)
