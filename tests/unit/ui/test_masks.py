"""Which identifiers a viewer sees whole."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st

from cdp.domain.access import Ground
from cdp.domain.policy import Policy
from cdp.domain.pseudonym import pseudonym
from cdp.insight.person import Identifier, Person, PurposeState
from cdp.settings import Settings
from cdp.ui import masks, people

ALL = {"user_id", "email", "phone", "client_id"}


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy that ships, and an empty session."""
    policy = Policy.load(Settings.load().policy)
    monkeypatch.setattr(masks, "platform", lambda: SimpleNamespace(policy=policy))
    monkeypatch.setattr(st, "session_state", {})


def person(profile_id: str = "p_1", **states: str) -> Person:
    consent = tuple(
        PurposeState(name, states.get(name, "unknown"), None, None, "denied", name in states)
        for name in ("analytics", "ads", "marketing")
    )
    return Person(profile_id, None, "live", "known", {}, (), consent, {}, {})


def test_lists_are_masked_for_marketers_and_whole_for_admins() -> None:
    assert set(masks.masked(is_admin=False)) == ALL
    assert set(masks.masked(is_admin=True)) == set()


@pytest.mark.parametrize(
    ("states", "hidden"),
    [
        ({}, ALL),
        ({"analytics": "granted"}, {"email", "phone"}),
        ({"marketing": "granted"}, {"user_id", "client_id"}),
        ({"analytics": "granted", "marketing": "granted"}, set()),
    ],
)
def test_on_a_profile_consent_withholds_from_admins_too(
    states: dict[str, str], hidden: set[str]
) -> None:
    assert set(masks.masked(True, person(**states))) == hidden
    assert set(masks.masked(False, person(**states))) == ALL


@pytest.mark.parametrize("is_admin", [True, False])
def test_a_reveal_shows_one_profiles_page_for_a_quarter_of_an_hour(
    monkeypatch: pytest.MonkeyPatch, is_admin: bool
) -> None:
    clock = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(masks.time, "time", lambda: clock.now)
    granted = {"analytics": "granted", "marketing": "granted"}
    role = set() if is_admin else ALL
    assert masks.masked_on_page(is_admin, person(**granted)) == role
    masks.reveal("p_1")
    assert masks.masked_on_page(is_admin, person(**granted)) == set()
    assert masks.masked(is_admin, person(**granted)) == role, "other pages stay as they were"
    assert masks.masked_on_page(is_admin, person("p_2", **granted)) == role
    assert set(masks.masked(False)) == ALL
    clock.now += masks.REVEALED_SECONDS - 1
    assert masks.masked_on_page(is_admin, person(**granted)) == set()
    clock.now += 1
    assert masks.masked_on_page(is_admin, person(**granted)) == role


@pytest.mark.parametrize("is_admin", [True, False])
def test_a_reveal_shows_nothing_that_consent_withholds(is_admin: bool) -> None:
    masks.reveal("p_1")
    assert masks.masked_on_page(is_admin, person(analytics="granted")) == {"email", "phone"}
    assert masks.masked_on_page(is_admin, person()) == ALL


def test_what_shows_a_value_masks_the_types_it_was_made_for() -> None:
    show = masks.shower({"email"})
    values: list[Any] = [show("email", "ana@example.com"), show("user_id", "u1000050")]
    assert values == ["a•••@e•••.com", "u1000050"]


def test_what_shows_a_value_leaves_nothing_of_what_consent_withholds() -> None:
    show = masks.shower(set(), withheld={"email"})
    assert show("email", "ana@example.com") == "•••"
    denied, granted = ("crm", "denied"), ("crm", "granted")
    whole = masks.shower(set())
    both = frozenset({"analytics", "marketing"})
    assert whole("email", "ana@example.com", Ground(both)) == "ana@example.com"
    assert whole("email", "ana@example.com", Ground(both, granted)) == "ana@example.com"
    assert whole("email", "ana@example.com", Ground(both, denied)) == "•••"
    assert whole("email", "ana@example.com", Ground(frozenset({"analytics"}))) == "•••"
    assert masks.shower({"email"})("email", "ana@example.com", Ground(both)) == "a•••@e•••.com"


ANA, BEA = Identifier("email", "ana@example.com"), Identifier("email", "bea@example.com")
NUMBER, USER = Identifier("phone", "+4915177700099"), Identifier("user_id", "u1000050")
BOTH = {"analytics": "granted", "marketing": "granted"}


def test_of_addresses_those_are_withheld_that_the_document_does_not_hold() -> None:
    found = replace(person(**BOTH), identifiers=(ANA,))
    assert masks.withheld_alone(found, [ANA, BEA, NUMBER, USER]) == {BEA, NUMBER}
    assert masks.withheld_alone(found, []) == set()
    denied = replace(person(analytics="granted"), identifiers=(USER,))
    assert masks.withheld_alone(denied, [BEA, USER]) == set(), "the whole type is withheld"


def test_where_a_purpose_speaks_for_the_person_no_address_is_withheld_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = masks.platform().policy
    marketing = policy.purposes["marketing"].model_copy(update={"scope": "person"})
    purposes = {**policy.purposes, "marketing": marketing}
    of_person = policy.model_copy(update={"purposes": purposes})
    monkeypatch.setattr(masks, "platform", lambda: SimpleNamespace(policy=of_person))
    assert masks.withheld_alone(person(**BOTH), [ANA, NUMBER]) == set()


@pytest.mark.parametrize("masked", [set(), ALL])
def test_what_is_withheld_alone_is_nowhere_on_the_persons_pages(masked: set[str]) -> None:
    found = replace(person(**BOTH), identifiers=(ANA, USER))
    show, conceal = masks.of_person(found, masked, [ANA, BEA, NUMBER, USER])
    granted = Ground(frozenset(BOTH))
    for one in (BEA, NUMBER):
        assert {show(one.type, one.value), show(one.type, one.value, granted)} == {"•••"}
        assert conceal(f"for {one.value}.csv, line 3") in {
            "for •••.csv, line 3",
            "for •••, line 3",  # to the end of what looks like an address
        }
    assert (show(ANA.type, ANA.value) == ANA.value) is not bool(masked)
    assert (show(USER.type, USER.value) == USER.value) is not bool(masked)


@pytest.mark.parametrize(
    ("states", "granted"),
    [
        ({}, set()),
        ({"analytics": "granted", "ads": "denied", "marketing": "unknown"}, {"analytics"}),
        (
            {"analytics": "granted", "marketing": "granted", "new": "granted"},
            {"analytics", "marketing"},
        ),
        ({"analytics": "whatever"}, set()),
    ],
)
def test_a_document_permits_what_it_says_is_granted(
    states: dict[str, str], granted: set[str]
) -> None:
    assert masks.ground(states) == Ground(frozenset(granted))
    known = [("email", "ana@example.com")]
    called = people.called("p_1", known, masks.shower(set()), masks.ground(states))
    assert called == ("ana@example.com" if "marketing" in granted else pseudonym("p_1"))
