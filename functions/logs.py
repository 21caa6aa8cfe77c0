"""Logs as Cloud Logging reads them: one JSON object a line, with its severity and its trace."""

import json
import logging
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Final

import flask

_TRACE: Final = re.compile(r"(?:00-)?([0-9a-f]{32})\b")


class JsonLines(logging.Formatter):
    """Writes severity, message, the record's `fields` and the request's trace.

    Args:
        project: whose traces they are; None for none.
    """

    def __init__(self, project: str | None) -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"severity": record.levelname, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            # Its text may quote a person's data: tell its kind and place only.
            place = traceback.extract_tb(record.exc_info[2])[-1]
            line["error"] = f"{record.exc_info[0].__name__} at {Path(place.filename).name}"
            line["error"] += f":{place.lineno}"
        trace = _trace()
        if self._project and trace:
            line["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace}"
        return json.dumps(line | getattr(record, "fields", {}), default=str)


def configure() -> None:
    """Log to standard output, unless the program around the functions has its own way."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonLines(os.environ.get("CDP_PROJECT")))
        root.addHandler(handler)
        root.setLevel(logging.INFO)


def _trace() -> str | None:
    """Return the id of the trace that the request belongs to."""
    if not flask.has_request_context():
        return None
    headers = flask.request.headers
    for name in ("traceparent", "X-Cloud-Trace-Context"):
        if found := _TRACE.match(headers.get(name, "")):
            return found[1]
    return None
