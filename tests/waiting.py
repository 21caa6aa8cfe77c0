"""Waiting for an execution, with an end to patience."""

import time

from cdp.executions.local import LocalExecutions
from cdp.executions.port import Execution


def wait(executions: LocalExecutions, run_id: str, seconds: float = 120) -> Execution:
    """Wait until the execution has ended and return it."""
    deadline = time.monotonic() + seconds
    while not (found := executions.get(run_id)).state.ended and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
