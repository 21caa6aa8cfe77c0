"""How the steps function tells what went wrong; the rest is in tests/e2e/test_functions.py."""

import logging
from types import SimpleNamespace

import flask
import pytest

from cdp.domain.errors import CdpError, Unavailable
from cdp.refresh.runs import LeaseLost
from cdp.refresh.steps import UnknownStep
from functions import main


class Failing:
    def __init__(self, error):
        self._error = error

    def call(self, name, run_id, body):
        raise self._error


def ask(monkeypatch, error):
    monkeypatch.setattr(main, "platform", lambda: SimpleNamespace(steps=Failing(error)))
    with flask.Flask("t").test_request_context("/plan", method="POST", json={"run_id": "r1"}):
        body, status, *_ = main.steps(flask.request)
    return status, body


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownStep("no such step"), 404),
        (LeaseLost("another run took over"), 409),
        (CdpError("the rows are not the export's"), 409),
        (Unavailable("the bucket does not answer"), 503),
    ],
)
def test_what_a_step_says_is_the_answer(monkeypatch, error, status):
    assert ask(monkeypatch, error) == (status, {"error": str(error)})


def test_a_fault_is_raised_and_its_text_is_not_logged(monkeypatch, caplog):
    with caplog.at_level(logging.INFO), pytest.raises(KeyError):
        ask(monkeypatch, KeyError("jane@example.com"))
    (record,) = caplog.records
    assert record.fields["reason"].startswith("KeyError at test_main.py:")
    assert record.fields["run_id"] == "r1"
