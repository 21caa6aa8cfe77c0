"""The warehouse's contract, for every adapter."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol

import pytest

from cdp.domain.days import BATCH_DAYS
from cdp.domain.erasure import Held, Subject
from cdp.domain.policy import Policy
from cdp.insight.erasure import parameters as of_rows
from cdp.refresh.steps import policy_parameters
from cdp.warehouse.bigquery import BigQueryWarehouse
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.ga4_files import load_ga4
from cdp.warehouse.port import Erasure, StatementError, Warehouse
from cdp.warehouse.row_files import load_rows
from cdp.warehouse.statements import statements
from tests.cloud.bigquery import Server, serving
from tests.e2e.support import event
from tests.tables import make_tables

NOON = datetime(2026, 10, 31, 12, 0, 0, 123456, tzinfo=UTC)
LINK = {
    "a_type": "user_id",
    "a_value": "u1",
    "b_type": "email",
    "b_value": "jane@example.com",
    "at": "2026-10-31T08:00:00Z",
    "source": "crm",
}


class Place(Protocol):
    """Where an adapter keeps things, and how they come there from outside."""

    warehouse: Any

    def put(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Let the export's tables that end in the keys have these rows."""

    def load(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Load a file of links or decisions."""

    def published(self) -> Any:
        """Open what was published."""


class Embedded:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.warehouse = DuckWarehouse(folder, memory_limit="500MB", threads=1)

    def put(self, tables):
        files = [
            ndjson(self._folder / f"events_{suffix}.json", rows) for suffix, rows in tables.items()
        ]
        load_ga4(self._folder / "raw", files, memory_limit="500MB", threads=1)

    def load(self, table, rows):
        load_rows(
            self._folder / "raw", table, [ndjson(self._folder / "rows.ndjson", rows)], threads=1
        )

    def published(self):
        return DuckWarehouse(self._folder, memory_limit="500MB", threads=1, published=True)


class Cloud:
    def __init__(self, folder: Path, server: Server) -> None:
        self._folder, self.server = folder, server
        for dataset in ("cdp", "cdp_a", "cdp_b", "analytics_1"):
            server.make_dataset(dataset)
        self.warehouse = self.open()

    def open(self, **more):
        given = {
            "project": "p",
            "dataset": "cdp",
            "location": "EU",
            "export": "p.analytics_1",
            "maximum_bytes_billed": 10**12,
            "labels": {"run": "r1"},
        }
        return BigQueryWarehouse(self.server.client(), **{**given, **more})

    def put(self, tables):
        types = "union_by_name=true, maximum_depth=-1, convert_strings_to_integers=true"
        for suffix, rows in tables.items():
            name = f"events_{suffix}"
            file = ndjson(self._folder / f"{name}.json", rows)
            select = f"SELECT * FROM read_json('{file}', {types})"
            self.server.make_table("analytics_1", name, select)

    def load(self, table, rows):
        raw = self._folder / "raw"
        load_rows(raw, table, [ndjson(self._folder / "rows.ndjson", rows)], threads=1)
        for file in (raw / table).iterdir():
            self.warehouse.load(table, file)

    def published(self):
        return self.open(published=True)


def ndjson(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(params=["duckdb", "bigquery"])
def place(request, tmp_path) -> Iterator[Place]:
    if request.param == "duckdb":
        made = Embedded(tmp_path)
        with closing(made.warehouse):
            yield made
        return
    with serving(Server()) as server:
        yield Cloud(tmp_path, server)


@pytest.fixture
def warehouse(place) -> Warehouse:
    return place.warehouse


def test_a_statement_tells_how_many_rows_it_changed(warehouse):
    assert warehouse.run("create or replace table t as select 1 as x", {}).affected == 0
    assert warehouse.run("insert into t (x) select y from unnest([2, 3]) as y", {}).affected == 2
    assert warehouse.run("update t set x = @to where x > 1", {"to": 9}).affected == 2
    assert warehouse.run("delete from t where x = 9", {}).affected == 2
    assert warehouse.query("select x from t", {}).rows() == [(1,)]


def test_a_script_tells_the_rows_of_all_its_statements(warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    script = (
        "begin transaction; delete from t where x = 1; "
        "insert into t (x) values (2), (@three); commit transaction"
    )
    assert warehouse.run(script, {"three": 3}).affected == 3


def test_a_transaction_that_fails_leaves_nothing_behind(warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    script = (
        "begin transaction; delete from t where true; "
        "insert into t (x) select cast(y as int64) from unnest(['no']) as y; commit transaction"
    )
    with pytest.raises(StatementError):
        warehouse.run(script, {})
    assert warehouse.query("select x from t", {}).rows() == [(1,)]
    assert warehouse.run("insert into t (x) values (2)", {}).affected == 1


PARAMETERS = {
    "a truth": True,
    "an untruth": False,
    "an integer": 2**62,
    "a number": 0.1,
    "a text": 'it\'s @x \\ "é"\n',
    "an empty text": "",
    "a day": date(987, 1, 2),
    "a time": NOON,
    "a time of another zone": NOON.astimezone(timezone(timedelta(hours=5))),
    "integers": [1, 2],
    "texts": ["a", "b,c", ""],
    "days": [date(2026, 10, 31)],
    "times": [NOON],
    "nothing": [],
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_arrives_as_it_was_given(warehouse, name):
    def told(value):
        return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value

    given = PARAMETERS[name]
    wanted = [told(v) for v in given] if isinstance(given, list) else told(given)
    (row,) = warehouse.query("select @value as value", {"value": given}).to_dicts()
    assert row == {"value": wanted}


def test_nothing_is_in_an_empty_list(warehouse):
    sql = "select x in unnest(@list) as found from unnest(['a', cast(null as string)]) as x"
    assert warehouse.query(sql, {"list": []}).rows() == [(False,), (False,)]


TYPES = """
select
  1 as i, 0.5 as f, true as b, 'x' as s, date '2026-10-31' as d,
  timestamp '2026-10-31 12:00:00.123456+00' as t, cast('1.5' as numeric) as n,
  [1, 2] as ii, struct(1 as a, timestamp '2026-10-31 12:00:00+00' as t) as r,
  [struct('x' as a, timestamp '2026-10-31 12:00:00+00' as t)] as rr, cast(null as string) as z
"""


def test_a_result_has_pythons_values_and_times_are_utc(warehouse):
    (row,) = warehouse.query(TYPES, {}).to_dicts()
    at = datetime(2026, 10, 31, 12)  # noqa: DTZ001
    assert row == {
        "i": 1,
        "f": 0.5,
        "b": True,
        "s": "x",
        "d": date(2026, 10, 31),
        "t": at.replace(microsecond=123456),
        "n": row["n"],
        "ii": [1, 2],
        "r": {"a": 1, "t": at},
        "rr": [{"a": "x", "t": at}],
        "z": None,
    }
    assert str(row["n"].normalize()) == "1.5"


def test_a_result_without_rows_has_its_columns(warehouse):
    frame = warehouse.query("select 1 as x, 'a' as y from unnest([1]) as n where n > 1", {})
    assert (frame.columns, frame.to_dicts()) == (["x", "y"], [])


def test_a_result_of_many_rows_comes_whole(warehouse):
    sql = "select x, cast(x as string) as y from unnest(generate_array(1, 5000)) as x order by x"
    frame = warehouse.query(sql, {})
    assert frame["x"].sum() == 5000 * 5001 // 2
    assert frame.row(4999) == (5000, "5000")


@pytest.mark.parametrize("act", ["run", "query"])
@pytest.mark.parametrize("sql", ["select x from nowhere", "select from where"])
def test_a_statement_that_is_wrong_is_told_with_its_beginning(warehouse, act, sql):
    with pytest.raises(Exception, match=r"(?s)nowhere|not BigQuery SQL|Syntax error"):
        getattr(warehouse, act)(sql, {})


def test_what_the_engine_refuses_is_the_ports_error(warehouse):
    with pytest.raises(StatementError, match=r"(?s)nowhere.*in: .*nowhere"):
        warehouse.query("select x from nowhere", {})


# --- the export -----------------------------------------------------------------------------------


def test_the_exports_tables_are_told_and_a_restated_day_is_another_version(place, warehouse):
    assert warehouse.export_tables() == []
    place.put({"20261030": [event("20261030", "c1")]})
    place.put({"20261031": [event("20261031", "c1"), event("20261031", "c2")]})
    place.put({"intraday_20261101": [event("20261101", "c1")]})
    before = {table.suffix: table for table in warehouse.export_tables()}
    rows = {suffix: table.rows for suffix, table in before.items()}
    assert rows == {"20261030": 1, "20261031": 2, "intraday_20261101": 1}
    place.put({"20261031": [event("20261031", "c1"), event("20261031", "c3")]})
    after = {table.suffix: table for table in warehouse.export_tables()}
    assert {suffix for suffix in rows if after[suffix] != before[suffix]} == {"20261031"}


SHOWN = """
select
  e.table_suffix, e.user_pseudo_id, e.stream_id, e.privacy_info.analytics_storage as analytics,
  e.traffic_source.source as source, e.collected_traffic_source.gclid,
  e.ecommerce.transaction_id, e.geo.country,
  (select p.value.int_value from unnest(e.event_params) as p where p.key = 'ga_session_id' limit 1)
    as session_id,
  (select p.value.double_value from unnest(e.event_params) as p where p.key = 'n' limit 1) as n
from export_event as e
order by e.table_suffix, e.user_pseudo_id
"""


def test_the_export_is_one_table_whatever_its_tables_lack(place, warehouse):
    whole = event("20261030", "c1", collected_traffic_source={"gclid": "g"}, stream_id="s")
    lacking = {
        **event("20261031", "c2", ecommerce={"transaction_id": 7}, stream_id=1),
        "privacy_info": {"analytics_storage": 1, "ads_storage": 1},
    }
    for column in ("traffic_source", "geo"):
        lacking.pop(column)
    lacking["event_params"] = [{"key": "ga_session_id", "value": {"int_value": 5}}]
    place.put({"20261030": [whole]})
    place.put({"intraday_20261031": [lacking]})
    warehouse.show_export(["20261030", "intraday_20261031"])
    assert warehouse.query(SHOWN, {}).rows() == [
        ("20261030", "c1", "s", "Yes", "google", "g", None, "Germany", 1, None),
        ("intraday_20261031", "c2", "1", "1", None, None, "7", None, 5, None),
    ]


def test_the_export_is_the_tables_that_were_named_last(place, warehouse):
    for day in ("20261030", "20261031"):
        place.put({day: [event(day, "c1")]})
    for day in ("20261030", "20261031"):
        warehouse.show_export([day])
        shown = warehouse.query("select e.table_suffix from export_event as e", {})
        assert shown.rows() == [(day,)]


@pytest.mark.parametrize("suffixes", [[], ["20261030", "20261029"]])
def test_a_table_that_is_not_there_is_told(place, warehouse, suffixes):
    place.put({"20261030": [event("20261030", "c1")]})
    with pytest.raises(StatementError, match="20261029" if suffixes else "no table"):
        warehouse.show_export(suffixes)


CLEANING = {
    **policy_parameters(Policy.load(None)),
    "property": "p",
    "suffixes": ["20261031"],
    "dates": [date(2026, 10, 31)],
    "erased": False,
    "key": "k",
}


def test_days_are_cleaned_through_the_shown_export(place, warehouse):
    make_tables(warehouse)
    rows = [event("20261031", client) for client in ("c1", "c1", "c2")]
    place.put({"20261031": rows})
    warehouse.show_export(["20261031"])
    for _ in range(2):  # a day that is cleaned again is replaced
        warehouse.run(statements()["10_events"], CLEANING)
        sql = "select client_key, session_id, source from events order by client_key"
        assert warehouse.query(sql, {}).rows() == [("p/1/c1", 1, None), ("p/1/c2", 1, None)]


def test_an_erasure_takes_one_persons_rows_wherever_they_are_and_nobody_elses(place, warehouse):
    make_tables(warehouse)
    rows = [event("20261031", client, user=user) for client, user in (("c1", "u1"), ("c2", "u2"))]
    place.put({"20261031": rows})
    stays = {**LINK, "a_value": "u2", "b_value": "stays@example.com"}
    place.load("raw_link", [LINK, stays])
    warehouse.loaded_versions()
    warehouse.show_export(["20261031"])
    warehouse.run(statements()["10_events"], CLEANING)
    pairs = (("client_id", "p/1/c1"), ("user_id", "u1"), ("email", "jane@example.com"))
    subject = Subject(tuple(Held(*pair) for pair in pairs))
    counts = warehouse.erase(
        Erasure(
            property="p",
            keyed=frozenset(subject.tombstones("k")),
            key="k",
            parameters=of_rows(subject),
            told=tuple(subject.subjects),
            mentions=tuple(subject.mentions),
        )
    )
    assert sum(counts.values()) >= 2
    assert warehouse.query("select client_id, user_id from events", {}).rows() == [("c2", "u2")]
    warehouse.loaded_versions()
    held = warehouse.query("select a_value, b_value from raw_link", {}).rows()
    assert held == [("u2", "stays@example.com")]


# --- loaded rows ----------------------------------------------------------------------------------


def test_a_file_is_loaded_once_and_its_rows_are_read(place, warehouse):
    make_tables(warehouse)
    assert warehouse.loaded_versions() == []
    place.load("raw_link", [LINK])
    versions = warehouse.loaded_versions()
    assert len(versions) == 1
    place.load("raw_link", [LINK])
    assert warehouse.loaded_versions() == versions
    sql = "select a_value, b_value, seen_at, source, consent from raw_link"
    at = datetime(2026, 10, 31, 8)  # noqa: DTZ001
    assert warehouse.query(sql, {}).rows() == [("u1", "jane@example.com", at, "crm", "unknown")]
    assert warehouse.query("select type from raw_decision", {}).rows() == []


# --- publishing -----------------------------------------------------------------------------------


def test_readers_see_the_last_published_state_as_a_whole(place, warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    warehouse.run("create or replace table gone as select 1 as x", {})
    warehouse.publish("r1")
    warehouse.run("insert into t (x) values (2)", {})
    with closing(place.published()) as reader:
        assert reader.query("select count(*) as n from t", {}).item() == 1
    warehouse.run("create or replace table later as select 1 as x", {})
    warehouse.publish("r2")
    with closing(place.published()) as reader:
        assert reader.query("select count(*) as n from t", {}).item() == 2
        assert reader.query("select x from later", {}).item() == 1
        with pytest.raises(StatementError):
            reader.run("insert into t (x) values (3)", {})


def test_as_many_tables_as_a_batch_has_are_shown_at_once(place, warehouse):
    days = [f"{date(2026, 8, 1) + timedelta(n):%Y%m%d}" for n in range(BATCH_DAYS)]
    place.put({day: [event(day, "c1")] for day in days})
    warehouse.show_export(days)
    assert warehouse.query("select count(*) as n from export_event", {}).item() == BATCH_DAYS
