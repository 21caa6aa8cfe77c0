"""What was lost, or stood still half-way: no person is left as the store happened to have them."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp.profiles.port import PROFILES, Delete, Put
from cdp.refresh.steps import Steps
from tests.e2e.support import Cdp, event
from tests.e2e.test_refresh import decision, profile_of

Write = Callable[..., Path]

ADA, BOB = event("20261001", "a.1", user="ada"), event("20261001", "b.1", at=1, user="bob")
NO = [
    decision("user_id", "ada", purpose, "denied", "2026-10-02T00:00:00Z", "preference_centre")
    for purpose in ("analytics", "ads", "marketing")
]


@pytest.fixture
def refreshed(cdp: Cdp, write: Write) -> Cdp:
    """Ada and Bob, delivered."""
    cdp.run("load", "ga4", write("events_20261001.ndjson", [ADA, BOB]))
    assert cdp.refresh()["written"] == 2
    return cdp


def lose_warehouse(cdp: Cdp) -> None:
    for file in ("warehouse.duckdb", "published.duckdb"):
        (cdp.home / file).unlink()


def fields(body: dict[str, Any]) -> set[str]:
    return body.keys() - {"consent", "sync"}


def test_a_lost_warehouse_leaves_nobody_live_who_said_no(refreshed: Cdp, write: Write) -> None:
    cdp = refreshed
    ada, bob = (profile_of(cdp, user)["profile_id"] for user in ("ada", "bob"))
    lose_warehouse(cdp)
    cdp.run("load", "consent", write("decisions.ndjson", NO))
    assert cdp.refresh()["state"] == "succeeded"
    documents = cdp.documents()
    assert fields(documents[ada]) == set()
    assert documents[ada]["consent"]["analytics"]["state"] == "denied"
    assert documents[bob]["identifiers"]["user_id"] == ["bob"]
    assert cdp.refresh()["nothing_new"] is True


def test_with_a_lost_warehouse_nobody_stays_whom_the_export_no_longer_knows(
    refreshed: Cdp, write: Write
) -> None:
    cdp = refreshed
    ada = profile_of(cdp, "ada")["profile_id"]
    lose_warehouse(cdp)
    shutil.rmtree(cdp.home / "raw")
    cdp.run("load", "ga4", write("events_20261001.ndjson", [BOB]))
    cdp.refresh()
    assert [body["identifiers"]["user_id"] for body in cdp.documents().values()] == [["bob"]]
    gone = cdp.platform.documents.get(PROFILES, ada)
    assert gone is not None
    assert (gone.body["sync"]["state"], fields(gone.body)) == ("gone", set())


def test_an_older_copy_of_the_warehouse_withdraws_what_was_withdrawn_since(
    refreshed: Cdp, write: Write, tmp_path: Path
) -> None:
    cdp = refreshed
    ada = profile_of(cdp, "ada")["profile_id"]
    shutil.copy(cdp.home / "warehouse.duckdb", tmp_path)
    cdp.run("load", "consent", write("decisions.ndjson", NO))
    cdp.refresh()
    shutil.copy(tmp_path / "warehouse.duckdb", cdp.home)
    (cdp.home / "raw" / "raw_decision").joinpath("x").touch()
    assert cdp.refresh()["state"] == "succeeded"
    assert fields(cdp.documents()[ada]) == set()
    third = cdp.refresh()
    assert third.get("nothing_new") is True, third


def test_an_older_copy_of_the_document_store_is_brought_up_to_date(
    refreshed: Cdp, write: Write, tmp_path: Path
) -> None:
    cdp = refreshed
    ada = profile_of(cdp, "ada")["profile_id"]
    copy = tmp_path / "documents.sqlite"
    with sqlite3.connect(cdp.home / "documents.sqlite") as now, sqlite3.connect(copy) as kept:
        now.backup(kept)
    cdp.run("load", "consent", write("decisions.ndjson", NO))
    for _ in range(3):
        cdp.refresh("--full")
    assert fields(cdp.documents()[ada]) == set()
    with sqlite3.connect(copy) as kept, sqlite3.connect(cdp.home / "documents.sqlite") as now:
        kept.backup(now)
    assert fields(cdp.documents()[ada]) != set()
    assert cdp.refresh()["state"] == "succeeded"
    assert fields(cdp.documents()[ada]) == set()
    assert cdp.refresh()["nothing_new"] is True


def test_a_profile_that_somebody_deleted_is_brought_again(refreshed: Cdp) -> None:
    documents = refreshed.platform.documents
    before = refreshed.documents()
    documents.commit([Delete(PROFILES, next(iter(before)))])
    assert refreshed.refresh()["written"] == 1
    assert refreshed.documents().keys() == before.keys()
    assert refreshed.refresh()["nothing_new"] is True


def test_a_profile_that_nobody_built_goes(refreshed: Cdp) -> None:
    documents = refreshed.platform.documents
    before = refreshed.documents()
    held = documents.get(PROFILES, next(iter(before)))
    assert held is not None
    documents.commit([Put(PROFILES, "p_copied_by_hand", held.body)])
    documents.commit([Put(PROFILES, "made_by_a_tag", {"sgtm": {"visits": 1}})])
    refreshed.refresh()
    copied = documents.get(PROFILES, "p_copied_by_hand")
    assert copied is not None
    assert (copied.body["sync"]["state"], fields(copied.body)) == ("gone", set())
    tagged = documents.get(PROFILES, "made_by_a_tag")
    assert tagged is not None
    assert tagged.body == {"sgtm": {"visits": 1}}, "what others wrote is theirs"
    assert refreshed.refresh()["nothing_new"] is True


def test_a_profile_that_another_platform_wrote_makes_the_run_partial_until_it_is_put_right(
    refreshed: Cdp, write: Write
) -> None:
    cdp = refreshed
    documents = cdp.platform.documents
    ada = profile_of(cdp, "ada")["profile_id"]
    held = documents.get(PROFILES, ada)
    assert held is not None
    theirs = {**held.body, "sync": {**held.body["sync"], "seq": 1_000_000}}
    documents.commit([Put(PROFILES, ada, theirs)])
    more = [event("20261002", c, session=2, user=u) for c, u in (("a.1", "ada"), ("b.1", "bob"))]
    cdp.run("load", "ga4", write("events_20261002.ndjson", more))
    told = cdp.run("refresh", code=2)
    assert "1 row met a profile with a seq that no run of this platform had" in " ".join(
        told.split()
    )
    for _ in range(2):  # it stays so, and stays told
        partial = cdp.refresh(code=2)
        assert (partial["state"], partial["stale"], partial["rejected"]) == ("partial", 1, 0)
        (rejected,) = (cdp.home / "objects/runs" / partial["run_id"] / "rejected").iterdir()
        assert json.loads(rejected.read_text())["profile_id"] == ada
    assert documents.get(PROFILES, ada).body == theirs  # type: ignore[union-attr]
    del theirs["sync"]
    documents.commit([Put(PROFILES, ada, theirs)])
    assert cdp.refresh()["state"] == "succeeded"
    assert cdp.documents()[ada]["ga4"]["sessions"] == 2
    assert cdp.refresh()["nothing_new"] is True


def test_another_salt_over_a_store_that_is_not_empty_is_refused(refreshed: Cdp) -> None:
    cdp = refreshed
    before = cdp.documents()
    salt = (cdp.home / "salt").read_text()
    (cdp.home / "salt").unlink()
    told = cdp.refresh("--full", code=1)
    assert "Put the old one back" in told["error"]
    assert cdp.documents() == before
    (cdp.home / "salt").write_text(salt)
    assert cdp.refresh()["nothing_new"] is True


def test_another_salt_is_taken_while_nobody_has_a_profile(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", None, session=None)]))
    cdp.refresh()
    (cdp.home / "salt").unlink()
    cdp.run("load", "ga4", write("events_20261002.ndjson", [event("20261002", "a.1")]))
    assert cdp.refresh()["written"] == 1


@pytest.mark.parametrize("lost", ["the file", "what it says"])
def test_what_pages_cannot_see_is_published_again(refreshed: Cdp, lost: str) -> None:
    published = refreshed.home / "published.duckdb"
    published.unlink()
    if lost == "what it says":
        published.write_bytes(b"no database")
    assert "nothing_new" not in refreshed.refresh()
    assert refreshed.json("stats")["events"] == 2
    assert refreshed.refresh()["nothing_new"] is True


def test_a_run_that_fails_while_publishing_has_not_settled(
    refreshed: Cdp, write: Write, tmp_path: Path
) -> None:
    """A folder stands where the copy for pages is written first."""
    cdp = refreshed
    (cdp.home / "published.new").mkdir()
    more = write("events_20261002.ndjson", [event("20261002", "c.1")])
    cdp.run("load", "ga4", more)
    assert cdp.refresh(code=1)["state"] == "failed"
    (cdp.home / "published.new").rmdir()
    outcome = cdp.refresh()
    assert (outcome["state"], "nothing_new" in outcome) == ("succeeded", False)
    assert cdp.json("stats")["events"] == 3
    assert cdp.refresh()["nothing_new"] is True
    assert os.environ.get("CDP_HOME") is None


def test_every_profile_is_recalled_however_many_there_are(
    refreshed: Cdp, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    platform = refreshed.platform
    monkeypatch.setattr("cdp.refresh.store.RECALLED_AT_ONCE", 1)
    steps: Steps = platform.steps
    cursor = None
    platform.runs.take("r", {})
    page = json.dumps(sorted(refreshed.documents()))
    steps._warehouse.run("create or replace table stored (profile_id string)", {})
    while True:
        answer = steps.call("recall", "r", {"cursor": cursor})
        told.append(answer["cursor"])
        cursor = answer["cursor"]
        if answer["done"]:
            break
    found = steps._warehouse.query("select profile_id from stored order by profile_id", {})
    assert json.dumps(found["profile_id"].to_list()) == page
    steps._warehouse.close()
