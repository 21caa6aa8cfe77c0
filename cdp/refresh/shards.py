"""The shards of a run: what was exported, what was delivered, what their receipts say."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from cdp.domain.errors import CdpError
from cdp.objects.port import ObjectNotFound, ObjectStore, Stored
from cdp.profiles.port import DocumentStore, Where
from cdp.queue.port import DeadLetters, Queue
from cdp.warehouse.port import Warehouse
from cdp.warehouse.rest import query_parameter
from cdp.warehouse.statements import statements

TOPIC: Final = "shards"
SHARDS_AT_MOST: Final = 10_000
TOLD_AT_MOST: Final = 1_000
"""Rejected profiles, and shards in doubt, that are passed on by name: variables hold little.

A profile or shard beyond counts as in doubt, and is delivered again by the next run.
"""


class Shards:
    """The shards of one deployment's runs."""

    def __init__(
        self,
        *,
        warehouse: Warehouse,
        documents: DocumentStore,
        objects: ObjectStore,
        queue: Queue,
        dead_letters: DeadLetters,
        topic: str,
    ) -> None:
        self._warehouse = warehouse
        self._documents = documents
        self._objects = objects
        self._queue = queue
        self._dead_letters = dead_letters
        self._topic = topic

    def manifest(self, run_id: str, body: Any) -> dict[str, Any]:
        """Write what the receipts must add up to: each shard's object, rows and hash.

        Args:
            body: `rows` to write, `exported`: rows that the exporter wrote, `shards`.

        Raises:
            CdpError: they differ, or a shard has no object.
        """
        prefix = f"runs/{run_id}/part-"
        counted = self._warehouse.query(statements()["94_shard_rows"], {"shards": body["shards"]})
        shard_rows = dict.fromkeys(range(body["shards"]), 0) | dict(counted.iter_rows())
        if not body["rows"] == body["exported"] == sum(shard_rows.values()):
            raise CdpError(
                f"run {run_id} exported {body['exported']} rows, but {body['rows']} were to be "
                "written; refresh again"
            )
        files: dict[int, list[dict[str, Any]]] = {shard: [] for shard in shard_rows}
        for stored in self._objects.list(prefix):
            shard = int(stored.name.removeprefix(prefix).partition("-")[0])
            files[shard].append(
                {"name": stored.name, "generation": stored.generation, "hash": stored.md5}
            )
        lost = [shard for shard, rows in shard_rows.items() if rows and not files[shard]]
        if lost:
            raise CdpError(f"run {run_id}: shard {lost[0]} was exported, but has no object")
        listed = [
            {"shard": number, "of_shard": shard, "rows": shard_rows[shard], **file}
            for number, (shard, file) in enumerate(
                (shard, file) for shard in sorted(files) for file in files[shard]
            )
        ]
        several = {shard for shard in files if len(files[shard]) != 1}
        for entry in listed:
            if entry["of_shard"] in several:  # the exporter split it: only the sum is known
                entry["rows"] = None
        manifest = {"run_id": run_id, "rows": body["rows"], "files": listed}
        self._objects.put(f"runs/{run_id}/manifest.json", json.dumps(manifest).encode())
        return {"files": len(listed)}

    def deliver(self, run_id: str, body: Any) -> dict[str, Any]:
        """Send one message a shard."""
        del body
        messages = [
            {
                "run_id": run_id,
                "shard": file["shard"],
                "name": file["name"],
                "generation": file["generation"],
                "rows": file["rows"],
            }
            for file in self._manifest(run_id)["files"]
        ]
        self._queue.publish(self._topic, messages)
        return {"messages": len(messages)}

    def receipts(self, run_id: str, body: Any) -> dict[str, Any]:
        """Say how far delivery is.

        Returns:
            `done`: every shard has a receipt or is given up; `complete`: and every row was
            accepted; `parameters` of the statement that confirms what was delivered.
        """
        del body
        manifest = self._manifest(run_id)
        files = manifest["files"]
        left = len(files) - self._documents.count("receipts", [Where("run_id", "==", run_id)])
        if left > 0 and len(self._dead(manifest)) < left:
            return {"done": False, "complete": False, "parameters": []}
        receipts = self._receipts(run_id, manifest)
        missing = {file["shard"] for file in files} - receipts.keys()
        if not missing <= self._dead(manifest).keys():
            return {"done": False, "complete": False, "parameters": []}
        ids: list[str] = []
        doubtful = set(missing)
        for shard, receipt in sorted(receipts.items()):
            aside = receipt["rejected"] + receipt["stale"]
            if not aside:
                continue
            found = self._rejected(run_id, shard, TOLD_AT_MOST - len(ids))
            if found is None or len(found) != aside:
                doubtful.add(shard)
            else:
                ids += found
        open_shards = sorted({file["of_shard"] for file in files if file["shard"] in doubtful})
        told = open_shards[:TOLD_AT_MOST]
        more = open_shards[TOLD_AT_MOST:]
        return {
            "done": True,
            "complete": not doubtful and not ids,
            "parameters": [
                # No shard is -1: a list's first element tells its type.
                query_parameter("open_shards", told or [-1]),
                query_parameter("open_from", more[0] if more else SHARDS_AT_MOST),
                query_parameter("rejected_ids", ids),
            ],
        }

    def _rejected(self, run_id: str, shard: int, most: int) -> list[str] | None:
        """Return the profiles of a shard's rejected rows; None where not all are told, or many."""
        ids: list[str] = []
        try:
            rejected = self._objects.open(f"runs/{run_id}/rejected/{shard}.ndjson")
        except ObjectNotFound:  # ingest of an earlier release told of no stale row
            return None
        with rejected as file:
            for line in file:
                profile_id = json.loads(line)["profile_id"]
                if profile_id is None or len(ids) == most:
                    return None
                ids.append(profile_id)
        return ids

    def delivered(self, run_id: str) -> dict[str, Any]:
        """Return what became of the rows, by count, and of shards without a receipt.

        Keys: written, unchanged, stale, rejected, undelivered, and dead_lettered: shard and reason.
        """
        manifest = self._manifest(run_id)
        receipts = self._receipts(run_id, manifest)
        counts = {
            name: sum(receipt[name] for receipt in receipts.values())
            for name in ("written", "unchanged", "stale", "rejected")
        }
        rows = sum(receipt["rows"] for receipt in receipts.values())
        missing = [f["shard"] for f in manifest["files"] if f["shard"] not in receipts]
        dead = self._dead(manifest)
        return {
            **counts,
            "undelivered": manifest["rows"] - rows,
            "dead_lettered": [
                {"shard": shard, "reason": dead.get(shard, "no receipt in time")}
                for shard in missing[:100]
            ],
        }

    def discard_delivered(self, run_id: str) -> None:
        """Delete every shard but those of *run_id* that have no receipt, while it holds the lease.

        They may still be delivered, late or again. What is left of runs before it is in its own
        shards, too.
        """
        manifest = self._manifest(run_id)
        receipts = self._receipts(run_id, manifest)
        open_ = {file["name"] for file in manifest["files"] if file["shard"] not in receipts}
        _delete(self._objects, "runs/", lambda stored: stored.name not in open_)

    def discard(self, run_id: str) -> None:
        """Delete the shards of a run that failed or was cancelled: the next one exports anew."""
        discard(self._objects, run_id)

    def expire(self, before: datetime) -> None:
        """Delete the shards that were stored before a time, whatever became of their runs."""
        _delete(self._objects, "runs/", lambda stored: stored.at < before)

    def _manifest(self, run_id: str) -> dict[str, Any]:
        with self._objects.open(f"runs/{run_id}/manifest.json") as file:
            manifest: dict[str, Any] = json.load(file)
        return manifest

    def _receipts(self, run_id: str, manifest: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        ids = [f"{run_id}.{file['shard']}" for file in manifest["files"]]
        found = self._documents.get_many("receipts", ids)
        return {document.body["shard"]: document.body for document in found.values()}

    def _dead(self, manifest: Mapping[str, Any]) -> dict[int, str]:
        """Return the shards of the run that were given up, with the reason.

        What else was refused and names the run gives up none of them.
        """
        dead = {
            _object(message.data): message.reason
            for message in self._dead_letters.dead(self._topic, manifest["run_id"])
        }
        files = {file["shard"]: _object(file) for file in manifest["files"]}
        return {shard: dead[named] for shard, named in files.items() if named in dead}


def _object(data: Mapping[str, Any]) -> tuple[str, str]:
    """Return which object a message, or a file of the manifest, names."""
    return str(data.get("name")), str(data.get("generation"))


def discard(objects: ObjectStore, run_id: str) -> None:
    """Delete the shards of one run."""
    _delete(objects, f"runs/{run_id}/", lambda _: True)


def _delete(objects: ObjectStore, prefix: str, goes: Callable[[Stored], bool]) -> None:
    """Delete shards: personal data that nobody needs. What cannot go now goes at a later end."""
    with suppress(CdpError):
        for stored in objects.list(prefix):
            if "/part-" in stored.name and goes(stored):
                objects.delete(stored.name, stored.generation)
