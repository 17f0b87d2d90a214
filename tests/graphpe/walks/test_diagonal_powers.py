from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.heat_and_diffusion import heat_kernel_diagonal
from graphpe.walks import diagonal_powers as module
from graphpe.walks.cycles import closed_walk_counts
from graphpe.walks.diagonal_powers import Estimate
from graphpe.walks.return_probabilities import return_probabilities


def graphs() -> dict[str, tuple[np.ndarray, PackedGraphs]]:
    """Adjacency matrices, and the graphs: large enough for the choice of a way, with components and bipartite parts."""
    rng = np.random.default_rng(0)
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(15, 20))
    found = {
        "grid": nx.to_numpy_array(grid),
        "path and cycle": nx.to_numpy_array(nx.disjoint_union(nx.path_graph(200), nx.cycle_graph(101))),
        "hubs": nx.to_numpy_array(nx.barabasi_albert_graph(300, 3, seed=0)),
        "star": nx.to_numpy_array(nx.star_graph(299)),
        "digraph": (rng.random((280, 280)) < 0.01).astype(float),
    }
    return {name: (matrix, pack(matrix)) for name, matrix in found.items()}


def pack(matrix: np.ndarray) -> PackedGraphs:
    edges = torch.from_numpy(np.array(np.nonzero(matrix)))
    return PackedGraphs.from_data(Data(edge_index=edges, num_nodes=len(matrix)))


def diagonals(matrix: np.ndarray, count: int) -> np.ndarray:
    power, out = np.eye(len(matrix)), []
    for _ in range(count):
        power = power @ matrix
        out.append(power.diagonal())
    return np.stack(out, axis=1)


def walk(matrix: np.ndarray) -> np.ndarray:
    degree = matrix.sum(1)
    step = matrix / np.where(degree > 0, degree, 1)[:, None]
    sink = (degree == 0) & (matrix.sum(0) > 0)
    step[sink, sink] = 1
    return step


@pytest.mark.parametrize("name", graphs())
@pytest.mark.parametrize("way", ["_SPARSE_SECONDS", "_DENSE_SECONDS", None])
def test_every_way_gives_the_powers(name: str, way: str | None, monkeypatch) -> None:
    matrix, packed = graphs()[name]
    if way is not None:  # the other way is then chosen
        monkeypatch.setattr(module, way, 1e-6)
    actual = return_probabilities(packed, 9)
    np.testing.assert_allclose(actual, diagonals(walk(matrix), 9), atol=1e-13)
    if (matrix == matrix.T).all():
        np.testing.assert_array_equal(closed_walk_counts(packed, 8), diagonals(matrix, 8)[:, 2:])


def test_the_way_is_chosen_by_cost(monkeypatch) -> None:
    dense = []
    loop = module.block_walks.block_returns
    monkeypatch.setattr(module.block_walks, "block_returns", lambda *all_: dense.append(1) or loop(*all_))
    node = np.arange(1999)
    path = torch.from_numpy(np.stack([np.append(node, node + 1), np.append(node + 1, node)]))
    return_probabilities(PackedGraphs.from_data(Data(edge_index=path, num_nodes=2000)), 8)
    assert not dense
    return_probabilities(graphs()["star"][1], 8)
    assert dense


def test_work_is_what_is_counted() -> None:
    """Of a cycle: of K steps, half; in step t there are t nodes with two neighbours each."""
    packed = pack(nx.to_numpy_array(nx.cycle_graph(300)))
    edges = packed.edge_index.numpy()
    indptr = np.searchsorted(edges[0], np.arange(301))
    arrays = indptr, edges[1], indptr, edges[1]
    for steps in (1, 2, 5, 8):
        expected = 300 * sum(2 * t for t in range(1, (steps + 1) // 2 + 1))
        assert module.local_walks.work(0, 300, *arrays, True, steps, 9, 1e9) == expected
    assert module.local_walks.work(0, 300, *arrays, True, 8, 9, 5.0) == 300 * 6  # enough


@pytest.mark.parametrize("name", ["grid", "path and cycle", "hubs", "digraph"])
def test_estimates_are_within_their_error(name: str, monkeypatch) -> None:
    matrix, packed = graphs()[name]
    count, vectors = 8, 256
    exact = diagonals(walk(matrix), count)
    # As cheap as it may be: enough of the first powers are exact that nothing is estimated here.
    np.testing.assert_allclose(return_probabilities(packed, count, False, Estimate(4096, 0)), exact, atol=1e-13)
    monkeypatch.setattr(module, "_SPARSE_SECONDS", 1.0)
    monkeypatch.setattr(module, "check_seconds", lambda *_: None)
    monkeypatch.setattr(module, "_NODE_SECONDS", 0.0)
    actual = return_probabilities(packed, count, False, Estimate(vectors, 0)).numpy()
    assert not np.allclose(actual, exact, atol=1e-6)
    if name == "digraph":
        assert np.abs(actual - exact).mean() < 2 / vectors**0.5 * np.abs(exact).max()
        return
    degree = matrix.sum(1)
    label = np.zeros(len(matrix), dtype=int)
    for i, part in enumerate(nx.connected_components(nx.from_numpy_array(matrix))):
        label[list(part)] = i
    limit = degree / np.bincount(label, degree)[label]
    bipartite = np.array([nx.is_bipartite(nx.from_numpy_array(matrix[label == i][:, label == i])) for i in label])
    power = np.arange(1, count + 1)
    left = exact - limit[:, None] * np.where(bipartite[:, None], 1 + (-1.0) ** power, 1)
    error = (2 / vectors) ** 0.5 * left[:, 1::2]
    assert (np.abs(actual - exact)[:, 1::2] <= 5 * error + 1e-12).all()
    assert ((actual - exact)[:, 1::2] ** 2).mean() < (error**2).mean()
    assert not actual[bipartite][:, ::2].any()


def test_estimates_depend_on_the_graph_and_the_seed_alone(monkeypatch) -> None:
    monkeypatch.setattr(module, "_SPARSE_SECONDS", 1.0)
    monkeypatch.setattr(module, "check_seconds", lambda *_: None)
    packed = graphs()["hubs"][1]
    both = PackedGraphs.from_data_list([*pack(np.ones((3, 3))), *packed])
    alone = return_probabilities(packed, 6, False, Estimate(20, 5))
    assert torch.equal(return_probabilities(both, 6, False, Estimate(20, 5))[3:], alone)
    assert not torch.equal(return_probabilities(packed, 6, False, Estimate(20, 6)), alone)
    exact = torch.from_numpy(diagonals(graphs()["hubs"][0], 6)[:, 2:])
    counts = closed_walk_counts(packed, 6, Estimate(2000, 0))
    torch.testing.assert_close(counts[:, 1], exact[:, 1], rtol=0.25, atol=0)


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
@pytest.mark.parametrize("times", [(0.5, 3.0), (40.0,)])
@pytest.mark.parametrize("drop_zero_modes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_heat_of_large_graphs_without_the_spectrum(normalization, times, drop_zero_modes, monkeypatch) -> None:
    monkeypatch.setattr("graphpe.spectra.heat_and_diffusion._SPECTRUM_SECONDS", 1.0)
    monkeypatch.setattr("graphpe.spectra.heat_and_diffusion.full_spectrum", None)
    for matrix, packed in list(graphs().values())[:3]:
        degree = matrix.sum(1)
        scale = np.ones(len(matrix)) if normalization == "comb" else 1 / np.sqrt(degree)
        operator = scale[:, None] * (np.diag(degree) - matrix) * scale
        values, vectors = np.linalg.eigh(operator)
        keep = np.where(values < 1e-9, 0.0 if drop_zero_modes else 1.0, 1.0)
        expected = np.stack([vectors**2 @ (keep * np.exp(-time * values)) for time in times], axis=1)
        actual = heat_kernel_diagonal(packed, times, normalization, drop_zero_modes)
        np.testing.assert_allclose(actual, expected, atol=1e-12)
