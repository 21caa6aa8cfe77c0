"""Ingest one shard into a Firestore emulator, as the function does; tell seconds and memory."""

import json
import re
import sys
import time
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from cdp.objects.folder import FolderObjects
from cdp.profiles.firestore import FirestoreDocuments
from cdp.refresh.ingest import ingest_shard
from tests.runs import begin


def main(folder: str, rows: str, project: str, name: str, shard: str) -> None:
    imported = peak()
    objects = FolderObjects(Path(folder))
    with objects.open(name) as file:
        seq = int(json.loads(file.readline())["seq"])
        file.seek(0)
        stored = objects.put(f"runs/bench/part-{shard}-copy.json", file)  # ingest deletes it
    documents = FirestoreDocuments(firestore.Client(project, AnonymousCredentials()))
    begin(documents, "bench", seq=seq)
    message = {
        "run_id": "bench",
        "shard": int(shard),
        "name": stored.name,
        "generation": stored.generation,
        "rows": int(rows),
    }
    started = time.perf_counter()
    receipt = ingest_shard(objects, documents, message)
    seconds = time.perf_counter() - started
    documents.close()
    told = {"written": receipt.written, "unchanged": receipt.unchanged}
    print(json.dumps({**told, "seconds": seconds, "mib": peak(), "imported_mib": imported}))


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
