"""Graphs that break other implementations, against every encoding: no crash, and what has to hold does."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

from graphpe import transforms as T


def graph(tails, heads, n: int, weight=None) -> Data:
    data = Data(edge_index=torch.tensor([tails, heads], dtype=torch.long), num_nodes=n)
    if weight is not None:
        data.edge_weight = torch.tensor(weight, dtype=torch.float32)
    return data


def directed(graph_: nx.DiGraph) -> Data:
    edges = np.array(graph_.edges, dtype=np.int64).reshape(-1, 2).T
    return Data(edge_index=torch.from_numpy(edges.copy()), num_nodes=graph_.number_of_nodes())


# name: (graph, number of connected components)
HARD = {
    "no nodes": (graph([], [], 0), 0),
    "one node": (graph([], [], 1), 1),
    "one node with a loop": (graph([0], [0], 1), 1),
    "two nodes": (graph([0], [1], 2), 1),
    "no edges": (graph([], [], 5), 5),
    "fewer nodes than k": (graph([0, 1, 1, 2], [1, 0, 2, 1], 3), 1),
    "isolated nodes": (graph([1, 2], [2, 1], 5), 4),
    "trailing isolated node": (graph([0, 1], [1, 0], 3), 2),
    "two components": (graph([0, 1, 2, 3], [1, 0, 3, 2], 4), 2),
    "many components": (graph(range(0, 40, 2), range(1, 40, 2), 40), 20),
    "self-loops": (graph([0, 0, 1, 2, 2], [0, 1, 2, 2, 2], 3), 1),
    "loops only": (graph([0, 1, 1], [0, 1, 1], 3), 3),
    "parallel edges": (graph([0, 0, 0, 1], [1, 1, 1, 2], 3), 1),
    "one direction twice": (graph([0, 0, 1], [1, 1, 0], 2), 1),
    "weights": (graph([0, 1, 2], [1, 2, 0], 3, [0.1, 20.0, 3.0]), 1),
    "weights of 0 only": (graph([0, 1, 2], [1, 2, 0], 3, [0.0, 0.0, 0.0]), 3),
    "tiny weights": (graph([0, 1, 2], [1, 2, 3], 4, [1e-30, 1e-38, 1e-20]), 1),
    "huge weights": (graph([0, 1, 2], [1, 2, 3], 4, [1e30, 1e38, 1.0]), 1),
    "nearly disconnected": (graph([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], 6, [1, 1, 1e-12, 1, 1]), 1),
    "directed path": (directed(nx.path_graph(9, create_using=nx.DiGraph)), 1),
    "directed cycle": (directed(nx.cycle_graph(10, create_using=nx.DiGraph)), 1),
    "directed acyclic": (directed(nx.gn_graph(30, seed=1)), 1),
    "star": (from_networkx(nx.star_graph(20)), 1),
    "complete": (from_networkx(nx.complete_graph(12)), 1),
    "twin leaves": (directed(nx.balanced_tree(3, 3, create_using=nx.DiGraph)), 1),
    "hypercube": (from_networkx(nx.hypercube_graph(5)), 1),
    "long path": (directed(nx.path_graph(600, create_using=nx.DiGraph)), 1),
    "large star": (from_networkx(nx.star_graph(600)), 1),
    "large and dense": (directed(nx.gnp_random_graph(200, 0.3, seed=2, directed=True)), 1),
}
for data_, _ in HARD.values():  # networkx's attributes are of no use
    for key_ in set(data_.keys()) - {"edge_index", "edge_weight", "num_nodes"}:
        del data_[key_]

K = 8


def components_of(name: str) -> int:
    return HARD[name][1]


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
@pytest.mark.parametrize("name", HARD)
def test_laplacian(name, normalization):
    data, zeros = HARD[name]
    n = data.num_nodes
    out = T.LaplacianPE(K, normalization=normalization)(data)
    vectors, values, mask = out.laplacian_eigenvector_pe, out.laplacian_eigenvalues, out.laplacian_mask
    assert vectors.shape == (n, K)
    assert mask[0].sum() == min(K, n - zeros)
    assert vectors.isfinite().all()
    assert (values >= 0).all()
    assert (values[0].diff()[: int(mask.sum()) - 1] >= 0).all()
    torch.testing.assert_close(vectors.square().sum(0), mask[0].float(), atol=1e-5, rtol=0)
    assert not vectors[:, ~mask[0]].any()
    assert not values[~mask].any()
    kept = T.LaplacianPE(K, normalization=normalization, drop_zero_modes=False)(data)
    assert kept.laplacian_mask[0].sum() == min(K, n)
    assert not kept.laplacian_eigenvalues[0, :zeros].any()
    shared = min(zeros, K)
    torch.testing.assert_close(kept.laplacian_eigenvalues[:, shared:], values[:, : K - shared])


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
@pytest.mark.parametrize("q", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("name", HARD)
def test_magnetic(name, q, normalization):
    data, _ = HARD[name]
    n = data.num_nodes
    out = T.MagneticLaplacianPE(K, q=q, normalization=normalization)(data)
    vectors, values, mask = out.magnetic_eigenvector_pe, out.magnetic_eigenvalues, out.magnetic_mask
    assert vectors.shape == (n, K)
    assert mask[0].tolist() == [i < n for i in range(K)]
    assert torch.view_as_real(vectors).isfinite().all()
    assert (values >= 0).all()
    torch.testing.assert_close(vectors.abs().square().sum(0), mask[0].float(), atol=1e-5, rtol=0)
    if q == 0:
        kept = T.LaplacianPE(K, normalization=normalization, drop_zero_modes=False)(data)
        torch.testing.assert_close(values, kept.laplacian_eigenvalues)


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("name", HARD)
def test_random_walk(name, undirected):
    data, _ = HARD[name]
    steps = T.RandomWalkPE(K, undirected=undirected)(data).random_walk_pe
    assert steps.shape == (data.num_nodes, K)
    assert steps.isfinite().all()
    assert ((steps >= 0) & (steps <= 1 + 1e-6)).all()


@pytest.mark.parametrize(
    "make", [lambda: T.LaplacianPE(K), lambda: T.MagneticLaplacianPE(K), lambda: T.RandomWalkPE(K)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_all_in_one_batch(make, weighted):
    graphs = [data for data, _ in HARD.values() if ("edge_weight" in data) == weighted]
    batch = make()(Batch.from_data_list(graphs))
    one = make()
    singles = [one(data) for data in graphs]
    key = one.attr_name
    torch.testing.assert_close(batch[key], torch.cat([single[key] for single in singles]), atol=1e-6, rtol=1e-5)
