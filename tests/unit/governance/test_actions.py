"""Actions: the role is read when they act, and the audit log tells of every one."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.access import NotPermitted, Role
from cdp.domain.errors import CdpError
from cdp.domain.policy import Policy
from cdp.executions.local import LocalExecutions
from cdp.executions.port import ExecutionNotFound, State
from cdp.governance.accounts import USERS, AccountError, Accounts
from cdp.governance.actions import Actor, Governance, RefreshRunning, Shell
from cdp.governance.audit import AUDIT, Audit
from cdp.governance.desk import Identifier
from cdp.profiles.port import AlreadyExists, Conflict
from cdp.profiles.sqlite import SqliteDocuments
from tests.people import PASSWORD, ROUNDS, Clock, add, audited, change, tamper
from tests.waiting import wait

POLICY = Policy.load(None)

# A run that ends when it is told to, or at once where its argument says so.
SCRIPT = """
import sys, time
from pathlib import Path
from cdp.executions.local import LocalExecutions, hold
from cdp.executions.port import State
home, id, lock = Path(sys.argv[1]), sys.argv[3], int(sys.argv[5])
hold(lock)
executions = LocalExecutions(home)
found = executions.begin(id)
with executions.recorder(id) as recorder:
    deadline = time.monotonic() + 60
    while not found.argument["full"] and time.monotonic() < deadline:
        if recorder.cancelled():
            executions.end(id, State.CANCELLED, error="cancelled")
            sys.exit()
        time.sleep(0.02)
executions.end(id, State.SUCCEEDED, result={})
"""
AT_ONCE = {"since": None, "until": "2026-10-01", "full": True}
UNTIL_CANCELLED = {"since": None, "until": None, "full": False}


class Moment:
    """The audit log's clock, which is read just before the commit; tests act at that moment."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> datetime:
        act, self.meanwhile = self.meanwhile, lambda: None
        act()
        return datetime.now(UTC)


@pytest.fixture
def documents(tmp_path: Path) -> SqliteDocuments:
    """A store with an admin, a marketer, and somebody who was disabled as an admin."""
    store = SqliteDocuments(tmp_path / "documents.sqlite")
    add(store, "ada", Role.ADMIN)
    add(store, "max")
    add(store, "dora", Role.ADMIN)
    change(store, "dora", disabled=True)
    return store


@pytest.fixture
def executions(tmp_path: Path) -> Iterator[LocalExecutions]:
    found = LocalExecutions(tmp_path, (sys.executable, "-c", SCRIPT, str(tmp_path)))
    yield found
    for execution in found.list():
        found.cancel(execution.id, by="the end of the test")
        wait(found, execution.id)


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def governance(
    documents: SqliteDocuments, executions: LocalExecutions, moment: Moment
) -> Governance:
    accounts = Accounts(documents, rounds=ROUNDS)
    audit = Audit(documents, clock=moment)
    return Governance(
        documents,
        accounts,
        audit,
        executions,
        executions.start,
        policy=POLICY,
        profiles_of=lambda _: [],
        is_erased=lambda _: False,
    )


Act = Callable[[Governance, Actor], object]

ADMINS_ONLY: dict[str, Act] = {
    "refresh:start": lambda g, who: g.start_refresh(who, AT_ONCE),
    "refresh:cancel": lambda g, who: g.cancel_run(who, "some-run"),
    "profiles:export": lambda g, who: g.export(who, {}, 3, "asked for it"),
    "consent:decide": lambda g, who: g.decide(
        who, "user_id", "ada", "ads", "denied", channel="phone", reason="asked for it"
    ),
    "consent:resolve": lambda g, who: g.resolve(
        who, "p_1", [Identifier("user_id", "ada")], "ads", "granted", reason="asked for it"
    ),
    "account:add": lambda g, who: g.add_account(
        who, "new", name="", role=Role.ADMIN, password=PASSWORD
    ),
    "account:password": lambda g, who: g.set_password(who, "max", "another password"),
    "account:role": lambda g, who: g.set_role(who, "max", Role.ADMIN),
    "account:disable": lambda g, who: g.set_disabled(who, "max", disabled=True),
    "account:enable": lambda g, who: g.set_disabled(who, "dora", disabled=False),
}
EVERYBODYS: dict[str, Act] = {
    "profile:reveal": lambda g, who: g.reveal(who, "p_1", "the customer called"),
    "profile:download": lambda g, who: g.download(who, "p_1", whole=False),
}
CHANGES = [name for name in ADMINS_ONLY if name.startswith("account:")]


def users(documents: SqliteDocuments) -> dict[str, dict[str, Any]]:
    return {found.id: found.body for found in documents.page(USERS, limit=100).documents}


def refused(governance: Governance, documents: SqliteDocuments, action: str, who: str) -> str:
    """Take the action, see that it changed nothing and left one row, and return what was said."""
    before = users(documents)
    with pytest.raises(NotPermitted) as error:
        (ADMINS_ONLY | EVERYBODYS)[action](governance, who)
    assert audited(documents, "actor", "action", "outcome") == [(who, action, "refused")]
    assert users(documents) == before
    return str(error.value)


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ADMINS_ONLY)
def test_a_marketer_is_refused_what_admins_do(
    governance: Governance, documents: SqliteDocuments, executions: LocalExecutions, action: str
) -> None:
    told = refused(governance, documents, action, "max")
    assert "needs the role admin; yours is marketer" in told
    assert executions.list() == []


@pytest.mark.parametrize("who", ["dora", "nobody", "shell:root"])
@pytest.mark.parametrize("action", [*ADMINS_ONLY, *EVERYBODYS])
def test_whoever_has_no_active_account_is_refused_everything(
    governance: Governance,
    documents: SqliteDocuments,
    executions: LocalExecutions,
    action: str,
    who: str,
) -> None:
    assert "yours is none" in refused(governance, documents, action, who)
    assert executions.list() == []


@pytest.mark.parametrize("role", [Role.MARKETER, None, "owner"])
@pytest.mark.parametrize("action", ADMINS_ONLY)
def test_the_role_that_counts_is_the_one_at_that_moment(
    governance: Governance, documents: SqliteDocuments, action: str, role: str | None
) -> None:
    tamper(documents, "ada", lambda body: body.update(role=role))
    refused(governance, documents, action, "ada")


@pytest.mark.parametrize("action", EVERYBODYS)
def test_a_marketer_may_look_closer_and_the_log_tells(
    governance: Governance, documents: SqliteDocuments, action: str
) -> None:
    EVERYBODYS[action](governance, "max")
    assert audited(documents, "actor", "action", "target", "outcome") == [
        ("max", action, "p_1", "done")
    ]


@pytest.mark.parametrize("action", CHANGES)
@pytest.mark.parametrize("who", ["ada", Shell("root")])
def test_admins_and_the_shell_change_accounts_and_the_log_tells(
    governance: Governance, documents: SqliteDocuments, action: str, who: Actor
) -> None:
    before = users(documents)
    ADMINS_ONLY[action](governance, who)
    assert users(documents) != before
    name = "shell:root" if isinstance(who, Shell) else who
    assert audited(documents, "actor", "action", "outcome") == [(name, action, "done")]


def test_a_day_has_as_many_reveals_as_the_policy_says_and_the_log_tells_of_the_next(
    documents: SqliteDocuments, executions: LocalExecutions
) -> None:
    clock = Clock()
    access = POLICY.access.model_copy(update={"reveals_a_day": 2})
    governance = Governance(
        documents,
        Accounts(documents),
        Audit(documents, clock=clock),
        executions,
        executions.start,
        policy=POLICY.model_copy(update={"access": access}),
        profiles_of=lambda _: [],
        is_erased=lambda _: False,
    )
    for profile_id in ("p_1", "p_2"):
        governance.reveal("max", profile_id, "the customer called")
    with pytest.raises(NotPermitted, match="you revealed 2 profiles today, and the policy permits"):
        governance.reveal("max", "p_3", "the customer called")
    governance.reveal("ada", "p_3", "the customer called")
    clock.pass_by(hours=12)
    governance.reveal("max", "p_3", "the customer called")
    rows = audited(documents, "actor", "target", "outcome", action="profile:reveal")
    assert sorted(rows) == [  # of one moment in any order
        ("ada", "p_3", "done"),
        ("max", "p_1", "done"),
        ("max", "p_2", "done"),
        ("max", "p_3", "done"),
        ("max", "p_3", "refused"),
    ]


# --- the change and its row -----------------------------------------------------------------------


@pytest.mark.parametrize("action", CHANGES)
def test_a_change_that_cannot_be_kept_leaves_no_row(
    governance: Governance, documents: SqliteDocuments, moment: Moment, action: str
) -> None:
    def another_was_faster() -> None:
        if action == "account:add":
            add(documents, "new")
        else:
            change(documents, "dora" if action == "account:enable" else "max", name="Changed")

    moment.meanwhile = another_was_faster
    with pytest.raises((AlreadyExists, Conflict)):
        ADMINS_ONLY[action](governance, "ada")
    after = users(documents)
    assert audited(documents, "action") == []
    assert after["max"]["role"] == "marketer"
    assert not after["max"]["disabled"]
    assert after["dora"]["disabled"]
    assert after.get("new", {}).get("role") != "admin"


def test_a_row_that_cannot_be_kept_leaves_no_change(
    governance: Governance, documents: SqliteDocuments
) -> None:
    before = users(documents)
    with pytest.raises(TypeError):  # half a surrogate pair is not JSON
        governance.set_role(Shell("\ud800"), "max", Role.ADMIN)
    assert users(documents) == before
    assert documents.count(AUDIT) == 0


def test_rows_about_accounts_hold_neither_password_nor_address(
    governance: Governance, documents: SqliteDocuments
) -> None:
    governance.add_account(
        "ada", "new", name="New", role=Role.MARKETER, email="n@example.com", password=PASSWORD
    )
    governance.set_password("ada", "new", "another password")
    kept = str(users(documents)["new"]["password"])
    told = repr(documents.page(AUDIT, limit=100).documents)
    for secret in (PASSWORD, "another password", "n@example.com", kept):
        assert secret not in told


def test_what_is_not_accepted_changes_nothing_and_is_no_row(
    governance: Governance, documents: SqliteDocuments
) -> None:
    before = users(documents)
    for attempt in (
        lambda: governance.set_password("ada", "max", ""),
        lambda: governance.set_password("ada", "max", "short"),
        lambda: governance.set_password("ada", "nobody", "another password"),
        lambda: governance.set_role("ada", "nobody", Role.ADMIN),
        lambda: governance.add_account("ada", "max", name="", role=Role.ADMIN, password=PASSWORD),
    ):
        with pytest.raises(AccountError):
            attempt()
    assert users(documents) == before
    assert documents.count(AUDIT) == 0


@pytest.mark.parametrize("reason", ["", "why not", "          ", "a  b   c  d"])
def test_a_reason_must_say_something(
    governance: Governance, documents: SqliteDocuments, reason: str
) -> None:
    with pytest.raises(CdpError, match="say why, in 8 characters or more"):
        governance.reveal("ada", "p_1", reason)
    with pytest.raises(CdpError, match="say why, in 8 characters or more"):
        governance.export("ada", {}, 1, reason)
    assert documents.count(AUDIT) == 0


def test_a_reason_is_kept_on_one_line_and_not_without_end(
    governance: Governance, documents: SqliteDocuments
) -> None:
    governance.reveal("max", "p_1", "  the customer\ncalled ")
    governance.reveal("max", "p_1", "x" * 9000)
    assert audited(documents, "reason") == [("the customer called",), ("x" * 500,)]


def test_signing_in_and_out_and_a_lock_are_told(
    governance: Governance, documents: SqliteDocuments
) -> None:
    governance.signed_in("max", "password")
    governance.locked_out("max")
    governance.sign_out("max")
    assert audited(documents, "actor", "action", "outcome") == [
        ("max", "session:begin", "done"),
        ("max", "session:locked", "refused"),
        ("max", "session:end", "done"),
    ]
    assert users(documents)["max"]["signed_out_at"] > "2026"


def test_loaded_files_are_told_by_name(governance: Governance, documents: SqliteDocuments) -> None:
    governance.loaded(Shell("root"), "links", {"links.csv": 7})
    assert audited(documents, "actor", "action", "details") == [
        ("shell:root", "load:links", {"files": {"links.csv": 7}})
    ]


# --- runs -----------------------------------------------------------------------------------------


def test_a_start_is_told_before_and_after_with_its_run(
    governance: Governance, documents: SqliteDocuments, executions: LocalExecutions
) -> None:
    run_id = governance.start_refresh("ada", AT_ONCE)
    run = wait(executions, run_id)
    assert (run.state, run.started_by, dict(run.argument)) == (State.SUCCEEDED, "ada", AT_ONCE)
    told = {"until": "2026-10-01", "full": True}
    assert audited(documents, "actor", "action", "outcome", "details") == [
        ("ada", "refresh:start", "begun", told),
        ("ada", "refresh:start", "done", {**told, "run_id": run_id}),
    ]


def test_a_start_that_fails_is_told_as_such(documents: SqliteDocuments, tmp_path: Path) -> None:
    nowhere = LocalExecutions(tmp_path, (str(tmp_path / "no-such-command"),))
    governance = Governance(
        documents,
        Accounts(documents),
        Audit(documents),
        nowhere,
        nowhere.start,
        policy=POLICY,
        profiles_of=lambda _: [],
        is_erased=lambda _: False,
    )
    with pytest.raises(FileNotFoundError):
        governance.start_refresh("ada", AT_ONCE)
    assert audited(documents, "outcome") == [("begun",), ("failed",)]
    (last,) = audited(documents, "details", outcome="failed")
    assert "no-such-command" in last[0]["error"]


def test_nothing_is_started_that_the_log_could_not_tell_of(
    governance: Governance, executions: LocalExecutions, moment: Moment
) -> None:
    def unwritable() -> None:
        raise OSError("the disk is full")

    moment.meanwhile = unwritable
    with pytest.raises(OSError, match="the disk is full"):
        governance.start_refresh("ada", AT_ONCE)
    assert executions.list() == []


def test_while_a_run_goes_on_no_other_is_started(
    governance: Governance, documents: SqliteDocuments, executions: LocalExecutions
) -> None:
    run_id = governance.start_refresh("ada", UNTIL_CANCELLED)
    for seen in (None, run_id, ""):
        with pytest.raises(RefreshRunning, match=f"run {run_id} by ada is at it"):
            governance.start_refresh("ada", AT_ONCE, seen=seen)
    assert [run.id for run in executions.list()] == [run_id]
    assert audited(documents, "outcome") == [("begun",), ("done",)]


def test_whoever_decided_before_another_run_was_started_is_told(
    governance: Governance, executions: LocalExecutions
) -> None:
    first = governance.start_refresh("ada", AT_ONCE, seen="")  # the first of all
    wait(executions, first)
    with pytest.raises(RefreshRunning, match=f"ada started run {first} meanwhile"):
        governance.start_refresh("ada", AT_ONCE, seen="")
    second = governance.start_refresh("ada", AT_ONCE, seen=first)
    wait(executions, second)
    with pytest.raises(RefreshRunning, match=f"ada started run {second} meanwhile"):
        governance.start_refresh("ada", AT_ONCE, seen=first)
    assert {run.id for run in executions.list()} == {first, second}


def test_a_cancelled_run_says_by_whom_and_the_log_tells_before_and_after(
    governance: Governance, documents: SqliteDocuments, executions: LocalExecutions
) -> None:
    run_id = governance.start_refresh(Shell("root"), UNTIL_CANCELLED)
    governance.cancel_run("ada", run_id)
    run = wait(executions, run_id)
    assert (run.state, run.cancel_requested_by) == (State.CANCELLED, "ada")
    assert audited(documents, "actor", "target", "outcome", action="refresh:cancel") == [
        ("ada", run_id, "begun"),
        ("ada", run_id, "done"),
    ]


def test_what_has_ended_or_never_was_cannot_be_cancelled(
    governance: Governance, documents: SqliteDocuments, executions: LocalExecutions
) -> None:
    run_id = governance.start_refresh(Shell("root"), AT_ONCE)
    wait(executions, run_id)
    with pytest.raises(CdpError, match="has ended already: succeeded"):
        governance.cancel_run("ada", run_id)
    with pytest.raises(ExecutionNotFound):
        governance.cancel_run("ada", "no-such-run")
    assert audited(documents, "outcome", action="refresh:cancel") == []
