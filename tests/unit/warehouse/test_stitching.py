"""Hook, jump, contract: the statements of the stitch, driven as the workflow drives them."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.statements import statements

ID_LIMIT = 2**60 - 1


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckWarehouse]:
    made = DuckWarehouse(tmp_path_factory.mktemp("stitch"), memory_limit="1GB", threads=2)
    yield made
    made.close()


def stitch(
    warehouse: DuckWarehouse, edges: Iterable[tuple[int, int]], folder: Path
) -> dict[int, int]:
    """Return each identifier's label, after as many rounds and jumps as it takes."""
    pairs = list(edges)
    table = pa.table(
        {
            "a_id": pa.array([a for a, _ in pairs], pa.int64()),
            "b_id": pa.array([b for _, b in pairs], pa.int64()),
        }
    )
    file = folder / "edge.parquet"
    pq.write_table(table, file)
    warehouse._db.execute(f"create or replace table edge as from read_parquet('{file}')")
    warehouse._db.execute(
        "create or replace table identifier as select a_id as identifier_id from edge "
        "union select b_id from edge"
    )
    run = statements()
    warehouse.run(run["30_live"], {})
    warehouse.run(run["31_rounds"], {})
    rounds = 0
    while True:
        warehouse.run(run["32_hook"], {})
        rounds += 1
        while warehouse.run(run["33_jump"], {}).affected:
            pass
        if not warehouse.run(run["34_keep"], {"round": rounds}).affected:
            break
        warehouse.run(run["35_contract"], {})
    for back in range(rounds, 0, -1):
        warehouse.run(run["36_label"], {"round": back})
    warehouse.run(run["37_cluster"], {})
    rows = warehouse.query("select identifier_id, cluster_id from cluster", {}).rows()
    labels = dict(rows)
    assert len(labels) == len(rows), "one label an identifier"
    return labels


def union_find(edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return each identifier's label, the smallest of its component; another way."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in edges:
        ra, rb = root(a), root(b)
        parent[max(ra, rb)] = min(ra, rb)
    return {node: root(node) for node in parent}


ids = st.one_of(st.integers(0, 30), st.integers(ID_LIMIT - 20, ID_LIMIT))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(edges=st.lists(st.tuples(ids, ids), min_size=1, max_size=60))
def test_any_graph_has_the_components_that_union_find_finds(
    warehouse: DuckWarehouse, tmp_path: Path, edges: list[tuple[int, int]]
) -> None:
    assert stitch(warehouse, edges, tmp_path) == union_find(edges)


def test_a_chain_of_3000_links_is_one_cluster(warehouse: DuckWarehouse, tmp_path: Path) -> None:
    # Neighbours in the chain are far apart in number, the worst case for small labels.
    order = [(n * 7919) % 3001 for n in range(3001)]
    edges = list(pairwise(order))
    assert set(stitch(warehouse, edges, tmp_path).values()) == {0}


def test_a_star_of_100000_leaves_is_one_cluster(warehouse: DuckWarehouse, tmp_path: Path) -> None:
    hub = 50_000
    edges = [(hub, leaf) for leaf in range(100_001) if leaf != hub]
    labels = stitch(warehouse, edges, tmp_path)
    assert len(labels) == 100_001
    assert set(labels.values()) == {0}


def test_duplicates_and_self_links_change_nothing(warehouse: DuckWarehouse, tmp_path: Path) -> None:
    edges = [(1, 2), (2, 1), (1, 2), (3, 3), (4, 5), (5, 5)]
    assert stitch(warehouse, edges, tmp_path) == {1: 1, 2: 1, 3: 3, 4: 4, 5: 4}


def test_two_chains_that_meet_at_their_ends_are_one(
    warehouse: DuckWarehouse, tmp_path: Path
) -> None:
    left = [(n, n + 1) for n in range(100, 200)]
    right = [(n, n + 1) for n in range(500, 600)]
    assert set(stitch(warehouse, [*left, *right], tmp_path).values()) == {100, 500}
    assert set(stitch(warehouse, [*left, *right, (200, 600)], tmp_path).values()) == {100}
