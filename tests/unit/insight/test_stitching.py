"""How identifiers were joined, and what was kept out: on rows made for each claim."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from importlib import resources
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.errors import CdpError
from cdp.domain.policy import Policy
from cdp.insight import stitching
from cdp.insight.ask import ask
from cdp.insight.stitching import State
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.port import Warehouse
from tests.e2e.support import Cdp, event

MARKUP = """<b onclick="go('x')">&amp;"""
LEAVES = 300


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy that ships, but a person may have 500 devices."""
    text = resources.files("cdp.domain").joinpath("policy.toml").read_text("utf-8")
    assert '"user_id.client_id" = 50\n' in text
    file = tmp_path_factory.mktemp("policy") / "policy.toml"
    file.write_text(text.replace('"user_id.client_id" = 50\n', '"user_id.client_id" = 500\n'))
    return file


def link(
    a: tuple[str, str], b: tuple[str, str], consent: str = "granted", source: str = "crm"
) -> dict[str, str]:
    return {
        "a_type": a[0],
        "a_value": a[1],
        "b_type": b[0],
        "b_value": b[1],
        "at": "2026-10-01T10:00:00Z",
        "source": source,
        "consent": consent,
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Cdp:
    """Three runs: the second merges and splits, the third changes nothing."""
    folder = tmp_path_factory.mktemp("stitching")
    cdp = Cdp(folder / "home", {"CDP_POLICY": str(policy)})

    def load(what: str, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        file = folder / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        cdp.run("load", what, file)

    first = [
        event("20261001", "shared.1", user="ada", at=1),
        event("20261001", "shared.1", user="bob", at=2),
        event("20261001", "a.1", user="ada", at=3),
        event("20261001", "b.1", user="bob", at=4),
        *(event("20261001", client, at=5) for client in ("d.1", "n.1", "n.2", "m1.1", "s1.1")),
        *(event("20261001", client, at=6) for client in ("m2.1", "s2.1")),
        event("20261001", "k/1=.1", user="kim", at=7, analytics=None),
        event("20261001", MARKUP, user=f"{MARKUP}user", at=8),
        event("20261001", "same", at=1),
        event("20261001", "same", stream_id="2", at=2),
        event("20261001", "other.1", user="same", at=3),
        event("20261001", "r1.1", at=1),
        *(event("20261001", f"leaf{n}.1", user="star", at=n) for n in range(LEAVES)),
    ]
    load("ga4", "events_20261001.ndjson", first)
    logins = [event("20261002", client, user="sam") for client in ("s1.1", "s2.1")]
    logins += [event("20261002", client, user="rex") for client in ("r2.1", "r3.1")]
    load("ga4", "events_20261002.ndjson", logins)
    links = [
        link(("client_id", "d.1"), ("email", "denied@example.com"), "denied"),
        link(("client_id", "n.1"), ("email", "none@none.com")),
        link(("client_id", "n.2"), ("email", "none@none.com")),
        link(("user_id", "star"), ("email", "Star@Example.com")),
        link(("user_id", "star"), ("email", "star@example.com"), source="shop"),
        link(("user_id", "star"), ("email", "star@example.com"), "denied", source="shop"),
        link(("user_id", "ada"), ("phone", "+49 30 1234567")),
    ]
    load("links", "links.ndjson", links)
    cdp.refresh()
    logins = [event("20261003", client, user="mia") for client in ("m1.1", "m2.1")]
    logins += [event("20261003", client, user="ray") for client in ("r1.1", "r2.1")]
    load("ga4", "events_20261003.ndjson", logins)
    restated = [event("20261002", client) for client in ("s1.1", "s2.1", "r2.1")]
    load("ga4", "events_20261002.ndjson", restated)
    cdp.refresh()
    # r3.1 was gone while its profile ended in ray's, and is back.
    load("ga4", "events_20261004.ndjson", [event("20261004", client) for client in ("a.1", "r3.1")])
    cdp.refresh()
    return cdp


@pytest.fixture(scope="module")
def small(made: Cdp) -> Iterator[Warehouse]:
    """What the third run published."""
    with closing(made.platform.published()) as published:
        yield published


@pytest.fixture(scope="module")
def rules(policy: Path) -> Policy:
    return Policy.load(policy)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse with no table but those that its test makes."""
    with closing(DuckWarehouse(tmp_path, memory_limit="1GB", threads=1)) as warehouse:
        yield warehouse


def fill(warehouse: Warehouse, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Make *table* of *rows*, whose values are numbers and texts."""
    selects = [", ".join(f"{value!r} as {name}" for name, value in row.items()) for row in rows]
    warehouse.run(
        f"create or replace table {table} as select {' union all select '.join(selects)}", {}
    )


def one(warehouse: Warehouse, rules: Policy, value: str) -> stitching.Identifier:
    (found,) = stitching.lookup(warehouse, rules, value)
    return found


def joined(warehouse: Warehouse, rules: Policy, a: str, b: str) -> stitching.Joined:
    first, second = one(warehouse, rules, a), one(warehouse, rules, b)
    return stitching.between(warehouse, first.identifier_id, second.identifier_id)


def codes(result: stitching.Joined) -> list[str]:
    return [reason.code for reason in result.reasons]


# --- the report -----------------------------------------------------------------------------------


def test_the_report_counts_by_type_source_reason_and_size(small, rules):
    found = stitching.report(small, rules)
    assert found["identifiers"]["by_type"] == {
        # Without kim's device and denied's address: no link of theirs is permitted.
        "client_id": LEAVES + 17,
        "user_id": 7,
        "email": 1,
        "phone": 1,
    }
    assert found["edges"] == {
        "total": LEAVES + 10,
        "by_source": [
            {"source": "ga4", "edges": LEAVES + 8, "seen": LEAVES + 8},
            {"source": "crm", "edges": 2, "seen": 2},
            {"source": "shop", "edges": 1, "seen": 1},
        ],
    }
    reasons = {row["reason"]: (row["links"], row["seen"]) for row in found["kept_out"]["by_reason"]}
    assert reasons == {
        "blocked value": (2, 2),
        "consent denied": (2, 2),
        "consent unknown": (1, 1),
        "hub": (2, 2),
    }
    assert (found["kept_out"]["links"], found["kept_out"]["seen"]) == (7, 7)
    sizes = {
        row["size"]: row["clusters"] for row in found["clusters"]["by_size"] if row["clusters"]
    }
    # ada with a phone, mia, ray; bob, markup, same; shared, d, n and n, s and s, r, same and same
    assert sizes == {"1": 9, "2": 3, "3": 3, "101+": 1}
    assert found["clusters"]["total"] == 16
    assert found["clusters"]["max_size"] == LEAVES + 2
    assert len(found["clusters"]["by_size"]) == 10


def test_the_report_tells_the_largest_clusters(small, rules):
    largest = stitching.report(small, rules)["clusters"]["largest"]
    assert largest[0] == {
        "profile_id": one(small, rules, "star").profile_id,
        "size": LEAVES + 2,
        "user_id": 1,
        "email": 1,
        "phone": 0,
        "client_id": LEAVES,
        "edges": LEAVES + 1,
        "first_seen": "2026-10-01T10:00:00.000000Z",
        "last_seen": "2026-10-01T12:04:59.000000Z",
    }
    assert [row["size"] for row in largest] == [LEAVES + 2, 3, 3, 3, 2, 2, 2, *[1] * 9]
    assert [row["edges"] for row in largest] == [LEAVES + 1, 2, 2, 2, 1, 1, 1, *[0] * 9]


def test_the_report_names_a_hub_by_its_id_alone(small, rules):
    found = stitching.report(small, rules)["hubs"]
    shared = one(small, rules, "shared.1").identifier_id
    assert found == {
        "total": 1,
        "by_limit": [{"limit": "client_id.user_id", "most": 1, "hubs": 1}],
        "worst": [
            {
                "identifier_id": shared,
                "type": "client_id",
                "joins": "user_id",
                "joined": 2,
                "most": 1,
            }
        ],
    }
    (hub,) = stitching.hubs(small)
    assert hub == found["worst"][0] | {"value": "shared.1", "stream": "1"}


def test_the_report_holds_no_value_of_an_identifier_and_stays_small(warehouse, platform):
    text = json.dumps(stitching.report(warehouse, platform.policy))
    values = warehouse.query(
        "select a_value as v from link union distinct select b_value from link "
        "union distinct select value from identifier",
        {},
    )["v"]
    # Blocked values are nobody's: one of them may be a word of the report.
    personal = [v for v in values if any(c.isdigit() for c in v) and len(v) > 4]
    assert len(personal) > 300
    assert [value for value in personal if value in text] == []
    assert [v for v in personal if "/" in v and v.rpartition("/")[2] in text] == []
    assert len(text) < 200_000


def test_the_reports_figures_are_those_of_the_tables(warehouse, platform):
    found = stitching.report(warehouse, platform.policy)
    query = "select cluster_id, count(*) as size from cluster group by cluster_id"
    sizes = Counter(warehouse.query(query, {})["size"].to_list())
    told = {row["size"]: row["clusters"] for row in found["clusters"]["by_size"]}
    assert [told[str(size)] for size in range(1, 6)] == [sizes[size] for size in range(1, 6)]
    assert told["6-10"] == sum(sizes[size] for size in range(6, 11))
    assert sum(told.values()) == found["clusters"]["total"] == sum(sizes.values())
    assert found["clusters"]["max_size"] == max(sizes)
    assert len(found["clusters"]["largest"]) == 50
    identifiers = found["identifiers"]
    assert sum(identifiers["by_type"].values()) == identifiers["total"]
    edges = warehouse.query("select count(*) as n, sum(seen) as seen from edge", {}).row(0)
    assert found["edges"]["total"] == edges[0]
    assert sum(row["seen"] for row in found["edges"]["by_source"]) == edges[1]
    links = warehouse.query("select count(*) as n from link", {}).item()
    in_edges = warehouse.query(
        "select count(*) as n from link as l join edge as e on e.a_id = l.a_id and e.b_id = l.b_id"
        " where l.kept_out is null",
        {},
    ).item()
    assert found["kept_out"]["links"] == links - in_edges
    assert sum(row["links"] for row in found["kept_out"]["by_reason"]) == links - in_edges


def test_sizes_are_counted_by_their_ranges(bare):
    sizes = [1, 2, 2, 3, 4, 5, 6, 10, 11, 20, 21, 50, 51, 100, 101, 150]
    fill(
        bare,
        "cluster",
        [
            {"identifier_id": n, "cluster_id": number}
            for number, size in enumerate(sizes)
            for n in range(size)
        ],
    )
    found = {row["from_size"]: row for row in ask(bare, "stitching_sizes")}
    assert {size: row["clusters"] for size, row in found.items()} == {
        **dict.fromkeys((1, 3, 4, 5), 1),
        **dict.fromkeys((2, 6, 11, 21, 51, 101), 2),
    }
    assert found.keys() == stitching._RANGES.keys()
    assert [row["largest"] for row in found.values()] == [1, 2, 3, 4, 5, 10, 20, 50, 100, 150]


def test_a_hub_has_its_value_on_whichever_side_of_its_links_it_is(bare):
    fill(bare, "hub", [
        {"identifier_id": n, "type": "email", "joins": "user_id", "joined": n, "most": 1}
        for n in (2, 3)
    ])  # fmt: skip
    fill(bare, "link", [
        {"a_id": 1, "a_value": "u1", "b_id": 3, "b_value": "b@example.com"},
        {"a_id": 2, "a_value": "a@example.com", "b_id": 4, "b_value": "u4"},
    ])  # fmt: skip
    found = [(hub["identifier_id"], hub["value"], hub["joined"]) for hub in stitching.hubs(bare)]
    assert found == [("3", "b@example.com", 3), ("2", "a@example.com", 2)]
    assert len(stitching.hubs(bare, 1)) == 1


def test_a_report_of_nothing_is_one_of_zeros(tmp_path):
    cdp = Cdp(tmp_path / "home", {})
    denied = event("20261001", None, analytics="No", session=None)
    file = tmp_path / "events_20261001.ndjson"
    file.write_text(json.dumps(denied) + "\n")
    cdp.run("load", "ga4", file)
    cdp.refresh()
    with closing(cdp.platform.published()) as warehouse:
        found = stitching.report(warehouse, cdp.platform.policy)
        assert found["clusters"]["total"] == found["clusters"]["max_size"] == 0
        assert found["kept_out"] == {"links": 0, "seen": 0, "by_reason": []}
        assert found["changes"] == {"runs": [], "latest": []}
        assert stitching.kept_out(warehouse) == stitching.Page((), None)
        assert stitching.changes(warehouse) == stitching.hubs(warehouse) == []


# --- merges and splits ----------------------------------------------------------------------------


def test_changes_are_of_the_newest_run_that_had_some(small, rules):
    found = stitching.changes(small)
    mia, ray, sam = (one(small, rules, who).profile_id for who in ("mia", "ray", "sam"))
    parted = {one(small, rules, f"s{n}.1").profile_id for n in (1, 2)}
    assert [row["kind"] for row in found] == ["merge", "merge", "split"]
    assert {row["to_id"] for row in found[:2]} == {mia, ray}
    assert {found[2]["from_id"], found[2]["to_id"]} == parted
    assert sam in parted
    assert found[0]["happened_at"].tzinfo is UTC
    assert {row["seq"] for row in found} == {2}
    told = stitching.report(small, rules)["changes"]
    (run,) = told["runs"]
    assert (run["seq"], run["merges"], run["splits"]) == (2, 2, 1)
    assert run["run_id"] == found[0]["run_id"]
    assert [row["to_id"] for row in told["latest"]] == [row["to_id"] for row in found]
    assert told["latest"][0]["happened_at"] == run["happened_at"]


def test_changes_of_a_run_that_had_none_are_none(small):
    assert stitching.changes(small, seq=3) == []
    assert stitching.changes(small, seq=2) == stitching.changes(small)
    assert len(stitching.changes(small, limit=1)) == 1


# --- clusters -------------------------------------------------------------------------------------


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
    assert [(seen.source, seen.consent) for seen in edge.evidence] == [
        ("crm", "granted"),
        ("shop", "granted"),
    ]
    (kept,) = star.kept_out
    assert (kept.source, kept.reason, star.kept_out_count) == ("shop", "consent denied", 1)


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
    assert stitching._best_connected(graph, 3) == [1, 2, 5]
    whole = stitching._best_connected(graph, 99)
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


# --- what is kept out -----------------------------------------------------------------------------


def test_links_kept_out_have_reasons_in_words(small):
    found = stitching.kept_out(small, limit=50)
    assert found.after is None
    told = {(kept.reason, kept.source, kept.consent) for kept in found.links}
    assert told == {
        ("blocked value", "crm", "granted"),
        ("consent denied", "crm", "denied"),
        ("consent denied", "shop", "denied"),
        ("consent unknown", "ga4", "unknown"),
        ("hub", "ga4", "granted"),
    }
    assert len(found.links) == 7
    assert len({kept.why for kept in found.links}) == 4
    assert all(kept.why.endswith(".") and "Kept out:" not in kept.why for kept in found.links)
    (unknown,) = [kept for kept in found.links if kept.reason == "consent unknown"]
    ends = {(end.type, end.value, end.stream) for end in (unknown.a, unknown.b)}
    assert ends == {("client_id", "k/1=.1", "1"), ("user_id", "kim", None)}


def test_links_kept_out_for_one_reason(small):
    found = stitching.kept_out(small, "blocked value").links
    assert all("none@none.com" in {kept.a.value, kept.b.value} for kept in found)
    assert [kept.reason for kept in found] == ["blocked value"] * 2
    assert stitching.kept_out(small, "no such reason").links == ()


@pytest.mark.parametrize("reason", [None, "consent denied", "hub"])
def test_pages_hold_every_link_kept_out_once(warehouse, platform, reason):
    report = stitching.report(warehouse, platform.policy)["kept_out"]
    counts = {row["reason"]: row["links"] for row in report["by_reason"]}
    expected = counts[reason] if reason else report["links"]
    found: list[stitching.KeptOut] = []
    page = stitching.kept_out(warehouse, reason, limit=7)
    while True:
        found.extend(page.links)
        if page.after is None:
            break
        assert len(page.links) == 7
        page = stitching.kept_out(warehouse, reason, after=page.after, limit=7)
    keys = {(k.a.identifier_id, k.b.identifier_id, k.source, k.consent, k.reason) for k in found}
    assert len(found) == len(keys) == expected > 7
    assert all(former.last_seen >= latter.last_seen for former, latter in pairwise(found))


def test_rows_of_one_instant_are_parted_by_their_place(small):
    links = stitching.kept_out(small, limit=50).links
    assert len({kept.last_seen for kept in links}) < len(links)
    after = None
    for kept in links:
        page = stitching.kept_out(small, after=after, limit=1)
        assert page.links == (kept,)
        after = page.after
    assert after is None


@pytest.mark.parametrize("after", ["", "nonsense", "MQ==", "WzEsMl0=", "e30=", "é"])
def test_a_made_up_place_is_refused(small, after):
    with pytest.raises(CdpError, match="first page"):
        stitching.kept_out(small, after=after)


# --- finding identifiers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (" ada ", ("user_id", "ada", State.IN_PROFILE)),
        ("a.1", ("client_id", "a.1", State.IN_PROFILE)),
        ("default/1/a.1", ("client_id", "a.1", State.IN_PROFILE)),
        ("STAR@example.com", ("email", "star@example.com", State.IN_PROFILE)),
        ("0049 (30) 1234567", ("phone", "+49301234567", State.IN_PROFILE)),
        ("shared.1", ("client_id", "shared.1", State.IN_PROFILE)),
        ("sam", ("user_id", "sam", State.GONE)),
        ("Denied@Example.com", ("email", "denied@example.com", State.KEPT_OUT)),
        ("kim", ("user_id", "kim", State.KEPT_OUT)),
        ("k/1=.1", ("client_id", "k/1=.1", State.KEPT_OUT)),
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
    assert (found.profile_id is not None) == (state in {State.IN_PROFILE, State.GONE})
    known = state not in {State.UNKNOWN, State.BLOCKED, State.GONE}
    assert (found.first_seen is not None) == (found.last_seen is not None) == known


def test_every_client_that_only_links_kept_out_know_is_found_by_its_bare_id(warehouse, platform):
    query = """
        select l.{0}_value as v from link as l left join client as c on c.client_key = l.{0}_value
        where l.{0}_type = 'client_id' and c.client_key is null
    """
    for side in ("a", "b"):
        keys = warehouse.query(query.format(side), {})["v"].to_list()
        assert keys
        for key in keys[:3]:
            found = one(warehouse, platform.policy, key.split("/")[2])
            assert (found.type, found.state) == ("client_id", State.KEPT_OUT)
            assert found == one(warehouse, platform.policy, key)


def test_nothing_typed_finds_nothing(small, rules):
    assert stitching.lookup(small, rules, "  ") == []


def test_an_identifier_tells_its_hub_and_the_reasons_of_its_links(small, rules):
    assert one(small, rules, "shared.1").hub == stitching.Hub("user_id", joined=2, most=1)
    assert one(small, rules, "ada").hub is None
    assert one(small, rules, "denied@example.com").kept_out == ("consent denied",)
    assert one(small, rules, "n.1").kept_out == ("blocked value",)
    assert one(small, rules, "ada").kept_out == ()


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


# --- why two are one, or not ----------------------------------------------------------------------


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
    assert stitching._shortest(graph, "1", "6") == ["1", "5", "4", "6"]


def test_a_graph_that_is_too_large_to_search_says_so(small, rules, monkeypatch):
    monkeypatch.setattr(stitching, "SEARCHED", LEAVES)
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
    gone = joined(small, rules, "sam", "s1.1")
    assert codes(gone) == ["gone", "nothing"]
    ada = one(small, rules, "ada").identifier_id
    unknown = stitching.between(small, ada, "12345")
    assert codes(unknown) == ["unknown", "nothing"]
    assert unknown.second.state is State.UNKNOWN


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


@pytest.mark.parametrize("wrong", ["", "ada", "-1", "1e3", "9" * 19, "9" * 20])
def test_what_is_no_id_is_refused(small, wrong):
    with pytest.raises(CdpError, match="look the identifier up"):
        stitching.between(small, "1", wrong)


def test_every_explanation_is_made_of_sentences_without_values(small, rules):
    values = ["ada", "a.1", "b.1", "shared.1", "n.1", "n.2", "d.1", "denied@example.com", "sam",
              "star", "m1.1", "m2.1", "kim", "k/1=.1", "none@none.com", "mia"]  # fmt: skip
    ids = [one(small, rules, value).identifier_id for value in values]
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
    assert told == stitching._SENTENCES.keys() - {"too_many_edges", "unknown"}
