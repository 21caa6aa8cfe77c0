"""The audit log: who did what, on whom, why, when, with which outcome. Rows are only ever added."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import re2

from cdp.domain.payload import timestamp
from cdp.domain.redaction import MARKER, redact
from cdp.profiles.port import Create, DocumentStore, Page, Where

AUDIT: Final = "audit"

# In what somebody writes of others, what may be a number is one.
_NUMBER: Final = re2.compile(r"(?:\+|\b0)[0-9][0-9 ()./-]{5,18}[0-9]")


def redacted(text: str) -> str:
    """Return *text* without what looks like an e-mail address or a phone number."""
    return str(_NUMBER.sub(MARKER, redact(text)))


class Outcome(StrEnum):
    """`begun` comes before what happens outside of the document store; another row follows."""

    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Audit:
    """Documents `audit/<time>-<random>`: actor, action, target, reason, outcome, at, details.

    No row holds an identifier's value: the log outlives erasure, which must never have to edit it.

    Args:
        clock: returns the time, aware.
    """

    def __init__(
        self,
        documents: DocumentStore,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._clock = clock

    def now(self) -> str:
        """Return the time as timestamp text."""
        return timestamp(self._clock())

    def row(
        self,
        actor: str,
        action: str,
        target: str,
        outcome: Outcome = Outcome.DONE,
        *,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> Create:
        """Return the write of one row, to be committed together with what it tells of.

        Args:
            target: the opaque id of what was acted on: a profile, a run, an account.
            reason: what somebody typed; addresses and numbers in it are not kept.
        """
        at = self.now()
        body = {
            "at": at,
            "actor": actor,
            "action": action,
            "target": target,
            "outcome": outcome.value,
            "reason": redacted(reason),
            "details": dict(details or {}),
        }
        return Create(AUDIT, f"{at}-{secrets.token_hex(4)}", body)

    def page(
        self, *, action: str | None = None, actor: str | None = None, after: str | None = None
    ) -> Page:
        """Return 50 rows, the newest first."""
        given = {"action": action, "actor": actor}
        where = [Where(path, "==", value) for path, value in given.items() if value]
        return self._documents.page(
            AUDIT, where=where, order_by="at", descending=True, after=after, limit=50
        )
