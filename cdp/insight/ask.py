"""Asking the warehouse one of the questions in `cdp/warehouse/sql/console/`."""

from typing import Any

from cdp.domain.policy import Policy
from cdp.warehouse.port import Value, Warehouse
from cdp.warehouse.statements import questions


def ask(warehouse: Warehouse, question: str, **parameters: Value) -> list[dict[str, Any]]:
    """Return the rows that answer *question*, the name of a file; its header gives their shape."""
    return warehouse.query(questions()[question], parameters).to_dicts()


def may(policy: Policy, *paths: str) -> dict[str, Value]:
    """Return the parameters `@may_<field>` of *paths*: '|purpose|', to find in `permit.granted`."""
    return {f"may_{path.replace('.', '_')}": f"|{policy.purpose_of(path)}|" for path in paths}
