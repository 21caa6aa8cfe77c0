"""Which lists Firestore has an index for, declared once: for its own file, and for the adapter.

python -m cdp.profiles.firestore_indexes [--policy FILE] > firestore.indexes.json

Firestore answers a query from composite indexes that hold its equal values and then its order, with
the paths of which a range is asked for. Indexes with the same order serve any mix of their equal
values together, so one is declared for each equal value, and not for each mix.

Source: https://cloud.google.com/firestore/docs/query-data/index-overview#indexes_and_queries
"""

import argparse
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Final

from cdp.domain.payload import CONSENT_FIELDS, FIELDS, IDENTIFIER_TYPES
from cdp.domain.policy import Policy
from cdp.profiles.firestore_queries import compared, stored
from cdp.profiles.port import FILTERED, ORDERED, PROFILES, InvalidQuery, Where

_RANGES: Final = (
    ("ga4.last_seen", "ga4.revenue"),
    ("ga4.last_seen", "ga4.sessions"),
    ("ga4.last_seen", "identifiers.count"),
    ("ga4.revenue", "ga4.last_seen"),
    ("ga4.revenue", "ga4.sessions"),
    ("ga4.revenue", "identifiers.count"),
    ("ga4.sessions", "identifiers.count"),
)
"""(order, range at another path): two ranges at once always have one order that serves them."""

_CHECKED: Final = (
    "identifiers.user_id",
    "identifiers.client_id",
    "contact.email",
    "contact.phone",
    "ga4.last_seen",
    "ads.last_campaign",
    "ads.last_gclid",
)
"""Fields that the consent report looks for where their purpose is not granted."""

_SELDOM: Final = "sync.state"  # filtered by with one order only
_UNLISTED: Final = (
    *("counters", "decisions", "leases", "meta", "reports", "reveals", "runs", "sign_in_attempts"),
)
"""Collections that are read by id only, or in the order of their ids."""
_UNASKED: Final = {
    "audit": ("details", "outcome", "reason", "target"),
    "dead_letters": ("at", "attempts", "data", "reason"),
    "receipts": (
        *("at", "attempt", "rejected", "rows", "seconds", "shard", "stale", "unchanged", "written"),
    ),
}

Order = tuple[tuple[str, ...], bool]


@dataclass(frozen=True, slots=True, order=True)
class Index:
    """A composite index: one equal value or none, then paths in one direction."""

    collection: str
    equal: str | None
    paths: tuple[str, ...]
    descending: bool


class Indexes:
    """What the indexes of a policy serve."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._states = [f"consent.{purpose}.state" for purpose in policy.purposes]
        self.composite = frozenset(self._declared())
        self.unindexed = frozenset(self._exempt())

    def _declared(self) -> Iterator[Index]:
        equal = [*self._states, *(path for path in FILTERED[PROFILES] if path != _SELDOM)]
        for order in [*((path,) for path in ORDERED[PROFILES]), *_RANGES]:
            for path in equal:
                yield Index(PROFILES, path, order, descending=True)
        for order in _RANGES:
            yield Index(PROFILES, None, order, descending=True)
        yield Index(PROFILES, _SELDOM, ("ga4.revenue",), descending=True)
        for path in {*_CHECKED, *(path for path in self._policy.fields if path in FIELDS)}:
            state = f"consent.{self._policy.purpose_of(path)}.state"
            yield Index(PROFILES, state, (path,), descending=False)
        for path in ("action", "actor"):
            yield Index("audit", path, ("at",), descending=True)

    def _exempt(self) -> Iterator[tuple[str, str]]:
        """Yield (collection, path) of fields that no query asks for: `*` is every field."""
        asked = {*ORDERED[PROFILES], *FILTERED[PROFILES], *_CHECKED, *self._policy.fields}
        asked |= {f"identifiers.{name}" for name in IDENTIFIER_TYPES}
        yield from ((PROFILES, path) for path in FIELDS if path not in asked)
        for purpose in self._policy.purposes:
            for name in CONSENT_FIELDS.keys() - {"state"}:
                yield PROFILES, f"consent.{purpose}.{name}"
        yield PROFILES, "sync"  # run, seq and time grow with every write: an index would be hot
        yield from ((name, "*") for name in _UNLISTED)
        for name, paths in _UNASKED.items():
            yield from ((name, path) for path in paths)

    def serve(self, collection: str, where: Sequence[Where], order: Order) -> bool:
        """Whether a list in this order, of these conditions, has an index."""
        paths, descending = order
        equal: list[str | None] = [*_equal(where)]
        if any(self._is_exempt(collection, path) for path in {*_equal(where), *paths}):
            return False
        if not paths or (len(paths) == 1 and not equal):
            return True  # from the index that Firestore keeps of each field by itself
        return all(
            Index(collection, path, paths, descending) in self.composite for path in equal or [None]
        )

    def _is_exempt(self, collection: str, path: str) -> bool:
        above = "*" if path == _SELDOM else path.partition(".")[0]
        return not self.unindexed.isdisjoint((collection, name) for name in (path, above, "*"))

    def check(self, collection: str, where: Sequence[Where], order: Order) -> None:
        """Raise InvalidQuery where no index serves the list; the message says what to change."""
        if self.serve(collection, where, order):
            return
        paths, descending = order
        kept = [condition for condition in where if not _is_any(condition)]
        others = [
            path
            for path in ORDERED.get(collection, ())
            if self.serve(collection, kept, (_ordered(path, kept), descending))
        ]
        change = f"order by {' or '.join(others)}, or use" if others else "use"
        asked = ", ".join(sorted({*_equal(where), *paths}))
        raise InvalidQuery(
            f"Firestore has no index for {asked} together: {change} fewer conditions"
        )

    def counting(self, collection: str, where: Sequence[Where]) -> Order:
        """Return an order in which an index can count; InvalidQuery where there is none."""
        ranges = compared(where)
        for paths in permutations(ranges):
            for descending in (True, False):
                if self.serve(collection, where, (paths, descending)):
                    return paths, descending
        self.check(collection, where, (tuple(ranges), True))
        raise AssertionError

    def file(self) -> dict[str, Any]:
        """Return what firestore.indexes.json holds."""
        indexes = sorted(
            self.composite, key=lambda index: (index.collection, *map(str, _key(index)))
        )
        return {
            "indexes": [
                {
                    "collectionGroup": stored(index.collection),
                    "queryScope": "COLLECTION",
                    "fields": [
                        *([_field(index.equal, descending=False)] if index.equal else []),
                        *(_field(path, index.descending) for path in index.paths),
                    ],
                }
                for index in indexes
            ],
            "fieldOverrides": [
                *(
                    {"collectionGroup": stored(collection), "fieldPath": path, "indexes": []}
                    for collection, path in sorted(self.unindexed)
                ),
                {
                    "collectionGroup": stored(PROFILES),
                    "fieldPath": _SELDOM,
                    "indexes": [
                        {"order": order, "queryScope": "COLLECTION"}
                        for order in ("ASCENDING", "DESCENDING")
                    ],
                },
            ],
        }


def _key(index: Index) -> tuple[Any, ...]:
    return index.paths, index.equal or "", index.descending


def _equal(where: Sequence[Where]) -> Collection[str]:
    return {condition.path for condition in where if condition.op in {"==", "in", "contains"}}


def _is_any(condition: Where) -> bool:
    """Whether a condition asks for any text or number, as an order does."""
    return condition.op == ">=" and condition.value in {"", float("-inf")}


def _ordered(path: str, where: Sequence[Where]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([path, *compared(where)]))


def _field(path: str, descending: bool) -> dict[str, str]:
    return {"fieldPath": path, "order": "DESCENDING" if descending else "ASCENDING"}


def main() -> None:
    """Write firestore.indexes.json to standard output."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--policy", type=Path, help="the policy in force; else the one that ships")
    indexes = Indexes(Policy.load(parser.parse_args().policy))
    sys.stdout.write(json.dumps(indexes.file(), indent=2) + "\n")


if __name__ == "__main__":
    main()
