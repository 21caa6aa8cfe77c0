"""Shards, rows, rejects and receipts, on the real embedded stores."""

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.merge import Kind
from cdp.objects.folder import FolderObjects
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.port import Refused
from cdp.refresh.ingest import BadRow, Shard, parse_row
from tests.runs import begin

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
        {"name": "runs/r1/plan.json"},
        {"name": "runs/r1/jane@example.com"},
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
    with pytest.raises(Refused) as refused:
        Shard.parse(MESSAGE | change)
    assert not re.search("r2|jane|mine|x$", str(refused.value)), "the reason quotes no value"


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

    def refuse(id, data, attempt, error):
        raise error

    ports = SimpleNamespace(objects=objects, documents=documents, refuse=refuse)
    monkeypatch.setattr(main, "platform", lambda: ports)
    begin(documents, "r1")
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
