from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from graphpe import magnetic_laplacian
from graphpe import transforms as T

TREE = Data(edge_index=torch.tensor([[0, 0, 1, 1, 2], [1, 2, 3, 4, 5]]), num_nodes=6)
DEPTH = torch.tensor([0, 1, 1, 2, 2, 2])


def test_eigenvectors_eigenvalues_and_mask(random_graph):
    for seed in range(20):
        graph = random_graph(seed, weighted=True)
        out = T.MagneticLaplacianPE(20, q=0.2)(graph)
        n = graph.num_nodes
        operator = magnetic_laplacian(graph.edge_index, n, 0.2, graph.edge_weight, relative_q=True).to_dense()
        vectors, values = out.magnetic_eigenvector_pe.to(operator.dtype), out.magnetic_eigenvalues
        assert (vectors.shape, values.shape, out.magnetic_mask.shape) == ((n, 20), (1, 20), (1, 20))
        torch.testing.assert_close(operator @ vectors, vectors * values, atol=1e-5, rtol=0)
        eye = torch.eye(n, dtype=vectors.dtype)
        torch.testing.assert_close(vectors[:, :n] @ vectors[:, :n].mH, eye, atol=1e-5, rtol=0)
        torch.testing.assert_close(values[0, :n].double(), torch.linalg.eigvalsh(operator), atol=1e-6, rtol=0)
        assert out.magnetic_mask[0].tolist() == [i < n for i in range(20)]


def test_lowest_vector_of_a_tree_tells_the_depth():
    out = T.MagneticLaplacianPE(3, q=0.1, relative_q=False, sign="canonical")(TREE)
    lowest = out.magnetic_eigenvector_pe[:, 0]
    turns = -0.1 * (DEPTH[:, None] - DEPTH)
    torch.testing.assert_close((lowest[:, None] / lowest).angle(), 2 * math.pi * turns, atol=1e-5, rtol=0)
    assert abs(out.magnetic_eigenvalues[0, 0]) < 1e-7
    relative = T.MagneticLaplacianPE(3, q=0.5, sign="canonical")(TREE)  # 5 one-way edges
    torch.testing.assert_close(relative.magnetic_eigenvector_pe[:, 0], lowest)


def test_potential_is_relative_per_graph():
    path = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    batch = T.MagneticLaplacianPE(2, q=0.3, sign="canonical")(Batch.from_data_list([TREE, path]))
    alone = T.MagneticLaplacianPE(2, q=0.3, sign="canonical")(path)
    torch.testing.assert_close(batch.magnetic_eigenvector_pe[6:], alone.magnetic_eigenvector_pe)
    assert not torch.allclose(batch.magnetic_eigenvector_pe[6:].angle(), torch.zeros(2, 2), atol=0.1)


def test_without_direction_it_is_the_laplacian():
    both = Data(edge_index=torch.cat([TREE.edge_index, TREE.edge_index.flip(0)], dim=1), num_nodes=6)
    real = T.LaplacianPE(6, drop_zero_modes=False, sign="none")(both)
    for graph, q in ((both, 0.2), (TREE, 0.0)):
        magnetic = T.MagneticLaplacianPE(6, q=q, sign="none")(graph)
        assert not magnetic.magnetic_eigenvector_pe.imag.any()
        torch.testing.assert_close(magnetic.magnetic_eigenvector_pe.real, real.laplacian_eigenvector_pe)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), normalization=st.sampled_from(["sym", "comb", "rw"]))
def test_canonical_phases_under_permutation_and_reversal(seed, normalization):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 15))
    edge_index = torch.triu_indices(n, n, 1)[:, torch.from_numpy(rng.random(n * (n - 1) // 2) < 0.6)]
    weight = torch.from_numpy(rng.uniform(0.1, 2, edge_index.size(1)))
    order = torch.from_numpy(rng.permutation(n))
    transform = T.MagneticLaplacianPE(n, q=0.3, normalization=normalization, sign="canonical")
    here = transform(Data(edge_index=edge_index, edge_weight=weight, num_nodes=n))
    moved = transform(Data(edge_index=order[edge_index], edge_weight=weight, num_nodes=n))
    reverse = transform(Data(edge_index=edge_index.flip(0), edge_weight=weight, num_nodes=n))
    values = here.magnetic_eigenvalues[0]
    gap = torch.minimum(values.diff(prepend=-values.new_ones(1)), values.diff(append=values[-1:] + 9))
    simple = gap > 1e-3
    expected = here.magnetic_eigenvector_pe[:, simple]
    torch.testing.assert_close(moved.magnetic_eigenvector_pe[order][:, simple], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(reverse.magnetic_eigenvector_pe[:, simple], expected.conj(), atol=1e-4, rtol=0)


def test_random_phases_only_turn_columns():
    transform, vectors = T.MagneticLaplacianPE(5), T.MagneticLaplacianPE(5, sign="none")(TREE).magnetic_eigenvector_pe
    angles = []
    for _ in range(20):
        inner = (vectors.conj() * transform(TREE).magnetic_eigenvector_pe).sum(0)
        torch.testing.assert_close(inner.abs(), torch.ones(5), atol=1e-5, rtol=0)
        angles.append(inner.angle())
    assert torch.stack(angles).std(0).min() > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_potentials_know_the_walk_profile(seed):
    """From the spectra at several potentials: the number of walks by length and number of forward steps."""
    n, length = 7, 4
    graph = nx.gn_graph(n, seed=seed)
    graph.add_edges_from([(5, 0), (6, 4), (6, 1)])  # cycles, so that the potential matters; no reciprocal pair
    data = Data(edge_index=torch.tensor(list(graph.edges)).T, num_nodes=n)
    count = length + 1
    out = T.MagneticLaplacianPE(n, q=1 / (2 * count), relative_q=False, potentials=count, normalization="comb")(data)
    vectors, values = out.magnetic_eigenvector_pe.to(torch.complex128), out.magnetic_eigenvalues[0].double()
    forward = torch.from_numpy(nx.to_numpy_array(graph, range(n)))
    degree = torch.diag(forward.sum(0) + forward.sum(1)).to(torch.complex128)
    # (A e^it + A^T e^-it)^l = sum_j profile_j e^(it (2 j - l)) at the angles t = pi p / count, p = 1, ..., count.
    angles = torch.arange(1, count + 1) * (math.pi / count)
    profile = torch.zeros(count, n, n, dtype=torch.complex128)
    for p in range(count):
        operator = (vectors[:, p] * values[p]) @ vectors[:, p].conj().T
        walks = torch.linalg.matrix_power(degree - operator, length)
        for j in range(count):
            profile[j] += walks * torch.exp(-1j * angles[p] * (2 * j - length)) / count
    expected = torch.zeros(count, n, n, dtype=torch.float64)
    for steps in itertools.product((0, 1), repeat=length):
        walk = torch.eye(n, dtype=torch.float64)
        for step in steps:
            walk = walk @ (forward if step else forward.T)
        expected[sum(steps)] += walk
    torch.testing.assert_close(profile.real, expected, atol=1e-3, rtol=0)
    assert profile.imag.abs().max() < 1e-3


def test_potentials_are_multiples_of_the_first():
    data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 0, 1, 3]]), num_nodes=4)
    several = T.MagneticLaplacianPE(4, q=0.07, potentials=3)(data)
    for j in range(3):
        alone = T.MagneticLaplacianPE(4, q=0.07 * (j + 1), sign="none")(data)
        torch.testing.assert_close(several.magnetic_eigenvalues[:, j], alone.magnetic_eigenvalues)
        here, there = several.magnetic_eigenvector_pe[:, j], alone.magnetic_eigenvector_pe
        torch.testing.assert_close(here.abs(), there.abs())


def test_several_potentials_with_a_phase_for_each_edge(random_graph):
    graphs = [random_graph(seed) for seed in range(6)]
    transform = T.MagneticLaplacianPE(4, q=0.05, potentials=3, phases="edges", sign="none")
    batch = transform(Batch.from_data_list(graphs))
    for graph, out in zip(graphs, batch.to_data_list(), strict=True):
        n = graph.num_nodes
        assert torch.equal(transform(graph).magnetic_eigenvalues, out.magnetic_eigenvalues)
        for j in range(3):
            operator = magnetic_laplacian(graph.edge_index, n, 0.05 * (j + 1), relative_q=True, phases="edges")
            vectors = out.magnetic_eigenvector_pe[:, j].to(torch.complex128)
            values = out.magnetic_eigenvalues[:, j].double()
            torch.testing.assert_close(operator.to_dense() @ vectors, vectors * values, atol=1e-5, rtol=0)
            lowest = torch.linalg.eigvalsh(operator.to_dense())[:4]
            torch.testing.assert_close(values[0, : len(lowest)], lowest, atol=1e-6, rtol=0)
    both = Data(edge_index=torch.cat([TREE.edge_index, TREE.edge_index.flip(0)], dim=1), num_nodes=6)
    pairs, edges = (T.MagneticLaplacianPE(1, phases=phases)(both).magnetic_eigenvalues for phases in ("pairs", "edges"))
    assert pairs.abs() < 1e-6 < 0.1 < edges
    torch.testing.assert_close(
        T.Compose([T.LaplacianPE(3, sign="none"), transform])(both).magnetic_eigenvector_pe,
        transform(both).magnetic_eigenvector_pe,
    )


@pytest.mark.parametrize("phases", ["pairs", "edges"])
@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
def test_certificates_against_whole_spectra(random_graph, phases, normalization):
    for seed in range(8):
        graph = random_graph(seed, weighted=True)
        n, q = graph.num_nodes, 0.17
        options = {"q": q, "relative_q": False, "normalization": normalization, "phases": phases}
        transform = T.MagneticLaplacianPE(3, potentials=2, sign="none", certificate=True, **options)
        out = transform(graph)
        assert out.magnetic_gap.shape == out.magnetic_residual.shape == (1, 2, 3)
        for j in range(2):
            operator = magnetic_laplacian(
                graph.edge_index, n, q * (j + 1), graph.edge_weight, normalization, phases=phases
            ).to_dense()
            spectrum = torch.linalg.eigvals(operator).real.sort().values
            scale = float(spectrum.abs().max().clamp(min=1))
            for i in range(min(3, n)):
                others = torch.cat([spectrum[:i], spectrum[i + 1 :]])
                expected = float((others - spectrum[i]).abs().min()) if n > 1 else 2.0
                assert abs(float(out.magnetic_gap[0, j, i]) - expected) < 1e-6 * scale
            assert float(out.magnetic_residual[0, j].max()) < 1e-12 * scale
            assert not bool(out.magnetic_gap[0, j, n:].any())
            vectors = out.magnetic_eigenvector_pe[:, j].to(torch.complex128)
            measured = (operator @ vectors - vectors * out.magnetic_eigenvalues[0, j]).norm(dim=0)
            assert float((measured - out.magnetic_residual[0, j]).abs().max()) < 3e-6 * scale


def test_maximal_axis_projection_of_phases_and_orders(random_graph):
    for seed in range(10):
        graph = random_graph(seed, weighted=True)
        n = graph.num_nodes
        order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
        other = Data(edge_index=order[graph.edge_index], edge_weight=graph.edge_weight, num_nodes=n)
        transform = T.MagneticLaplacianPE(n, q=0.2, sign="map")
        here, there = (transform(each).magnetic_eigenvector_pe for each in (graph, other))
        gap = T.MagneticLaplacianPE(n, q=0.2, certificate=True)(graph).magnetic_gap[0]
        sure = gap > 1e-4
        torch.testing.assert_close(there[order][:, sure], here[:, sure], atol=1e-4, rtol=0)
