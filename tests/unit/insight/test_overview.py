"""The figures of the page Overview, beside the totals of 92_stats and the profiles themselves."""

import json
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from cdp.insight import customers, stitching
from cdp.insight.customers import Filters, Order
from cdp.insight.overview import figures as row_of_figures
from cdp.insight.overview import freshness, report, span
from cdp.warehouse.statements import statements
from tests.e2e.support import NO_CONSENT_MODE, Cdp, event

TODAY = date(2026, 11, 5)


@pytest.fixture(scope="module")
def figures(warehouse, platform):
    return report(warehouse, platform.documents, platform.policy, today=TODAY)


@pytest.fixture(scope="module")
def totals(warehouse):
    return warehouse.query(statements()["92_stats"], {}).to_dicts()[0]


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


def visited(profiles):
    """Return what the documents tell of visits."""
    return [body["ga4"] for body in profiles if "last_seen" in body.get("ga4", {})]


def test_some_were_seen_whose_consent_in_force_permits_to_tell_nothing(warehouse, profiles):
    ((seen,),) = rows(warehouse, "select count(*) from behaviour")
    assert 0 < len(visited(profiles)) < seen, "else the tests below would not tell them apart"


@pytest.mark.parametrize(
    "name", ["sessions", "engaged_sessions", "engagement_ms", "purchases", "revenue"]
)
def test_a_total_of_profiles_is_the_sum_of_their_documents(totals, profiles, name):
    assert totals[name] == pytest.approx(sum(ga4[name] for ga4 in visited(profiles)))
    assert totals[name] > 0


@pytest.mark.parametrize(
    "name", ["events", "sessions", "engaged_sessions", "leads", "purchases", "revenue"]
)
def test_the_days_sum_up_to_the_documents(figures, profiles, name):
    told = sum(ga4[name] for ga4 in visited(profiles))
    assert sum(figures["days"][name]) == pytest.approx(told)
    assert told > 0


def test_every_profile_that_was_seen_is_new_once(figures, totals, profiles):
    days = figures["days"]
    assert len(days["day"]) == totals["days"] == 10
    assert days["day"] == sorted(days["day"])
    assert sum(days["new_profiles"]) == len(visited(profiles))
    both = zip(days["new_profiles"], days["returning_profiles"], strict=True)
    assert [new + again for new, again in both] == days["active_profiles"]


@pytest.mark.parametrize("kind", ["sources", "countries", "devices"])
def test_the_splits_sum_up_to_the_documents(figures, profiles, kind):
    split = figures[kind]
    told = visited(profiles)
    parts = [*split["top"], split["other"]]
    assert sum(part["profiles"] for part in parts) == len(told)
    assert sum(part["sessions"] for part in parts) == sum(ga4["sessions"] for ga4 in told)
    revenue = sum(ga4["revenue"] for ga4 in told)
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
        return report(warehouse, cdp.platform.documents, cdp.platform.policy, today=TODAY)


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


@pytest.mark.parametrize("field", ["country", "last_source"])
def test_a_split_counts_whom_the_explorer_lists_for_it(figures, platform, field):
    kind, filtered = {"country": ("countries", "country"), "last_source": ("sources", "source")}[
        field
    ]
    values = {row["value"] for row in figures[kind]["top"]} - {None}
    for value in values:
        told = sum(r["profiles"] for r in figures[kind]["top"] if r["value"] == value)
        filters = Filters(**{filtered: value})
        assert told == customers.total(platform.documents, filters, Order.ID)
    assert values


def test_links_kept_out_are_counted_alike_everywhere(warehouse, platform, totals):
    told = stitching.report(warehouse, platform.policy)
    assert totals["kept_out"] == told["kept_out"]["links"]
    assert totals["hubs"] == told["hubs"]["total"] > 0
    listed, after = 0, None
    while True:
        page = stitching.kept_out(warehouse, after=after, limit=500)
        listed, after = listed + len(page.links), page.after
        if after is None:
            break
    assert totals["kept_out"] == listed > 0
    assert (totals["identifiers"], totals["edges"], totals["clusters"]) == (
        told["identifiers"]["total"],
        told["edges"]["total"],
        told["clusters"]["total"],
    )


# --- the row of figures ---------------------------------------------------------------------------


def made(final: int, provisional: int = 0, **columns: list[float]) -> dict:
    """Return a report of days that each had one new profile, two active ones and 10 in revenue."""
    days = [(date(2026, 10, 1) + timedelta(days=n)).isoformat() for n in range(final + provisional)]
    each = {"new_profiles": 1, "active_profiles": 2, "revenue": 10.0, "purchases": 1}
    return {
        "clusters": 30,
        "profiles": 20,
        "stitched": 5,
        "documents": 23,
        "freshness": {"complete_until": days[final - 1] if final else None},
        "days": {
            "day": days,
            "state": ["final"] * final + ["provisional"] * provisional,
            **{name: [value] * len(days) for name, value in each.items()},
            **columns,
        },
    }


def test_profiles_are_told_beside_whom_nothing_or_only_consent_is_kept_of():
    told = row_of_figures(made(final=3))
    assert (told.profiles, told.stitched, told.stitched_share) == (20, 5, 0.25)
    assert (told.withheld, told.emptied) == (10, 3)


def test_a_provisional_day_changes_no_figure():
    told = row_of_figures(made(final=14))
    growing = made(final=14, provisional=2)
    for name in ("new_profiles", "active_profiles", "revenue"):
        growing["days"][name][14:] = [0, 999]
    assert row_of_figures(growing) == told
    assert told.until == "2026-10-14"


def test_a_week_is_compared_with_the_seven_days_before():
    told = row_of_figures(made(final=15, revenue=[99.0, *[1.0] * 7, *[2.0] * 7]))
    assert told.days == 7
    assert (told.revenue.now, told.revenue.before) == (14.0, 7.0)
    assert (told.active.now, told.active.before) == (2.0, 2.0)
    assert (told.new.now, told.new.spark[-1]) == (7, 15)


def test_fewer_than_fourteen_complete_days_are_compared_with_nothing():
    told = row_of_figures(made(final=13, provisional=3))
    assert (told.revenue.now, told.revenue.before) == (70.0, None)
    assert told.active.before is None


def test_of_few_complete_days_the_figures_say_how_many_they_are():
    told = row_of_figures(made(final=3, provisional=2))
    assert (told.days, told.revenue.now, told.active.now) == (3, 30.0, 2.0)


def test_while_no_day_is_final_nothing_is_told_of_a_week():
    told = row_of_figures(made(final=0, provisional=2))
    assert (told.until, told.days, told.new, told.active, told.revenue) == (
        None,
        0,
        None,
        None,
        None,
    )
    assert told.profiles == 20


def test_a_span_names_its_provisional_days_and_sums_what_it_shows():
    told = span(made(final=5, provisional=2), 3)
    assert told["day"] == ["2026-10-05", "2026-10-06", "2026-10-07"]
    assert told["provisional"] == ["2026-10-06", "2026-10-07"]
    assert (told["revenue_total"], told["purchases_total"]) == (30.0, 3)


def test_each_day_of_the_report_says_whether_it_is_final(figures):
    told = dict(zip(figures["days"]["day"], figures["days"]["state"], strict=True))
    for recent in figures["freshness"]["recent"]:
        assert told[recent["day"]] == recent["state"]


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
