"""The store and the warehouse, whatever was lost or brought back of either: do they fit?"""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdp.domain.errors import CdpError
from cdp.profiles.port import PROFILES, Put
from cdp.profiles.sqlite import SqliteDocuments
from cdp.refresh import store as module
from cdp.refresh.runs import Runs
from cdp.refresh.store import Store
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.statements import statements
from tests.tables import make_tables

NOW = datetime(2026, 10, 1, tzinfo=UTC)
IDS = st.sampled_from([f"p_{letter}" for letter in "abcdef"])
STATES = st.sampled_from(["live", "merged", "gone"])


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckWarehouse]:
    made = DuckWarehouse(tmp_path_factory.mktemp("store"), memory_limit="500MB", threads=1)
    make_tables(made)
    yield made
    made.close()


def set_rows(warehouse: DuckWarehouse, table: str, rows: list[tuple[Any, ...]]) -> None:
    warehouse._db.execute(f"delete from {table}")
    for row in rows:
        warehouse._db.execute(f"insert into {table} values ({', '.join('?' * len(row))})", row)


# --- what the store has, brought together with what the warehouse published -----------------------


@given(
    published=st.dictionaries(IDS, st.tuples(STATES, st.booleans())),
    stored=st.lists(IDS),
    doubt=st.booleans(),
)
def test_nobody_is_left_as_the_store_happens_to_have_them(
    warehouse: DuckWarehouse,
    published: dict[str, tuple[str, bool]],
    stored: list[str],
    doubt: bool,
) -> None:
    rows: list[tuple[Any, ...]] = [
        (name, "h", state, 7, settled) for name, (state, settled) in published.items()
    ]
    set_rows(warehouse, "published", rows)
    warehouse.run(statements()["82_stored"], {})
    half = len(stored) // 2
    for page in (stored[:half], stored[half:]):
        warehouse.run(statements()["83_store"], {"ids": page})
    warehouse.run(statements()["84_recall"], {"doubt": doubt})
    after = warehouse.query(
        "select profile_id, payload_hash, state, seq, settled from published", {}
    ).rows()
    assert {row[0]: row[1:] for row in after} == brought_together(published, stored, doubt)
    assert len(after) == len({row[0] for row in after})


def brought_together(
    published: dict[str, tuple[str, bool]], stored: list[str], doubt: bool
) -> dict[str, tuple[str, str, int, bool]]:
    """Return what is to be known of each profile: one by one, in words."""
    after = {}
    for name in {*published, *stored}:
        if name not in published:  # nobody's: whatever the run builds of it, it is written
            after[name] = ("", "live", 0, False)
        elif name not in stored:
            state, settled = published[name]
            if state != "live" and not doubt:  # as it should be: its document is no live one
                after[name] = ("h", state, 7, settled)
        elif published[name][0] == "live" and not doubt:
            after[name] = ("h", "live", 7, published[name][1])
        else:  # it lives where it should not, or nothing is sure of its fields
            after[name] = ("h", "live", 7, False)
    return after


# --- older copies, and lost ones ------------------------------------------------------------------


class World:
    """A document store and what the warehouse says of it, each of which can be brought back."""

    def __init__(self, folder: Path, warehouse: DuckWarehouse) -> None:
        self.warehouse = warehouse
        self.path = folder / "documents.sqlite"
        self.documents = SqliteDocuments(self.path)
        self.settled: list[tuple[Any, ...]] = []
        self.runs_begun = 0
        self.copies: list[tuple[list[Any], list[Any], int, int]] = []
        self.at_store = self.at_warehouse = 0
        """The number of the settling that each of the two knows last."""

    def keep(self) -> None:
        self.copies.append(
            (self._stored(), copy.copy(self.settled), self.at_store, self.at_warehouse)
        )

    def _stored(self) -> list[tuple[str, str, Any]]:
        return [
            (name, document.id, dict(document.body))
            for name in ("meta", "counters", "runs")
            for document in self.documents.page(name, limit=1000).documents
        ]

    def bring_back_store(self, which: int) -> None:
        stored, _, self.at_store, _ = self.copies[which % len(self.copies)]
        self._empty()
        self.documents.commit([Put(name, key, body) for name, key, body in stored])

    def lose_store(self) -> None:
        self._empty()
        self.at_store = 0

    def _empty(self) -> None:
        self.documents.close()
        for file in self.path.parent.iterdir():
            file.unlink()
        self.documents = SqliteDocuments(self.path)

    def bring_back_warehouse(self, which: int) -> None:
        _, self.settled, _, self.at_warehouse = self.copies[which % len(self.copies)]

    def lose_warehouse(self) -> None:
        self.settled, self.at_warehouse = [], 0

    def refresh(self, *, fails: bool) -> bool:
        """Do what a refresh does of it; return whether it was in doubt."""
        self.runs_begun += 1
        run_id = f"r{self.runs_begun}"
        runs = Runs(self.documents, lease_seconds=60, clock=lambda: NOW)
        store = Store(self.documents, "salt")
        assert runs.take(run_id, {}) is None
        told = store.told()
        set_rows(self.warehouse, "settled_run", self.settled)
        asked = {"store_run": str(told.get("run_id", "")), "now": NOW}
        state = self.warehouse.query(statements()["90_state"], asked).to_dicts()[0]
        run = runs.outnumber(run_id, state["seq"])
        doubt = store.is_another(state, run)
        assert run["seq"] > state["seq"], "else what it writes would lose"
        if not fails:
            self.settled = [*self.settled, (run["seq"], run_id, NOW, "f", told["id"], None)]
            store.settled(run_id)
            self.at_store = self.at_warehouse = self.runs_begun
        self.keep()
        runs.end(run_id, "failed" if fails else "succeeded", {})
        return doubt


DEEDS = st.sampled_from(["refresh", "fail", "lose store", "lose warehouse"]) | st.tuples(
    st.sampled_from(["store", "warehouse"]), st.integers(0, 5)
)


@given(deeds=st.lists(DEEDS, max_size=12))
@example(deeds=["refresh", "refresh", ("store", 1)])
@example(deeds=["refresh", "refresh", ("warehouse", 1)])
@example(deeds=["refresh", "refresh", ("store", 1), "refresh", ("store", 2)])
def test_an_older_copy_of_either_is_known_for_what_it_is(
    warehouse: DuckWarehouse, tmp_path_factory: pytest.TempPathFactory, deeds: list[Any]
) -> None:
    world = World(tmp_path_factory.mktemp("world"), warehouse)
    world.keep()
    for deed in [*deeds, "refresh"]:
        match deed:
            case "refresh" | "fail":
                apart = world.at_store != world.at_warehouse
                assert world.refresh(fails=deed == "fail") is apart
            case "lose store":
                world.lose_store()
            case "lose warehouse":
                world.lose_warehouse()
            case ("store", which):
                world.bring_back_store(which)
            case (_, which):
                world.bring_back_warehouse(which)
    world.documents.close()


@pytest.mark.parametrize(
    ("live", "miscounted"), [(1, True), (2, False), (3, False), (4, False), (5, True)]
)
def test_more_live_profiles_than_runs_brought_or_fewer_are_miscounted(
    warehouse: DuckWarehouse, tmp_path: Path, live: int, miscounted: bool
) -> None:
    """Two that were confirmed, two whose delivery is in doubt; and some that are no more."""
    known = [("live", True)] * 2 + [("live", False)] * 2 + [("gone", True), ("merged", False)]
    rows = [(f"p_{at}", "h", state, 1, settled) for at, (state, settled) in enumerate(known)]
    set_rows(warehouse, "published", rows)
    state = warehouse.query(statements()["90_state"], {"store_run": "", "now": NOW}).to_dicts()[0]
    assert state["unsettled"] == 3
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    bodies = [{"sync": {"state": "live"}}] * live + [{"sync": {"state": "gone"}}] * 3
    documents.commit([Put(PROFILES, f"p_{at}", body) for at, body in enumerate(bodies)])
    assert Store(documents, "salt").miscounts(state) is miscounted


def test_every_live_profile_is_told_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    for at in range(0, 3500, 500):
        documents.commit(
            [
                Put(PROFILES, f"p_{name:04}", {"sync": {"state": "live" if name % 5 else "gone"}})
                for name in range(at, at + 500)
            ]
        )
    monkeypatch.setattr(module, "RECALLED_AT_ONCE", 1500)
    first, cursor = Store(documents, "salt").live(None)
    rest, end = Store(documents, "salt").live(cursor)
    assert (len(first), len(rest), end) == (2000, 800, None)
    assert len({*first, *rest}) == 2800


def test_another_salt_is_refused_where_somebody_has_a_profile(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    first = Store(documents, "one").told()
    second = Store(documents, "another").told()
    assert first["id"] == second["id"]
    assert first["salt"] != second["salt"]
    documents.commit([Put(PROFILES, "p_a", {"sync": {"state": "gone"}})])
    assert Store(documents, "another").told() == second
    with pytest.raises(CdpError, match="Put the old one back"):
        Store(documents, "one").told()
