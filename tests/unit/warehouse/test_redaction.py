"""Redaction in SQL, beside the pure one: of any texts, in every column that cleaning keeps."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.domain.policy import Policy
from cdp.domain.redaction import is_personal, redact, redact_url
from cdp.refresh.steps import policy_parameters
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.export_view import export_view
from cdp.warehouse.ga4_files import load_ga4
from cdp.warehouse.port import Value
from cdp.warehouse.statements import migrations, statements
from tests.e2e.support import event
from tests.tables import make_tables
from tests.unit.domain.test_redaction import ADDRESSES, ENCODINGS, HIDING, NUMBERS, texts
from tests.unit.warehouse.googlesql import columns_from, rest
from tests.unit.warehouse.test_reference import Comparison, ndjson
from tests.unit.warehouse.test_statements import EXPORT

DAY = "20261031"
POLICY = Policy.load(None)
GIVEN: dict[str, Value] = {
    **policy_parameters(POLICY),
    "property": "p",
    "suffixes": [DAY],
    "dates": [date(2026, 10, 31)],
    "days": [],
    "seq": 1,
    "erased": False,
    "key": "k",
}

# What a file of JSON can hold.
told = texts.map(lambda text: "".join(c for c in text if c == "\n" or c.isprintable()))
urls = st.builds("https://{}/{}{}{}".format, told, told, st.sampled_from("?#"), told) | st.builds(
    "https://example.com/?utm_source={}&name={}&UTM_Term={}#{}".format, told, told, told, told
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("redaction")


@pytest.fixture(scope="module")
def warehouse(folder: Path) -> Iterator[DuckWarehouse]:
    made = DuckWarehouse(folder, memory_limit="1GB", threads=1)
    make_tables(made)
    yield made
    made.close()


def row(number: int, text: str, **more: Any) -> dict[str, Any]:
    """Return a row of the export that has *text* wherever one is kept."""
    parameters = {"page_location": text, "page_title": text, "transaction_id": text}
    return event(
        DAY,
        f"{number}.1",
        at=number,
        name=text,
        user=text,
        event_params=[
            {"key": key, "value": {"string_value": value}} for key, value in parameters.items()
        ],
        collected_traffic_source={
            "manual_source": text,
            "manual_medium": text,
            "manual_campaign_name": text,
            "gclid": text,
        },
        traffic_source={"source": text, "medium": text},
        **more,
    )


def load(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    load_ga4(folder / "raw", [ndjson(folder / f"events_{DAY}.json", rows)], threads=1, replace=True)


def kept(text: str) -> str | None:
    return None if is_personal(text) else text


def expected(text: str) -> tuple[str | None, ...]:
    user = POLICY.speller().spell("user_id", text, "ga4")
    transaction = POLICY.speller().spell("client_id", text, "ga4")
    return (
        *[redact(text)] * 7,
        redact_url(text, POLICY.redaction.query_parameters),
        kept(text),
        None if transaction.problem == "blocked value" else kept(text),
        None if user.problem else user.value,
    )


KEPT = (
    "select event_name, source, medium, campaign, first_source, first_medium, page_title, "
    "page_location, gclid, transaction_id, user_id from events order by event_at"
)


@given(some=st.lists(told | urls, min_size=1, max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_a_day_keeps_is_what_the_pure_rule_keeps(
    folder: Path, warehouse: DuckWarehouse, some: list[str]
) -> None:
    load(folder, [row(number, text) for number, text in enumerate(some)])
    warehouse.show_export([DAY])
    warehouse.run(statements()["10_events"], GIVEN)
    found = warehouse.query(KEPT, {}).rows()
    for text, of_sql in zip(some, found, strict=True):
        assert of_sql == expected(text), text


PLAIN = ["", "order 000123456", "1234567890.1234567890", "Stool, Ash"]
SOME = [
    *PLAIN,
    *ADDRESSES,
    *NUMBERS,
    *(encode(shape) for shape in ("jane@example.com", NUMBERS[0]) for encode in ENCODINGS.values()),
    *(hide(shape) for shape in ("jane@example.com", NUMBERS[0]) for hide in HIDING.values()),
    "https://jane:x@example.com/u/YUBiLmNvbQ==?utm_source=a%40b.com&name=Jane#c",
]


def test_the_reference_engine_keeps_the_same(folder: Path, googlesql: Any) -> None:
    """Of rows and of what they say of consent, by user ids that are none."""
    rows = [row(number, text) for number, text in enumerate(SOME)]
    for number, text in enumerate(SOME):
        denied = row(1000 + number, text, analytics="No", ads="No")
        rows.append({name: value for name, value in denied.items() if name != "user_pseudo_id"})
    home = folder / "reference"
    home.mkdir()
    load(home, rows)
    fields = [rest(name, kind) for name, kind in googlesql.columns(EXPORT)]
    view = export_view("v", {DAY: "e"}, {DAY: fields})
    resolved = googlesql.analyze(view, {"e": columns_from(fields)})
    shown = [(column.name, column.column.type) for column in resolved.output_column_list]
    warehouse = DuckWarehouse(home, memory_limit="500MB", threads=1)
    try:
        both = Comparison(warehouse, googlesql)
        for name in (*migrations(), "00_tables"):
            both.run(name, {})
        both.show(shown, [DAY])
        both.run("10_events", GIVEN)
        both.run("12_signals", GIVEN)
        said = warehouse.query(
            "select distinct value from consent_signal where type = 'user_id'", {}
        )
        found = warehouse.query(KEPT, {}).rows()
    finally:
        warehouse.close()
    assert {name: told for name, told in both.problems.items() if told} == {}
    assert both.compared["10_events"] >= len(rows)
    assert found[: len(SOME)] == [expected(text) for text in SOME]
    assert set(said["value"]) == set(PLAIN) - {""}
