"""What people leave in URLs, titles, campaigns and ids is in no table and in no document."""

import base64
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from tests.e2e.support import ROOT, Cdp, event

Write = Callable[..., Path]
DAY = "20261001"
# Nothing of these may be found, in whatever table.
SECRETS = ("jane", "example.org", "7946", "0958", "s3cret", "kitten", "amFuZUB")
HIDDEN = base64.b64encode(b"jane@example.org").decode()

TEXTS = {
    "address": "jane@example.org",
    "escaped": "jane%40example.org",
    "escaped-twice": "jane%2540example.org",
    "base64": HIDDEN,
    "number": "+44 20 7946 0958",
    "escaped-number": "%2B442079460958",
    "national": "020 7946 0958",
}


def rows() -> list[dict[str, Any]]:
    """Return rows of a device each, with a text wherever an export may hold one."""
    found = []
    for number, (client, text) in enumerate(TEXTS.items()):
        url = f"https://jane:s3cret@www.example.com/p/{text}?name=kitten&utm_term={text}#{text}"
        told = {"page_location": url, "page_title": f"Hello {text}!", "transaction_id": text}
        parameters: list[dict[str, Any]] = [
            {"key": key, "value": {"string_value": value}} for key, value in told.items()
        ]
        parameters.append({"key": "ga_session_id", "value": {"int_value": "1"}})
        found.append(
            event(
                DAY, client, at=number, user=f"id:{text}", event_params=parameters,
                collected_traffic_source={
                    "manual_source": text, "manual_medium": f"by {text}",
                    "manual_campaign_name": f"for {text}", "gclid": text,
                },
                traffic_source={"source": f"of {text}", "medium": text},
            )
        )  # fmt: skip
        found.append(event(DAY, client, at=100 + number, name=f"greet {text}"))
        # Who denies and has no device speaks for a user id: not for an address.
        denied = event(DAY, None, at=200 + number, user=f"id:{text}", analytics="No", session=None)
        found.append(denied)
    return found


def held(cdp: Cdp) -> dict[str, list[str]]:
    """Return the rows of every table and every document, as text."""
    found: dict[str, list[str]] = {}
    with duckdb.connect(str(cdp.home / "warehouse.duckdb"), read_only=True) as tables:
        for (name,) in tables.sql("select table_name from duckdb_tables()").fetchall():
            found[name] = [repr(row) for row in tables.table(name).fetchall()]
    for file in ("documents.sqlite", "objects"):
        path = cdp.home / file
        files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
        found[file] = [f.read_bytes().decode("latin-1") for f in files]
    return found


def test_what_is_personal_in_texts_reaches_no_table_and_no_document(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write(f"events_{DAY}.ndjson", rows()))
    outcome = cdp.refresh()
    assert (outcome["state"], outcome["written"]) == ("succeeded", len(TEXTS))
    found = held(cdp)
    assert len(found["events"]) == 3 * len(TEXTS)
    for place, texts in found.items():
        for text in texts:
            assert not [s for s in SECRETS if s in text], (place, text[:500])
    with closing(cdp.platform.published()) as warehouse:
        kept = warehouse.query(
            "select distinct event_name, source, medium, campaign, first_source, first_medium,"
            " page_title, gclid, transaction_id, user_id from events where client_id is not null"
            " order by page_title",
            {},
        ).rows()
        url = "https://www.example.com/p/(redacted)?utm_term=(redacted)"
        pages = warehouse.query("select page_location from events", {})["page_location"]
    assert [row for row in kept if row[6] == "Hello (redacted)!"] == [
        (
            *("page_view", "(redacted)", "by (redacted)", "for (redacted)"),
            *("of (redacted)", "(redacted)", "Hello (redacted)!", None, None, None),
        )
    ]
    assert url in set(pages)
    bodies = cdp.documents().values()
    # Of base64 the padding stays.
    assert {body["ads"]["last_campaign"].rstrip("=") for body in bodies} == {"for (redacted)"}
    assert {body["ga4"]["last_source"].rstrip("=") for body in bodies} == {"(redacted)"}


def test_another_list_of_parameters_cleans_every_day_again(
    cdp: Cdp, write: Write, tmp_path: Path
) -> None:
    url = "https://www.example.com/?q=lamps&utm_source=x"
    more = {"event_params": [{"key": "page_location", "value": {"string_value": url}}]}
    cdp.run("load", "ga4", write(f"events_{DAY}.ndjson", [event(DAY, "1.1", **more)]))
    shipped = (ROOT / "cdp" / "domain" / "policy.toml").read_text("utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text(shipped.replace("query_parameters = [", 'query_parameters = ["q",'), "utf-8")

    def pages() -> list[str]:
        with closing(cdp.platform.published()) as warehouse:
            return warehouse.query("select page_location from events", {}).to_series().to_list()

    assert cdp.refresh()["days_cleaned"] == 1
    assert pages() == ["https://www.example.com/?utm_source=x"]
    assert cdp.refresh(CDP_POLICY=str(policy))["days_cleaned"] == 1
    assert pages() == [url]
