"""What Cloud Logging reads."""

import json
import logging
import sys

import flask
import pytest

from functions.logs import JsonLines

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def line(project="my-project", *, error=None, **more):
    record = logging.LogRecord("cdp", logging.ERROR, "x.py", 1, "said %s", ("it",), error)
    record.__dict__.update(more)
    text = JsonLines(project).format(record)
    assert "\n" not in text
    return json.loads(text)


def test_an_entry_is_its_severity_its_message_and_its_fields():
    told = line(fields={"run_id": "r1", "shard": 3})
    assert told == {"severity": "ERROR", "message": "said it", "run_id": "r1", "shard": 3}


@pytest.mark.parametrize(
    "header",
    [
        {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
        {"X-Cloud-Trace-Context": f"{TRACE}/67667974448284343;o=1"},
        {"X-Cloud-Trace-Context": TRACE, "traceparent": "none"},
    ],
)
def test_an_entry_of_a_request_names_its_trace(header):
    with flask.Flask("t").test_request_context(headers=header):
        told = line()
        assert told["logging.googleapis.com/trace"] == f"projects/my-project/traces/{TRACE}"
        assert "logging.googleapis.com/trace" not in line(None)
    assert "logging.googleapis.com/trace" not in line()


def test_the_text_of_an_error_is_not_told():
    try:
        int("jane@example.com")
    except ValueError:
        told = line(error=sys.exc_info())
    assert told["error"].startswith("ValueError at test_logs.py:")
    assert "jane" not in json.dumps(told)
