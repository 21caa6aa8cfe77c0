"""Decisions on request act at once, and hold whatever a running refresh brings."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.access import HIDDEN
from cdp.governance.actions import Shell
from tests.e2e.support import ROOT, Cdp, event
from tests.e2e.test_consent import at, loaded
from tests.e2e.test_faults import process_of, stop
from tests.e2e.test_refresh import decision, link, profile_of

Write = Callable[..., Path]
DAY = "20261001"
TOLD = ("--channel", "email", "--reason", "the person wrote to us")


@pytest.fixture
def known(cdp: Cdp, write: Write) -> Cdp:
    """A home in which Ada and Bob consent to everything, each by an address of their own."""
    people = ("ada", "bob")
    return loaded(
        cdp,
        write,
        ga4=[event(DAY, f"{who}.1", user=who, at=n) for n, who in enumerate(people)],
        links=[link(("user_id", who), ("email", f"{who}@example.org")) for who in people],
        consent=[
            decision("email", f"{who}@example.org", "marketing", "granted", at(2), "crm")
            for who in people
        ],
    )


def contact(cdp: Cdp, who: str = "ada") -> str | None:
    return profile_of(cdp, who).get("contact", {}).get("email")


def decide(cdp: Cdp, identifier: str, state: str, purpose: str = "marketing", *more: str) -> str:
    asked = ("--purpose", purpose, "--state", state, *TOLD, *more)
    return " ".join(cdp.run("decide", identifier, *asked).split())


def test_a_no_acts_at_once_and_stays_and_a_yes_opens_it_with_the_next_refresh(known: Cdp) -> None:
    said = decide(known, "Ada@Example.org", "denied")
    assert said == "The No is written down, and what it closes is gone from the stored profile."
    assert (contact(known), contact(known, "bob")) == (None, "bob@example.org")
    assert known.refresh()["written"] == 1
    body = profile_of(known, "ada")
    assert "contact" not in body
    assert body["consent"]["marketing"]["source"] == "admin"
    assert known.refresh()["nothing_new"]
    assert "It acts with the next refresh." in decide(known, "ada@example.org", "granted")
    assert contact(known) is None
    known.refresh()
    assert contact(known) == "ada@example.org"
    told = known.json("consent", "ada@example.org")
    of_marketing = [one for one in told if one["purpose"] == "marketing"]
    assert [(one["state"], one["source"]) for one in of_marketing] == [
        ("granted", "admin"),
        ("denied", "admin"),
        ("granted", "crm"),
    ]
    evidence = [re.sub(r"[0-9]{16}", "…", one["evidence"]) for one in of_marketing]
    assert evidence == ["decision d_…", "decision d_…", "consent.ndjson, line 1"]


def test_a_yes_that_follows_a_no_before_any_refresh_brings_everything_back(known: Cdp) -> None:
    before = {k: v for k, v in profile_of(known, "ada").items() if k not in {"sync", "consent"}}
    decide(known, "ada", "denied", "ads", "--type", "user_id")
    assert "ads" not in profile_of(known, "ada")
    decide(known, "ada", "granted", "ads", "--type", "user_id")
    known.refresh()
    after = profile_of(known, "ada")
    assert {k: v for k, v in after.items() if k not in {"sync", "consent"}} == before
    assert after["consent"]["ads"]["state"] == "granted"


def test_a_no_of_a_device_closes_every_address_of_its_person(known: Cdp) -> None:
    decide(known, "ada.1", "denied", "marketing", "--type", "client_id")
    assert contact(known) is None
    known.refresh()
    assert contact(known) is None
    assert profile_of(known, "ada")["consent"]["marketing"]["state"] == "denied"


def test_the_history_is_told_though_no_document_holds_the_person(known: Cdp) -> None:
    decide(known, "ada", "denied", "analytics", "--type", "user_id")
    known.run("profile", "ada", code=1)
    (fresh, *_) = known.json("consent", "ada")
    assert (fresh["state"], fresh["weighed"]) == ("denied", False)
    known.refresh()
    told = known.json("consent", "ada")
    (asked,) = [one for one in told if one["asked"]]
    assert (asked["purpose"], asked["state"], asked["weighed"]) == ("analytics", "denied", True)
    assert asked["identifier"] == HIDDEN, "what consent withholds nobody is shown"
    assert "Nothing was ever said" in known.run("consent", "nobody@example.org")
    assert HIDDEN in known.run("consent", "ada")


def test_before_the_first_refresh_a_decision_is_kept_and_told(cdp: Cdp, write: Write) -> None:
    assert "No stored profile holds anything" in decide(cdp, "ada@example.org", "denied")
    (only,) = cdp.json("consent", "ada@example.org")
    assert (only["purpose"], only["weighed"]) == ("marketing", False)
    rows = [event(DAY, "ada.1", user="ada")]
    links = [link(("user_id", "ada"), ("email", "ada@example.org"))]
    said = [decision("email", "ada@example.org", "marketing", "granted", at(2), "crm")]
    loaded(cdp, write, ga4=rows, links=links, consent=said)
    assert contact(cdp) is None


@pytest.mark.parametrize(
    ("identifier", "more", "words"),
    [
        ("ada", (), "the identifier may be a user id, a client id or a phone number; say --type"),
        ("@", (), "email: not an e-mail address; write it as the person has it"),
        ("a@b.org", ("--purpose", "sale"), "no such purpose; take one of analytics, ads"),
        ("a@b.org", ("--reason", "x"), "say why, in 8 characters or more"),
    ],
)
def test_what_is_refused_is_told_with_the_fix(
    cdp: Cdp, identifier: str, more: tuple[str, ...], words: str
) -> None:
    asked = ("--purpose", "ads", "--state", "denied", *TOLD, *more)
    assert words in " ".join(cdp.run("decide", identifier, *asked, code=1).split())


# --- while a refresh runs -------------------------------------------------------------------------


def stopped_at(cdp: Cdp, phase: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a refresh, and stop its process when *phase* has begun."""
    executions = cdp.platform.executions
    before = {run.id for run in executions.list()}
    starter = subprocess.Popen(
        [sys.executable, "-m", "cdp", "refresh", "--full"],
        cwd=ROOT,
        env=cdp.environ({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for run in executions.list(limit=1):
            steps = executions.steps(run.id) if run.id not in before else ()
            if phase in {step.step for step in steps if step.routine == "refresh"}:
                process = process_of(run.id)
                stop(process, cdp.home)
                return starter, process
        time.sleep(0.002)
    starter.kill()
    raise AssertionError(f"{phase} was never begun")


@pytest.mark.parametrize(
    ("phase", "end"),
    [("clean", "succeeds"), ("consent", "dies"), ("export", "succeeds"), ("deliver", "dies")],
)
def test_a_withdrawal_during_a_refresh_holds(
    known: Cdp, write: Write, phase: str, end: str
) -> None:
    # Whatever the run computes of Ada is new, and is delivered.
    more = [event("20261002", "ada.1", user="ada"), event("20261002", "bob.1", user="bob")]
    known.run("load", "ga4", write("events_20261002.ndjson", more))
    starter, process = stopped_at(known, phase)
    governance = known.platform.governance
    told: dict[str, Any] = {"channel": "phone", "reason": "asked on the phone"}
    governance.decide(Shell("x"), "email", "ada@example.org", "marketing", "denied", **told)
    governance.decide(Shell("x"), "user_id", "ada", "ads", "denied", **told)
    os.kill(process, signal.SIGCONT if end == "succeeds" else signal.SIGKILL)
    starter.wait(120)
    for _ in range(2):
        body = profile_of(known, "ada")
        assert not {"contact", "ads"} & body.keys()
        assert "email" not in body["identifiers"]
        assert body["consent"]["marketing"]["state"] == body["consent"]["ads"]["state"] == "denied"
        assert contact(known, "bob") == "bob@example.org"
        assert known.refresh()["state"] == "succeeded"
    assert profile_of(known, "ada")["ga4"]["events"] == 2
