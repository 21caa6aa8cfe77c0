"""The figures and questions of the page Consent Review, on people made for each claim."""

import json
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime
from getpass import getuser
from importlib import resources
from pathlib import Path

import pytest

from cdp.domain.policy import Policy
from cdp.insight import consent
from cdp.insight.stitching.parts import ground_of
from cdp.profiles.port import PROFILES, Delete, Put
from cdp.profiles.sqlite import SqliteDocuments
from tests.e2e.support import NO_CONSENT_MODE, Cdp, event
from tests.unit.insight.stitching.support import link

TODAY = date(2026, 11, 5)
POLICY = Policy.load(None)


def decision(who, purpose, state, at, source="preference_centre", type="user_id"):  # noqa: PLR0917
    return {
        "type": type,
        "value": who,
        "purpose": purpose,
        "state": state,
        "at": at,
        "source": source,
    }


DAYS = {
    "20261001": [
        # Two devices of one person disagree on ads; on analytics they agree.
        event("20261001", "ann-a.1", user="ann", ads="Yes", at=1),
        event("20261001", "ann-b.1", user="ann", ads="No", at=0),
        # So do bob's and cat's, who later said so themselves.
        event("20261001", "bob-a.1", user="bob", ads="Yes", at=1),
        event("20261001", "bob-b.1", user="bob", ads="No", at=0),
        event("20261001", "cat-a.1", user="cat", ads="Yes", at=1),
        event("20261001", "cat-b.1", user="cat", ads="No", at=0),
        # A device that changed its mind disagrees with nobody.
        event("20261001", "gil-a.1", user="gil", ads="No", at=0),
        event("20261001", "gil-a.1", user="gil", ads="Yes", at=9),
        event("20261001", "gil-b.1", user="gil", ads="Yes", at=1),
        event("20261001", "dan.1", ads="No", at=1),
        event("20261001", "eve.1", ads="Yes", at=0),
    ],
    "20261002": [
        event("20261002", "dan.1", ads="Yes"),
        event("20261002", "eve.1", ads="Yes", at=5),
    ],
    "20261003": [event("20261003", "dan.1", ads="No"), event("20261003", "eve.1", ads="No")],
}
DECISIONS = [
    decision("bob", "ads", "granted", "2026-10-02T08:00:00Z"),
    decision("bob", "marketing", "granted", "2026-09-01T08:00:00Z"),
    decision("bob", "marketing", "denied", "2026-10-02T08:00:00Z", "support"),
    decision("cat", "ads", "granted", "2026-09-01T08:00:00Z"),
    decision("cat", "ads", "denied", "2026-10-04T08:00:00Z", "admin"),
    # Another source's decisions are of the identifier that they are made for, and of no other.
    decision("ann-a.1", "marketing", "granted", "2026-10-02T09:00:00Z", "crm", "client_id"),
    decision("ann-b.1", "marketing", "denied", "2026-10-02T08:00:00Z", "crm", "client_id"),
    decision("gil-1@example.com", "marketing", "granted", "2026-10-03T08:00:00Z", "crm", "email"),
    decision("gil-2@example.com", "marketing", "denied", "2026-10-02T08:00:00Z", "crm", "email"),
    decision("eve.1", "newsletter", "granted", "2026-10-02T08:00:00Z", "crm", "client_id"),
    decision("eve.1", "marketing", "granted", "2026-11-20T00:00:00Z", "crm", "client_id"),
]
LINKS = [link(("user_id", "gil"), ("email", f"gil-{n}@example.com")) for n in (1, 2)]


def filled(folder: Path, env, days, decisions=(), links=()) -> Cdp:
    cdp = Cdp(folder / "home", env)

    def written(name, rows) -> Path:
        file = folder / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    for day, events in days.items():
        cdp.run("load", "ga4", written(f"events_{day}.ndjson", events))
    if links:
        cdp.run("load", "links", written("links.ndjson", links))
    if decisions:
        file = written("decisions.ndjson", decisions)
        # Loaded while the policy still knew a purpose that it knows no more.
        earlier = folder / "earlier.toml"
        shipped = resources.files("cdp.domain").joinpath("policy.toml").read_text("utf-8")
        earlier.write_text(f'{shipped}\n[purposes.newsletter]\nunknown = "denied"\n', "utf-8")
        cdp.run("load", "consent", file, CDP_POLICY=str(earlier))
    cdp.refresh()
    return cdp


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("consent"), {}, DAYS, DECISIONS, LINKS)


@pytest.fixture(scope="module")
def people(small):
    with closing(small.platform.published()) as published:
        yield published


@pytest.fixture(scope="module")
def figures(small, people):
    return consent.report(people, small.platform.documents, POLICY, today=TODAY)


@pytest.fixture(scope="module")
def ids(people):
    """Return the profile of each identifier, a client by its bare id."""
    held = people.query(
        "select coalesce(c.client_id, i.value) as value, p.profile_id from identifier as i "
        "join identity as p on p.identifier_id = i.identifier_id "
        "left join client as c on c.client_key = i.value",
        {},
    )
    return dict(held.rows())


def noon(day, at=0):
    return datetime(2026, 10, day, 12, 0, at, tzinfo=UTC)


def morning(day, month=10):
    return datetime(2026, month, day, 8, tzinfo=UTC)


# --- the report -----------------------------------------------------------------------------------


def test_states_count_every_profile_by_purpose_and_source(figures):
    analytics, ads, marketing = figures["states"]
    assert (analytics["granted"], analytics["denied"], analytics["unknown"]) == (6, 0, 0)
    assert (ads["granted"], ads["denied"], ads["unknown"]) == (2, 4, 0)
    assert {s["source"]: (s["granted"], s["denied"]) for s in ads["sources"]} == {
        "ga4": (1, 3),
        "preference_centre": (1, 0),
        "admin": (0, 1),
    }
    # gil, by one address; bob and ann; of eve only a device said Yes, which counts for no address.
    assert (marketing["granted"], marketing["denied"], marketing["unknown"]) == (1, 2, 3)


def test_silence_is_permitted_only_where_the_policy_says_so(tmp_path):
    env = {"CDP_POLICY": str(NO_CONSENT_MODE)}
    cdp = filled(tmp_path, env, {"20261001": [event("20261001", "a.1", analytics=None, ads=None)]})
    policy = cdp.platform.policy
    with closing(cdp.platform.published()) as published:
        found = consent.report(published, cdp.platform.documents, policy, today=TODAY)
    assert [(s["unknown"], s["permitted"]) for s in found["states"]] == [(1, 1), (1, 0), (1, 0)]
    assert found["changes"]["told"] == []
    assert [row for row in found["reachable"] if row["count"]] == []
    assert "ga4" in next(iter(cdp.documents().values())), "there is something to reach"


def test_what_was_told_is_counted_by_day(figures):
    changes = figures["changes"]
    assert changes["days"][0] == "2026-09-01"
    assert changes["days"][-1] == "2026-10-04", "a decision of the future ends no chart"
    assert len(changes["days"]) == 34
    told = {(s["purpose"], s["source"]): s for s in changes["told"]}
    first, second, third = (changes["days"].index(f"2026-10-0{n}") for n in (1, 2, 3))
    ads = told["ads", "ga4"]
    # Devices alone told, one of them both on one day; who says the same again tells nothing.
    assert [ads["granted"][n] for n in (first, second, third)] == [6, 1, 0]
    assert [ads["denied"][n] for n in (first, second, third)] == [5, 0, 2]
    own = told["ads", "preference_centre"]
    assert (own["granted"][0], own["granted"][second]) == (1, 1)
    assert told["marketing", "crm"]["denied"][second] == 2
    assert "newsletter" not in {purpose for purpose, _ in told}


def test_what_began_is_a_profiles_state_in_force(figures, people):
    changes = figures["changes"]
    began = {series["purpose"]: series for series in changes["began"]}
    withdrawn = dict(zip(changes["days"], began["ads"]["denied"], strict=True))
    assert {day: n for day, n in withdrawn.items() if n} == {
        "2026-10-01": 2,  # ann and cat, whose own No came later
        "2026-10-03": 2,  # eve, and dan, who had denied before and granted since
    }
    granted = dict(zip(changes["days"], began["ads"]["granted"], strict=True))
    assert {day: n for day, n in granted.items() if n} == {
        "2026-10-01": 1,  # gil
        "2026-10-02": 1,  # bob
    }


def test_conflicts_are_told_with_how_they_were_resolved(figures):
    found = {(c["purpose"], c["state"], c["explicit"]): c["profiles"] for c in figures["conflicts"]}
    assert found == {
        ("ads", "denied", False): 1,  # ann: one device's No
        ("ads", "granted", True): 1,  # bob's own word, newer than any No
        ("ads", "denied", True): 1,  # cat's
        ("marketing", "denied", False): 1,  # ann
        ("marketing", "granted", False): 1,  # gil: one address stays
    }


def test_decisions_are_listed_also_those_of_no_effect(figures):
    by_key = {(d["source"], d["purpose"], d["state"]): d for d in figures["decisions"]}
    assert by_key["preference_centre", "ads", "granted"] == {
        "source": "preference_centre",
        "purpose": "ads",
        "state": "granted",
        "explicit": True,
        "declared": True,
        "decisions": 2,
        "first_at": "2026-09-01T08:00:00.000000Z",
        "last_at": "2026-10-02T08:00:00.000000Z",
    }
    assert not by_key["crm", "newsletter", "granted"]["declared"]
    assert not by_key["crm", "marketing", "denied"]["explicit"]


def test_many_sources_are_summed_beyond_the_greatest(tmp_path):
    days = {"20261001": [event("20261001", f"c{n}.1", at=n, ads=None) for n in range(20)]}
    decisions = [
        decision(f"c{n}.1", "ads", "granted", "2026-10-01", f"s{n:02}", "client_id")
        for n in range(20)
    ]
    cdp = filled(tmp_path, {}, days, decisions)
    with closing(cdp.platform.published()) as published:
        found = consent.report(published, cdp.platform.documents, POLICY, today=TODAY)
    sources = found["states"][1]["sources"]
    assert [s["granted"] for s in sources] == [*[1] * 10, 10]
    assert sources[-1]["source"] is None
    series = [s for s in found["changes"]["told"] if s["purpose"] == "ads"]
    assert [sum(s["granted"]) for s in series if s["source"] is None] == [5]
    assert sum(sum(s["granted"]) for s in series) == 20


def test_a_generated_propertys_report_is_small_json(warehouse, platform):
    found = consent.report(warehouse, platform.documents, platform.policy, today=TODAY)
    assert len(json.dumps(found)) < 20_000
    assert all(state["granted"] and state["denied"] for state in found["states"])


# --- disagreements --------------------------------------------------------------------------------


def test_a_disagreement_shows_both_sides_and_what_is_in_force(people, ids):
    found = consent.disagreements(people, POLICY, purpose="ads").found
    assert [one.profile_id for one in found] == sorted(ids[who] for who in ("ann", "bob", "cat"))
    (ann,) = [one for one in found if one.profile_id == ids["ann"]]
    assert (ann.state, ann.source, ann.explicit) == ("denied", "ga4", False)
    assert [(s.type, s.value, s.state, s.source, s.at) for s in ann.said] == [
        ("client_id", "ann-a.1", "granted", "ga4", noon(1, 1)),
        ("client_id", "ann-b.1", "denied", "ga4", noon(1, 0)),
    ]
    ((granted,),) = people.query(
        f"select granted from permit where profile_id = '{ann.profile_id}'", {}
    ).rows()
    assert {s.ground for s in ann.said} == {ground_of(granted)}
    assert "ads" not in granted
    (cat,) = [one for one in found if one.profile_id == ids["cat"]]
    assert (cat.state, cat.source, cat.explicit) == ("denied", "admin", True)
    assert cat.since == noon(1), "the device's No came first, and no Yes after it"


def test_a_loaded_signal_disagrees_like_one_of_the_export(people, ids):
    found = consent.disagreements(people, POLICY, purpose="marketing").found
    (ann,) = [one for one in found if one.profile_id == ids["ann"]]
    assert [(s.value, s.state, s.source) for s in ann.said] == [
        ("ann-a.1", "granted", "crm"),
        ("ann-b.1", "denied", "crm"),
    ]


def test_an_address_that_denies_leaves_the_other_one_granted(people, ids):
    found = consent.disagreements(people, POLICY, purpose="marketing").found
    (gil,) = [one for one in found if one.profile_id == ids["gil"]]
    assert (gil.state, gil.source, gil.since) == ("granted", "crm", morning(3))
    assert [(s.value, s.state) for s in gil.said] == [
        ("gil-1@example.com", "granted"),
        ("gil-2@example.com", "denied"),
    ]


def test_disagreements_are_listed_as_they_are_counted(people, figures):
    listed = consent.disagreements(people, POLICY).found
    counted = Counter((one.purpose, one.state, one.explicit) for one in listed)
    assert counted == {
        (c["purpose"], c["state"], c["explicit"]): c["profiles"] for c in figures["conflicts"]
    }
    assert consent.conflicting(figures) == len(listed) == 5


def test_pages_follow_each_other_without_gap_or_overlap(people):
    whole = consent.disagreements(people, POLICY)
    assert (len(whole.found), whole.after) == (5, None)
    seen, after = [], None
    for _ in range(5):
        page = consent.disagreements(people, POLICY, after=after, limit=1)
        seen += page.found
        after = page.after
    assert seen == list(whole.found)
    assert after is None


# --- history --------------------------------------------------------------------------------------


def test_a_history_tells_what_was_new_where_it_was_said_and_what_is_in_force(people, ids):
    found = [t for t in consent.history(people, POLICY, ids["eve.1"]) if t.purpose == "ads"]
    assert [(t.state, t.at, t.evidence, t.in_force) for t in found] == [
        ("denied", noon(3), "events_20261003", True),
        ("granted", noon(1), "events_20261001", False),
    ]
    assert {(t.type, t.value, t.source, t.explicit) for t in found} == {
        ("client_id", "eve.1", "ga4", False)
    }
    assert {t.told_by for t in found} == {None}


def test_a_loaded_decision_is_told_with_its_line_and_who_loaded_it(people, ids):
    found = [t for t in consent.history(people, POLICY, ids["bob"]) if t.explicit]
    assert [(t.purpose, t.state, t.at, t.evidence) for t in found] == [
        ("ads", "granted", morning(2), "decisions.ndjson, line 1"),
        ("marketing", "denied", morning(2), "decisions.ndjson, line 3"),
        ("marketing", "granted", morning(1, month=9), "decisions.ndjson, line 2"),
    ]
    assert {t.told_by for t in found} == {f"shell:{getuser()}"}


def test_a_state_that_returns_is_told_again(people, ids):
    found = [t for t in consent.history(people, POLICY, ids["dan.1"]) if t.purpose == "ads"]
    assert [(t.state, t.at, t.in_force) for t in found] == [
        ("denied", noon(3), True),
        ("granted", noon(2), False),
        ("denied", noon(1, 1), False),
    ]


def test_a_persons_own_yes_is_in_force_above_an_older_no_of_a_device(people, ids):
    found = consent.history(people, POLICY, ids["bob"])
    in_force = {t.purpose: (t.state, t.source, t.explicit) for t in found if t.in_force}
    assert in_force == {
        "analytics": ("granted", "ga4", False),
        "ads": ("granted", "preference_centre", True),
        "marketing": ("denied", "support", True),
    }
    assert sum(t.in_force for t in found) == 3


def test_one_devices_no_is_in_force_though_another_one_grants_later(people, ids):
    found = [t for t in consent.history(people, POLICY, ids["ann"]) if t.purpose == "ads"]
    assert [(t.value, t.state) for t in found if t.in_force] == [("ann-b.1", "denied")]
    assert found[0].state == "granted"


def test_of_two_addresses_the_yes_of_one_is_in_force(people, ids):
    found = [t for t in consent.history(people, POLICY, ids["gil"]) if t.purpose == "marketing"]
    assert [(t.value, t.state, t.in_force) for t in found] == [
        ("gil-1@example.com", "granted", True),
        ("gil-2@example.com", "denied", False),
    ]


def test_a_bound_history_keeps_what_is_in_force(people, ids):
    found = consent.history(people, POLICY, ids["bob"], limit=1)
    assert ("ads", "granted", True) in {(t.purpose, t.state, t.in_force) for t in found}
    assert len(found) <= 1 + 3


def test_what_a_device_said_that_is_not_joined_is_in_the_persons_history(tmp_path):
    rows = [
        event("20261001", "zoe.1", user="zoe", at=0),
        event("20261001", "zoe.1", analytics="No", ads="No", at=1),
    ]
    cdp = filled(tmp_path, {}, {"20261001": rows})
    with closing(cdp.platform.published()) as published:
        (zoe,) = published.query(
            "select p.profile_id from identity as p join identifier as i "
            "on i.identifier_id = p.identifier_id where i.type = 'user_id'",
            {},
        )["profile_id"]
        found = consent.history(published, POLICY, zoe)
    assert {(t.purpose, t.state, t.value) for t in found if t.in_force} == {
        ("analytics", "denied", "zoe.1"),
        ("ads", "denied", "zoe.1"),
    }


def test_nobodys_history_is_empty(people):
    assert consent.history(people, POLICY, "p_nobody") == []


def test_what_a_history_has_in_force_is_every_profiles_consent(warehouse, people):
    for published in (warehouse, people):
        query = "select profile_id, purpose, state, source from profile_consent"
        expected: dict[str, set] = {}
        for profile_id, *state in published.query(query, {}).rows():
            expected.setdefault(profile_id, set()).add(tuple(state))
        for profile_id in sorted(expected)[:40]:
            told = consent.history(published, POLICY, profile_id)
            in_force = {(t.purpose, t.state, t.source) for t in told if t.in_force}
            assert in_force == expected[profile_id]


# --- what was delivered ---------------------------------------------------------------------------


@pytest.fixture
def documents(tmp_path):
    store = SqliteDocuments(
        tmp_path / "documents.sqlite",
        filtered=[f"consent.{purpose}.state" for purpose in POLICY.purposes],
    )
    yield store
    store.close()


def stored(analytics="granted", ads="granted", marketing="granted", **fields):
    states = {"analytics": analytics, "ads": ads, "marketing": marketing}
    known = {purpose: {"state": state} for purpose, state in states.items() if state}
    return {"consent": known, "sync": {"state": "live"}, **fields}


def violations(documents, policy=POLICY, most=50):
    found = consent.reachable(documents, policy, most)
    return {(r["path"], r["state"]): (r["count"], r["ids"]) for r in found if r["count"]}


def test_what_a_refresh_delivered_reaches_nobody_against_their_will(platform, generated):
    found = consent.reachable(platform.documents, platform.policy)
    assert {row["count"] for row in found} == {0}
    assert {row["path"] for row in found} == set(consent.REPRESENTATIVES)
    assert any("contact" in body for body in generated.documents().values())


FORBIDDEN = {
    "a mail address of one who denied": (
        stored(marketing="denied", contact={"email": "a@example.com"}),
        ("contact.email", "denied"),
    ),
    "a phone number of one who said nothing": (
        stored(marketing="unknown", contact={"phone": "+491"}),
        ("contact.phone", "unknown"),
    ),
    "measurements of one who denied": (
        stored("denied", ga4={"last_seen": "2026-10-01T00:00:00.000000Z"}),
        ("ga4.last_seen", "denied"),
    ),
    "an id of one who denied": (
        stored("denied", identifiers={"client_id": ["a.1"]}),
        ("identifiers.client_id", "denied"),
    ),
    "a click of one of whom nothing is stated": (
        stored(ads=None) | {"ads": {"last_gclid": "g"}},
        ("ads.last_gclid", "unstated"),
    ),
    "a campaign under a state that is none": (
        stored(ads="maybe") | {"ads": {"last_campaign": "sale"}},
        ("ads.last_campaign", "unstated"),
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_field_that_is_held_against_consent_is_found(documents, what):
    body, expected = FORBIDDEN[what]
    documents.commit([Put(PROFILES, "p_bad", body), Put(PROFILES, "p_good", stored())])
    assert violations(documents) == {expected: (1, ["p_bad"])}
    documents.commit([Delete(PROFILES, "p_bad")])
    assert violations(documents) == {}


def test_permitted_fields_and_tombstones_are_no_violation(documents):
    documents.commit([
        Put(PROFILES, "p_1", stored(contact={"email": "a@example.com"})),
        Put(PROFILES, "p_2", {"sync": {"state": "merged", "merged_into": "p_1"}}),
        Put(PROFILES, "p_3", {"sync": {"state": "deleted"}}),
        Put(PROFILES, "p_4", {"crm": {"tier": "gold"}}),
    ])  # fmt: skip
    assert violations(documents) == {}


def test_all_are_counted_and_some_are_named(documents):
    body = stored(marketing="denied", contact={"email": "a@example.com"})
    documents.commit([Put(PROFILES, f"p_{n}", body) for n in range(5)])
    ((count, named),) = violations(documents, most=2).values()
    assert (count, len(named)) == (5, 2)


def test_silence_is_no_violation_where_the_policy_permits_it(documents):
    body = stored("unknown", ga4={"last_seen": "2026-10-01T00:00:00.000000Z"})
    bare = stored(None, ga4={"last_seen": "2026-10-01T00:00:00.000000Z"})
    documents.commit([Put(PROFILES, "p_1", body), Put(PROFILES, "p_2", bare)])
    assert violations(documents, Policy.load(NO_CONSENT_MODE)) == {}
    assert violations(documents) == {
        ("ga4.last_seen", "unknown"): (1, ["p_1"]),
        ("ga4.last_seen", "unstated"): (1, ["p_2"]),
    }


def test_a_field_with_a_purpose_of_its_own_is_checked_under_it(documents):
    fields = {**POLICY.fields, "ga4.revenue": "ads", "identifiers.email": "analytics"}
    policy = POLICY.model_copy(update={"fields": fields})
    shop = stored(ads="denied", ga4={"revenue": 0.0})
    mail = stored("denied", identifiers={"email": ["a@example.com"]})
    documents.commit([Put(PROFILES, "p_shop", shop), Put(PROFILES, "p_mail", mail)])
    assert violations(documents, policy) == {
        ("ga4.revenue", "denied"): (1, ["p_shop"]),
        ("identifiers.email", "denied"): (1, ["p_mail"]),
    }
