from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx

from graphpe import laplacian
from graphpe import transforms as T


def test_eigenvectors_eigenvalues_and_mask(random_graph):
    for seed in range(20):
        graph = random_graph(seed, weighted=True)
        out = T.LaplacianPE(20, drop_zero_modes=False)(graph)
        n = graph.num_nodes
        operator = laplacian(graph.edge_index, n, graph.edge_weight).to_dense().float()
        vectors, values = out.laplacian_eigenvector_pe, out.laplacian_eigenvalues
        assert (vectors.shape, values.shape, out.laplacian_mask.shape) == ((n, 20), (1, 20), (1, 20))
        torch.testing.assert_close(operator @ vectors, vectors * values, atol=1e-5, rtol=0)
        torch.testing.assert_close(vectors[:, :n] @ vectors[:, :n].T, torch.eye(n), atol=1e-5, rtol=0)
        torch.testing.assert_close(values[0, :n].double(), torch.linalg.eigvalsh(operator.double()), atol=1e-6, rtol=0)
        assert out.laplacian_mask[0].tolist() == [i < n for i in range(20)]


def test_path_in_closed_form():
    n = 10
    path = from_networkx(nx.path_graph(n))
    out = T.LaplacianPE(4, normalization="comb", sign="canonical")(path)
    j, u = np.arange(1, 5), np.arange(n)
    np.testing.assert_allclose(out.laplacian_eigenvalues[0], 2 - 2 * np.cos(np.pi * j / n), atol=1e-6)
    expected = np.sqrt(2 / n) * np.cos(np.pi * (u[:, None] + 0.5) * j / n)
    np.testing.assert_allclose(out.laplacian_eigenvector_pe.abs(), np.abs(expected), atol=1e-6)


def test_directed_edges_count_as_undirected_ones(random_graph):
    graph = random_graph(3)
    both = Data(edge_index=torch.cat([graph.edge_index, graph.edge_index.flip(0)], dim=1), num_nodes=graph.num_nodes)
    one, two = T.LaplacianPE(6)(graph), T.LaplacianPE(6)(both)
    assert torch.equal(one.laplacian_eigenvector_pe, two.laplacian_eigenvector_pe)


def test_random_signs_only_flip_columns():
    path = from_networkx(nx.path_graph(8))
    transform, vectors = T.LaplacianPE(6), T.LaplacianPE(6, sign="none")(path).laplacian_eigenvector_pe
    seen = set()
    for _ in range(30):
        signs = (transform(path).laplacian_eigenvector_pe * vectors).sum(0)
        torch.testing.assert_close(signs.abs(), torch.ones(6), atol=1e-5, rtol=0)
        seen.add(tuple(signs.sign().tolist()))
    assert len(seen) > 15  # of 64


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), normalization=st.sampled_from(["sym", "comb", "rw"]))
def test_canonical_signs_do_not_depend_on_the_order_of_nodes(seed, normalization):
    # Random weights: simple spectra. The symmetry that is left, of two nodes and an edge, turns a vector into minus it.
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 15))
    edge_index = torch.triu_indices(n, n, 1)[:, torch.from_numpy(rng.random(n * (n - 1) // 2) < 0.6)]
    weight = torch.from_numpy(rng.uniform(0.1, 2, edge_index.size(1)))
    order = torch.from_numpy(rng.permutation(n))
    transform = T.LaplacianPE(n, normalization=normalization, sign="canonical")
    here = transform(Data(edge_index=edge_index, edge_weight=weight, num_nodes=n))
    there = transform(Data(edge_index=order[edge_index].flip(0), edge_weight=weight, num_nodes=n))
    values = here.laplacian_eigenvalues[0]
    torch.testing.assert_close(there.laplacian_eigenvalues[0], values, atol=1e-5, rtol=1e-5)
    gap = torch.minimum(values.diff(prepend=-values.new_ones(1)), values.diff(append=values[-1:] + 9))
    vectors = here.laplacian_eigenvector_pe.sort(0).values
    turned = torch.isclose(vectors, -vectors.flip(0), atol=1e-3).all(0)
    simple = (gap > 1e-3) & here.laplacian_mask[0] & ~turned
    torch.testing.assert_close(
        there.laplacian_eigenvector_pe[order][:, simple], here.laplacian_eigenvector_pe[:, simple], atol=1e-4, rtol=0
    )
