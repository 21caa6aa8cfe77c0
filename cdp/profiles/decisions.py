"""Consent decisions that people wrote down here, in their order, and what they do at once.

A decision is copied into the warehouse by the next refresh, which weighs it with all else that was
said. A denial does not wait for that: it is taken out of the stored profiles, and out of what a run
that was planned before it brings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cdp.domain.merge import Outcome, withdrawal
from cdp.domain.withdrawal import Denial
from cdp.profiles.port import (
    PROFILES,
    Create,
    Delete,
    Document,
    DocumentStore,
    Position,
    Put,
    Write,
    cursor,
)

DECISIONS: Final = "decisions"
FIRST: Final = ""
"""Before every decision."""

_COUNTER: Final = ("counters", DECISIONS)
_AT_ONCE: Final = 300
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Decisions:
    """Documents `decisions/<id>`, whose ids are in their order, and `counters/decisions`, the last.

    An id is the decision's moment, or the next one that is free: it goes on rising where the store
    was put back from an older copy, and the warehouse knows decisions that it has lost.
    """

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def last(self) -> str:
        """Return the id of the last decision; `FIRST` where there is none."""
        found = self._documents.get(*_COUNTER)
        return _id(found.body["value"]) if found else FIRST

    def added(
        self, bodies: Sequence[Mapping[str, Any]], *, at: str
    ) -> tuple[list[str], list[Write]]:
        """Return ids for decisions, and the writes that add them; Conflict says to ask again.

        Args:
            at: timestamp text.
        """
        found = self._documents.get(*_COUNTER)
        now = (datetime.fromisoformat(at) - _EPOCH) // timedelta(microseconds=1)
        first = max(now, found.body["value"] + 1 if found else 0)
        ids = [_id(first + place) for place in range(len(bodies))]
        counter = {"value": first + len(bodies) - 1}
        writes: list[Write] = [
            Put(*_COUNTER, counter, expect=found.version) if found else Create(*_COUNTER, counter)
        ]
        writes += [Create(DECISIONS, *added) for added in zip(ids, bodies, strict=True)]
        return ids, writes

    def after(self, id: str) -> Iterator[Document]:
        """Yield the decisions after the one called *id*, in order."""
        at = cursor(Position(id), None, descending=False) if id else None
        while True:
            page = self._documents.page(DECISIONS, after=at, limit=_AT_ONCE)
            yield from page.documents
            at = page.cursor
            if at is None:
                return

    def erase(self, is_theirs: Callable[[str, str], bool]) -> None:
        """Delete the decisions of whose identifiers, by type and value, are to be erased."""
        gone = [
            Delete(DECISIONS, found.id)
            for found in self.after(FIRST)
            if is_theirs(found.body["type"], found.body["value"])
        ]
        for start in range(0, len(gone), _AT_ONCE):
            self._documents.commit(gone[start : start + _AT_ONCE])

    def withdraw(self, denial: Denial) -> list[str]:
        """Take what *denial* closes out of every profile that it concerns; return their ids."""
        held = self._documents.find(denial.value, denial.type)
        heirs = [self._documents.resolve(known) for known in denial.profiles]
        ids = tuple(dict.fromkeys([*held, *(heir for heir in heirs if heir)]))
        known = replace(denial, profiles=ids)
        return [one for one in ids if self.withdraw_from(one, known)]

    def withdraw_from(self, profile_id: str, denial: Denial) -> bool:
        """Take what *denial* closes out of one profile, if it concerns it; say whether it did."""
        (outcome,) = self._documents.merge(PROFILES, [withdrawal(profile_id, denial)])
        return outcome is Outcome.WRITTEN


def _id(number: int) -> str:
    return f"d_{number:016}"
