"""Decisions on request: what is written down, what it does at once, what the log tells."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.access import Role
from cdp.domain.errors import CdpError
from cdp.domain.payload import FIELDS
from cdp.domain.policy import Policy
from cdp.executions.local import LocalExecutions
from cdp.governance.accounts import Accounts
from cdp.governance.actions import Governance
from cdp.governance.audit import Audit
from cdp.governance.desk import Identifier
from cdp.profiles.decisions import DECISIONS, Decisions
from cdp.profiles.port import PROFILES, Put
from cdp.profiles.sqlite import SqliteDocuments
from tests.people import Clock, add, audited

POLICY = Policy.load(None)
ADA: dict[str, Any] = {
    "identifiers": {
        "user_id": ["ada"],
        "client_id": ["1.1"],
        "email": ["ada@example.com", "lovelace@example.com"],
        "phone": ["+4915112345678"],
        "count": 5,
    },
    "contact": {"email": "ada@example.com", "email_valid": True, "phone": "+4915112345678"},
    "ga4": {"events": 3, "last_client_id": "1.1"},
    "ads": {"last_gclid": "g"},
    "consent": {
        name: {"state": "granted", "since": "2026-01-01T00:00:00.000000Z", "source": "crm"}
        for name in POLICY.purposes
    },
    "crm": {"tier": "gold"},
    "sync": {"run": "r1", "seq": 1, "hash": "h", "state": "live"},
}


@pytest.fixture
def documents(tmp_path: Path) -> SqliteDocuments:
    store = SqliteDocuments(tmp_path / "documents.sqlite")
    add(store, "grace", Role.ADMIN)
    store.commit([Put(PROFILES, "p_ada", ADA)])
    return store


Known = Callable[[Identifier], Sequence[str]]


@pytest.fixture
def make(documents: SqliteDocuments, tmp_path: Path) -> Callable[[Known], Governance]:
    executions = LocalExecutions(tmp_path)

    def governance(known: Known) -> Governance:
        return Governance(
            documents,
            Accounts(documents),
            Audit(documents, clock=Clock()),
            executions,
            executions.start,
            policy=POLICY,
            profiles_of=known,
            is_erased=lambda identifier: identifier.value == "gone@example.com",
        )

    return governance


@pytest.fixture
def governance(make: Callable[[Known], Governance]) -> Governance:
    return make(lambda _: [])


def decide(
    governance: Governance, type: str, told: str, purpose: str, state: str = "denied"
) -> Any:
    return governance.decide(
        "grace", type, told, purpose, state, channel="phone", reason="asked on the phone"
    )


def ada(documents: SqliteDocuments) -> dict[str, Any]:
    found = documents.get(PROFILES, "p_ada")
    assert found is not None
    return found.body


def test_a_no_of_a_person_takes_all_that_its_purpose_permits(
    governance: Governance, documents: SqliteDocuments
) -> None:
    told = decide(governance, "email", "mailto:Ada@Example.com", "ads")
    assert (
        str(told) == "The No is written down, and what it closes is gone from the stored profile."
    )
    denied = {"state": "denied", "since": "2026-10-01T12:00:00.000000Z", "source": "admin"}
    left = {name: below for name, below in ADA.items() if name != "ads"}
    assert ada(documents) == {**left, "consent": {**ADA["consent"], "ads": denied}}


def test_of_who_was_erased_nothing_is_written_down(
    governance: Governance, documents: SqliteDocuments
) -> None:
    with pytest.raises(CdpError, match="was erased"):
        decide(governance, "email", "Gone@Example.com", "ads")
    assert documents.page(DECISIONS).documents == []


def test_the_decisions_of_whom_is_erased_go(
    governance: Governance, documents: SqliteDocuments
) -> None:
    decide(governance, "email", "ada@example.com", "ads")
    decide(governance, "user_id", "bob", "ads")
    Decisions(documents).erase(lambda type_, value: (type_, value) == ("email", "ada@example.com"))
    assert [found.body["value"] for found in documents.page(DECISIONS).documents] == ["bob"]


def test_a_no_of_an_address_takes_the_address_alone(
    governance: Governance, documents: SqliteDocuments
) -> None:
    decide(governance, "email", "ada@example.com", "marketing")
    body = ada(documents)
    assert body["identifiers"]["email"] == ["lovelace@example.com"]
    assert body["contact"] == {"phone": "+4915112345678"}
    assert body["consent"] == ADA["consent"]
    decide(governance, "email", "lovelace@example.com", "marketing")
    assert ada(documents)["consent"]["marketing"]["state"] == "granted", "the number is left"
    decide(governance, "phone", "+49 151 12345678", "marketing")
    body = ada(documents)
    assert "contact" not in body
    assert body["identifiers"] == {"user_id": ["ada"], "client_id": ["1.1"], "count": 5}
    assert body["consent"]["marketing"]["state"] == "denied"


@pytest.mark.parametrize(("type_", "told"), [("user_id", "ada"), ("client_id", "GA1.1.1.1")])
def test_a_no_of_a_user_id_or_a_device_closes_all_addresses(
    governance: Governance, documents: SqliteDocuments, type_: str, told: str
) -> None:
    decide(governance, type_, told, "marketing")
    held = {path for path in FIELDS if POLICY.purpose_of(path) == "marketing"}
    body = ada(documents)
    assert not held & {f"{n}.{k}" for n in ("identifiers", "contact") for k in body.get(n, {})}
    assert body["consent"]["marketing"]["state"] == "denied"


def test_whom_only_the_warehouse_knows_is_found_too(
    make: Callable[[Known], Governance], documents: SqliteDocuments
) -> None:
    known = {Identifier("email", "kept.out@example.com"): ["p_old"]}
    documents.commit(
        [Put(PROFILES, "p_old", {"sync": {"state": "merged", "merged_into": "p_ada"}})]
    )
    decide(make(lambda one: known[one]), "email", "kept.out@example.com", "analytics")
    assert "ga4" not in ada(documents)


def test_a_warehouse_that_does_not_answer_holds_no_withdrawal_up(
    make: Callable[[Known], Governance], documents: SqliteDocuments
) -> None:
    def busy(_: Identifier) -> list[str]:
        raise CdpError("the warehouse is busy")

    decide(make(busy), "user_id", "ada", "ads")
    assert "ads" not in ada(documents)


def test_a_yes_waits_for_the_next_refresh(
    governance: Governance, documents: SqliteDocuments
) -> None:
    told = decide(governance, "user_id", "ada", "ads", "granted")
    assert str(told) == "The Yes is written down. It acts with the next refresh."
    assert ada(documents) == ADA


def test_a_decision_says_who_told_what_how_and_the_log_names_nobody(
    governance: Governance, documents: SqliteDocuments
) -> None:
    told = governance.decide(
        "grace", "email", "ada@example.com", "marketing", "denied",
        channel="letter", reason="ada@example.com wrote", notice="2026-05",
    )  # fmt: skip
    (found,) = documents.page(DECISIONS).documents
    assert [found.id] == told.ids == ["d_1790856000000000"]
    body = {name: value for name, value in found.body.items() if name != "denial"}
    assert body == {
        "type": "email",
        "value": "ada@example.com",
        "purpose": "marketing",
        "state": "denied",
        "at": "2026-10-01T12:00:00.000000Z",
        "source": "admin",
        "by": "grace",
        "channel": "letter",
        "reason": "(redacted) wrote",
        "notice": "2026-05",
    }
    details = {
        "purpose": "marketing",
        "state": "denied",
        "channel": "letter",
        "decisions": told.ids,
    }
    assert audited(documents, "actor", "action", "target", "reason", "details") == [
        ("grace", "consent:decide", "d_1790856000000000", "(redacted) wrote", details)
    ]


def test_a_disagreement_is_resolved_by_a_decision_of_each_that_says_otherwise(
    governance: Governance, documents: SqliteDocuments
) -> None:
    others = [Identifier("client_id", "1.1"), Identifier("client_id", "2.2")]
    told = governance.resolve("grace", "p_ada", others, "ads", "denied", reason="called them")
    found = documents.page(DECISIONS).documents
    assert [(one.body["value"], one.body["state"]) for one in found] == [
        ("1.1", "denied"),
        ("2.2", "denied"),
    ]
    assert told.profiles == ["p_ada"]
    assert audited(documents, "action", "target") == [("consent:resolve", "p_ada")]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"told": "not an address"}, "email: not an e-mail address; write it as the person has it"),
        ({"told": "test@test.com"}, "email: blocked value; write it as the person has it"),
        ({"type": "fax"}, "no such type of identifier; take one of user_id, email"),
        ({"purpose": "sale"}, "no such purpose; take one of analytics, ads, marketing"),
        ({"state": "unknown"}, "no such state; take one of granted, denied"),
        ({"channel": "fax"}, "no such channel; take one of email, phone, letter, desk"),
        ({"reason": "because"}, "say why, in 8 characters or more"),
    ],
)
def test_what_cannot_be_written_down_is_told_in_words_and_nothing_is(
    governance: Governance, documents: SqliteDocuments, asked: dict[str, str], words: str
) -> None:
    given = {"type": "email", "told": "ada@example.com", "purpose": "ads", "state": "denied"}
    given |= {"channel": "phone", "reason": "asked on the phone"} | asked
    first = [given.pop(name) for name in ("type", "told", "purpose", "state")]
    with pytest.raises(CdpError) as error:
        governance.decide("grace", *first, **given)
    assert words in str(error.value)
    assert "not an address" not in str(error.value)
    assert documents.count(DECISIONS) == 0
    assert ada(documents) == ADA


def test_of_two_decisions_at_once_both_are_kept_one_after_the_other(
    make: Callable[[Known], Governance], documents: SqliteDocuments
) -> None:
    other = make(lambda _: [])
    asked = iter([True])

    def meanwhile(_: Identifier) -> list[str]:
        if next(asked, False):
            decide(other, "user_id", "ada", "ads")
        return []

    decide(make(meanwhile), "user_id", "ada", "analytics")
    found = list(Decisions(documents).after(""))
    assert [(one.id, one.body["purpose"]) for one in found] == [
        ("d_1790856000000000", "ads"),
        ("d_1790856000000001", "analytics"),
    ]
    assert Decisions(documents).last() == "d_1790856000000001"
    assert [one.id for one in Decisions(documents).after("d_1790856000000000")] == [
        "d_1790856000000001"
    ]
