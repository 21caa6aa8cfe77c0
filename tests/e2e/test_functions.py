"""The functions as they are deployed: packaged, served by functions-framework, on emulators."""

import base64
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, pubsub_v1, storage
from google.protobuf.duration_pb2 import Duration

from cdp.objects.cloud_storage import CloudStorageObjects
from cdp.profiles.firestore import FirestoreDocuments
from cdp.queue.local import Delivery, LocalQueue
from cdp.queue.port import Dead
from cdp.queue.pubsub import PubSubQueue
from cdp.refresh.dead_letters import DocumentDeadLetters
from cdp.settings import Settings
from functions.package import package
from tests import emulators
from tests.runs import GRANTED, begin

TOPIC = "cdp-shards"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PATIENCE = 90


def serve(stack, folder, target, environment):
    """Serve one function from *folder*, where nothing of the repository can be imported."""
    port = emulators.free_port()
    command = [sys.executable, "-P", "-m", "functions_framework", f"--target={target}"]
    command += ["--source=main.py", "--host=127.0.0.1", f"--port={port}"]
    output = folder.parent / f"{target}.log"
    running = emulators.running(command, port, environment, cwd=folder, output=output)
    stack.enter_context(running)
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory, firestore_emulator, strict_storage_emulator, pubsub_emulator):
    """The deployed functions, with clients of what they write to."""
    project, folder = f"t-{uuid4().hex[:20]}", tmp_path_factory.mktemp("cloud") / "source"
    package(folder)
    hosts = {
        "FIRESTORE_EMULATOR_HOST": firestore_emulator,
        "STORAGE_EMULATOR_HOST": strict_storage_emulator,
        "PUBSUB_EMULATOR_HOST": pubsub_emulator,
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9",  # asked for nothing here
    }
    environment = hosts | {
        "CDP_DEPLOYMENT": "gcp",
        "CDP_PROJECT": project,
        "CDP_BUCKET": project,
        "CDP_EXPORT_DATASET": "analytics_1",
        "CDP_SALT": "salt",
        "CDP_RAMP": "0",
        "PYTHONPATH": str(folder),
    }
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, host in hosts.items():
            patch.setenv(name, host)
        bucket = stack.enter_context(
            storage.Client(project, credentials=AnonymousCredentials())
        ).create_bucket(project)
        publisher = stack.enter_context(pubsub_v1.PublisherClient())
        documents = FirestoreDocuments(
            firestore.Client(project, database=Settings.model_fields["database"].default)
        )
        documents.claim()  # tests write to it before the functions do
        stack.callback(documents.close)
        yield SimpleNamespace(
            project=project,
            documents=documents,
            objects=CloudStorageObjects(bucket),
            letters=DocumentDeadLetters(documents),
            publisher=publisher,
            log=lambda target: log(folder.parent / f"{target}.log"),
            **{name: serve(stack, folder, name, environment) for name in ("ingest", "bury")},
            steps=serve(stack, folder, "steps", environment),
        )


def log(file: Path):
    """Return the entries that a function logged; every line of it is one."""
    lines = file.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def shard(cloud, run_id, profile_id="p1", *, shard=0):
    """Store a shard of one row, of a run that is at it."""
    objects = cloud.objects
    begin(cloud.documents, run_id)
    fields = {"ga4": {"sessions": "3"}, "consent": GRANTED}
    row = {"profile_id": profile_id, "seq": 1, "hash": "h", "set": fields}
    stored = objects.put(f"runs/{run_id}/part-{shard}.json", json.dumps(row).encode() + b"\n")
    return {
        "run_id": run_id,
        "shard": shard,
        "name": stored.name,
        "generation": stored.generation,
        "rows": 1,
    }


def push(url, data, **more):
    """Post a message as Pub/Sub does."""
    id = uuid4().hex
    message = {"data": base64.b64encode(json.dumps(data).encode()).decode(), "messageId": id}
    envelope = {"subscription": "projects/p/subscriptions/s", "message": message, **more}
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    return id, requests.post(url, json=envelope, headers=headers, timeout=PATIENCE).status_code


def wait(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.1)


def test_a_pushed_shard_becomes_profiles_a_receipt_and_one_line_of_log(cloud):
    data = shard(cloud, "r1")
    id, status = push(cloud.ingest, data, deliveryAttempt=3)
    assert status == 200
    assert cloud.documents.get("profiles", "p1").body["ga4"] == {"sessions": 3}
    receipt = cloud.documents.get("receipts", "r1.0").body
    assert (receipt["written"], receipt["attempt"]) == (1, 3)
    wait(lambda: [line for line in cloud.log("ingest") if line.get("message_id") == id])
    (line,) = [line for line in cloud.log("ingest") if line.get("message_id") == id]
    assert line.pop("seconds") == receipt["seconds"]
    assert line == {
        "severity": "INFO",
        "message": "ingested",
        "logging.googleapis.com/trace": f"projects/{cloud.project}/traces/{TRACE}",
        "message_id": id,
        "attempt": 3,
        **data,
        "written": 1,
        "unchanged": 0,
        "stale": 0,
        "rejected": 0,
    }


def test_a_refused_message_is_buried_at_once_and_taken(cloud):
    data = shard(cloud, "r2") | {"bucket": "mine", "mail": "jane@example.com"}
    id, status = push(cloud.ingest, data, deliveryAttempt=2)
    assert status == 200
    (dead,) = [dead for dead in cloud.letters.dead(TOPIC) if dead.id == id]
    assert (dead.attempts, dead.data.get("run_id"), dead.data["shard"]) == (2, "r2", 0)
    assert dead.reason.startswith("the message must hold exactly run_id")
    assert not {"bucket", "mail"} & dead.data.keys()
    assert cloud.documents.get("receipts", "r2.0") is None
    wait(lambda: [line for line in cloud.log("ingest") if line["message"] == "refused"])


def test_a_shard_that_cannot_be_read_is_an_error_and_its_reason_is_logged(cloud):
    data = shard(cloud, "r3") | {"generation": 1}
    id, status = push(cloud.ingest, data)
    assert status == 500
    wait(lambda: [line for line in cloud.log("ingest") if line["message"] == "failed"])
    (line,) = [line for line in cloud.log("ingest") if line.get("message_id") == id]
    assert (line["severity"], line["run_id"], line["attempt"]) == ("ERROR", "r3", 1)
    assert "not 1" in line["reason"]


def test_pubsub_delivers_again_and_what_stays_unread_is_buried_with_its_attempts(cloud):
    path = f"projects/{cloud.project}"
    for topic in (TOPIC, f"{TOPIC}-dead"):
        cloud.publisher.create_topic(name=f"{path}/topics/{topic}")
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.create_subscription(
            request={
                "name": f"{path}/subscriptions/{TOPIC}-ingest",
                "topic": f"{path}/topics/{TOPIC}",
                "push_config": {"push_endpoint": cloud.ingest},
                "ack_deadline_seconds": 60,
                "retry_policy": {"minimum_backoff": Duration(), "maximum_backoff": Duration()},
                "dead_letter_policy": {
                    "dead_letter_topic": f"{path}/topics/{TOPIC}-dead",
                    "max_delivery_attempts": 5,
                },
            }
        )
        subscriber.create_subscription(
            name=f"{path}/subscriptions/{TOPIC}-bury",
            topic=f"{path}/topics/{TOPIC}-dead",
            push_config={"push_endpoint": cloud.bury},
        )
        good = [shard(cloud, "r4", f"q{n}", shard=n) for n in range(12)]
        bad = shard(cloud, "r5") | {"generation": 1}
        refused = shard(cloud, "r6") | {"name": "runs/r1/part-0.json"}
        PubSubQueue(cloud.publisher, cloud.project).publish(TOPIC, [bad, refused, *good])
        mine = {"r5", "r6"}
        wait(lambda: mine <= {dead.data.get("run_id") for dead in cloud.letters.dead(TOPIC)})
        wait(
            lambda: len(cloud.documents.get_many("receipts", [f"r4.{n}" for n in range(12)])) == 12
        )
        for name in ("ingest", "bury"):
            subscriber.delete_subscription(subscription=f"{path}/subscriptions/{TOPIC}-{name}")
    dead = {dead.data.get("run_id"): dead for dead in cloud.letters.dead(TOPIC)}
    assert (dead["r5"].attempts, dead["r5"].data) == (5, bad)
    assert dead["r5"].reason.startswith("gave up after 5 attempts")
    assert dead["r6"].reason == "name must be below the run's own folder"
    assert len([line for line in cloud.log("ingest") if line.get("run_id") == "r5"]) == 5
    assert cloud.documents.get("receipts", "r5.0") is None


@pytest.mark.parametrize("data", ["no object", {"run_id": "r7", "mail": ["jane@example.com"]}])
def test_a_message_given_up_is_buried_whatever_it_holds(cloud, data):
    id, status = push(cloud.bury, data)
    assert status == 200
    (dead,) = [dead for dead in cloud.letters.dead(TOPIC) if dead.id == id]
    assert isinstance(dead, Dead)
    assert dead.data == ({"run_id": "r7"} if "run_id" in data else {})


def test_steps_answer_over_http(cloud):
    def post(name, body, **more):
        answer = requests.post(f"{cloud.steps}/{name}", json=body, timeout=PATIENCE, **more)
        return answer.status_code, answer.json()

    assert post("lease", {"run_id": "r1", "body": {}}) == (200, {"granted": True})
    status, told = post("settle", {"run_id": "r2", "body": {}})
    assert status == 409
    assert "no longer holds the lease" in told["error"]
    status, told = post("nonsense", {"run_id": "r1", "body": {}})
    assert status == 404
    assert "no step 'nonsense'; there are lease, schema, erase, plan" in told["error"]
    for body in ([], {"body": {}}, {"run_id": 3}):
        assert post("lease", body)[0] == 400
    broken = requests.post(f"{cloud.steps}/lease", data=b"{", timeout=PATIENCE)
    assert (broken.status_code, "JSON" in broken.json()["error"]) == (400, True)
    got = requests.get(f"{cloud.steps}/lease", timeout=PATIENCE)
    assert (got.status_code, got.headers["Allow"]) == (405, "POST")
    assert {line["step"] for line in cloud.log("steps") if "step" in line} == {"lease", "settle"}


def test_the_embedded_delivery_buries_what_the_same_function_refuses(tmp_path, monkeypatch):
    monkeypatch.setenv("CDP_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    queue = LocalQueue(tmp_path / "queue.sqlite")
    queue.publish(TOPIC, [{"run_id": "r1", "bucket": "mine"}])
    with Delivery(tmp_path / "queue.sqlite", "functions.main:ingest", workers=1):
        wait(lambda: queue.dead(TOPIC))
    (dead,) = queue.dead(TOPIC)
    assert (dead.attempts, dead.data.get("run_id")) == (1, "r1")
    assert dead.reason.startswith("the message must hold exactly run_id")
    queue.close()
