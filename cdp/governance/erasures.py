"""Erasures as people ask for them: who, why, and the second pair of eyes that a policy may want."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cdp.domain.access import Role
from cdp.domain.erasure import ERASURES, Subject
from cdp.domain.errors import CdpError
from cdp.domain.identifiers import identifier_key
from cdp.domain.payload import timestamp
from cdp.governance.actions import Actor, Governance, name_of, reason_of
from cdp.insight.erasure import ASKED, COUNTER, OPEN
from cdp.profiles.port import AlreadyExists, Conflict, Create, DocumentStore, Put, Write


class Erasures:
    """Documents `erasures/<number>`: they hold tombstones and profile ids, and no identifier.

    Args:
        salt: returns the secret that identifiers are keyed with.
        approval: whether another admin has to approve.
    """

    def __init__(
        self,
        documents: DocumentStore,
        governance: Governance,
        salt: Callable[[], str],
        *,
        approval: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._governance = governance
        self._salt = salt
        self._approval = approval
        self._clock = clock

    def ask(self, actor: Actor, subject: Subject, reason: str) -> dict[str, Any]:
        """Let somebody be erased; their profile documents go at once, the rest with the next run.

        Returns:
            The erasure's document: `id`, `state` and `profiles`. Where the policy wants a second
            admin, nothing is done until one approves.

        Raises:
            NotPermitted: not an admin.
            CdpError: no reason to speak of.
        """
        self._governance.require(actor, Role.ADMIN, "erasure:ask", "erasure")
        told = reason_of(reason)
        waits = self._approval
        for _ in range(20):
            found = self._documents.get("counters", COUNTER)
            number = int(found.body["value"]) + 1 if found else 1
            body = {
                "number": number,
                "state": ASKED if waits else OPEN,
                "asked_at": timestamp(self._clock()),
                "by": name_of(actor),
                "identifiers": _counted(subject),
                "profiles": subject.profiles,
                "tombstones": subject.tombstones(identifier_key(self._salt())),
            }
            named = f"{number:06}"
            counter = {"value": number}
            writes: list[Write] = [
                Put("counters", COUNTER, counter, expect=found.version)
                if found
                else Create("counters", COUNTER, counter),
                Create(ERASURES, named, body),
            ]
            try:
                self._governance.record(actor, "erasure:ask", named, writes, reason=told)
            except (AlreadyExists, Conflict):  # another was asked for just now
                continue
            if not waits:
                self._take_documents(named, body)
            return {"id": named, **body}
        raise CdpError("many erasures were asked for at once; ask again")

    def approve(self, actor: Actor, id: str) -> dict[str, Any]:
        """Let an erasure be done that another admin asked for.

        Raises:
            NotPermitted: not an admin, or the one who asked.
            CdpError: there is none of that id, or it needs no approval.
        """
        self._governance.require(actor, Role.ADMIN, "erasure:approve", id)
        found = self._documents.get(ERASURES, id)
        if found is None or found.body["state"] != ASKED:
            raise CdpError(f"no erasure {id} awaits approval; `cdp erasures` lists them")
        if found.body["by"] == name_of(actor):
            raise CdpError("whoever asked for an erasure cannot approve it; ask another admin")
        body = {**found.body, "state": OPEN, "approved_by": name_of(actor)}
        change = Put(ERASURES, id, body, expect=found.version)
        self._governance.record(actor, "erasure:approve", id, [change])
        self._take_documents(id, body)
        return {"id": id, **body}

    def start(self, actor: Actor) -> str:
        """Start the run that does what is left of every erasure; return its id."""
        return self._governance.start_refresh(actor, {"erase": True})

    def _take_documents(self, id: str, body: Mapping[str, Any]) -> None:
        seq = self._documents.get("counters", "seq")
        self._documents.erase(
            body["profiles"], f"erasure-{id}", seq.body["value"] if seq else 0, body["asked_at"]
        )


def _counted(subject: Subject) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in subject.held:
        if one.type:
            counts[one.type] = counts.get(one.type, 0) + 1
    return counts


def unreachable(cloud: bool) -> Sequence[str]:
    """Return what an erasure cannot reach, and until when it is there, a sentence each."""
    if not cloud:
        return [
            "Copies of the data folder that somebody made, and the files that were loaded from.",
        ]
    return [
        "BigQuery keeps deleted rows: its time travel up to 7 days, its fail-safe 7 days more.",
        "Firestore keeps deleted versions for 7 days where point-in-time recovery is on.",
        "GA4's own export stays as it is: every run leaves the erased out. Delete the user in GA4, "
        "and the rows in its dataset.",
        "The files that links and decisions were loaded from, wherever they came from.",
    ]
