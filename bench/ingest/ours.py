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


def main(folder: str, rows: str, project: str, name: str, shard: str) -> None:
    imported = peak()
    objects = FolderObjects(Path(folder))
    documents = FirestoreDocuments(firestore.Client(project, AnonymousCredentials()))
    message = {
        "run_id": "bench",
        "shard": int(shard),
        "name": name,
        "generation": objects.list(name)[0].generation,
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
