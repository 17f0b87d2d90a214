from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.eigen.batched.eigh import KnownModes, dense_eigenpairs
from graphpe.eigen.large import lowest_by_eigsh
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs
from graphpe.structure.components import find_components
from graphpe.structure.laplacian import degrees, laplacian_entries, magnetic_entries, symmetric_pairs


def edges_of(graph: nx.Graph) -> torch.Tensor:
    return torch.tensor(list(nx.convert_node_labels_to_integers(graph).edges)).T


def data(graph: nx.Graph) -> Data:
    return Data(edge_index=edges_of(graph), num_nodes=len(graph))


@pytest.mark.parametrize("q", [0.0, 0.1])
def test_components_and_isolated_nodes_against_dense(q: float) -> None:
    graph = nx.disjoint_union_all(
        [nx.random_regular_graph(4, 150, seed=0), nx.empty_graph(30), nx.barabasi_albert_graph(90, 3, seed=1)]
    )
    size = len(graph)
    pairs = symmetric_pairs(edges_of(graph), size)
    entries = laplacian_entries(pairs, degrees(pairs, size), "comb")
    label = find_components(pairs, size).label
    mode = 1 / np.sqrt(np.bincount(label)[label])
    if q:
        entries = magnetic_entries(entries, pairs, np.full(len(pairs.row), q))
        mode = np.where(np.bincount(label)[label] > 1, 0.0, mode)  # neither large component is balanced
    ptr = np.array([0, size])
    count = np.array([len(np.unique(label[mode != 0]))])
    known = KnownModes(mode.astype(entries.value.dtype), label, count, np.full(1, 200.0))
    values, vectors = lowest_by_eigsh(entries, ptr, 5, known, 0)
    expected = dense_eigenpairs(entries, ptr, 5, known)
    np.testing.assert_allclose(values, expected.values[0], atol=1e-9)
    for label_of_known in np.unique(label[mode != 0]):
        assert np.abs((mode * (label == label_of_known)) @ vectors).max() < 1e-9
    np.testing.assert_allclose(vectors @ vectors.conj().T, expected.vectors @ expected.vectors.conj().T, atol=1e-5)


def test_fewer_than_asked_for() -> None:
    graph = nx.disjoint_union(nx.path_graph(3), nx.empty_graph(6000))
    pairs = laplacian_eigenpairs(PackedGraphs.from_data_list([data(graph)]), 4)
    assert pairs.mask.tolist() == [[True, True, False, False]]
    torch.testing.assert_close(pairs.values[0, :2], torch.tensor([1.0, 2.0], dtype=torch.float64))


def test_a_large_expander_is_solved_without_a_dense_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphpe.eigen.lowest.dense_eigenpairs", None)
    packed = PackedGraphs.from_data_list([data(nx.random_regular_graph(20, 2500, seed=0))])
    first, again = (laplacian_eigenpairs(packed, 4) for _ in range(2))
    assert bool(first.mask.all())
    assert torch.equal(first.vectors, again.vectors)
    assert float(first.values[0, 0]) > 0.5
