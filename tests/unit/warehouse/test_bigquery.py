"""What BigQuery alone has: caps, labels, places, jobs, grants; and what is told of them."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import requests
from google.api_core import exceptions
from pyarrow import parquet

from cdp.domain.errors import CdpError
from cdp.warehouse.bigquery import RAW, BigQueryWarehouse
from cdp.warehouse.port import StatementError
from cdp.warehouse.rest import query_parameter
from cdp.warehouse.row_files import RAW_TABLES
from tests.cloud.bigquery import TABLE_BYTES, Server, serving
from tests.tables import make_tables


@pytest.fixture
def files() -> dict[str, bytes]:
    """What was exported, by URI."""
    return {}


@pytest.fixture
def server(files) -> Iterator[Server]:
    with serving(Server("p", "EU", exporting=files.__setitem__)) as made:
        for dataset in ("cdp", "cdp_a", "cdp_b", "analytics_1"):
            made.make_dataset(dataset)
        yield made


def opened(server: Server, **more) -> BigQueryWarehouse:
    given = {
        "project": "p",
        "dataset": "cdp",
        "location": "EU",
        "export": "p.analytics_1",
        "maximum_bytes_billed": 10**10,
        "labels": {"run": "r1", "statement": "x"},
    }
    return BigQueryWarehouse(server.client(), **{**given, **more})


@pytest.fixture
def warehouse(server) -> BigQueryWarehouse:
    return opened(server)


def test_every_job_has_a_cap_labels_a_dataset_and_a_place(server, warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    warehouse.query("select x from t where x = @x", {"x": 1})
    warehouse.publish("r1")
    assert len(server.jobs) >= 3
    for job in server.jobs.values():
        configuration = job["configuration"]
        assert configuration["labels"] == {"run": "r1", "statement": "x"}
        assert int(configuration["jobTimeoutMs"]) == 7_200_000
        assert configuration["query"]["maximumBytesBilled"] == str(10**10)
        assert configuration["query"]["defaultDataset"] == {"projectId": "p", "datasetId": "cdp"}
        assert not configuration["query"]["useLegacySql"]
        assert job["jobReference"]["location"] == "EU"


def test_without_a_bound_none_is_asked_for(server):
    opened(server, maximum_bytes_billed=0).query("select 1 as x", {})
    (job,) = server.jobs.values()
    assert "maximumBytesBilled" not in job["configuration"]["query"]


def test_a_dry_run_tells_bytes_and_does_nothing(server, warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    done = len(server.jobs)
    assert warehouse.dry_run("delete from t where x = @x", {"x": 1}) == TABLE_BYTES
    assert len(server.jobs) == done
    assert warehouse.query("select x from t", {}).item() == 1


@pytest.mark.parametrize("act", ["run", "query"])
def test_a_statement_over_the_cap_names_the_setting(server, warehouse, act):
    warehouse.run("create or replace table t as select 1 as x", {})
    wanted = "10485760 or higher required.*raise CDP_MAXIMUM_BYTES_BILLED, now 1000"
    with pytest.raises(StatementError, match=wanted):
        getattr(opened(server, maximum_bytes_billed=1000), act)("select x from t", {})


def test_a_question_over_the_cap_names_its_own_setting(server, warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    warehouse.publish("r1")
    reader = opened(server, maximum_bytes_billed=1000, published=True)
    with pytest.raises(StatementError, match="raise CDP_QUESTION_BYTES_BILLED, now 1000"):
        reader.query("select x from t", {})


@pytest.mark.parametrize("wrong", [{"dataset": "other"}, {"location": "US"}])
def test_a_dataset_that_is_not_there_is_told_with_the_fix(server, wrong):
    with pytest.raises(StatementError, match=r"Not found: Dataset .* CDP_LOCATION — in: select 1"):
        opened(server, **wrong).query("select 1 as x", {})


def test_a_missing_export_is_told_with_the_fix(server):
    with pytest.raises(StatementError, match=r"Not found: Dataset .* CDP_EXPORT_DATASET"):
        opened(server, export="p.analytics_2").show_export(["20261031"])


def test_a_missing_grant_is_told_with_the_roles(server, warehouse):
    server.forbidden.add("cdp")
    with pytest.raises(StatementError, match=r"Access Denied.*roles/bigquery.jobUser on p"):
        warehouse.run("select 1 as x", {})


def test_a_service_that_is_not_there_is_told():
    with serving(Server()) as gone:
        gone.make_dataset("cdp")
        warehouse = opened(gone)
        client = gone.client()
    warehouse._client = client
    client._call_api = refuse
    with pytest.raises(CdpError, match="BigQuery cannot be reached"):
        warehouse.loaded_versions()


def refuse(*args, **kwargs):
    raise requests.ConnectionError("connection refused")


def test_a_statement_whose_answer_got_lost_is_not_run_twice(server, warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    server.lost = 1
    assert warehouse.run("insert into t (x) values (2)", {}).affected == 1
    assert server.lost == 0
    assert warehouse.query("select count(*) as n from t", {}).item() == 2


# --- loading --------------------------------------------------------------------------------------

AT = datetime(2026, 10, 31, 8, tzinfo=UTC)


def links(folder, name, rows=1):
    """Return a file as the row reader writes it: times without a zone."""
    values = {c: ["x"] * rows for c in RAW_TABLES["raw_link"]}
    table = pa.table(
        {**values, "seen_at": pa.array([AT.replace(tzinfo=None)] * rows, pa.timestamp("us"))}
    )
    parquet.write_table(table, folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def test_the_raw_tables_are_those_that_files_are_loaded_into():
    assert set(RAW) == RAW_TABLES.keys()


def test_a_file_is_loaded_once_however_often_it_is_told(warehouse, tmp_path):
    first, second = links(tmp_path, "first", 3), links(tmp_path, "second", 2)
    assert [warehouse.load("raw_link", file) for file in (first, first, second)] == [3, 0, 2]
    sql = "select file, seen_at, count(*) as n from raw_link group by file, seen_at order by file"
    at = AT.replace(tzinfo=None)
    assert warehouse.query(sql, {}).rows() == [("first", at, 3), ("second", at, 2)]


def test_two_who_load_one_file_at_once_load_it_once(server, tmp_path):
    make_tables(opened(server))
    file = links(tmp_path, "same", 5)
    loaded = []
    threads = [
        threading.Thread(target=lambda: loaded.append(opened(server).load("raw_link", file)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(loaded) == [0, 0, 0, 5]
    assert opened(server).query("select count(*) as n from raw_link", {}).item() == 5


def test_a_load_that_failed_is_done_by_the_next(server, warehouse, tmp_path):
    make_tables(warehouse)
    wrong = pa.table({"a_typo": ["x"]})
    parquet.write_table(wrong, tmp_path / "same.parquet")
    with pytest.raises(StatementError, match="a_typo"):
        warehouse.load("raw_link", tmp_path / "same.parquet")
    assert warehouse.load("raw_link", links(tmp_path, "same")) == 1


def test_a_load_that_failed_for_a_reason_that_passes_is_tried_again(server, warehouse, tmp_path):
    server.failing["load"] = ["backendError"]
    assert warehouse.load("raw_link", links(tmp_path, "a")) == 1
    server.failing["load"] = ["invalid", "backendError"]
    with pytest.raises(StatementError):
        warehouse.load("raw_link", links(tmp_path, "b"))
    assert server.failing["load"] == ["backendError"]


def test_a_table_that_was_made_again_is_loaded_again(server, warehouse, tmp_path):
    file = links(tmp_path, "same")
    assert warehouse.load("raw_link", file) == 1
    server.forget("cdp", "raw_link")
    assert warehouse.load("raw_link", file) == 1


# --- publishing -----------------------------------------------------------------------------------


def test_nothing_is_published_before_a_run_has_settled(server, warehouse):
    assert warehouse.published_version() is None
    with pytest.raises(CdpError, match="nothing was refreshed yet"):
        opened(server, published=True)


def test_a_reader_keeps_its_state_through_the_next_publish(server, warehouse):
    def readers_see():
        return opened(server, published=True)

    warehouse.run("create or replace table t as select 1 as x", {})
    warehouse.publish("r1")
    first, version = readers_see(), warehouse.published_version()
    warehouse.run("update t set x = 2 where true", {})
    assert readers_see().query("select x from t", {}).item() == 1
    warehouse.publish("r1")
    assert warehouse.published_version() not in (None, version)
    assert first.query("select x from t", {}).item() == 1
    assert readers_see().query("select x from t", {}).item() == 2


def test_a_table_that_vanished_is_dropped_there(server, warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    warehouse.run("create or replace table gone as select 1 as x", {})
    for _ in range(2):
        warehouse.publish("r1")
    server.forget("cdp", "gone")
    warehouse.publish("r1")
    with pytest.raises(StatementError, match="gone"):
        opened(server, published=True).query("select x from gone", {})


def test_views_are_not_published(server, warehouse):
    server.make_table("analytics_1", "events_20261031", "SELECT 1 AS event_timestamp")
    warehouse.run("create or replace table t as select 1 as x", {})
    warehouse.show_export(["20261031"])
    warehouse.publish("r1")
    client = server.client()
    assert [table.table_id for table in client.list_tables("cdp_a")] == ["t"]
    assert {table.table_id for table in client.list_tables("cdp")} == {"t", "export_event"}


def test_publishing_is_one_job_and_one_change_of_the_pointer(server, warehouse):
    make_tables(warehouse)
    before = {id for id, job in server.jobs.items() if "parentJobId" not in job["statistics"]}
    warehouse.publish("r1")
    after = {id for id, job in server.jobs.items() if "parentJobId" not in job["statistics"]}
    assert len(after - before) == 1
    assert server.datasets["cdp"]["version"] == 1


def test_a_publish_that_fails_leaves_readers_where_they_were(server, warehouse):
    warehouse.run("create or replace table t as select 1 as x", {})
    warehouse.publish("r1")
    version = warehouse.published_version()
    server.forbidden.add("cdp")
    with pytest.raises(StatementError, match="Access Denied"):
        warehouse.publish("r1")
    assert warehouse.published_version() == version


def test_two_who_publish_at_once_do_not_both_move_the_pointer(server, warehouse):
    """The lease lets one run at a time; should it be lost, the label's etag tells."""
    client = server.client()
    dataset = client.get_dataset("cdp")
    warehouse.publish("r1")
    dataset.labels["published"] = "b"
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_dataset(dataset, ["labels"])


# --- jobs as the workflow inserts them ------------------------------------------------------------


def inserted(server, sql, **parameters):
    given = [query_parameter(name, value) for name, value in parameters.items()]
    query = {
        "query": sql,
        "useLegacySql": False,
        "parameterMode": "NAMED",
        "queryParameters": given,
        "defaultDataset": {"projectId": "p", "datasetId": "cdp"},
    }
    body = {"jobReference": {"location": "EU"}, "configuration": {"query": query}}
    return requests.post(f"{server.url}/bigquery/v2/projects/p/jobs", json=body, timeout=60).json()


def test_a_shard_is_exported_as_bigquery_writes_json(server, warehouse, files):
    """INT64 as text, `<>&` as escapes, nulls left out."""
    warehouse.run("create or replace table t as select 2 as x union all select 1", {})
    options = "uri='gs://b/runs/r/part-00000-*.json', format='JSON', overwrite=true"
    done = inserted(
        server,
        f"EXPORT DATA OPTIONS ({options}) AS select x, '<a>' as s, cast(null as string) as z, "
        "timestamp '2026-10-31 08:00:00+00' as t from t where x >= @least order by x",
        least=1,
    )
    assert done["statistics"]["query"]["exportDataStatistics"]["rowCount"] == "2"
    (lines,) = files.values()
    assert list(files) == ["gs://b/runs/r/part-00000-000000000000.json"]
    assert b"\\u003ca\\u003e" in lines
    row = {"x": "1", "s": "<a>", "t": "2026-10-31 08:00:00 UTC"}
    assert [json.loads(line) for line in lines.splitlines()] == [row, {**row, "x": "2"}]


def test_a_posted_job_tells_rows_and_errors(server):
    inserted(server, "create or replace table t as select 1 as x")
    done = inserted(server, "update t set x = @x where true", x=5)
    assert done["statistics"]["query"]["numDmlAffectedRows"] == "1"
    failed = inserted(server, "select x from nowhere")
    assert failed["status"]["errorResult"]["reason"] == "invalidQuery"


# --- what BigQuery refuses ------------------------------------------------------------------------

STORAGES = {
    "another cluster": ("cluster by x", "cluster by y"),
    "other columns first": ("cluster by x, y", "cluster by y, x"),
    "no cluster any more": ("cluster by x", ""),
    "a partition where there was none": ("", "partition by d"),
    "another partition": (
        "partition by range_bucket(x, generate_array(0, 10, 1))",
        "partition by range_bucket(x, generate_array(0, 10, 2))",
    ),
}


@pytest.mark.parametrize("how", STORAGES)
def test_the_server_replaces_no_table_by_one_that_is_stored_otherwise(warehouse, how):
    before, after = STORAGES[how]
    select = "as select 1 as x, 2 as y, date '2026-10-31' as d"
    warehouse.run(f"create or replace table t {before} {select}", {})
    for storage in (before, before):  # alike, also with other columns
        warehouse.run(f"create or replace table t {storage} {select}, 3 as z", {})
    told = "Cannot replace a table with a different partitioning spec. Instead, DROP the table"
    with pytest.raises(StatementError, match=told):
        warehouse.run(f"create or replace table t {after} {select}", {})
    warehouse.drop(["t"])
    warehouse.run(f"create or replace table t {after} {select}", {})
    assert warehouse.shapes()["t"].storage == after


def test_the_server_clones_over_no_table_that_is_stored_otherwise(server, warehouse):
    warehouse.run("create or replace table t cluster by x as select 1 as x", {})
    server.make_table("cdp_a", "t", "SELECT 1 AS x")
    with pytest.raises(StatementError, match="Cannot replace a table"):
        warehouse.run("create or replace table `p.cdp_a.t` clone `p.cdp.t`", {})


def test_the_server_leaves_a_table_that_stands(warehouse):
    warehouse.run("create table if not exists t (x int64) cluster by x", {})
    warehouse.run("insert into t (x) values (1)", {})
    before = warehouse.shapes()
    warehouse.run("create table if not exists t (y string) cluster by y", {})
    assert warehouse.shapes() == before
    assert warehouse.query("select x from t", {}).rows() == [(1,)]


@pytest.mark.parametrize("ddl", ["alter table t add column y int64", "create table u (x int64)"])
def test_the_server_makes_and_changes_no_table_within_a_transaction(warehouse, ddl):
    warehouse.run("create or replace table t as select 1 as x", {})
    with pytest.raises(StatementError, match="not supported in a transaction"):
        warehouse.run(f"begin transaction; {ddl}; commit transaction", {})
    warehouse.run("begin transaction; delete from t where true; commit transaction", {})
    warehouse.run("create or replace table u as select 1 as x", {})


def test_a_table_that_is_stored_otherwise_is_published(server, warehouse):
    for storage in ("cluster by x", "cluster by y", ""):
        warehouse.drop(["t"])
        warehouse.run(f"create or replace table t {storage} as select 1 as x, 2 as y", {})
        for _ in range(2):
            warehouse.publish("r1")
            assert opened(server, published=True).query("select x from t", {}).item() == 1
