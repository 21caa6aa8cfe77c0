"""The report counts what the tables hold; merges and splits are told by run."""

import json
from collections import Counter
from contextlib import closing
from datetime import UTC

from cdp.domain.access import Ground
from cdp.insight import stitching
from cdp.insight.ask import ask
from cdp.insight.stitching import totals
from tests.e2e.support import Cdp, event
from tests.unit.insight.stitching.support import LEAVES, fill, gone, one


def test_the_report_counts_by_type_source_reason_and_size(small, rules):
    found = stitching.report(small, rules)
    assert found["identifiers"]["by_type"] == {
        # Without kim, quin, quin's device and denied's address: no link of theirs is permitted.
        "client_id": LEAVES + 19,
        "user_id": 8,
        "email": 1,
        "phone": 1,
    }
    assert found["edges"] == {
        "total": LEAVES + 10,
        "by_source": [
            {"source": "ga4", "edges": LEAVES + 8, "seen": LEAVES + 8},
            {"source": "crm", "edges": 2, "seen": 2},
        ],
    }
    reasons = {row["reason"]: (row["links"], row["seen"]) for row in found["kept_out"]["by_reason"]}
    assert reasons == {
        "blocked value": (2, 2),
        "consent denied": (2, 3),
        "consent unknown": (2, 2),
        "hub": (2, 2),
        "denies to be joined": (1, 1),
    }
    assert (found["kept_out"]["links"], found["kept_out"]["seen"]) == (9, 10)
    sizes = {
        row["size"]: row["clusters"] for row in found["clusters"]["by_size"] if row["clusters"]
    }
    # ada with a phone, mia, ray; bob, markup, same; shared, d, n and n, s and s, r, same and same,
    # kim's device, zoe and zoe's device
    assert sizes == {"1": 12, "2": 3, "3": 3, "101+": 1}
    assert found["clusters"]["total"] == 19
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
    assert [row["size"] for row in largest] == [LEAVES + 2, 3, 3, 3, 2, 2, 2, *[1] * 12]
    assert [row["edges"] for row in largest] == [LEAVES + 1, 2, 2, 2, 1, 1, 1, *[0] * 12]


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
    ground = Ground(frozenset({"analytics", "ads"}))
    assert hub == found["worst"][0] | {"value": "shared.1", "stream": "1", "ground": ground}


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
    assert found.keys() == totals._RANGES.keys()
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
    fill(bare, "identity", [{"identifier_id": 3, "profile_id": "p_b", "present": True}])
    fill(bare, "identifier_permit", [{"identifier_id": 3, "granted": "|analytics||marketing|"}])
    found = [(hub["identifier_id"], hub["value"], hub["joined"]) for hub in stitching.hubs(bare)]
    assert found == [("3", "b@example.com", 3), ("2", "a@example.com", 2)]
    assert len(stitching.hubs(bare, 1)) == 1
    grounds = [hub["ground"] for hub in stitching.hubs(bare)]
    assert grounds == [Ground(frozenset({"analytics", "marketing"})), Ground(None)]


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
    mia, ray = (one(small, rules, who).profile_id for who in ("mia", "ray"))
    parted = {one(small, rules, f"s{n}.1").profile_id for n in (1, 2)}
    assert [row["kind"] for row in found] == ["merge", "merge", "split"]
    assert {row["to_id"] for row in found[:2]} == {mia, ray}
    assert {found[2]["from_id"], found[2]["to_id"]} == parted
    was_in = {stitching.between(small, number, number).first.profile_id for number in gone(small)}
    assert len(was_in & parted) == 1, "sam's, whose devices were parted"
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
