"""Waiting for an execution, with an end to patience."""

import time

from cdp.executions.port import Execution, Executions


def wait(executions: Executions, run_id: str, seconds: float = 120) -> Execution:
    """Wait until the execution has ended and return it."""
    deadline = time.monotonic() + seconds
    while not (found := executions.get(run_id)).state.ended and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
