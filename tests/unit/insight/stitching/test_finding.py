"""Identifiers are found as people type them."""

import pytest

from cdp.domain.access import Ground
from cdp.insight import stitching
from cdp.insight.stitching import State
from cdp.insight.stitching.parts import ground_of
from tests.unit.insight.stitching.support import MARKUP, one, permits


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (" ada ", ("user_id", "ada", State.IN_PROFILE)),
        ("a.1", ("client_id", "a.1", State.IN_PROFILE)),
        ("default/1/a.1", ("client_id", "a.1", State.IN_PROFILE)),
        ("STAR@example.com", ("email", "star@example.com", State.IN_PROFILE)),
        ("0049 (30) 1234567", ("phone", "+49301234567", State.IN_PROFILE)),
        ("shared.1", ("client_id", "shared.1", State.IN_PROFILE)),
        ("sam", ("user_id", "sam", State.UNKNOWN)),
        ("Denied@Example.com", ("email", "denied@example.com", State.KEPT_OUT)),
        ("kim", ("user_id", "kim", State.KEPT_OUT)),
        ("k/1=.1", ("client_id", "k/1=.1", State.IN_PROFILE)),
        ("quin", ("user_id", "quin", State.KEPT_OUT)),
        ("zoe", ("user_id", "zoe", State.IN_PROFILE)),
        ("none@none.com", ("email", "none@none.com", State.KEPT_OUT)),
        (MARKUP, ("client_id", MARKUP, State.IN_PROFILE)),
        ("Guest", ("user_id", "Guest", State.BLOCKED)),
        ("nobody", ("user_id", "nobody", State.UNKNOWN)),
        ("Nobody@Example.com", ("email", "nobody@example.com", State.UNKNOWN)),
        ("+49 40 7654321", ("phone", "+49407654321", State.UNKNOWN)),
        ("1568237330.1767390837", ("client_id", "1568237330.1767390837", State.UNKNOWN)),
        ("1=.1", ("user_id", "1=.1", State.UNKNOWN)),
        ("p_000000000000000000000000", ("user_id", "p_000000000000000000000000", State.UNKNOWN)),
    ],
)
def test_an_identifier_is_found_as_people_type_it(small, rules, typed, expected):
    found = one(small, rules, typed)
    assert (found.type, found.value, found.state) == expected
    state = found.state
    assert (found.profile_id is not None) == (state is State.IN_PROFILE)
    known = state not in {State.UNKNOWN, State.BLOCKED}
    assert (found.first_seen is not None) == (found.last_seen is not None) == known


def test_every_client_that_only_links_kept_out_know_is_found_by_its_bare_id(warehouse, platform):
    query = """
        select l.{0}_value as v from link as l left join client as c on c.client_key = l.{0}_value
        where l.{0}_type = 'client_id' and c.client_key is null
    """
    keys = [key for side in ("a", "b") for key in warehouse.query(query.format(side), {})["v"]]
    assert keys
    for key in keys[:6]:
        found = one(warehouse, platform.policy, key.split("/")[2])
        assert (found.type, found.state) == ("client_id", State.KEPT_OUT)
        assert found == one(warehouse, platform.policy, key)


def test_what_was_never_met_is_told_apart_and_alike_each_time(small, rules):
    first, second = one(small, rules, "nobody"), one(small, rules, "somebody")
    assert first == one(small, rules, "nobody")
    assert first.identifier_id != second.identifier_id
    assert int(first.identifier_id) < 0 < int(one(small, rules, "ada").identifier_id)


def test_nothing_typed_finds_nothing(small, rules):
    assert stitching.lookup(small, rules, "  ") == []


def test_an_identifier_tells_its_hub_and_the_reasons_of_its_links(small, rules):
    assert one(small, rules, "shared.1").hub == stitching.Hub("user_id", joined=2, most=1)
    assert one(small, rules, "ada").hub is None
    assert one(small, rules, "denied@example.com").kept_out == ("consent denied",)
    assert one(small, rules, "n.1").kept_out == ("blocked value",)
    assert one(small, rules, "ada").kept_out == ()


def test_an_identifier_tells_that_it_denies_to_be_joined(small, rules):
    closed = {who: one(small, rules, who).closed for who in ("z.1", "k/1=.1", "zoe", "kim", "ada")}
    assert closed == {"z.1": True, "k/1=.1": True, "zoe": False, "kim": False, "ada": False}


def test_a_profile_is_found_by_its_id_and_by_one_that_ended_in_it(small, rules):
    mia = one(small, rules, "mia").profile_id
    found = stitching.lookup(small, rules, mia)
    assert {(f.type, f.value) for f in found} == {
        ("user_id", "mia"),
        ("client_id", "m1.1"),
        ("client_id", "m2.1"),
    }
    (merge,) = [row for row in stitching.changes(small) if row["to_id"] == mia]
    assert merge["from_id"] != mia
    assert stitching.lookup(small, rules, merge["from_id"]) == found


def test_a_profile_that_lives_again_is_itself(small, rules):
    ray = one(small, rules, "ray").profile_id
    (merge,) = [row for row in stitching.changes(small) if row["to_id"] == ray]
    assert [f.value for f in stitching.lookup(small, rules, merge["from_id"])] == ["r3.1"]
    assert one(small, rules, "r2.1").profile_id == ray


def test_one_text_may_be_several_identifiers(small, rules):
    found = stitching.lookup(small, rules, "same")
    assert {(f.type, f.value, f.stream) for f in found} == {
        ("user_id", "same", None),
        ("client_id", "same", "1"),
        ("client_id", "same", "2"),
    }


def test_what_is_found_tells_what_its_profile_permits(small, rules):
    known = permits(small)
    for typed in ("ada", "shared.1", "Star@Example.com"):
        found = one(small, rules, typed)
        assert found.ground == ground_of(known[found.identifier_id])
        assert found.ground.granted
    for typed in ("kim", "stranger"):
        assert one(small, rules, typed).ground == Ground(None)
