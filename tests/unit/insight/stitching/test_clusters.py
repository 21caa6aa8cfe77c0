"""A profile's graph, and what speaks for each edge."""

from datetime import UTC, datetime

import pytest

from cdp.domain.access import Ground
from cdp.insight import stitching
from cdp.insight.ask import ask
from cdp.insight.stitching import clusters
from cdp.insight.stitching.parts import ground_of
from tests.unit.insight.stitching.support import LEAVES, MARKUP, fill, one, permits


def test_a_cluster_has_its_identifiers_and_what_speaks_for_each_edge(small, rules):
    ada = one(small, rules, "ada")
    found = stitching.cluster(small, ada.profile_id)
    nodes = {(node.type, node.value): node for node in found.nodes}
    assert nodes.keys() == {("user_id", "ada"), ("client_id", "a.1"), ("phone", "+49301234567")}
    assert nodes["client_id", "a.1"].stream == "1"
    assert nodes["user_id", "ada"].stream is None
    assert nodes["client_id", "a.1"].last_seen == datetime(2026, 10, 4, 12, tzinfo=UTC)
    assert (found.node_count, found.edge_count) == (3, 2)
    by_source = {edge.evidence[0].source: edge for edge in found.edges}
    ends = {by_source["ga4"].a, by_source["ga4"].b}
    assert ends == {ada.identifier_id, nodes["client_id", "a.1"].identifier_id}
    (seen,) = by_source["crm"].evidence
    assert (seen.consent, seen.seen) == ("granted", 1)
    assert seen.first_seen == seen.last_seen == datetime(2026, 10, 1, 10, tzinfo=UTC)


def test_an_edge_tells_every_source_but_not_what_is_kept_out(small, rules):
    star = stitching.cluster(small, one(small, rules, "star").profile_id, most=400)
    email = next(node.identifier_id for node in star.nodes if node.type == "email")
    (edge,) = [edge for edge in star.edges if email in {edge.a, edge.b}]
    assert [(seen.source, seen.consent) for seen in edge.evidence] == [("crm", "granted")]
    (kept,) = star.kept_out
    assert (kept.source, kept.reason, star.kept_out_count) == ("shop", "consent denied", 1)
    assert kept.seen == 2, "of one source and instant the denial stands"


def test_links_kept_out_are_told_from_the_clusters_own_end(small, rules):
    ada = stitching.cluster(small, one(small, rules, "ada").profile_id)
    (kept,) = ada.kept_out
    assert (kept.a.value, kept.b.value, kept.reason) == ("ada", "shared.1", "hub")
    assert kept.b.hub == stitching.Hub("user_id", joined=2, most=1)
    assert kept.a.hub is None
    assert "client id joins 2 user ids, at most 1 is allowed" in kept.why
    shared = stitching.cluster(small, one(small, rules, "shared.1").profile_id)
    assert [node.value for node in shared.nodes] == ["shared.1"]
    assert [kept.a.value for kept in shared.kept_out] == ["shared.1"] * 2
    assert {kept.b.value for kept in shared.kept_out} == {"ada", "bob"}
    assert shared.kept_out_count == 2


@pytest.mark.parametrize("most", [2, 17, LEAVES + 1])
def test_a_big_cluster_is_cut_to_a_part_that_hangs_together(small, rules, most):
    star = one(small, rules, "star")
    found = stitching.cluster(small, star.profile_id, most=most)
    assert len(found.nodes) == most
    assert (found.node_count, found.edge_count) == (LEAVES + 2, LEAVES + 1)
    assert star.identifier_id in {node.identifier_id for node in found.nodes}
    assert len(found.edges) == most - 1
    assert all(star.identifier_id in {edge.a, edge.b} for edge in found.edges)


def test_of_a_star_the_leaves_seen_last_are_kept(small, rules):
    found = stitching.cluster(small, one(small, rules, "star").profile_id, most=4)
    values = {node.value for node in found.nodes}
    assert values == {"star", *(f"leaf{n}.1" for n in range(LEAVES - 3, LEAVES))}


def test_the_best_connected_neighbour_comes_first():
    times = {pair: datetime(2026, 1, day, tzinfo=UTC) for day, pair in enumerate(PAIRS, start=1)}
    graph = [{"a": a, "b": b, "last_seen": times[a, b]} for a, b in PAIRS]
    # 1 has four edges; of its neighbours 2 has three, and 5 was seen last.
    assert clusters._best_connected(graph, 3) == [1, 2, 5]
    whole = clusters._best_connected(graph, 99)
    assert sorted(whole) == [1, 2, 3, 4, 5, 6, 7]


PAIRS = [("2", "6"), ("2", "7"), ("1", "2"), ("1", "3"), ("1", "4"), ("1", "5")]


def test_of_a_graph_too_large_the_edges_at_the_best_connected_are_read(bare):
    pairs = [(1, 2), (3, 4), (4, 5), (4, 6), (2, 3), (6, 7)]
    fill(bare, "edge", [{"a_id": a, "b_id": b, "last_seen": 0} for a, b in pairs])
    fill(bare, "identity", [
        {"identifier_id": n, "profile_id": "p", "present": n < 8} for n in range(1, 9)
    ])  # fmt: skip
    found = ask(bare, "stitching_graph", profile_id="p", most=3)
    assert {(row["a"], row["b"]) for row in found} == {("3", "4"), ("4", "5"), ("4", "6")}
    assert {row["edges"] for row in found} == {6}


def test_no_cluster_is_known_of_a_profile_that_is_none(small):
    found = stitching.cluster(small, "p_none")
    assert (found.nodes, found.edges, found.kept_out, found.node_count) == ((), (), (), 0)


def test_values_that_look_like_markup_come_back_as_they_are(small, rules):
    found = stitching.cluster(small, one(small, rules, MARKUP).profile_id)
    assert {node.value for node in found.nodes} == {MARKUP, f"{MARKUP}user"}
    assert len(found.edges) == 1


def test_nodes_and_links_kept_out_tell_what_their_profiles_permit(warehouse, platform):
    known = permits(warehouse)
    analytics = frozenset({"analytics"})
    some = warehouse.query(
        "select distinct n.profile_id from identity as n join permit as p "
        "on p.profile_id = n.profile_id where n.present and p.granted = '|analytics|' "
        "order by n.profile_id limit 20",
        {},
    )["profile_id"]
    assert len(some) > 3
    for profile_id in some:
        found = stitching.cluster(warehouse, profile_id)
        assert {node.ground for node in found.nodes} == {Ground(analytics)}
        for kept in found.kept_out:
            link = (kept.source, kept.consent)
            assert kept.a.ground == Ground(analytics, link)
            assert kept.b.ground == ground_of(known.get(kept.b.identifier_id), link)
