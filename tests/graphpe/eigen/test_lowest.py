"""Graphs of all sizes together: what goes to the sparse solver agrees with what goes to the dense one."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.eigen import lowest as policy
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs, magnetic_eigenpairs


def mixed_graphs(seed: int) -> PackedGraphs:
    """Trees with extra edges from 1 to 400 nodes, some in two components, and one graph that is too dense for LU."""
    rng = np.random.default_rng(seed)
    graphs = []
    for size in (400, 1, 12, 220, 170, 60):
        parent = [(int(rng.integers(max(0, v - 6), v)), v) for v in range(1, size) if v != size // 2 or size % 20]
        chords = [(int(u), int(v)) for u, v in rng.integers(0, size, (size // 8, 2))]
        edges = torch.tensor(parent + chords, dtype=torch.long).reshape(-1, 2).T
        graphs.append(Data(edge_index=edges, num_nodes=size))
    dense = nx.gnp_random_graph(180, 0.3, seed=seed % 2**31, directed=True)
    graphs.append(Data(edge_index=torch.tensor(list(dense.edges)).T, num_nodes=180))
    return PackedGraphs.from_data_list(graphs)


@pytest.mark.parametrize("draw", range(2))
@pytest.mark.parametrize("kind", ["laplacian", "laplacian with zero modes", "comb", "magnetic"])
def test_both_solvers_give_the_same_eigenspaces(draw: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = mixed_graphs(int(np.random.default_rng().integers(2**32)))

    def solve() -> tuple[torch.Tensor, ...]:
        if kind == "magnetic":
            return magnetic_eigenpairs(graphs, 7, 0.1)
        normalization = "comb" if kind == "comb" else "sym"
        return laplacian_eigenpairs(graphs, 7, normalization, drop_zero_modes=kind != "laplacian with zero modes")

    monkeypatch.setattr(policy, "SPARSE_FROM", 160)
    vectors, values, mask = solve()
    solved_sparse = []
    original = policy.lowest_by_shift_invert

    def recorded(*args: Any) -> dict:
        found = original(*args)
        solved_sparse.extend(found)
        return found

    monkeypatch.setattr(policy, "lowest_by_shift_invert", recorded)
    solve()
    assert set(solved_sparse) == {0, 3, 4}
    monkeypatch.setattr(policy, "SPARSE_FROM", 10**9)
    dense_vectors, dense_values, dense_mask = solve()
    assert torch.equal(mask, dense_mask)
    torch.testing.assert_close(values, dense_values, atol=1e-10, rtol=0)
    for graph in range(len(graphs)):
        rows = slice(int(graphs.ptr[graph]), int(graphs.ptr[graph + 1]))
        gaps = torch.where(dense_values[graph].diff() > 1e-6)[0] + 1
        for below in gaps.tolist():
            mine, theirs = vectors[rows, :below], dense_vectors[rows, :below]
            torch.testing.assert_close(mine @ mine.mH, theirs @ theirs.mH, atol=1e-6, rtol=0)


def test_graphs_that_fill_up_are_iterated_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hubs and shortcuts leave factors dense; neighbours in the plane, with more entries a row, do not."""
    rng = np.random.default_rng()
    points = rng.random((700, 2))
    near = np.argsort(((points[:, None] - points) ** 2).sum(-1), axis=1)[:, 1:8]
    plane = nx.empty_graph(700)
    plane.add_edges_from((u, int(v)) for u in range(700) for v in near[u])
    hubs = nx.barabasi_albert_graph(700, 4, seed=int(rng.integers(2**31)))
    iterated = []
    original = policy.lowest_by_eigsh
    monkeypatch.setattr(policy, "lowest_by_eigsh", lambda *args: iterated.append(args[4]) or original(*args))
    graphs = PackedGraphs.from_networkx([plane, hubs])
    vectors, values, _ = laplacian_eigenpairs(graphs, 4)
    assert iterated == [1]
    for graph, nodes in enumerate((plane, hubs)):
        matrix = nx.normalized_laplacian_matrix(nodes, range(700)).toarray()
        components = nx.number_connected_components(nodes)
        expected = np.linalg.eigvalsh(matrix)[components : components + 4]
        np.testing.assert_allclose(values[graph], expected, atol=1e-10)
        rows = vectors[700 * graph : 700 * (graph + 1)].numpy()
        np.testing.assert_allclose(matrix @ rows, rows * values[graph].numpy(), atol=1e-7)
