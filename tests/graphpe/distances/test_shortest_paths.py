from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import shortest_path
from torch_geometric.data import Data

from graphpe.distances.shortest_paths import hop_distances, path_lengths, shortest_paths
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.plan import Plan


def dense(graph: Data, undirected: bool) -> np.ndarray:
    """A, or max(A, A^T), edge by edge."""
    a = np.zeros((graph.num_nodes, graph.num_nodes))
    weight = graph.edge_weight
    for e, (u, v) in enumerate(graph.edge_index.t().tolist()):
        a[u, v] = 1 if weight is None else a[u, v] + weight[e].item()
    return np.maximum(a, a.T) if undirected else a


def blocks(values: torch.Tensor, packed: PackedGraphs) -> list[np.ndarray]:
    parts = values.split(packed.sizes.square().tolist())
    return [part.view(n, n).numpy() for part, n in zip(parts, packed.sizes.tolist(), strict=True)]


@pytest.fixture(params=[False, True])
def graphs(request, make_graphs) -> list[Data]:
    return make_graphs([0, 1, 2, 9, 30, 63, 64, 65, 1, 129, 200], 5, weights=request.param)


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_scipy(graphs, undirected, weighted):
    packed = PackedGraphs.from_data_list(graphs)
    ours = shortest_paths(packed, undirected=undirected, weighted=weighted)
    assert ours.dtype == (torch.float64 if weighted else torch.int64)
    for got, graph in zip(blocks(ours, packed), graphs, strict=True):
        if not graph.num_nodes:
            assert got.shape == (0, 0)
            continue
        expected = shortest_path(dense(graph, undirected), unweighted=not weighted)
        np.testing.assert_allclose(got, np.where(np.isinf(expected), -1, expected), rtol=1e-12)


@pytest.mark.parametrize(
    "graph",
    [
        nx.path_graph(63),
        nx.path_graph(64),
        nx.path_graph(65),
        nx.path_graph(66),
        nx.path_graph(400),
        nx.cycle_graph(131),
        nx.star_graph(90),
        nx.grid_2d_graph(9, 11),
        nx.complete_graph(70),
        nx.random_labeled_tree(300, seed=3),
        nx.gnp_random_graph(140, 0.02, seed=4),
        nx.gnp_random_graph(140, 0.02, seed=5, directed=True),
    ],
    ids=str,
)
def test_networkx(graph):
    graph = nx.convert_node_labels_to_integers(graph)
    expected = np.full((len(graph), len(graph)), -1)
    for source, row in nx.all_pairs_shortest_path_length(graph):
        expected[source, list(row)] = list(row.values())
    ours = shortest_paths(PackedGraphs.from_networkx([graph]), undirected=not graph.is_directed())
    np.testing.assert_array_equal(ours.view(expected.shape), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_cut(graphs, weighted):
    packed = PackedGraphs.from_data_list(graphs)
    full = shortest_paths(packed, undirected=False, weighted=weighted)
    for limit in (1, 3, 10_000) + ((0.25,) if weighted else ()):
        cut = shortest_paths(packed, limit, undirected=False, weighted=weighted)
        assert cut.dtype == full.dtype
        torch.testing.assert_close(cut, torch.where(full < 0, limit + 1, full.clamp(max=limit)))
        assert cut.min() >= 0


def test_lengths_without_weights_are_hops(make_graphs):
    packed = PackedGraphs.from_data_list(make_graphs([5, 20], 2))
    torch.testing.assert_close(shortest_paths(packed, weighted=True), shortest_paths(packed, weighted=False).double())


def test_meaning_of_edges():
    # Parallel edges add, weight 0 is no edge, both directions count by the larger, loops do nothing.
    graph = Data(
        edge_index=torch.tensor([[0, 0, 1, 1, 2, 2, 3], [1, 1, 2, 1, 1, 3, 3]]),
        edge_weight=torch.tensor([1.0, 2.0, 4.0, 9.0, 5.0, 0.0, 1.0]),
        num_nodes=4,
    )
    packed = PackedGraphs.from_data_list([graph])
    lengths = shortest_paths(packed, weighted=True).view(4, 4)
    assert lengths.tolist() == [[0, 3, 8, -1], [3, 0, 5, -1], [8, 5, 0, -1], [-1, -1, -1, 0]]
    ahead = shortest_paths(packed, undirected=False, weighted=True).view(4, 4)
    assert ahead.tolist() == [[0, 3, 7, -1], [-1, 0, 4, -1], [-1, 5, 0, -1], [-1, -1, -1, 0]]
    assert shortest_paths(packed).view(4, 4)[0].tolist() == [0, 1, 2, -1]


def test_parts_are_shared(make_graphs):
    plan = Plan(PackedGraphs.from_data_list(make_graphs([4, 7], 0, weights=True)))
    first = shortest_paths(plan)
    before = plan.once(hop_distances, True).copy()
    shortest_paths(plan, 2)
    shortest_paths(plan, weighted=True)
    assert np.array_equal(plan.once(hop_distances, True), before)
    assert np.array_equal(first.numpy(), before)
    assert plan.expects(path_lengths, True)
    assert not plan.expects(hop_distances, False)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_wrong_limit(limit, make_graphs):
    with pytest.raises(GraphPEValueError, match="max_distance must be positive and finite, got"):
        shortest_paths(PackedGraphs.from_data_list(make_graphs([3], 0)), limit)


def test_hops_are_whole(make_graphs):
    with pytest.raises(GraphPEValueError, match=r"max_distance must be a whole number of hops, got 0\.5"):
        shortest_paths(PackedGraphs.from_data_list(make_graphs([3], 0)), 0.5)


def test_wrong_weights():
    graph = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight holds -1"):
        shortest_paths(PackedGraphs.from_data_list([graph]))
