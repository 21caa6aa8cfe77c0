"""The Google APIs that `workflow.yaml` calls, answered by the embedded deployment's own parts.

Each takes the arguments that the connector of that name takes, and answers in Google's shape.
"""

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote

from cdp.domain.errors import CdpError
from cdp.objects.port import ObjectNotFound, ObjectStore
from cdp.warehouse.dialect import exported
from cdp.warehouse.port import Value, Warehouse
from cdp.warehouse.rest import parameter_values
from cdp.workflow_engine import CallError

STEPS_URL: Final = "https://steps.embedded"
_EXPORT: Final = re.compile(r"\s*EXPORT\s+DATA\b", re.IGNORECASE)


class ExportingWarehouse(Warehouse, Protocol):
    """A warehouse without an object store of its own: it exports to a file."""

    def export(self, sql: str, parameters: Mapping[str, Value], file: Path) -> int:
        """Write the rows of one SELECT to *file* as NDJSON and return how many they are."""


def connectors(
    warehouse: ExportingWarehouse, objects: ObjectStore
) -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Return the handlers of the connectors that the workflow uses, by name."""
    jobs = Jobs(warehouse, objects)
    return {
        "googleapis.bigquery.v2.jobs.get": jobs.get,
        "googleapis.bigquery.v2.jobs.insert": jobs.insert,
        "googleapis.storage.v1.objects.get": lambda args: _get_object(objects, args),
    }


def steps_over(
    call: Callable[[str, str, Any], dict[str, Any]],
) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Return an HTTP handler that answers calls of `STEPS_URL/<name>` with *call*."""

    def http(method: str, args: dict[str, Any]) -> dict[str, Any]:
        base, _, name = str(args["url"]).rpartition("/")
        if base != STEPS_URL or method.lower() != "post":
            raise CallError(
                404,
                f"{method} {args['url']}: the embedded deployment reaches no other service",
                ["HttpError"],
            )
        body = args["body"]
        try:
            answer = call(name, body["run_id"], body["body"])
        except CdpError as error:
            # 409, not 5xx: asking again changes nothing.
            raise CallError(409, str(error), ["HttpError"]) from error
        return {"code": 200, "headers": {}, "body": answer}

    return http


def _get_object(objects: ObjectStore, args: Mapping[str, Any]) -> bytes:
    name = unquote(args["object"])
    if args.get("alt") != "media":
        raise CallError(400, "only alt: media is answered here", ["HttpError"])
    try:
        with objects.open(name) as file:
            return file.read()
    except ObjectNotFound as error:
        raise CallError(404, str(error), ["HttpError"]) from error


class Jobs:
    """BigQuery's jobs, each of which ends before the call that inserts it."""

    def __init__(self, warehouse: ExportingWarehouse, objects: ObjectStore) -> None:
        self._warehouse = warehouse
        self._objects = objects
        self._jobs: dict[str, dict[str, Any]] = {}

    def insert(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Run a job; a failed one is an OperationError, and `get` tells why."""
        job_id = args["body"]["jobReference"]["jobId"]
        if job_id in self._jobs:
            raise CallError(409, f"there is a job {job_id} already", ["HttpError"])
        query = args["body"]["configuration"]["query"]
        try:
            statistics = self._run(query["query"], parameter_values(query["queryParameters"]))
        except CdpError as error:
            failure = {"reason": "invalidQuery", "message": str(error)}
            self._jobs[job_id] = {"status": {"state": "DONE", "errorResult": failure}}
            raise CallError(None, str(error), ["OperationError"]) from error
        self._jobs[job_id] = {"status": {"state": "DONE"}, "statistics": {"query": statistics}}
        return self._jobs[job_id]

    def get(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return a job."""
        if args["jobId"] not in self._jobs:
            raise CallError(404, f"there is no job {args['jobId']}", ["HttpError"])
        return self._jobs[args["jobId"]]

    def _run(self, sql: str, parameters: Mapping[str, Value]) -> dict[str, Any]:
        if _EXPORT.match(sql):
            rows = _export(self._warehouse, self._objects, sql, parameters)
            return {"exportDataStatistics": {"fileCount": "1", "rowCount": str(rows)}}
        return {"numDmlAffectedRows": str(self._warehouse.run(sql, parameters).affected)}


def _export(
    warehouse: ExportingWarehouse,
    objects: ObjectStore,
    sql: str,
    parameters: Mapping[str, Value],
) -> int:
    """Do as EXPORT DATA does: one file, the wildcard of its name replaced by twelve digits."""
    uri, select = exported(sql)
    _, _, name = uri.removeprefix("gs://").partition("/")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shard.json"
        rows = warehouse.export(select, parameters, file)
        with file.open("rb") as content:
            objects.put(name.replace("*", "0" * 12), content)
    return rows
