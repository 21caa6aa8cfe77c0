"""`workflow.yaml` is what Cloud Workflows documents, and calls nothing that nobody answers."""

import itertools
import json
import re
import threading
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
import yaml

from cdp.deployments.embedded import WORKFLOW
from cdp.domain.days import BATCH_DAYS
from cdp.domain.policy import Policy
from cdp.refresh.connectors import connectors
from cdp.refresh.shards import SHARDS_AT_MOST, TOLD_AT_MOST
from cdp.refresh.steps import BATCHES_AT_MOST, policy_parameters
from cdp.warehouse.rest import query_parameter
from cdp.warehouse.statements import statements
from cdp.workflow_engine import Interpreter, load
from cdp.workflow_engine.expressions import MAX_LENGTH
from cdp.workflow_engine.interpreter import MAX_STEPS
from cdp.workflow_engine.model import StepType
from cdp.workflow_engine.trace import StepEntry

TEXT = WORKFLOW.read_text("utf-8")


def test_it_calls_exactly_the_connectors_that_the_embedded_deployment_answers() -> None:
    answered = connectors(None, None).keys()  # type: ignore[arg-type] - only their names
    assert load(TEXT, connectors=answered).connectors == answered


def test_it_is_valid_by_the_published_schema_of_the_language(shared: Path) -> None:
    schema = json.loads((shared / "data" / "schema" / "workflows.jsonschema.json").read_text())
    jsonschema.validate(yaml.safe_load(TEXT), schema)


def test_it_runs_every_statement_of_a_refresh_and_no_other() -> None:
    named = set(re.findall(r"\b\d\d_[a-z_]+\b", TEXT))
    # Those of the nineties are only read: by steps and commands. Steps spell, store what they
    # recall, and erase.
    of_steps = {"13_unspelled", "14_spell", "83_store"}
    of_steps |= {name for name in statements() if "85" <= name < "90"}
    assert named == {name for name in statements() if not name.startswith("9")} - of_steps


# --- the limits of Cloud Workflows ----------------------------------------------------------------

SHARDS = SHARDS_AT_MOST
BATCHES = 2 * BATCHES_AT_MOST  # a batch ends with its day
ROUNDS, JUMPS = 30, 3  # of a billion identifiers, in chains as long as they come
POLLS = 360  # an hour's wait for receipts
RECALLS = 400  # of a hundred million profiles
SPELLINGS = 200  # of a hundred million identifiers, never spelled before
SALT, KEY = "f" * 64, "e" * 128


class Counted:
    """Google's services and the steps function, as a run of the largest size meets them."""

    def __init__(self, plan: dict[str, Any], batch: dict[str, Any], doubts: dict[str, Any]) -> None:
        self.plan, self.batch, self.doubts = plan, batch, doubts
        self.steps = self.jobs = self.jumps = self.rounds = self.polls = self.recalls = 0
        self.spellings = 0
        self.salted: set[str] = set()
        self.lock = threading.Lock()

    def step_started(self, entry: StepEntry) -> None:
        counted = {StepType.FOR_ITERATION, StepType.TRY, StepType.CONDITION, StepType.EXCEPT}
        self.steps += entry.step_type not in counted

    def step_ended(self, entry: StepEntry) -> None: ...

    def step_retried(self, entry: StepEntry) -> None: ...

    def insert(self, args: dict[str, Any]) -> dict[str, Any]:
        query = args["body"]["configuration"]
        if SALT in str(args) or KEY in str(args):
            self.salted.add(query["labels"]["statement"])
        assert re.fullmatch(r"[a-z0-9_-]{1,63}", query["labels"]["run"])
        name, changed = query["labels"]["statement"], 0
        with self.lock:
            self.jobs += 1
            if name == "33_jump":
                self.jumps += 1
                changed = self.jumps % JUMPS
            if name == "34_keep":
                self.rounds += 1
                changed = int(self.rounds < ROUNDS)
            if name == "71_mark":
                changed = 10_000 * SHARDS
        exported = {"rowCount": "10000", "fileCount": "1"}
        statistics = {"numDmlAffectedRows": str(changed), "exportDataStatistics": exported}
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,1024}", args["body"]["jobReference"]["jobId"])
        # The connector answers with the whole job: the query and its parameters come back.
        return {**args["body"], "status": {"state": "DONE"}, "statistics": {"query": statistics}}

    def get(self, args: dict[str, Any]) -> bytes:
        name = unquote(args["object"]).rpartition("/")[2].removesuffix(".sql")
        return statements()[name].encode()

    def http(self, method: str, args: dict[str, Any]) -> dict[str, Any]:
        name = args["url"].rpartition("/")[2]
        body: dict[str, Any] = {}
        if name == "receipts":
            self.polls += 1
            body = self.doubts if self.polls > POLLS else {"done": False}
        if name == "recall":
            self.recalls += 1
            body = {"done": self.recalls == RECALLS, "cursor": "c" * 100}
        answers = {"lease": {"granted": True}, "plan": self.plan, "batch": self.batch}
        answers["publish"] = {"totals": {}}
        answers["schema"] = {"migrations": []}
        answers["erase"] = {"nothing_new": False}
        if name == "spell":
            self.spellings += 1
            body = {"done": self.spellings == SPELLINGS}
        answers["salt"] = {
            "salt": query_parameter("salt", SALT),
            "key": query_parameter("key", KEY),
        }
        return {"code": 200, "headers": {}, "body": answers.get(name, body)}


@pytest.fixture
def largest(tmp_path: Path) -> Counted:
    """A run with ten thousand shards, and as much in doubt as is passed on."""
    identifiers = [f"p_{n:032x}" for n in range(TOLD_AT_MOST)]
    parameters = {**policy_parameters(Policy.load(None)), "run_id": "r" * 36}
    day = date(2026, 10, 31)
    batch = {
        "suffixes": query_parameter("suffixes", ["intraday_20261031"] * BATCH_DAYS),
        "dates": query_parameter("dates", [day] * BATCH_DAYS),
        "days": query_parameter("days", ["x" * 100] * BATCH_DAYS),
    }
    plan = {
        "nothing_new": False,
        "recall": True,
        "doubt": query_parameter("doubt", True),
        "batches": BATCHES,
        "parameters": [query_parameter(name, value) for name, value in parameters.items()],
        "seq": query_parameter("seq", 10**6),
        "shard_rows": 10_000,
        "shards_at_most": SHARDS,
        "delivery_timeout": 10**6,
    }
    doubts = {
        "done": True,
        "complete": False,
        "parameters": [
            query_parameter("open_shards", list(range(TOLD_AT_MOST))),
            query_parameter("open_from", TOLD_AT_MOST),
            query_parameter("rejected_ids", identifiers),
        ],
    }
    return Counted(plan, batch, doubts)


def test_the_largest_run_stays_within_the_limits(largest: Counted) -> None:
    """The engine refuses what Google refuses: variables over 512 KB, steps beyond 100,000."""
    handlers = {
        "googleapis.bigquery.v2.jobs.get": largest.insert,
        "googleapis.bigquery.v2.jobs.insert": largest.insert,
        "googleapis.storage.v1.objects.get": largest.get,
    }
    env = dict.fromkeys(re.findall(r'sys\.get_env\("(\w+)"\)', TEXT), "europe-west1")
    env |= {"CDP_POLL_SECONDS": "10", "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": "e" * 36}
    definition = load(TEXT, connectors=handlers.keys())
    Interpreter(
        definition,
        handlers,
        env,
        largest,
        lambda: False,
        http=largest.http,
        sleep=lambda seconds: None,
        now=itertools.count().__next__,
    ).run({})
    assert largest.jobs > SHARDS + 3 * BATCHES + ROUNDS * JUMPS
    # The salt goes to the one statement that names; its key to those that key identifiers, and to
    # what is cleaned along with them.
    assert largest.salted == {"10_events", "11_days", "12_signals", "22_keyed", "40_name"}
    # A connector that waits for its job may ask for it in steps of its own: once a job, at least.
    assert largest.steps + largest.jobs < MAX_STEPS


def test_no_expression_is_longer_than_google_takes() -> None:
    longest = max(re.findall(r"\$\{.*\}", TEXT), key=len)
    assert len(longest) <= MAX_LENGTH
    assert len(TEXT.encode()) < 128 * 1024
