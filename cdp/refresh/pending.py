"""Denials that a run has not weighed, kept out of what it writes.

The plan copies what was decided until then, and the run notes how far that went. What a later
denial closes is gone from the stored profiles at once; no row that was computed before may bring it
back, whether the run succeeds, dies, or its shard is delivered again.
"""

from collections.abc import Sequence
from dataclasses import replace

from cdp.domain.merge import Kind, Merge, Outcome
from cdp.domain.withdrawal import Denial, value_at, withdrawn
from cdp.profiles.decisions import Decisions
from cdp.profiles.port import DocumentStore


class Pending:
    """The denials that one run has not weighed, for whoever writes its rows.

    Args:
        weighed: the id of the last decision that the run has weighed.
    """

    def __init__(self, documents: DocumentStore, weighed: str) -> None:
        self._decisions = Decisions(documents)
        self._seen = weighed
        self._denials: list[Denial] = []

    def kept_out(self, rows: Sequence[Merge]) -> list[Merge]:
        """Return *rows* without what was withdrawn until now."""
        self._look()
        return [self._without(row) for row in rows]

    def written(self, rows: Sequence[Merge], outcomes: Sequence[Outcome]) -> None:
        """Take out of the profiles that *rows* wrote what was withdrawn while they were written."""
        new = self._look()
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome is Outcome.WRITTEN and row.kind is Kind.UPSERT:
                for denial in new:
                    self._decisions.withdraw_from(row.id, denial)

    def settle(self) -> None:
        """Withdraw once more: whom a denial concerned may live on in another profile by now."""
        for denial in self._look():
            self._decisions.withdraw(denial)

    def _look(self) -> list[Denial]:
        """Return the denials since the last look, mostly none: that costs one small read."""
        if self._decisions.last() <= self._seen:
            return []
        found = list(self._decisions.after(self._seen))
        self._seen = found[-1].id if found else self._seen
        new = [Denial.of(one.body["denial"]) for one in found if one.body.get("denial")]
        self._denials += new
        return new

    def _without(self, row: Merge) -> Merge:
        if row.kind is not Kind.UPSERT:
            return row
        for denial in self._denials:
            fields = withdrawn(row.id, row.set, denial)
            if fields != row.set:
                # What the row no longer sets may stand in the document from an earlier one.
                lost = [path for path in denial.fields if value_at(fields, path) is None]
                row = replace(row, set=fields, unset=[*row.unset, *lost])
        return row
