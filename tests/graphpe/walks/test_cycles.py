from __future__ import annotations

from math import comb, factorial

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.walks import cycles
from graphpe.walks.cycles import closed_walk_counts, cycle_counts


def pack(*graphs) -> PackedGraphs:
    return PackedGraphs.from_networkx(list(graphs))


@pytest.mark.parametrize("seed", range(8))
def test_cycles_against_networkx(seed):
    graphs = [nx.gnp_random_graph(10, p, seed=seed) for p in (0.2, 0.35, 0.5)]
    counts = cycle_counts(pack(*graphs), 7).view(3, 10, 5)
    for graph, got in zip(graphs, counts, strict=True):
        expected = torch.zeros(10, 5, dtype=torch.float64)
        for cycle in nx.simple_cycles(graph, length_bound=7):
            expected[cycle, len(cycle) - 3] += 1
        assert torch.equal(got, expected)


def test_cycles_of_a_complete_graph():
    n = 7
    counts = cycle_counts(pack(nx.complete_graph(n)), n)
    # Cycles of length l through a node: the others that it visits, in one of (l - 1)! orders up to direction.
    expected = [comb(n - 1, length - 1) * factorial(length - 1) / 2 for length in range(3, n + 1)]
    assert counts.tolist() == [expected] * n


def test_trees_and_large_stars_have_none():
    assert not cycle_counts(pack(nx.star_graph(5000), nx.balanced_tree(3, 5)), 8).any()


def test_direction_weight_loops_and_parallel_edges_do_not_count():
    edges = torch.tensor([[0, 1, 2, 0, 1, 2, 2], [1, 2, 0, 0, 2, 1, 3]])
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0, 1.0, 1.0, 1.0])
    graphs = PackedGraphs(edges, ptr=torch.tensor([0, 4]), edge_ptr=torch.tensor([0, 7]), edge_weight=weight)
    assert cycle_counts(graphs, 4).tolist() == [[1, 0], [1, 0], [1, 0], [0, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_closed_walks_against_matrix_powers(seed):
    graphs = [nx.gnp_random_graph(n, 0.4, seed=seed) for n in (1, 5, 12)]
    counts = closed_walk_counts(pack(*graphs), 8)
    expected = []
    for graph in graphs:
        matrix = nx.to_numpy_array(graph)
        expected.append(np.stack([np.diag(np.linalg.matrix_power(matrix, k)) for k in range(3, 9)], axis=1))
    assert np.array_equal(counts.numpy(), np.concatenate(expected))


def test_a_graph_that_is_too_dense_is_refused(monkeypatch):
    monkeypatch.setattr(cycles, "MOST_STEPS", 1000)
    monkeypatch.setattr(cycles, "check_effort", lambda *_: None)  # where the estimate was too low
    with pytest.raises(GraphPEValueError, match="graph 1 has too many paths of up to 9 nodes"):
        cycle_counts(pack(nx.cycle_graph(5), nx.complete_graph(12)), 9)


@pytest.mark.parametrize("count", [cycle_counts, closed_walk_counts])
def test_short_lengths_are_an_error(count):
    with pytest.raises(GraphPEValueError, match="max_length must be from 3 on, got 2"):
        count(pack(nx.path_graph(2)), 2)


@pytest.mark.parametrize("count", [cycle_counts, closed_walk_counts])
def test_empty_graphs(count):
    assert count(pack(nx.empty_graph(0), nx.empty_graph(1), nx.empty_graph(3)), 5).shape == (4, 3)


def test_lengths_of_which_powers_are_beyond_floats():
    counts = cycle_counts(pack(nx.cycle_graph(40), nx.empty_graph(0)), 1200)
    assert counts[:, 37].tolist() == [1] * 40
    assert counts.sum() == 40
