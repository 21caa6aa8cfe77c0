"""The contract of executions; Google's client talks to a server over the embedded engine."""

import json
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.cloud.workflows import executions_v1 as ev

from cdp.executions.local import LocalExecutions
from cdp.executions.port import (
    ExecutionNotFound,
    ExecutionsDenied,
    ExecutionsExhausted,
    ExecutionsUnavailable,
    State,
    WorkflowNotDeployed,
)
from cdp.refresh.follow import Follower
from tests.cloud.workflows import PARENT, CloudWorkflows, connect
from tests.waiting import wait

TEXT = Path(__file__).with_name("executions.yaml")
NOBODY = "00000000-0000-4000-8000-000000000000"
Code = grpc.StatusCode
UNTOLD = pytest.param(
    "cloud",
    marks=pytest.mark.xfail(
        reason="Google keeps nobody's name; the audit log tells", raises=AssertionError
    ),
)


def embedded(home):
    command = (sys.executable, "-m", "tests.contract.execute", str(home), str(TEXT))
    return LocalExecutions(home, command)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Executions by the name of their adapter; the tests of this module share their homes."""
    with ExitStack() as stack:
        server = CloudWorkflows(embedded(tmp_path_factory.mktemp("cloud")))
        stack.enter_context(server)
        yield {
            "local": embedded(tmp_path_factory.mktemp("local")),
            "cloud": connect(server.address, server.url),
        }


@pytest.fixture(params=["local", "cloud"])
def executions(request, made):
    return made[request.param]


@pytest.fixture(scope="module", params=["local", "cloud"])
def refreshed(request, made):
    """Executions and the id of one that has gone through every kind of step."""
    run = made[request.param].start({"do": "refresh"}, by="ada")
    assert wait(made[request.param], run).state is State.SUCCEEDED
    return made[request.param], run


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


# --- one execution --------------------------------------------------------------------------------


def test_an_execution_ends_with_its_result_and_tells_who_gave_which_argument(refreshed):
    executions, run = refreshed
    found = executions.get(run)
    assert (found.id, found.state, found.result) == (run, State.SUCCEEDED, {"answer": 3})
    assert (found.argument, found.started_by) == ({"do": "refresh"}, "ada")
    assert (found.error, found.cancel_requested_by) == (None, None)
    assert found.created_at <= found.ended_at
    assert found.created_at.tzinfo is not None


@pytest.mark.parametrize("by", ["shell:root", "Zoë O'Neill", "a" * 100])
def test_any_name_of_who_started_it_is_kept(executions, by):
    run = executions.start({"do": "nothing", "since": None, "full": True}, by=by)
    found = executions.get(run)
    assert found.started_by == by
    assert found.argument == {"do": "nothing", "since": None, "full": True}
    wait(executions, run)


def test_a_failure_is_told_in_words_with_its_step(executions):
    run = executions.start({"do": "fail"}, by="ada")
    found = wait(executions, run)
    words = "the step function is away (code 503)"
    assert (found.state, found.result) == (State.FAILED, None)
    assert found.error == f"{words} (in step 'fail' of workflow 'main')"
    failed = [step for step in executions.steps(run) if step.state == "STATE_FAILED"]
    assert [(step.step, step.exception) for step in failed] == [("fail", words)]


def test_an_unknown_id_is_told(executions):
    for ask in (
        executions.get,
        executions.steps,
        lambda run: executions.cancel(run, by="bob"),
    ):
        with pytest.raises(ExecutionNotFound, match=f"no run {NOBODY}; `cdp runs`"):
            ask(NOBODY)


# --- cancelling -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["local", "cloud"])
def cancelled(request, made):
    """An execution that was cancelled at work."""
    executions = made[request.param]
    run = executions.start({"do": "wait"}, by="ada")
    until(lambda: len(executions.steps(run)) > 5)
    assert executions.get(run).state is State.ACTIVE
    executions.cancel(run, by="bob")
    return wait(executions, run)


def test_a_cancelled_execution_stops(cancelled):
    assert (cancelled.state, cancelled.result) == (State.CANCELLED, None)
    assert cancelled.ended_at is not None


@pytest.mark.parametrize("cancelled", ["local", UNTOLD], indirect=True)
def test_a_cancelled_execution_tells_who_asked(cancelled):
    assert cancelled.cancel_requested_by == "bob"


def test_cancelling_what_has_ended_changes_nothing(refreshed):
    executions, run = refreshed
    before = executions.get(run)
    executions.cancel(run, by="bob")
    assert executions.get(run) == before


# --- lists ----------------------------------------------------------------------------------------


def test_the_newest_come_first_and_no_more_than_asked_for(executions):
    started = [executions.start({"do": "nothing"}, by="ada") for _ in range(3)]
    for run in started:
        wait(executions, run)
    newest = list(reversed(started))
    assert [found.id for found in executions.list(limit=3)] == newest
    assert [found.id for found in executions.list(limit=1)] == newest[:1]
    assert list(executions.list(limit=2)) == [executions.get(run) for run in newest[:2]]


# --- steps ----------------------------------------------------------------------------------------


def test_a_trace_tells_of_every_step_in_order_with_what_is_around_it(refreshed):
    executions, run = refreshed
    steps = executions.steps(run)
    assert [step.id for step in steps] == list(range(1, len(steps) + 1))
    named = {step.id: step for step in steps}
    iterations = [step for step in steps if step.type == "STEP_FOR_ITERATION"]
    assert [named[step.parent].type for step in iterations] == ["STEP_FOR", "STEP_FOR"]
    assert steps[0].parent is None
    assert {step.routine for step in steps} == {"main", "refresh", "always"}
    assert all(step.started_at <= step.ended_at for step in steps)


def test_each_attempt_is_told_with_what_went_wrong(refreshed):
    executions, run = refreshed
    tries = [step for step in executions.steps(run) if step.type == "STEP_TRY"]
    assert [(step.attempt, step.state, step.exception) for step in tries] == [
        (1, "STATE_FAILED", "not yet"),
        (2, "STATE_FAILED", "not yet"),
        (3, "STATE_SUCCEEDED", None),
    ]
    retries = [step for step in executions.steps(run) if step.type == "STEP_RETRY"]
    assert [step.attempt for step in retries] == [1, 2]


def test_steps_grow_while_it_runs_and_each_change_is_told_once(executions):
    run = executions.start({"do": "wait"}, by="ada")
    follower, heard = Follower(executions, run), []

    def rounds():
        heard.extend(follower.news())
        return sum(step.step == "wait" and step.ended_at is not None for step in heard) > 4

    until(rounds)
    executions.cancel(run, by="ada")
    wait(executions, run)
    heard.extend(follower.news())
    assert list(follower.news()) == []
    assert len(heard) == len(set(heard))
    last = {step.id: step for step in heard}
    assert list(last.values()) == executions.steps(run)


def test_what_has_not_changed_for_long_is_not_told_again(refreshed):
    executions, run = refreshed
    last = max(step.revision for step in executions.steps(run))
    assert executions.steps(run, after=last + 60_000_000) == []


def test_phases_are_the_steps_of_the_refresh_and_not_their_parts(refreshed):
    follower = Follower(*refreshed)
    assert len(list(follower.news())) > 20
    phases = [(phase.name, phase.state) for phase in follower.phases()]
    assert phases == [(name, "STATE_SUCCEEDED") for name in ("plan", "clean", "link")]


# --- Google's ways --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with CloudWorkflows(embedded(tmp_path_factory.mktemp("google"))) as server:
        yield server


@pytest.fixture(scope="module")
def google(server):
    return connect(server.address, server.url)


def test_more_entries_than_a_page_holds_are_all_read(google):
    run = google.start({"do": "loop", "rounds": 600}, by="ada")
    assert wait(google, run).result == {"answer": 642}
    steps = google.steps(run)
    assert len(steps) > 1200
    assert [step.id for step in steps] == list(range(1, len(steps) + 1))


def foreign(name, **more):
    """An execution that was started elsewhere, as Google tells of it."""
    began = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
    return ev.Execution(name=name, **{"start_time": began, "state": "ACTIVE"} | more)


def entry(number, changed, **more):
    """A step entry with nothing but what Google always tells."""
    began = "2026-03-01T04:00:00Z"
    told = {"entryId": str(number), "createTime": began, "updateTime": changed}
    step = {"routine": "main", "step": "a", "stepType": "STEP_ASSIGN", "state": "STATE_SUCCEEDED"}
    return told | step | more


def test_an_entry_that_is_seen_late_is_told_all_the_same(server, google):
    # Branches run side by side: what changed at one moment, or before, may be seen afterwards.
    two = entry(2, "2026-03-01T04:00:10.000000200Z")
    server.keep(foreign("late"), [two])
    follower = Follower(google, "late")
    assert [step.id for step in follower.news()] == [2]
    beside = entry(3, "2026-03-01T04:00:10.000000200Z")
    server.keep(foreign("late"), [entry(1, "2026-03-01T04:00:09.5Z"), two, beside])
    assert [step.id for step in follower.news()] == [1, 3]
    assert list(follower.news()) == []


def test_an_entry_tells_its_times_to_the_microsecond(server, google):
    changed = "2026-03-01T04:00:10.123456789Z"
    running = entry(2, changed, state="STATE_IN_PROGRESS", navigationInfo={"parent": "1"})
    server.keep(foreign("times"), [entry(1, changed), running])
    one, two = google.steps("times")
    began = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
    ended = began + timedelta(seconds=10, microseconds=123456)
    assert (one.started_at, one.ended_at, one.parent) == (began, ended, None)
    assert (two.started_at, two.ended_at, two.parent) == (began, None, 1)


def test_more_executions_than_a_page_holds_are_all_listed(server, google):
    first = datetime(2020, 1, 1, tzinfo=UTC)
    for number in range(150):
        began = first + timedelta(minutes=number)
        server.keep(foreign(f"old-{number}", start_time=began, end_time=began, state="SUCCEEDED"))
    old = [found.id for found in google.list(limit=1000) if found.id.startswith("old-")]
    assert old == [f"old-{number}" for number in reversed(range(150))]


@pytest.mark.parametrize(
    ("argument", "labels", "by", "given"),
    [
        ('{"full": true}', {"source": "schedule"}, "schedule", {"full": True}),
        ("null", {}, "unknown", {}),
        ("", {"source": "cdp"}, "unknown", {}),
        ("[1, 2]", {}, "unknown", {}),
        ('{"started_by": 7}', {}, "unknown", {}),
    ],
)
def test_an_execution_that_was_started_elsewhere_is_told(server, argument, labels, by, given):
    server.keep(foreign("elsewhere", argument=argument, labels=labels))
    found = connect(server.address, server.url).get("elsewhere")
    assert (found.started_by, found.argument) == (by, given)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"payload": '"no such day"'}, "no such day"),
        ({"payload": "not JSON", "context": "x"}, "not JSON"),
        ({"context": "TypeError: got null\nin step"}, "TypeError: got null"),
        ({}, "it failed without a word"),
        (
            {
                "payload": json.dumps({"message": "argument is null", "tags": ["TypeError"]}),
                "stack_trace": {
                    "elements": [
                        {"step": "inner", "routine": "sql"},
                        {"step": "outer", "routine": "main"},
                    ]
                },
            },
            "argument is null (in step 'inner' of workflow 'sql')",
        ),
    ],
)
def test_googles_error_becomes_one_sentence(server, google, error, words):
    ended = datetime(2026, 3, 1, 4, 1, tzinfo=UTC)
    server.keep(foreign("failed", state="FAILED", end_time=ended, error=ev.Execution.Error(error)))
    found = google.get("failed")
    assert (found.state, found.error, found.ended_at) == (State.FAILED, words, ended)


def test_an_execution_that_google_cannot_read_is_failed_and_tells_why(server, google):
    details = ev.Execution.StateError(details="the key was revoked")
    server.keep(foreign("unreadable", state="UNAVAILABLE", state_error=details))
    found = google.get("unreadable")
    assert (found.state, found.ended_at) == (State.FAILED, found.created_at)
    assert "the key was revoked" in found.error


def test_a_state_of_a_later_api_is_told_as_it_is(server, google):
    paused = foreign("paused")
    ev.Execution.pb(paused).state = 17
    server.keep(paused)
    found = google.get("paused")
    assert (found.state, found.ended_at) == (State.ACTIVE, None)
    assert "a state (17) that this version does not know" in found.error


def test_what_is_queued_has_no_start_yet(server, google):
    server.keep(foreign("queued", state="QUEUED", start_time=None))
    found = google.get("queued")
    assert (found.state, found.ended_at) == (State.QUEUED, None)
    assert found.created_at.tzinfo is not None


# --- when Google refuses --------------------------------------------------------------------------

CALLS = {
    "CreateExecution": lambda google: google.start({"do": "nothing"}, by="ada"),
    "GetExecution": lambda google: google.get(NOBODY),
    "ListExecutions": lambda google: google.list(),
    "CancelExecution": lambda google: google.cancel(NOBODY, by="ada"),
    "ListStepEntries": lambda google: google.steps(NOBODY),
}
REFUSALS = [
    (Code.PERMISSION_DENIED, ExecutionsDenied, "grant the account .* roles/workflows.invoker"),
    (Code.UNAUTHENTICATED, ExecutionsDenied, "gcloud auth application-default login"),
    (Code.RESOURCE_EXHAUSTED, ExecutionsExhausted, "wait a minute, or raise it"),
    (Code.INTERNAL, ExecutionsUnavailable, "did not do it"),
]


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal[0].name)
def test_a_refusal_names_its_fix(server, google, method, refusal):
    code, problem, fix = refusal
    server.refuse(method, code, "words of Google")
    with pytest.raises(problem, match=fix) as told:
        CALLS[method](google)
    assert "words of Google" in str(told.value)


def test_a_workflow_that_is_not_there_is_told_with_what_deploys_it(server):
    google = connect(server.address, server.url, PARENT.replace("cdp-refresh", "other"))
    for act in (google.list, lambda: google.start({}, by="ada")):
        with pytest.raises(WorkflowNotDeployed, match="gcloud workflows deploy other --source"):
            act()


def test_a_workflow_that_cannot_start_is_told(server, google):
    server.refuse("CreateExecution", Code.FAILED_PRECONDITION, "the workflow is disabled")
    with pytest.raises(WorkflowNotDeployed, match="the workflow is disabled"):
        google.start({}, by="ada")


def test_a_cancel_that_comes_too_late_is_no_error_but_one_that_is_refused_is(server, google):
    server.keep(foreign("over", state="SUCCEEDED", end_time=datetime(2026, 3, 1, 5, tzinfo=UTC)))
    google.cancel("over", by="ada")
    server.keep(foreign("busy"))
    server.refuse("CancelExecution", Code.FAILED_PRECONDITION, "not now")
    with pytest.raises(ExecutionsUnavailable, match="not now"):
        google.cancel("busy", by="ada")


@pytest.mark.parametrize("method", ["GetExecution", "ListExecutions", "ListStepEntries"])
def test_a_short_outage_is_not_seen(server, google, method):
    server.keep(foreign("there", start_time=datetime.now(UTC)))
    server.refuse(method, Code.UNAVAILABLE, "come back", times=2)
    {
        "GetExecution": lambda: google.get("there"),
        "ListExecutions": google.list,
        "ListStepEntries": lambda: google.steps("there"),
    }[method]()


@pytest.mark.parametrize("method", ["GetExecution", "ListExecutions", "ListStepEntries"])
def test_a_long_outage_is_told(server, method):
    google = connect(server.address, server.url, patience=0.1)
    server.refuse(method, Code.UNAVAILABLE, "come back", times=20)
    with pytest.raises(ExecutionsUnavailable, match=r"come back.*try again later"):
        CALLS[method](google)
    server.refuse(method, Code.UNAVAILABLE, "", times=0)


def test_a_start_is_not_tried_again_for_it_could_start_twice(server, google):
    newest = google.list(limit=1)
    server.refuse("CreateExecution", Code.UNAVAILABLE, "gone")
    with pytest.raises(ExecutionsUnavailable, match="nobody knows whether it has started"):
        google.start({"do": "nothing"}, by="ada")
    assert google.list(limit=1) == newest


def test_where_nobody_listens_it_is_told():
    google = connect("127.0.0.1:1", "http://127.0.0.1:1", patience=0.1)
    for act in (google.list, lambda: google.steps(NOBODY)):
        with pytest.raises(ExecutionsUnavailable, match="try again later"):
            act()
