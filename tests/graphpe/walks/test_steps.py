from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.pair_blocks import diagonal_rows
from graphpe.structure.plan import Need, Plan
from graphpe.walks import steps as walks
from graphpe.walks.return_probabilities import return_probabilities
from graphpe.walks.steps import batched_powers, compiled_powers, isolated_nodes, powers, steps, walk_powers

seeds = st.integers(0, 2**32 - 1)
some_sizes = st.lists(st.integers(0, 9), min_size=1, max_size=5)
DIRECTIONS = ["forward", "reverse", "both"]


def random_digraph(rng: np.random.Generator, n: int, weighted: bool) -> Data:
    """Parallel edges, self-loops, sinks, isolated nodes and weights of 0 included."""
    edges = rng.integers(0, max(n, 1), (2, int(rng.integers(0, 1.5 * n + 1))))
    data = Data(edge_index=torch.from_numpy(edges), num_nodes=n)
    if weighted:
        data.edge_weight = torch.from_numpy(rng.uniform(0.1, 3, edges.shape[1]) * (rng.random(edges.shape[1]) > 0.1))
    return data


def transition_matrix(data: Data, direction: str = "forward") -> np.ndarray:
    """By the documented meaning, node by node."""
    n = data.num_nodes
    a = np.zeros((n, n))
    weight = [1.0] * data.num_edges if data.edge_weight is None else data.edge_weight.tolist()
    for (u, v), w in zip(data.edge_index.T.tolist(), weight, strict=True):
        a[u, v] = 1.0 if data.edge_weight is None else a[u, v] + w
    if direction != "forward":
        a = a.T if direction == "reverse" else np.maximum(a, a.T)
    p = np.zeros((n, n))
    for u in range(n):
        if a[u].sum() > 0:
            p[u] = a[u] / a[u].sum()
        elif a[:, u].sum() > 0:
            p[u, u] = 1.0
    return p


def by_powers(p: np.ndarray, count: int) -> np.ndarray:
    return np.stack([np.linalg.matrix_power(p, k) for k in range(count)], axis=-1).reshape(-1, count)


def packed(seed: int, sizes: list[int], weighted: bool) -> tuple[list[Data], PackedGraphs]:
    rng = np.random.default_rng(seed)
    graphs = [random_digraph(rng, n, weighted) for n in sizes]
    return graphs, PackedGraphs.from_data_list(graphs)


@settings(deadline=None, max_examples=40)
@given(
    seed=seeds,
    sizes=some_sizes,
    weighted=st.booleans(),
    count=st.integers(1, 7),
    direction=st.sampled_from(DIRECTIONS),
    blocks=st.booleans(),
)
def test_powers_against_dense_powers(seed, sizes, weighted, count, direction, blocks):
    graphs, whole = packed(seed, sizes, weighted)
    expected = np.concatenate([by_powers(transition_matrix(graph, direction), count) for graph in graphs])
    with pytest.MonkeyPatch.context() as patch:
        if blocks:  # the path of large graphs
            patch.setattr(walks, "_POWERS_BYTES", 1)
        actual = compiled_powers(Plan(whole), count, direction)
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual, expected, atol=1e-7)
    other = batched_powers(Plan(whole), count, direction)
    assert other.dtype == torch.float32
    np.testing.assert_allclose(other, actual, atol=1e-7)


def test_large_graphs_and_long_walks():
    graphs, whole = packed(0, [300, 2, 90], weighted=True)
    expected = np.concatenate([by_powers(transition_matrix(graph), 40) for graph in graphs])
    np.testing.assert_allclose(walk_powers(whole, 40), expected, atol=1e-7)
    np.testing.assert_allclose(batched_powers(Plan(whole), 40, "forward"), expected, atol=1e-7)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, sizes=some_sizes, weighted=st.booleans(), undirected=st.booleans())
def test_the_diagonal_holds_return_probabilities(seed, sizes, weighted, undirected):
    _, whole = packed(seed, sizes, weighted)
    diagonal = walk_powers(whole, 6, undirected)[diagonal_rows(whole)]
    np.testing.assert_allclose(diagonal[:, 1:], return_probabilities(whole, 5, undirected), atol=1e-7)
    assert (diagonal[:, 0] == 1).all()


@settings(deadline=None, max_examples=20)
@given(seed=seeds, weighted=st.booleans())
def test_reverse_walks_are_those_of_the_reversed_graph(seed, weighted):
    (data,), whole = packed(seed, [8], weighted)
    turned = Data(edge_index=data.edge_index.flip(0), num_nodes=8)
    turned.edge_weight = data.edge_weight
    turned_plan = Plan(PackedGraphs.from_data(turned))
    for there, back in (("forward", "reverse"), ("reverse", "forward"), ("both", "both")):
        expected = turned_plan.once(powers, 4, back)
        torch.testing.assert_close(Plan(whole).once(powers, 4, there), expected, atol=1e-7, rtol=0)


def test_sinks_absorb_and_isolated_nodes_have_no_walk():
    # 0 -> 1 -> 2 with 2 a sink; 3 alone; a loop at 4
    data = Data(edge_index=torch.tensor([[0, 1, 4], [1, 2, 4]]), num_nodes=5)
    plan = Plan(PackedGraphs.from_data(data))
    assert plan.once(isolated_nodes).tolist() == [False, False, False, True, False]
    values = walk_powers(plan, 3).view(5, 5, 3)
    assert values[0].T.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]
    for still in (2, 4):
        assert values[still, still].tolist() == [1, 1, 1]
        assert values[still].sum() == 3
    assert values[3].sum() == values[3, 3, 0] == 1


def test_extreme_weights_are_probabilities():
    data = Data(
        edge_index=torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]]),
        edge_weight=torch.tensor([1e-300, 3e-300, 1e300, 1e38], dtype=torch.float64),
        num_nodes=3,
    )
    matrix = Plan(PackedGraphs.from_data(data)).once(steps, "forward")
    np.testing.assert_allclose(matrix.weight, [0.25, 0.75, 1, 1], rtol=1e-12)


def test_shorter_walks_share_longer_ones():
    _, whole = packed(3, [5, 7], weighted=False)
    plan = Plan(whole, [Need(powers, 4, ("forward",)), Need(powers, 9, ("forward",))])
    short, long = walk_powers(plan, 4), walk_powers(plan, 9)
    assert plan.up_to(powers, 2, "forward").shape[1] == 9
    assert short.is_contiguous()
    assert torch.equal(short, long[:, :4])
    assert torch.equal(short, walk_powers(whole, 4))


def test_complete_graph():
    n, count = 6, 8
    edges = torch.tensor([(u, v) for u in range(n) for v in range(n) if u != v]).T
    values = walk_powers(PackedGraphs.from_data(Data(edge_index=edges, num_nodes=n)), count).view(n, n, count)
    decay = (-1.0 / (n - 1)) ** np.arange(count)
    np.testing.assert_allclose(values[2, 2], (1 + (n - 1) * decay) / n, atol=1e-7)
    np.testing.assert_allclose(values[4, 1], (1 - decay) / n, atol=1e-7)


def test_large_star():
    star = nx.star_graph(1500)
    edges = torch.tensor([(u, v) for a, b in star.edges for u, v in ((a, b), (b, a))]).T
    values = walk_powers(PackedGraphs.from_data(Data(edge_index=edges, num_nodes=1501)), 3).view(1501, 1501, 3)
    np.testing.assert_allclose(values[1:, 1:, 2], 1 / 1500, rtol=1e-6)
    assert (values[1:, 0, 1] == 1).all()


def test_nothing_to_walk_on():
    assert walk_powers(PackedGraphs.from_data_list([]), 3).shape == (0, 3)
    empty = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=0)
    lone = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=1)
    graphs = PackedGraphs.from_data_list([empty, lone, empty])
    assert walk_powers(graphs, 3).tolist() == [[1, 0, 0]]
    assert batched_powers(Plan(graphs), 3, "forward").tolist() == [[1, 0, 0]]


def test_errors():
    graphs = PackedGraphs.from_data(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    with pytest.raises(GraphPEValueError, match="walk_length must be from 1 on, got 0"):
        walk_powers(graphs, 0)
    bad = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([math.nan]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight holds nan"):
        walk_powers(PackedGraphs.from_data(bad), 2)
