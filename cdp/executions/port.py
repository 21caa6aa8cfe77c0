"""Port: executions of the workflow: start, follow, list, cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from cdp.domain.errors import CdpError, Unavailable


class ExecutionNotFound(CdpError):  # noqa: N818 - reads as the sentence it is
    """There is no execution of that id."""


class WorkflowNotDeployed(CdpError):  # noqa: N818
    """There is no workflow to execute, or it cannot start; says what deploys it."""


class ExecutionsDenied(CdpError):  # noqa: N818
    """The account that this runs as may not do it; says which role it needs."""


class ExecutionsExhausted(CdpError):  # noqa: N818
    """A quota is used up; says which."""


class ExecutionsUnavailable(Unavailable):
    """Who runs executions gives no answer that is of use; nothing is known of what was asked."""


class State(StrEnum):
    """Source: Cloud Workflows REST reference, Execution.State."""

    QUEUED = "QUEUED"
    ACTIVE = "ACTIVE"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        return self not in (State.QUEUED, State.ACTIVE)


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution; `error` says what went wrong, in words.

    Attributes:
        started_by: who started it; `schedule`, or `unknown` where it was started from outside.
        cancel_requested_by: None also where the deployment does not keep it: Google does not. The
            audit log tells who asked in both.
    """

    id: str
    state: State
    argument: Mapping[str, Any]
    started_by: str
    created_at: datetime
    ended_at: datetime | None = None
    result: Any = None
    error: str | None = None
    cancel_requested_by: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """An entry of a trace, in Cloud Workflows' words; `parent` is the step around it."""

    id: int
    revision: int  # grows with changes of entries; those of one moment may share one
    parent: int | None
    routine: str
    step: str
    type: str
    state: str
    attempt: int
    started_at: datetime
    ended_at: datetime | None
    exception: str | None


class Executions(Protocol):
    """Times are aware.

    What runs elsewhere can fail to answer: every method may raise ExecutionsDenied,
    ExecutionsExhausted or ExecutionsUnavailable.
    """

    def start(self, argument: Mapping[str, Any], *, by: str) -> str:
        """Start an execution and return its id; it outlives the caller.

        Raises:
            WorkflowNotDeployed: there is no workflow to start.
        """

    def get(self, id: str) -> Execution:
        """Return the execution.

        Raises:
            ExecutionNotFound: there is none of that id.
        """

    def list(self, *, limit: int = 50) -> Sequence[Execution]:
        """Return executions, the newest first."""

    def cancel(self, id: str, *, by: str) -> None:
        """Ask a running execution to stop; it ends as CANCELLED. One that has ended stays as it is.

        Raises:
            ExecutionNotFound: there is none of that id.
        """

    def steps(self, id: str, *, after: int = 0, routine: str | None = None) -> Sequence[Step]:
        """Return the trace: entries that began or changed after the revision *after*, in order.

        An entry may be told again though it did not change; none that changed is left out. With
        *routine*, only the entries of that subworkflow: a long trace has many.

        Raises:
            ExecutionNotFound: there is none of that id.
        """
