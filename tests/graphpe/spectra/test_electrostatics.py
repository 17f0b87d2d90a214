from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import limits
from graphpe.spectra import electrostatics
from graphpe.spectra.electrostatics import potential_statistics


def dense(graph: Data) -> np.ndarray:
    """S = max(A, A^T) without loops, edge by edge."""
    a = np.zeros((graph.num_nodes, graph.num_nodes))
    for e, (u, v) in enumerate(graph.edge_index.t().tolist()):
        a[u, v] = 1 if graph.edge_weight is None else a[u, v] + graph.edge_weight[e].item()
    s = np.maximum(a, a.T)
    np.fill_diagonal(s, 0)
    return s


def by_definition(s: np.ndarray) -> np.ndarray:
    """Node by node, from NumPy's pseudo-inverse."""
    n = len(s)
    inverse = np.linalg.pinv(np.diag(s.sum(1)) - s, rcond=1e-9)
    potential = inverse - np.diag(inverse)  # [i, j]: at i, of a charge at j
    label = connected_components(s)[1]
    out = np.zeros((n, 10))
    for u in range(n):
        others = [v for v in range(n) if v != u and label[v] == label[u]]
        if others:
            for start, values in ((0, potential[others, u]), (4, potential[u, others])):
                out[u, start : start + 4] = values.min(), values.max(), values.mean(), values.std()
            step = s / np.where(s.sum(1) > 0, s.sum(1), 1)[:, None]
            out[u, 8] = step[:, u] @ potential[:, u]
            out[u, 9] = step[u] @ potential[u]
    return out


@pytest.mark.parametrize("weights", [False, True])
def test_statistics_by_definition(make_graphs, weights):
    graphs = make_graphs([0, 1, 2, 3, 8, 20, 41, 5, 1], 6, weights=weights)
    packed = PackedGraphs.from_data_list(graphs)
    ours = potential_statistics(packed)
    expected = np.concatenate([by_definition(dense(graph)) for graph in graphs if graph.num_nodes])
    np.testing.assert_allclose(ours, expected, atol=1e-8)


def test_columns_of_the_released_code(make_graphs):
    # Formulas of GraphGPS on a connected graph; its other columns are those that the docstring says differ.
    graph = nx.connected_watts_strogatz_graph(20, 4, 0.4, seed=1)
    ours = potential_statistics(PackedGraphs.from_networkx([graph])).numpy()
    laplacian = nx.laplacian_matrix(graph).toarray().astype(float)
    inverse = np.linalg.pinv(laplacian)
    theirs = inverse - np.diag(inverse)
    step = nx.to_numpy_array(graph) / np.diag(laplacian)[:, None]
    expected = [theirs.min(0), theirs.min(1), (step * theirs).sum(0), (step * theirs).sum(1)]
    np.testing.assert_allclose(ours[:, [0, 4, 8, 9]].T, expected, atol=1e-12)
    np.testing.assert_allclose(ours[:, 2], -np.diag(inverse) * 20 / 19, atol=1e-12)
    np.testing.assert_allclose(ours[:, 6], -np.trace(inverse) / 19, atol=1e-12)


def test_no_column_repeats_another():
    graph = nx.gnp_random_graph(25, 0.2, seed=4)
    ours = potential_statistics(PackedGraphs.from_networkx([graph])).numpy()
    for a in range(10):
        assert np.abs(ours[:, a]).max() > 0.01
        for b in range(a):
            assert np.abs(ours[:, a] - ours[:, b]).max() > 0.01


def test_scale_and_signs(make_graphs):
    graphs = make_graphs([12, 30], 3, weights=True)
    was = potential_statistics(PackedGraphs.from_data_list(graphs))
    for graph in graphs:
        graph.edge_weight = graph.edge_weight * 4
    now = potential_statistics(PackedGraphs.from_data_list(graphs))
    torch.testing.assert_close(now, was / 4, rtol=1e-9, atol=1e-9)
    assert (was[:, [0, 1, 2, 4, 5, 6, 8, 9]] <= 0).all()
    assert (was[:, [3, 7]] >= 0).all()


def test_wrong_weights():
    graph = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight holds -1"):
        potential_statistics(PackedGraphs.from_data_list([graph]))


def large_graphs() -> dict[str, nx.Graph]:
    """Fresh graphs whose components are trees, small or neither, and more than fit in one or two blocks of columns."""
    seed = int(np.random.default_rng().integers(2**31))
    components = [
        nx.barabasi_albert_graph(101, 3, seed=seed),
        nx.random_labeled_tree(50, seed=seed),
        nx.cycle_graph(7),
        nx.complete_graph(4),
        nx.empty_graph(3),
        nx.path_graph(2),
        nx.cycle_graph(33),
    ]
    mixed = nx.disjoint_union_all(components)
    mixed.add_edges_from((node, node) for node in range(0, len(mixed), 9))
    found = {
        "mixed": mixed,
        "tree": nx.random_labeled_tree(150, seed=seed),
        "star": nx.star_graph(70),
        "grid": nx.grid_2d_graph(8, 12),
    }
    order = np.random.default_rng().permutation
    return {
        name: nx.relabel_nodes(graph, dict(zip(graph, order(len(graph)).tolist(), strict=True)))
        for name, graph in found.items()
    }


def packed_with_weights(graph: nx.Graph, spread: float) -> tuple[PackedGraphs, np.ndarray]:
    """Weights from 10^-spread to 10^spread."""
    edges = torch.tensor(list(graph.edges)).T
    weight = 10 ** torch.from_numpy(np.random.default_rng().uniform(-spread, spread, edges.size(1)))
    data = Data(edge_index=edges, edge_weight=weight, num_nodes=len(graph))
    return PackedGraphs.from_data_list([data]), dense(data)


@pytest.mark.parametrize("name", ["mixed", "tree", "star", "grid"])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_large_graphs_by_definition(name: str, spread: float, monkeypatch) -> None:
    packed, weights = packed_with_weights(large_graphs()[name], spread)
    of_pairs = potential_statistics(packed)
    monkeypatch.setattr(electrostatics, "_LARGE", 1)
    monkeypatch.setattr(electrostatics, "_SPARSE", 20)
    monkeypatch.setattr(electrostatics, "_PAIRS_AT_ONCE", 10)
    ours = potential_statistics(packed).numpy()
    scale = np.abs(ours).max()
    np.testing.assert_allclose(ours, of_pairs, atol=1e-10 * scale, rtol=0)
    np.testing.assert_allclose(ours, by_definition(weights), atol=1e-8 * scale, rtol=0)


def test_a_large_graph_among_small_ones(make_graphs, monkeypatch) -> None:
    graphs = make_graphs([5, 0, 40, 12, 1, 60], 4, weights=True)
    packed = PackedGraphs.from_data_list(graphs)
    expected = potential_statistics(packed)
    monkeypatch.setattr(electrostatics, "_LARGE", 30)
    monkeypatch.setattr(electrostatics, "_SPARSE", 30)
    torch.testing.assert_close(potential_statistics(packed), expected, atol=1e-10, rtol=0)


def test_all_the_same_has_no_deviation(monkeypatch) -> None:
    monkeypatch.setattr(electrostatics, "_LARGE", 1)
    monkeypatch.setattr(electrostatics, "_SPARSE", 1)
    out = potential_statistics(PackedGraphs.from_networkx([nx.complete_graph(70)])).numpy()
    np.testing.assert_allclose(out[:, [0, 1, 2, 4, 5, 6, 8, 9]], -1 / 70, rtol=1e-12)
    np.testing.assert_allclose(out[:, [3, 7]], 0, atol=1e-15)


@pytest.mark.parametrize("name", ["mixed", "tree"])
def test_weights_far_apart(name: str, monkeypatch) -> None:
    """Sparse factors would lose the smaller ones: resistances of all pairs do not, nor do sums along trees."""
    packed, _ = packed_with_weights(large_graphs()[name], 9.0)
    expected = potential_statistics(packed).numpy()
    monkeypatch.setattr(electrostatics, "_LARGE", 1)
    monkeypatch.setattr(electrostatics, "_SPARSE", 20)
    scale = np.abs(expected).max(0)
    np.testing.assert_allclose(potential_statistics(packed).numpy() / scale, expected / scale, atol=1e-10, rtol=0)


def test_what_takes_too_long_is_refused_at_once(monkeypatch) -> None:
    torus = PackedGraphs.from_networkx([nx.convert_node_labels_to_integers(nx.grid_2d_graph(50, 50, periodic=True))])
    monkeypatch.setattr(electrostatics, "sparse_potentials", lambda *_: pytest.fail("it was not refused at once"))
    message = "the potentials of all nodes on a graph of 2,500 nodes would take .*: take parts of the graph, or allow"
    with limits(seconds=1e-3), pytest.raises(GraphPEValueError, match=message):
        potential_statistics(torus)


def test_a_tree_of_many_nodes_is_no_work() -> None:
    """Where all pairs would take 10^10 numbers; of a path: what flows towards the far end, summed."""
    n = 100_000
    node = torch.arange(n - 1)
    out = potential_statistics(PackedGraphs.from_data(Data(edge_index=torch.stack([node, node + 1]), num_nodes=n)))
    np.testing.assert_allclose(out[0, 0], -(n - 1) / 2, rtol=1e-12)
    np.testing.assert_allclose(out[n // 2, 1], -(n // 2 - 1) / n, rtol=1e-12)
