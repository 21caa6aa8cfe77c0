"""Loading as a user does it: what is told of files that match nobody, or are not whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.support import Cdp, event
from tests.e2e.test_refresh import decision, link

Write = Callable[..., Path]
SAID = "2026-10-01T00:00:00Z"


def test_decisions_and_links_that_match_nobody_are_counted(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1", user="ana")]))
    decisions = [
        decision("client_id", "a.1", "ads", "denied", SAID, "crm"),
        decision("email", " Ana@Example.com", "marketing", "granted", SAID, "crm"),
        decision("email", "bob@example.com", "marketing", "denied", SAID, "crm"),
        decision("phone", "+49 170 111111", "marketing", "denied", SAID, "crm"),
    ]
    links = [
        link(("user_id", "ana"), ("email", "ana@example.com")),
        link(("email", "ANA@example.com "), ("phone", "0049 30 123456")),
        link(("user_id", "carol"), ("email", "carol@example.com")),
        link(("client_id", "never.seen"), ("email", "dora@example.com")),
    ]
    first = cdp.run("load", "consent", write("decisions.ndjson", decisions))
    assert "Whom they match is known after the first `cdp refresh`." in first
    cdp.run("load", "links", write("links.ndjson", links))
    cdp.refresh()
    stats = cdp.json("stats")
    assert (stats["unmatched_decisions"], stats["unmatched_links"]) == (2, 2)
    shown = cdp.run("stats")
    assert "2 decisions are of identifiers that no profile has; they take effect when" in shown
    assert "2 links lead to nobody whom the export has seen; they join when somebody" in shown
    late = [decision("user_id", "eve", "ads", "granted", SAID, "crm"), decisions[2]]
    told = cdp.run("load", "consent", write("late.ndjson", late))
    assert "3 decisions are of identifiers that no profile has" in told


def test_a_decision_for_an_unknown_purpose_is_refused(cdp: Cdp, write: Write) -> None:
    wrong = [decision("email", "ana@example.com", "Marketing", "denied", SAID, "crm")]
    told = cdp.run("load", "consent", write("decisions.ndjson", wrong), code=1)
    assert "line 1: purpose is 'Marketing'; it takes one of the policy's purposes: " in told
    assert not list(cdp.home.glob("raw/raw_decision/*"))


@pytest.mark.parametrize("kind", ["links", "consent"])
def test_a_time_that_has_not_come_is_refused(cdp: Cdp, write: Write, kind: str) -> None:
    rows = {
        "links": link(("user_id", "ana"), ("email", "ana@example.com")),
        "consent": decision("email", "ana@example.com", "marketing", "granted", SAID, "crm"),
    }
    file = write("rows.ndjson", [{**rows[kind], "at": "9999-12-31"}])
    assert "line 1: at is '9999-12-31'; it takes no time" in cdp.run("load", kind, file, code=1)


def test_one_shard_of_a_day_does_not_pass_for_the_day(cdp: Cdp, write: Write) -> None:
    shards = [
        write(f"events_20261001-{n}.ndjson", [event("20261001", f"{n}.{m}") for m in range(2)])
        for n in range(2)
    ]
    cdp.run("load", "ga4", *shards)
    told = cdp.run("load", "ga4", shards[1], code=1)
    assert "events_20261001 would have 2 rows, and has 4" in told
    assert "load all files of a day in one command, or say --replace" in told
    assert " 2 rows" in cdp.run("load", "ga4", shards[1], "--replace")


def test_what_a_folder_holds_besides_is_named(cdp: Cdp, write: Write) -> None:
    folder = write("events_20261001.ndjson", [event("20261001", "a.1")]).parent
    (folder / "notes.txt").write_text("not ours")
    told = cdp.run("load", "ga4", folder)
    assert f"{folder / 'notes.txt'}  skipped, for its name is of no format" in told
