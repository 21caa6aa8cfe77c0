"""Shards, rows, rejects and receipts, on the real embedded stores."""

import gzip
import json
import threading
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.merge import Kind
from cdp.ingest import BadRow, Shard, Truncated, ingest_shard, parse_row
from cdp.objects.folder import FolderObjects
from cdp.objects.port import GenerationChanged, ObjectNotFound
from cdp.profiles.port import Put, Where
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.port import Refused

NOW = datetime(2021, 1, 29, 8, tzinfo=UTC)
MIB = 1 << 20


@pytest.fixture
def objects(tmp_path):
    return FolderObjects(tmp_path / "objects")


@pytest.fixture
def documents(tmp_path):
    store = SqliteDocuments(tmp_path / "documents.sqlite")
    yield store
    store.close()


def upsert(n, *, seq=1, **fields):
    return {"profile_id": f"p{n}", "seq": seq, "hash": f"h{seq}", "set": {"ga4": fields}}


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


# Shards


def test_a_shard_becomes_profiles_and_a_receipt(objects, documents):
    rows = [
        upsert(1, sessions="12", last_seen="2021-01-29 08:00:00 UTC", country=None),
        {**upsert(2), "set": {"identifiers": {"email": ["a@x"]}, "consent": {"ads": {}}}},
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
    assert body == {"crm": {"a.b": 1}, "ga4": {"custom_by_sgtm": "x", "sessions": 1}}


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
    assert counts(ingest(objects, documents, late)) == (0, 0, 1, 0)
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
        ingest(objects, documents, message | {"name": "runs/r1/none"})


# Messages

MESSAGE = {"run_id": "r1", "shard": 0, "name": "runs/r1/part-0", "generation": 1, "rows": 1}


def test_numbers_may_be_text_as_google_writes_them():
    assert Shard.parse(MESSAGE | {"generation": "1611907200000000"}).generation == 1611907200000000


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": "mine"},
        {"collection": "admins"},
        {"run_id": ""},
        {"run_id": "../r2"},
        {"run_id": None},
        {"run_id": "r2"},
        {"name": "part-0"},
        {"name": "runs/r2/part-0"},
        {"name": "runs/r1/../r2/part-0"},
        {"name": "runs/r1/"},
        {"name": "/runs/r1/part-0"},
        {"name": "gs://mine/runs/r1/part-0"},
        {"name": 7},
        {"shard": -1},
        {"shard": True},
        {"shard": "0/../../x"},
        {"generation": None},
        {"rows": 1.5},
        {"rows": -1},
    ],
)
def test_a_message_that_says_anything_else_is_refused(change):
    with pytest.raises(Refused):
        Shard.parse(MESSAGE | change)


def test_a_message_that_says_less_is_refused():
    for key in MESSAGE:
        with pytest.raises(Refused):
            Shard.parse({k: v for k, v in MESSAGE.items() if k != key})


# Rows

ROW = {"profile_id": "p1", "seq": 1, "hash": "h1", "set": {}, "unset": []}


def parse(row):
    line = row if isinstance(row, bytes) else json.dumps(row).encode()
    return parse_row(line, run="r1", at="t")


def test_nulls_are_as_good_as_absent():
    row = parse({**ROW, "unset": None, "delete": None, "merged_into": None, "set": None})
    assert (row.kind, row.set, row.unset) == (Kind.UPSERT, {}, [])
    assert parse({**ROW, "set": {"ga4": {"country": None}, "ads": None}}).set == {"ga4": {}}


def test_purposes_are_owned_whatever_the_policy_calls_them():
    consent = {"consent": {"ad_storage": {"state": "granted", "since": "2021-01-29"}}}
    typed = parse({**ROW, "set": consent}).set["consent"]["ad_storage"]
    assert typed == {"state": "granted", "since": "2021-01-29T00:00:00.000000Z"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"seq": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b'{"profile_id": "p1", "seq": NaN}', "not JSON"),
        (b'{"profile_id": "\\ud800"}', "not JSON"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        ({}, "no profile_id"),
        (ROW | {"profile_id": 7}, "no profile_id"),
        (ROW | {"profile_id": "a/b"}, "a document id is not"),
        (ROW | {"profile_id": ""}, "a document id has 1 to 1500 bytes"),
        (ROW | {"seq": None}, "seq takes an integer of 0 or more"),
        (ROW | {"seq": -1}, "seq takes an integer of 0 or more"),
        (ROW | {"seq": 2**63}, "seq takes an integer of 0 or more"),
        (ROW | {"seq": True}, "seq takes an integer of 0 or more"),
        (ROW | {"hash": ""}, "hash takes text"),
        (ROW | {"hash": 7}, "hash takes text"),
        (ROW | {"name": "jane"}, "the row is no upsert"),
        (ROW | {"delete": True}, "the row is no upsert"),
        (ROW | {"delete": 1}, "the row is no upsert"),
        (ROW | {"merged_into": "p2"}, "the row is no upsert"),
        ({"profile_id": "p1", "seq": 1, "hash": "h", "merged_into": "p1"}, "the row is no upsert"),
        ({"profile_id": "p1", "seq": 1, "hash": "h", "merged_into": "a/b"}, "a document id is not"),
        (ROW | {"set": []}, "set takes a map"),
        (ROW | {"unset": "ga4"}, "set takes a map and unset a list"),
        (ROW | {"unset": ["sync"]}, "unset takes paths that the platform owns"),
        (ROW | {"unset": [""]}, "unset takes paths that the platform owns"),
        (ROW | {"unset": [7]}, "unset takes paths that the platform owns"),
        (ROW | {"set": {"sync": {"seq": 9}}}, "set holds a field the platform does not own"),
        (ROW | {"set": {"crm": None}}, "set holds a field the platform does not own"),
        (ROW | {"set": {"ga4.country": "DE"}}, "set holds a field the platform does not own"),
        (ROW | {"set": {"ga4": {"jane": 1}}}, "set.ga4 holds a field the platform does not own"),
        (ROW | {"set": {"ga4": "jane"}}, "ga4 takes a map, not str"),
        (ROW | {"set": {"ga4": {"country": {}}}}, "ga4.country takes a string, not dict"),
        (ROW | {"set": {"ga4": {"sessions": "jane"}}}, "ga4.sessions takes a integer, not str"),
        (ROW | {"set": {"consent": {"Jane": {}}}}, "set.consent holds a field"),
    ],
)
def test_a_bad_row_is_told_apart_and_quotes_nobody(row, reason):
    with pytest.raises(BadRow) as caught:
        parse(row)
    assert caught.value.reason.startswith(reason)
    assert "jane" not in caught.value.reason.lower()
    known = isinstance(row, dict) and row.get("profile_id") == "p1"
    assert caught.value.profile_id == ("p1" if known else None)


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda below: st.one_of(st.lists(below), st.dictionaries(st.text(), below)),
    max_leaves=6,
)


@given(st.one_of(st.binary(), st.dictionaries(st.sampled_from([*ROW, "delete", "x"]), JSON)))
def test_whatever_a_line_holds_it_is_a_row_or_a_bad_row(row):
    try:
        parse(row)
    except BadRow as bad:
        assert bad.reason  # noqa: PT017


@given(JSON)
def test_whatever_is_set_it_is_typed_or_a_bad_row(value):
    for fields in ({"ga4": value}, {"ga4": {"sessions": value}}, {"identifiers": {"email": value}}):
        try:
            parse({**ROW, "set": fields})
        except BadRow as bad:
            assert bad.profile_id == "p1"  # noqa: PT017


def test_the_function_ingests_what_a_push_brings(objects, documents, monkeypatch):
    main = pytest.importorskip("functions.main")
    from types import SimpleNamespace

    from cdp.queue.local import Leased
    from cdp.queue.worker import cloud_event

    ports = SimpleNamespace(objects=objects, documents=documents)
    monkeypatch.setattr(main, "platform", lambda: ports)
    message = put(objects, ndjson(upsert(1)), 1)
    main.ingest(cloud_event(Leased("7", "shards", json.dumps(message), "t", 2, "w.1")))
    assert documents.get("receipts", "r1.0").body["attempt"] == 2
    for bad in ("nothing", "[]", "7"):
        with pytest.raises(Refused):
            main.ingest(cloud_event(Leased("8", "shards", bad, "t", 1, "w.1")))


def test_consent_may_come_as_a_list_and_comes_whole():
    found = parse(
        {
            "profile_id": "p1",
            "seq": "3",
            "hash": "h",
            "set": {
                "consent": [
                    {"purpose": "ads", "state": "denied", "since": None, "source": None},
                    {"purpose": "analytics", "state": "granted", "source": "ga4"},
                ]
            },
        }
    )
    assert found.set["consent"] == {
        "ads": {"state": "denied"},
        "analytics": {"state": "granted", "source": "ga4"},
    }
    assert "consent" in found.unset


@pytest.mark.parametrize("stated", [[1], [{}], [{"purpose": 7}], "granted"])
def test_consent_of_another_shape_is_rejected(stated):
    with pytest.raises(BadRow):
        parse({"profile_id": "p1", "seq": 1, "hash": "h", "set": {"consent": stated}})


def test_an_exporter_that_writes_every_column_may_say_gone_or_merged():
    row = {"profile_id": "p1", "seq": 1, "hash": "h", "confirm": True, "set": None, "unset": []}
    gone = parse({**row, "gone": True, "merged_into": None})
    assert (gone.kind, gone.confirm) == (Kind.GONE, True)
    merged = parse({**row, "gone": None, "merged_into": "p2"})
    assert (merged.kind, merged.into) == (Kind.MERGED, "p2")
