"""What may whom be shown, and how much of an identifier a mask keeps."""

from itertools import product

import pytest

from cdp.domain.access import HIDDEN, Ground, Sight, mask, permits, shown, sight
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.domain.policy import Policy

POLICY = Policy.load(None)
PURPOSES = frozenset(POLICY.purposes)
EVERY_GRANTED = [
    frozenset(name for name, has in zip(sorted(PURPOSES), some, strict=True) if has)
    for some in product([True, False], repeat=len(PURPOSES))
]
STATES = ("granted", "denied", "unknown")


def named(some):
    return "nothing known" if some is None else "+".join(sorted(some)) or "none"


def silent(analytics: str = "denied", unstated: str = "denied") -> Policy:
    """Return the policy that ships with other answers to silence."""
    purpose = POLICY.purposes["analytics"].model_copy(update={"unknown": analytics})
    linking = POLICY.linking.model_copy(update={"unstated": unstated})
    purposes = {**POLICY.purposes, "analytics": purpose}
    return POLICY.model_copy(update={"purposes": purposes, "linking": linking})


# --- who sees how much ----------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("revealed", [True, False])
def test_what_consent_withholds_nobody_sees_whatever_role_and_reveal(masked, revealed):
    assert sight(permitted=False, masked=masked, revealed=revealed) is Sight.WITHHELD


@pytest.mark.parametrize(
    ("masked", "revealed", "expected"),
    [
        (True, False, Sight.MASKED),
        (True, True, Sight.WHOLE),
        (False, False, Sight.WHOLE),
        (False, True, Sight.WHOLE),
    ],
)
def test_what_consent_permits_is_masked_for_the_role_until_it_is_revealed(
    masked, revealed, expected
):
    assert sight(permitted=True, masked=masked, revealed=revealed) is expected


@pytest.mark.parametrize("type", IDENTIFIER_TYPES)
def test_of_what_is_withheld_no_character_is_left(type):
    value = "+4915112345622@example.com"
    assert shown(type, value, Sight.WITHHELD) == HIDDEN
    assert shown(type, value, Sight.MASKED) == mask(type, value) != value
    assert shown(type, value, Sight.WHOLE) == value


# --- what consent permits to show -----------------------------------------------------------------


@pytest.mark.parametrize("type", IDENTIFIER_TYPES)
@pytest.mark.parametrize("granted", EVERY_GRANTED, ids=named)
def test_an_identifier_of_a_profile_needs_what_its_field_needs(type, granted):
    needed = POLICY.purpose_of(f"identifiers.{type}")
    assert permits(POLICY, type, Ground(granted)) is (needed in granted)


@pytest.mark.parametrize("type", IDENTIFIER_TYPES)
@pytest.mark.parametrize("source", ["ga4", "crm"])
@pytest.mark.parametrize("granted", [None, *EVERY_GRANTED], ids=named)
def test_a_link_without_consent_shows_neither_end_whoever_it_is(type, source, granted):
    for state in ("denied", "unknown"):
        assert not permits(POLICY, type, Ground(granted, (source, state)))


@pytest.mark.parametrize("type", IDENTIFIER_TYPES)
@pytest.mark.parametrize("granted", EVERY_GRANTED, ids=named)
def test_a_link_with_consent_shows_what_the_profile_of_the_end_permits(type, granted):
    link = ("crm", "granted")
    assert permits(POLICY, type, Ground(granted, link)) is permits(POLICY, type, Ground(granted))


@pytest.mark.parametrize(
    ("type", "expected"),
    [("user_id", True), ("client_id", True), ("email", False), ("phone", False)],
)
def test_in_no_profile_the_links_consent_permits_what_its_purpose_does(type, expected):
    assert permits(POLICY, type, Ground(None, ("crm", "granted"))) is expected


@pytest.mark.parametrize("type", IDENTIFIER_TYPES)
def test_nothing_known_permits_nothing(type):
    assert not permits(POLICY, type, Ground(None))
    assert not permits(silent("granted", "granted"), type, Ground(None))


@pytest.mark.parametrize(("analytics", "unstated"), [*product(["granted", "denied"], repeat=2)])
@pytest.mark.parametrize("state", STATES)
def test_silence_of_a_link_means_what_the_policy_says_of_its_source(analytics, unstated, state):
    policy = silent(analytics, unstated)
    for source, silence in (("ga4", analytics), ("crm", unstated)):
        means = silence if state == "unknown" else state
        ground = Ground(frozenset({"analytics"}), (source, state))
        assert permits(policy, "user_id", ground) is (means == "granted")


# --- masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "value", "shown"),
    [
        ("email", "ana.weber@example.com", "a•••@e•••.com"),
        ("email", "ana@localhost", "a•••@•••"),
        ("email", "@", "•••@•••"),
        ("phone", "+4915112345622", "+49•••22"),
        ("phone", "+4912345", "•••"),
        ("user_id", "88213007", "•••07"),
        ("user_id", "ana", "•••"),
        ("client_id", "1021.77", "•••77"),
        ("something", "1234567", "•••67"),
    ],
)
def test_a_mask_keeps_little(type, value, shown):
    assert mask(type, value) == shown
