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
from graphpe.eigen.canonical import maximal_axis_projection
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs


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


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), normalization=st.sampled_from(["sym", "comb", "rw"]), dropped=st.booleans())
def test_certificates_against_whole_spectra(seed, normalization, dropped):
    rng = np.random.default_rng(seed)
    graphs = []
    for n in rng.integers(1, 12, 4).tolist():
        edges = torch.from_numpy(rng.integers(0, n, (2, int(rng.integers(0, 2 * n)))))
        graphs.append(Data(edge_index=edges, num_nodes=n))
    transform = T.LaplacianPE(
        4, normalization=normalization, drop_zero_modes=dropped, certificate=True, sign="none", scaling="L1"
    )
    for graph, out in zip(graphs, transform(graphs), strict=True):
        operator = laplacian(graph.edge_index, graph.num_nodes, normalization=normalization).to_dense()
        spectrum = torch.linalg.eigvals(operator).real.sort().values
        zeros = int((spectrum < 1e-9).sum()) if dropped else 0
        for j in range(4):
            gap, there = float(out.laplacian_gap[0, j]), bool(out.laplacian_mask[0, j])
            assert there == (zeros + j < graph.num_nodes)
            others = torch.cat([spectrum[: zeros + j], spectrum[zeros + j + 1 :]])
            expected = (
                0.0 if not there else 2.0 if not len(others) else float((others - spectrum[zeros + j]).abs().min())
            )
            assert abs(gap - expected) < 1e-6
        vectors = out.laplacian_eigenvector_pe.double()
        vectors = vectors / torch.where(vectors.norm(dim=0) > 0, vectors.norm(dim=0), 1)
        measured = (operator @ vectors - vectors * out.laplacian_eigenvalues).norm(dim=0)
        assert float((measured - out.laplacian_residual[0]).abs().max()) < 2e-6  # these are of single precision
        assert float(out.laplacian_residual.max()) < 1e-12
    assert "laplacian_gap" not in T.LaplacianPE(4)(graphs[0])


def test_a_certificate_does_not_change_what_it_is_of(random_graph):
    for seed in range(10):
        graph = random_graph(seed, weighted=True)
        with_one, without = T.LaplacianPE(4, certificate=True, sign="canonical")(graph), T.LaplacianPE(4)(graph)
        torch.testing.assert_close(with_one.laplacian_eigenvalues, without.laplacian_eigenvalues)
        assert torch.equal(with_one.laplacian_mask, without.laplacian_mask)
        assert set(with_one.keys()) - set(without.keys()) == {"laplacian_gap", "laplacian_residual"}


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), normalization=st.sampled_from(["sym", "comb", "rw"]))
def test_maximal_axis_projection_does_not_depend_on_the_order_of_nodes(seed, normalization):
    # Of random trees: leaves of one node repeat eigenvalues. What is undecided is so in every order.
    rng = np.random.default_rng(seed)
    tree = nx.from_prufer_sequence(rng.integers(0, 10, 8).tolist())
    edges = torch.tensor(list(tree.edges)).T
    order = torch.from_numpy(rng.permutation(10))
    transform = T.LaplacianPE(9, normalization=normalization, sign="map")
    here = transform(Data(edge_index=edges, num_nodes=10))
    there = transform(Data(edge_index=order[edges].flip(0), num_nodes=10))
    pairs = laplacian_eigenpairs(PackedGraphs.from_data_list([Data(edge_index=edges, num_nodes=10)]), 9, normalization)
    decided = maximal_axis_projection(pairs, np.array([0, 10]), 9).decided[0]
    torch.testing.assert_close(
        there.laplacian_eigenvector_pe[order][:, decided], here.laplacian_eigenvector_pe[:, decided], atol=1e-4, rtol=0
    )
    vectors = here.laplacian_eigenvector_pe.double()
    operator = laplacian(edges, 10, normalization=normalization).to_dense()
    torch.testing.assert_close(operator @ vectors, vectors * here.laplacian_eigenvalues, atol=1e-5, rtol=0)
