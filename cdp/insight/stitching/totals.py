"""How much there is of everything that stitching made, as one report; hubs, merges and splits."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cdp.domain.payload import timestamp
from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.insight.stitching.links import why
from cdp.insight.stitching.parts import ground_of, shown, utc
from cdp.warehouse.port import Warehouse

_LARGEST: Final = 50
_HUBS: Final = 50
_RUNS: Final = 30
_CHANGES: Final = 200
_NAMES: Final = 50
_RANGES: Final = {1: "1", 2: "2", 3: "3", 4: "4", 5: "5", 6: "6-10", 11: "11-20", 21: "21-50",
                  51: "51-100", 101: "101+"}  # fmt: skip


def report(warehouse: Warehouse, policy: Policy) -> dict[str, Any]:
    """Return what the audit shows at once, as JSON: counts and opaque ids, no identifier's value.

    Args:
        policy: the one in force, whose limits the hubs exceed.
    """
    counts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    total: dict[str, dict[str, Any]] = {}
    for row in ask(warehouse, "stitching_totals", most=_NAMES):
        if row["name"] is None:
            total[row["what"]] = row
        else:
            counts[row["what"]].append(row)
    sizes = {row["from_size"]: row for row in ask(warehouse, "stitching_sizes")}
    return {
        "identifiers": {
            "total": total["identifiers"]["counted"],
            "by_type": {row["name"]: row["counted"] for row in counts["identifiers"]},
        },
        "edges": {
            "total": total["edges"]["counted"],
            "by_source": [
                {"source": row["name"], "edges": row["counted"], "seen": row["seen"]}
                for row in counts["edges"]
            ],
        },
        "kept_out": {
            "links": total["kept_out"]["counted"],
            "seen": total["kept_out"]["seen"] or 0,
            "by_reason": [
                {
                    "reason": row["name"],
                    "why": why(row["name"]),
                    "links": row["counted"],
                    "seen": row["seen"],
                }
                for row in counts["kept_out"]
            ],
        },
        "hubs": {
            "total": total["hubs"]["counted"],
            "by_limit": [
                {
                    "limit": row["name"],
                    "most": policy.limits.get(row["name"]),
                    "hubs": row["counted"],
                }
                for row in counts["hubs"]
            ],
            # A value is personal data, which the document store has no need of: only its id.
            "worst": [
                {name: row[name] for name in ("identifier_id", "type", "joins", "joined", "most")}
                for row in hubs(warehouse, _HUBS)
            ],
        },
        "clusters": {
            "total": total["clusters"]["counted"],
            "max_size": max((row["largest"] for row in sizes.values()), default=0),
            "by_size": [
                {"size": words, "clusters": sizes[size]["clusters"] if size in sizes else 0}
                for size, words in _RANGES.items()
            ],
            "largest": [_dated(row) for row in ask(warehouse, "stitching_largest", most=_LARGEST)],
        },
        "changes": {
            "runs": [_dated(row) for row in ask(warehouse, "stitching_runs", most=_RUNS)],
            "latest": [_dated(row) for row in changes(warehouse, limit=_CHANGES)],
        },
    }


def hubs(warehouse: Warehouse, most: int = _HUBS) -> list[dict[str, Any]]:
    """Return the hubs that join most values, the worst first.

    Each is a map of `identifier_id`, `type`, `value`, `stream`, `joins` (a type), `joined` (how
    many), `most` (how many the policy allows) and `ground` (see there).
    """
    rows = ask(warehouse, "stitching_hubs", limit=most)
    return [
        {
            **{name: value for name, value in row.items() if name != "granted"},
            **shown(row["type"], row["value"]),
            "ground": ground_of(row["granted"]),
        }
        for row in rows
    ]


def changes(
    warehouse: Warehouse, seq: int | None = None, limit: int = _CHANGES
) -> list[dict[str, Any]]:
    """Return merges and splits of the run *seq*, or of the newest run that had some.

    Each is a map of `kind` (merge: from_id is to_id from then on; split: to_id was part of
    from_id), `from_id`, `to_id`, `happened_at`, `run_id` and `seq`.
    """
    rows = ask(warehouse, "stitching_changes", seq=seq or 0, most=limit)
    return [row | {"happened_at": utc(row["happened_at"])} for row in rows]


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return *row* with its times as documents spell them."""
    return {
        name: timestamp(utc(value)) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
