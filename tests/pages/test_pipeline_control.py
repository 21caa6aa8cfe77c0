"""Runs: what each did and how it ended, and who may start and cancel one."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import Role
from cdp.executions.port import State
from cdp.insight.runs import history
from cdp.ui.words import duration, plain
from tests.pages.property import HOSTILE
from tests.pages.support import go, said, table
from tests.people import audited, change, tamper
from tests.waiting import wait

SignedIn = Callable[[Role], AppTest]


def pipeline(at: AppTest, **query: str) -> AppTest:
    return go(at, "pipeline", **query)


def runs(platform: Platform) -> list[str]:
    """Return the ids of the property's runs: the failed, the partial, the succeeded one."""
    return [run.id for run in platform.executions.list()]


@pytest.mark.parametrize("role", Role)
def test_history_tells_who_what_how_long_and_how_it_ended(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    failed, partial, succeeded = table(pipeline(signed_in(role)), "State", "Outcome")
    assert [row["State"] for row in (failed, partial, succeeded)] == [
        ["failed"],
        ["partial"],
        ["succeeded"],
    ]
    assert all(row["By"].startswith("shell:") for row in (failed, partial, succeeded))
    assert (partial["Changed"], partial["Written"], partial["Rejected"]) == (4, 3, 1)
    assert partial["Outcome"] == "1 row not delivered; the next run tries again"
    assert succeeded["Rejected"] == 0
    assert succeeded["Changed"] == succeeded["Written"] > 300
    assert failed["Outcome"].endswith("is writing the warehouse")
    took = [run.seconds for run in history(refreshed.executions, limit=3)]
    assert [row["Duration"] for row in (failed, partial, succeeded)] == list(map(duration, took))


def test_the_newest_run_is_shown_with_its_error_in_words(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = pipeline(signed_in(Role.MARKETER))
    (told,) = at.error
    assert plain("is writing the warehouse; wait until it ends, or see `cdp runs`.") in told.value
    assert runs(refreshed)[0] in said(at)
    assert "This run exported no shard." in said(go(at, "pipeline", "Receipts"))


def test_a_failed_run_tells_once_which_step_failed_why_and_what_to_do(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    day = refreshed.settings.home / "raw" / "events_20261024.parquet"
    day.write_bytes(day.read_bytes()[:3000])
    run_id = refreshed.executions.start({"full": True}, by="somebody")
    run = wait(refreshed.executions, run_id)
    assert (run.state, str(day) in (run.error or "")) == (State.FAILED, True)
    at = pipeline(signed_in(Role.MARKETER), run=run_id)
    (told,) = at.error
    assert told.value.startswith("Failed in step “Plan the days”")
    assert told.value.endswith(plain("; load its day again."))
    shown = [*said(at).splitlines(), table(at, "State", "Outcome")[0]["Outcome"]]
    assert not [line for line in shown if re.search(r"code|workflow|/raw|HttpError", line)]
    (step,) = table(at, "Step", "What happened")
    assert step["Step"] == "python.post", "the innermost, where the trace has ten"


def test_a_run_by_its_link_tells_its_receipts_and_rejected_rows(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    _, partial, succeeded = runs(refreshed)
    at = go(signed_in(Role.MARKETER), "pipeline", "Receipts", run=partial)
    (receipt,) = table(at, "Shard", "Stale")
    assert (receipt["State"], receipt["Rows"], receipt["Rejected"]) == ("delivered", 4, 1)
    (rejected,) = table(go(at, "pipeline", "Rejected rows", run=partial), "Shard", "Reason")
    (big,) = refreshed.documents.find("big.1")
    assert (rejected["Profile"], rejected["Line"] > 0) == (big, True)
    assert rejected["Reason"] == "the merged document is over 1 MiB"
    assert "No row was rejected." in said(go(at, "pipeline", "Rejected rows", run=succeeded))
    at = pipeline(signed_in(Role.MARKETER), run=succeeded)
    (chart,) = [c.proto for c in at.main.get("plotly_chart")]
    assert chart.alt == "Duration of each phase of the run"


def test_choosing_a_row_shows_that_run(refreshed: Platform, signed_in: SignedIn) -> None:
    at = pipeline(signed_in(Role.MARKETER))
    at.session_state["runs"] = {"selection": {"rows": [2], "columns": [], "cells": []}}
    at.run()
    assert not at.exception
    assert f"{runs(refreshed)[2]} · started by" in said(at)
    assert at.query_params["run"] in (runs(refreshed)[2], [runs(refreshed)[2]])


@pytest.mark.parametrize("run", ["no-such-run", "../x", HOSTILE, "x" * 3000])
def test_a_link_to_no_run_is_told_and_the_newest_shown(
    refreshed: Platform, signed_in: SignedIn, run: str
) -> None:
    at = pipeline(signed_in(Role.MARKETER), run=run)
    assert "no such run among the newest 50" in at.info[0].value
    assert runs(refreshed)[0] in said(at)


def test_a_marketer_sees_buttons_that_do_nothing_and_is_told_why(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = pipeline(signed_in(Role.MARKETER))
    assert at.button(key="start").disabled
    assert "starting and cancelling needs the role admin" in said(at)
    assert "needs the role admin" not in said(pipeline(signed_in(Role.ADMIN)))


@pytest.mark.parametrize("role", Role)
def test_before_the_first_run_the_next_step_is_told(signed_in: SignedIn, role: Role) -> None:
    at = pipeline(signed_in(role))
    assert "No run yet" in said(at)
    assert "start a refresh" in said(at)
    assert not at.dataframe


# --- starting and cancelling ----------------------------------------------------------------------


def test_days_the_wrong_way_round_start_nothing(refreshed: Platform, signed_in: SignedIn) -> None:
    at = pipeline(signed_in(Role.ADMIN))
    at.button(key="start").click().run()
    assert "The newest run began" in said(at)
    at.date_input(key="since").set_value(date(2026, 10, 30))
    at.date_input(key="until").set_value(date(2026, 10, 29))
    at.button(key="start").click().run()
    assert not at.exception
    assert "The first day is after the last one; swap them." in said(at)
    assert "start_it" not in {button.key for button in at.button}


def test_a_refresh_is_started_with_what_was_asked_for(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = pipeline(signed_in(Role.ADMIN))
    at.button(key="start").click().run()
    at.date_input(key="since").set_value(date(2026, 10, 29))
    at.date_input(key="until").set_value(date(2026, 10, 30))
    at.checkbox(key="full").check()
    at.button(key="start").click().run()
    at.button(key="start_it").click().run()
    assert not at.exception
    (run, *others) = refreshed.executions.list()
    assert len(others) == 3
    ended = wait(refreshed.executions, run.id)
    assert (run.started_by, ended.state) == ("ada", State.SUCCEEDED)
    told = {"since": "2026-10-29", "until": "2026-10-30", "full": True}
    assert {name: run.argument[name] for name in told} == told
    rows = audited(refreshed.documents, "outcome", "details", action="refresh:start", actor="ada")
    assert rows == [("begun", told), ("done", told | {"run_id": run.id})]
    shown = table(pipeline(at), "State", "Outcome")[0]
    assert shown["Parameters"] == "since Oct 29, 2026, until Oct 30, 2026, everything anew"


@pytest.fixture
def running(refreshed: Platform) -> Iterator[str]:
    """A run that gets no further than the queue; its id."""
    queue = refreshed.settings.home / "queue.sqlite"
    with closing(sqlite3.connect(queue, isolation_level=None)) as held:
        held.execute("begin immediate")
        run_id = refreshed.executions.start({"full": True}, by="somebody")
        yield run_id
        held.execute("rollback")
        refreshed.executions.cancel(run_id, by="the test")
        wait(refreshed.executions, run_id)


def at_the_dialog(signed_in: SignedIn) -> AppTest:
    at = pipeline(signed_in(Role.ADMIN))
    at.button(key="cancel").click().run()
    assert not at.exception
    assert at.button(key="cancel_it")
    return at


def test_a_running_refresh_is_followed_and_cannot_be_started_twice(
    refreshed: Platform, signed_in: SignedIn, running: str
) -> None:
    at = pipeline(signed_in(Role.MARKETER))
    assert f"Run {running}, started by somebody" in said(at)
    assert "start" not in {button.key for button in at.button}
    assert at.button(key="cancel").disabled


def test_an_admin_cancels_a_run(refreshed: Platform, signed_in: SignedIn, running: str) -> None:
    at = at_the_dialog(signed_in)
    assert running in said(at)
    at.button(key="cancel_it").click().run()
    assert not at.exception
    assert refreshed.executions.get(running).cancel_requested_by == "ada"
    assert audited(refreshed.documents, "actor", "target", "outcome", action="refresh:cancel") == [
        ("ada", running, "begun"),
        ("ada", running, "done"),
    ]


@pytest.mark.parametrize(
    ("lose", "row"),
    [
        pytest.param(
            lambda documents: tamper(documents, "ada", lambda body: body.update(role="marketer")),
            ("refresh:cancel", "refused"),
            id="demoted",
        ),
        pytest.param(
            lambda documents: change(documents, "ada", disabled=True),
            ("session:over", "refused"),
            id="disabled",
        ),
        pytest.param(
            lambda documents: change(documents, "ada"),
            ("session:over", "refused"),
            id="signed out elsewhere",
        ),
    ],
)
def test_who_is_no_admin_any_more_cancels_nothing(
    refreshed: Platform,
    signed_in: SignedIn,
    running: str,
    lose: Callable[..., None],
    row: tuple[str, str],
) -> None:
    at = at_the_dialog(signed_in)
    lose(refreshed.documents)
    at.button(key="cancel_it").click().run()
    assert not at.exception
    assert refreshed.executions.get(running).cancel_requested_by is None
    told = audited(refreshed.documents, "actor", "action", "outcome")
    assert told[-1] == ("ada", *row)
