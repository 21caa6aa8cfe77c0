"""A profile is found by whatever somebody types, and says what its document says."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.insight.person import fields, find, person, raw
from cdp.profiles.port import PROFILES, Put
from tests.unit.insight.person.support import ADA, GRANTED, POLICY, SYNC

# --- finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    ["p_1", "ada-1815", "ADA@Example.com ", "+49 171 1234567", "0049 171 1234567", "1.2", "3.4"],
)
def test_a_profile_is_found_by_whatever_somebody_types(documents, typed):
    documents.commit([Put(PROFILES, "p_1", ADA)])
    assert find(documents, POLICY, typed) == ["p_1"]


def test_nothing_is_found_for_a_stranger_for_nothing_and_for_no_id(documents):
    documents.commit([Put(PROFILES, "p_1", ADA)])
    assert [find(documents, POLICY, typed) for typed in ("grace", "", "a/b", "..")] == [[]] * 4


def test_a_merged_profile_is_found_as_the_one_it_lives_on_in_and_once(documents):
    merged = {"sync": {**SYNC, "state": "merged", "merged_into": "p_1"}}
    shared = {"identifiers": {"user_id": ["ada-1815"]}, **merged}
    documents.commit([Put(PROFILES, "p_1", ADA), Put(PROFILES, "p_0", shared)])
    assert find(documents, POLICY, "p_0") == ["p_1"]
    assert find(documents, POLICY, "ada-1815") == ["p_1"]


def test_a_deleted_profile_is_not_found(documents):
    deleted = {"sync": {**SYNC, "state": "deleted"}}
    merged = {"sync": {**SYNC, "state": "merged", "merged_into": "p_1"}}
    documents.commit([Put(PROFILES, "p_1", deleted), Put(PROFILES, "p_0", merged)])
    assert find(documents, POLICY, "p_1") == []
    assert find(documents, POLICY, "p_0") == []


def test_at_most_50_profiles_are_found(documents):
    held = {"identifiers": {"phone": ["+491711234567"]}, "sync": SYNC}
    documents.commit([Put(PROFILES, f"p_{n}", held) for n in range(60)])
    assert len(find(documents, POLICY, "+491711234567")) == 50


# --- the document ---------------------------------------------------------------------------------


def test_a_live_profile_says_who_it_is_strongest_identifier_first(told):
    ada = told(ADA)
    assert (ada.profile_id, ada.was, ada.state, ada.identity) == ("p_1", None, "live", "known")
    assert list(ada.counts.items()) == [
        ("user_id", 1),
        ("email", 1),
        ("phone", 1),
        ("client_id", 2),
    ]
    assert [(i.type, i.value) for i in ada.identifiers] == [
        ("user_id", "ada-1815"),
        ("email", "ada@example.com"),
        ("phone", "+491711234567"),
        ("client_id", "1.2"),
        ("client_id", "3.4"),
    ]
    assert ada.sync == SYNC
    assert ada.body == ADA


@pytest.mark.parametrize(
    ("held", "identity"),
    [
        ({"client_id": ["1.2"]}, "anonymous"),
        ({"email": ["a@example.com"]}, "known"),
        ({"phone": ["+491711234567"], "client_id": ["1.2"]}, "known"),
        ({}, "no identifiers"),
        ({"client_id": []}, "no identifiers"),
    ],
)
def test_identity_goes_by_the_strongest_identifier(told, held, identity):
    assert told({"identifiers": held, "sync": SYNC}).identity == identity


def test_consent_tells_state_since_source_and_what_silence_means(told):
    analytics, ads, marketing = told({**ADA, "consent": {"analytics": GRANTED}}).consent
    assert (analytics.purpose, analytics.state, analytics.permits) == ("analytics", "granted", True)
    assert (analytics.since, analytics.source) == (GRANTED["since"], "ga4")
    assert (ads.purpose, ads.state, ads.since, ads.source) == ("ads", "unknown", None, None)
    assert (ads.silence, ads.permits) == ("denied", False)
    assert marketing.purpose == "marketing"


def test_silence_permits_only_where_the_policy_says_so(documents):
    purposes = {**POLICY.purposes, "ads": POLICY.purposes["ads"].model_copy(update=PERMISSIVE)}
    lenient = POLICY.model_copy(update={"purposes": purposes})
    documents.commit([Put(PROFILES, "p_1", {"sync": SYNC})])
    permits = {told.purpose: told.permits for told in person(documents, lenient, "p_1").consent}
    assert permits == {"analytics": False, "ads": True, "marketing": False}


PERMISSIVE = {"unknown": "granted"}


def test_a_purpose_that_the_policy_dropped_is_still_told(told):
    *_, survey = told({**ADA, "consent": {"survey": GRANTED}}).consent
    assert (survey.purpose, survey.state, survey.silence) == ("survey", "granted", None)


def test_an_old_id_leads_to_the_profile_it_was_merged_into(documents):
    into = {"p_0": "p_00", "p_00": "p_1"}
    for old, new in into.items():
        merged = {"sync": {**SYNC, "state": "merged", "merged_into": new}}
        documents.commit([Put(PROFILES, old, merged)])
    documents.commit([Put(PROFILES, "p_1", ADA)])
    found = person(documents, POLICY, "p_0")
    assert (found.profile_id, found.was, found.state) == ("p_1", "p_0", "live")
    assert found.body == ADA


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"crm": {"tier": "gold"}}, "not synchronised yet"),
        ({"sync": "by us, really"}, "not synchronised yet"),
        ({"sync": {"state": ["live"]}}, "not synchronised yet"),
        ({"sync": {**SYNC, "state": "deleted"}}, "deleted"),
        ({"sync": {**SYNC, "state": "gone"}}, "gone"),
        ({"sync": {**SYNC, "state": "merged", "merged_into": "p_1"}}, "unknown"),  # a circle
        ({"sync": {**SYNC, "state": "merged", "merged_into": "p_2"}}, "unknown"),
        ({"sync": {**SYNC, "state": "merged", "merged_into": 7}}, "unknown"),
        ({"sync": {**SYNC, "state": "merged"}}, "unknown"),
    ],
)
def test_the_state_is_that_of_the_last_delivery(told, body, state):
    assert told(body).state == state


@pytest.mark.parametrize("asked", ["p_404", "", "a/b", ".."])
def test_an_id_without_a_document_is_unknown(documents, asked):
    nobody = person(documents, POLICY, asked)
    assert (nobody.profile_id, nobody.was, nobody.state) == (asked, None, "unknown")
    assert not nobody.body
    assert all(field.absent == "there is no such profile" for field in fields(nobody, POLICY))


def test_a_merged_profile_whose_survivor_was_deleted_is_deleted(documents):
    merged = {"sync": {**SYNC, "state": "merged", "merged_into": "p_1"}}
    deleted = {"sync": {**SYNC, "state": "deleted"}}
    documents.commit([Put(PROFILES, "p_0", merged), Put(PROFILES, "p_1", deleted)])
    assert person(documents, POLICY, "p_0").state == "deleted"


# --- documents that others wrote ------------------------------------------------------------------

texts = st.sampled_from(
    ["ada@example.com", "ada-1815", "live", "merged", "p_1", "granted", "", "+491711234567", "é"]
)
keys = st.sampled_from(
    [*("identifiers", "contact", "consent", "ga4", "ads", "sync", "crm", "ga4.revenue"),
     *IDENTIFIER_TYPES, *("analytics", "state", "since", "source", "merged_into", "revenue"),
     *("first_seen", "last_client_id", "last_gclid", "run", "at", "bob@example.com", "ada-1815")]
)  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars | st.lists(scalars, max_size=3),
    lambda below: st.dictionaries(keys, below, max_size=5) | st.lists(
        st.dictionaries(keys, below, max_size=3), max_size=2
    ),
    max_leaves=20,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.dictionaries(keys, values, max_size=8))
def test_no_document_is_too_malformed_to_be_shown(documents, body):
    documents.commit([Put(PROFILES, "p_1", body)])
    find(documents, POLICY, "ada-1815")
    one = person(documents, POLICY, "p_1")
    assert fields(one, POLICY)
    shown = json.dumps(raw(one, IDENTIFIER_TYPES), ensure_ascii=False)
    assert "ada@example.com" not in shown
    assert "bob@example.com" not in shown
    assert raw(one, []) == one.body
