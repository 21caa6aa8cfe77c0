"""Every field says where it comes from, or why it is absent."""

import re
from collections import Counter

import pytest

from cdp.domain.payload import FIELDS, IDENTIFIER_TYPES
from cdp.insight.person import ORIGINS, fields, origins, person
from cdp.warehouse.statements import statements
from tests.unit.insight.person.support import ADA, POLICY, SYNC, all_documents, by_path


def test_every_owned_field_has_an_origin():
    assert ORIGINS.keys() == FIELDS.keys()


@pytest.mark.parametrize(
    "origin", [*ORIGINS.values(), origins._CONSENT_ORIGIN, origins._STAMP_ORIGIN], ids=str
)
def test_an_origin_names_a_statement_and_tables_that_it_reads(origin):
    text = statements()[origin.statement]
    assert origin.rule
    assert origin.tables
    for table in origin.tables:
        assert re.search(rf"(from|join) {table}\b", text), f"{origin.statement} reads no {table}"


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
    assert by_path(told(no_email))["identifiers.email"].absent == (
        "no admitted link tells one whose own consent permits it"
    )


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
    assert {
        "the export does not tell",
        "no admitted link tells one",
        "no admitted link tells one whose own consent permits it",
    } < reasons.keys()
    assert {
        "ads is denied since",
        "marketing is unknown, and silence means denied",
    } < reasons.keys()


def leaves(body, above=""):
    for key, value in body.items():
        path = f"{above}{key}"
        if isinstance(value, dict):
            yield from leaves(value, f"{path}.")
        else:
            yield path
