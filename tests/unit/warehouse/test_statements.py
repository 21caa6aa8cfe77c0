"""Every statement and question, judged by Google's own analyzer and by the house rules.

The analyzer knows the export's schema, the loaded tables, what earlier statements made, and of each
statement exactly the parameters that the workflow or Python gives it. A question's header declares
its parameters.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import sqlglot
import yaml
from sqlglot import exp
from zetasql.types import TypeKind

from cdp.domain.days import BATCH_DAYS, ExportTable
from cdp.domain.erasure import Subject
from cdp.domain.policy import Policy
from cdp.insight import erasure
from cdp.objects.folder import FolderObjects
from cdp.profiles.port import Put
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.local import LocalQueue
from cdp.refresh.dead_letters import DocumentDeadLetters
from cdp.refresh.runs import Runs
from cdp.refresh.steps import Limits, Steps, policy_parameters
from cdp.warehouse.export_view import VIEW_CHARACTERS, export_view
from cdp.warehouse.port import StatementError
from cdp.warehouse.rest import query_parameter
from cdp.warehouse.row_files import RAW_TABLES, TOLD_BESIDE
from cdp.warehouse.statements import cleaned, made, migrations, questions, shapes, statements
from tests.unit.warehouse.googlesql import (
    GoogleSqlError,
    altered,
    columns_from,
    columns_of,
    rest,
    split,
)

MAIN = Path(__file__).parents[3]
EXPORT = resources.files("cdp.warehouse").joinpath("ga4_events.sql").read_text("utf-8")

EVERY = {**migrations(), **statements(), **questions()}

# --- what gives a statement its parameters --------------------------------------------------------


class EmptyWarehouse:
    """A warehouse that has cleaned nothing yet, and one day to clean."""

    def query(self, sql, parameters):
        if "from cleaned_day" in sql and "order by" in sql:
            return pl.DataFrame()
        none = dict.fromkeys(("fingerprint", "store_id", "run_id", "decision"))
        counts = dict.fromkeys(("seq", "unsettled", "live", "live_settled"), 0)
        return pl.DataFrame([{**none, **counts, "store_run_known": False}])

    def export_tables(self):
        return [ExportTable("20261031", "v1", 1)]

    def loaded_versions(self):
        return []

    def show_export(self, suffixes):
        assert suffixes == ["20261031"]


@dataclass(frozen=True)
class Answers:
    """The types of the parameters that steps answer with, by name."""

    plan: dict[str, str]
    batch: dict[str, str]
    receipts: dict[str, str]
    salt: dict[str, str]


@pytest.fixture(scope="session")
def answers(tmp_path_factory):
    """Ask the real steps, so that no type is written down here."""
    folder = tmp_path_factory.mktemp("steps")
    documents, objects = SqliteDocuments(folder / "documents.sqlite"), FolderObjects(folder)
    runs = Runs(documents, lease_seconds=60)
    steps = Steps(
        warehouse=EmptyWarehouse(),
        documents=documents,
        runs=runs,
        objects=objects,
        queue=LocalQueue(folder / "queue.sqlite"),
        dead_letters=DocumentDeadLetters(documents),
        policy=Policy.load(None),
        property="p",
        zone=ZoneInfo("UTC"),
        salt="s",
        limits=Limits(shard_rows=1, batch_events=1, delivery_timeout=1, shard_days=7),
        clock=lambda: datetime(2026, 11, 5, tzinfo=UTC),
    )
    steps.call("lease", "r1", {})
    plan = steps.call("plan", "r1", {})
    batch = steps.call("batch", "r1", {"number": 1})
    file = {"shard": 0, "of_shard": 0, "rows": 1, "name": "runs/r1/part-0", "generation": 1}
    manifest = json.dumps({"run_id": "r1", "rows": 1, "files": [file]}).encode()
    objects.put("runs/r1/manifest.json", manifest)
    receipt = {"run_id": "r1", "shard": 0, "rows": 1, "rejected": 0, "stale": 0}
    documents.commit([Put("receipts", "r1.0", receipt)])
    receipts = steps.call("receipts", "r1", {})
    salt = steps.call("salt", "r1", {})
    documents.close()
    assert plan["batches"] == 1
    return Answers(
        named_types(plan["parameters"]),
        named_types(batch.values()),
        named_types(receipts["parameters"]),
        named_types(salt.values()),
    )


def named_types(parameters) -> dict[str, str]:
    """Return the type of each QueryParameter, by name."""
    types = {}
    for parameter in parameters:
        kind = parameter["parameterType"]
        of = kind.get("arrayType", {}).get("type")
        types[parameter["name"]] = f"ARRAY<{of}>" if of else kind["type"]
    return types


def calls(node: Any, scope: str = "") -> Iterator[tuple[str, str]]:
    """Yield each statement that the workflow calls, with the text of its parameters.

    A parameter list that was put together before is the text of the assignments beside the call.
    """
    if isinstance(node, list):
        for step in node:
            scope += str(step) if "assign" in str(step) else ""
            yield from calls(step, scope)
    elif isinstance(node, dict):
        arguments = node.get("args")
        if node.get("call") in {"sql", "all_sql", "job"} and arguments["run"] == "${run}":
            text = str(arguments["parameters"])
            names = arguments.get("names", [arguments.get("name")])
            for name in [] if isinstance(names, str) else names:  # migrations, as a step tells them
                if not name.startswith("$"):
                    yield name, (scope + text) if text == "${parameters}" else text
        for value in node.values():
            yield from calls(value, scope)


@pytest.fixture(scope="session")
def provided(answers) -> dict[str, dict[str, str]]:
    """Return the types of the parameters that each statement is given, by statement and name."""
    policy = Policy.load(None)
    erased = [query_parameter(*one) for one in erasure.parameters(Subject(())).items()]
    given: dict[str, dict[str, str]] = {
        "83_store": {"ids": "ARRAY<STRING>"},
        "84_recall": {"doubt": "BOOL"},
        "85_reopen": {"decided": "ARRAY<STRING>"},
        "86_decide": {"decided": "ARRAY<STRING>"},
        "13_unspelled": {"rules": "STRING", "most": "INT64"},
        "14_spell": {"rules": "STRING", "spelled": "ARRAY<STRING>"},
        "85_tombstone": {"tombstones": "ARRAY<STRING>"},
        "86_erased": {"key": "STRING"},
        "87_told": {"subjects": "ARRAY<STRING>"},
        "88_erase": named_types(erased),
        "88_erase_run": named_types(erased),
        "89_forget": {"told": "ARRAY<STRING>"},
        "90_state": {"store_run": "STRING", "now": "TIMESTAMP"},
        "91_cleaned_days": {},
        "92_stats": {name: answers.plan[name] for name in policy_parameters(policy)},
        "93_identifier_profile": {},
        "94_shard_rows": {"shards": "INT64"},
        "95_migrations": {},
        **{name: {} for name in migrations()},
        "96_unmatched": {"rules": "STRING", "spelled": "ARRAY<STRING>"},
    }
    workflow = yaml.safe_load((MAIN / "workflow.yaml").read_text("utf-8"))
    export = str(workflow["export"])
    for subworkflow in workflow.values():
        for name, text in calls(subworkflow["steps"]):
            found = given.setdefault(name, {})
            # A subworkflow that is given parameters is given the plan's.
            given_plan = re.search(r"(planned\.|(?<![\w.]))parameters\b", text)
            found |= answers.plan if given_plan else {}
            found |= {"seq": answers.plan["seq"]} if "planned.seq" in text else {}
            found |= {x: answers.salt[x] for x in answers.salt if f"secret.{x}" in text}
            found |= dict(re.findall(r"'name': '(\w+)', 'parameterType': \{'type': '(\w+)'", text))
            found |= answers.receipts if "delivered.parameters" in text else {}
            found |= {x: answers.batch[x] for x in answers.batch if f"batch.{x}" in text}
            made = text + export if "exported.parameter" in text else text
            integers = re.findall(r"integer_parameter\(\"(\w+)", made)
            found |= dict.fromkeys(integers, "INT64")
    return given | {name: declared(text) for name, text in questions().items()}


def declared(question: str) -> dict[str, str]:
    """Return the parameters that a question's header declares: `@a, @b STRING, @c INT64`."""
    header = re.sub(r"\n--\s*", " ", question.partition("\n\n")[0].partition("select")[0])
    types: dict[str, str] = {}
    waiting: list[str] = []
    for name, kind in re.findall(r"@(\w+)(?:\s+((?:ARRAY<)?[A-Z0-9]+>?))?", header):
        waiting.append(name)
        if kind:
            types |= dict.fromkeys(waiting, kind)
            waiting = []
    return types


# --- the gate -------------------------------------------------------------------------------------


@dataclass
class Gate:
    """What the analyzer made of the statements, in the order in which they run."""

    resolved: dict[str, list[Any]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # as each statement found them


def inputs(googlesql) -> dict[str, Any]:
    """Return the tables that no statement makes."""
    published = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    return {"export_event": shown(googlesql, published)}


def shown(googlesql, *tables: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Return the columns of `export_event` over tables of these columns, all of one batch."""
    named = {f"2026{number:04}": fields for number, fields in enumerate(tables)}
    view = export_view("p.cdp.export_event", {s: f"p.e.events_{s}" for s in named}, named)
    catalog = {f"p.e.events_{suffix}": columns_from(named[suffix]) for suffix in named}
    resolved = googlesql.analyze(view, catalog)
    return [(column.name, column.column.type) for column in resolved.output_column_list]


@pytest.fixture(scope="session")
def gate(googlesql, provided) -> Gate:
    gate = Gate()
    tables = inputs(googlesql)
    for name, script in EVERY.items():  # statements are named in the order in which they run
        gate.tables[name] = dict(tables)
        gate.resolved[name] = []
        try:
            for sql in split(script):
                resolved = googlesql.analyze(sql, tables, provided.get(name, {}))
                gate.resolved[name].append(resolved)
                if type(resolved).__name__.startswith("ResolvedCreateTable"):
                    tables[resolved.name_path[0]] = columns_of(resolved)
                elif type(resolved).__name__ == "ResolvedAlterTableStmt":
                    (table,) = resolved.name_path
                    tables[table] = altered(resolved, tables[table])
        except GoogleSqlError as error:
            gate.errors[name] = str(error)
    return gate


@pytest.mark.parametrize("name", EVERY)
def test_googles_analyzer_accepts_every_statement(gate, name):
    assert name not in gate.errors, gate.errors[name]


def test_the_gate_knows_what_a_migration_changes(googlesql, gate):
    """So that later statements are judged by what they will find."""
    before = gate.tables["90_state"]["identity"]
    add = googlesql.analyze(
        "alter table identity add column if not exists seen_at timestamp", {"identity": before}
    )
    after = altered(add, before)
    assert altered(add, after) == after
    sql = "select seen_at from identity where present"
    assert googlesql.analyze(sql, {"identity": after})
    drop = googlesql.analyze("alter table t drop column if exists seen_at", {"t": after})
    with pytest.raises(GoogleSqlError, match="seen_at"):
        googlesql.analyze(sql, {"identity": altered(drop, after)})


BROKEN = {
    "a column that the export does not have": ("10_events", "e.geo.country", "e.geo.land"),
    "a column that an earlier statement does not make": ("29_edge", "l.kept_out is", "l.out is"),
    "a comparison of a text with a number": (
        "10_events",
        "lower(trim(e.privacy_info.analytics_storage))",
        "e.event_timestamp",
    ),
    "an insert of the wrong type": ("11_days", "count(*) as events", "'many' as events"),
    "a parameter that nobody gives": ("40_name", "@salt", "@pepper"),
    "a parameter that another statement is given": ("34_keep", "@round", "@seq"),
    "a parameter of another type": ("61_profile_identifier", "@kept", "@salt"),
    "a word that BigQuery reserves": ("20_client", "as first_seen", "as at"),
    "a column neither grouped nor aggregated": ("20_client", "max(s.client_id)", "s.client_id"),
    "a table that nobody makes": ("30_live", "from edge", "from edges"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_the_gate_refuses(googlesql, gate, provided, how):
    name, right, wrong = BROKEN[how]
    assert right in statements()[name]
    parts = split(statements()[name].replace(right, wrong))
    with pytest.raises(GoogleSqlError):
        [googlesql.analyze(sql, gate.tables[name], provided[name]) for sql in parts]


@pytest.mark.parametrize("word", ["at", "full", "hash", "qualify", "rows", "set", "window"])
def test_the_gate_reserves_the_words_that_bigquery_reserves(googlesql, word):
    with pytest.raises(GoogleSqlError, match="Syntax error"):
        googlesql.analyze(f"select 1 as {word}")


def test_the_shard_can_be_exported(googlesql, gate, provided):
    """The workflow puts EXPORT DATA before the statement."""
    name = "72_shard"
    options = "uri='gs://b/part-*.json', format='JSON', overwrite=true"
    sql = f"export data options ({options}) as {statements()[name]}"
    assert googlesql.analyze(sql, gate.tables[name], provided[name])


def nodes(node: Any) -> Iterator[Any]:
    """Yield every node of a resolved statement."""
    if isinstance(node, list):
        for item in node:
            yield from nodes(item)
    elif is_dataclass(node):
        yield node
        for value in vars(node).values():
            yield from nodes(value)


@pytest.mark.parametrize("name", EVERY)
def test_no_float_becomes_text(gate, name):
    """BigQuery writes 1.0 as '1', DuckDB as '1.0'."""
    casts = [n for n in nodes(gate.resolved[name]) if type(n).__name__ == "ResolvedCast"]
    kinds = [(cast.expr.type.type_kind, cast.type.type_kind) for cast in casts]
    assert (TypeKind.TYPE_DOUBLE, TypeKind.TYPE_STRING) not in kinds


@pytest.mark.parametrize("name", EVERY)
def test_no_array_is_asked_whether_it_is_null(gate, name):
    """BigQuery stores a null array as an empty one, DuckDB as null; ask for an element instead."""
    asked = [
        n.argument_list[0].type.type_kind
        for n in nodes(gate.resolved[name])
        if type(n).__name__ == "ResolvedFunctionCall" and n.function.name == "ZetaSQL:$is_null"
    ]
    assert TypeKind.TYPE_ARRAY not in asked


def test_the_raw_tables_have_the_columns_of_loaded_files(gate):
    made = gate.tables["13_unspelled"]
    for table, columns in RAW_TABLES.items():
        kinds = {name: column.kind for name, column in columns.items()} | TOLD_BESIDE
        if table != "raw_decision":
            del kinds["date_only"]
        named = {"VARCHAR": "STRING", "BIGINT": "INTEGER", "BOOLEAN": "BOOLEAN"}
        assert {name: rest(name, kind)["type"] for name, kind in made[table]} == {
            **{name: named.get(kind, kind) for name, kind in kinds.items()},
            "file": "STRING",
        }


# --- house rules ----------------------------------------------------------------------------------

trees = pytest.mark.parametrize(
    "parsed",
    [pytest.param(sqlglot.parse(sql, dialect="bigquery"), id=n) for n, sql in EVERY.items()],
)


@trees
def test_a_file_is_one_statement_or_a_transaction_or_makes_tables(parsed):
    kinds = [type(tree) for tree in parsed]
    if kinds[0] is exp.Transaction:
        assert kinds[-1] is exp.Commit
        assert set(kinds[1:-1]) <= {exp.Delete, exp.Insert, exp.Update}
    elif kinds[-1] is exp.Insert:  # a migration, which may run again; its own tests are below
        assert set(kinds[:-1]) <= {exp.Create, exp.Alter, exp.Drop}
    elif len(kinds) > 1:
        assert set(kinds) == {exp.Create}
    else:
        assert kinds[0] in {
            *(exp.Create, exp.Delete, exp.Insert, exp.Merge, exp.Update),
            *(exp.Select, exp.Union),
        }


@pytest.mark.parametrize("name", questions())
def test_a_question_only_reads(name):
    (tree,) = sqlglot.parse(questions()[name], dialect="bigquery")
    assert isinstance(tree, exp.Select | exp.Union)


@trees
def test_every_table_is_made_to_be_made_again(parsed):
    for create in [tree for tree in parsed if isinstance(tree, exp.Create)]:
        assert create.kind == "TABLE"
        assert create.args.get("replace") or create.args.get("exists")


def stored(create) -> str:
    """Return partition and cluster of a CREATE as the parser understands them, in our spelling."""
    properties = create.args.get("properties")
    parts = [part.sql("bigquery") for part in properties.expressions] if properties else []
    return " ".join(parts).lower()


def columns(create) -> tuple[str, ...]:
    listed = create.this.expressions if isinstance(create.this, exp.Schema) else []
    return tuple(column.sql("bigquery", comments=False).lower() for column in listed)


@pytest.mark.parametrize("name", {**migrations(), **statements()})
def test_what_is_declared_is_read_as_a_parser_reads_it(name):
    parsed = sqlglot.parse(EVERY[name], dialect="bigquery")
    creates = [tree for tree in parsed if isinstance(tree, exp.Create)]
    wanted = {c.find(exp.Table).name: (columns(c), stored(c)) for c in creates}
    found = {n: (shape.columns, shape.storage) for n, shape in shapes(EVERY[name]).items()}
    assert found == wanted


def test_a_table_that_several_statements_make_is_stored_the_same_way():
    """BigQuery replaces no table by one of another partition or cluster."""
    storages: dict[str, set[str | None]] = {}
    for text in statements().values():
        for name, shape in shapes(text).items():
            storages.setdefault(name, set()).add(shape.storage)
    assert storages.keys() == {*made(), *cleaned()}
    assert {name for name, found in storages.items() if len(found) > 1} == set()


@pytest.mark.parametrize("name", migrations())
def test_a_migration_records_itself_once_all_is_done(name):
    """In its transaction, or else after statements that change nothing when they run again."""
    trees = sqlglot.parse(migrations()[name], dialect="bigquery")
    if isinstance(trees[0], exp.Transaction):
        assert isinstance(trees.pop(), exp.Commit)
    else:
        for tree in trees[:-1]:
            actions = tree.args.get("actions") or [tree]
            assert all(action.args.get("exists") for action in actions)
    record = trees[-1]
    assert record.sql("bigquery") == f"INSERT INTO migration (name) VALUES ('{name}')"


def test_migrations_are_numbered_without_a_gap():
    numbers = [name.partition("_")[0] for name in migrations()]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_no_statement_but_a_migration_makes_what_outlives_a_run():
    kept = {name for text in migrations().values() for name in shapes(text)}
    assert kept & {*made(), *cleaned()} == set()


@trees
def test_every_unnest_has_an_alias(parsed):
    for unnest in found(parsed, exp.Unnest):
        assert isinstance(unnest.parent, exp.In) or unnest.alias_column_names


@trees
def test_qualify_comes_with_where(parsed):
    for qualify in found(parsed, exp.Qualify):
        assert qualify.parent.args.get("where")


@trees
def test_a_star_is_one_of_a_step(parsed):
    for star in found(parsed, exp.Star):
        if isinstance(star.parent, exp.Count):
            continue
        assert isinstance(star.parent, exp.Select)
        steps = {cte.alias for tree in parsed for cte in tree.find_all(exp.CTE)}
        assert star.parent.args["from_"].this.name in steps


@trees
def test_an_insert_names_its_columns(parsed):
    for insert in found(parsed, exp.Insert):
        within = insert.find_ancestor(exp.When)
        assert isinstance(insert.this, exp.Tuple if within else exp.Schema)


@trees
def test_json_text_only_goes_into_hashes(parsed):
    """DuckDB writes times and floats in JSON otherwise than BigQuery: no such text may leave."""
    for text in found(parsed, exp.JSONFormat):
        assert text.find_ancestor(exp.MD5, exp.SHA2Digest)


@pytest.mark.parametrize("name", EVERY)
def test_the_header_says_the_grain(name):
    header = EVERY[name].split("\n\n")[0 if name not in {"00_tables", *migrations()} else 1]
    lines = [line for line in header.splitlines() if line.startswith("--")]
    assert any(line.startswith("-- grain:") for line in lines)


@pytest.mark.parametrize("name", EVERY)
def test_somebody_runs_the_statement_and_gives_its_parameters(provided, name):
    trees = sqlglot.parse(EVERY[name], dialect="bigquery")
    used = {parameter.name for parameter in found(trees, exp.Parameter)}
    assert used <= provided[name].keys()


def test_every_parameter_of_the_plan_is_used(answers):
    texts = "".join(statements().values())
    used = set(re.findall(r"@(\w+)", texts))
    assert {*answers.plan, *answers.batch, *answers.receipts, *answers.salt} <= used


def found(parsed, kind) -> list[Any]:
    return [node for tree in parsed for node in tree.find_all(kind)]


# --- the export's schema --------------------------------------------------------------------------


def published(shared, name):
    """Return a schema as Google published it."""
    file = shared / "data" / "schema" / f"ga4_events_schema_{name}.json"
    return json.loads(file.read_text("utf-8"))


def plain(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return name, type, mode and fields of a column, and no description."""
    told = {key: field[key] for key in ("name", "type", "mode")}
    if "fields" in field:
        told["fields"] = [plain(part) for part in field["fields"]]
    return told


def test_the_export_table_is_the_published_schema(googlesql, shared):
    columns = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    assert columns == [plain(field) for field in published(shared, "2026")]


def test_what_statements_read_has_the_published_types(googlesql):
    """So that nothing of a newer table is cast, and the view's text is short."""
    columns = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    view = export_view("p.cdp.v", {"20261031": "p.e.events_20261031"}, {"20261031": columns})
    assert "cast" not in view


# Each gives some of the published columns another type, or takes them away.
DRIFTS = {
    "identifiers are numbers": {"user_id": "INTEGER", "user_pseudo_id": "FLOAT"},
    "states are numbers": {
        "privacy_info.analytics_storage": "INTEGER",
        "privacy_info.ads_storage": "INTEGER",
        "stream_id": "INTEGER",
    },
    "numbers are texts": {
        "event_timestamp": "STRING",
        "event_params.value.int_value": "STRING",
        "event_params.value.double_value": "STRING",
        "ecommerce.purchase_revenue": "STRING",
    },
    "an integer for a float": {
        "event_params.value.float_value": "INTEGER",
        "ecommerce.purchase_revenue": "INTEGER",
        "ecommerce.transaction_id": "INTEGER",
    },
    "no consent, no traffic source": {
        "privacy_info": None,
        "traffic_source": None,
        "collected_traffic_source": None,
        "user_ltv": None,
        "is_active_user": None,
        "publisher": None,
    },
    "fields of records are missing": {
        "privacy_info.ads_storage": None,
        "collected_traffic_source.gclid": None,
        "ecommerce.transaction_id": None,
        "event_params.value.double_value": None,
        "device.category": None,
    },
    "a property without parameters": {"event_params": None},
}


def drifted(fields: Sequence[Mapping[str, Any]], drift: Mapping[str, str | None], above: str = ""):
    """Return *fields* with the types of *drift*; a path that it maps to None is missing."""
    made = []
    for column in fields:
        path = above + column["name"]
        if drift.get(path, "") is None:
            continue
        parts = drifted(column.get("fields", ()), drift, f"{path}.")
        below = {"fields": parts} if "fields" in column else {}
        made.append({**column, "type": drift.get(path, column["type"]), **below})
    return made


def accepted(googlesql, gate, provided, *tables):
    """Assert that the statements read a view over *tables* as they read one of newest tables."""
    columns = shown(googlesql, *tables)
    assert columns == gate.tables["10_events"]["export_event"]
    for name in ("10_events", "12_signals"):
        for sql in split(statements()[name]):
            catalog = {**gate.tables[name], "export_event": columns}
            assert googlesql.analyze(sql, catalog, provided[name])


@pytest.mark.parametrize("how", DRIFTS)
def test_the_export_may_drift(googlesql, gate, provided, how):
    newest = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    accepted(googlesql, gate, provided, drifted(newest, DRIFTS[how]))
    accepted(googlesql, gate, provided, newest, drifted(newest, DRIFTS[how]), newest)


@pytest.mark.parametrize("schema", ["2026", "public_sample_2021_as_exported"])
def test_a_published_schema_is_read(googlesql, gate, provided, shared, schema):
    fields = [plain(field) for field in published(shared, schema)]
    accepted(googlesql, gate, provided, fields)
    accepted(googlesql, gate, provided, published(shared, "2026"), fields)


NO_EVENTS = {
    "a value for a record": {"geo": "STRING"},
    "a value for a list": {"event_params": "STRING"},
    "a record for a value": {"event_name": "RECORD"},
}


@pytest.mark.parametrize("how", NO_EVENTS)
def test_a_table_of_another_kind_is_told(googlesql, how):
    newest = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    (path, kind), *_ = NO_EVENTS[how].items()
    part = [{"name": "x", "type": "STRING", "mode": "NULLABLE"}]
    other = {"name": path, "type": kind, "mode": "NULLABLE"}
    other |= {"fields": part} if kind == "RECORD" else {}
    fields = [other if field["name"] == path else field for field in newest]
    with pytest.raises(StatementError, match=f"events_20260000: {path} is no.*keep others out"):
        shown(googlesql, fields)


def test_a_view_of_a_whole_batch_is_no_longer_than_bigquery_allows(googlesql):
    """Also where nothing has its type, of the longest names that Google gives."""
    newest = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    every = drifted(newest, dict.fromkeys(leaves(newest), "NUMERIC"))
    suffixes = [f"intraday_2026{number:04}" for number in range(BATCH_DAYS)]
    dataset = f"{'p' * 30}.{'d' * 1024}"
    view = export_view(
        f"{dataset}.export_event",
        {suffix: f"{dataset}.events_{suffix}" for suffix in suffixes},
        dict.fromkeys(suffixes, every),
    )
    assert view.count("cast(") >= 22 * BATCH_DAYS
    assert len(view) <= VIEW_CHARACTERS


def leaves(fields: Sequence[Mapping[str, Any]], above: str = "") -> list[str]:
    paths = []
    for column in fields:
        path = above + column["name"]
        paths += leaves(column["fields"], f"{path}.") if "fields" in column else [path]
    return paths
