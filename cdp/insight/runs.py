"""Runs as the console tells of them: how each ended, its receipts, its rejected rows."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cdp.executions.port import Execution, Executions
from cdp.objects.port import ObjectNotFound, ObjectStore
from cdp.profiles.port import DocumentStore

RECEIPTS: Final = "receipts"
REJECTS_AT_MOST: Final = 200
COUNTS: Final = ("exported", "written", "unchanged", "stale", "rejected")


@dataclass(frozen=True, slots=True)
class Run:
    """An execution of the refresh and what became of it.

    `state` is queued, running, stopping, succeeded, partial, failed, cancelled or held (another run
    was at it); counts are None where the run did not come so far.
    """

    id: str
    state: str
    by: str
    arguments: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int | None]
    error: str | None
    nothing_new: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.ended_at is None

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


def history(executions: Executions, limit: int = 50) -> list[Run]:
    """Return runs, the newest first."""
    return [_run(execution) for execution in executions.list(limit=limit)]


def one(executions: Executions, run_id: str) -> Run:
    """Return one run; ExecutionNotFound where there is none of that id."""
    return _run(executions.get(run_id))


def _run(execution: Execution) -> Run:
    result = execution.result if isinstance(execution.result, dict) else {}
    state = str(result.get("state", execution.state.value.lower()))
    if not execution.state.ended:
        state = {"active": "running"}.get(state, state)
        if execution.cancel_requested_by:
            state = "stopping"
    return Run(
        execution.id,
        state,
        execution.started_by,
        {name: value for name, value in execution.argument.items() if value},
        execution.created_at,
        execution.ended_at,
        {name: result.get(name) for name in COUNTS},
        execution.error,
        bool(result.get("nothing_new")),
        result,
    )


def receipts(documents: DocumentStore, objects: ObjectStore, run_id: str) -> list[dict[str, Any]]:
    """Return what became of each shard of the run's manifest, in order.

    Keys: shard, rows, and of a delivered one written, unchanged, stale, rejected, seconds, attempt
    and at; `state` is delivered or missing.
    """
    try:
        with objects.open(f"runs/{run_id}/manifest.json") as file:
            manifest = json.load(file)
    except ObjectNotFound:
        return []
    shards: Sequence[Mapping[str, Any]] = manifest["files"]
    found = documents.get_many(RECEIPTS, [f"{run_id}.{shard['shard']}" for shard in shards])
    rows = []
    for shard in shards:
        receipt = found.get(f"{run_id}.{shard['shard']}")
        row = {"shard": shard["shard"], "rows": shard["rows"], "state": "missing"}
        rows.append({**row, **receipt.body, "state": "delivered"} if receipt else row)
    return rows


def rejects(objects: ObjectStore, run_id: str) -> list[dict[str, Any]]:
    """Return rejected rows of the run, 200 at most: shard, line, profile_id (or None), reason."""
    prefix = f"runs/{run_id}/rejected/"
    rows: list[dict[str, Any]] = []
    for stored in objects.list(prefix):
        shard = stored.name.removeprefix(prefix).removesuffix(".ndjson")
        with suppress(ObjectNotFound), objects.open(stored.name) as file:
            for line in file:
                rows.append({"shard": int(shard), **json.loads(line)})
                if len(rows) == REJECTS_AT_MOST:
                    return rows
    return rows
