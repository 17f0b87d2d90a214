from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.walks.directed_walks import directed_walk_pairs, directed_walk_visits

seeds = st.integers(0, 2**32 - 1)
some_sizes = st.lists(st.integers(0, 8), min_size=1, max_size=5)


def random_digraph(rng: np.random.Generator, n: int, weighted: bool) -> Data:
    """Parallel edges, self-loops, sinks and isolated nodes included."""
    edges = rng.integers(0, max(n, 1), (2, int(rng.integers(0, 1.5 * n + 1))))
    data = Data(edge_index=torch.from_numpy(edges), num_nodes=n)
    if weighted:
        data.edge_weight = torch.from_numpy(rng.uniform(0.1, 3, edges.shape[1]))
    return data


def transition_matrix(data: Data, reverse: bool) -> np.ndarray:
    """D^-1 A, where nodes that no edge leaves stay."""
    n = data.num_nodes
    a = np.zeros((n, n))
    weight = [1.0] * data.num_edges if data.edge_weight is None else data.edge_weight.tolist()
    for (u, v), w in zip(data.edge_index.T.tolist(), weight, strict=True):
        a[u, v] = 1.0 if data.edge_weight is None else a[u, v] + w
    a = a.T if reverse else a
    a = a + np.diag((a.sum(axis=1) == 0).astype(float))
    return a / a.sum(axis=1, keepdims=True)


def expected_pairs(data: Data, walk_length: int, ppr: float | None) -> np.ndarray:
    """`[n, n, C]`, the geometric series of PPR summed term by term."""
    channels = []
    for reverse in (False, True):
        t = transition_matrix(data, reverse)
        channels += [np.linalg.matrix_power(t, k) for k in range(1, walk_length + 1)]
        if ppr is not None:
            series, term = np.zeros_like(t), ppr * np.eye(len(t))
            for _ in range(int(40 / ppr)):
                series += term
                term = (1 - ppr) * term @ t
            channels.append(series)
    return np.stack(channels, axis=-1)


def packed(seed: int, sizes: list[int], weighted: bool) -> tuple[list[Data], PackedGraphs]:
    rng = np.random.default_rng(seed)
    graphs = [random_digraph(rng, n, weighted) for n in sizes]
    return graphs, PackedGraphs.from_data_list(graphs)


@settings(deadline=None, max_examples=25)
@given(
    seed=seeds,
    sizes=some_sizes,
    weighted=st.booleans(),
    walk_length=st.integers(1, 4),
    ppr=st.sampled_from([None, 0.05, 0.5, 1.0]),
)
def test_against_dense_powers_and_series(seed, sizes, weighted, walk_length, ppr):
    graphs, whole = packed(seed, sizes, weighted)
    expected = [expected_pairs(graph, walk_length, ppr) for graph in graphs]
    pairs = directed_walk_pairs(whole, walk_length, ppr)
    assert pairs.dtype == torch.float32
    np.testing.assert_allclose(pairs, np.concatenate([each.reshape(-1, each.shape[2]) for each in expected]), atol=1e-6)
    nodes = directed_walk_visits(whole, walk_length, ppr)
    assert nodes.dtype == torch.float64
    means = [each.sum(axis=0) / max(len(each), 1) for each in expected]
    np.testing.assert_allclose(nodes, np.concatenate(means), atol=1e-11, rtol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, weighted=st.booleans())
def test_probabilities_and_reversal(seed, weighted):
    (data,), whole = packed(seed, [9], weighted)
    pairs, nodes = directed_walk_pairs(whole, 3).view(9, 9, 8), directed_walk_visits(whole, 3)
    assert pairs.min() >= 0
    np.testing.assert_allclose(pairs.sum(dim=1), 1, atol=1e-6)
    np.testing.assert_allclose(nodes.sum(dim=0), 1, atol=1e-9)
    turned = Data(edge_index=data.edge_index.flip(0), num_nodes=9)
    turned.edge_weight = data.edge_weight
    back = PackedGraphs.from_data(turned)
    halves = [4, 5, 6, 7, 0, 1, 2, 3]
    torch.testing.assert_close(directed_walk_pairs(back, 3).view(9, 9, 8), pairs[:, :, halves], atol=1e-6, rtol=0)
    torch.testing.assert_close(directed_walk_visits(back, 3), nodes[:, halves], atol=1e-12, rtol=1e-8)


def test_without_edges_everything_stays():
    alone = PackedGraphs.from_data(Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=4))
    pairs = directed_walk_pairs(alone, 2, 0.3).view(4, 4, 6)
    assert torch.equal(pairs, torch.eye(4)[:, :, None].expand(4, 4, 6))
    assert torch.equal(directed_walk_visits(alone, 2, 0.3), torch.full((4, 6), 0.25, dtype=torch.float64))
    none = PackedGraphs.from_data_list([])
    assert directed_walk_pairs(none, 2, 0.3).shape == directed_walk_visits(none, 2, 0.3).shape == (0, 6)


@pytest.mark.parametrize("n", [60, 150])  # solved by elimination, and by sweeps
@pytest.mark.parametrize("ppr", [0.02, 0.15])
def test_visits_with_restarts_are_pagerank(n, ppr):
    # Every node has a loop: networkx sends walks on from nodes that no edge leaves, where ours stay.
    graph = nx.gnp_random_graph(n, 3 / n, seed=3, directed=True)
    graph.add_edges_from((u, u) for u in range(n))
    edges = torch.tensor(list(graph.edges)).T
    nodes = directed_walk_visits(PackedGraphs.from_data(Data(edge_index=edges, num_nodes=n)), 1, ppr)
    for column, which in ((1, graph), (3, graph.reverse())):
        rank = nx.pagerank(which, alpha=1 - ppr, tol=1e-14, max_iter=10_000)
        np.testing.assert_allclose(nodes[:, column], [rank[u] for u in range(n)], atol=1e-11)


def test_large_graphs_need_no_pairs():
    # A star of 50,000 leaves that lead to the hub: with pairs it would take 20 GB a channel.
    n = 50_001
    edges = torch.stack([torch.arange(1, n), torch.zeros(n - 1, dtype=torch.long)])
    nodes = directed_walk_visits(PackedGraphs.from_data(Data(edge_index=edges, num_nodes=n)), 2, 0.05)
    np.testing.assert_allclose(nodes[0, :3], [1, 1, 1 - 0.05 * (n - 1) / n], rtol=1e-9)
    np.testing.assert_allclose(nodes[1, :3], [0, 0, 0.05 / n], rtol=1e-9)
    np.testing.assert_allclose(nodes[7, 3:5], [1 / n + 1 / n / (n - 1)] * 2, rtol=1e-9)


def test_errors():
    graphs = PackedGraphs.from_data(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    for function in (directed_walk_pairs, directed_walk_visits):
        with pytest.raises(GraphPEValueError, match="walk_length must be from 1 on, got 0"):
            function(graphs, 0)
        with pytest.raises(GraphPEValueError, match="ppr must be a probability above 0 and at most 1, got 0"):
            function(graphs, 1, 0.0)
        with pytest.raises(GraphPETypeError, match="ppr must be a number, got 'x'"):
            function(graphs, 1, "x")
