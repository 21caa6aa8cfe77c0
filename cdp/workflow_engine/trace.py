"""The trace of an execution: one entry per step, iteration, attempt and branch."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from cdp.workflow_engine.model import StepType


class State(StrEnum):
    """Source: REST resource projects.locations.workflows.executions.stepEntries, State."""

    IN_PROGRESS = "STATE_IN_PROGRESS"
    SUCCEEDED = "STATE_SUCCEEDED"
    FAILED = "STATE_FAILED"
    CANCELLED = "STATE_CANCELLED"


@dataclass(slots=True)
class StepEntry:
    """What happened in one step; the engine completes the same object when the step ends.

    Attributes:
        id: 1, 2, 3 ... in order of start.
        parent: id of the step around it; None at the top of `main`.
        routine: "main", or the name of the subworkflow.
        attempt: 1, or the number of the attempt (STEP_TRY) or of the retry (STEP_RETRY).
        exception: the error as text where the state is STATE_FAILED; in a STEP_RETRY, the
            error that is retried.
        index: position, from 0, of an iteration, a branch or the matched condition.
        variable: name of the loop variable of an iteration; name of a branch.
    """

    id: int
    parent: int | None
    routine: str
    step: str
    step_type: StepType
    started_at: datetime
    state: State = State.IN_PROGRESS
    attempt: int = 1
    ended_at: datetime | None = None
    exception: str | None = None
    index: int | None = None
    variable: str | None = None


class Observer(Protocol):
    """Hears of every step. Calls come one at a time, from whichever thread runs the step.

    An exception it raises ends the execution: it is a bug, not an error of the workflow.
    """

    def step_started(self, entry: StepEntry) -> None:
        """A step began; its state is STATE_IN_PROGRESS."""

    def step_ended(self, entry: StepEntry) -> None:
        """A step ended, with its final state."""

    def step_retried(self, entry: StepEntry) -> None:
        """A STEP_RETRY entry: the error is retried once its delay has passed."""


class Trace:
    """Numbers the entries and tells the observer, one call at a time."""

    def __init__(self, observer: Observer, now: Callable[[], float]) -> None:
        self._observer = observer
        self._now = now
        self._lock = threading.Lock()
        self._last = 0

    def start(
        self, parent: int | None, routine: str, step: str, type: StepType, **more: Any
    ) -> StepEntry:
        with self._lock:
            self._last += 1
            entry = StepEntry(self._last, parent, routine, step, type, self._time(), **more)
            self._observer.step_started(entry)
        return entry

    def end(self, entry: StepEntry, state: State, exception: str | None = None) -> None:
        with self._lock:
            entry.state = state
            entry.ended_at = self._time()
            entry.exception = exception or entry.exception
            self._observer.step_ended(entry)

    def retry(self, entry: StepEntry) -> None:
        with self._lock:
            self._observer.step_retried(entry)

    def _time(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)
