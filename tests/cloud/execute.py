"""Runs an execution of `workflow.yaml` in the place of Cloud Workflows: `execute ID --lock N`.

The connectors are BigQuery's and Cloud Storage's, over REST; steps are called over HTTP.
"""

import os
import sys
from pathlib import Path
from typing import Any

import requests

from cdp.deployments.embedded import WORKFLOW
from cdp.executions.local import LocalExecutions, hold
from cdp.executions.port import State
from cdp.workflow_engine import (
    CallError,
    Interpreter,
    WorkflowCancelled,
    WorkflowFailure,
    load,
)
from cdp.workflow_engine.http_call import http_over_requests

SECONDS = 120


def insert(args: dict[str, Any]) -> dict[str, Any]:
    """Do as the connector does: insert the job, and raise what it failed with."""
    job: dict[str, Any] = answered(
        requests.post(_jobs(args), json=args["body"], timeout=SECONDS)
    ).json()
    if error := job["status"].get("errorResult"):
        # With the whole job, its parameters among it: Google does not say what is left out.
        raise CallError(None, error["message"], ["OperationError"], operation=job)
    return job


def look(args: dict[str, Any]) -> dict[str, Any]:
    """Return a job."""
    url, place = f"{_jobs(args)}/{args['jobId']}", {"location": args["location"]}
    job: dict[str, Any] = answered(requests.get(url, params=place, timeout=SECONDS)).json()
    return job


def _jobs(args: dict[str, Any]) -> str:
    return f"{os.environ['BIGQUERY_EMULATOR_HOST']}/bigquery/v2/projects/{args['projectId']}/jobs"


def get(args: dict[str, Any]) -> bytes:
    """Return an object's content."""
    host = os.environ["STORAGE_EMULATOR_HOST"]
    url = f"{host}/storage/v1/b/{args['bucket']}/o/{args['object']}"
    return answered(requests.get(url, params={"alt": args["alt"]}, timeout=SECONDS)).content


def answered(response: requests.Response) -> requests.Response:
    if not response.ok:
        code = response.status_code
        text = f"HTTP server responded with error code {code}"
        try:
            body = response.json()
        except ValueError:
            body = response.text
        raise CallError(code, text, ["HttpError"], body=body)
    return response


HANDLERS = {
    "googleapis.bigquery.v2.jobs.get": look,
    "googleapis.bigquery.v2.jobs.insert": insert,
    "googleapis.storage.v1.objects.get": get,
}


def execute(id: str, lock: int) -> None:
    """Run the execution to its end."""
    hold(lock)
    executions = LocalExecutions(Path(os.environ["CDP_HOME"]))
    argument = dict(executions.begin(id).argument)
    with executions.recorder(id) as recorder:
        interpreter = Interpreter(
            load(WORKFLOW.read_text("utf-8"), connectors=HANDLERS.keys()),
            connectors=HANDLERS,
            env={**os.environ, "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": id},
            observer=recorder,
            cancelled=recorder.cancelled,
            http=http_over_requests(),
        )
        result, error = None, None
        try:
            state, result = State.SUCCEEDED, interpreter.run(argument)
        except WorkflowCancelled:
            state = State.CANCELLED
        except WorkflowFailure as failure:
            state, error = State.FAILED, str(failure)
    executions.end(id, state, result=result, error=error)


if __name__ == "__main__":
    execute(sys.argv[2], int(sys.argv[4]))
