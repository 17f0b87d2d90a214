from __future__ import annotations

import networkx as nx
import pytest
import torch

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.trees import Exponential, Gaussian, Polynomial
from graphpe.trees.fields import tree_distances
from graphpe.trees.spanning import minimum_spanning_trees
from graphpe.trees.spectrum import FieldOperator, tree_spectra


@pytest.fixture(scope="module")
def graphs() -> PackedGraphs:
    made = [nx.random_labeled_tree(n, seed=n) for n in (1, 2, 7, 8, 30, 120)]
    return PackedGraphs.from_networkx([*made, nx.empty_graph(0), nx.disjoint_union(nx.path_graph(4), nx.star_graph(3))])


@pytest.mark.parametrize("f", [Exponential(0.5), Polynomial([0.0, 1.0]), Gaussian(2.0)])
def test_eigenvalues_of_dense_matrices(graphs, f) -> None:
    value = tree_distances(graphs)
    value = torch.where(value < 0, 0.0, f(value.clamp(min=0)))
    for dense_nodes in (1000, 25, 0):
        found = tree_spectra(graphs, f, 5, dense_nodes=dense_nodes)
        assert found.shape == (8, 5)
        for b in range(8):
            n = int(graphs.sizes[b])
            matrix = value[graphs.pair_ptr[b] : graphs.pair_ptr[b + 1]].view(n, n)
            expected = torch.linalg.eigvalsh(matrix).flip(0)[:5]
            near = 1e-5 * max(float(matrix.abs().sum(1).max()) if n else 0.0, 1.0)
            torch.testing.assert_close(found[b, : min(n, 5)], expected, atol=near, rtol=0)
            assert (found[b, min(n, 5) :] == 0).all()


def test_products_are_those_of_the_matrix(graphs) -> None:
    one = graphs.select([5])
    operator = FieldOperator(minimum_spanning_trees(one), Exponential(0.5))
    dense = torch.exp(-0.5 * tree_distances(one)).view(120, 120)
    torch.testing.assert_close(operator.matmul(torch.eye(120, dtype=torch.float64)), dense)


def test_wrong_parameters(graphs) -> None:
    with pytest.raises(GraphPEValueError, match="k must be from 1 on"):
        tree_spectra(graphs, Exponential(1.0), 0)
    with pytest.raises(GraphPEValueError, match="tree must be one of"):
        tree_spectra(graphs, Exponential(1.0), 1, tree="oak")
    with pytest.raises(GraphPEValueError, match=r"Exponential\(-10.0\) overflows at distances of these graphs"):
        tree_spectra(PackedGraphs.from_networkx([nx.path_graph(300)]), Exponential(-10.0), 1)
