from __future__ import annotations

import networkx as nx
import pytest

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.long_range.tree_neighbours_match import TreeNeighboursMatch
from graphpe.errors import GraphPEError


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_the_root_asks_for_the_leaf_with_its_number(depth: int) -> None:
    task = build_task(repr(TreeNeighboursMatch(depth, train=30, valid=4, test=6, seed=2)))
    data = task.load()
    assert [len(ids) for ids in data.split.values()] == [30, 4, 6]
    asked = set()
    for b in range(40):
        own = data.graphs.select(slice(b, b + 1))
        tree = nx.DiGraph(own.edge_index.t().tolist())
        assert nx.is_arborescence(tree.reverse())
        (root,) = (node for node in tree if tree.out_degree(node) == 0)
        leaves = [node for node in tree if tree.in_degree(node) == 0]
        assert len(leaves) == 2**depth
        assert all(nx.shortest_path_length(tree, leaf, root) == depth for leaf in leaves)
        x, y = own.node["x"], own.node["y"].flatten()
        for column in (0, 1):
            assert sorted(x[leaves, column].tolist()) == list(range(1, 2**depth + 1))
        (fits,) = (leaf for leaf in leaves if x[leaf, 1] == x[root, 1])
        assert y[root] == x[fits, 0] - 1
        assert (y >= 0).nonzero().flatten().tolist() == [root]
        asked.add(leaves.index(fits))
    assert len(asked) > 1
    assert task.adapter(data.adapter.state()) == data.adapter


def test_what_cannot_be_is_one_line() -> None:
    with pytest.raises(GraphPEError, match="depth"):
        build_task("tree-neighbours-match(depth=9)")
