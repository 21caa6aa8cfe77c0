"""What the workflow asks of Python, step by step."""

import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cdp.domain.errors import CdpError
from cdp.domain.identifiers import identifier_key
from cdp.domain.permission import Permission
from cdp.domain.policy import Policy
from cdp.objects.folder import FolderObjects
from cdp.profiles.port import Create
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.local import LocalQueue
from cdp.refresh.follow import why_stale
from cdp.refresh.gate import Gate
from cdp.refresh.runs import LeaseLost, Runs
from cdp.refresh.shards import TOPIC
from cdp.refresh.steps import Limits, Steps, policy_parameters
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.rest import parameter_values, query_parameter
from cdp.warehouse.statements import statements
from tests.tables import make_tables

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[SimpleNamespace]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    objects = FolderObjects(tmp_path / "objects")
    queue = LocalQueue(tmp_path / "queue.sqlite")
    warehouse = DuckWarehouse(tmp_path, memory_limit="500MB", threads=1)
    make_tables(warehouse)
    (tmp_path / "raw").mkdir()
    runs = Runs(documents, lease_seconds=60, clock=lambda: NOW)
    steps = Steps(
        warehouse=warehouse,
        documents=documents,
        runs=runs,
        objects=objects,
        queue=queue,
        dead_letters=queue,
        policy=Policy.load(None),
        property="p",
        zone=ZoneInfo("Europe/Berlin"),
        salt="salt",
        limits=Limits(shard_rows=10, batch_events=100, delivery_timeout=60, shard_days=7),
        clock=lambda: NOW,
    )
    assert steps.call("lease", "r1", {}) == {"granted": True}
    yield SimpleNamespace(
        steps=steps,
        documents=documents,
        runs=runs,
        objects=objects,
        folder=tmp_path / "objects",
        queue=queue,
        warehouse=warehouse,
    )
    documents.close()
    queue.close()
    warehouse.close()


def to_write(at: SimpleNamespace, *rows: int) -> None:
    """Let each shard have so many profiles to write."""
    buckets = [
        -(-shard * 10_000 // len(rows)) for shard, count in enumerate(rows) for _ in range(count)
    ]
    at.warehouse.run(
        "create or replace table export_row as select b as bucket from unnest(@buckets) as b",
        {"buckets": buckets},
    )


def shard(at: SimpleNamespace, number: int, rows: int) -> None:
    lines = b"".join(b"{}\n" for _ in range(rows))
    at.objects.put(f"runs/r1/part-{number:05}-000000000000.json", io.BytesIO(lines))


def receipt(at: SimpleNamespace, number: int, rows: int, rejected: int = 0, stale: int = 0) -> None:
    body = {
        "run_id": "r1",
        "shard": number,
        "rows": rows,
        "written": rows - rejected - stale,
        "unchanged": 0,
        "stale": stale,
        "rejected": rejected,
    }
    at.documents.commit([Create("receipts", f"r1.{number}", body)])


def rejected(at: SimpleNamespace, number: int, *profile_ids: str | None) -> None:
    rows = [{"line": 1, "profile_id": profile_id, "reason": "x"} for profile_id in profile_ids]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    at.objects.put(f"runs/r1/rejected/{number}.ndjson", content)


def exported(at: SimpleNamespace, *rows: int) -> None:
    to_write(at, *rows)
    for number, count in enumerate(rows):
        shard(at, number, count)
    body = {"rows": sum(rows), "exported": sum(rows), "shards": len(rows)}
    at.steps.call("manifest", "r1", body)


def doubts(answer: dict[str, Any]) -> tuple[list[int], int, list[str]]:
    """Return the shards in doubt, the shard from which on all are, and the rejected profiles."""
    values = parameter_values(answer["parameters"])
    return values["open_shards"], values["open_from"], values["rejected_ids"]


def test_an_unknown_step_is_told_with_the_known_ones(at: SimpleNamespace) -> None:
    with pytest.raises(CdpError, match="no step 'dance'; there are lease, schema, erase, plan"):
        at.steps.call("dance", "r1", {})


def test_a_run_without_the_lease_is_stopped_at_its_next_step(at: SimpleNamespace) -> None:
    assert at.steps.call("lease", "r2", {})["held_by"] == "r1"
    with pytest.raises(LeaseLost):
        at.steps.call("plan", "r2", {})


def test_a_wrong_day_is_refused_in_words(at: SimpleNamespace) -> None:
    with pytest.raises(CdpError, match="since is 'yesterday'; write a day as YYYY-MM-DD"):
        at.steps.call("plan", "r1", {"since": "yesterday"})


def test_the_salt_is_told_to_the_step_that_asks_for_it_and_in_no_other_answer(
    at: SimpleNamespace,
) -> None:
    plan = at.steps.call("plan", "r1", {"full": True})
    assert "salt" not in parameter_values(plan["parameters"])
    told = parameter_values(at.steps.call("salt", "r1", {}).values())
    assert told == {"salt": "salt", "key": identifier_key("salt")}
    assert not told.keys() & parameter_values(plan["parameters"]).keys()
    with pytest.raises(LeaseLost):
        at.steps.call("salt", "r2", {})


def test_a_batch_shows_the_export_by_its_suffixes(at: SimpleNamespace) -> None:
    """The warehouse is asked for these very tables, of which this one has none."""
    batch = {"suffixes": query_parameter("suffixes", ["20261030", "intraday_20261031"])}
    at.objects.put("runs/r1/plan.json", json.dumps([{}, batch]).encode())
    with pytest.raises(CdpError, match="ends in 20261030, intraday_20261031; refresh again"):
        at.steps.call("batch", "r1", {"number": 2})


def test_rows_that_got_lost_on_export_stop_the_run(at: SimpleNamespace) -> None:
    to_write(at, 4)
    shard(at, 0, 3)
    with pytest.raises(CdpError, match="exported 3 rows, but 4 were to be written"):
        at.steps.call("manifest", "r1", {"rows": 4, "exported": 3, "shards": 1})


def test_a_shard_whose_object_is_gone_stops_the_run(at: SimpleNamespace) -> None:
    to_write(at, 2, 2)
    shard(at, 0, 2)
    with pytest.raises(CdpError, match="shard 1 was exported, but has no object"):
        at.steps.call("manifest", "r1", {"rows": 4, "exported": 4, "shards": 2})


def test_one_message_a_shard_names_the_very_object(at: SimpleNamespace) -> None:
    exported(at, 3, 2)
    assert at.steps.call("deliver", "r1", {}) == {"messages": 2}
    assert at.queue.pending(TOPIC) == 2
    with at.objects.open("runs/r1/manifest.json") as file:
        manifest = json.load(file)
    assert [file["rows"] for file in manifest["files"]] == [3, 2]
    assert all(file["generation"] and file["hash"] for file in manifest["files"])


def test_a_shard_that_the_exporter_split_counts_by_its_receipts(at: SimpleNamespace) -> None:
    to_write(at, 3)
    shard(at, 0, 2)
    at.objects.put("runs/r1/part-00000-000000000001.json", b"{}\n")
    at.steps.call("manifest", "r1", {"rows": 3, "exported": 3, "shards": 1})
    with at.objects.open("runs/r1/manifest.json") as file:
        assert [entry["rows"] for entry in json.load(file)["files"]] == [None, None]


def test_delivery_is_done_when_every_shard_has_its_receipt(at: SimpleNamespace) -> None:
    exported(at, 3, 2)
    receipt(at, 0, 3)
    assert at.steps.call("receipts", "r1", {})["done"] is False
    receipt(at, 1, 2)
    answer = at.steps.call("receipts", "r1", {})
    assert (answer["done"], answer["complete"]) == (True, True)
    assert doubts(answer) == ([-1], 10_000, [])


def test_a_shard_that_was_given_up_ends_the_wait_and_is_in_doubt(at: SimpleNamespace) -> None:
    exported(at, 3, 2)
    receipt(at, 0, 3)
    foreign = [{"run_id": "r1"}, {"run_id": "r1", "shard": 1, "name": ["runs/r1/other"]}]
    at.queue.publish(TOPIC, foreign)
    bury(at, len(foreign))
    assert at.steps.call("receipts", "r1", {})["done"] is False, "none of them is the shard's own"
    at.steps.call("deliver", "r1", {})
    bury(at, 2)
    answer = at.steps.call("receipts", "r1", {})
    assert (answer["done"], answer["complete"]) == (True, False)
    assert doubts(answer) == ([1], 10_000, [])


def bury(at: SimpleNamespace, messages: int) -> None:
    for _ in range(messages):
        leased = at.queue.lease("w")
        assert leased is not None
        at.queue.nack(leased, "refused", final=True)


def test_a_rejected_profile_stays_in_doubt_alone(at: SimpleNamespace) -> None:
    exported(at, 3, 2)
    receipt(at, 0, 3, rejected=1)
    rejected(at, 0, "p_1")
    receipt(at, 1, 2)
    answer = at.steps.call("receipts", "r1", {})
    assert answer["complete"] is False
    assert doubts(answer) == ([-1], 10_000, ["p_1"])


def test_a_rejected_row_of_nobody_known_leaves_its_shard_in_doubt(at: SimpleNamespace) -> None:
    exported(at, 3, 2)
    receipt(at, 0, 3, rejected=2)
    rejected(at, 0, "p_1", None)
    receipt(at, 1, 2)
    answer = at.steps.call("receipts", "r1", {})
    assert answer["complete"] is False
    assert doubts(answer) == ([0], 10_000, [])


def test_a_profile_that_another_writes_stays_in_doubt_alone(at: SimpleNamespace) -> None:
    exported(at, 3, 2)
    receipt(at, 0, 3, stale=1, rejected=1)
    rejected(at, 0, "p_1", "p_2")
    receipt(at, 1, 2)
    answer = at.steps.call("receipts", "r1", {})
    assert answer["complete"] is False
    assert doubts(answer) == ([-1], 10_000, ["p_1", "p_2"])


@pytest.mark.parametrize("told", [(), ("p_1",)])
def test_a_stale_row_that_nobody_named_leaves_its_shard_in_doubt(
    at: SimpleNamespace, told: tuple[str, ...]
) -> None:
    exported(at, 3, 2)
    receipt(at, 0, 3, stale=2)
    if told:
        rejected(at, 0, *told)
    receipt(at, 1, 2)
    answer = at.steps.call("receipts", "r1", {})
    assert answer["complete"] is False
    assert doubts(answer)[0] == [0]


def test_what_is_in_doubt_is_told_in_little_however_much_it_is(
    at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdp.refresh.shards.TOLD_AT_MOST", 2)
    exported(at, 3, 3, 3, 3, 3)
    for number in range(5):
        receipt(at, number, 3, rejected=1)
    rejected(at, 0, "p_0")
    rejected(at, 1, "p_1")
    for number in (2, 3, 4):
        rejected(at, number, None)
    assert doubts(at.steps.call("receipts", "r1", {})) == ([2, 3], 4, ["p_0", "p_1"])


def test_the_end_adds_up_and_is_partial_while_anything_is_missing(at: SimpleNamespace) -> None:
    exported(at, 3, 2)
    receipt(at, 0, 3)
    made_by_a_run(at)
    published = at.steps.call("publish", "r1", {})
    body = {"exported": 5, "shards": 2, "rounds": 0, "jumps": 1, **published}
    outcome = at.steps.call("settle", "r1", body)
    assert (outcome["state"], outcome["undelivered"], outcome["written"]) == ("partial", 2, 3)
    assert outcome["dead_lettered"] == [{"shard": 1, "reason": "no receipt in time"}]
    left = [stored.name for stored in at.objects.list("runs/r1/part-")]
    assert left == ["runs/r1/part-00001-000000000000.json"], "what was not delivered is kept"
    store = at.documents.get("meta", "store")
    assert store is None, "what is partial has not settled"


def settle(at: SimpleNamespace, shards: int) -> dict[str, Any]:
    made_by_a_run(at)
    published = at.steps.call("publish", "r1", {})
    body = {"exported": 3, "shards": shards, "rounds": 0, "jumps": 1, **published}
    outcome: dict[str, Any] = at.steps.call("settle", "r1", body)
    return outcome


def test_a_run_that_met_another_writer_is_partial_and_says_what_to_do(at: SimpleNamespace) -> None:
    exported(at, 3)
    receipt(at, 0, 3, stale=1)
    outcome = settle(at, 1)
    assert (outcome["state"], outcome["stale"], outcome["written"]) == ("partial", 1, 2)
    assert at.documents.get("meta", "store") is None, "what is partial has not settled"
    why = why_stale(outcome)
    assert why is not None
    assert why.startswith("1 row met a profile with a seq that no run of this platform had")
    assert "a document store of its own" in why
    assert why_stale({**outcome, "state": "succeeded"}) is None
    assert why_stale({**outcome, "stale": 0}) is None


# --- what stays of shards -------------------------------------------------------------------------


def parts(at: SimpleNamespace) -> list[str]:
    """Return which shards there are, as run and number."""
    stored = at.objects.list("runs/")
    found = [one.name.split("/") for one in stored if "/part-" in one.name]
    return [f"{run} {int(name[5:10])}" for _, run, name in found]


def left(at: SimpleNamespace, run_id: str, *, days: float = 0) -> None:
    """Let a run have left a shard so many days ago."""
    stored = at.objects.put(f"runs/{run_id}/part-00000-000000000000.json", b"{}\n")
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(at.folder / stored.name, (moment, moment))
    at.objects.put(f"runs/{run_id}/manifest.json", b"{}")


def test_with_the_receipts_everything_of_this_run_and_before_it_goes(at: SimpleNamespace) -> None:
    """Those of this run are still there: their function was killed between receipt and deletion."""
    at.steps.call("plan", "r1", {})
    left(at, "r0")
    exported(at, 3, 2)
    for number, rows in enumerate((3, 2)):
        receipt(at, number, rows)
    assert settle(at, 2)["state"] == "succeeded"
    assert parts(at) == []
    assert len(at.objects.list("runs/r0/")) == 1, "its manifest stays"


def test_a_partial_run_keeps_what_may_still_be_delivered_and_nothing_else(
    at: SimpleNamespace,
) -> None:
    left(at, "r0")
    exported(at, 1, 1, 1)
    receipt(at, 0, 1)
    receipt(at, 1, 1, rejected=1)
    assert settle(at, 3)["state"] == "partial"
    assert parts(at) == ["r1 2"]


def test_a_failed_run_leaves_no_shard_and_another_runs_for_a_week(at: SimpleNamespace) -> None:
    left(at, "old", days=7.1)
    left(at, "r0", days=6.9)
    exported(at, 3, 2)
    receipt(at, 0, 3)
    at.steps.call("fail", "r1", {"error": {"message": "no disk", "tags": []}})
    assert parts(at) == ["r0 0"]


def test_a_run_that_finds_nothing_new_deletes_what_is_too_old(at: SimpleNamespace) -> None:
    parameters = parameter_values(at.steps.call("plan", "r1", {})["parameters"])
    at.warehouse.run("create or replace table word (lapses_at timestamp)", {})
    at.warehouse.run("create or replace table statement (state string, said_at timestamp)", {})
    at.warehouse.run(statements()["81_settled_run"], parameters)
    at.warehouse.publish("r1")
    at.steps.call("fail", "r1", {"error": "too late to matter"})
    at.steps.call("lease", "r2", {})
    left(at, "old", days=8)
    left(at, "r0", days=1)
    assert at.steps.call("plan", "r2", {})["nothing_new"] is True
    assert parts(at) == ["r0 0"]


def test_whoever_takes_the_lease_of_a_dead_run_deletes_its_shards(at: SimpleNamespace) -> None:
    exported(at, 3)
    left(at, "r0")

    def free() -> str:
        at.runs.end("r1", "cancelled", {"error": "cancelled by ada"})
        return "r1"

    at.steps._free_dead_lease = free
    assert at.steps.call("lease", "r2", {}) == {"granted": True}
    assert parts(at) == ["r0 0"]


def test_a_shard_that_cannot_be_deleted_spoils_no_end(
    at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise CdpError("the bucket keeps what it has")

    at.steps.call("plan", "r1", {})
    monkeypatch.setattr(at.objects, "delete", refuse)
    exported(at, 3)
    receipt(at, 0, 3)
    assert settle(at, 1)["state"] == "succeeded"
    assert parts(at) == ["r1 0"]


def test_a_run_tells_those_who_write_profiles_what_consent_permits(at: SimpleNamespace) -> None:
    assert "permission" not in at.documents.get("runs", "r1").body
    at.steps.call("plan", "r1", {})
    gate = Gate.of(at.documents, "r1")
    policy = Policy.load(None)
    assert gate == Gate(1, True, "", Permission(policy.permission().purposes, frozenset()))


def test_an_end_whose_answer_was_lost_is_told_again(at: SimpleNamespace) -> None:
    exported(at, 3)
    receipt(at, 0, 3)
    made_by_a_run(at)
    at.steps.call("plan", "r1", {})
    published = at.steps.call("publish", "r1", {})
    body = {"exported": 3, "shards": 1, "rounds": 0, "jumps": 1, **published}
    outcome = at.steps.call("settle", "r1", body)
    assert outcome["state"] == "succeeded"
    assert at.steps.call("settle", "r1", body) == outcome
    assert "permission" not in outcome
    assert at.warehouse.published_run() == "r1"
    assert at.documents.get("meta", "store").body["run_id"] == "r1"


def test_a_plan_with_nothing_new_is_told_again(at: SimpleNamespace) -> None:
    plan = at.steps.call("plan", "r1", {})
    parameters = parameter_values(plan["parameters"])
    at.warehouse.run("create or replace table word (lapses_at timestamp)", {})
    at.warehouse.run("create or replace table statement (state string, said_at timestamp)", {})
    at.warehouse.run(statements()["81_settled_run"], parameters)
    at.warehouse.publish("r1")
    at.steps.call("fail", "r1", {"error": "too late to matter"})
    at.steps.call("lease", "r2", {})
    plan = at.steps.call("plan", "r2", {})
    assert plan["nothing_new"] is True
    assert at.steps.call("plan", "r2", {}) == plan


def test_a_grant_that_has_lapsed_since_is_something_new(at: SimpleNamespace) -> None:
    parameters = parameter_values(at.steps.call("plan", "r1", {})["parameters"])
    at.warehouse.run("create or replace table word (lapses_at timestamp)", {})
    at.warehouse.run("create or replace table statement (state string, said_at timestamp)", {})
    at.warehouse.run("insert into word (lapses_at) values (@at)", {"at": NOW + timedelta(days=1)})
    at.warehouse.run(statements()["81_settled_run"], parameters)
    state = {"store_run": "r1", "now": NOW}
    assert at.warehouse.query(statements()["90_state"], state)["due"].to_list() == [False]
    state["now"] = NOW + timedelta(days=1)
    assert at.warehouse.query(statements()["90_state"], state)["due"].to_list() == [True]


def made_by_a_run(at: SimpleNamespace) -> None:
    """Make the tables that totals and reports are read from, of nobody."""
    given = {"salt": "salt", "key": "key", "seq": 1, "run_id": "r1", "now": NOW, "round": 0}
    given |= policy_parameters(Policy.load(None)) | {"policy": "p"}
    for name, sql in statements().items():
        if "15" <= name < "63":
            at.warehouse.run(sql, given)


def test_a_failure_ends_the_run_with_the_error_in_words(at: SimpleNamespace) -> None:
    at.steps.call("fail", "r1", {"error": {"message": "no disk", "code": 400, "tags": []}})
    run = at.documents.get("runs", "r1").body
    assert (run["state"], run["error"]) == ("failed", "no disk (code 400)")
    assert at.steps.call("lease", "r2", {}) == {"granted": True}


@pytest.mark.parametrize(
    ("cleaned", "until", "behind"),
    [
        ([], None, None),
        (["20261031"], None, None),  # Google may still rewrite it
        (["20261023", "20261024", "20261025"], "2026-10-25", 7),
        (["20261024", "20261026", "20261027"], "2026-10-24", 8),  # a day is missing
    ],
)
def test_a_run_that_finds_nothing_new_tells_how_far_the_export_is_complete(
    at: SimpleNamespace, cleaned: list[str], until: str | None, behind: int | None
) -> None:
    for suffix in cleaned:
        at.warehouse.run(
            "insert into cleaned_day (event_date, suffix, version, state, rows_read, seq) "
            "values (parse_date('%Y%m%d', @suffix), @suffix, 'v', 'provisional', 1, 1)",
            {"suffix": suffix},
        )
    outcome = at.steps._outcome("r1", "succeeded", {"nothing_new": True})
    assert (outcome["complete_until"], outcome["days_behind"]) == (until, behind)
