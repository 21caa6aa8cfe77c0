"""What users do wrong, and machines at the worst moment: nothing lost, told in words."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cdp.demo.generate import generate
from cdp.executions.port import State
from cdp.profiles.port import MAX_BYTES, PROFILES, Put
from tests.e2e.support import ROOT, Cdp, event
from tests.waiting import wait

Write = Callable[..., Path]


def kill_at(cdp: Cdp, phase: str) -> str:
    """Start a refresh, kill its process when *phase* has begun, and return the run's id."""
    executions = cdp.platform.executions
    starter = subprocess.Popen(
        [sys.executable, "-m", "cdp", "refresh"],
        cwd=ROOT,
        env=cdp.environ({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for run in executions.list(limit=1):
                begun = {
                    step.step for step in executions.steps(run.id) if step.routine == "refresh"
                }
                if phase in begun:
                    os.kill(process_of(run.id), signal.SIGKILL)
                    return run.id
            time.sleep(0.002)
    finally:
        starter.wait(60)
    raise AssertionError(f"{phase} was never begun")


def process_of(run_id: str) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"execute\0" + run_id.encode() in command:
                return int(entry.name)
    raise AssertionError("no process runs it")


def stop(process: int, home: Path) -> None:
    """Stop a process at a moment in which it keeps no store to itself."""
    os.kill(process, signal.SIGSTOP)
    while not (
        _stands(process) and _free(home / "documents.sqlite") and _free(home / "executions.sqlite")
    ):
        os.kill(process, signal.SIGCONT)
        time.sleep(0.01)
        os.kill(process, signal.SIGSTOP)


def _stands(process: int) -> bool:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return all(") T " in (task / "stat").read_text() for task in tasks)


def _free(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as db:
        try:
            db.execute("begin immediate")
        except sqlite3.OperationalError:
            return False
        db.execute("rollback")
        return True


def contents(cdp: Cdp) -> list[object]:
    """Return what documents say, but for which run said it; ids differ between homes."""
    return sorted(
        (repr({key: body[key] for key in sorted(body) if key != "sync"}))
        for body in cdp.documents().values()
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "property"
    generate(folder, people=1500, days=3, seed=5)
    return folder


def shards(cdp: Cdp) -> list[Path]:
    return list((cdp.home / "objects" / "runs").glob("*/part-*"))


def load(cdp: Cdp, folder: Path) -> None:
    cdp.run("load", "ga4", folder / "ga4")
    cdp.run("load", "links", folder / "links")
    cdp.run("load", "consent", folder / "consent")


@pytest.fixture(scope="module")
def expected(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    undisturbed = Cdp(tmp_path_factory.mktemp("undisturbed"), {})
    load(undisturbed, demo)
    assert undisturbed.refresh()["state"] == "succeeded"
    return contents(undisturbed)


@pytest.mark.parametrize("phase", ["clean", "stitch", "payload", "export", "deliver", "settle"])
def test_after_a_kill_the_next_refresh_ends_in_the_right_documents(
    cdp: Cdp, demo: Path, expected: list[object], phase: str
) -> None:
    cdp = Cdp(cdp.home, {**cdp.env, "CDP_SHARD_ROWS": "100"})
    load(cdp, demo)
    killed = kill_at(cdp, phase)
    assert cdp.platform.executions.get(killed).state is State.FAILED
    assert "failed" in cdp.run("runs")
    outcome = cdp.refresh()
    assert outcome["state"] == "succeeded"
    assert contents(cdp) == expected
    if phase == "export":  # nothing of the killed run may win when it comes late
        assert {body["sync"]["seq"] for body in cdp.documents().values()} == {outcome["seq"]}
    assert shards(cdp) == []
    assert cdp.refresh()["exported"] == 0
    assert cdp.platform.runs.get(killed)["state"] == "failed"


def test_a_cancelled_run_says_who_ended_it_and_the_next_does_the_rest(
    cdp: Cdp, demo: Path, expected: list[object]
) -> None:
    load(cdp, demo)
    run_id = cdp.platform.executions.start({}, by="ada")
    executions = cdp.platform.executions
    while not executions.steps(run_id) and not executions.get(run_id).state.ended:
        time.sleep(0.01)
    executions.cancel(run_id, by="bob")
    run = wait(executions, run_id, 60)
    assert (run.state, run.error) == (State.CANCELLED, "cancelled by bob")
    assert cdp.refresh()["state"] == "succeeded"
    assert contents(cdp) == expected


def test_a_run_that_is_cancelled_while_it_exports_leaves_no_shard(cdp: Cdp, demo: Path) -> None:
    cdp = Cdp(cdp.home, {**cdp.env, "CDP_SHARD_ROWS": "20"})
    load(cdp, demo)
    executions = cdp.platform.executions
    run_id = executions.start({}, by="ada")
    while not shards(cdp) and not executions.get(run_id).state.ended:
        time.sleep(0.002)
    executions.cancel(run_id, by="bob")
    run = wait(executions, run_id, 60)
    assert (run.state, run.error) == (State.CANCELLED, "cancelled by bob")
    assert shards(cdp) == []


def test_a_second_start_is_told_which_run_is_refreshing(cdp: Cdp, demo: Path) -> None:
    load(cdp, demo)
    run_id = cdp.platform.executions.start({}, by="ada")
    executions = cdp.platform.executions
    runs = cdp.platform.runs
    while runs.holder() != run_id and not executions.get(run_id).state.ended:
        time.sleep(0.005)
    stop(process_of(run_id), cdp.home)  # it does not end before the other asks
    try:
        told = cdp.refresh(code=3)
    finally:
        os.kill(process_of(run_id), signal.SIGCONT)
    assert (told["state"], told["exported"], told["written"]) == ("held", 0, 0)
    assert (told["held_by"], told["by"]) == (run_id, "ada")
    assert wait(executions, run_id, 60).state is State.SUCCEEDED


def test_of_eight_starts_at_once_none_fails(cdp: Cdp, demo: Path) -> None:
    load(cdp, demo)
    executions = cdp.platform.executions
    started = [executions.start({}, by="ada") for _ in range(8)]
    ended = [wait(executions, run_id, 120) for run_id in started]
    assert {run.state for run in ended} == {State.SUCCEEDED}
    states = [dict(run.result)["state"] for run in ended]
    assert set(states) <= {"succeeded", "held"}
    assert "succeeded" in states
    assert {"held_by", "since"} <= dict(ended[states.index("held")].result).keys()
    assert "held" in cdp.run("runs")


def test_a_lease_of_a_run_that_nobody_knows_is_freed(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1")]))
    cdp.platform.runs.take("of-another-life", {})
    assert cdp.refresh()["state"] == "succeeded"
    run = cdp.platform.runs.get("of-another-life")
    assert (run["state"], run["error"]) == ("failed", "nobody knows its execution any more")


def test_the_seconds_of_a_run_are_all_of_them(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1")]))
    outcome = cdp.refresh()
    assert outcome["seconds"] >= sum(outcome["steps"].values())


def test_a_row_that_cannot_be_stored_makes_the_run_partial_until_it_can(
    cdp: Cdp, write: Write
) -> None:
    rows = [event("20261001", "a.1"), event("20261001", "b.1", at=1)]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    cdp.refresh()
    documents = cdp.platform.documents
    (a,) = documents.find("a.1")
    held = documents.get(PROFILES, a)
    assert held is not None
    room = MAX_BYTES - len(json.dumps({**held.body, "crm": {"notes": ""}}, separators=(",", ":")))
    documents.commit([Put(PROFILES, a, {**held.body, "crm": {"notes": "x" * room}})])
    more = [event("20261002", c, session=2, user=f"user of {c}") for c in ("a.1", "b.1")]
    cdp.run("load", "ga4", write("events_20261002.ndjson", more))
    partial = cdp.refresh(code=2)
    assert (partial["state"], partial["written"], partial["rejected"]) == ("partial", 1, 1)
    rejects = list((cdp.home / "objects" / "runs" / partial["run_id"] / "rejected").iterdir())
    assert [a in file.read_text() for file in rejects] == [True]
    documents.commit([Put(PROFILES, a, {**held.body, "crm": {"notes": "short"}})])
    again = cdp.refresh()
    assert (again["state"], again["rejected"]) == ("succeeded", 0)
    body = cdp.documents()[a]
    assert (body["ga4"]["sessions"], body["crm"]) == (2, {"notes": "short"})


def test_a_shard_that_cannot_be_read_is_dead_lettered_and_told(cdp: Cdp, demo: Path) -> None:
    """The shards of the run are made unreadable as soon as they are written."""
    cdp = Cdp(cdp.home, {**cdp.env, "CDP_DELIVERY_ATTEMPTS": "2", "CDP_WORKERS": "1"})
    load(cdp, demo)
    run_id = cdp.platform.executions.start({}, by="ada")
    folder = cdp.home / "objects" / "runs" / run_id
    executions = cdp.platform.executions
    while not executions.get(run_id).state.ended:
        for file in folder.glob("part-*"):
            file.unlink(missing_ok=True)
        time.sleep(0.001)
    run = executions.get(run_id)
    told = run.error or (run.result or {}).get("state")
    assert told
    assert told != "succeeded"
    assert cdp.refresh()["state"] == "succeeded"


def test_the_warehouse_belongs_to_one_writer_who_is_named(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1")]))
    cdp.refresh()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; db = duckdb.connect(sys.argv[1]); "
            "print('open', flush=True); input()",
            str(cdp.home / "warehouse.duckdb"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        assert f"process {holder.pid} is writing the warehouse" in cdp.run("refresh", code=1)
        assert cdp.json("stats")["events"] == 1, "reading goes on"
    finally:
        holder.communicate("\n")
    assert cdp.refresh()["state"] == "succeeded"


def test_wrong_dates_are_refused_before_a_run_starts(cdp: Cdp) -> None:
    told = cdp.run("refresh", "--since", "2026-10-02", "--until", "2026-10-01", code=1)
    assert "swap them" in told
    assert "No runs yet" in cdp.run("runs")


def test_looking_before_the_first_refresh_says_what_to_do(cdp: Cdp) -> None:
    assert "cdp refresh" in cdp.run("stats", code=1)
    assert "cdp load ga4" in cdp.run("doctor", code=1)


def test_an_unknown_identifier_is_told(cdp: Cdp) -> None:
    assert "no profile has the identifier" in cdp.run("profile", "nobody", code=1)


def test_a_wrong_setting_is_named(cdp: Cdp) -> None:
    told = cdp.run("doctor", code=1, CDP_WORKERS="many")
    assert "CDP_WORKERS is 'many'" in told
    assert "Traceback" not in told
