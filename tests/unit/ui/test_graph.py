"""Where a cluster's identifiers stand in its picture."""

import math

import pytest

from cdp.ui.graph import _beside, _layout


def star(size: int) -> tuple[list[str], list[tuple[str, str]]]:
    nodes = [f"n{number}" for number in range(size)]
    return nodes, [(nodes[0], node) for node in nodes[1:]]


@pytest.mark.parametrize("size", [1, 2, 3, 40, 41, 200])
def test_everybody_has_a_place_within_the_picture_and_always_the_same(size: int) -> None:
    nodes, edges = star(size)
    spots = _layout(nodes, edges, [])
    assert spots.keys() == set(nodes)
    assert all(math.isfinite(c) and abs(c) <= 1 + 1e-9 for spot in spots.values() for c in spot)
    assert len({(round(x, 3), round(y, 3)) for x, y in spots.values()}) == size
    _layout.clear()
    assert _layout(nodes, edges, []) == spots


def test_a_link_kept_out_stands_beside_the_cluster_and_moves_no_edge_twice() -> None:
    nodes, edges = star(3)
    spots = _layout(nodes, edges, [("n1", "outside"), edges[0]])
    assert spots.keys() == {*nodes, "outside"}
    assert all(abs(c) <= 1 + 1e-9 for spot in spots.values() for c in spot)


def test_a_cluster_of_nobody_is_empty() -> None:
    assert _layout([], [], []) == {}


def test_labels_stand_away_from_the_middle() -> None:
    assert _beside((0, 1)) == "top center"
    assert _beside((0, -1)) == _beside((0, 0)) == "bottom center"
