"""Statements of a run that are run again, for nobody heard how they ended: the same rows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.statements import statements
from tests.tables import make_tables

RUN = {"seq": 7, "run_id": "r7", "now": datetime(2026, 11, 1, tzinfo=UTC)}


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckWarehouse]:
    made = DuckWarehouse(tmp_path, memory_limit="500MB", threads=1)
    make_tables(made)
    yield made
    made.close()


def twice(warehouse: DuckWarehouse, name: str, **parameters: object) -> int:
    """Run a statement twice and return how many rows the first added."""
    sql, given = statements()[name], {**RUN, **parameters}
    first = warehouse.run(sql, given)
    assert warehouse.run(sql, given).affected == 0
    return first.affected


def test_what_a_run_joined_is_recorded_once(warehouse: DuckWarehouse) -> None:
    """Identifiers 1 and 2 were two profiles and are one."""
    for sql in (
        "create or replace table identifier as "
        "select id as identifier_id, timestamp '2026-10-01 00:00:00+00' as first_seen, "
        "'user_id' as type, cast(id as string) as value "
        "from unnest([1, 2]) as id",
        "create or replace table cluster as "
        "select id as identifier_id, 1 as cluster_id from unnest([1, 2]) as id",
        "create or replace table name as select 1 as cluster_id, 'p_1' as profile_id",
        "insert into identity (identifier_id, profile_id, present) "
        "select id, concat('p_', cast(id as string)), true from unnest([1, 2]) as id",
    ):
        warehouse.run(sql, {})
    assert twice(warehouse, "41_history") == 1
    found = warehouse.query("select seq, kind, from_id, to_id from identity_history", {})
    assert found.rows() == [(7, "merge", "p_2", "p_1")]


def test_a_settled_run_is_recorded_once(warehouse: DuckWarehouse) -> None:
    warehouse.run("create or replace table word (lapses_at timestamp)", {})
    warehouse.run("create or replace table statement (state string, said_at timestamp)", {})
    assert twice(warehouse, "81_settled_run", fingerprint="f", store_id="s") == 1
    assert twice(warehouse, "81_settled_run", seq=8, fingerprint="f", store_id="s") == 1
    found = warehouse.query("select seq, run_id, fingerprint from settled_run order by seq", {})
    assert found.rows() == [(7, "r7", "f"), (8, "r7", "f")]
