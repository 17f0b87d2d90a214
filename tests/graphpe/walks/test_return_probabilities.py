from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphpe import laplacian
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.walks import diagonal_powers as module
from graphpe.walks.return_probabilities import return_probabilities

seeds = st.integers(0, 2**32 - 1)


def random_digraph(rng: np.random.Generator, n: int, weighted: bool, density: float = 1.5) -> Data:
    """Parallel edges, self-loops, sinks, isolated nodes and weights of 0 included."""
    edges = rng.integers(0, max(n, 1), (2, int(rng.integers(0, density * n + 1))))
    data = Data(edge_index=torch.from_numpy(edges), num_nodes=n)
    if weighted:
        data.edge_weight = torch.from_numpy(rng.uniform(0.1, 3, edges.shape[1]) * (rng.random(edges.shape[1]) > 0.1))
    return data


def transition_matrix(data: Data, undirected: bool = False) -> np.ndarray:
    """By the documented meaning, node by node."""
    n = data.num_nodes
    a = np.zeros((n, n))
    weight = [1.0] * data.num_edges if data.edge_weight is None else data.edge_weight.tolist()
    for (u, v), w in zip(data.edge_index.T.tolist(), weight, strict=True):
        a[u, v] = 1.0 if data.edge_weight is None else a[u, v] + w
    if undirected:
        a = np.maximum(a, a.T)
    for u in range(n):
        if a[u].sum() > 0:
            a[u] /= a[u].sum()
        elif a[:, u].sum() > 0:
            a[u, u] = 1.0
    return a


def by_powers(p: np.ndarray, walk_length: int) -> np.ndarray:
    return np.stack([np.linalg.matrix_power(p, k).diagonal() for k in range(1, walk_length + 1)], axis=1)


@settings(deadline=None, max_examples=50)
@given(
    seed=seeds,
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    walk_length=st.integers(1, 7),
    weighted=st.booleans(),
    undirected=st.booleans(),
    blocks=st.booleans(),
)
def test_against_matrix_powers(seed, sizes, walk_length, weighted, undirected, blocks):
    rng = np.random.default_rng(seed)
    graphs = [random_digraph(rng, n, weighted) for n in sizes]
    with pytest.MonkeyPatch.context() as patch:
        if blocks:
            patch.setattr(module, "_BLOCK_ENTRIES", 10)
        else:  # the ways of large graphs
            patch.setattr(module, "_LARGE", 1)
        actual = return_probabilities(PackedGraphs.from_data_list(graphs), walk_length, undirected)
    expected = [by_powers(transition_matrix(graph, undirected), walk_length) for graph in graphs]
    assert actual.dtype == torch.float64
    np.testing.assert_allclose(actual, np.concatenate(expected), atol=1e-12)


@pytest.mark.parametrize("undirected", [False, True])
def test_large_graphs(undirected):
    rng = np.random.default_rng(1)
    graphs = [random_digraph(rng, n, weighted=True, density=6) for n in (700, 3, 150, 40)]
    actual = return_probabilities(PackedGraphs.from_data_list(graphs), 5, undirected)
    expected = [by_powers(transition_matrix(graph, undirected), 5) for graph in graphs]
    np.testing.assert_allclose(actual, np.concatenate(expected), atol=1e-12)


def undirected_graph(graph: nx.Graph) -> PackedGraphs:
    edges = np.array([(u, v) for a, b in graph.edges for u, v in ((a, b), (b, a))]).T
    return PackedGraphs.from_data(Data(edge_index=torch.from_numpy(edges), num_nodes=graph.number_of_nodes()))


def test_closed_forms():
    n, steps = 7, np.arange(1, 9)
    complete = return_probabilities(undirected_graph(nx.complete_graph(n)), 8)
    np.testing.assert_allclose(complete[3], (1 + (n - 1) * (-1.0 / (n - 1)) ** steps) / n, atol=1e-14)
    cycle = return_probabilities(undirected_graph(nx.cycle_graph(9)), 8)
    expected = [math.comb(k, k // 2) / 2**k if k % 2 == 0 else 0 for k in steps]
    np.testing.assert_allclose(cycle[0], expected, atol=1e-14)
    star = return_probabilities(undirected_graph(nx.star_graph(n)), 4)
    np.testing.assert_allclose(star[0], [0, 1, 0, 1], atol=1e-14)
    np.testing.assert_allclose(star[1], [0, 1 / n, 0, 1 / n], atol=1e-14)


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_undirected_walks_are_functions_of_the_laplacian(seed):
    rng = np.random.default_rng(seed)
    data = random_digraph(rng, int(rng.integers(1, 12)), weighted=True)
    steps = return_probabilities(PackedGraphs.from_data(data), 6, undirected=True).numpy()
    values, vectors = np.linalg.eigh(laplacian(data.edge_index, data.num_nodes, data.edge_weight).to_dense().numpy())
    expected = np.stack([(vectors**2) @ (1 - values) ** k for k in range(1, 7)], axis=1)
    isolated = transition_matrix(data, undirected=True).sum(axis=1) == 0
    np.testing.assert_allclose(steps[~isolated], expected[~isolated], atol=1e-11)
    assert not steps[isolated].any()


def test_sinks_absorb_and_isolated_nodes_have_no_walk():
    # 0 -> 1 -> 2 with 2 a sink, a directed triangle 3 -> 4 -> 5 -> 3, node 6 alone, a loop at 7
    data = Data(edge_index=torch.tensor([[0, 1, 3, 4, 5, 7], [1, 2, 4, 5, 3, 7]]), num_nodes=8)
    steps = return_probabilities(PackedGraphs.from_data(data), 4)
    assert steps.tolist() == [[0] * 4, [0] * 4, [1] * 4, *[[0, 0, 1, 0]] * 3, [0] * 4, [1] * 4]
    path = return_probabilities(PackedGraphs.from_data(data), 2, undirected=True)[:3]
    np.testing.assert_allclose(path, [[0, 0.5], [0, 1], [0, 0.5]], atol=1e-15)


def test_meaning_of_parallel_edges_and_weights():
    # From 0 to 1 twice, to 2 once; both return for sure.
    edge_index = torch.tensor([[0, 0, 0, 1, 2], [1, 1, 2, 0, 2]])
    plain = return_probabilities(PackedGraphs.from_data(Data(edge_index=edge_index, num_nodes=3)), 2)
    assert plain[0].tolist() == [0, 0.5]
    ones = Data(edge_index=edge_index, edge_weight=torch.ones(5), num_nodes=3)
    torch.testing.assert_close(return_probabilities(PackedGraphs.from_data(ones), 2)[0, 1].item(), 2 / 3)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, weighted=st.booleans(), undirected=st.booleans())
def test_invariances(seed, weighted, undirected):
    rng = np.random.default_rng(seed)
    graphs = [random_digraph(rng, int(rng.integers(1, 90)), weighted) for _ in range(4)]
    whole = return_probabilities(PackedGraphs.from_data_list(graphs), 5, undirected)
    parts = [return_probabilities(PackedGraphs.from_data(graph), 5, undirected) for graph in graphs]
    torch.testing.assert_close(whole, torch.cat(parts), atol=1e-13, rtol=1e-12)
    order = torch.from_numpy(rng.permutation(graphs[0].num_nodes))
    moved = Data(edge_index=order[graphs[0].edge_index], num_nodes=graphs[0].num_nodes)
    if weighted:
        moved.edge_weight = 7 * graphs[0].edge_weight
    again = return_probabilities(PackedGraphs.from_data(moved), 5, undirected)
    torch.testing.assert_close(again[order], parts[0], atol=1e-13, rtol=1e-12)


def test_nothing_to_walk_on():
    assert return_probabilities(PackedGraphs.from_data_list([]), 3).shape == (0, 3)
    empty = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=0)
    lone = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=1)
    assert return_probabilities(PackedGraphs.from_data_list([empty, lone, empty]), 3).tolist() == [[0, 0, 0]]


def test_errors():
    graphs = PackedGraphs.from_data(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    with pytest.raises(GraphPEValueError, match="walk_length must be from 1 on, got 0"):
        return_probabilities(graphs, 0)
    bad = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([math.nan]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight holds nan"):
        return_probabilities(PackedGraphs.from_data(bad), 2)


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_graph_gets_the_same_bits_as_beside_others(undirected: bool, weighted: bool) -> None:
    rng = np.random.default_rng(5)
    graphs = [random_digraph(rng, n, weighted) for n in (0, 1, 2, 7, 12, 23)]
    together = return_probabilities(PackedGraphs.from_data_list(graphs), 9, undirected)
    alone = [return_probabilities(PackedGraphs.from_data(graph), 9, undirected) for graph in graphs]
    assert torch.equal(torch.cat(alone), together)
    assert any(part.any() for part in alone)
