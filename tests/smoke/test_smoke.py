"""A deployment does what it promises. It refreshes twice, and writes one profile of its own.

It runs as whoever is signed in, with that person's rights. The tests run in their order.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from cdp.deployments.build import build, missing
from cdp.deployments.cloud import Cloud
from cdp.executions.port import State
from cdp.insight.runs import receipts
from cdp.profiles.port import PROFILES, Create, Delete, Where
from cdp.refresh.follow import Follower
from cdp.refresh.ingest import RECEIPTS
from cdp.refresh.steps import policy_parameters
from cdp.settings import Settings
from cdp.warehouse.statements import questions, statements
from tests.runs import GRANTED, begin
from tests.unit.warehouse import test_statements

answers = test_statements.answers
provided = test_statements.provided

PATIENCE = 7200  # seconds, of a refresh
VALUES: Mapping[str, Any] = {
    "BOOL": False,
    "DATE": date(2026, 1, 1),
    "FLOAT64": 0.0,
    "INT64": 1,
    "STRING": "",
    "TIMESTAMP": datetime(2026, 1, 1, tzinfo=UTC),
}


@pytest.fixture(scope="module")
def platform() -> Cloud:
    found = build(Settings.load())
    assert isinstance(found, Cloud), "set CDP_DEPLOYMENT=gcp; `make smoke` does"
    return found


def until(done: Callable[[], Any], seconds: float) -> Any:
    """Return what *done* returns, as soon as it is anything; fail after some time."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(2)
    return found


def refresh(platform: Cloud) -> dict[str, Any]:
    """Refresh, tell the steps as they begin, and return the outcome."""
    run_id = platform.executions.start({}, by="smoke")
    follower, told = Follower(platform.executions, run_id, phases_only=True), 0

    def ended() -> bool:
        nonlocal told
        list(follower.news())
        for phase in follower.phases()[told:]:
            print(f"{datetime.now(UTC):%H:%M:%S} {phase.name}")
            told += 1
        return platform.executions.get(run_id).state.ended

    until(ended, PATIENCE)
    execution = platform.executions.get(run_id)
    assert execution.state is State.SUCCEEDED, execution.error
    print(json.dumps(execution.result, default=str))
    return dict(execution.result)


@pytest.fixture(scope="module")
def outcome(platform: Cloud) -> dict[str, Any]:
    return refresh(platform)


def test_every_part_is_there(platform: Cloud) -> None:
    assert missing(platform) == []
    released = {stored.name.rsplit("/", 1)[-1] for stored in platform.objects.list("release/")}
    assert {f"{name}.sql" for name in statements()} <= released
    platform.executions.list(limit=1)
    platform.documents.page("runs", limit=1)
    assert platform.accounts.exist(), "make the first: cdp user add NAME --role admin"


def test_a_refresh_ends_well(outcome: dict[str, Any]) -> None:
    assert outcome["state"] == "succeeded", outcome


def test_what_was_exported_is_what_was_confirmed(platform: Cloud, outcome: dict[str, Any]) -> None:
    if outcome.get("nothing_new"):
        pytest.skip("nothing was new: an earlier refresh had delivered it")
    told = receipts(platform.documents, platform.objects, outcome["run_id"])
    assert [row for row in told if row["state"] != "delivered"] == []
    for name in ("written", "unchanged", "stale", "rejected"):
        assert sum(row[name] for row in told) == outcome[name]
    assert sum(row["rows"] for row in told) == outcome["exported"]


def test_as_many_profiles_are_stored_as_were_made(platform: Cloud, outcome: dict[str, Any]) -> None:
    published = platform.published()
    totals = published.query(statements()["92_stats"], policy_parameters(platform.policy))
    live = platform.documents.count(PROFILES, [Where("sync.state", "==", "live")])
    assert live == totals.to_dicts()[0]["profiles"]


def test_a_second_refresh_says_that_nothing_is_new(
    platform: Cloud, outcome: dict[str, Any]
) -> None:
    assert refresh(platform)["nothing_new"] is True


def test_bigquery_accepts_every_statement_and_question(
    platform: Cloud, outcome: dict[str, Any], provided: dict[str, dict[str, str]]
) -> None:
    work = platform._warehouse(platform.settings.maximum_bytes_billed)
    published = platform.published()
    refused = {}
    for name, text in {**statements(), **questions()}.items():
        warehouse = published if name in questions() else work
        parameters = {name: value(kind) for name, kind in provided[name].items()}
        try:
            print(f"{warehouse.dry_run(text, parameters):>16,} bytes  {name}")
        except Exception as error:  # noqa: BLE001 - every refusal is told, not only the first
            refused[name] = str(error)
    assert refused == {}


def value(kind: str) -> Any:
    """Return some value of BigQuery's type *kind*."""
    if kind.startswith("ARRAY<"):
        return [VALUES[kind[6:-1]]]
    return VALUES[kind]


@pytest.fixture
def stranger(platform: Cloud) -> Iterator[str]:
    """Id of a profile that another system wrote, and that no refresh knows; gone afterwards."""
    profile_id = f"p_smoke_{secrets.token_hex(8)}"
    platform.documents.commit([Create(PROFILES, profile_id, {"crm": {"tier": "gold"}})])
    yield profile_id
    platform.documents.commit([Delete(PROFILES, profile_id)])


def test_a_field_of_others_survives_the_way_through_the_function(
    platform: Cloud, stranger: str
) -> None:
    run_id = f"smoke-{secrets.token_hex(8)}"
    begin(platform.documents, run_id, state="partial")
    fields = {"ga4": {"sessions": 3}, "consent": GRANTED}
    row = {"profile_id": stranger, "seq": 1, "hash": "1", "set": fields}
    name = f"runs/{run_id}/part-00000-000000000000.json"
    stored = platform.objects.put(name, json.dumps(row).encode() + b"\n")
    message = {
        "run_id": run_id,
        "shard": 0,
        "name": name,
        "generation": stored.generation,
        "rows": 1,
    }
    try:
        for _ in range(2):  # delivered twice, written once
            platform.queue.publish(platform.settings.topic, [message])
        receipt = until(lambda: platform.documents.get(RECEIPTS, f"{run_id}.0"), 300)
        assert (receipt.body["written"], receipt.body["rejected"]) == (1, 0)
        found = platform.documents.get(PROFILES, stranger)
        assert found is not None
        assert found.body["crm"] == {"tier": "gold"}
        assert found.body["ga4"]["sessions"] == 3
    finally:
        platform.objects.delete(name)
        platform.documents.commit([Delete(RECEIPTS, f"{run_id}.0"), Delete("runs", run_id)])
