"""The figures of the page Overview, beside the totals of 92_stats and the profiles themselves."""

import json
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from cdp.insight import customers
from cdp.insight.customers import Filters, Order
from cdp.insight.overview import freshness, report
from cdp.warehouse.statements import statements
from tests.e2e.support import NO_CONSENT_MODE, Cdp, event

TODAY = date(2026, 11, 5)


@pytest.fixture(scope="module")
def figures(warehouse, platform):
    return report(warehouse, platform.policy, today=TODAY)


@pytest.fixture(scope="module")
def totals(warehouse):
    given = {"analytics_states": ["granted"], "purchase_events": ["purchase"]}
    return warehouse.query(statements()["92_stats"], given).to_dicts()[0]


@pytest.fixture(scope="module")
def profiles(generated):
    """Return every document that the refresh delivered."""
    return list(generated.documents().values())


def rows(warehouse, sql):
    return warehouse.query(sql, {}).rows()


def test_the_report_is_small_json(figures):
    assert len(json.dumps(figures)) < 20_000


def test_people_are_those_of_the_totals_and_of_the_store(figures, totals, profiles):
    assert (figures["clusters"], figures["profiles"]) == (totals["clusters"], totals["profiles"])
    assert figures["profiles"] == len(profiles)
    assert 0 < figures["stitched"] < figures["profiles"]


def test_stitched_profiles_are_those_that_the_explorer_lists_as_such(figures, platform):
    stitched = Filters(stitched=True)
    assert figures["stitched"] == customers.total(platform.documents, stitched, Order.ID)


def test_the_days_sum_up_to_the_totals(figures, totals):
    days = figures["days"]
    assert len(days["day"]) == totals["days"] == 10
    assert days["day"] == sorted(days["day"])
    assert sum(days["sessions"]) == totals["sessions"]
    assert sum(days["engaged_sessions"]) == totals["engaged_sessions"]


def test_the_days_sum_up_to_the_profiles(figures, warehouse):
    days = figures["days"]
    names = ("events", "sessions", "engaged_sessions", "leads", "purchases")
    sums = ", ".join(f"sum({name})" for name in names)
    ((*counted, revenue, people),) = rows(
        warehouse, f"select {sums}, sum(revenue), count(*) from behaviour"
    )
    assert [sum(days[name]) for name in names] == counted
    assert sum(days["revenue"]) == pytest.approx(revenue)
    assert sum(days["new_profiles"]) == people
    both = zip(days["new_profiles"], days["returning_profiles"], strict=True)
    assert [new + again for new, again in both] == days["active_profiles"]


@pytest.mark.parametrize("kind", ["sources", "countries", "devices"])
def test_the_splits_sum_up_to_the_profiles(figures, warehouse, kind):
    split = figures[kind]
    ((people, sessions, revenue),) = rows(
        warehouse, "select count(*), sum(sessions), sum(revenue) from behaviour"
    )
    parts = [*split["top"], split["other"]]
    assert sum(part["profiles"] for part in parts) == people
    assert sum(part["sessions"] for part in parts) == sessions
    assert sum(part["revenue"] for part in parts) == pytest.approx(revenue)
    sizes = [part["profiles"] for part in split["top"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= 12


def test_the_states_of_consent_are_those_of_every_profile(figures, warehouse):
    for state in figures["consent"]:
        assert state["granted"] + state["denied"] + state["unknown"] == figures["clusters"]
        ((granted,),) = rows(
            warehouse,
            "select count(*) from profile_consent where state = 'granted' "
            f"and purpose = '{state['purpose']}'",
        )
        assert state["granted"] == granted > 0


def refreshed(tmp_path: Path, cdp: Cdp, days: dict[str, list]) -> dict:
    for day, events in days.items():
        file = tmp_path / f"events_{day}.ndjson"
        file.write_text("".join(json.dumps(row) + "\n" for row in events))
        cdp.run("load", "ga4", file)
    cdp.refresh()
    with closing(cdp.platform.published()) as warehouse:
        return report(warehouse, cdp.platform.policy, today=TODAY)


def bought(day, client, transaction, revenue, at=0, **more):
    shop = {"transaction_id": transaction, "purchase_revenue": revenue}
    return event(day, client, name="purchase", at=at, ecommerce=shop, **more)


@pytest.fixture
def cdp(tmp_path):
    return Cdp(tmp_path / "home", {})


def test_what_belongs_to_several_days_counts_on_its_first(tmp_path, cdp):
    first = [
        event("20261001", "a.1", user="ada", session=5, at=43190),
        bought("20261001", "a.1", "T1", 10.0, at=43191, user="ada", session=5),
    ]
    second = [
        # The same session, and the same purchase told again by another device of the person.
        event("20261002", "a.1", user="ada", session=5, at=-43190),
        bought("20261002", "b.1", "T1", 10.0, user="ada"),
        event("20261002", "no.1", analytics="No"),
        event("20261002", "silent.1", analytics=None),
    ]
    days = refreshed(tmp_path, cdp, {"20261001": first, "20261002": second})["days"]
    assert days["day"] == ["2026-10-01", "2026-10-02"]
    assert days["sessions"] == [1, 1]
    assert (days["purchases"], days["revenue"]) == ([1, 0], [10.0, 0.0])
    assert days["active_profiles"] == [1, 1]
    assert (days["new_profiles"], days["returning_profiles"]) == ([1, 0], [0, 1])
    assert days["events"] == [2, 2], "rows that may not be measured are left out"


def test_where_silence_permits_silent_rows_count(tmp_path):
    cdp = Cdp(tmp_path / "home", {"CDP_POLICY": str(NO_CONSENT_MODE)})
    silent = [event("20261001", "a.1", analytics=None, ads=None)]
    found = refreshed(tmp_path, cdp, {"20261001": silent})
    assert (found["profiles"], found["days"]["events"]) == (1, [1])
    analytics, ads, _ = found["consent"]
    assert (analytics["unknown"], analytics["permitted"]) == (1, 1)
    assert (ads["unknown"], ads["permitted"]) == (1, 0)


def test_values_beyond_the_greatest_are_summed(tmp_path, cdp):
    events = [
        event("20261001", f"c{n}.{m}", geo={"country": f"Country {n:02}"})
        for n in range(14)
        for m in range(2 if n < 12 else 1)
    ]
    countries = refreshed(tmp_path, cdp, {"20261001": events})["countries"]
    assert [row["value"] for row in countries["top"]] == [f"Country {n:02}" for n in range(12)]
    assert countries["other"] == {"different": 2, "profiles": 2, "sessions": 2, "revenue": 0.0}


# --- freshness ------------------------------------------------------------------------------------


def cleaned(day: int, state: str = "final", suffix: str = "") -> dict:
    return {
        "event_date": date(2026, 10, day),
        "suffix": f"{suffix}202610{day:02}",
        "version": "v",
        "state": state,
        "rows_read": day,
    }


def test_nothing_cleaned_is_complete_until_no_day():
    found = freshness([], TODAY)
    assert (found["complete_until"], found["last_day"], found["recent"]) == (None, None, [])


def test_a_gap_ends_what_is_complete():
    found = freshness([cleaned(1), cleaned(2), cleaned(4)], TODAY)
    assert found["complete_until"] == "2026-10-02"
    assert (found["last_day"], found["last_state"]) == ("2026-10-04", "final")
    assert found["recent"] == [
        {"day": "2026-10-04", "state": "final", "rows": 4},
        {"day": "2026-10-03", "state": "missing", "rows": 0},
        {"day": "2026-10-02", "state": "final", "rows": 2},
        {"day": "2026-10-01", "state": "final", "rows": 1},
    ]


def test_a_daily_table_that_google_can_no_longer_rewrite_is_final():
    days = [cleaned(1, "provisional"), cleaned(2, "provisional")]
    assert freshness(days, date(2026, 10, 5))["complete_until"] == "2026-10-01"


def test_an_intraday_table_is_never_final():
    days = [cleaned(1), cleaned(2, "provisional", "intraday_")]
    found = freshness(days, TODAY)
    assert (found["complete_until"], found["last_state"]) == ("2026-10-01", "provisional")


def test_the_last_fourteen_days_are_told(figures):
    days = [cleaned(day) for day in range(1, 21)]
    assert len(freshness(days, TODAY)["recent"]) == 14
    assert len(figures["freshness"]["recent"]) == 10
