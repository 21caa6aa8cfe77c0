"""What is masked is masked wherever it stands."""

import json
import re
from dataclasses import replace

from cdp.domain.access import HIDDEN, mask
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.insight.person import concealer, person, raw
from tests.unit.insight.person.support import ADA, SYNC, all_documents, by_path

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
