"""A small refresh, statement by statement, on DuckDB and on Google's reference engine.

Before each statement the engine is given the tables as DuckDB holds them; both must come to equal
rows. Two runs, so that the second finds names, history and published profiles of the first.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlglot
from sqlglot import exp

from cdp.domain.erasure import Subject
from cdp.domain.identifiers import identifier_key, keyed
from cdp.domain.policy import Policy
from cdp.insight.erasure import parameters
from cdp.objects.folder import FolderObjects
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.local import LocalQueue
from cdp.refresh.runs import Runs
from cdp.refresh.steps import Limits, Steps, policy_parameters
from cdp.warehouse.dialect import parameter_types
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.export_view import export_view
from cdp.warehouse.ga4_files import load_ga4
from cdp.warehouse.port import Value
from cdp.warehouse.rest import parameter_values
from cdp.warehouse.row_files import load_rows
from cdp.warehouse.spelling import unspelled
from cdp.warehouse.statements import migrations, questions, statements
from tests.e2e.support import Cdp
from tests.unit.warehouse.googlesql import (
    GoogleSqlError,
    Table,
    altered,
    columns_from,
    columns_of,
    rest,
    split,
)
from tests.unit.warehouse.test_statements import EXPORT

PEOPLE, DAYS = "25", "4"
KEY = identifier_key("s")
NOW = datetime(2026, 11, 20, tzinfo=UTC)

# What DuckDB and BigQuery do otherwise, by statement and column.
OTHERWISE = {
    # A hash of JSON text, in which both spell floats and times in their own way. Each deployment
    # only compares hashes of its own.
    "62_payload": {"payload_hash"},
}

# Of tables that are files on DuckDB.
WITHOUT_TABLES = {"89_forget"}

# Statements of which the engine runs no INSERT, with its words; of these the rows are compared.
_WITH = "WITH clauses under subquery in DML statement is not supported"
UNSUPPORTED = {"10_events": _WITH, "12_signals": _WITH}


class Comparison:
    """Runs statements on DuckDB, and each of them on the reference engine beside it."""

    def __init__(self, warehouse: DuckWarehouse, googlesql: Any) -> None:
        self.warehouse, self._googlesql = warehouse, googlesql
        self._tables: dict[str, list[tuple[str, Any]]] = {}
        self.compared: Counter[str] = Counter()  # rows, by statement
        self.problems: dict[str, list[str]] = {}
        self.refused: set[str] = set()
        self.counted: dict[str, int] = {}  # rows that the preview of an erasure counts, by table
        self.deleted: dict[str, int] = {}  # and those that it took away

    def show(self, columns: list[tuple[str, Any]], suffixes: Sequence[str]) -> None:
        self.warehouse.show_export(suffixes)
        self._tables["export_event"] = columns

    def run(self, name: str, parameters: Mapping[str, Value]) -> int:
        """Run a statement and return how many rows it changed."""
        self.problems.setdefault(name, [])
        changed = 0
        for sql in split({**migrations(), **statements(), **questions()}[name]):
            (tree,) = sqlglot.parse(sql, dialect="bigquery")
            used = {parameter.name for parameter in tree.find_all(exp.Parameter)}
            given = {key: value for key, value in parameters.items() if key in used}
            changed += self._compare(name, sql, tree, given)
        return changed

    def _compare(self, name: str, sql: str, tree: exp.Expr, given: Mapping[str, Value]) -> int:
        kinds = dict(parameter_types(given))
        match tree:
            case exp.Transaction() | exp.Commit():
                return 0
            case exp.Create():
                self._created(name, sql, tree, given, kinds)
                return 0
            case exp.Alter():
                self._altered(sql)
                return 0
            case exp.Merge():
                source = re.search(r"using \((.*?)\)\s+as s\s+on", sql, re.DOTALL)
                assert source
                self._equal_rows(name, source[1], given)
                return self.warehouse.run(sql, given).affected
            case exp.Insert() | exp.Update() | exp.Delete():
                return self._changed(name, sql, tree, given, kinds)
        self._equal_rows(name, sql, given)
        return 0

    def _created(
        self,
        name: str,
        sql: str,
        tree: exp.Create,
        given: Mapping[str, Value],
        kinds: Mapping[str, str],
    ) -> None:
        resolved = self._googlesql.analyze(sql, self._tables, kinds)
        if tree.expression is not None:
            self._equal_rows(name, re.split(r"\nas\n", sql, maxsplit=1)[1], given)
        self.warehouse.run(sql, given)
        (table,) = resolved.name_path
        self._tables[table] = columns_of(resolved)

    def _altered(self, sql: str) -> None:
        resolved = self._googlesql.analyze(sql, self._tables)
        self.warehouse.run(sql, {})
        (table,) = resolved.name_path
        self._tables[table] = altered(resolved, self._tables[table])

    def _equal_rows(self, name: str, select: str, given: Mapping[str, Value]) -> None:
        kinds = dict(parameter_types(given))
        wanted = self._googlesql.rows(select, given, kinds, self._held(select))
        frame = self.warehouse.query(select, given)
        left_out = [frame.columns.index(c) for c in OTHERWISE.get(name, ()) if c in frame.columns]
        found = [_plain(_without(row, left_out)) for row in frame.rows()]
        expected = [_plain(_without(row, left_out)) for row in wanted]
        (tree,) = sqlglot.parse(select, dialect="bigquery")
        if not tree.args.get("order"):
            found.sort(key=repr)
            expected.sort(key=repr)
        self.compared[name] += len(found)
        if left_out and _plain(frame.rows()) == _plain(wanted):
            self.problems[name].append(f"nothing is otherwise: {OTHERWISE[name]}")
        if found != expected:
            self.problems[name].append(_difference(found, expected))

    def _changed(
        self,
        name: str,
        sql: str,
        tree: exp.Expr,
        given: Mapping[str, Value],
        kinds: Mapping[str, str],
    ) -> int:
        target = next(tree.find_all(exp.Table)).name
        try:
            left = self._googlesql.changes(sql, given, kinds, self._held(sql))
        except GoogleSqlError as error:
            if UNSUPPORTED.get(name, "-") not in str(error):
                raise
            self.refused.add(name)
            _, word, select = sql.partition("\nwith ")
            self._equal_rows(name, word + select, given)
            return self.warehouse.run(sql, given).affected
        before = self._counted(target)
        affected = self.warehouse.run(sql, given).affected
        after = self._counted(target)
        self.compared[name] += affected
        if len(left) != affected:
            self.problems[name].append(f"changes {len(left)} rows, not {affected}: {sql[:80]}")
        written = Counter(repr(_plain(row)) for row in left if row)
        # What is neither written nor was there before, and what was written and is not there.
        if strange := [*(after - written - before).items(), *(written - after).items()]:
            self.problems[name].append(f"{target}: {strange[:4]}")
        return affected

    def _counted(self, table: str) -> Counter[str]:
        return Counter(repr(_plain(row)) for row in self._rows(table))

    def _held(self, sql: str) -> dict[str, Table]:
        """Return the tables that *sql* names, with their rows as they are."""
        (tree,) = sqlglot.parse(sql, dialect="bigquery")
        named = {table.name for table in tree.find_all(exp.Table)} & self._tables.keys()
        return {name: Table(self._tables[name], self._rows(name)) for name in named}

    def _rows(self, table: str) -> list[tuple[Any, ...]]:
        names = ", ".join(
            # The loaded files lie beside the warehouse, without the column that names them.
            "cast(null as string) as file" if (table[:4], name) == ("raw_", "file") else f"`{name}`"
            for name, _ in self._tables[table]
        )
        return self.warehouse.query(f"select {names} from `{table}`", {}).rows()


def _without(row: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return [value for place, value in enumerate(row) if place not in places]


def _plain(value: Any) -> Any:
    """Return *value* in a form that is the same for both engines where it means the same."""
    match value:
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value] or None
        case float():
            return float(f"{value:.12g}")  # sums of floats, in whatever order
    return value


def _difference(found: list[Any], expected: list[Any]) -> str:
    only = [row for row in found if row not in expected][:2]
    other = [row for row in expected if row not in found][:2]
    return f"{len(found)} rows in DuckDB, such as {only}; {len(expected)} here, such as {other}"


# --- the refresh ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home with a generated property, of which nothing is loaded yet."""
    folder = tmp_path_factory.mktemp("reference")
    Cdp(folder, {}).run("generate", folder / "in", "--people", PEOPLE, "--days", DAYS)
    return folder


@pytest.fixture(scope="module")
def comparison(home, googlesql) -> Iterator[Comparison]:
    """What came of every statement and question, over two runs."""
    warehouse = DuckWarehouse(home, memory_limit="500MB", threads=1)
    documents = SqliteDocuments(home / "documents.sqlite")
    queue = LocalQueue(home / "queue.sqlite")
    steps = Steps(
        warehouse=warehouse,
        documents=documents,
        runs=Runs(documents, lease_seconds=600),
        objects=FolderObjects(home / "objects"),
        queue=queue,
        dead_letters=queue,
        policy=Policy.load(None),
        property="p",
        zone=ZoneInfo("UTC"),
        salt="s",
        limits=Limits(shard_rows=1000, batch_events=10**6, delivery_timeout=1, shard_days=7),
        clock=lambda: NOW,
    )
    fields = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    view = export_view("v", {"20261031": "e"}, {"20261031": fields})
    resolved = googlesql.analyze(view, {"e": columns_from(fields)})
    shown = [(column.name, column.column.type) for column in resolved.output_column_list]
    made = Comparison(warehouse, googlesql)
    with closing(warehouse), closing(documents), closing(queue):
        files = sorted((home / "in" / "ga4").iterdir())
        load_ga4(home / "raw", files[: len(files) // 2], threads=1)
        refresh(made, steps, "r1", shown)
        # The second run knows more: it merges profiles.
        load_ga4(home / "raw", files, threads=1)
        load_rows(home / "raw", "raw_link", rows_in(home / "in" / "links"), threads=1)
        load_rows(home / "raw", "raw_decision", rows_in(home / "in" / "consent"), threads=1)
        with_traps(warehouse, home)
        (gone,) = clients(warehouse, "desc")[:1]
        stone = keyed(KEY, "client_id", client_key(warehouse, gone))
        made.run("85_tombstone", {"tombstones": [f"{stone}|e1"]})
        refresh(made, steps, "r2", shown)
        for name in questions():
            made.run(name, answerable(warehouse, name))
        made.run("82_stored", {})
        (some,) = warehouse.query("select array_agg(profile_id) from payload", {}).row(0)
        made.run("83_store", {"ids": [*some[: len(some) // 2], "p_of_nobody"]})
        made.run("84_recall", {"doubt": False})
        made.run("84_recall", {"doubt": True})
        erase(made)
        yield made


def with_traps(warehouse: DuckWarehouse, home: Path) -> None:
    """Load links and decisions that join two clients, keep a third apart, and disagree."""
    one, two, three = clients(warehouse)
    at = "2026-11-01T00:00:00Z"
    links = [(one, "both@example.com", "granted"), (two, "both@example.com", "granted")]
    links += [(one, "no@example.com", "denied"), (three, "no@example.com", "denied")]
    ends = {"a_type": "client_id", "b_type": "email", "source": "test", "at": at}
    rows = [{**ends, "a_value": a, "b_value": b, "consent": c} for a, b, c in links]
    load_rows(home / "raw", "raw_link", [ndjson(home / "links.ndjson", rows)], threads=1)
    told = {"type": "client_id", "purpose": "ads", "source": "test", "at": at}
    rows = [{**told, "value": one, "state": "denied"}, {**told, "value": two, "state": "granted"}]
    rows.append({**told, "value": three, "purpose": "analytics", "state": "denied"})
    load_rows(home / "raw", "raw_decision", [ndjson(home / "told.ndjson", rows)], threads=1)


def clients(warehouse: DuckWarehouse, order: str = "") -> list[str]:
    """Return the ids of three clients, of a profile each when only the export is known."""
    sql = (
        "select c.client_id from client as c left join (select distinct value from consent_signal "
        "where state = 'denied') as n on n.value = c.client_key where n.value is null "
        f"order by c.client_id {order} limit 3"
    )
    return warehouse.query(sql, {})["client_id"].to_list()


def client_key(warehouse: DuckWarehouse, client_id: str) -> str:
    sql = "select client_key from client where client_id = @id"
    return str(warehouse.query(sql, {"id": client_id}).item())


def erase(to: Comparison) -> None:
    """Erase the first of those with traps, and note what the preview counted of what went."""
    given = answerable(to.warehouse, "erasure_rows")
    keys = {name: given[name] for name in ("subjects", "clients", "users", "profiles", "ids")}
    asked = parameters(Subject(())) | keys
    stones = [keyed(KEY, *subject.split("|", 1)) for subject in given["subjects"]]
    to.run("85_tombstone", {"tombstones": [f"{stone}|e2" for stone in stones]})
    for name in ("86_erased", "probe_rows"):
        to.run(name, {"key": KEY, "stones": []})
    to.run("87_told", asked)
    rows = to.warehouse.query(questions()["erasure_rows"], asked)
    to.counted = dict(rows.rows())
    before = sizes(to.warehouse, to.counted)
    for name in ("88_erase", "88_erase_run"):
        to.run(name, asked)
    after = sizes(to.warehouse, to.counted)
    to.deleted = {table: before[table] - after[table] for table in before}


def sizes(warehouse: DuckWarehouse, tables: Iterable[str]) -> dict[str, int]:
    return {table: warehouse.query(f"select count(*) from {table}", {}).item() for table in tables}


def ndjson(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def rows_in(folder: Path) -> list[Path]:
    """Return the files with more than a header: a property this small lacks some kinds of row."""
    return [file for file in sorted(folder.iterdir()) if file.read_text("utf-8").count("\n") > 1]


def refresh(to: Comparison, steps: Steps, run_id: str, shown: list[tuple[str, Any]]) -> None:
    """Do as workflow.yaml does, but for delivery."""
    for name in (*(migrations() if run_id == "r1" else ()), "00_tables"):
        to.run(name, {})
    steps.call("lease", run_id, {})
    plan = steps.call("plan", run_id, {})
    parameters = parameter_values(plan["parameters"]) | {"erased": True}
    secrets = parameter_values(steps.call("salt", run_id, {}).values())
    for number in range(1, plan["batches"] + 1):
        batch = steps.call("batch", run_id, {"number": number})
        given = parameters | secrets | parameter_values(list(batch.values()))
        to.show(shown, given["suffixes"])
        for name in ("10_events", "11_days", "12_signals"):
            to.run(name, given)
    speller = Policy.load(None).speller()
    to.run("13_unspelled", {"rules": speller.digest, "most": 10**6})
    told = unspelled(to.warehouse, speller)
    to.run("14_spell", {"rules": speller.digest, "spelled": told})
    for name in [name for name in statements() if "15" <= name < "31"]:
        to.run(name, parameters | secrets)
    to.run("31_rounds", {})
    rounds = 0
    while True:
        to.run("32_hook", {})
        rounds += 1
        while to.run("33_jump", {}):
            pass
        if not to.run("34_keep", {"round": rounds}):
            break
        to.run("35_contract", {})
    for number in range(rounds, 0, -1):
        to.run("36_label", {"round": number})
    for name in [name for name in statements() if "37" <= name < "72"]:
        to.run(name, parameters | secrets)
        if name == "51_said":
            to.run("17_word", parameters)
    to.run("72_shard", parameters | {"from_bucket": 0, "to_bucket": 10000})
    delivered = {"shards": 1, "open_shards": [-1], "open_from": 10000, "rejected_ids": ["p_none"]}
    to.run("80_settle", delivered)
    to.run("81_settled_run", parameters)
    to.run("94_shard_rows", {"shards": 1})
    to.run("90_state", {"store_run": run_id, "now": NOW})
    known = "select min(value) from identifier where type = 'user_id'"
    (user,) = to.warehouse.query(known, {}).to_series()
    decided = {"type": "user_id", "value": user, "purpose": "ads", "state": "denied"}
    decided |= {"at": "2026-11-01T08:00:00.000000Z", "source": "admin", "by": "ada", "notice": ""}
    told_here = [json.dumps({"decision_id": "d_1793865600000000", **decided})]
    for name in ("85_reopen", "86_decide"):
        to.run(name, {"decided": told_here})
    for name in ("91_cleaned_days", "93_identifier_profile", "95_migrations"):
        to.run(name, {})
    to.run("96_unmatched", {"rules": speller.digest, "spelled": told})
    to.run("92_stats", policy_parameters(Policy.load(None)))
    steps.call("fail", run_id, {"error": "nothing was delivered"})


def answerable(warehouse: DuckWarehouse, question: str) -> dict[str, Value]:
    """Return values for the question's parameters, of a person of whom there is much."""

    def column(sql: str) -> list[Any]:
        return warehouse.query(sql, {}).to_series().to_list()

    one, _, three = (
        column(
            "select i.identifier_id from identifier as i join client as c "
            f"on i.type = 'client_id' and c.client_key = i.value where c.client_id = '{client}'"
        )[0]
        for client in column(
            "select distinct a_value from raw_link where source = 'test' order by 1"
        )
    )
    (person,) = column(f"select profile_id from identity where identifier_id = {one}")
    mine = (
        "from identity as p join identifier as i on i.identifier_id = p.identifier_id "
        f"where p.present and p.profile_id = '{person}'"
    )
    keys = column(f"select i.value {mine} and i.type = 'client_id' order by i.value")
    names = column(f"select concat(i.type, '|', i.value) {mine} order by 1")
    ids = column(f"select i.identifier_id {mine} order by i.identifier_id")
    merged = column(f"select from_id from identity_history where to_id = '{person}'")
    first, last = column("select event_date from cleaned_day order by event_date")[:: int(DAYS) - 1]
    return {
        **policy_parameters(Policy.load(None)),
        "profile_ids": [person],
        "profile_id": merged[0] if question == "stitching_heir" else person,
        "client_keys": keys,
        "subjects": names,
        "clients": keys,
        "users": column(f"select i.value {mine} and i.type = 'user_id'") or [""],
        "profiles": [person],
        "values": [keys[0], "both@example.com"],
        "key": KEY,
        "stones": [keyed(KEY, "client_id", keys[0])],
        "opened_keys": keys[:1],
        "first_key": keys[0],
        "last_key": keys[-1],
        "names": [keys[0].rsplit("/", 1)[1], keys[-1]],
        "ids": ids,
        "first": first if question == "person_trend" else one,
        "second": three,
        "since": first,
        "until": datetime(2100, 1, 1, tzinfo=UTC) if question == "consent_expiring" else last,
        "today": NOW.date(),
        "since_at": datetime(2000, 1, 1, tzinfo=UTC),
        "type": "client_id",
        "value": keys[0].rsplit("/", 1)[1],
        "rules": Policy.load(None).speller().digest,
        "until_at": datetime(2100, 1, 1, tzinfo=UTC),
        "before": datetime(2100, 1, 1, tzinfo=UTC),
        "after": "",
        "after_profile": "",
        "after_purpose": "",
        "reason": "",
        "seq": 0,
        "sides": 2,
        "top": 3,
        "limit": 50,
        "most": 1000,
        "most_series": 3,
        "most_sources": 3,
    }


@pytest.mark.parametrize(
    "name", sorted({*migrations(), *statements(), *questions()} - WITHOUT_TABLES)
)
def test_the_reference_engine_comes_to_the_same_rows(comparison, name):
    assert comparison.problems[name] == []


def test_the_engine_runs_all_but_what_is_known(comparison):
    assert comparison.refused == UNSUPPORTED.keys()


def test_an_erasure_takes_away_what_its_preview_counts_and_no_more(comparison):
    assert comparison.deleted == comparison.counted
    assert len([table for table, rows in comparison.counted.items() if rows]) > 20


def test_there_was_something_to_compare(comparison):
    without = {name for name in comparison.problems if not comparison.compared[name]}
    # The policy that ships lets no grant lapse.
    assert without == {"00_tables", "31_rounds", "82_stored", "consent_expiring"}
