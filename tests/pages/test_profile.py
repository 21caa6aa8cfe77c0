"""One profile by its permalink, in each of its states."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import HIDDEN, Role
from cdp.profiles.port import PROFILES
from cdp.ui import words
from tests.pages.property import HALLE, OPAL, PAULA
from tests.pages.support import Download, go, links, metrics, said, table

SignedIn = Callable[[Role], AppTest]


def profile(at: AppTest, profile_id: str, tab: str = "", **more: str) -> AppTest:
    return go(at, "profile", tab, profile=profile_id, **more)


def of(platform: Platform, value: str) -> tuple[str, dict[str, Any]]:
    (profile_id,) = platform.documents.find(value)
    held = platform.documents.get(PROFILES, profile_id)
    assert held is not None
    return profile_id, held.body


def test_the_page_shows_the_document_and_what_the_warehouse_knows(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    opal, body = of(refreshed, OPAL["user_id"])
    at = profile(signed_in(Role.ADMIN), opal, "Events")
    assert at.title[0].value == words.plain(OPAL["user_id"])
    told = said(at)
    for badge in ("Known customer", "4 identifiers"):
        assert f" {badge}]" in told
    assert f"{words.plain(opal)} · Germany · first seen Oct 21, 2026" in told
    ga4 = body["ga4"]
    assert metrics(at) == {
        "Revenue": words.money(ga4["revenue"]),
        "Purchases": words.number(ga4["purchases"]),
        "Sessions": words.number(ga4["sessions"]),
        "Engagement": words.duration(ga4["engagement_ms"] / 1000),
    }
    consent = {row["Purpose"]: row for row in table(at, "Purpose", "So")}
    assert {name: row["State"] for name, row in consent.items()} == {
        name: [body["consent"][name]["state"]] for name in ("analytics", "ads", "marketing")
    }
    assert consent["marketing"]["Source"] == "crm"
    events = table(at, "Event", "Page")
    assert len(events) == ga4["events"] == 3
    assert {event["Page"] for event in events} == {"Hello (redacted)"}
    assert "4 identifiers, 3 edges" in told
    assert links(at) == [
        ("All customers", "customers", ""),
        ("Audit", "stitching", f"tab=Clusters&cluster={opal}"),
    ]


def test_identities_are_told_with_what_joined_them(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    opal, _ = of(refreshed, OPAL["user_id"])
    at = profile(signed_in(Role.ADMIN), opal, "Identities")
    assert {row["Value"] for row in table(at, "Value", "First seen")} == set(OPAL.values())
    edges = table(at, "Joined with", "Its type")
    pairs = {frozenset((row["Identifier"], row["Joined with"])): row["Source"] for row in edges}
    assert pairs == {
        frozenset((OPAL["user_id"], OPAL["client_id"])): "ga4",
        frozenset((OPAL["user_id"], OPAL["email"])): "crm",
        frozenset((OPAL["user_id"], OPAL["phone"])): "crm",
    }


def test_consent_history_says_who_said_what(refreshed: Platform, signed_in: SignedIn) -> None:
    opal, _ = of(refreshed, OPAL["user_id"])
    rows = table(profile(signed_in(Role.ADMIN), opal, "Consent history"), "When", "Identifier")
    told = [row for row in rows if row["Purpose"] == "marketing"]
    assert [row["Identifier"] for row in told] == [
        f"E-mail {OPAL['email']}",
        f"Phone {OPAL['phone']}",
    ]
    assert {(*row["State"], row["Source"], row["Kind"]) for row in told} == {
        ("granted", "crm", "signal")
    }
    assert [row["In force"] for row in told].count("in force") == 1
    assert {row["Identifier"] for row in rows if row["Source"] == "ga4"} == {
        f"Client id {OPAL['client_id']}"
    }, "the export speaks for the device"


@pytest.mark.parametrize("role", Role)
def test_consent_history_shows_its_evidence_and_admins_who_told_it(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    opal, _ = of(refreshed, OPAL["user_id"])
    at = profile(signed_in(role), opal, "Consent history")
    rows = {(row["Purpose"], row["Source"]): row for row in table(at, "When", "Evidence")}
    assert rows["analytics", "ga4"]["Evidence"] == "events_20261021"
    assert re.fullmatch(r"planted\.ndjson, line \d", rows["marketing", "crm"]["Evidence"])
    if role is Role.ADMIN:
        assert rows["analytics", "ga4"]["Told by"] == "", "a signal is the device's own"
        loads = refreshed.audit.page(action="load:consent").documents
        loaded_by = rows["marketing", "crm"]["Told by"]
        assert loaded_by
        assert {load.body["actor"] for load in loads} == {loaded_by}
    else:
        assert not any("Told by" in row for row in rows.values())


def test_an_address_that_consents_by_itself_permits_no_other(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    halle, body = of(refreshed, HALLE["user_id"])
    assert body["consent"]["marketing"]["state"] == "granted"
    assert body["identifiers"]["email"] == [HALLE["email"]]
    assert not body["identifiers"].get("phone")
    assert body["identifiers"]["count"] == 4
    at = profile(signed_in(Role.ADMIN), halle, "Identities")
    assert "Consent withholds what reads •••: phone." in said(at)
    shown = {row["Value"] for row in table(at, "Value", "First seen")}
    assert shown == {*HALLE.values(), HIDDEN} - {HALLE["phone"]}
    events = table(profile(at, halle, "Events"), "Event", "Page")
    assert {event["Page"] for event in events} == {"Hello (redacted)"}


def test_fields_say_where_they_come_from_and_why_others_are_absent(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    paula, body = of(refreshed, PAULA["user_id"])
    rows = table(profile(signed_in(Role.ADMIN), paula, "Fields"), "Field", "Comes from")
    fields = {row["Field"]: row for row in rows}
    assert fields["ga4.country"]["Value"] == body["ga4"]["country"]
    assert fields["ga4.country"]["Made by"] == "60_behaviour.sql"
    assert fields["ga4.country"]["Run"] == body["sync"]["run"]
    assert fields["contact.email"]["Value"] == (
        "absent: marketing is unknown, and silence means denied"
    )


def test_the_document_is_shown_and_downloaded_as_it_is(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download]
) -> None:
    opal, body = of(refreshed, OPAL["user_id"])
    at = profile(signed_in(Role.ADMIN), opal, "Document")
    assert json.loads(at.json[0].value) == body
    assert json.loads(downloads[f"{opal}.json"]()) == body


@pytest.mark.parametrize("tab", ["", "Nothing", "Look up"])
@pytest.mark.parametrize("span", ["", "1y", "forever"])
def test_a_tab_or_span_that_is_none_is_the_first(
    refreshed: Platform, signed_in: SignedIn, tab: str, span: str
) -> None:
    opal, _ = of(refreshed, OPAL["user_id"])
    at = profile(signed_in(Role.ADMIN), opal, tab, span=span)
    assert len(table(at, "Event", "Page")) == 3


# --- states ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_a_merged_profile_leads_to_the_one_it_lives_on_in(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    now, _ = of(refreshed, "merged.1")
    (was,) = [
        d.id
        for d in refreshed.documents.page(PROFILES, limit=1000).documents
        if isinstance(d.body.get("sync"), dict) and d.body["sync"].get("merged_into") == now
    ]
    at = profile(signed_in(role), was)
    assert at.info[0].value == f"The profile {words.plain(was)} was merged into this one."
    assert words.plain(now) in said(at)
    assert metrics(at)["Sessions"] == "2"


@pytest.mark.parametrize(
    ("profile_id", "told"),
    [
        ("crm-1", ("Not synchronised yet", "no refresh has reached it yet")),
        ("gone-1", ("Gone", "Nothing is known of this profile any more")),
        ("erased-1", ("Deleted", "This profile was deleted")),
    ],
)
@pytest.mark.parametrize("role", Role)
def test_a_state_is_told_with_what_it_means(
    refreshed: Platform, signed_in: SignedIn, role: Role, profile_id: str, told: tuple[str, str]
) -> None:
    at = profile(signed_in(role), profile_id)
    badge, why = told
    assert f" {badge}]" in said(at)
    assert why in at.info[0].value


def test_what_is_not_live_offers_no_reveal(refreshed: Platform, signed_in: SignedIn) -> None:
    at = signed_in(Role.MARKETER)
    for profile_id in ("gone-1", "erased-1"):
        keys = {button.key for button in profile(at, profile_id).button}
        assert "reveal" not in keys
    paula, _ = of(refreshed, PAULA["user_id"])
    assert profile(at, paula).button(key="reveal")


@pytest.mark.parametrize(
    "profile_id", ["p_none", "../users/ada", "__x__", ".", "x" * 3000, "\0", "malformed-3"]
)
def test_an_id_of_nobody_says_so(refreshed: Platform, signed_in: SignedIn, profile_id: str) -> None:
    at = profile(signed_in(Role.ADMIN), profile_id)
    assert at.title[0].value == "No such profile"
    assert "may be mistyped" in at.error[0].value
    assert not at.get("download_button")
    assert links(at) == [("All customers", "customers", "")]


def test_a_person_who_denies_analytics_has_no_events_to_show(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    (denied,) = [
        d.id
        for d in refreshed.documents.page(PROFILES, limit=1000).documents
        if d.body.get("consent") and isinstance(d.body["consent"], dict)
        if d.body["consent"].get("analytics", {}).get("source") == "support"
    ] or [""]
    at = profile(signed_in(Role.ADMIN), denied, "Events")
    assert "The consent to analytics does not permit to show events" in said(at)
    assert "analytics denied]" in said(at)
    assert not at.metric
    assert "No events to show." in said(at)
