"""The refresh on Google Cloud's emulators ends in the profiles that the embedded one makes."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cdp.domain.access import Role
from cdp.executions.port import State
from cdp.insight.customers import Order, export, from_query, orders, total
from cdp.profiles.port import PROFILES, Put
from tests.cloud.project import Project, project
from tests.e2e.support import Cdp
from tests.pages.support import fill, go, inside, links, said, tour, visit, warm
from tests.people import PASSWORD, add
from tests.waiting import wait


@dataclass
class Both:
    """The same property in both deployments, each refreshed once."""

    embedded: Cdp
    cloud: Project
    here: dict[str, Any]  # the refresh's result
    there: dict[str, Any]
    found: dict[str, dict[str, Any]]  # what it left in Firestore


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
    firestore_emulator: str,
    pubsub_emulator: str,
    strict_storage_emulator: str,
) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("both")
    embedded = Cdp(folder / "home", {"CDP_DEPLOYMENT": "embedded", "CDP_SHARD_ROWS": "40"})
    embedded.run("generate", folder / "in", "--people", "250", "--days", "5")
    embedded.run("load", "ga4", folder / "in" / "ga4")
    for kind in ("links", "consent"):
        embedded.run("load", kind, folder / "in" / kind)
    hosts = {
        "FIRESTORE_EMULATOR_HOST": firestore_emulator,
        "PUBSUB_EMULATOR_HOST": pubsub_emulator,
        "STORAGE_EMULATOR_HOST": strict_storage_emulator,
    }
    salt = embedded.platform.salt
    with project(folder, hosts, salt=salt, shard_rows="40") as cloud:
        cloud.load_export(embedded.home / "raw")
        cloud.platform.load_rows("raw_link", [folder / "in" / "links"])
        cloud.platform.load_rows("raw_decision", [folder / "in" / "consent"])
        here, there = embedded.refresh(), cloud.refresh()
        yield Both(embedded, cloud, here, there, cloud.documents())


def bodies(documents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return documents without what differs from run to run."""
    return {
        id: {**body, "sync": {k: v for k, v in body["sync"].items() if k not in {"run", "at"}}}
        for id, body in documents.items()
    }


COUNTS = ("state", "exported", "shards", "written", "unchanged", "stale", "rejected")


def test_both_deployments_end_in_the_same_profiles_field_by_field(both: Both) -> None:
    here, there = both.here, both.there
    assert {name: there[name] for name in COUNTS} == {name: here[name] for name in COUNTS}
    assert there["totals"] == pytest.approx(here["totals"])  # sums of floats, in another order
    assert (here["state"], here["undelivered"]) == ("succeeded", 0)
    assert here["exported"] > 100
    assert here["shards"] > 3
    expected = bodies(both.embedded.documents())
    found = bodies(both.found)
    assert found.keys() == expected.keys()
    assert found == expected


def test_a_second_refresh_has_nothing_to_do(both: Both) -> None:
    assert both.cloud.refresh()["nothing_new"] is True


def test_a_full_refresh_changes_no_document_and_leaves_foreign_fields(both: Both) -> None:
    documents = both.cloud.platform.documents
    id, body = next(held for held in both.cloud.documents().items() if "ga4" in held[1])
    theirs = {"crm": {"tier": "gold", "a.b": None}, "ga4": {**body["ga4"], "theirs": 1}}
    documents.commit([Put(PROFILES, id, {**body, **theirs})])
    before = both.cloud.documents()
    outcome = both.cloud.refresh(full=True)
    assert (outcome["state"], outcome["written"]) == ("succeeded", 0)
    assert outcome["unchanged"] == outcome["exported"] > 100
    assert both.cloud.documents() == before


def test_pages_read_what_was_published(both: Both) -> None:
    warehouse = both.cloud.platform.published()
    sql = "select count(*) as events from events"
    assert warehouse.query(sql, {}).item() == both.embedded.json("stats")["events"]
    assert both.cloud.platform.published_version()
    for subject in ("overview", "stitching", "consent"):
        here = both.embedded.platform.documents.get("reports", subject)
        there = both.cloud.platform.documents.get("reports", subject)
        assert here is not None
        assert there is not None
        assert there.body.keys() == here.body.keys()


@pytest.fixture
def console(both: Both, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The console on the cloud project, an admin signed in."""
    warm(monkeypatch)
    st.cache_resource.clear()
    st.cache_data.clear()
    if both.cloud.platform.accounts.get("ada") is None:
        add(both.cloud.platform.documents, "ada", Role.ADMIN)
    at = fill(visit(), "ada", PASSWORD)
    assert inside(at)
    yield at
    st.cache_resource.clear()


def test_the_console_shows_every_page(both: Both, console: AppTest) -> None:
    most = sorted(
        both.cloud.documents().items(),
        key=lambda held: -held[1].get("identifiers", {}).get("count", 0),
    )
    seen = []

    def look(at: AppTest) -> None:
        seen.append(at)
        assert [error.value for error in at.error] == []

    tour(console, most[0][0], most[-1][0], more=look)
    assert len(seen) > 20


RANGES = {"seen": "2026-01-01..", "revenue": "0-", "sessions": "1-", "stitched": "yes"}
NAMES = ("Last seen", "Revenue", "Sessions", "Stitched")


def test_lists_without_an_index_come_in_another_order_and_say_so(
    both: Both, console: AppTest
) -> None:
    chosen = [c for n in (1, 2) for c in itertools.combinations(RANGES, n)]
    others = 0
    for names, order in itertools.product(chosen, Order):
        at = go(console, "customers", order=order, **{n: RANGES[n] for n in names})
        listed = [page for _, page, _ in links(at) if page == "profile"]
        assert listed or "Nobody meets all of these filters" in said(at)
        assert [error.value for error in at.error] == []
        if order is Order.ID:
            assert at.info
        for told in at.info:
            others += 1
            assert "cannot be ordered by" in told.value
            assert any(name in told.value for name in NAMES)
            assert "ga4" not in told.value
        assert all(at.query_params[name] == RANGES[name] for name in names)
    assert 20 < others < 60


def test_a_list_that_no_order_serves_names_its_filters(console: AppTest) -> None:
    for names in itertools.combinations(RANGES, 3):
        at = go(console, "customers", **{name: RANGES[name] for name in names})
        (told,) = [error.value for error in at.error]
        assert "cannot filter one list together; take one of them away" in told
        assert sum(f"“{name}”" in told for name in NAMES) == 3
        keys = {button.key for button in at.button}
        assert {f"remove_{name}" for name in names} <= keys
        assert "export" not in keys
        at.button(key=f"remove_{names[2]}").click().run()
        assert not at.exception
        assert not at.error
        assert "export" in {button.key for button in at.button}


def test_a_list_in_another_order_is_exported_in_that_order(both: Both) -> None:
    documents, policy = both.cloud.platform.documents, both.cloud.platform.policy
    for names in itertools.combinations(RANGES, 2):
        filters = from_query({name: RANGES[name] for name in names}, policy)
        first = orders(documents, filters)[0]
        rows = "".join(export(documents, filters, first, 1000, ())).splitlines()
        assert len(rows) == 1 + total(documents, filters, first)


def test_commands_say_what_they_did_or_why_not(both: Both, tmp_path: Path) -> None:
    cdp = Cdp(both.cloud.folder / "workflows", {})
    links = tmp_path / "links.csv"
    links.write_text(
        "a_type,a_value,b_type,b_value,at,source\n"
        "user_id,no.1,client_id,no.2,2026-10-01T00:00:00Z,crm\n"
    )
    (some, *_) = both.cloud.documents()
    for words, code, told in (
        ("doctor", 0, "all there"),
        ("runs", 0, "succeeded"),
        ("stats", 0, "documents"),
        (f"profile {some}", 0, some),
        ("profile nobody@example.com", 1, "no profile has the identifier"),
        (f"load links {links}", 0, "1 rows\n"),
        (f"load links {links}", 0, "1 rows, as before\n"),
        (f"load ga4 {links}", 1, "GA4 exports into BigQuery by itself"),
        ("release", 0, "release/"),
        ("cancel nothing", 1, "no run nothing"),
        ("demo", 1, "CDP_DEPLOYMENT=embedded"),
        ("execute nothing --lock 3", 1, "CDP_DEPLOYMENT=embedded"),
    ):
        answer = cdp.run(*words.split(), code=code)
        assert told in answer
        assert "Traceback" not in answer
        for secret in (both.embedded.platform.salt, "c" * 64):
            assert secret not in answer
    assert "may sign in" in cdp.run(
        "user", "add", "max", "--role", "marketer", "--password-stdin", typed=f"{PASSWORD}\n"
    )


def test_the_doctor_tells_everything_that_is_missing_with_its_fix(both: Both) -> None:
    cdp = Cdp(both.cloud.folder / "workflows", {})
    wrong = {"CDP_BUCKET": "not-there", "CDP_WORKFLOW": "not-there", "CDP_EXPORT_DATASET": "gone"}
    told = cdp.run("doctor", code=1, **wrong)
    assert "Traceback" not in told
    assert "there is no bucket gs://not-there; create it, or set CDP_BUCKET" in told
    assert "gcloud workflows deploy not-there" in told
    assert "set CDP_DATASET, CDP_EXPORT_DATASET" in told


def test_after_a_kill_the_next_refresh_frees_the_lease_and_does_the_rest(both: Both) -> None:
    cloud, executions = both.cloud, both.cloud.platform.executions
    before = bodies(cloud.documents())
    run_id = executions.start({"full": True}, by="ada")
    deadline = time.monotonic() + 60
    while cloud.platform.runs.holder() != run_id:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for process in processes(run_id):
        os.kill(process, signal.SIGKILL)
    assert wait(executions, run_id).state is State.FAILED
    assert cloud.platform.runs.holder() == run_id
    assert cloud.refresh(full=True)["state"] == "succeeded"
    assert cloud.platform.runs.get(run_id)["state"] == "failed"
    after = bodies(cloud.documents())
    assert after.keys() == before.keys()


def processes(run_id: str) -> list[int]:
    """Return the processes that run an execution."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if run_id.encode() in words:
            found.append(int(folder.name))
    return found


def test_what_the_functions_log_names_the_run_and_no_person(both: Both, tmp_path: Path) -> None:
    log = both.cloud.log("ingest") + both.cloud.log("steps")
    assert '"message": "ingested"' in log
    people = {
        value
        for body in both.cloud.documents().values()
        for kind in ("email", "phone", "user_id")
        for value in body.get("identifiers", {}).get(kind, ())
    }
    assert people
    assert not [value for value in people if value in log]
