"""The overview's figures are the report's, and each leads to what explains it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import Role
from cdp.ui import words
from tests.e2e.support import Cdp
from tests.pages.support import go, links, metrics, said

SignedIn = Callable[[Role], AppTest]


def report(platform: Platform) -> dict[str, Any]:
    found = platform.documents.get("reports", "overview")
    assert found is not None
    return found.body


def charts(at: AppTest) -> dict[str, dict[str, Any]]:
    """Return Plotly's figures by their alternative text."""
    found = [chart.proto for chart in at.main.get("plotly_chart")]
    return {proto.alt: json.loads(proto.spec) for proto in found}


@pytest.mark.parametrize("role", Role)
def test_figures_are_the_reports(refreshed: Platform, signed_in: SignedIn, role: Role) -> None:
    at = go(signed_in(role), "overview")
    told = report(refreshed)
    days = told["days"]
    assert days["day"][-2:] == ["2026-10-30", "2026-10-31"]
    assert told["freshness"]["complete_until"] == "2026-10-30", "the last day is provisional"
    assert metrics(at) == {
        "Profiles": words.number(told["profiles"]),
        "Stitched profiles": words.percent(told["stitched"] / told["profiles"]),
        "Active a day": words.number(sum(days["active_profiles"][-8:-1]) / 7),
        "Revenue in 7 days": words.number(sum(days["revenue"][-8:-1])),
    }
    holding = {"identifiers", "contact", "ga4", "ads"}
    bodies = [d.body for d in refreshed.documents.page("profiles", limit=1000).documents]
    refreshed_ones = [b for b in bodies if isinstance(b.get("sync"), dict) and "seq" in b["sync"]]
    live = [body for body in refreshed_ones if body["sync"]["state"] == "live"]
    assert told["profiles"] == sum(bool(holding & body.keys()) for body in live)
    said_ = said(at)
    assert f"{words.count(told['stitched'], 'profile')}" in said_
    assert "complete until Oct 30" in said_
    helps = [metric.help for metric in at.metric]
    assert all(helps)
    assert "7 days to Oct 30, 2026; too few days before to compare" in said_
    assert f"{told['clusters'] - told['profiles']} more are known only" in helps[0]


def test_page_stats_and_documents_count_alike(
    refreshed: Platform, generated: Cdp, signed_in: SignedIn
) -> None:
    at = go(signed_in(Role.MARKETER), "overview")
    stats = generated.json("stats")
    held = [d.body for d in refreshed.documents.page("profiles", limit=1000).documents]
    live = [b for b in held if isinstance(b.get("sync"), dict) and b["sync"].get("state") == "live"]
    keeping = [body for body in live if {"identifiers", "contact", "ga4", "ads"} & body.keys()]
    assert metrics(at)["Profiles"] == words.number(stats["profiles"])
    assert (stats["profiles"], stats["documents"]) == (len(keeping), len(live))
    assert stats["documents"] > stats["profiles"], "one withdrew, and keeps only their consent"
    days = report(refreshed)["days"]
    for name in ("sessions", "engaged_sessions", "purchases", "revenue"):
        # The documents, too, but for the one row that the partial run rejected.
        told = sum(body["ga4"][name] for body in keeping if "ga4" in body)
        assert sum(days[name]) == pytest.approx(stats[name])
        assert told - 0.001 <= stats[name] <= told + (1 if name.endswith("sessions") else 0.001)
    drawn = charts(at)["Revenue by day"]["data"][0]["y"]
    assert sum(drawn) == pytest.approx(stats["revenue"])
    assert f"{words.money(stats['revenue'], 0)} from" in said(at)
    audit = go(at, "stitching")
    assert metrics(audit)["Links kept out"] == words.number(stats["kept_out"])
    assert metrics(audit)["Identifiers"] == words.number(stats["identifiers"])
    assert metrics(audit)["Edges"] == words.number(stats["edges"])
    assert metrics(audit)["Clusters"] == words.number(stats["clusters"])
    explorer = go(at, "customers", order="id", consent="analytics:granted")
    granted = sum(b["consent"]["analytics"]["state"] == "granted" for b in live)
    others = sum(
        b not in live
        and isinstance(b.get("consent"), dict)
        and isinstance(b["consent"].get("analytics"), dict)
        and b["consent"]["analytics"].get("state") == "granted"
        for b in held
    )
    assert f"{words.count(granted + others, 'profile')} in this list" in said(explorer)


def test_a_provisional_day_is_marked_in_every_chart_of_days(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    drawn = charts(go(signed_in(Role.MARKETER), "overview"))
    for name in (
        "New and returning profiles by day",
        "Sessions and engaged sessions by day",
        "Revenue by day",
    ):
        (shade,) = drawn[name]["layout"]["shapes"]
        assert (shade["x0"], shade["x1"]) == ("2026-10-30T12:00", "2026-10-31T12:00")
        told = json.dumps(drawn[name]["data"][0]["customdata"][-1])
        assert "Oct 31, 2026, provisional" in told


def test_each_figure_links_to_what_explains_it(refreshed: Platform, signed_in: SignedIn) -> None:
    at = go(signed_in(Role.MARKETER), "overview")
    assert links(at) == [
        ("Everybody", "customers", "order=id"),
        ("Stitched", "customers", "stitched=yes&order=id"),
        ("Last seen", "customers", "order=last_seen"),
        ("By revenue", "customers", "order=revenue"),
        ("Runs", "pipeline", ""),
        ("Review", "consent", ""),
    ]


def test_charts_draw_the_reports_days_and_the_span_that_is_chosen(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = go(signed_in(Role.MARKETER), "overview")
    told = report(refreshed)
    drawn = charts(at)
    sessions, engaged = drawn["Sessions and engaged sessions by day"]["data"]
    assert (sessions["y"], engaged["y"]) == (
        told["days"]["sessions"],
        told["days"]["engaged_sessions"],
    )
    assert drawn["Revenue by day"]["data"][0]["y"] == told["days"]["revenue"]
    fresh = drawn["Rows of the last fourteen days and whether each is final"]["data"][0]
    assert fresh["x"] == [row["day"] for row in reversed(told["freshness"]["recent"])]
    consent = drawn["Consent states by purpose"]["data"][0]
    assert dict(zip(consent["y"], consent["x"], strict=True)) == {
        row["purpose"]: row["granted"] for row in told["consent"]
    }
    countries = drawn["Profiles by country"]["data"][0]
    assert countries["x"] == [row["profiles"] for row in told["countries"]["top"][:8]]


@pytest.mark.parametrize("role", Role)
def test_before_the_first_refresh_the_next_step_is_told(signed_in: SignedIn, role: Role) -> None:
    at = go(signed_in(role), "overview")
    assert "Nothing was refreshed yet" in said(at)
    assert "start a refresh" in said(at)
    assert links(at) == [("Pipeline Control", "pipeline", "")]
    assert not at.metric
