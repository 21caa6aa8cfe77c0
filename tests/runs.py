"""Runs that a test says are at it, and the consent that lets their rows set everything."""

from typing import Any, Final

from cdp.domain.policy import Policy
from cdp.profiles.port import DocumentStore, Put
from cdp.refresh.gate import noted

GRANTED: Final = {
    name: {"state": "granted"} for name in sorted(Policy.load(None).purposes)
}  # as a row states it, and as the document keeps it


def begin(
    documents: DocumentStore, run_id: str, *, seq: int = 1, state: str = "running", **more: Any
) -> None:
    """Let *run_id* be a run under the policy that ships."""
    permission = noted(Policy.load(None).permission())
    run = {"run_id": run_id, "seq": seq, "state": state, **permission, **more}
    documents.commit([Put("runs", run_id, run)])
