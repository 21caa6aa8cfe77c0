"""Executes one workflow text in a process of its own, as `cdp execute` does the refresh.

python -m tests.contract.execute HOME TEXT execute ID --lock N
"""

import sys
from pathlib import Path

from cdp.executions.local import LocalExecutions, hold
from cdp.executions.port import State
from cdp.workflow_engine import Interpreter, WorkflowCancelled, WorkflowFailure, load

home, text, _, id, _, lock = sys.argv[1:]
hold(int(lock))
executions = LocalExecutions(Path(home))
found = executions.begin(id)
with executions.recorder(id) as recorder:
    definition = load(Path(text).read_text("utf-8"), connectors=())
    interpreter = Interpreter(
        definition, connectors={}, env={}, observer=recorder, cancelled=recorder.cancelled
    )
    state, result, error = State.SUCCEEDED, None, None
    try:
        result = interpreter.run(dict(found.argument))
    except WorkflowCancelled:
        by = executions.get(id).cancel_requested_by
        state, error = State.CANCELLED, f"cancelled by {by}"
    except WorkflowFailure as failure:
        state, error = State.FAILED, str(failure)
executions.end(id, state, result=result, error=error)
