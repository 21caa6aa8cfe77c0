"""The message queue's contract, and the embedded delivery with real worker processes.

Pub/Sub's delivery is in tests/e2e/test_functions.py.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import grpc
import pytest
from functions_framework import create_app
from google.cloud import pubsub_v1
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from cdp.domain.errors import CdpError
from cdp.objects.folder import FolderObjects
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.local import Delivery, Leased, LocalQueue, Policy
from cdp.queue.pubsub import PubSubQueue
from cdp.queue.worker import cloud_event
from tests.runs import GRANTED, begin

ACT = "tests.contract.targets:act"
INGEST = "tests.contract.targets:ingest"
PATIENCE = 60


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queue.sqlite"


@pytest.fixture
def queue(path):
    queue = LocalQueue(path)
    yield queue
    queue.close()


@pytest.fixture
def deliver(path):
    """A function that starts a delivery, to be stopped after the test."""
    started = []

    def start(target=ACT, **more):
        fast = {"workers": 1, "attempts": 3, "backoff": 0.01, "lease": 5.0}
        started.append(Delivery(path, target, **fast | more).start())
        return started[-1]

    yield start
    for delivery in started:
        delivery.stop()


@pytest.fixture
def told(tmp_path):
    """The file in which the target leaves a line (number, attempt, process) a call."""
    file = tmp_path / "told"
    file.touch()
    return file


def do(told, *deeds, **more):
    return [{"do": deed, "n": n, "file": str(told), **more} for n, deed in enumerate(deeds)]


def lines(told):
    return [tuple(map(int, line.split())) for line in told.read_text().splitlines()]


def wait(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)


# Publishing, for every adapter


@pytest.fixture
def project():
    return f"t-{uuid4().hex[:20]}"


@pytest.fixture
def emulated(pubsub_emulator, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator)


@pytest.fixture(params=["local", "pubsub"])
def published(request, path, project):
    """A queue, and a function that returns the (id, data) that arrived at its topic "shards"."""
    if request.param == "local":
        local = LocalQueue(path)

        def arrived(count):
            found = [local.lease("w") for _ in range(count)]
            assert local.lease("w") is None
            return [(leased.id, json.loads(leased.data)) for leased in found]

        yield local, arrived
        local.close()
        return
    request.getfixturevalue("emulated")
    topic, inbox = f"projects/{project}/topics/shards", f"projects/{project}/subscriptions/inbox"
    publisher = pubsub_v1.PublisherClient()
    publisher.create_topic(name=topic)
    with pubsub_v1.SubscriberClient() as subscriber, publisher:
        subscriber.create_subscription(name=inbox, topic=topic)

        def pulled(count):
            found = []
            deadline = time.monotonic() + PATIENCE
            while len(found) < count and time.monotonic() < deadline:
                answer = subscriber.pull(subscription=inbox, max_messages=1000)
                found += [
                    (m.message.message_id, json.loads(m.message.data))
                    for m in answer.received_messages
                ]
            return found

        yield PubSubQueue(publisher, project), pulled


def test_what_is_published_arrives_with_the_id_that_was_told(published):
    queue, arrived = published
    messages = [{"n": n, "text": "ü€"} for n in range(250)]
    ids = queue.publish("shards", messages)
    assert len(set(ids)) == 250
    assert sorted(arrived(250)) == sorted(zip(ids, messages, strict=True))


def test_what_is_not_json_is_not_sent_nor_what_stands_before_it(published):
    queue, arrived = published
    for bad in (object(), float("nan")):
        with pytest.raises(TypeError):
            queue.publish("shards", [{"n": 1}, {"n": bad}])
    assert queue.publish("shards", []) == []
    (last,) = queue.publish("shards", [{"n": 2}])
    assert arrived(1) == [(last, {"n": 2})]


# Pub/Sub's own


def test_a_topic_that_is_not_there(emulated, project):
    with pubsub_v1.PublisherClient() as publisher, pytest.raises(CdpError) as told:
        PubSubQueue(publisher, project).publish("shards", [{}])
    command = f"`gcloud pubsub topics create shards --project={project}`"
    assert str(told.value).startswith(f"there is no topic 'shards' in the project '{project}'")
    assert command in str(told.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "grant it roles/pubsub.publisher"),
        (grpc.StatusCode.UNAUTHENTICATED, "run `gcloud auth application-default login`"),
        (grpc.StatusCode.DATA_LOSS, "(DataLoss); send them again"),
        (grpc.StatusCode.FAILED_PRECONDITION, "refused a message (FailedPrecondition)"),
    ],
)
def test_a_refusal_names_the_fix_and_quotes_nobody(code, words):
    def refuse(request, context):
        context.abort(code, "jane@example.com")

    handler = grpc.unary_unary_rpc_method_handler(refuse)
    server = grpc.server(ThreadPoolExecutor(2))
    name = "google.pubsub.v1.Publisher"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"Publish": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(f"127.0.0.1:{port}"))
    with pubsub_v1.PublisherClient(transport=transport) as client, pytest.raises(CdpError) as told:
        PubSubQueue(client, "t").publish("shards", [{}])
    server.stop(None)
    assert words in str(told.value)
    assert "jane" not in str(told.value)


def test_a_message_that_is_too_large(emulated, project):
    with pubsub_v1.PublisherClient() as publisher, pytest.raises(CdpError, match="over 10 MB"):
        PubSubQueue(publisher, project).publish("shards", [{"n": "x" * 11_000_000}])


# The embedded delivery


def test_a_message_is_delivered_and_gone(queue, deliver, told):
    ids = queue.publish("shards", do(told, "", "", ""))
    assert len(set(ids)) == 3
    assert queue.pending("shards") == 3
    deliver()
    wait(lambda: queue.pending("shards") == 0)
    assert [line[:2] for line in lines(told)] == [(0, 1), (1, 1), (2, 1)]
    assert queue.dead("shards") == []


def test_workers_that_wait_take_what_is_published_later(queue, deliver, told):
    deliver(workers=2)
    for n in range(3):
        queue.publish("shards", do(told, ""))
        wait(lambda n=n: len(lines(told)) == n + 1)


def test_a_message_that_fails_is_delivered_again(queue, deliver, told):
    queue.publish("shards", do(told, "fail once"))
    deliver()
    wait(lambda: queue.pending("shards") == 0)
    assert [line[:2] for line in lines(told)] == [(0, 1), (0, 2)]


def test_a_message_that_fails_too_often_is_dead_and_quotes_nobody(queue, deliver, told):
    queue.publish("shards", do(told, "fail", "fail plainly"))
    deliver()
    wait(lambda: len(queue.dead("shards")) == 2)
    foreign, own = sorted(queue.dead("shards"), key=lambda dead: dead.data["n"])
    assert foreign.reason.startswith("gave up after 3 attempts: ValueError at targets.py:")
    assert own.reason == "gave up after 3 attempts: the object is not there"
    assert (own.attempts, own.data) == (3, do(told, "", "fail plainly")[1])
    assert queue.pending("shards") == 0
    assert queue.dead("others") == []


def test_a_refused_message_is_dead_at_once(queue, deliver, told):
    queue.publish("shards", do(told, "refuse"))
    deliver()
    wait(lambda: queue.dead("shards"))
    assert queue.dead("shards")[0].reason == "names another bucket"
    assert len(lines(told)) == 1


def test_a_message_whose_worker_was_killed_is_delivered_again(queue, deliver, told):
    queue.publish("shards", do(told, "die once"))
    deliver(lease=300.0)
    wait(lambda: queue.pending("shards") == 0)
    (_, first, killed), (_, second, other) = lines(told)
    assert (first, second) == (1, 2)
    assert killed != other


def test_a_message_that_kills_every_worker_is_dead_in_the_end(queue, deliver, told):
    queue.publish("shards", do(told, "die", ""))
    deliver(attempts=2)
    wait(lambda: queue.dead("shards") and queue.pending("shards") == 0)
    assert "the worker died" in queue.dead("shards")[0].reason
    assert sorted(line[:2] for line in lines(told)) == [(0, 1), (0, 2), (1, 1)]


def test_a_function_that_hangs_is_stopped_and_the_message_delivered_again(queue, deliver, told):
    queue.publish("shards", do(told, "hang once"))
    deliver(lease=0.3, timeout=0.5)
    wait(lambda: queue.pending("shards") == 0)
    assert [line[1] for line in lines(told)][:2] == [1, 2]


def test_a_lease_is_kept_while_the_function_runs(queue, deliver, told):
    queue.publish("shards", do(told, "take", seconds=5))
    deliver(workers=2, lease=2.0)
    wait(lambda: queue.pending("shards") == 0)
    assert len(lines(told)) == 1


def test_stop_lets_a_worker_finish(queue, deliver, told):
    queue.publish("shards", do(told, "take", "", seconds=3))
    delivery = deliver()
    wait(lambda: lines(told))
    delivery.stop()
    assert len(lines(told)) == 1
    assert queue.pending("shards") == 1
    assert delivery.processes == []


def test_workers_go_when_their_parent_is_killed(queue, path, told):
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from cdp.queue.local import Delivery
        delivery = Delivery(Path(sys.argv[1]), sys.argv[2], workers=2).start()
        print(*delivery.processes, flush=True)
        time.sleep(600)
        """
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path), ACT], stdout=subprocess.PIPE, env=environment
    ) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        queue.publish("shards", do(told, ""))
        wait(lambda: queue.pending("shards") == 0)
        parent.kill()
    wait(lambda: not any(alive(worker) for worker in workers))


def alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:  # one that nobody has waited for is dead, too
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_worker_that_is_killed_while_idle_is_replaced(queue, deliver, told):
    delivery = deliver()
    queue.publish("shards", do(told, ""))
    wait(lambda: queue.pending("shards") == 0)
    (first,) = delivery.processes
    os.kill(first, signal.SIGKILL)
    queue.publish("shards", do(told, ""))
    wait(lambda: queue.pending("shards") == 0)
    assert delivery.processes != [first]


def test_what_a_worker_logs_is_json_and_quotes_nobody(queue, deliver, told, capfd):
    queue.publish("shards", do(told, "", "fail"))
    delivery = deliver(attempts=1)
    wait(lambda: queue.pending("shards") == 0)
    delivery.stop()
    logged = capfd.readouterr().err
    entries = [json.loads(line) for line in logged.splitlines()]
    assert [entry["message"] for entry in entries] == ["delivered", "failed"]
    assert entries[0].keys() >= {"severity", "topic", "message_id", "attempt", "seconds"}
    assert "jane" not in logged


# The outbox, without processes


def test_a_lease_that_ends_frees_the_message_and_the_late_ack_does_nothing(path):
    queue = LocalQueue(path, Policy(lease=0.0))
    queue.publish("shards", [{"n": 1}])
    late = queue.lease("w1")
    again = queue.lease("w2")
    assert (late.attempt, again.attempt, again.id) == (1, 2, late.id)
    queue.ack(late)
    queue.nack(late, "too late")
    assert queue.pending("shards") == 1
    queue.ack(again)
    assert queue.pending("shards") == 0
    queue.close()


def test_each_failure_waits_longer_up_to_the_maximum(path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    queue = LocalQueue(path, Policy(backoff=10, max_backoff=25, attempts=9))
    queue.publish("shards", [{"n": 1}])
    leased = queue.lease("w")
    waits = []
    for _ in range(4):
        queue.nack(leased, "failed")
        failed_at = now
        while (leased := queue.lease("w")) is None:
            now += 1
        waits.append(now - failed_at)
    assert waits == [10, 20, 25, 25]
    queue.close()


def test_the_event_is_the_one_that_functions_framework_makes_of_a_push(tmp_path):
    """Ours holds more (Eventarc's subscription and attempt), and nothing else."""
    source = tmp_path / "main.py"
    source.write_text(
        "import functions_framework\n"
        "@functions_framework.cloud_event\n"
        "def keep(event):\n"
        "    import json, pathlib\n"
        f"    pathlib.Path({str(tmp_path / 'event')!r}).write_text(\n"
        "        json.dumps([dict(event.get_attributes()), event.data]))\n"
    )
    leased = Leased("7", "shards", '{"n": 1}', "2021-01-29T08:00:00.000000Z", 2, "w.1")
    push = {
        "subscription": "projects/local/subscriptions/shards",
        "message": {
            "data": base64.b64encode(b'{"n": 1}').decode(),
            "messageId": "7",
            "publishTime": leased.published,
            "attributes": {},
        },
    }
    client = create_app("keep", str(source), "cloudevent").test_client()
    answer = client.post("/projects/local/topics/shards", json=push)
    assert answer.status_code == 200
    attributes, data = json.loads((tmp_path / "event").read_text())
    ours = cloud_event(leased)
    assert dict(ours.get_attributes()) == attributes
    more = {"subscription": push["subscription"], "deliveryAttempt": 2}
    assert ours.data == data | more


# Ingest, end to end


def shard(objects, run_id, rows, *, seq=1, shard=0):
    data = b"".join(
        json.dumps(
            {
                "profile_id": f"p{n}",
                "seq": seq,
                "hash": f"h{seq}",
                "set": {"ga4": {"sessions": seq}, "consent": GRANTED},
            }
        ).encode()
        + b"\n"
        for n in range(rows)
    )
    stored = objects.put(f"runs/{run_id}/part-{shard}.ndjson", data)
    return {
        "run_id": run_id,
        "shard": shard,
        "name": stored.name,
        "generation": stored.generation,
        "rows": rows,
    }


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_HOME", str(tmp_path))
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    begin(documents, "r1", state="partial")
    begin(documents, "r2", seq=2)
    documents.close()
    return tmp_path


def test_a_shard_whose_worker_is_killed_half_way_ends_as_if_it_was_not(
    home, queue, deliver, monkeypatch
):
    monkeypatch.setenv("TEST_DIES", "half-way")
    objects, documents = FolderObjects(home / "objects"), SqliteDocuments(home / "documents.sqlite")
    queue.publish("shards", [shard(objects, "r1", 250)])
    deliver(INGEST, lease=300.0)
    wait(lambda: queue.pending("shards") == 0)
    receipt = documents.get("receipts", "r1.0").body
    counts = {key: receipt[key] for key in ("rows", "written", "unchanged", "stale", "rejected")}
    expected = {"rows": 250, "written": 150, "unchanged": 100, "stale": 0, "rejected": 0}
    assert counts == expected
    assert receipt["attempt"] == 2
    assert documents.count("profiles") == 250
    documents.close()


def test_a_shard_whose_worker_is_killed_before_it_deletes_it_is_taken_by_its_receipt(
    home, queue, deliver, monkeypatch
):
    monkeypatch.setenv("TEST_DIES", "deleting")
    objects, documents = FolderObjects(home / "objects"), SqliteDocuments(home / "documents.sqlite")
    queue.publish("shards", [shard(objects, "r1", 3)])
    deliver(INGEST, lease=300.0)
    wait(lambda: queue.pending("shards") == 0)
    assert queue.dead("shards") == []
    receipt = documents.get("receipts", "r1.0").body
    assert (receipt["written"], receipt["attempt"]) == (3, 1)
    assert len(objects.list("runs/r1/part-")) == 1, "the end of its run deletes it"
    documents.close()


def test_two_runs_delivered_in_the_wrong_order_by_two_workers_end_in_the_newer(
    home, queue, deliver
):
    objects, documents = FolderObjects(home / "objects"), SqliteDocuments(home / "documents.sqlite")
    newer, older = shard(objects, "r2", 500, seq=2), shard(objects, "r1", 500, seq=1)
    queue.publish("shards", [newer, older, newer, older])
    deliver(INGEST, workers=2)
    wait(lambda: queue.pending("shards") == 0)
    assert queue.dead("shards") == []
    found = documents.get_many("profiles", [f"p{n}" for n in range(500)])
    assert {document.body["sync"]["seq"] for document in found.values()} == {2}
    for run_id in ("r1", "r2"):
        receipt = documents.get("receipts", f"{run_id}.0").body
        parts = [receipt[key] for key in ("written", "unchanged", "stale", "rejected")]
        assert sum(parts) == receipt["rows"] == 500
    documents.close()


def test_a_message_that_names_another_bucket_is_dead_at_once(home, queue, deliver):
    objects = FolderObjects(home / "objects")
    message = shard(objects, "r1", 1)
    queue.publish("shards", [message | {"bucket": "mine"}, message | {"name": "runs/r2/part-0"}])
    deliver(INGEST)
    wait(lambda: len(queue.dead("shards")) == 2)
    assert all(dead.attempts == 1 for dead in queue.dead("shards"))
    assert "must hold exactly run_id" in queue.dead("shards")[0].reason


def test_a_shard_that_cannot_be_read_is_retried_and_then_dead(home, queue, deliver):
    objects = FolderObjects(home / "objects")
    queue.publish("shards", [shard(objects, "r1", 1) | {"generation": 1}])
    deliver(INGEST)
    wait(lambda: queue.dead("shards"))
    assert queue.dead("shards")[0].attempts == 3
    assert "generation" in queue.dead("shards")[0].reason
