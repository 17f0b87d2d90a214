from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.resistance import commute_times, effective_resistances, pseudo_inverse, resistances
from graphpe.structure.plan import Plan


def dense(graph: Data) -> np.ndarray:
    """S = max(A, A^T), edge by edge."""
    a = np.zeros((graph.num_nodes, graph.num_nodes))
    for e, (u, v) in enumerate(graph.edge_index.t().tolist()):
        a[u, v] = 1 if graph.edge_weight is None else a[u, v] + graph.edge_weight[e].item()
    return np.maximum(a, a.T)


def blocks(values, packed: PackedGraphs) -> list[np.ndarray]:
    parts = np.split(np.asarray(values), np.cumsum(packed.sizes.numpy() ** 2)[:-1])
    return [part.reshape(n, n) for part, n in zip(parts, packed.sizes.tolist(), strict=True)]


def of_networkx(graph: nx.Graph) -> np.ndarray:
    n = len(graph)
    return effective_resistances(PackedGraphs.from_networkx([graph])).view(n, n).numpy()


@pytest.fixture(params=[False, True])
def graphs(request, make_graphs) -> list[Data]:
    return make_graphs([0, 1, 2, 3, 9, 20, 40, 1, 80], 5, weights=request.param)


def test_pseudo_inverse_is_that_of_numpy(graphs):
    packed = PackedGraphs.from_data_list(graphs)
    for got, graph in zip(blocks(Plan(packed).once(pseudo_inverse), packed), graphs, strict=True):
        s = dense(graph)
        np.testing.assert_allclose(got, np.linalg.pinv(np.diag(s.sum(1)) - s, rcond=1e-9), atol=1e-9)


def test_resistances_by_definition(graphs):
    packed = PackedGraphs.from_data_list(graphs)
    for got, graph in zip(blocks(effective_resistances(packed), packed), graphs, strict=True):
        s = dense(graph)
        inverse = np.linalg.pinv(np.diag(s.sum(1)) - s, rcond=1e-9)
        own = np.diag(inverse)
        label = connected_components(s)[1] if len(s) else np.zeros(0)
        apart = label[:, None] != label
        np.testing.assert_allclose(got, np.where(apart, -1, own[:, None] + own - 2 * inverse), atol=1e-9)


def test_foster(graphs):
    packed = PackedGraphs.from_data_list(graphs)
    for got, graph in zip(blocks(effective_resistances(packed), packed), graphs, strict=True):
        s = dense(graph)
        if not len(s):
            continue
        np.fill_diagonal(s, 0)
        count = connected_components(s)[0]
        assert (s * got).sum() / 2 == pytest.approx(len(s) - count, abs=1e-10)


def test_metric(graphs):
    packed = PackedGraphs.from_data_list(graphs)
    for got in blocks(effective_resistances(packed), packed):
        np.testing.assert_array_equal(got, got.T)
        far = np.where(got < 0, np.inf, got)
        assert not np.diag(got).any()
        if len(got):
            assert (far[:, :, None] <= far[:, None, :] + far.T[None, :, :] + 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_networkx(seed):
    rng = np.random.default_rng(seed)
    graph = nx.connected_watts_strogatz_graph(25, 4, 0.3, seed=seed)
    for u, v in graph.edges:
        graph[u][v]["weight"] = float(rng.integers(1, 20)) / 4
    expected = nx.resistance_distance(graph, weight="weight", invert_weight=False)
    ours = of_networkx(graph)
    for u in graph:
        for v in graph:
            assert ours[u, v] == pytest.approx(expected[u][v], abs=1e-10)


def test_closed_forms():
    n = 11
    np.testing.assert_allclose(of_networkx(nx.complete_graph(n)), 2 / n * (1 - np.eye(n)), rtol=1e-13)
    away = np.abs(np.arange(n)[:, None] - np.arange(n))
    np.testing.assert_allclose(of_networkx(nx.cycle_graph(n)), away * (n - away) / n, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(of_networkx(nx.path_graph(n)), away, rtol=1e-13)
    # K_{a,b}: 2 / b inside the part of a, 2 / a inside that of b, (a + b - 1) / (a b) across.
    parts = of_networkx(nx.complete_bipartite_graph(3, 5))
    np.testing.assert_allclose([parts[0, 1], parts[4, 5], parts[0, 6]], [2 / 5, 2 / 3, 7 / 15], rtol=1e-13)
    assert of_networkx(nx.hypercube_graph(3)).max() == pytest.approx(5 / 6)


def test_series_and_parallel():
    # 0 -w- 1 twice (parallel edges add), 1 - 2 in series, and a loop that does nothing.
    graph = Data(
        edge_index=torch.tensor([[0, 0, 1, 1], [1, 1, 2, 1]]),
        edge_weight=torch.tensor([2.0, 3.0, 4.0, 7.0]),
        num_nodes=3,
    )
    ours = effective_resistances(PackedGraphs.from_data_list([graph])).view(3, 3)
    np.testing.assert_allclose(ours, [[0, 0.2, 0.45], [0.2, 0, 0.25], [0.45, 0.25, 0]], rtol=1e-14)


def test_trees_are_exact_whatever_their_weights():
    rng = np.random.default_rng(2)
    tree = nx.random_labeled_tree(40, seed=2)
    edges = np.array(tree.edges).T
    weight = 10.0 ** rng.uniform(-38, 38, edges.shape[1])
    graph = Data(edge_index=torch.from_numpy(edges), edge_weight=torch.from_numpy(weight), num_nodes=40)
    for (u, v), w in zip(edges.T, weight, strict=True):
        tree[u][v]["weight"] = 1 / w
    expected = [[nx.dijkstra_path_length(tree, u, v) for v in range(40)] for u in range(40)]
    ours = effective_resistances(PackedGraphs.from_data_list([graph])).view(40, 40)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_small_resistances_beside_large_ones():
    # A ring of which one edge conducts 1e30 times better than the rest.
    edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    graph = Data(edge_index=edges, edge_weight=torch.tensor([1e30, 1.0, 1.0, 1.0]), num_nodes=4)
    ours = effective_resistances(PackedGraphs.from_data_list([graph])).view(4, 4)
    assert ours[0, 1] == pytest.approx(1e-30, rel=1e-6)
    assert ours[1, 2] == pytest.approx(2 / 3, rel=1e-12)


def test_scale(make_graphs):
    graphs = make_graphs([7, 30], 3, weights=True)
    was = effective_resistances(PackedGraphs.from_data_list(graphs))
    for graph in graphs:
        graph.edge_weight = graph.edge_weight * 8
    packed = PackedGraphs.from_data_list(graphs)
    now = effective_resistances(packed)
    torch.testing.assert_close(now, torch.where(was < 0, was, was / 8), rtol=1e-12, atol=0)


def test_commute_times_are_hitting_times(make_graphs):
    graphs = [graph for graph in make_graphs([2, 6, 12, 25], 11, weights=True)]
    for graph in graphs:  # connected: a path through all nodes besides what there is
        n = graph.num_nodes
        path = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
        graph.edge_index = torch.cat([graph.edge_index, path], 1)
        graph.edge_weight = torch.cat([graph.edge_weight, torch.full((n - 1,), 0.3, dtype=torch.float64)])
        del graph.edge_attr
    assert any((graph.edge_index[0] == graph.edge_index[1]).any() for graph in graphs)  # loops: steps that stay
    packed = PackedGraphs.from_data_list(graphs)
    for got, graph in zip(blocks(commute_times(packed), packed), graphs, strict=True):
        s = dense(graph)
        step, n = s / s.sum(1, keepdims=True), len(s)
        hitting = np.zeros((n, n))
        for target in range(n):
            rest = np.delete(np.arange(n), target)
            hitting[rest, target] = np.linalg.solve(np.eye(n - 1) - step[np.ix_(rest, rest)], np.ones(n - 1))
        np.testing.assert_allclose(got, hitting + hitting.T, rtol=1e-9)


def test_components_have_volumes_of_their_own():
    two = Data(edge_index=torch.tensor([[0, 2, 3], [1, 3, 4]]), num_nodes=6)
    packed = PackedGraphs.from_data_list([two])
    ours = commute_times(packed).view(6, 6)
    assert ours[0].tolist() == [0, 2, -1, -1, -1, -1]
    assert ours[2].tolist() == [-1, -1, 0, 4, 8, -1]
    assert ours[5].tolist() == [-1, -1, -1, -1, -1, 0]


def test_large_star_and_dense_graph():
    star = of_networkx(nx.star_graph(1500))
    np.testing.assert_allclose(star[0, 1:], 1, rtol=1e-12)
    assert star[3, 900] == pytest.approx(2)
    dense_graph = nx.gnp_random_graph(120, 0.5, seed=1)
    laplacian = nx.laplacian_matrix(dense_graph).toarray().astype(float)
    inverse = np.linalg.inv(laplacian + 1 / 120)
    own = np.diag(inverse)
    np.testing.assert_allclose(of_networkx(dense_graph), own[:, None] + own - 2 * inverse, atol=1e-13)


def test_parts_are_left_alone(make_graphs):
    plan = Plan(PackedGraphs.from_data_list(make_graphs([5, 9], 0)))
    before = plan.once(resistances).copy()
    effective_resistances(plan).fill_(7)
    commute_times(plan).fill_(7)
    plan.once(pseudo_inverse)
    assert np.array_equal(plan.once(resistances), before)


@pytest.mark.parametrize("function", [effective_resistances, commute_times])
def test_wrong_weights(function):
    graph = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight holds -1"):
        function(PackedGraphs.from_data_list([graph]))
