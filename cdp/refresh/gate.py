"""What a run may bring: told by its document, read once a shard, asked of every row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from cdp.domain.merge import Merge
from cdp.domain.permission import Permission
from cdp.profiles.decisions import FIRST
from cdp.profiles.port import DocumentStore
from cdp.queue.port import Refused

_ENDED_BADLY: Final = frozenset({"failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Gate:
    """What lets a row of one run through.

    Attributes:
        seq: the run's own number, which each of its rows bears.
        running: the run holds the lease: no document can have a greater number by right.
        weighed: the id of the last decision of the desk that the run has weighed.
    """

    seq: int
    running: bool
    weighed: str
    permission: Permission

    @classmethod
    def of(cls, documents: DocumentStore, run_id: str) -> Self:
        """Read what *run_id* may bring.

        Raises:
            Refused: nobody knows the run, it ended badly, or it does not say what consent permits.
        """
        run = documents.get("runs", run_id)
        if run is None:
            raise Refused(
                "nobody knows the run: its document is not in the document store; refresh again"
            )
        if run.body["state"] in _ENDED_BADLY:
            raise Refused(
                f"the run is {run.body['state']}, and brings nothing more; refresh again, which "
                "delivers the same"
            )
        told = run.body.get("permission")
        if told is None:
            raise Refused(
                "the run does not say what consent permits: an earlier release planned it; "
                "refresh again"
            )
        permission = Permission(told["purposes"], frozenset(told["silent"]))
        return cls(
            seq=run.body["seq"],
            running=run.body["state"] == "running",
            weighed=run.body.get("decisions", FIRST),
            permission=permission,
        )

    def refusal(self, row: Merge) -> str | None:
        """Return why *row* is not let through, in words that quote no value; None where it is."""
        if row.seq != self.seq:
            return "seq is not the run's own"
        return self.permission.refusal(row.set)


def noted(permission: Permission) -> dict[str, Any]:
    """Return what a run's document keeps of the policy, as JSON."""
    purposes: Mapping[str, str] = permission.purposes
    return {"permission": {"purposes": dict(purposes), "silent": sorted(permission.silent)}}
