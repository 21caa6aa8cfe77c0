"""Why two identifiers are one person's, or not."""

import json
from contextlib import closing
from itertools import combinations_with_replacement, pairwise

import pytest

from cdp.domain.errors import CdpError
from cdp.insight import stitching
from cdp.insight.stitching import State, joining
from tests.e2e.support import Cdp, event
from tests.unit.insight.stitching.support import LEAVES, codes, gone, joined, link, one


def test_two_devices_are_joined_by_the_login_on_both(small, rules):
    found = joined(small, rules, "m1.1", "m2.1")
    assert found.joined
    assert [node.value for node in found.nodes] == ["m1.1", "mia", "m2.1"]
    ids = [node.identifier_id for node in found.nodes]
    assert [{e.a, e.b} for e in found.edges] == [set(pair) for pair in pairwise(ids)]
    assert [e.evidence[0].source for e in found.edges] == ["ga4", "ga4"]
    assert codes(found) == ["joined"]
    assert "over 2 edges" in stitching.explain(found)[0]


def test_an_edge_joins_directly(small, rules):
    found = joined(small, rules, "mia", "m2.1")
    assert [node.value for node in found.nodes] == ["mia", "m2.1"]
    assert codes(found) == ["linked"]


def test_an_identifier_is_itself(small, rules):
    found = joined(small, rules, "mia", "mia")
    assert (found.joined, found.edges, codes(found)) == (True, (), ["same"])


def test_the_shortest_of_two_ways_is_told():
    pairs = [("1", "2"), ("2", "3"), ("3", "4"), ("1", "5"), ("5", "4"), ("4", "6")]
    graph = [{"a": a, "b": b} for a, b in pairs]
    assert joining._shortest(graph, "1", "6") == ["1", "5", "4", "6"]


def test_a_graph_that_is_too_large_to_search_says_so(small, rules, monkeypatch):
    monkeypatch.setattr(joining, "SEARCHED", LEAVES)
    found = joined(small, rules, "leaf1.1", "star@example.com")
    assert (found.joined, found.edges) == (True, ())
    assert found.reasons == (
        stitching.Reason("too_many_edges", {"edges": LEAVES + 1, "most": LEAVES}),
    )
    assert "301 edges: more than the 300" in stitching.explain(found)[0]


def test_a_shared_device_joins_neither_of_its_users(small, rules):
    found = joined(small, rules, "ada", "shared.1")
    assert not found.joined
    assert codes(found) == ["hub", "different_profiles", "link_kept_out"]
    assert found.reasons[0].params | {"why": ""} == {
        "which": "second",
        "type": "client_id",
        "joins": "user_id",
        "joined": 2,
        "most": 1,
        "why": "",
    }
    (direct,) = found.direct
    assert (direct.a.value, direct.b.value, direct.reason) == ("ada", "shared.1", "hub")


def test_two_people_of_one_device_learn_what_they_share(small, rules):
    found = joined(small, rules, "a.1", "b.1")
    assert codes(found) == ["different_profiles", "shared"]
    assert found.direct == ()
    (shared,) = found.shared
    assert shared.first.b == shared.second.b
    assert (shared.first.a.value, shared.first.b.value) == ("ada", "shared.1")
    assert shared.second.a.value == "bob"


def test_a_blocked_value_joins_nobody(small, rules):
    found = joined(small, rules, "n.1", "n.2")
    assert codes(found) == ["different_profiles", "shared"]
    assert found.shared[0].first.b.value == "none@none.com"
    assert found.shared[0].second.reason == "blocked value"
    assert "The policy blocks" in stitching.explain(found)[1]


def test_a_link_without_consent_is_the_reason(small, rules):
    found = joined(small, rules, "d.1", "denied@example.com")
    assert codes(found) == ["kept_out_only", "link_kept_out"]
    assert found.reasons[0].params["which"] == "second"
    assert found.reasons[1].params["reason"] == "consent denied"
    turned = joined(small, rules, "denied@example.com", "d.1")
    assert turned.reasons[0].params["which"] == "first"
    assert turned.direct[0].a.value == "denied@example.com"


def test_a_link_of_others_in_the_two_profiles_is_told_apart(small, rules):
    found = joined(small, rules, "a.1", "shared.1")
    assert codes(found) == ["hub", "different_profiles", "profiles_link_kept_out"]
    assert found.direct[0].a.value == "ada"


def test_what_nothing_ever_linked_says_so(small, rules):
    assert codes(joined(small, rules, "star", "ada")) == ["different_profiles", "nothing"]
    ada = one(small, rules, "ada").identifier_id
    for number in gone(small):
        assert codes(stitching.between(small, number, ada)) == ["gone", "nothing"]


@pytest.mark.parametrize("stranger", ["nobody", "Nobody@Example.com", "sam"])
def test_a_stranger_that_was_looked_up_is_joined_with_nobody(small, rules, stranger):
    found = joined(small, rules, "ada", stranger)
    assert codes(found) == ["unknown", "nothing"]
    assert found.second.state is State.UNKNOWN
    assert codes(joined(small, rules, stranger, stranger)) == ["same"]


def test_a_number_that_is_nobodys_is_a_strangers(small, rules):
    found = stitching.between(small, one(small, rules, "ada").identifier_id, "1")
    assert codes(found) == ["unknown", "nothing"]


def test_a_device_that_denies_to_be_joined_is_not(small, rules):
    found = joined(small, rules, "zoe", "z.1")
    assert not found.joined
    assert codes(found) == ["closed", "different_profiles", "link_kept_out"]
    assert found.reasons[0].params == {"which": "second"}
    assert found.reasons[2].params["reason"] == "denies to be joined"
    (direct,) = found.direct
    assert (direct.a.value, direct.b.value, direct.consent) == ("zoe", "z.1", "granted")
    assert "consent to be joined is denied" in stitching.explain(found)[0]


def test_silence_joins_nobody_on_a_device_that_had_said_no(small, rules):
    found = joined(small, rules, "kim", "k/1=.1")
    assert codes(found) == ["kept_out_only", "closed", "link_kept_out"]
    assert found.reasons[2].params["reason"] == "consent unknown"


def test_of_many_shared_identifiers_some_are_told_with_both_sides(tmp_path):
    cdp = Cdp(tmp_path / "home", {})
    junk = ["0" * length for length in range(1, 81)]
    rows = [event("20261001", client, at=at) for at, client in enumerate(("x.1", "y.1"))]
    old = [link(("client_id", "x.1"), ("user_id", value)) for value in junk]
    new = [link(("client_id", "y.1"), ("user_id", v)) | {"at": "2026-10-02"} for v in junk]
    for what, name, content in (
        ("ga4", "events_20261001.ndjson", rows),
        ("links", "links.ndjson", old + new),
    ):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in content))
        cdp.run("load", what, tmp_path / name)
    cdp.refresh()
    with closing(cdp.platform.published()) as warehouse:
        found = joined(warehouse, cdp.platform.policy, "x.1", "y.1")
    assert codes(found) == ["different_profiles", "shared"]
    assert len(found.shared) == 50
    assert {(x.first.a.value, x.second.a.value) for x in found.shared} == {("x.1", "y.1")}


@pytest.mark.parametrize("wrong", ["", "ada", "-", "-1", "1e3", "9" * 19, "-" + "9" * 19, "9" * 20])
def test_what_is_no_id_is_refused(small, wrong):
    with pytest.raises(CdpError, match="look the identifier up"):
        stitching.between(small, "1", wrong)


def test_every_explanation_is_made_of_sentences_without_values(small, rules):
    values = ["ada", "a.1", "b.1", "shared.1", "n.1", "n.2", "d.1", "denied@example.com", "sam",
              "star", "m1.1", "m2.1", "kim", "k/1=.1", "none@none.com", "mia", "z.1"]  # fmt: skip
    ids = [*(one(small, rules, value).identifier_id for value in values), *gone(small)]
    told = set()
    for a, b in combinations_with_replacement(ids, 2):
        found = stitching.between(small, a, b)
        sentences = stitching.explain(found)
        assert sentences
        assert len(set(sentences)) == len(sentences)
        told |= {reason.code for reason in found.reasons}
        for sentence in sentences:
            assert sentence[0].isupper()
            assert sentence.endswith(".")
            assert not {word.strip(".,:") for word in sentence.split()} & set(values)
    assert told == joining._SENTENCES.keys() - {"too_many_edges"}
