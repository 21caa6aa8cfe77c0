"""`workflow.yaml` is what Cloud Workflows documents, and calls nothing that nobody answers."""

import json
import re
from pathlib import Path

import jsonschema
import yaml

from cdp.connectors import connectors
from cdp.embedded import WORKFLOW
from cdp.warehouse.statements import statements
from cdp.workflow_engine import load

TEXT = WORKFLOW.read_text("utf-8")


def test_it_calls_exactly_the_connectors_that_the_embedded_deployment_answers() -> None:
    answered = connectors(None, None).keys()  # type: ignore[arg-type] - only their names
    assert load(TEXT, connectors=answered).connectors == answered


def test_it_is_valid_by_the_published_schema_of_the_language(shared: Path) -> None:
    schema = json.loads((shared / "data" / "schema" / "workflows.jsonschema.json").read_text())
    jsonschema.validate(yaml.safe_load(TEXT), schema)


def test_it_runs_every_statement_of_a_refresh_and_no_other() -> None:
    named = set(re.findall(r"\b\d\d_[a-z_]+\b", TEXT))
    # Those of the nineties are only read: by steps and commands.
    assert named == {name for name in statements() if not name.startswith("9")}
