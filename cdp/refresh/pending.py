"""Decisions that a run has not weighed: brought into the warehouse, or kept out of what it writes.

The plan copies what was decided until then, and the run notes how far that went. What a later
denial closes is gone from the stored profiles at once; no row that was computed before may bring it
back, whether the run succeeds, dies, or its shard is delivered again.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cdp.domain.merge import Kind, Merge, Outcome
from cdp.domain.withdrawal import Denial, value_at, withdrawn
from cdp.profiles.decisions import FIRST, Decisions
from cdp.profiles.port import DocumentStore
from cdp.warehouse.port import Value, Warehouse
from cdp.warehouse.statements import statements

_A_STATEMENT: Final = 1_000
_COPIED: Final = ("type", "value", "purpose", "state", "at", "source", "by", "notice")
_MADE_BY_A_RUN: Final = frozenset({"bound", "client", "identifier"})


class Pending:
    """The denials that one run has not weighed, for whoever writes its rows.

    A run of which nothing is known has weighed none.
    """

    def __init__(self, documents: DocumentStore, run_id: str) -> None:
        run = documents.get("runs", run_id)
        self._decisions = Decisions(documents)
        self._seen = run.body.get("decisions", FIRST) if run else FIRST
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


def copy(documents: DocumentStore, warehouse: Warehouse, *, after: str | None) -> str:
    """Bring new decisions into the warehouse; return the id of the last one that is there then.

    Run again, it adds nothing; a warehouse that was lost gets all of them again.

    Args:
        after: the id of the last one that is there already, None of none.
    """
    last = after or FIRST
    told: list[str] = []
    for found in Decisions(documents).after(last):
        body = {name: found.body[name] for name in _COPIED}
        told.append(json.dumps({"decision_id": found.id, **body}, ensure_ascii=False))
        last = found.id
    # Without a run's tables nothing was published that could have changed.
    names = ["86_decide"]
    if told and warehouse.shapes().keys() >= _MADE_BY_A_RUN:
        names.insert(0, "85_reopen")
    for start in range(0, len(told), _A_STATEMENT):
        for name in names:
            some: dict[str, Value] = {"decided": told[start : start + _A_STATEMENT]}
            warehouse.run(statements()[name], some)
    return last
