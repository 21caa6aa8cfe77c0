"""Made rows, and short ways to ask."""

from collections.abc import Iterable, Mapping
from typing import Any

from cdp.domain.policy import Policy
from cdp.insight import stitching
from cdp.warehouse.port import Warehouse

MARKUP = """<b onclick="go('x')">&amp;"""
LEAVES = 300


def link(
    a: tuple[str, str], b: tuple[str, str], consent: str = "granted", source: str = "crm"
) -> dict[str, str]:
    return {
        "a_type": a[0],
        "a_value": a[1],
        "b_type": b[0],
        "b_value": b[1],
        "at": "2026-10-01T10:00:00Z",
        "source": source,
        "consent": consent,
    }


def fill(warehouse: Warehouse, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Make *table* of *rows*, whose values are numbers and texts."""
    selects = [", ".join(f"{value!r} as {name}" for name, value in row.items()) for row in rows]
    warehouse.run(
        f"create or replace table {table} as select {' union all select '.join(selects)}", {}
    )


def one(warehouse: Warehouse, rules: Policy, value: str) -> stitching.Identifier:
    (found,) = stitching.lookup(warehouse, rules, value)
    return found


def joined(warehouse: Warehouse, rules: Policy, a: str, b: str) -> stitching.Joined:
    first, second = one(warehouse, rules, a), one(warehouse, rules, b)
    return stitching.between(warehouse, first.identifier_id, second.identifier_id)


def codes(result: stitching.Joined) -> list[str]:
    return [reason.code for reason in result.reasons]


def gone(warehouse: Warehouse) -> list[str]:
    """Return the numbers of identifiers that were in a profile: nothing else is left of them."""
    query = "select cast(identifier_id as string) as n from identity where not present order by 1"
    return warehouse.query(query, {})["n"].to_list()


def permits(warehouse: Warehouse) -> dict[str, str]:
    """Return what the consent of each identifier in a profile permits, by its id."""
    rows = warehouse.query(
        "select cast(identifier_id as string), granted from identifier_permit",
        {},
    ).rows()
    return dict(rows)
