"""Decisions of the console come into the warehouse once, in order, and reopen what they concern."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp.profiles.decisions import DECISIONS, Decisions
from cdp.profiles.port import Delete, Put
from cdp.profiles.sqlite import SqliteDocuments
from cdp.refresh import decided
from cdp.warehouse.duckdb import DuckWarehouse
from tests.tables import make_tables
from tests.unit.refresh.test_pending import decide


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    store = SqliteDocuments(tmp_path / "documents.sqlite")
    yield store
    store.close()


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckWarehouse]:
    found = DuckWarehouse(tmp_path, memory_limit="500MB", threads=1)
    make_tables(found)
    yield found
    found.close()


def test_decisions_are_copied_once_in_order_and_again_where_the_warehouse_lost_them(
    documents: SqliteDocuments, warehouse: DuckWarehouse
) -> None:
    assert decided.copy(documents, warehouse, after=None) == ""
    decide(documents)
    decide(documents, "client_id", "1.1", "ads", "granted")
    for after in (None, "d_1793865600000000", None):
        assert decided.copy(documents, warehouse, after=after) == "d_1793865600000001"
    table = "select * from desk_decision order by decision_id"
    rows = warehouse.query(table, {}).to_dicts()
    assert [(r["decision_id"], r["type"], r["value"], r["state"]) for r in rows] == [
        ("d_1793865600000000", "email", "bob@example.com", "denied"),
        ("d_1793865600000001", "client_id", "1.1", "granted"),
    ]
    assert (rows[0]["purpose"], rows[0]["source"], rows[0]["told_by"]) == (
        "marketing",
        "admin",
        "grace",
    )
    assert rows[0]["decided_at"].isoformat().startswith("2026-11-05T08:00:00")
    warehouse.run("delete from desk_decision where true", {})
    assert decided.copy(documents, warehouse, after=None) == "d_1793865600000001"
    assert len(warehouse.query(table, {})) == 2


def test_what_is_decided_after_the_store_was_put_back_from_an_older_copy_is_copied(
    documents: SqliteDocuments, warehouse: DuckWarehouse
) -> None:
    decide(documents)
    found = documents.get("counters", "decisions")
    assert found is not None
    decide(documents, "user_id", "ada", "ads")
    last = decided.copy(documents, warehouse, after=None)
    documents.commit([Put("counters", "decisions", found.body), Delete(DECISIONS, last)])
    (old,) = Decisions(documents).after("")
    _, writes = Decisions(documents).added([old.body], at="2026-11-06T08:00:00.000000Z")
    documents.commit(writes)
    assert decided.copy(documents, warehouse, after=last) > last
    assert len(warehouse.query("select decision_id from desk_decision", {})) == 3


def test_whom_a_decision_may_have_changed_is_written_again(
    documents: SqliteDocuments, warehouse: DuckWarehouse
) -> None:
    for sql in (
        "create table client as select 'p/1/1.1' as client_key, '1.1' as client_id",
        "create table identifier as select 1 as identifier_id, 'client_id' as type, "
        "'p/1/1.1' as value union all select 2, 'user_id', 'ada' "
        "union all select 3, 'user_id', 'bob'",
        "create table bound as select 1 as identifier_id, 3 as other_id",
        "insert into identity (identifier_id, profile_id, present) values "
        "(1, 'p_device', true), (2, 'p_ada', true), (3, 'p_bound', true)",
        "insert into published (profile_id, payload_hash, state, seq, settled) values "
        "('p_device', 'h', 'live', 1, true), ('p_ada', 'h', 'live', 1, true), "
        "('p_bound', 'h', 'live', 1, true)",
    ):
        warehouse.run(sql, {})
    decide(documents, "client_id", "1.1", "ads")
    decided.copy(documents, warehouse, after=None)
    open_ = "select profile_id from published where not settled order by profile_id"
    assert warehouse.query(open_, {}).to_series().to_list() == ["p_bound", "p_device"]
