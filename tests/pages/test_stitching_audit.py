"""How identifiers were joined: the report's figures, clusters, what was kept out, look-ups."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import HIDDEN, Role, mask
from cdp.ui import words
from tests.pages.property import OPAL, PAULA
from tests.pages.support import go, links, metrics, said, table

SignedIn = Callable[[Role], AppTest]


def audit(at: AppTest, tab: str = "", **query: str) -> AppTest:
    return go(at, "stitching", tab, **query)


def report(platform: Platform) -> dict[str, Any]:
    found = platform.documents.get("reports", "stitching")
    assert found is not None
    return found.body


@pytest.mark.parametrize("role", Role)
def test_figures_are_the_reports(refreshed: Platform, signed_in: SignedIn, role: Role) -> None:
    told = report(refreshed)
    assert metrics(audit(signed_in(role))) == {
        "Identifiers": words.number(told["identifiers"]["total"]),
        "Edges": words.number(told["edges"]["total"]),
        "Clusters": words.number(told["clusters"]["total"]),
        "Links kept out": words.number(told["kept_out"]["links"]),
        "Merges and splits": "1 / 0",
    }


def test_the_largest_clusters_are_listed_and_one_can_be_chosen(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = audit(signed_in(Role.ADMIN), "Clusters")
    rows = table(at, "Profile", "Size")
    told = report(refreshed)["clusters"]["largest"]
    assert [(r["Profile"], r["Size"]) for r in rows] == [(r["profile_id"], r["size"]) for r in told]
    at.session_state["largest"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    at.run()
    assert links(at) == [("Open the profile", "profile", f"profile={rows[1]['Profile']}")]


def test_a_cluster_tells_why_each_pair_was_joined(refreshed: Platform, signed_in: SignedIn) -> None:
    (opal,) = refreshed.documents.find(OPAL["user_id"])
    at = audit(signed_in(Role.ADMIN), "Clusters", cluster=opal)
    assert "4 identifiers, 3 edges" in said(at)
    rows = table(at, "Joined with", "Seen")
    assert {row["Joined with"] for row in rows} | {row["Identifier"] for row in rows} == set(
        OPAL.values()
    )
    (login,) = [row for row in rows if row["Source"] == "ga4"]
    assert (login["Seen"], login["First"], login["Consent"]) == (3, "Oct 21, 2026", "granted")


@pytest.mark.parametrize("cluster", ["p_none", "", "x" * 3000, "crm-1", "\0"])
def test_a_cluster_of_no_profile_is_told(
    refreshed: Platform, signed_in: SignedIn, cluster: str
) -> None:
    at = audit(signed_in(Role.ADMIN), "Clusters", cluster=cluster)
    assert not at.exception
    if cluster:
        assert "No cluster has this profile id now" in said(at)


def test_links_kept_out_turn_page_by_page_and_say_why(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = audit(signed_in(Role.ADMIN), "Kept out")
    total = report(refreshed)["kept_out"]["links"]
    seen = [tuple(map(str, row.values())) for row in table(at, "Why", "Seen with")]
    first = list(seen)
    pages = 1
    while not at.button(key="kept_out_next").disabled:
        at.button(key="kept_out_next").click().run()
        seen += [tuple(map(str, row.values())) for row in table(at, "Why", "Seen with")]
        pages += 1
        assert f"Page {pages}" in said(at)
    assert pages > 1
    assert len(seen) == total
    for _ in range(pages - 1):
        at.button(key="kept_out_previous").click().run()
    assert at.button(key="kept_out_previous").disabled
    assert [tuple(map(str, r.values())) for r in table(at, "Why", "Seen with")] == first


@pytest.mark.parametrize("role", Role)
def test_a_link_without_consent_shows_neither_end_to_anybody(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    at = audit(signed_in(role), "Kept out")
    at.get_by_key("reason").set_value("consent denied").run()
    rows = table(at, "Why", "Seen with")
    assert len(rows) > 5
    assert {row[end] for row in rows for end in ("Identifier", "Seen with")} == {HIDDEN}


def test_a_link_whose_end_denies_to_be_joined_says_so(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = audit(signed_in(Role.ADMIN), "Kept out")
    at.get_by_key("reason").set_value("denies to be joined").run()
    assert not at.exception
    rows = table(at, "Why", "Seen with")
    assert rows
    assert {row["Consent"] for row in rows} == {"granted"}, "the pair was seen with consent"
    (why,) = {row["Why"] for row in rows}
    assert "does not consent to being joined by it" in why
    # Those that deny here are user ids and devices, which need the same purpose to be shown.
    assert all(HIDDEN in (row["Identifier"], row["Seen with"]) for row in rows)


def test_whose_an_identifier_is_consent_may_withhold_from_who_knows_it(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = look_up(signed_in(Role.ADMIN), PAULA["email"], OPAL["email"])
    (opal,) = refreshed.documents.find(OPAL["user_id"])
    assert [query for _, _, query in links(at)] == [f"profile={opal}"]


def test_choosing_a_reason_begins_at_its_first_page(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = audit(signed_in(Role.ADMIN), "Kept out")
    at.button(key="kept_out_next").click().run()
    reason = report(refreshed)["kept_out"]["by_reason"][0]
    at.get_by_key("reason").set_value(reason["reason"]).run()
    assert not at.exception
    assert "Page 1" in said(at)
    assert reason["why"] in said(at)


def test_merges_are_listed_with_what_became_of_them(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    (now,) = refreshed.documents.find("merged.1")
    at = audit(signed_in(Role.MARKETER), "Merges and splits")
    (change,) = table(at, "What", "Became")
    assert change["What"] == ["merge"]
    assert change["Became"] == f"profile?profile={now}"
    (run,) = table(at, "Merges", "Splits")
    assert (run["Merges"], run["Splits"]) == (1, 0)


def look_up(at: AppTest, first: str, second: str) -> AppTest:
    audit(at, "Look up")
    at.text_input(key="look_up_0").input(first)
    at.text_input(key="look_up_1").input(second).run()
    assert not at.exception
    return at


@pytest.mark.parametrize("role", Role)
def test_two_identifiers_of_one_person_are_told_with_the_way_between(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    at = look_up(signed_in(role), OPAL["client_id"], OPAL["phone"])
    assert "Yes: they are one person" in said(at)
    steps = table(at, "Joined with", "Seen")
    assert len(steps) == 2
    user = OPAL["user_id"] if role is Role.ADMIN else mask("user_id", OPAL["user_id"])
    assert all(user in (step["Identifier"], step["Joined with"]) for step in steps)


def test_two_people_are_told_apart(refreshed: Platform, signed_in: SignedIn) -> None:
    at = look_up(signed_in(Role.ADMIN), OPAL["user_id"], PAULA["client_id"])
    assert "No: nothing joins them" in said(at)


def test_nothing_is_told_of_what_nobody_has(refreshed: Platform, signed_in: SignedIn) -> None:
    at = look_up(signed_in(Role.ADMIN), OPAL["user_id"], "nobody@example.com")
    assert "No: nothing joins them" in said(at)
    assert ":gray-badge[unknown]" in said(at)
    assert "never" in said(at) or "nothing is known" in said(at).lower()


@pytest.mark.parametrize("tab", ["", "Clusters", "Look up", "Nothing"])
@pytest.mark.parametrize("role", Role)
def test_before_the_first_refresh_the_next_step_is_told(
    signed_in: SignedIn, role: Role, tab: str
) -> None:
    at = audit(signed_in(role), tab)
    assert "Nothing was refreshed yet" in said(at)
    assert links(at) == [("Pipeline Control", "pipeline", "")]
