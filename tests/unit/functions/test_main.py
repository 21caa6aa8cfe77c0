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


class Answering:
    def __init__(self, answer):
        self._answer = answer

    def call(self, name, run_id, body):
        return self._answer


def ask(monkeypatch, error):
    return asked(monkeypatch, Failing(error))


def asked(monkeypatch, steps):
    monkeypatch.setattr(main, "platform", lambda: SimpleNamespace(steps=steps))
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


ENDED = {"state": "succeeded", "complete_until": "2026-10-25", "days_behind": 7}


@pytest.mark.parametrize("answer", [ENDED, {"nothing_new": True, "outcome": ENDED}])
def test_the_end_of_a_run_is_logged_with_how_far_the_export_is_complete(
    monkeypatch, caplog, answer
):
    with caplog.at_level(logging.INFO):
        asked(monkeypatch, Answering(answer))
    (record,) = caplog.records
    assert ENDED.items() <= record.fields.items()


def test_a_secret_that_a_step_hands_out_is_not_logged(monkeypatch, caplog):
    salt = {"name": "salt", "parameterValue": {"value": "of-the-sea"}}
    with caplog.at_level(logging.INFO):
        asked(monkeypatch, Answering({"salt": salt}))
    (record,) = caplog.records
    assert "of-the-sea" not in str(record.__dict__)
