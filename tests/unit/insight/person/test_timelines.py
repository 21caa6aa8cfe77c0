"""What happened to a profile adds up to its document, and holds only what is permitted."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdp.insight.person import METRICS, profile_window, timeline, trends
from cdp.warehouse.duckdb import DuckWarehouse
from tests.tables import make_tables
from tests.unit.insight.person.support import POLICY, all_documents

ALWAYS = (date(2026, 1, 1), date(2027, 1, 1))


def test_trends_add_up_to_the_document_of_every_profile(platform, warehouse):
    every = all_documents(platform)
    bought = 0
    for document in every:
        found = trends(warehouse, document.id, POLICY, date(2026, 11, 3), days=30)
        ga4 = document.body.get("ga4")
        if ga4 is None:
            assert all(day[name] in {0, None} for day in found["days"] for name in METRICS)
            continue
        sums = {name: sum(day[name] for day in found["days"]) for name in METRICS}
        assert sums == pytest.approx({name: ga4[name] for name in METRICS}), document.id
        assert found["last_30"] == pytest.approx(sums)
        assert not any(found["before_30"].values())
        bought += ga4["purchases"]
    assert len(every) > 100
    assert bought > 10


def test_timeline_and_window_hold_the_events_that_the_document_counts(platform, warehouse):
    for document in all_documents(platform)[::5]:
        ga4 = document.body.get("ga4")
        found = timeline(warehouse, document.id, POLICY, *ALWAYS, limit=10_000)
        if ga4 is None:
            assert found.total == 0
            continue
        assert found.total == len(found.events) == ga4["events"]
        assert sum(row["events"] for row in found.counts) == found.total
        times = [row["event_at"] for row in found.events]
        assert times == sorted(times, reverse=True)
        assert times[0] == datetime.fromisoformat(ga4["last_seen"])
        assert times[-1] == datetime.fromisoformat(ga4["first_seen"])
        window = profile_window(warehouse, document.id, POLICY)
        assert window is not None
        assert window.events == found.total
        days = {row["day"] for row in found.counts}
        assert (window.first, window.last) == (min(days), max(days))
        held = set(document.body["identifiers"]["client_id"])
        assert {row["client"] for row in found.events} <= held


def test_a_profile_whose_consent_withholds_analytics_shows_nothing_that_happened(warehouse):
    withheld = warehouse.query(
        "select b.profile_id from behaviour as b join permit as p on p.profile_id = b.profile_id "
        "where strpos(p.granted, '|analytics|') = 0",
        {},
    )
    assert len(withheld)
    for (profile_id,) in withheld.rows():
        found = timeline(warehouse, profile_id, POLICY, *ALWAYS)
        assert (found.events, found.total, found.counts) == ([], 0, [])
        assert found.withheld == "analytics"
        assert profile_window(warehouse, profile_id, POLICY) is None
        figures = trends(warehouse, profile_id, POLICY, date(2026, 11, 1))
        assert figures["withheld"] == list(METRICS)
        assert set(figures["last_30"].values()) == {None}


def test_a_stranger_has_no_timeline(warehouse):
    found = timeline(warehouse, "p_404", POLICY, *ALWAYS)
    assert (found.events, found.total, found.changes, found.withheld) == ([], 0, [], None)
    assert profile_window(warehouse, "p_404", POLICY) is None
    figures = trends(warehouse, "p_404", POLICY, date(2026, 11, 1), days=7)
    assert [day["day"] for day in figures["days"]] == [date(2026, 10, 25 + n) for n in range(7)]
    assert set(figures["last_30"].values()) == {0}


Insert = Callable[..., None]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[DuckWarehouse]:
    """A warehouse of one profile, p_1, whose client is k_1."""
    with closing(DuckWarehouse(tmp_path, memory_limit="1GB", threads=1)) as made:
        make_tables(made)
        for sql in (
            "create table identifier (identifier_id int64, type string, value string)",
            "create table client (client_key string, opened bool)",
            "create table permit (profile_id string, granted string)",
            "create table behaviour (profile_id string, first_seen timestamp, last_seen timestamp)",
        ):
            made.run(sql, {})
        add = insert_into(made)
        for number, key in enumerate(("k_1", "k_2")):
            add("identifier", identifier_id=number, type="client_id", value=key)
            add("client", client_key=key, opened=False)
            add("identity", identifier_id=number, profile_id="p_1", present=number == 0)
        add("permit", profile_id="p_1", granted="|analytics|")
        add("behaviour", profile_id="p_1", first_seen=at(1), last_seen=at(31))
        yield made


def insert_into(warehouse: DuckWarehouse) -> Insert:
    def add(table: str, **row: Any) -> None:
        names = ", ".join(row)
        values = ", ".join(f"@{name}" for name in row)
        warehouse.run(f"insert into {table} ({names}) values ({values})", row)

    return add


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 10, day, hour, tzinfo=UTC)


OCTOBER = (date(2026, 10, 1), date(2026, 11, 1))


def test_only_permitted_rows_of_the_profiles_own_clients_are_events(small):
    add = insert_into(small)
    for key, analytics in (
        ("k_1", "granted"), ("k_1", "unknown"), ("k_1", "denied"), ("k_2", "granted"),
    ):  # fmt: skip
        name = f"{key} {analytics}"
        row = {"event_date": date(2026, 10, 5), "event_at": at(5), "event_name": name}
        add("events", **row, client_key=key, client_id="1.2", analytics=analytics)
    found = timeline(small, "p_1", POLICY, *OCTOBER)
    assert [row["event_name"] for row in found.events] == ["k_1 granted"]
    assert found.counts == [
        {"day": date(2026, 10, 5), "event_name": "k_1 granted", "events": 1},
    ]
    small.run("update client set opened = true where true", {})
    opened = timeline(small, "p_1", POLICY, *OCTOBER)
    assert {row["event_name"] for row in opened.events} == {"k_1 granted", "k_1 unknown"}
    assert opened.total == 2


def test_the_window_is_half_open_and_the_limit_keeps_the_newest(small):
    add = insert_into(small)
    for day in (1, 2, 3, 4):
        row = {"event_date": date(2026, 10, day), "event_at": at(day), "event_name": f"e{day}"}
        long = {"page_location": "x" * 400, "page_title": "é" * 400}
        add("events", **row, **long, client_key="k_1", client_id="1.2", analytics="granted")
    found = timeline(small, "p_1", POLICY, date(2026, 10, 2), date(2026, 10, 4), limit=1)
    (newest,) = found.events
    assert newest["event_name"] == "e3"
    assert newest["event_at"] == at(3)
    assert newest["client"] == "1.2"
    assert (newest["page_location"], newest["page_title"]) == ("x" * 300, "é" * 300)
    assert newest.keys() == {
        *("event_at", "event_name", "client", "source", "medium", "page_location", "page_title"),
        *("device", "country", "revenue", "engagement_ms", "session_id", "transaction_id"),
    }
    assert found.total == 2


def test_what_another_purpose_withholds_is_not_in_the_timeline_either(small):
    fields = {**POLICY.fields, "ga4.revenue": "ads", "ga4.country": "marketing"}
    split = POLICY.model_copy(update={"fields": fields})
    row = {"event_date": date(2026, 10, 5), "event_at": at(5), "event_name": "purchase"}
    told = {"revenue": 9.5, "country": "Germany", "device": "mobile"}
    insert_into(small)(
        "events", **row, **told, client_key="k_1", client_id="1.2", analytics="granted"
    )
    (event,) = timeline(small, "p_1", split, *OCTOBER).events
    assert (event["revenue"], event["country"], event["device"]) == (None, None, "mobile")
    assert trends(small, "p_1", split, OCTOBER[1])["withheld"] == ["revenue"]
    (event,) = timeline(small, "p_1", POLICY, *OCTOBER).events
    assert event["revenue"] == 9.5


def test_merges_and_splits_of_the_window_are_told_with_their_direction(small):
    add = insert_into(small)
    for day, kind, came_from, went_to in (
        (2, "merge", "p_0", "p_1"),
        (3, "split", "p_1", "p_2"),
        (4, "split", "p_8", "p_9"),
        (31, "merge", "p_7", "p_1"),
    ):
        row = {"seq": day, "run_id": "r", "happened_at": at(day), "kind": kind}
        add("identity_history", **row, from_id=came_from, to_id=went_to)
    found = timeline(small, "p_1", POLICY, date(2026, 10, 2), date(2026, 10, 31)).changes
    assert found == [
        {"kind": "split", "other_id": "p_2", "direction": "out", "happened_at": at(3)},
        {"kind": "merge", "other_id": "p_0", "direction": "in", "happened_at": at(2)},
    ]


def session(day: int, session_id: int | None, **more: Any) -> dict[str, Any]:
    row = {"event_date": date(2026, 10, day), "client_key": "k_1", "analytics": "granted"}
    row |= {"events": 1, "engaged": False, "engagement_ms": 1000, **more}
    return row if session_id is None else row | {"session_id": session_id}


def test_a_session_counts_on_its_first_day_and_engaged_by_any_of_its_days(small):
    add = insert_into(small)
    add("session_day", **session(10, 1))
    add("session_day", **session(11, 1, engaged=True, events=2))
    add("session_day", **session(11, None, engaged=True))
    add("session_day", **session(11, 2, analytics="denied"))
    found = trends(small, "p_1", POLICY, date(2026, 10, 12), days=2)["days"]
    told = [(d["sessions"], d["engaged_sessions"], d["events"], d["engagement_ms"]) for d in found]
    assert told == [(1, 1, 1, 1000), (0, 0, 3, 2000)]


def test_a_session_that_began_before_the_window_is_not_one_of_it(small):
    add = insert_into(small)
    add("session_day", **session(2, 1))
    add("session_day", **session(11, 1))
    small.run("update behaviour set first_seen = @t where true", {"t": at(2)})
    (day,) = trends(small, "p_1", POLICY, date(2026, 12, 10), days=60)["days"][:1]
    assert day["day"] == date(2026, 10, 11)
    assert (day["sessions"], day["events"]) == (0, 1)


def test_a_transaction_counts_once_when_it_was_first_told(small):
    add = insert_into(small)
    for day, transaction, revenue in ((5, "t1", 10.1), (6, "t1", 99.0), (6, "t2", 0.2)):
        row = {"event_date": date(2026, 10, day), "event_at": at(day), "revenue": revenue}
        add("purchase", **row, transaction_id=transaction, client_key="k_1", analytics="granted")
    unnamed = {"event_date": date(2026, 10, 6), "event_at": at(6), "client_key": "k_1"}
    for _ in range(2):
        add("purchase", **unnamed, analytics="granted", revenue=1.0)
    found = trends(small, "p_1", POLICY, date(2026, 10, 7), days=2)
    assert [(d["purchases"], d["revenue"]) for d in found["days"]] == [(1, 10.1), (3, 2.2)]
    assert (found["last_30"]["purchases"], found["last_30"]["revenue"]) == (4, 12.3)


def test_totals_compare_30_days_with_the_30_before(small):
    add = insert_into(small)
    for day in (date(2026, 10, 31), date(2026, 10, 2), date(2026, 10, 1), date(2026, 9, 2)):
        add("session_day", **session(1, day.toordinal()) | {"event_date": day})
    add("session_day", **session(1, 1) | {"event_date": date(2026, 9, 1)})
    small.run("update behaviour set first_seen = @t where true", {"t": at(1) - timedelta(days=60)})
    found = trends(small, "p_1", POLICY, date(2026, 11, 1), days=7)
    assert (found["last_30"]["sessions"], found["before_30"]["sessions"]) == (2, 2)
    assert len(found["days"]) == 7
    assert [day["sessions"] for day in found["days"]] == [0, 0, 0, 0, 0, 0, 1]
