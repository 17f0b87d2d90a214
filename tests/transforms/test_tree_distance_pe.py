from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data
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


def cycle(size: int) -> Data:
    node = torch.arange(size)
    return Data(edge_index=torch.stack([node, (node + 1) % size]), num_nodes=size)


def test_the_mean_over_random_trees_has_no_numbering() -> None:
    """On a cycle of n nodes, where no tree keeps the symmetry, it is 2 h (n - h) / n at h hops."""
    size = 6
    node = torch.arange(size)
    hops = (node[:, None] - node).abs()
    hops = torch.minimum(hops, size - hops).float()
    found = T.TreeDistancePE(tree="random", num_trees=3000)(cycle(size)).tree_distance.view(size, size)
    torch.testing.assert_close(found, 2 * hops * (size - hops) / size, atol=0.1, rtol=0)
    one = T.TreeDistancePE()(cycle(size)).tree_distance.view(size, size)
    assert not torch.equal(one, one.roll((1, 1), (0, 1)))  # of one tree it is not


def test_a_tree_is_every_mean() -> None:
    path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
    mean = T.TreeDistancePE(tree="random", num_trees=3)(path).tree_distance
    assert torch.equal(mean, T.TreeDistancePE()(path).tree_distance)
    with pytest.raises(GraphPEValueError, match="max_distance counts hops, which a mean over num_trees is not"):
        T.TreeDistancePE(3, tree="random", num_trees=2)
