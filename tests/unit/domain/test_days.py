from datetime import date, timedelta
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.days import (
    BATCH_DAYS,
    DayWork,
    ExportTable,
    Kind,
    State,
    batches,
    parse_suffix,
    plan_days,
    state_of,
    suffix_of,
    version_of,
)

DAY = date(2021, 1, 29)
LATER = date(2021, 6, 1)


def table(suffix="20210129", version="v1", rows=10):
    return ExportTable(suffix, version, rows)


def planned(tables, cleaned=None, **arguments):
    """Return (suffix, restated) of each day to clean."""
    work = plan_days(tables, cleaned or {}, **{"today": LATER, **arguments})
    return [(day.table.suffix, day.restated) for day in work]


def test_a_suffix_tells_kind_and_day():
    assert parse_suffix("20210129") == (Kind.DAILY, DAY)
    assert parse_suffix("fresh_20210129") == (Kind.FRESH, DAY)
    assert parse_suffix("intraday_20210129") == (Kind.INTRADAY, DAY)


@pytest.mark.parametrize(
    "suffix",
    [
        "",
        "fresh_",
        "2021012",
        "202101299",
        "20210101_more",
        "_20210129",
        "20210129\n",
        "FRESH_20210129",
        "daily_20210129",
        "users_20210129",
        "fresh_intraday_20210129",
        "20210230",
        "20211301",
        "٢٠٢١٠١٢٩",
    ],
)
def test_what_only_looks_like_a_suffix_is_refused(suffix):
    with pytest.raises(ValueError, match=r"."):
        parse_suffix(suffix)


@given(st.sampled_from(Kind), st.dates(min_value=date(1000, 1, 1)))
def test_a_suffix_is_read_as_it_was_written(kind, day):
    assert parse_suffix(suffix_of(kind, day)) == (kind, day)


def test_daily_beats_fresh_and_fresh_beats_intraday_in_any_order():
    suffixes = ["intraday_20210129", "20210129", "fresh_20210129"]
    for order in permutations(suffixes):
        assert planned(map(table, order)) == [("20210129", False)]
    for order in permutations(["intraday_20210129", "fresh_20210129"]):
        assert planned(map(table, order)) == [("fresh_20210129", False)]


def test_a_day_is_worked_on_once_and_the_oldest_first():
    tables = map(table, ["20210131", "intraday_20210130", "20210129", "fresh_20210131"])
    assert planned(tables) == [
        ("20210129", False),
        ("intraday_20210130", False),
        ("20210131", False),
    ]


def test_a_day_that_was_cleaned_from_the_same_rows_is_left_alone():
    assert planned([table()], {DAY: version_of(table())}) == []


def test_a_day_whose_rows_changed_is_restated():
    assert planned([table(version="v2")], {DAY: version_of(table())}) == [("20210129", True)]


def test_a_daily_table_restates_what_was_cleaned_from_the_intraday_one():
    intraday = table("intraday_20210129")
    cleaned = {DAY: version_of(intraday)}
    assert planned([intraday], cleaned) == []
    assert planned([intraday, table()], cleaned) == [("20210129", True)]


def test_the_same_content_under_another_kind_is_another_version():
    assert version_of(table()) != version_of(table("fresh_20210129"))


def test_a_day_that_is_gone_from_the_export_keeps_what_was_cleaned():
    cleaned = {DAY: "20210129@v1", DAY + timedelta(1): "20210130@v1"}
    assert planned([table("20210130")], cleaned) == []
    assert planned([], cleaned, full=True) == []


def test_since_and_until_are_both_inclusive():
    tables = [table(f"202101{day}") for day in (28, 29, 30, 31)]
    window = {"since": date(2021, 1, 29), "until": date(2021, 1, 30)}
    assert planned(tables, **window) == [("20210129", False), ("20210130", False)]
    assert planned(tables, since=date(2021, 1, 31)) == [("20210131", False)]
    assert planned(tables, until=date(2021, 1, 28)) == [("20210128", False)]
    assert planned(tables, since=LATER) == []


def test_full_cleans_every_day_again_within_the_window():
    tables = [table("20210129"), table("20210130")]
    cleaned = {t.day: version_of(t) for t in tables}
    assert planned(tables, cleaned, full=True) == [("20210129", True), ("20210130", True)]
    assert planned(tables, cleaned, full=True, since=date(2021, 1, 30)) == [("20210130", True)]


@pytest.mark.parametrize(
    ("suffix", "days_later", "state"),
    [
        ("20210129", -1, State.PROVISIONAL),
        ("20210129", 0, State.PROVISIONAL),
        ("20210129", 3, State.PROVISIONAL),
        ("20210129", 4, State.FINAL),
        ("fresh_20210129", 400, State.PROVISIONAL),
        ("intraday_20210129", 400, State.PROVISIONAL),
    ],
)
def test_only_a_daily_table_that_google_no_longer_rewrites_is_final(suffix, days_later, state):
    today = DAY + timedelta(days_later)
    assert state_of(table(suffix), today) is state
    assert [work.state for work in plan_days([table(suffix)], {}, today=today)] == [state]


SUFFIXES = st.builds(
    suffix_of, st.sampled_from(Kind), st.dates(date(2021, 1, 1), date(2021, 1, 12))
)
TABLES = st.lists(
    st.builds(ExportTable, SUFFIXES, st.sampled_from(["v1", "v2"]), st.integers(0, 100)),
    unique_by=lambda t: t.suffix,
)


@given(TABLES, st.randoms())
def test_the_plan_does_not_depend_on_the_order_of_the_tables(tables, chance):
    shuffled = chance.sample(tables, len(tables))
    assert plan_days(tables, {}, today=LATER) == plan_days(shuffled, {}, today=LATER)


@given(TABLES, st.booleans())
def test_every_day_is_planned_once_and_nothing_is_left_after_it_was_cleaned(tables, full):
    work = plan_days(tables, {}, today=LATER, full=full)
    assert [w.table.day for w in work] == sorted({t.day for t in tables})
    cleaned = {w.table.day: version_of(w.table) for w in work}
    assert plan_days(tables, cleaned, today=LATER) == []


WORK = st.lists(st.integers(0, 100)).map(
    lambda sizes: [
        DayWork(
            table(suffix_of(Kind.DAILY, DAY + timedelta(place)), rows=rows),
            State.FINAL,
            restated=False,
        )
        for place, rows in enumerate(sizes)
    ]
)


@given(WORK, st.integers(1, 150))
def test_batches_cover_the_work_in_order_exactly_once(work, events):
    made = batches(work, events)
    assert [day for batch in made for day in batch] == work
    assert all(made)


@given(WORK, st.integers(1, 150))
def test_a_batch_is_too_large_only_where_it_is_one_day_and_never_needlessly_small(work, events):
    def rows(batch):
        return sum(day.table.rows for day in batch)

    made = batches(work, events)
    assert all(len(batch) == 1 or rows(batch) <= events for batch in made)
    assert all(rows(batch) + next_[0].table.rows > events for batch, next_ in pairwise(made))


def test_a_batch_is_as_many_days_as_one_view_can_spell():
    days = [table(suffix_of(Kind.DAILY, DAY + timedelta(n)), rows=1) for n in range(400)]
    made = batches([DayWork(day, State.FINAL, restated=False) for day in days], 10**9)
    assert [len(batch) for batch in made] == [BATCH_DAYS] * 6 + [400 - 6 * BATCH_DAYS]
