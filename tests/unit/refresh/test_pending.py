"""A withdrawal holds whatever a run that has not weighed it writes, and whenever it comes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.merge import Kind, Merge, Outcome
from cdp.domain.policy import Policy
from cdp.domain.withdrawal import Denial
from cdp.objects.folder import FolderObjects
from cdp.profiles.decisions import Decisions
from cdp.profiles.port import PROFILES, Delete, Put
from cdp.profiles.sqlite import SqliteDocuments
from cdp.refresh.ingest import ingest_shard
from cdp.refresh.pending import Pending
from tests.runs import begin

POLICY = Policy.load(None)
AT = "2026-11-05T08:00:00.000000Z"
PEOPLE = ("ada", "bob", "eve")


class Interleaved(SqliteDocuments):
    """Lets a test act at each moment at which another process might."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.moments: list[str] = []
        self.act: Callable[[str], None] = lambda moment: None

    def _at(self, moment: str) -> None:
        act, self.act = self.act, lambda moment: None  # what the test does has no moments
        self.moments.append(moment)
        act(moment)
        self.act = act

    def merge(self, collection: str, rows: Sequence[Merge]) -> list[Outcome]:
        self._at(f"before {', '.join(row.id for row in rows)} is merged")
        outcomes = super().merge(collection, rows)
        self._at(f"after {', '.join(row.id for row in rows)} is merged")
        return outcomes

    def get(self, collection: str, id: str) -> Any:
        self._at(f"before {collection} is read")
        return super().get(collection, id)


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[Interleaved]:
    store = Interleaved(tmp_path / "documents.sqlite")
    begin(store, "r1", decisions="")
    yield store
    store.close()


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "objects")


def row(who: str, seq: int = 1) -> dict[str, Any]:
    return {
        "profile_id": f"p_{who}",
        "seq": seq,
        "hash": f"h{seq}",
        "set": {
            "identifiers": {"user_id": [who], "email": [f"{who}@example.com"], "count": 2},
            "contact": {"email": f"{who}@example.com", "email_valid": True},
            "ga4": {"events": seq},
            "ads": {"last_gclid": "g"},
            "consent": {
                purpose: {"state": "granted", "since": AT, "source": "crm"}
                for purpose in POLICY.purposes
            },
        },
    }


def shard(objects: FolderObjects, run_id: str = "r1", seq: int = 1) -> dict[str, Any]:
    """Store the rows of everybody, as a run computed them, and return the message."""
    lines = "".join(json.dumps(row(who, seq)) + "\n" for who in PEOPLE).encode()
    stored = objects.put(f"runs/{run_id}/part-0.ndjson", lines)
    return {
        "run_id": run_id,
        "shard": 0,
        "name": stored.name,
        "generation": stored.generation,
        "rows": len(PEOPLE),
    }


def decide(  # noqa: PLR0917
    documents: SqliteDocuments,
    type: str = "email",
    value: str = "bob@example.com",
    purpose: str = "marketing",
    state: str = "denied",
    profiles: tuple[str, ...] = (),
) -> None:
    """Write a decision down, and act on it, as the console does."""
    body: dict[str, Any] = {
        "type": type,
        "value": value,
        "purpose": purpose,
        "state": state,
        "at": AT,
        "source": "admin",
        "by": "grace",
        "notice": "",
    }
    denial = Denial.under(POLICY, type, value, purpose, at=AT, source="admin")
    if state == "denied":
        body["denial"] = {**denial.body, "profiles": list(profiles)}
    decisions = Decisions(documents)
    _, writes = decisions.added([body], at=AT)
    documents.commit(writes)
    if state == "denied":
        decisions.withdraw(Denial.of(body["denial"]))


def held(documents: SqliteDocuments) -> dict[str, Any]:
    found = documents.get_many(PROFILES, [f"p_{who}" for who in PEOPLE])
    return {id.removeprefix("p_"): document.body for id, document in found.items()}


def assert_withdrawn(found: Mapping[str, Any]) -> None:
    """Bob's address and nothing else of anybody is gone."""
    for who in PEOPLE:
        whole, body = row(who)["set"], {k: v for k, v in found[who].items() if k != "sync"}
        if who == "bob":
            del whole["contact"], whole["identifiers"]["email"]
            whole["consent"]["marketing"] = {"state": "denied", "since": AT, "source": "admin"}
        assert {**body, "ga4": None} == {**whole, "ga4": None}


def moments(folder: Path) -> list[str]:
    """Return every moment of an ingest at which something may come in between."""
    objects = FolderObjects(folder / "m")
    store = Interleaved(folder / "moments.sqlite")
    begin(store, "r1", decisions="")
    ingest_shard(objects, store, shard(objects), batch_rows=1)
    store.close()
    return store.moments


@pytest.mark.parametrize("stored_before", [True, False])
@pytest.mark.parametrize("batch_rows", [1, 2, 5])
def test_a_withdrawal_at_any_moment_of_an_ingest_holds(
    tmp_path: Path, batch_rows: int, stored_before: bool
) -> None:
    count = len(moments(tmp_path))
    assert count > 10
    for number in range(count + 1):
        documents = Interleaved(tmp_path / f"{number}.sqlite")
        objects = FolderObjects(tmp_path / f"objects-{number}")
        for seq in (1, 2):
            begin(documents, f"r{seq}", seq=seq, decisions="")
        if stored_before:
            ingest_shard(objects, documents, shard(objects))
        documents.moments.clear()

        def act(moment: str, number: int = number, documents: Interleaved = documents) -> None:
            if len(documents.moments) == number + 1:
                decide(documents)

        documents.act = act
        ingest_shard(objects, documents, shard(objects, "r2", seq=2), batch_rows=batch_rows)
        documents.act = lambda moment: None
        if len(documents.moments) <= number:
            decide(documents)  # after the ingest, and before the run settles
        assert_withdrawn(held(documents))
        # The shard is delivered again, for its receipt was lost.
        documents.commit([Delete("receipts", "r2.0")])
        ingest_shard(objects, documents, shard(objects, "r2", seq=2), batch_rows=batch_rows)
        assert_withdrawn(held(documents))
        documents.close()


def test_an_old_shard_brings_nothing_back_to_a_store_that_lost_the_profile(
    documents: Interleaved, objects: FolderObjects
) -> None:
    message = shard(objects)
    decide(documents)
    ingest_shard(objects, documents, message)
    assert_withdrawn(held(documents))


@pytest.mark.parametrize(
    ("type_", "value", "purpose", "profiles", "gone"),
    [
        ("user_id", "bob", "ads", (), {"ads"}),
        ("user_id", "bob", "marketing", (), {"contact"}),
        # Nothing in the row tells whose it is.
        ("client_id", "9.9", "ads", ("p_bob",), {"ads"}),
        ("user_id", "bob", "analytics", (), {"ga4"}),
    ],
)
def test_a_row_is_kept_from_bringing_what_the_denial_closes(  # noqa: PLR0917
    documents: Interleaved,
    objects: FolderObjects,
    type_: str,
    value: str,
    purpose: str,
    profiles: tuple[str, ...],
    gone: set[str],
) -> None:
    decide(documents, type_, value, purpose, profiles=profiles)
    ingest_shard(objects, documents, shard(objects))
    found = held(documents)
    assert gone == {*row("bob")["set"]} - {*found["bob"]}
    assert found["bob"]["consent"][purpose]["state"] == "denied"
    assert found["ada"].keys() == {*row("ada")["set"], "sync"}


def test_what_the_run_has_weighed_is_not_withdrawn_again(
    documents: Interleaved, objects: FolderObjects
) -> None:
    decide(documents)
    decide(documents, state="granted")
    last = Decisions(documents).last()
    begin(documents, "r1", decisions=last)
    ingest_shard(objects, documents, shard(objects))
    assert held(documents)["bob"]["contact"]["email"] == "bob@example.com"


def test_a_batch_costs_two_small_reads_where_nothing_was_decided(
    documents: Interleaved, objects: FolderObjects
) -> None:
    ingest_shard(objects, documents, shard(objects))
    assert documents.moments.count("before counters is read") == 2
    assert "before decisions is read" not in documents.moments


def test_whom_a_run_merged_meanwhile_is_found_before_it_settles(
    documents: Interleaved, objects: FolderObjects
) -> None:
    # Nothing but the id of before tells whose the device is.
    documents.commit([Put(PROFILES, "p_old", {"sync": {"state": "live", "seq": 0, "hash": "h"}})])
    decide(documents, "client_id", "9.9", "ads", profiles=("p_old",))
    ingest_shard(objects, documents, shard(objects))
    merged = Merge("p_old", 1, "r1", AT, "h1", kind=Kind.MERGED, into="p_bob")
    documents.merge(PROFILES, [merged])
    assert "ads" in held(documents)["bob"]
    Pending(documents, "").settle()
    assert {who for who, body in held(documents).items() if "ads" in body} == {"ada", "eve"}
