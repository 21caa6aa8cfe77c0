"""Asking the warehouse one of the questions in `cdp/warehouse/sql/console/`."""

from typing import Any

from cdp.warehouse.port import Value, Warehouse
from cdp.warehouse.statements import questions


def ask(warehouse: Warehouse, question: str, **parameters: Value) -> list[dict[str, Any]]:
    """Return the rows that answer *question*, the name of a file; its header gives their shape."""
    return warehouse.query(questions()[question], parameters).to_dicts()
