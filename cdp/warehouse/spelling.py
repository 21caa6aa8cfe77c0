"""Loaded identifiers, spelled by the one normaliser before anything is joined."""

import json
from typing import Final

from cdp.domain.identifiers import Speller
from cdp.warehouse.port import Value, Warehouse
from cdp.warehouse.statements import statements

SPELLED_AT_ONCE: Final = 500_000
"""Identifiers that one call spells: it has nine minutes."""
_A_STATEMENT: Final = 20_000


def spell_some(warehouse: Warehouse, speller: Speller) -> bool:
    """Spell what no run has spelled by the rules in force; return whether that is all there was."""
    found = unspelled(warehouse, speller)
    for start in range(0, len(found), _A_STATEMENT):
        some = found[start : start + _A_STATEMENT]
        warehouse.run(statements()["14_spell"], {"rules": speller.digest, "spelled": some})
    return len(found) < SPELLED_AT_ONCE


def unspelled(warehouse: Warehouse, speller: Speller) -> list[str]:
    """Return how what no run has spelled yet is joined, as `14_spell` reads it."""
    asked: dict[str, Value] = {"rules": speller.digest, "most": SPELLED_AT_ONCE}
    rows = []
    for one in warehouse.query(statements()["13_unspelled"], asked).to_dicts():
        found = speller.spell(one["type"], one["told"], one["source"])
        told = {**one, "value": found.value, "problem": found.problem}
        rows.append(json.dumps(told, ensure_ascii=False))
    return rows
