from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.transforms import GDC

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.plan import Plan
from graphpe.walks.personalized_pagerank import pagerank_of_pairs, personalized_pagerank

seeds = st.integers(0, 2**32 - 1)


def graph_of(graph: nx.DiGraph, weighted: bool = False) -> Data:
    edges = np.array(graph.edges, dtype=np.int64).reshape(-1, 2).T
    data = Data(edge_index=torch.from_numpy(edges.copy()), num_nodes=graph.number_of_nodes())
    if weighted:
        data.edge_weight = torch.tensor([w for _, _, w in graph.edges(data="weight")], dtype=torch.float64)
    return data


@settings(deadline=None, max_examples=15)
@given(seed=seeds, alpha=st.sampled_from([0.05, 0.15, 0.6]), weighted=st.booleans())
def test_rows_are_networkx_pagerank(seed, alpha, weighted):
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(8, 0.25, seed=seed, directed=True)
    graph.add_edges_from((u, u) for u in range(8) if graph.out_degree(u) == 0)  # networkx sends on from there
    for u, v in graph.edges:
        graph[u][v]["weight"] = rng.uniform(0.1, 4) if weighted else 1.0
    values = personalized_pagerank(PackedGraphs.from_data(graph_of(graph, weighted)), alpha).view(8, 8)
    assert values.dtype == torch.float64
    for u in range(8):
        rank = nx.pagerank(graph, alpha=1 - alpha, personalization={u: 1}, tol=1e-14, max_iter=10_000)
        np.testing.assert_allclose(values[u], [rank[v] for v in range(8)], atol=1e-10)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, sizes=st.lists(st.integers(0, 12), min_size=1, max_size=6), undirected=st.booleans())
def test_fixed_point(seed, sizes, undirected):
    """PPR = alpha I + (1 - alpha) T PPR, and rows that sum to 1."""
    rng = np.random.default_rng(seed)
    edges = [rng.integers(0, max(n, 1), (2, int(rng.integers(0, 2 * n + 1)))) for n in sizes]
    graphs = [Data(edge_index=torch.from_numpy(e), num_nodes=n) for e, n in zip(edges, sizes, strict=True)]
    whole = PackedGraphs.from_data_list(graphs)
    values = personalized_pagerank(whole, 0.2, undirected)
    for b, (e, n) in enumerate(zip(edges, sizes, strict=True)):
        a = np.zeros((n, n))
        a[tuple(e)] = 1
        a = np.maximum(a, a.T) if undirected else a
        a += np.diag((a.sum(axis=1) == 0).astype(float))
        t = a / a.sum(axis=1, keepdims=True)
        own = values[whole.pair_ptr[b] : whole.pair_ptr[b + 1]].numpy().reshape(n, n)
        np.testing.assert_allclose(own, 0.2 * np.eye(n) + 0.8 * t @ own, atol=1e-13)
        np.testing.assert_allclose(own.sum(axis=1), 1, atol=1e-12)
        assert (own >= 0).all()


def test_same_as_pyg_where_it_is_dense():
    data = graph_of(nx.gnp_random_graph(20, 0.2, seed=4).to_directed())
    gdc = GDC(self_loop_weight=None, normalization_in="row", normalization_out=None, exact=True)
    edge_index, edge_weight = gdc.transition_matrix(data.edge_index, torch.ones(data.num_edges), 20, "row")
    expected = gdc.diffusion_matrix_exact(edge_index, edge_weight, 20, "ppr", alpha=0.1)
    actual = personalized_pagerank(PackedGraphs.from_data(data), 0.1).view(20, 20).float()
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


def test_no_edges_and_certain_restarts():
    alone = PackedGraphs.from_data(Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=3))
    np.testing.assert_allclose(personalized_pagerank(alone).view(3, 3), np.eye(3), rtol=1e-15)
    path = PackedGraphs.from_data(graph_of(nx.path_graph(3, create_using=nx.DiGraph)))
    assert torch.equal(personalized_pagerank(path, 1).view(3, 3), torch.eye(3, dtype=torch.float64))
    assert personalized_pagerank(PackedGraphs.from_data_list([])).shape == (0,)


def test_directed_path():
    values = personalized_pagerank(PackedGraphs.from_data(graph_of(nx.path_graph(4, create_using=nx.DiGraph))), 0.25)
    expected = [0.25, 0.25 * 0.75, 0.25 * 0.75**2, 0.75**3]  # stops before each step with 1/4, and at the end for sure
    np.testing.assert_allclose(values[:4], expected, atol=1e-15)
    assert values.view(4, 4)[1:, 0].eq(0).all()


@pytest.mark.parametrize("degree", [1, 5, 20])  # sparse factors, factors that are too full, dense from the start
def test_large_graphs(degree):
    rng = np.random.default_rng(degree)
    edges, n = rng.integers(0, 290, (2, 290 * degree)), 300  # the last ten are isolated
    weight = rng.uniform(0.1, 3, edges.shape[1])
    data = Data(edge_index=torch.from_numpy(edges), edge_weight=torch.from_numpy(weight), num_nodes=n)
    small = graph_of(nx.cycle_graph(5, create_using=nx.DiGraph))
    small.edge_weight = torch.ones(5, dtype=torch.float64)
    values = personalized_pagerank(PackedGraphs.from_data_list([small, data]), 0.15)
    a = np.zeros((n, n))
    np.add.at(a, tuple(edges), weight)
    a += np.diag((a.sum(axis=1) == 0).astype(float))
    expected = 0.15 * np.linalg.inv(np.eye(n) - 0.85 * a / a.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(values[25:].view(n, n), expected, atol=1e-13)
    assert values.min() == 0


def test_large_star():
    n = 2000
    star = graph_of(nx.star_graph(n - 1).to_directed())
    values = personalized_pagerank(PackedGraphs.from_data(star), 0.25).view(n, n)
    hub = 0.25 / (1 - 0.75**2)  # x = 1/4 + (3/4)^2 x at the hub, 3/4 x from a leaf
    np.testing.assert_allclose(values[0, 0], hub, rtol=1e-12)
    np.testing.assert_allclose(values[1:, 0], 0.75 * hub, rtol=1e-12)
    np.testing.assert_allclose(values.sum(dim=1), 1, rtol=1e-12)


def test_one_solve_for_all_who_ask():
    plan = Plan(PackedGraphs.from_data(graph_of(nx.cycle_graph(5, create_using=nx.DiGraph))))
    assert personalized_pagerank(plan, 0.3) is plan.once(pagerank_of_pairs, 0.3, "forward")


def test_errors():
    graphs = PackedGraphs.from_data(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    for wrong in (0, 1.5, -0.1, math.nan, math.inf):
        with pytest.raises(GraphPEValueError, match=r"alpha must be (a probability above 0 and at most 1|finite)"):
            personalized_pagerank(graphs, wrong)
    for wrong in ("0.1", None, True):
        with pytest.raises(GraphPETypeError, match="alpha must be a number"):
            personalized_pagerank(graphs, wrong)
    bad = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight"):
        personalized_pagerank(PackedGraphs.from_data(bad))
