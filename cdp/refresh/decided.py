"""Decisions of the console, brought into the warehouse, where a run weighs them with all else."""

import json
from typing import Final

from cdp.profiles.decisions import FIRST, Decisions
from cdp.profiles.port import DocumentStore
from cdp.warehouse.port import Value, Warehouse
from cdp.warehouse.statements import statements

_A_STATEMENT: Final = 1_000
_COPIED: Final = ("type", "value", "purpose", "state", "at", "source", "by", "notice")
_MADE_BY_A_RUN: Final = frozenset({"bound", "client", "identifier"})


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
