"""An engine for the Google Cloud Workflows language, as Google documents it.

`load` refuses what cannot run; `Interpreter` runs what it loaded. The engine knows nothing of
the application: connectors, HTTP, the clock and the trace are given to it.
"""

from cdp.workflow_engine.errors import (
    CallError,
    WorkflowCancelled,
    WorkflowError,
    WorkflowFailure,
    describe,
)
from cdp.workflow_engine.http_call import http_over_requests
from cdp.workflow_engine.interpreter import Interpreter
from cdp.workflow_engine.loader import load
from cdp.workflow_engine.model import StepType, Workflow
from cdp.workflow_engine.trace import Observer, State, StepEntry

__all__ = [
    "CallError",
    "Interpreter",
    "Observer",
    "State",
    "StepEntry",
    "StepType",
    "Workflow",
    "WorkflowCancelled",
    "WorkflowError",
    "WorkflowFailure",
    "describe",
    "http_over_requests",
    "load",
]
