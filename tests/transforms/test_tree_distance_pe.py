from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.utils import from_networkx

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError


def test_on_a_tree_it_is_the_shortest_path() -> None:
    data = from_networkx(nx.random_labeled_tree(30, seed=3))
    data.num_nodes = 32
    expected = T.ShortestPathPE()(data).shortest_path
    for tree in ("minimum", "shortest", "random"):
        assert torch.equal(T.TreeDistancePE(tree=tree)(data).tree_distance, expected.float())
    cut = T.TreeDistancePE(4)
    assert torch.equal(cut(data).tree_distance, T.ShortestPathPE(4)(data).shortest_path)
    assert cut.vocabulary == 6


@pytest.mark.parametrize("tree", ["minimum", "shortest", "random", "hierarchical"])
@pytest.mark.parametrize("weighted", [True, False])
def test_trees_stretch_distances(tree, weighted, random_graph) -> None:
    for seed in range(20):
        data = random_graph(seed, weighted=True)
        exact = T.ShortestPathPE(weighted=weighted)(data).shortest_path.float()
        along = T.TreeDistancePE(tree=tree, weighted=weighted)(data).tree_distance
        assert ((along < 0) == (exact < 0)).all()
        assert (along >= exact - 1e-5 * exact.abs()).all()
        n = data.num_nodes
        assert torch.equal(along.view(n, n), along.view(n, n).T)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_distance": 0}, GraphPEValueError, "max_distance must be from 1"),
        ({"max_distance": 1.5}, GraphPETypeError, "max_distance must be an integer"),
        ({"max_distance": 3, "weighted": True}, GraphPEValueError, "max_distance counts hops"),
        ({"max_distance": 3, "tree": "hierarchical"}, GraphPEValueError, "max_distance counts hops"),
        ({"tree": "oak"}, GraphPEValueError, "tree must be one of"),
    ],
)
def test_wrong_parameters(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        T.TreeDistancePE(**arguments)
