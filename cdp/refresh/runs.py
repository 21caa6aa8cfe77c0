"""Runs and their lease: one refresh at a time, each with a number that orders what it writes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cdp.domain.errors import CdpError
from cdp.domain.payload import timestamp
from cdp.profiles.port import AlreadyExists, Conflict, Create, Delete, DocumentStore, Put


class LeaseLost(CdpError):  # noqa: N818 - reads as the sentence it is
    """The run no longer holds the lease: it was too slow, or another run took over."""


class Runs:
    """Documents: `leases/refresh`, `counters/seq` and `runs/<run_id>`.

    Args:
        lease_seconds: how long the lease stands unrenewed.
        clock: returns the time, aware.
    """

    def __init__(
        self,
        documents: DocumentStore,
        *,
        lease_seconds: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._lease_seconds = lease_seconds
        self._clock = clock

    def take(self, run_id: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Take the lease for *run_id* and begin the run; return the lease of the run in the way.

        None says that the lease is taken, also where this run took it before.
        """
        now = self._clock()
        held = self._documents.get("leases", "refresh")
        if held is not None and held.body["run_id"] == run_id:
            return None
        if held is not None and held.body["expires_at"] > timestamp(now):
            return held.body
        last = self._documents.get("counters", "seq")
        seq = (last.body["value"] if last else 0) + 1
        lease = {"run_id": run_id, "taken_at": timestamp(now), "expires_at": self._expiry()}
        run = {
            "run_id": run_id,
            "seq": seq,
            "state": "running",
            "started_at": timestamp(now),
            "arguments": dict(arguments),
        }
        counter = {"value": seq}
        try:
            self._documents.commit(
                [
                    Put("leases", "refresh", lease, expect=held.version)
                    if held
                    else Create("leases", "refresh", lease),
                    Put("counters", "seq", counter, expect=last.version)
                    if last
                    else Create("counters", "seq", counter),
                    Put("runs", run_id, run),
                ]
            )
        except (AlreadyExists, Conflict):  # another run was faster
            return self.take(run_id, arguments)
        return None

    def renew(self, run_id: str) -> None:
        """Keep the lease of *run_id*.

        Raises:
            LeaseLost: another run holds it now, or it was ended.
        """
        held = self._documents.get("leases", "refresh")
        if held is None or held.body["run_id"] != run_id:
            raise LeaseLost(
                f"run {run_id} no longer holds the lease: another refresh took over, or it was "
                "ended; this run writes nothing more"
            )
        body = {**held.body, "expires_at": self._expiry()}
        try:
            self._documents.commit([Put("leases", "refresh", body, expect=held.version)])
        except Conflict:  # renewed by another thread, or taken over: look again
            self.renew(run_id)

    def outnumber(self, run_id: str, seq: int) -> dict[str, Any]:
        """Let the run's number be greater than *seq*, and return the run's document.

        A document store that is an older copy counts from an older number, and what it numbers
        anew would lose against what was numbered before. The run says that it was `outnumbered`.
        """
        run = self._documents.get("runs", run_id)
        last = self._documents.get("counters", "seq")
        if run is None or last is None:
            return self.get(run_id)
        if run.body["seq"] > seq:
            return run.body
        body = {**run.body, "seq": seq + 1, "outnumbered": True}
        self._documents.commit(
            [
                Put("runs", run_id, body, expect=run.version),
                Put("counters", "seq", {"value": seq + 1}, expect=last.version),
            ]
        )
        return body

    def holder(self) -> str | None:
        """Return the id of the run that holds the lease, expired or not."""
        held = self._documents.get("leases", "refresh")
        return held.body["run_id"] if held else None

    def get(self, run_id: str) -> dict[str, Any]:
        """Return the run's document.

        Raises:
            CdpError: there is none.
        """
        found = self._documents.get("runs", run_id)
        if found is None:
            raise CdpError(f"no run {run_id}; `cdp runs` lists them")
        return found.body

    def note(self, run_id: str, **more: Any) -> None:
        """Add to what is told of the run."""
        self._documents.commit([Put("runs", run_id, {**self.get(run_id), **more})])

    def end(self, run_id: str, state: str, more: Mapping[str, Any]) -> None:
        """Write how the run ended, and free its lease; of several ends the first stands."""
        run = self._documents.get("runs", run_id)
        held = self._documents.get("leases", "refresh")
        writes: list[Put | Delete] = []
        if run is not None and run.body["state"] == "running":
            ended = {**run.body, **more, "state": state, "ended_at": timestamp(self._clock())}
            writes.append(Put("runs", run_id, ended, expect=run.version))
        if held is not None and held.body["run_id"] == run_id:
            writes.append(Delete("leases", "refresh", expect=held.version))
        try:
            self._documents.commit(writes)
        except Conflict:
            self.end(run_id, state, more)

    def _expiry(self) -> str:
        return timestamp(self._clock() + timedelta(seconds=self._lease_seconds))
