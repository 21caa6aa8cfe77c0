"""Migrations, each applied once, and tables dropped that this release makes in another shape."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.errors import CdpError
from cdp.profiles.port import Put
from cdp.profiles.sqlite import SqliteDocuments
from cdp.refresh import schema
from cdp.refresh.schema import HistoryAtStake, NewerSchema
from cdp.warehouse.bigquery import BigQueryWarehouse
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.port import Shape
from cdp.warehouse.statements import cleaned, made, migrations, shapes, statements
from tests.cloud.bigquery import Server, serving
from tests.tables import make_tables

# Two that a later release could bring: one of tables, one of rows.
SECOND = """
alter table identity add column if not exists seen_at timestamp;
insert into migration (name) values ('0098_second')
"""
THIRD = """
begin transaction;
update published set seq = seq + 1 where true;
insert into migration (name) values ('0099_third');
commit transaction
"""
WORDS = {"by", "cluster", "generate_array", "partition", "range_bucket"}
LATER = {"0098_second": SECOND, "0099_third": THIRD}


class Place:
    """A warehouse and its document store, as a step of the workflow finds them."""

    def __init__(self, warehouse: Any, documents: SqliteDocuments, server: Server | None) -> None:
        self.warehouse, self.documents, self.server = warehouse, documents, server

    def pending(self, *, every_day: bool = True) -> list[str]:
        return schema.pending(self.warehouse, self.documents, every_day=every_day)

    def migrate(self) -> list[str]:
        """Do as the workflow does; return the migrations that were applied."""
        applied = []
        while left := self.pending():
            for name in left:
                self.warehouse.run(schema.migrations()[name], {})
            applied += left
        return applied

    def make(self) -> None:
        """Make every table of a run, empty."""
        self.migrate()
        self.warehouse.run(statements()["00_tables"], {})
        for name, shape in made().items():
            columns = set(re.findall("[a-z_]+", shape.storage or "")) - WORDS
            listed = ", ".join(f"{column} int64" for column in sorted(columns) or ["x"])
            self.warehouse.run(f"create or replace table {name} ({listed}) {shape.storage}", {})

    def tables(self) -> set[str]:
        return set(self.warehouse.shapes())

    def seen(self, sql: str) -> list[Any]:
        return self.warehouse.query(sql, {}).rows()


@pytest.fixture(params=["duckdb", "bigquery"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    with closing(documents):
        if request.param == "duckdb":
            with closing(DuckWarehouse(tmp_path, memory_limit="500MB", threads=1)) as warehouse:
                yield Place(warehouse, documents, None)
            return
        with serving(Server()) as server:
            for dataset in ("cdp", "cdp_a", "cdp_b", "analytics_1"):
                server.make_dataset(dataset)
            cloud = BigQueryWarehouse(
                server.client(),
                project="p",
                dataset="cdp",
                location="EU",
                export="p.analytics_1",
                maximum_bytes_billed=10**12,
            )
            yield Place(cloud, documents, server)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release, with two migrations more."""
    texts = {**migrations(), **LATER}
    monkeypatch.setattr(schema, "migrations", lambda: texts)


# --- migrations -----------------------------------------------------------------------------------


def test_a_fresh_warehouse_is_migrated_from_the_first_on(place: Place) -> None:
    assert place.pending() == list(migrations())
    assert place.migrate() == list(migrations())
    assert place.pending() == []
    declared = {
        name: list(shape.columns)
        for text in migrations().values()
        for name, shape in shapes(text).items()
    }
    added = r"alter table (\w+) add column if not exists (\w+ \w+)"
    for text in migrations().values():
        for name, column in re.findall(added, text):
            declared[name].append(column)
    stands = place.warehouse.shapes()
    assert {name: list(shape.columns) for name, shape in stands.items()} == declared


@pytest.mark.usefixtures("later")
def test_two_that_are_pending_are_applied_in_order_and_once(place: Place) -> None:
    make_tables(place.warehouse)
    place.warehouse.run("insert into published (profile_id, seq) values ('p_1', 7)", {})
    assert place.migrate() == ["0098_second", "0099_third"]
    assert place.migrate() == []
    assert place.seen("select seq from published") == [(8,)]
    assert "seen_at timestamp" in place.warehouse.shapes()["identity"].columns


@pytest.mark.usefixtures("later")
def test_a_run_that_dies_between_two_leaves_the_second_to_the_next(place: Place) -> None:
    make_tables(place.warehouse)
    place.warehouse.run(SECOND, {})
    assert place.migrate() == ["0099_third"]


@pytest.mark.usefixtures("later")
def test_a_run_that_dies_before_a_migration_is_recorded_changes_nothing_twice(
    place: Place,
) -> None:
    make_tables(place.warehouse)
    place.warehouse.run("insert into published (profile_id, seq) values ('p_1', 7)", {})
    place.warehouse.run(SECOND.partition(";")[0], {})
    cut_short = THIRD.replace("'0099_third'", "cast(cast('x' as int64) as string)")
    with pytest.raises(CdpError):
        place.warehouse.run(cut_short, {})
    assert place.seen("select seq from published") == [(7,)]
    assert place.migrate() == ["0098_second", "0099_third"]
    assert place.seen("select seq from published") == [(8,)]


def test_a_warehouse_of_a_newer_release_is_refused_and_left_alone(place: Place) -> None:
    place.make()
    place.warehouse.run("drop table cleaned_day", {})
    place.warehouse.run("insert into migration (name) values ('0999_later')", {})
    before = place.tables()
    told = r"written by a newer release: 0999_later.*no later migration than .*use the release"
    with pytest.raises(NewerSchema, match=told):
        place.pending()
    assert place.tables() == before


def test_documents_of_a_newer_release_are_refused(place: Place) -> None:
    place.migrate()
    recorded = place.documents.get("meta", "schema")
    assert recorded is not None
    assert recorded.body == {"version": schema.DOCUMENTS}
    place.documents.commit([Put("meta", "schema", {"version": schema.DOCUMENTS + 1})])
    with pytest.raises(NewerSchema, match=r"documents have version 2.*up to 1; use the release"):
        place.pending()


# --- tables that are made again -------------------------------------------------------------------


def test_tables_of_this_release_stay(place: Place) -> None:
    place.make()
    before = place.tables()
    assert before >= {*made(), *cleaned()}
    assert place.pending() == []
    assert place.tables() == before


def test_a_run_with_nothing_to_migrate_costs_one_small_query(tmp_path: Path, place: Place) -> None:
    place.make()
    if place.server is None:
        return
    before = len(place.server.jobs)
    place.pending()
    assert len(place.server.jobs) == before + 1


@pytest.mark.parametrize("change", ["drop column country", "add column city string"])
def test_where_one_day_table_has_other_columns_all_are_dropped(place: Place, change: str) -> None:
    place.make()
    place.warehouse.run(f"alter table session_day {change}", {})
    assert place.pending() == []
    assert place.tables() & cleaned().keys() == set()
    assert place.tables() >= {*made(), "identity", "published"}


def test_a_drop_that_was_cut_short_is_ended_by_the_next_run(place: Place) -> None:
    place.make()
    place.warehouse.drop(["events"])
    place.pending()
    assert place.tables() & cleaned().keys() == set()


def test_days_that_the_export_has_no_more_are_not_dropped_in_silence(place: Place) -> None:
    place.make()
    place.warehouse.run(
        "insert into cleaned_day (event_date, suffix, version) values (@day, '20260101', 'v')",
        {"day": date(2026, 1, 1)},
    )
    place.warehouse.run("alter table events drop column country", {})
    before = place.tables()
    with pytest.raises(
        HistoryAtStake, match=r"from 2026-01-01 to 2026-01-01 .* no longer has 1; bring them"
    ):
        place.pending()
    assert place.tables() == before
    place.warehouse.run("drop table cleaned_day", {})
    assert place.pending() == []
    assert place.tables() & cleaned().keys() == set()


def test_a_run_of_some_days_drops_none(place: Place) -> None:
    place.make()
    place.warehouse.run("alter table events drop column country", {})
    with pytest.raises(HistoryAtStake, match="refresh once without --since and --until"):
        place.pending(every_day=False)
    assert "events" in place.tables()


STORED_OTHERWISE = {
    "edge": "cluster by b_id",
    "payload": "",
    "export_row": "partition by range_bucket(bucket, generate_array(0, 10000, 100))",
}


@pytest.mark.parametrize("table", STORED_OTHERWISE)
def test_a_table_of_a_run_that_is_stored_otherwise_is_dropped_alone(
    place: Place, table: str
) -> None:
    place.make()
    if place.server is None:  # it stores all tables alike
        return
    before = place.tables()
    place.server.make_table("cdp", table, "SELECT 1 AS b_id, 1 AS bucket", STORED_OTHERWISE[table])
    place.pending()
    assert place.tables() == before - {table}


def test_day_tables_that_are_stored_otherwise_are_dropped(place: Place) -> None:
    place.make()
    if place.server is None:
        return
    select = 'SELECT * FROM "cdp"."events"'
    place.server.make_table("cdp", "events", select, "partition by event_date cluster by client_id")
    place.pending()
    assert place.tables() & cleaned().keys() == set()


def test_shapes_are_told_as_they_are_declared(place: Place) -> None:
    place.make()
    stands = place.warehouse.shapes()
    for name, shape in cleaned().items():
        storage = None if place.server is None else shape.storage
        assert stands[name] == Shape(shape.columns, storage)
