"""A shard becomes profiles and a receipt, whatever goes wrong on the way; in both deployments."""

import gzip
import json
import threading
import tracemalloc
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, storage

from cdp.domain.errors import CdpError
from cdp.objects.cloud_storage import CloudStorageObjects
from cdp.objects.folder import FolderObjects
from cdp.objects.port import GenerationChanged, ObjectNotFound
from cdp.profiles.firestore import FirestoreDocuments
from cdp.profiles.port import Put, Where
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.port import Refused
from cdp.refresh.ingest import Truncated, ingest_shard
from tests.runs import GRANTED, begin

NOW = datetime(2021, 1, 29, 8, tzinfo=UTC)
MIB = 1 << 20


@pytest.fixture(params=["embedded", "gcp"])
def stores(request, tmp_path, monkeypatch):
    """The object store and the document store of a deployment."""
    if request.param == "embedded":
        documents = SqliteDocuments(tmp_path / "documents.sqlite")
        begin_both(documents)
        yield SimpleNamespace(objects=FolderObjects(tmp_path / "objects"), documents=documents)
        documents.close()
        return
    project = f"t-{uuid4().hex[:20]}"
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", request.getfixturevalue("firestore_emulator"))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("strict_storage_emulator"))
    with storage.Client(project, credentials=AnonymousCredentials()) as client:
        documents = FirestoreDocuments(firestore.Client(project))
        begin_both(documents)
        objects = CloudStorageObjects(client.create_bucket(project))
        yield SimpleNamespace(objects=objects, documents=documents)
        documents.close()


def begin_both(documents):
    """Let the older run have ended, and the newer one be at it."""
    begin(documents, "r1", state="partial")
    begin(documents, "r2", seq=2)


@pytest.fixture
def objects(stores):
    return stores.objects


@pytest.fixture
def documents(stores):
    return stores.documents


def upsert(n, *, seq=1, consent=GRANTED, **fields):
    told = {"ga4": fields, "consent": consent}
    return {"profile_id": f"p{n}", "seq": seq, "hash": f"h{seq}", "set": told}


def ndjson(*rows):
    lines = (row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    return b"".join(line + b"\n" for line in lines)


def put(objects, data, rows, *, run_id="r1", shard=0, name="part-0.ndjson"):
    stored = objects.put(f"runs/{run_id}/{name}", data)
    return {
        "run_id": run_id,
        "shard": shard,
        "name": stored.name,
        "generation": stored.generation,
        "rows": rows,
    }


def ingest(objects, documents, message, **more):
    return ingest_shard(objects, documents, message, clock=lambda: NOW, **more)


def counts(receipt):
    parts = (receipt.written, receipt.unchanged, receipt.stale, receipt.rejected)
    assert sum(parts) == receipt.rows
    return parts


def rejected(objects, run_id="r1", shard=0):
    with objects.open(f"runs/{run_id}/rejected/{shard}.ndjson") as stream:
        return [json.loads(line) for line in stream]


def test_a_shard_becomes_profiles_and_a_receipt(objects, documents):
    rows = [
        upsert(1, sessions="12", last_seen="2021-01-29 08:00:00 UTC", country=None),
        {**upsert(2), "set": {"identifiers": {"email": ["a@x"]}, "consent": GRANTED}},
        {"profile_id": "p3", "seq": "1", "delete": True},
        {"profile_id": "p4", "seq": 1, "hash": "h", "merged_into": "p1"},
    ]
    receipt = ingest(objects, documents, put(objects, ndjson(*rows), 4), attempt=3)
    assert counts(receipt) == (4, 0, 0, 0)
    assert (receipt.at, receipt.attempt) == ("2021-01-29T08:00:00.000000Z", 3)
    assert documents.get("receipts", "r1.0").body["written"] == 4
    first = documents.get("profiles", "p1").body
    assert first["ga4"] == {"sessions": 12, "last_seen": "2021-01-29T08:00:00.000000Z"}
    assert first["sync"] == {"run": "r1", "seq": 1, "hash": "h1", "at": receipt.at, "state": "live"}
    assert documents.find("a@x") == ["p2"]
    assert documents.get("profiles", "p3").body["sync"]["state"] == "deleted"
    assert documents.resolve("p4") == "p1"
    assert objects.list("runs/r1/rejected/") == []


def test_both_exporters_end_in_equal_documents(objects, documents):
    bigquery = upsert(1, sessions="12", revenue=3, first_seen="2021-01-29 08:00:00 UTC")
    duckdb = upsert(2, sessions=12, revenue=3.0, first_seen="2021-01-29 08:00:00+00", events=None)
    ingest(objects, documents, put(objects, ndjson(bigquery, duckdb), 2))
    one, other = documents.get("profiles", "p1").body, documents.get("profiles", "p2").body
    assert json.dumps(one) == json.dumps(other)


def test_fields_of_others_survive_every_kind_of_upsert(objects, documents):
    theirs = {"crm": {"a.b": 1}, "ga4": {"custom_by_sgtm": "x", "country": "DE"}}
    documents.commit([Put("profiles", "p1", theirs)])
    row = {**upsert(1, sessions=1), "unset": ["ga4", "consent.ads"]}
    ingest(objects, documents, put(objects, ndjson(row), 1))
    body = documents.get("profiles", "p1").body
    del body["sync"]
    ours = {"custom_by_sgtm": "x", "sessions": 1}
    assert body == {"crm": {"a.b": 1}, "ga4": ours, "consent": GRANTED}


def test_one_bad_line_in_a_hundred_is_set_aside(objects, documents):
    rows = [upsert(n, sessions=n) for n in range(99)]
    rows[41] = {**upsert(41), "set": {"contact": {"email": ["jane@example.com"]}}}
    data = ndjson(*rows[:50], b'{"profile_id": "jane@ex', *rows[50:])
    receipt = ingest(objects, documents, put(objects, data, 100), batch_rows=10)
    assert counts(receipt) == (98, 0, 0, 2)
    assert rejected(objects) == [
        {"line": 42, "profile_id": "p41", "reason": "contact.email takes a string, not list"},
        {"line": 51, "profile_id": None, "reason": "not JSON"},
    ]
    assert documents.count("profiles") == 98


def test_a_row_over_a_mebibyte_is_set_aside_without_being_held(objects, documents):
    large = upsert(1, country="x" * 1_258_291)

    def data():
        yield ndjson(upsert(0), large)
        for _ in range(64):  # a line of 64 MiB
            yield b"y" * MIB
        yield b"\n" + ndjson(upsert(2))

    message = put(objects, data(), 4)
    tracemalloc.start()
    receipt = ingest(objects, documents, message)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts(receipt) == (2, 0, 0, 2)
    assert [entry["reason"] for entry in rejected(objects)] == ["over 1 MiB", "over 1 MiB"]
    assert peak < 16 * MIB


def test_a_row_that_makes_its_document_too_large_is_set_aside(objects, documents):
    documents.commit([Put("profiles", "p1", {"crm": "x" * 1_000_000})])
    data = ndjson(upsert(0), upsert(1, country="y" * 100_000), upsert(2))
    receipt = ingest(objects, documents, put(objects, data, 3))
    assert counts(receipt) == (2, 0, 0, 1)
    reason = "the merged document is over 1 MiB"
    assert rejected(objects) == [{"line": 2, "profile_id": "p1", "reason": reason}]
    assert documents.get("profiles", "p1").body == {"crm": "x" * 1_000_000}


def test_delivered_again_a_shard_with_a_receipt_does_nothing(objects, documents):
    message = put(objects, ndjson(upsert(1)), 1)
    first = ingest(objects, documents, message)
    objects.delete(message["name"])
    assert ingest(objects, documents, message, attempt=2) == first


def test_delivered_again_without_a_receipt_it_changes_nothing_that_was_written(objects, documents):
    whole = ndjson(*(upsert(n, sessions=n) for n in range(10)))
    ingest(objects, documents, put(objects, whole[: len(whole) // 2], None, shard=7))
    version = documents.get("profiles", "p0").version
    receipt = ingest(objects, documents, put(objects, whole, 10))
    assert receipt.written + receipt.unchanged == 10
    assert receipt.unchanged >= 4
    assert documents.get("profiles", "p0").version == version


def test_delivered_twice_at_once_it_leaves_one_receipt_that_adds_up(objects, documents):
    message = put(objects, ndjson(*(upsert(n, sessions=n) for n in range(300))), 300)
    receipts, barrier = [], threading.Barrier(4)

    def deliver():
        barrier.wait()
        receipts.append(ingest(objects, documents, message, batch_rows=50))

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 4
    assert len(set(receipts)) == 1
    counts(receipts[0])
    assert documents.count("profiles", [Where("ga4.sessions", ">=", 0)]) == 300


def test_an_older_shard_after_a_newer_one_is_stale(objects, documents):
    newer = put(objects, ndjson(upsert(1, seq=2, country="FR")), 1, run_id="r2")
    older = put(objects, ndjson(upsert(1, seq=1, country="DE"), upsert(2)), 2)
    ingest(objects, documents, newer)
    assert counts(ingest(objects, documents, older)) == (1, 0, 1, 0)
    assert documents.get("profiles", "p1").body["ga4"] == {"country": "FR"}


def test_an_erased_profile_stays_erased_when_an_older_shard_comes_late(objects, documents):
    late = put(objects, ndjson(upsert(1, country="DE")), 1)
    erasure = {"profile_id": "p1", "seq": 2, "delete": True}
    ingest(objects, documents, put(objects, ndjson(erasure), 1, run_id="r2"))
    assert counts(ingest(objects, documents, late)) == (0, 1, 0, 0)
    assert documents.get("profiles", "p1").body.keys() == {"sync"}


def test_a_shard_with_another_number_of_rows_leaves_no_receipt(objects, documents):
    message = put(objects, ndjson(upsert(1)), 2)
    with pytest.raises(Truncated, match="has 1 rows, its message says 2"):
        ingest(objects, documents, message)
    assert documents.get("receipts", "r1.0") is None


def test_an_empty_shard_has_a_receipt_too(objects, documents):
    assert counts(ingest(objects, documents, put(objects, b"", 0))) == (0, 0, 0, 0)


def test_lines_of_space_are_no_rows_and_the_last_line_needs_no_end(objects, documents):
    data = b"\n" + ndjson(upsert(1)) + b"  \r\n" + ndjson(upsert(2)).rstrip() + b"\r"
    assert counts(ingest(objects, documents, put(objects, data, 2))) == (2, 0, 0, 0)


def test_a_packed_shard_is_unpacked(objects, documents):
    message = put(objects, gzip.compress(ndjson(upsert(1))), 1, name="part-0.ndjson.gz")
    assert counts(ingest(objects, documents, message)) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b garbage", gzip.compress(b"x" * 999)[:-9]], ids=["garbage", "cut short"]
)
def test_a_packed_shard_that_cannot_be_unpacked_fails(objects, documents, data):
    message = put(objects, data, 1, name="part-0.ndjson.gz")
    with pytest.raises((OSError, EOFError)):
        ingest(objects, documents, message)


def test_garbage_in_place_of_a_shard_fails(objects, documents):
    message = put(objects, gzip.compress(b"x" * 999), 100)
    with pytest.raises(Truncated):
        ingest(objects, documents, message)
    assert documents.count("profiles") == 0


def test_an_object_that_is_missing_or_another_fails(objects, documents):
    message = put(objects, ndjson(upsert(1)), 1)
    put(objects, ndjson(upsert(1)), 1)
    with pytest.raises(GenerationChanged):
        ingest(objects, documents, message)
    with pytest.raises(ObjectNotFound):
        ingest(objects, documents, message | {"name": "runs/r1/part-none"})


# What is let through


def test_what_its_own_consent_does_not_permit_is_set_aside(objects, documents):
    denied = {**GRANTED, "marketing": {"state": "denied"}}
    unknown = {**GRANTED, "analytics": {"state": "unknown"}}
    unstated = {"marketing": {"state": "granted"}}
    rows = [
        upsert(0, sessions=1),
        {**upsert(1), "set": {"contact": {"email": "jane@example.com"}, "consent": denied}},
        {**upsert(2), "set": {"identifiers": {"phone": ["+4930"]}, "consent": denied}},
        upsert(3, sessions=1, consent=unknown),
        {**upsert(4), "set": {"ads": {"last_gclid": "jane"}, "consent": unstated}},
        {**upsert(5), "set": {"ga4": {"sessions": 1}}},
        upsert(6, consent={**GRANTED, "ads": {"state": "Granted"}}),
        {**upsert(7), "set": {"consent": denied, "contact": {"email": None}}, "unset": ["contact"]},
    ]
    receipt = ingest(objects, documents, put(objects, ndjson(*rows), 8))
    assert counts(receipt) == (2, 0, 0, 6)
    needs = "{} needs consent to {}, which the row {}"
    unknown_told = "says is unknown, and the policy takes silence for No"
    told = [
        needs.format("contact.email", "marketing", "says is denied"),
        needs.format("identifiers.phone", "marketing", "says is denied"),
        needs.format("ga4.sessions", "analytics", unknown_told),
        needs.format("ads.last_gclid", "ads", "does not state"),
        needs.format("ga4.sessions", "analytics", "does not state"),
        "consent.ads.state takes one of granted, denied, unknown",
    ]
    assert rejected(objects) == [
        {"line": n + 1, "profile_id": f"p{n}", "reason": reason}
        for n, reason in enumerate(told, start=1)
    ]
    assert documents.count("profiles") == 2


def test_the_policy_is_the_one_that_the_run_was_planned_with(objects, documents):
    silent = {"purposes": {"ga4.sessions": "ads"}, "silent": ["ads"]}
    begin(documents, "r1", permission=silent)
    states = {"ads": {"state": "unknown"}, "analytics": {"state": "denied"}}
    rows = [upsert(1, sessions=1, consent=states), upsert(2, country="DE", consent=GRANTED)]
    assert counts(ingest(objects, documents, put(objects, ndjson(*rows), 2))) == (1, 0, 0, 1)
    [told] = rejected(objects)
    assert told["reason"] == (
        "ga4.country has no purpose in the policy that the run was planned with"
    )


def test_a_seq_that_is_not_the_runs_own_is_set_aside(objects, documents):
    rows = [
        upsert(0, seq=2, sessions=1),
        upsert(1, seq=3, sessions=1),
        upsert(2, seq=1, sessions=1),
        {"profile_id": "p3", "seq": 9, "delete": True},
        {"profile_id": "p4", "seq": 9, "hash": "h", "gone": True},
    ]
    receipt = ingest(objects, documents, put(objects, ndjson(*rows), 5, run_id="r2"))
    assert counts(receipt) == (1, 0, 0, 4)
    assert [told["line"] for told in rejected(objects, "r2")] == [2, 3, 4, 5]
    assert {told["reason"] for told in rejected(objects, "r2")} == {"seq is not the run's own"}
    assert documents.count("profiles") == 1


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (None, "nobody knows the run: its document is not in the document store; refresh again"),
        ("failed", "the run is failed, and brings nothing more; refresh again"),
        ("cancelled", "the run is cancelled, and brings nothing more; refresh again"),
        ("planned before", "the run does not say what consent permits"),
    ],
)
def test_a_shard_of_a_run_that_may_bring_nothing_is_refused(objects, documents, state, reason):
    if state == "planned before":
        documents.commit([Put("runs", "r3", {"run_id": "r3", "seq": 3, "state": "running"})])
    elif state:
        begin(documents, "r3", seq=3, state=state)
    message = put(objects, ndjson(upsert(1, seq=3)), 1, run_id="r3")
    with pytest.raises(Refused) as refused:
        ingest(objects, documents, message)
    assert str(refused.value).startswith(reason)
    assert documents.count("profiles") == 0
    assert documents.get("receipts", "r3.0") is None


@pytest.mark.parametrize("state", ["succeeded", "partial"])
def test_a_shard_that_comes_after_its_runs_end_is_written(objects, documents, state):
    begin(documents, "r3", seq=3, state=state)
    message = put(objects, ndjson(upsert(1, seq=3)), 1, run_id="r3")
    assert counts(ingest(objects, documents, message)) == (1, 0, 0, 0)


def test_who_met_a_greater_seq_than_the_run_at_it_has_is_named(objects, documents):
    documents.commit([Put("profiles", "p1", {"crm": 1, "sync": {"seq": 900, "state": "live"}})])
    data = ndjson(upsert(0, seq=2), upsert(1, seq=2))
    assert counts(ingest(objects, documents, put(objects, data, 2, run_id="r2"))) == (1, 0, 1, 0)
    reason = "the stored profile has a seq that no run of this platform had: another wrote it"
    assert rejected(objects, "r2") == [{"line": 2, "profile_id": "p1", "reason": reason}]
    late = put(objects, ndjson(upsert(1)), 1)
    assert counts(ingest(objects, documents, late)) == (0, 0, 1, 0)
    assert objects.list("runs/r1/rejected/") == [], "a run that has ended may be late"


# What stays of a shard


def test_a_shard_goes_with_its_receipt_and_not_before(objects, documents):
    cut = put(objects, ndjson(upsert(1)), 2)
    with pytest.raises(Truncated):
        ingest(objects, documents, cut)
    assert [stored.name for stored in objects.list("runs/r1/")] == [cut["name"]]
    whole = {**cut, "rows": 1}
    receipt = ingest(objects, documents, whole)
    assert objects.list("runs/r1/") == []
    assert ingest(objects, documents, whole, attempt=2) == receipt


def test_a_shard_that_cannot_be_deleted_is_delivered_all_the_same(objects, documents, monkeypatch):
    def refuse(*_):
        raise CdpError("the bucket keeps what it has")

    monkeypatch.setattr(objects, "delete", refuse)
    message = put(objects, ndjson(upsert(1)), 1)
    receipt = ingest(objects, documents, message)
    assert counts(receipt) == (1, 0, 0, 0)
    assert len(objects.list("runs/r1/part-")) == 1, "what stays goes when the run ends"
    assert ingest(objects, documents, message, attempt=2) == receipt


def test_a_shard_that_another_delivery_deleted_meanwhile_has_its_receipt(
    objects, documents, monkeypatch
):
    message = put(objects, ndjson(upsert(1)), 1)
    open_, receipts = objects.open, []

    def late(*given):
        monkeypatch.setattr(objects, "open", open_)
        receipts.append(ingest(objects, documents, message))
        return open_(*given)

    monkeypatch.setattr(objects, "open", late)
    assert ingest(objects, documents, message, attempt=2) == receipts[0]
