from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
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
