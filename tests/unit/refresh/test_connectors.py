"""Google's APIs as the workflow calls them, answered by the embedded parts."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from cdp.domain.errors import CdpError
from cdp.objects.folder import FolderObjects
from cdp.refresh.connectors import STEPS_URL, connectors, steps_over
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.rest import query_parameter
from cdp.workflow_engine import CallError

INSERT = "googleapis.bigquery.v2.jobs.insert"
LOOK = "googleapis.bigquery.v2.jobs.get"
GET = "googleapis.storage.v1.objects.get"


@pytest.fixture
def parts(tmp_path: Path):
    objects = FolderObjects(tmp_path / "objects")
    warehouse = DuckWarehouse(tmp_path, memory_limit="500MB", threads=1)
    yield warehouse, objects, connectors(warehouse, objects)
    warehouse.close()


def job(sql: str, *, id: str | None = None, **parameters):
    given = [query_parameter(name, value) for name, value in parameters.items()]
    return {
        "body": {
            "jobReference": {"jobId": id or str(uuid4())},
            "configuration": {"query": {"query": sql, "queryParameters": given}},
        }
    }


def test_a_job_tells_how_many_rows_it_changed(parts) -> None:
    *_, calls = parts
    calls[INSERT](job("create or replace table t as select x from unnest([1, 2, 3]) as x"))
    done = calls[INSERT](job("update t set x = @to where x > 1", to=9))
    assert done["statistics"]["query"] == {"numDmlAffectedRows": "2"}
    assert done["status"] == {"state": "DONE"}


def test_an_export_is_one_object_with_twelve_digits_for_the_wildcard(parts) -> None:
    _, objects, calls = parts
    calls[INSERT](job("create or replace table t as select x from unnest([1, 2, 3]) as x"))
    sql = "EXPORT DATA OPTIONS (uri='gs://b/runs/r/part-00007-*.json', format='JSON') AS "
    done = calls[INSERT](job(f"{sql} select t.x from t where t.x > @least", least=1))
    assert done["statistics"]["query"]["exportDataStatistics"]["rowCount"] == "2"
    with objects.open("runs/r/part-00007-000000000000.json") as file:
        assert sorted(json.loads(line)["x"] for line in file) == [2, 3]


def test_a_statement_that_fails_is_an_error_of_the_operation_and_its_job_tells_why(parts) -> None:
    *_, calls = parts
    with pytest.raises(CallError, match="nowhere") as failed:
        calls[INSERT](job("select x from nowhere", id="one"))
    assert failed.value.error["tags"] == ["OperationError"]
    status = calls[LOOK]({"jobId": "one"})["status"]
    assert (status["state"], status["errorResult"]["reason"]) == ("DONE", "invalidQuery")


def test_a_job_id_runs_once(parts) -> None:
    warehouse, _, calls = parts
    calls[INSERT](job("create or replace table t as select x from unnest([1, 2]) as x"))
    add = job("insert into t (x) select 3", id="add")
    done = calls[INSERT](add)
    with pytest.raises(CallError) as again:
        calls[INSERT](add)
    assert again.value.error["code"] == 409
    assert calls[LOOK]({"jobId": "add"}) == done
    assert warehouse.query("select count(*) as n from t", {}).item() == 3
    with pytest.raises(CallError) as absent:
        calls[LOOK]({"jobId": "other"})
    assert absent.value.error["code"] == 404


def test_an_object_is_read_by_its_encoded_name(parts) -> None:
    _, objects, calls = parts
    objects.put("release/1/a b.sql", b"select 1")
    assert calls[GET]({"object": "release%2F1%2Fa%20b.sql", "alt": "media"}) == b"select 1"
    with pytest.raises(CallError, match="no object"):
        calls[GET]({"object": "release%2Fnone.sql", "alt": "media"})


def test_steps_are_called_by_name_and_say_no_in_words() -> None:
    def call(name: str, run_id: str, body: object) -> dict[str, object]:
        if name == "plan":
            return {"run_id": run_id, "body": body}
        raise CdpError("no step of that name")

    http = steps_over(call)
    given = {"url": f"{STEPS_URL}/plan", "body": {"run_id": "r", "body": {"full": True}}}
    assert http("POST", given)["body"] == {"run_id": "r", "body": {"full": True}}
    with pytest.raises(CallError, match="no step") as refused:
        http("POST", {**given, "url": f"{STEPS_URL}/other"})
    assert refused.value.error["code"] == 409


@pytest.mark.parametrize("url", ["https://example.com/plan", f"{STEPS_URL}/a/plan", "plan"])
def test_no_other_service_is_reached(url: str) -> None:
    http = steps_over(lambda *_: {})
    with pytest.raises(CallError, match="reaches no other service"):
        http("POST", {"url": url, "body": {"run_id": "r", "body": {}}})
