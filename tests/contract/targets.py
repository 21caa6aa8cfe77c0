"""Entry points that the workers of test_queue.py call; a message says what to do, and where."""

import base64
import json
import os
import signal
import time
from pathlib import Path

from cdp.domain.errors import CdpError
from cdp.objects.folder import FolderObjects
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.port import Refused
from cdp.refresh.ingest import ingest_shard


def message(event):
    return json.loads(base64.b64decode(event.data["message"]["data"]))


def act(event):
    """Leave a line in the message's file, then do what it says."""
    data, attempt = message(event), event.data["deliveryAttempt"]
    with Path(data["file"]).open("a") as file:
        file.write(f"{data['n']} {attempt} {os.getpid()}\n")
    match data["do"]:
        case "refuse":
            raise Refused("names another bucket")
        case "fail":
            raise ValueError("jane@example.com")
        case "fail plainly":
            raise CdpError("the object is not there")
        case "fail once" if attempt == 1:
            raise ValueError
        case "die once" if attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang once" if attempt == 1:
            time.sleep(600)
        case "take":
            time.sleep(data["seconds"])


class DiesHalfway(SqliteDocuments):
    """A store whose process is killed when the first batch is written and the second is not."""

    calls = 0

    def merge(self, collection, rows):
        self.calls += 1
        if self.calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().merge(collection, rows)


class DiesBeforeDeleting(FolderObjects):
    """A store whose process is killed when the receipt is there and the shard is, too."""

    def delete(self, name, generation=None):
        os.kill(os.getpid(), signal.SIGKILL)


def ingest(event):
    """Ingest a shard below TEST_HOME; where TEST_DIES says so, the first delivery dies on it."""
    home = Path(os.environ["TEST_HOME"])
    attempt = event.data["deliveryAttempt"]
    dies = os.environ.get("TEST_DIES") if attempt == 1 else None
    documents = (DiesHalfway if dies == "half-way" else SqliteDocuments)(home / "documents.sqlite")
    objects = (DiesBeforeDeleting if dies == "deleting" else FolderObjects)(home / "objects")
    ingest_shard(objects, documents, message(event), attempt=attempt, batch_rows=100)
    documents.close()
