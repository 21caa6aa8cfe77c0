"""What can go wrong in a workflow: at load, at run, and inside a connector."""

from typing import Any, Self

from cdp.domain.errors import CdpError, describe

__all__ = [
    "CallError",
    "Raised",
    "WorkflowCancelled",
    "WorkflowError",
    "WorkflowFailure",
    "describe",
]


class WorkflowError(CdpError):
    """A definition that cannot be run; names the workflow, the step and the feature."""


class WorkflowFailure(CdpError):  # noqa: N818 - the state of an execution: FAILED
    """An execution ended with an error that no `except` handled.

    Attributes:
        error: what the workflow raised; an error map, or any JSON value of a `raise`.
        routine, step: where it was raised.
    """

    def __init__(self, error: Any, routine: str, step: str) -> None:
        super().__init__(f"{describe(error)} (in step {step!r} of workflow {routine!r})")
        self.error = error
        self.routine = routine
        self.step = step


class WorkflowCancelled(CdpError):  # noqa: N818 - the state of an execution: CANCELLED
    """The execution was cancelled; no `except` of the workflow sees it."""


class CallError(Exception):
    """A connector or http handler reports a failure the workflow may handle.

    It arrives in `except` as the map {"message", "tags", "code" where given, **more}.
    """

    def __init__(self, code: int | None, message: str, tags: list[str], **more: Any) -> None:
        super().__init__(message)
        found = {} if code is None else {"code": code}
        self.error: dict[str, Any] = {**found, "message": message, "tags": list(tags), **more}


class Raised(Exception):  # noqa: N818 - a workflow's `raise`, on its way to an `except`
    """A workflow error in flight: *value* is what `except: as` receives."""

    def __init__(self, value: Any) -> None:
        super().__init__(describe(value))
        self.value = value
        self.routine = ""
        self.step = ""

    @classmethod
    def tagged(cls, tag: str, message: str, **more: Any) -> Self:
        """Return the error map the engine itself raises. Source: "Workflow errors"."""
        return cls({"message": f"{tag}: {message}", "tags": [tag], **more})

    def at(self, routine: str, step: str) -> None:
        """Remember where it was raised; the innermost step wins."""
        if not self.step:
            self.routine, self.step = routine, step
