"""Executions as processes, whose death is noticed; the rest is in tests/contract."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cdp.executions.local import LocalExecutions
from cdp.executions.port import State
from tests.waiting import wait

# What `cdp execute ID --lock N` does, without a workflow.
SCRIPT = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from datetime import datetime, UTC
from cdp.executions.local import LocalExecutions, hold
from cdp.executions.port import State
home, id, lock = Path(sys.argv[1]), sys.argv[3], int(sys.argv[5])
hold(lock)
executions = LocalExecutions(home)
found = executions.begin(id)
entry = SimpleNamespace(id=1, parent=None, routine="main", step="work", step_type="STEP_ASSIGN",
    state="STATE_IN_PROGRESS", attempt=1, started_at=datetime.now(UTC), ended_at=None,
    exception=None)
with executions.recorder(id) as recorder:
    recorder.step_started(entry)
    deadline = time.monotonic() + found.argument.get("seconds", 0)
    while time.monotonic() < deadline:
        if recorder.cancelled():
            executions.end(id, State.CANCELLED, error="cancelled")
            sys.exit()
        time.sleep(0.02)
    entry.state, entry.ended_at = "STATE_SUCCEEDED", datetime.now(UTC)
    recorder.step_ended(entry)
if found.argument.get("die"):
    print('{"a log line": 1}')
    raise RuntimeError("no such luck")
executions.end(id, State.SUCCEEDED, result={"answer": 42})
"""


@pytest.fixture
def executions(tmp_path: Path) -> LocalExecutions:
    return LocalExecutions(tmp_path, (sys.executable, "-c", SCRIPT, str(tmp_path)))


def until_active(executions: LocalExecutions, run: str) -> None:
    deadline = time.monotonic() + 60
    while not executions.steps(run) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert executions.get(run).state is State.ACTIVE


def pid_of(run: str) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if run.encode() in command and b"execute" in command:
                return int(entry.name)
    raise AssertionError("no process runs it")


def test_only_what_changed_since_is_told_again(executions: LocalExecutions) -> None:
    run = executions.start({"seconds": 0}, by="ada")
    wait(executions, run)
    (step,) = executions.steps(run)
    assert executions.steps(run, after=step.revision) == []


def test_a_killed_execution_is_shown_as_failed_not_as_running(executions: LocalExecutions) -> None:
    run = executions.start({"seconds": 60}, by="ada")
    until_active(executions, run)
    os.kill(pid_of(run), signal.SIGKILL)
    found = wait(executions, run, 30)
    assert found.state is State.FAILED
    assert "ended without a word" in (found.error or "")
    assert executions.steps(run)[0].state == "STATE_FAILED"


def test_one_that_breaks_is_failed_with_its_last_words(executions: LocalExecutions) -> None:
    run = executions.start({"die": True}, by="ada")
    found = wait(executions, run, 30)
    assert found.state is State.FAILED
    assert found.error == "its process ended unexpectedly: RuntimeError: no such luck"


def test_a_cancel_that_nobody_noticed_before_the_end_is_no_success(tmp_path: Path) -> None:
    idle = (sys.executable, "-c", "import time; time.sleep(600)")
    executions = LocalExecutions(tmp_path, idle)
    run = executions.start({}, by="ada")
    executions.begin(run)
    executions.cancel(run, by="bob")
    executions.end(run, State.SUCCEEDED, result={"answer": 42})
    os.kill(pid_of(run), signal.SIGKILL)
    found = executions.get(run)
    assert (found.state, found.result, found.error) == (State.CANCELLED, None, "cancelled by bob")
