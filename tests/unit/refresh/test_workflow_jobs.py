"""How the workflow runs a statement as a job: its subworkflow `sql` on BigQuery's API."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from cdp.deployments.embedded import WORKFLOW
from cdp.workflow_engine import CallError, Interpreter, WorkflowFailure, load
from cdp.workflow_engine.trace import StepEntry
from tests.cloud import bigquery, execute

INSERT = "googleapis.bigquery.v2.jobs.insert"
LOOK = "googleapis.bigquery.v2.jobs.get"
GET = "googleapis.storage.v1.objects.get"
ADD = "insert into t (x) select @x"
RUN = {
    "id": "5b0c",
    "project": "p",
    "location": "EU",
    "bucket": "b",
    "release": "release/1",
    "dataset": "cdp",
    "maximum_bytes_billed": "1000000000",
}
PARAMETER = {
    "name": "x",
    "parameterType": {"type": "INT64"},
    "parameterValue": {"value": "4711"},
}


class Silent:
    def step_started(self, entry: StepEntry) -> None: ...

    def step_ended(self, entry: StepEntry) -> None: ...

    def step_retried(self, entry: StepEntry) -> None: ...


class Workflow:
    """Runs `ADD` through the subworkflow `sql`, on a server that a test may let fail."""

    def __init__(self, server: bigquery.Server) -> None:
        self.server = server
        self.handlers: dict[str, Callable[[dict[str, Any]], Any]] = {
            INSERT: execute.insert,
            LOOK: execute.look,
            GET: lambda args: ADD.encode(),
        }
        self.slept: list[float] = []

    def run(self) -> Any:
        routines = yaml.safe_load(WORKFLOW.read_text("utf-8"))
        arguments = {"run": "${run}", "name": "41_add", "parameters": [PARAMETER]}
        steps = [
            {"call": {"call": "sql", "args": arguments, "result": "changed"}},
            {"done": {"return": "${changed}"}},
        ]
        text = json.dumps({**routines, "main": {"params": ["run"], "steps": steps}})
        return Interpreter(
            load(text, connectors=self.handlers),
            self.handlers,
            {},
            Silent(),
            lambda: False,
            sleep=self.slept.append,
            now=lambda: 0.0,
        ).run(RUN)

    def failure(self) -> Any:
        with pytest.raises(WorkflowFailure) as failed:
            self.run()
        return failed.value.error

    def rows(self) -> int:
        return int(self.server.db.execute("select count(*) from cdp.t").fetchall()[0][0])


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workflow]:
    with bigquery.serving(bigquery.Server()) as server:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        server.make_dataset("cdp")
        server.make_table("cdp", "t", "select 1 as x where false")
        yield Workflow(server)


@pytest.mark.parametrize("content", [ADD, ADD.encode()])
def test_a_statement_is_read_as_bytes_or_as_text(workflow: Workflow, content: str | bytes) -> None:
    workflow.handlers[GET] = lambda args: content
    assert workflow.run() == 1
    assert workflow.rows() == 1


@pytest.mark.parametrize(
    "reason",
    [
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "rateLimitExceeded",
        "jobRateLimitExceeded",
        "tableUnavailable",
    ],
)
def test_a_job_that_failed_for_a_reason_that_passes_is_tried_again_by_another_job(
    workflow: Workflow, reason: str
) -> None:
    workflow.server.failing["41_add"] = [reason, reason]
    assert workflow.run() == 1
    assert workflow.rows() == 1
    assert [id.rpartition("-")[2] for id in workflow.server.jobs] == ["1", "2", "3"]
    assert all(id.startswith("5b0c-41_add-") for id in workflow.server.jobs)


@pytest.mark.parametrize("reason", ["invalidQuery", "resourcesExceeded", "quotaExceeded"])
def test_a_job_that_would_fail_again_is_not_tried_again(workflow: Workflow, reason: str) -> None:
    workflow.server.failing["41_add"] = [reason]
    error = workflow.failure()
    assert (error["reason"], error["message"]) == (reason, "41_add failed; retrying may help")
    assert len(workflow.server.jobs) == 1


def test_a_job_that_goes_on_failing_is_given_up(workflow: Workflow) -> None:
    workflow.server.failing["41_add"] = ["backendError"] * 9
    assert workflow.failure()["reason"] == "backendError"
    assert len(workflow.server.jobs) == 5
    assert workflow.rows() == 0


def test_a_job_whose_answer_was_lost_is_found_and_not_run_twice(workflow: Workflow) -> None:
    workflow.server.lost = 1
    assert workflow.run() == 1
    assert workflow.rows() == 1


def test_a_job_that_another_attempt_made_is_waited_for(workflow: Workflow) -> None:
    """The first answer is lost before there is a job, the second request meets it at work."""
    states = iter(["PENDING", "RUNNING"])

    def late(args: dict[str, Any]) -> Any:
        job = execute.look(args)
        return {**job, "status": {"state": next(states, "DONE")}}

    inserted: list[str] = []

    def insert(args: dict[str, Any]) -> Any:
        inserted.append(args["body"]["jobReference"]["jobId"])
        if len(inserted) == 1:
            raise CallError(None, "ConnectionError", ["ConnectionError"])
        execute.insert(args)
        return execute.insert(args)  # 409

    workflow.handlers |= {INSERT: insert, LOOK: late}
    assert workflow.run() == 1
    assert workflow.rows() == 1
    assert len(inserted) == 2
    assert len(set(inserted)) == 1
    assert sum(workflow.slept) > 20


def test_a_request_that_is_refused_for_its_rate_is_sent_again(workflow: Workflow) -> None:
    refusals = [bigquery.Refusal(403, "rateLimitExceeded", "too many")] * 2
    answer = workflow.server.answer

    def busy(method: str, *rest: Any) -> Any:
        if method == "POST" and refusals:
            raise refusals.pop()
        return answer(method, *rest)

    workflow.server.answer = busy  # type: ignore[method-assign]
    assert workflow.run() == 1
    assert len(workflow.server.jobs) == 1


def test_a_request_that_is_refused_for_good_is_told_in_googles_words(workflow: Workflow) -> None:
    workflow.server.forbidden.add("cdp")
    error = workflow.failure()
    assert error["code"] == 403
    assert error["message"] == "Access Denied: Dataset p:cdp: Permission denied"
    assert workflow.slept == []


def test_an_error_does_not_quote_the_parameters(workflow: Workflow) -> None:
    workflow.server.failing["41_add"] = ["invalidQuery"]
    assert "4711" not in json.dumps(workflow.failure())
