"""Every statement and question, judged by Google's own analyzer and by the house rules.

The analyzer knows the export's schema, the loaded tables, what earlier statements made, and of each
statement exactly the parameters that the workflow or Python gives it. A question's header declares
its parameters.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
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

from cdp.domain.days import ExportTable
from cdp.domain.policy import Policy
from cdp.profiles.port import Put
from cdp.profiles.sqlite import SqliteDocuments
from cdp.runs import Runs
from cdp.steps import Limits, Steps, policy_parameters
from cdp.warehouse.row_files import RAW_TABLES
from cdp.warehouse.statements import questions, statements
from tests.unit.warehouse.googlesql import GoogleSqlError, columns_of, split, type_named

MAIN = Path(__file__).parents[3]
SCHEMA = MAIN.parent / "shared" / "data" / "schema" / "ga4_events_schema_2026.json"
EXPORT = resources.files("cdp.warehouse").joinpath("ga4_events.sql").read_text("utf-8")

pytestmark = pytest.mark.xdist_group("googlesql")

EVERY = {**statements(), **questions()}

# --- what gives a statement its parameters --------------------------------------------------------


class EmptyWarehouse:
    """A warehouse that has cleaned nothing yet, and one day to clean."""

    def query(self, sql, parameters):
        if "from cleaned_day" in sql and "order by" in sql:
            return pl.DataFrame()
        return pl.DataFrame([{"seq": 0, "fingerprint": None, "store_id": None, "unsettled": 0}])

    def export_tables(self):
        return [ExportTable("20261031", "v1", 1)]

    def loaded_versions(self):
        return []


class OneShard:
    """Object store and queue of a run whose one shard was delivered."""

    def open(self, name):
        file = {"shard": 0, "of_shard": 0, "rows": 1}
        return io.BytesIO(json.dumps({"rows": 1, "files": [file]}).encode())

    def dead(self, topic):
        return []


@dataclass(frozen=True)
class Answers:
    """The types of the parameters that steps answer with, by name."""

    plan: dict[str, str]
    batch: dict[str, str]
    receipts: dict[str, str]


@pytest.fixture(scope="session")
def answers(tmp_path_factory):
    """Ask the real steps, so that no type is written down here."""
    documents = SqliteDocuments(tmp_path_factory.mktemp("steps") / "documents.sqlite")
    runs = Runs(documents, lease_seconds=60)
    steps = Steps(
        warehouse=EmptyWarehouse(),
        documents=documents,
        runs=runs,
        objects=OneShard(),
        queue=OneShard(),
        policy=Policy.load(None),
        property="p",
        zone=ZoneInfo("UTC"),
        salt="s",
        limits=Limits(shard_rows=1, batch_events=1, delivery_timeout=1),
        clock=lambda: datetime(2026, 11, 5, tzinfo=UTC),
    )
    steps.call("lease", "r1", {})
    plan = steps.call("plan", "r1", {})
    receipt = {"run_id": "r1", "shard": 0, "rows": 1, "rejected": 0}
    documents.commit([Put("receipts", "r1.0", receipt)])
    receipts = steps.call("receipts", "r1", {})
    documents.close()
    (batch,) = plan["batches"]
    return Answers(
        named_types(plan["parameters"]),
        named_types(batch.values()),
        named_types(receipts["parameters"]),
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
            for name in arguments.get("names", [arguments.get("name")]):
                if not name.startswith("$"):
                    yield name, scope if text == "${parameters}" else text
        for value in node.values():
            yield from calls(value, scope)


@pytest.fixture(scope="session")
def provided(answers) -> dict[str, dict[str, str]]:
    """Return the types of the parameters that each statement is given, by statement and name."""
    policy = Policy.load(None)
    given: dict[str, dict[str, str]] = {
        "90_state": {},
        "91_cleaned_days": {},
        "92_stats": {name: answers.plan[name] for name in policy_parameters(policy)},
        "93_identifier_profile": {},
        "94_shard_rows": {"shards": "INT64"},
    }
    workflow = yaml.safe_load((MAIN / "workflow.yaml").read_text("utf-8"))
    export = str(workflow["export"])
    for subworkflow in workflow.values():
        for name, text in calls(subworkflow["steps"]):
            found = given.setdefault(name, {})
            found |= answers.plan if "plan.parameters" in text else {}
            found |= {"seq": answers.plan["seq"]} if "plan.seq" in text else {}
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
    suffix = ("_TABLE_SUFFIX", type_named("STRING"))
    tables = {"events_*": [*googlesql.columns(EXPORT), suffix]}
    for table, columns in RAW_TABLES.items():
        kinds = {name: {"VARCHAR": "STRING"}.get(c.kind, c.kind) for name, c in columns.items()}
        tables[table] = [(name, type_named(kind)) for name, kind in kinds.items()]
    return tables


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
        except GoogleSqlError as error:
            gate.errors[name] = str(error)
    return gate


@pytest.mark.parametrize("name", EVERY)
def test_googles_analyzer_accepts_every_statement(gate, name):
    assert name not in gate.errors, gate.errors[name]


BROKEN = {
    "a column that the export does not have": ("10_events", "e.geo.country", "e.geo.land"),
    "a column that an earlier statement does not make": ("24_edge", "l.kept_out is", "l.out is"),
    "a comparison of a text with a number": (
        "10_events",
        "lower(e.privacy_info.analytics_storage)",
        "e.event_timestamp",
    ),
    "an insert of the wrong type": ("11_days", "count(*) as events", "'many' as events"),
    "a parameter that nobody gives": ("40_name", "@salt", "@pepper"),
    "a parameter that another statement is given": ("34_keep", "@round", "@seq"),
    "a parameter of another type": ("61_profile_identifier", "@kept", "@salt"),
    "a word that BigQuery reserves": ("20_client", "as first_seen", "as at"),
    "a column neither grouped nor aggregated": ("20_client", "max(client_id)", "client_id"),
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
        assert set(kinds[1:-1]) <= {exp.Delete, exp.Insert}
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
    header = EVERY[name].split("\n\n")[0 if name != "00_tables" else 1]
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
    assert {*answers.plan, *answers.batch, *answers.receipts} <= used


def found(parsed, kind) -> list[Any]:
    return [node for tree in parsed for node in tree.find_all(kind)]


# --- the export's schema --------------------------------------------------------------------------


def test_the_export_table_is_the_published_schema(googlesql):
    if not SCHEMA.exists():
        pytest.skip(f"{SCHEMA} is not part of the repository")
    published = json.loads(SCHEMA.read_text("utf-8"))
    columns = googlesql.columns(EXPORT)
    assert [facts(name, kind) for name, kind in columns] == [published_facts(f) for f in published]


def facts(name: str, kind: Any) -> tuple[str, str, str, list[Any]]:
    """Return name, type, mode and fields as BigQuery's API calls them."""
    mode = "NULLABLE"
    if kind.type_kind is TypeKind.TYPE_ARRAY:
        mode, kind = "REPEATED", kind.array_type.element_type
    spelled = {
        TypeKind.TYPE_INT64: "INTEGER",
        TypeKind.TYPE_DOUBLE: "FLOAT",
        TypeKind.TYPE_BOOL: "BOOLEAN",
        TypeKind.TYPE_STRING: "STRING",
        TypeKind.TYPE_STRUCT: "RECORD",
    }
    nested = kind.struct_type.field if kind.struct_type else []
    return (
        name,
        spelled[kind.type_kind],
        mode,
        [facts(part.field_name, part.field_type) for part in nested],
    )


def published_facts(entry: Mapping[str, Any]) -> tuple[str, str, str, list[Any]]:
    nested = [published_facts(part) for part in entry.get("fields", [])]
    return entry["name"], entry["type"], entry["mode"], nested
