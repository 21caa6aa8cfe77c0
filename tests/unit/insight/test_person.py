"""One profile: its document, where its fields come from, what happened, and what is masked."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.domain.access import HIDDEN, mask
from cdp.domain.payload import FIELDS, IDENTIFIER_TYPES
from cdp.domain.policy import Policy
from cdp.insight import person as subject
from cdp.insight.person import (
    METRICS,
    ORIGINS,
    Field,
    Person,
    concealer,
    fields,
    find,
    person,
    profile_window,
    raw,
    timeline,
    trends,
)
from cdp.profiles.port import PROFILES, Put, Where
from cdp.profiles.sqlite import SqliteDocuments
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.statements import statements

POLICY = Policy.load(None)
SYNC = {"run": "r1", "seq": 1, "hash": "h", "at": "2026-10-31T00:00:00.000000Z", "state": "live"}
GRANTED = {"state": "granted", "since": "2026-10-01T08:00:00.000000Z", "source": "ga4"}
ADA = {
    "identifiers": {
        "client_id": ["1.2", "3.4"],
        "user_id": ["ada-1815"],
        "email": ["ada@example.com"],
        "phone": ["+491711234567"],
    },
    "contact": {"email": "ada@example.com", "phone": "+491711234567"},
    "consent": {
        "analytics": GRANTED,
        "ads": {"state": "denied", "since": "2026-10-20T08:00:00.000000Z", "source": "ga4"},
        "marketing": GRANTED,
    },
    "ga4": {"revenue": 12.5, "last_client_id": "3.4", "first_seen": "2026-10-01T08:00:00.000000Z"},
    "sync": SYNC,
}


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    with closing(SqliteDocuments(tmp_path / "documents.sqlite")) as store:
        yield store


@pytest.fixture
def told(documents: SqliteDocuments) -> Callable[[Any], Person]:
    """Store a document and return what it says."""

    def put(body: Any) -> Person:
        documents.commit([Put(PROFILES, "p_1", body)])
        return person(documents, POLICY, "p_1")

    return put


# --- finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    ["p_1", "ada-1815", "ADA@Example.com ", "+49 171 1234567", "0049 171 1234567", "1.2", "3.4"],
)
def test_a_profile_is_found_by_whatever_somebody_types(documents, typed):
    documents.commit([Put(PROFILES, "p_1", ADA)])
    assert find(documents, typed) == ["p_1"]


def test_nothing_is_found_for_a_stranger_for_nothing_and_for_no_id(documents):
    documents.commit([Put(PROFILES, "p_1", ADA)])
    assert [find(documents, typed) for typed in ("grace", "", "a/b", "..")] == [[]] * 4


def test_a_merged_profile_is_found_as_the_one_it_lives_on_in_and_once(documents):
    merged = {"sync": {**SYNC, "state": "merged", "merged_into": "p_1"}}
    shared = {"identifiers": {"user_id": ["ada-1815"]}, **merged}
    documents.commit([Put(PROFILES, "p_1", ADA), Put(PROFILES, "p_0", shared)])
    assert find(documents, "p_0") == ["p_1"]
    assert find(documents, "ada-1815") == ["p_1"]


def test_a_deleted_profile_is_not_found(documents):
    deleted = {"sync": {**SYNC, "state": "deleted"}}
    merged = {"sync": {**SYNC, "state": "merged", "merged_into": "p_1"}}
    documents.commit([Put(PROFILES, "p_1", deleted), Put(PROFILES, "p_0", merged)])
    assert find(documents, "p_1") == []
    assert find(documents, "p_0") == []


def test_at_most_50_profiles_are_found(documents):
    held = {"identifiers": {"phone": ["+491711234567"]}, "sync": SYNC}
    documents.commit([Put(PROFILES, f"p_{n}", held) for n in range(60)])
    assert len(find(documents, "+491711234567")) == 50


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


# --- where each field comes from ------------------------------------------------------------------


def test_every_owned_field_has_an_origin():
    assert ORIGINS.keys() == FIELDS.keys()


@pytest.mark.parametrize(
    "origin", [*ORIGINS.values(), subject._CONSENT_ORIGIN, subject._STAMP_ORIGIN], ids=str
)
def test_an_origin_names_a_statement_and_tables_that_it_reads(origin):
    text = statements()[origin.statement]
    assert origin.rule
    assert origin.tables
    for table in origin.tables:
        assert re.search(rf"(from|join) {table}\b", text), f"{origin.statement} reads no {table}"


def by_path(of: Person, policy: Policy = POLICY) -> dict[str, Field]:
    return {field.path: field for field in fields(of, policy)}


def test_an_owned_field_tells_origin_consent_and_run(told):
    found = by_path(told(ADA))["ga4.revenue"]
    assert (found.value, found.owner, found.absent) == (12.5, "platform", None)
    assert found.origin is ORIGINS["ga4.revenue"]
    assert found.origin.statement == "60_behaviour"
    assert found.origin.tables == ("purchase",)
    assert (found.purpose, found.consent, found.consent_source) == ("analytics", "granted", "ga4")
    assert (found.run, found.at) == ("r1", SYNC["at"])


def test_an_absent_field_tells_why(told):
    found = by_path(told({**ADA, "consent": {**ADA["consent"], "marketing": {}}, "contact": {}}))
    assert found["ads.last_gclid"].absent == "ads is denied since 2026-10-20 by ga4"
    assert found["contact.email"].absent == "marketing is unknown, and silence means denied"
    assert found["ga4.country"].absent == "the export does not tell"
    assert found["consent.marketing.since"].absent == "nothing was told"
    assert found["ads.last_gclid"].run is None
    assert by_path(told({"sync": SYNC | {"state": "gone"}}))["ga4.events"].absent == (
        "nothing is known of the profile any more"
    )
    no_email = {**ADA, "identifiers": {}}
    assert by_path(told(no_email))["identifiers.email"].absent == "no admitted link tells one"


def test_a_denial_without_date_and_source_is_still_told(told):
    found = by_path(told({"consent": {"ads": {"state": "denied"}}, "sync": SYNC}))
    assert found["ads.last_gclid"].absent == "ads is denied"


def test_fields_name_the_type_of_the_identifiers_that_they_hold(told):
    types = {path: field.type for path, field in by_path(told(ADA)).items() if field.type}
    assert types == {
        **{f"identifiers.{name}": name for name in IDENTIFIER_TYPES},
        "contact.email": "email",
        "contact.phone": "phone",
        "ga4.last_client_id": "client_id",
        "ads.last_gclid": "client_id",
    }


def test_others_fields_are_told_apart_from_owned_ones(told):
    body = {
        **ADA,
        "crm": {"tier": "gold", "tags": ["a"], "empty": {}},
        "ga4": {"revenue": {"eur": 1}, "note": "x"},
        "ga4.revenue": 5,
        "contact": "ada",
        "sync": {**SYNC, "by": "somebody"},
    }
    found = fields(told(body), POLICY)
    assert {
        (f.path, f.owner) for f in found if f.path.startswith(("crm", "contact", "sync.by"))
    } >= {
        ("crm.tier", "others"),
        ("crm.tags", "others"),
        ("crm.empty", "others"),
        ("contact", "others"),
        ("contact.email", "platform"),
        ("sync.by", "others"),
    }
    revenue = [(f.value, f.owner) for f in found if f.path == "ga4.revenue"]
    assert revenue == [({"eur": 1}, "platform"), (5, "others")]
    assert all(not f.run and not f.origin and not f.absent for f in found if f.owner == "others")


def test_every_field_of_every_document_is_told_once(platform, warehouse):
    for document in all_documents(platform):
        one = person(platform.documents, platform.policy, document.id)
        found = fields(one, platform.policy)
        assert max(Counter(field.path for field in found).values()) == 1
        assert {f.path for f in found if f.absent is None} == set(leaves(document.body))
        assert all(field.origin for field in found)


def test_what_consent_permits_and_the_export_tells_is_never_called_withheld(platform):
    reasons = Counter(
        re.sub(r"since \S+ by \w+", "since", field.absent)
        for document in all_documents(platform)
        for field in fields(person(platform.documents, platform.policy, document.id), POLICY)
        if field.absent
    )
    assert {"the export does not tell", "no admitted link tells one"} < reasons.keys()
    assert {
        "ads is denied since",
        "marketing is unknown, and silence means denied",
    } < reasons.keys()


def all_documents(platform) -> list[Any]:
    live = [Where("sync.state", "==", "live")]
    return list(platform.documents.page(PROFILES, where=live, limit=10_000).documents)


def leaves(body, above=""):
    for key, value in body.items():
        path = f"{above}{key}"
        if isinstance(value, dict):
            yield from leaves(value, f"{path}.")
        else:
            yield path


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
    find(documents, "ada-1815")
    one = person(documents, POLICY, "p_1")
    assert fields(one, POLICY)
    shown = json.dumps(raw(one, IDENTIFIER_TYPES), ensure_ascii=False)
    assert "ada@example.com" not in shown
    assert "bob@example.com" not in shown
    assert raw(one, []) == one.body


# --- masking --------------------------------------------------------------------------------------

EVERYWHERE = {
    **ADA,
    "ads": {"last_gclid": "Cj0-click"},
    "crm": {
        "mail": "Ada@Example.com",
        "boss": "charles.babbage@engine.co.uk",
        "user": "ada-1815",
        "phone": "+49 171 1234567",
        "call": "tel:+491711234567, or 491711234567",
        "number": 491711234567,
        "notes": ["met ada@example.com", {"by": "client 1.2 (not 11.2)"}],
        "landing": "https://www.example.com/?e=ada%40example.com&tier=gold",
        "ada@example.com": "main",
        "ADA@example.com": "second",
        "tier": "gold",
        "visits": 3,
        "vip": True,
    },
}


def test_masked_identifiers_are_masked_wherever_they_stand(told):
    shown = raw(told(EVERYWHERE), IDENTIFIER_TYPES)
    assert shown["identifiers"] == {
        "client_id": [HIDDEN, HIDDEN],
        "user_id": [mask("user_id", "ada-1815")],
        "email": ["a•••@e•••.com"],
        "phone": ["+49•••67"],
    }
    assert shown["contact"] == {"email": "a•••@e•••.com", "phone": "+49•••67"}
    assert shown["ga4"]["last_client_id"] == HIDDEN
    assert shown["ads"]["last_gclid"] == "•••ck"
    assert shown["crm"] == {
        "mail": "A•••@E•••.com",
        "boss": "c•••@e•••.uk",
        "user": "•••15",
        "phone": "+49•••67",
        "call": "tel:+49•••67, or 491•••67",
        "number": "491•••67",
        "notes": ["met a•••@e•••.com", {"by": "client ••• (not 11.2)"}],
        "landing": "https://www.example.com/?e=a•••@e•••.com&tier=gold",
        "a•••@e•••.com": "main",
        "A•••@e•••.com": "second",
        "tier": "gold",
        "visits": 3,
        "vip": True,
    }
    assert shown["sync"] == SYNC
    assert shown["consent"] == ADA["consent"]


def test_types_that_are_not_masked_are_shown_whole(told):
    shown = raw(told(EVERYWHERE), ["phone"])
    assert shown["identifiers"] == {**ADA["identifiers"], "phone": ["+49•••67"]}
    assert shown["crm"]["boss"] == "charles.babbage@engine.co.uk"
    assert shown["crm"]["user"] == "ada-1815"
    assert shown["crm"]["number"] == "491•••67"
    assert shown["ads"]["last_gclid"] == "Cj0-click"


def test_nothing_is_masked_for_whom_nothing_is_masked(told):
    ada = told(EVERYWHERE)
    assert raw(ada, []) == EVERYWHERE
    assert ada.body == EVERYWHERE


def test_masking_changes_nothing_of_the_person(told):
    ada = told(EVERYWHERE)
    raw(ada, IDENTIFIER_TYPES)
    assert ada.body == EVERYWHERE


def test_names_that_are_masked_alike_keep_their_values(told):
    shown = raw(told({"crm": {"ann@x.com": 1, "ada@x.com": 2}, "sync": SYNC}), ["email"])
    assert list(shown["crm"].values()) == [1, 2]


def test_a_short_identifier_leaves_the_platforms_own_fields_alone(told):
    body = {
        **ADA,
        "identifiers": {"user_id": ["2026", "ga4"]},
        "crm": {"since": "in 2026", "year": 2026, "n": 20261},
    }
    shown = raw(told(body), ["user_id"])
    assert shown["ga4"] == ADA["ga4"]
    assert shown["consent"]["ads"]["since"] == ADA["consent"]["ads"]["since"]
    assert shown["crm"] == {"since": "in •••", "year": "•••", "n": 20261}


def test_malformed_identifiers_are_masked_too(told):
    body = {
        "identifiers": {"email": "ada@example.com", "phone": [{"home": "+491711234567"}, 49171]},
        "contact": {"email": {"work": "ada at example"}},
        "ga4": {"sessions": "ada@example.com"},
    }
    shown = raw(told(body), IDENTIFIER_TYPES)
    text = json.dumps(shown)
    assert not re.search(r"ada|example|49171", text)


def test_masked_fields_are_those_of_the_masked_document(told):
    ada = told(EVERYWHERE)
    shown = by_path(replace(ada, body=raw(ada, IDENTIFIER_TYPES)))
    assert shown["contact.email"].value == "a•••@e•••.com"
    assert shown["crm.boss"].value == "c•••@e•••.uk"
    assert shown["contact.email"].purpose == "marketing"


def test_text_beside_the_document_is_masked_likewise(told):
    hide = concealer(told(ADA), IDENTIFIER_TYPES)
    assert hide("https://x.org/thanks?mail=ada%40example.com&u=ada-1815") == (
        "https://x.org/thanks?mail=a•••@e•••.com&u=•••15"
    )
    assert hide("Welcome") == "Welcome"


def test_long_text_is_masked_and_nobody_waits_for_it(told):
    """A pattern that goes back over what it has read would take days."""
    crm = {"blob": "x" * 500_000, "more": "x." * 200_000 + "@"}
    assert raw(told({"crm": crm, **ADA}), IDENTIFIER_TYPES)["crm"] == crm


def test_no_identifier_of_a_generated_profile_is_left(platform):
    for document in all_documents(platform):
        one = person(platform.documents, platform.policy, document.id)
        body = {**one.body, "crm": {"all": " ".join(i.value for i in one.identifiers)}}
        shown = json.dumps(raw(replace(one, body=body), IDENTIFIER_TYPES), ensure_ascii=False)
        assert not [i for i in one.identifiers if i.value in shown]


# --- what happened --------------------------------------------------------------------------------

ALWAYS = (date(2026, 1, 1), date(2027, 1, 1))


def test_trends_add_up_to_the_document_of_every_profile(platform, warehouse):
    every = all_documents(platform)
    bought = 0
    for document in every:
        found = trends(warehouse, document.id, POLICY, date(2026, 11, 3), days=30)
        ga4 = document.body.get("ga4")
        if ga4 is None:
            assert all(day[name] in {0, None} for day in found["days"] for name in METRICS)
            continue
        sums = {name: sum(day[name] for day in found["days"]) for name in METRICS}
        assert sums == pytest.approx({name: ga4[name] for name in METRICS}), document.id
        assert found["last_30"] == pytest.approx(sums)
        assert not any(found["before_30"].values())
        bought += ga4["purchases"]
    assert len(every) > 100
    assert bought > 10


def test_timeline_and_window_hold_the_events_that_the_document_counts(platform, warehouse):
    for document in all_documents(platform)[::5]:
        ga4 = document.body.get("ga4")
        found = timeline(warehouse, document.id, POLICY, *ALWAYS, limit=10_000)
        if ga4 is None:
            assert found.total == 0
            continue
        assert found.total == len(found.events) == ga4["events"]
        assert sum(row["events"] for row in found.counts) == found.total
        times = [row["event_at"] for row in found.events]
        assert times == sorted(times, reverse=True)
        assert times[0] == datetime.fromisoformat(ga4["last_seen"])
        assert times[-1] == datetime.fromisoformat(ga4["first_seen"])
        window = profile_window(warehouse, document.id, POLICY)
        assert window is not None
        assert window.events == found.total
        days = {row["day"] for row in found.counts}
        assert (window.first, window.last) == (min(days), max(days))
        held = set(document.body["identifiers"]["client_id"])
        assert {row["client"] for row in found.events} <= held


def test_a_profile_whose_consent_withholds_analytics_shows_nothing_that_happened(warehouse):
    withheld = warehouse.query(
        "select b.profile_id from behaviour as b join permit as p on p.profile_id = b.profile_id "
        "where strpos(p.granted, '|analytics|') = 0",
        {},
    )
    assert len(withheld)
    for (profile_id,) in withheld.rows():
        found = timeline(warehouse, profile_id, POLICY, *ALWAYS)
        assert (found.events, found.total, found.counts) == ([], 0, [])
        assert found.withheld == "analytics"
        assert profile_window(warehouse, profile_id, POLICY) is None
        figures = trends(warehouse, profile_id, POLICY, date(2026, 11, 1))
        assert figures["withheld"] == list(METRICS)
        assert set(figures["last_30"].values()) == {None}


def test_a_stranger_has_no_timeline(warehouse):
    found = timeline(warehouse, "p_404", POLICY, *ALWAYS)
    assert (found.events, found.total, found.changes, found.withheld) == ([], 0, [], None)
    assert profile_window(warehouse, "p_404", POLICY) is None
    figures = trends(warehouse, "p_404", POLICY, date(2026, 11, 1), days=7)
    assert [day["day"] for day in figures["days"]] == [date(2026, 10, 25 + n) for n in range(7)]
    assert set(figures["last_30"].values()) == {0}


Insert = Callable[..., None]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[DuckWarehouse]:
    """A warehouse of one profile, p_1, whose client is k_1."""
    with closing(DuckWarehouse(tmp_path, memory_limit="1GB", threads=1)) as made:
        made.run(statements()["00_tables"], {})
        for sql in (
            "create table identifier (identifier_id int64, type string, value string)",
            "create table permit (profile_id string, granted string)",
            "create table behaviour (profile_id string, first_seen timestamp, last_seen timestamp)",
        ):
            made.run(sql, {})
        add = insert_into(made)
        for number, key in enumerate(("k_1", "k_2")):
            add("identifier", identifier_id=number, type="client_id", value=key)
            add("identity", identifier_id=number, profile_id="p_1", present=number == 0)
        add("permit", profile_id="p_1", granted="|analytics|")
        add("behaviour", profile_id="p_1", first_seen=at(1), last_seen=at(31))
        yield made


def insert_into(warehouse: DuckWarehouse) -> Insert:
    def add(table: str, **row: Any) -> None:
        names = ", ".join(row)
        values = ", ".join(f"@{name}" for name in row)
        warehouse.run(f"insert into {table} ({names}) values ({values})", row)

    return add


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 10, day, hour, tzinfo=UTC)


OCTOBER = (date(2026, 10, 1), date(2026, 11, 1))


def test_only_permitted_rows_of_the_profiles_own_clients_are_events(small):
    add = insert_into(small)
    for key, analytics in (
        ("k_1", "granted"), ("k_1", "unknown"), ("k_1", "denied"), ("k_2", "granted"),
    ):  # fmt: skip
        name = f"{key} {analytics}"
        row = {"event_date": date(2026, 10, 5), "event_at": at(5), "event_name": name}
        add("events", **row, client_key=key, client_id="1.2", analytics=analytics)
    found = timeline(small, "p_1", POLICY, *OCTOBER)
    assert [row["event_name"] for row in found.events] == ["k_1 granted"]
    assert found.counts == [
        {"day": date(2026, 10, 5), "event_name": "k_1 granted", "events": 1},
    ]
    permissive = {
        **POLICY.purposes,
        "analytics": POLICY.purposes["analytics"].model_copy(update=PERMISSIVE),
    }
    lenient = POLICY.model_copy(update={"purposes": permissive})
    assert timeline(small, "p_1", lenient, *OCTOBER).total == 2


def test_the_window_is_half_open_and_the_limit_keeps_the_newest(small):
    add = insert_into(small)
    for day in (1, 2, 3, 4):
        row = {"event_date": date(2026, 10, day), "event_at": at(day), "event_name": f"e{day}"}
        long = {"page_location": "x" * 400, "page_title": "é" * 400}
        add("events", **row, **long, client_key="k_1", client_id="1.2", analytics="granted")
    found = timeline(small, "p_1", POLICY, date(2026, 10, 2), date(2026, 10, 4), limit=1)
    (newest,) = found.events
    assert newest["event_name"] == "e3"
    assert newest["event_at"] == at(3)
    assert newest["client"] == "1.2"
    assert (newest["page_location"], newest["page_title"]) == ("x" * 300, "é" * 300)
    assert newest.keys() == {
        *("event_at", "event_name", "client", "source", "medium", "page_location", "page_title"),
        *("device", "country", "revenue", "engagement_ms", "session_id", "transaction_id"),
    }
    assert found.total == 2


def test_what_another_purpose_withholds_is_not_in_the_timeline_either(small):
    fields = {**POLICY.fields, "ga4.revenue": "ads", "ga4.country": "marketing"}
    split = POLICY.model_copy(update={"fields": fields})
    row = {"event_date": date(2026, 10, 5), "event_at": at(5), "event_name": "purchase"}
    told = {"revenue": 9.5, "country": "Germany", "device": "mobile"}
    insert_into(small)(
        "events", **row, **told, client_key="k_1", client_id="1.2", analytics="granted"
    )
    (event,) = timeline(small, "p_1", split, *OCTOBER).events
    assert (event["revenue"], event["country"], event["device"]) == (None, None, "mobile")
    assert trends(small, "p_1", split, OCTOBER[1])["withheld"] == ["revenue"]
    (event,) = timeline(small, "p_1", POLICY, *OCTOBER).events
    assert event["revenue"] == 9.5


def test_merges_and_splits_of_the_window_are_told_with_their_direction(small):
    add = insert_into(small)
    for day, kind, came_from, went_to in (
        (2, "merge", "p_0", "p_1"),
        (3, "split", "p_1", "p_2"),
        (4, "split", "p_8", "p_9"),
        (31, "merge", "p_7", "p_1"),
    ):
        row = {"seq": day, "run_id": "r", "happened_at": at(day), "kind": kind}
        add("identity_history", **row, from_id=came_from, to_id=went_to)
    found = timeline(small, "p_1", POLICY, date(2026, 10, 2), date(2026, 10, 31)).changes
    assert found == [
        {"kind": "split", "other_id": "p_2", "direction": "out", "happened_at": at(3)},
        {"kind": "merge", "other_id": "p_0", "direction": "in", "happened_at": at(2)},
    ]


def session(day: int, session_id: int | None, **more: Any) -> dict[str, Any]:
    row = {"event_date": date(2026, 10, day), "client_key": "k_1", "analytics": "granted"}
    row |= {"events": 1, "engaged": False, "engagement_ms": 1000, **more}
    return row if session_id is None else row | {"session_id": session_id}


def test_a_session_counts_on_its_first_day_and_engaged_by_any_of_its_days(small):
    add = insert_into(small)
    add("session_day", **session(10, 1))
    add("session_day", **session(11, 1, engaged=True, events=2))
    add("session_day", **session(11, None, engaged=True))
    add("session_day", **session(11, 2, analytics="denied"))
    found = trends(small, "p_1", POLICY, date(2026, 10, 12), days=2)["days"]
    told = [(d["sessions"], d["engaged_sessions"], d["events"], d["engagement_ms"]) for d in found]
    assert told == [(1, 1, 1, 1000), (0, 0, 3, 2000)]


def test_a_session_that_began_before_the_window_is_not_one_of_it(small):
    add = insert_into(small)
    add("session_day", **session(2, 1))
    add("session_day", **session(11, 1))
    small.run("update behaviour set first_seen = @t where true", {"t": at(2)})
    (day,) = trends(small, "p_1", POLICY, date(2026, 12, 10), days=60)["days"][:1]
    assert day["day"] == date(2026, 10, 11)
    assert (day["sessions"], day["events"]) == (0, 1)


def test_a_transaction_counts_once_when_it_was_first_told(small):
    add = insert_into(small)
    for day, transaction, revenue in ((5, "t1", 10.1), (6, "t1", 99.0), (6, "t2", 0.2)):
        row = {"event_date": date(2026, 10, day), "event_at": at(day), "revenue": revenue}
        add("purchase", **row, transaction_id=transaction, client_key="k_1", analytics="granted")
    unnamed = {"event_date": date(2026, 10, 6), "event_at": at(6), "client_key": "k_1"}
    for _ in range(2):
        add("purchase", **unnamed, analytics="granted", revenue=1.0)
    found = trends(small, "p_1", POLICY, date(2026, 10, 7), days=2)
    assert [(d["purchases"], d["revenue"]) for d in found["days"]] == [(1, 10.1), (3, 2.2)]
    assert (found["last_30"]["purchases"], found["last_30"]["revenue"]) == (4, 12.3)


def test_totals_compare_30_days_with_the_30_before(small):
    add = insert_into(small)
    for day in (date(2026, 10, 31), date(2026, 10, 2), date(2026, 10, 1), date(2026, 9, 2)):
        add("session_day", **session(1, day.toordinal()) | {"event_date": day})
    add("session_day", **session(1, 1) | {"event_date": date(2026, 9, 1)})
    small.run("update behaviour set first_seen = @t where true", {"t": at(1) - timedelta(days=60)})
    found = trends(small, "p_1", POLICY, date(2026, 11, 1), days=7)
    assert (found["last_30"]["sessions"], found["before_30"]["sessions"]) == (2, 2)
    assert len(found["days"]) == 7
    assert [day["sessions"] for day in found["days"]] == [0, 0, 0, 0, 0, 0, 1]
