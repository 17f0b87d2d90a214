from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling import threads
from graphpe.sampling.random_walks import Walks, drawn_starts, graph_keys, random_walks


def packed(*graphs: tuple[int, list[tuple[int, int]]]) -> PackedGraphs:
    """Graphs of so many nodes with these edges."""
    ptr = np.cumsum([0, *(nodes for nodes, _ in graphs)])
    edges = [np.array(e, dtype=np.int64).reshape(-1, 2).T + first for (_, e), first in zip(graphs, ptr, strict=False)]
    counts = np.cumsum([0, *(each.shape[1] for each in edges)])
    joined = np.concatenate([np.zeros((2, 0), np.int64), *edges], axis=1)
    return PackedGraphs(torch.from_numpy(joined), torch.from_numpy(ptr), torch.from_numpy(counts))


def both(edges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return edges + [(v, u) for u, v in edges]


def check(graphs: PackedGraphs, walks: Walks, *, backtracking: bool) -> None:
    """What walks must be, step by step, from the list of edges alone."""
    edges = [tuple(edge) for edge in graphs.edge_index.T.tolist()]
    leaving = {node: [head for tail, head in edges if tail == node] for node in range(graphs.num_nodes)}
    for nodes, taken in zip(walks.nodes.tolist(), walks.edges.tolist(), strict=True):
        for step, edge in enumerate(taken):
            here, there = nodes[step : step + 2]
            if here < 0 or not leaving[here]:  # after the end, or at it
                assert (there, edge) == (-1, -1)
                continue
            assert edges[edge] == (here, there)
            if not backtracking and step and there == nodes[step - 1]:
                assert set(leaving[here]) == {there}


graph = st.integers(0, 6).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=12) if n else st.just([])
    )
)


@settings(deadline=None, max_examples=60)
@given(st.lists(graph, max_size=4), st.integers(0, 6), st.booleans(), st.integers(0, 2**64 - 1))
def test_walks_go_along_edges_and_end_where_none_leaves(graphs, length: int, backtracking: bool, seed: int) -> None:
    batch = packed(*graphs)
    walks = random_walks(batch, length, backtracking=backtracking, seed=seed)
    assert walks.nodes.shape == (batch.num_nodes, length + 1)
    assert walks.edges.shape == (batch.num_nodes, length)
    assert np.array_equal(walks.nodes[:, 0], np.arange(batch.num_nodes))
    check(batch, walks, backtracking=backtracking)


# Parallel edges 0 -> 1, a loop at 2, a sink 4, a pendant node 5.
MANY = [(0, 1), (0, 1), (0, 2), (1, 0), (1, 2), (2, 2), (2, 0), (2, 3), (3, 4), (3, 0), (3, 1), (0, 5), (5, 0)]


def matrix_of(edges: list[tuple[int, int]], nodes: int) -> np.ndarray:
    """Probabilities of a step; sinks in a state of their own, the last."""
    counts = np.zeros((nodes + 1, nodes + 1))
    for tail, head in edges:
        counts[tail, head] += 1
    counts[counts.sum(1) == 0, nodes] = 1
    return counts / counts.sum(1, keepdims=True)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_nodes_after_some_steps_have_the_distribution_of_powers(length: int) -> None:
    graphs = packed((6, MANY))
    power = np.linalg.matrix_power(matrix_of(MANY, 6), length)
    for start in range(6):
        walks = random_walks(graphs, length, starts=np.full(20_000, start), seed=11 + start)
        found = np.bincount(walks.nodes[:, -1] % 7, minlength=7)  # -1 is 6
        possible = power[start] > 0
        assert not found[~possible].any()
        if possible.sum() > 1:
            assert chisquare(found[possible], 20_000 * power[start][possible]).pvalue > 1e-3


def test_parallel_edges_are_taken_equally_often() -> None:
    walks = random_walks(packed((6, MANY)), 1, starts=np.zeros(20_000, int), seed=4)
    found = np.bincount(walks.edges[:, 0], minlength=len(MANY))
    assert found[[0, 1, 2, 11]].sum() == 20_000
    assert chisquare(found[[0, 1, 2, 11]]).pvalue > 1e-3


def test_steps_that_do_not_lead_back_are_equally_probable() -> None:
    """Over pairs of steps: the second is uniform among the edges that do not lead back, or all where all do."""
    graphs = packed((6, MANY))
    walks = random_walks(graphs, 3, starts=np.arange(60_000) % 6, backtracking=False, seed=3)
    seen = Counter((a, b, c) for row in walks.nodes[:, :3].tolist() for a, b, c in [row] if c >= 0)
    for a, b in {(a, b) for a, b, _ in seen}:
        heads = [head for tail, head in MANY if tail == b]
        allowed = [head for head in heads if head != a] or heads
        expected = Counter(allowed)
        total = sum(seen[a, b, c] for c in range(6))
        assert {c for c in range(6) if seen[a, b, c]} <= expected.keys()
        if len(expected) > 1 and total > 200:
            found = [seen[a, b, c] for c in expected]
            assert chisquare(found, [total * k / len(allowed) for k in expected.values()]).pvalue > 1e-4
    assert all(walk[2] == 0 for walk in walks.nodes.tolist() if walk[:2] == [0, 5])  # a dead end: back is the only way


@pytest.mark.parametrize("backtracking", [True, False])
def test_the_stationary_distribution_stays(backtracking: bool) -> None:
    """From nodes by degree, walks on an undirected graph are at nodes by degree after any number of steps."""
    edges = both([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (5, 3), (1, 4)])
    degree = np.bincount([tail for tail, _ in edges])
    starts = np.repeat(np.arange(6), 3000 * degree)
    walks = random_walks(packed((6, edges)), 9, starts=starts, backtracking=backtracking, seed=8)
    for step in (1, 2, 9):
        found = np.bincount(walks.nodes[:, step], minlength=6)
        assert chisquare(found, 3000 * degree).pvalue > 1e-3


def test_walks_of_one_start_are_independent() -> None:
    """Of equal starts, consecutive walks take equal first steps as often as chance has it."""
    walks = random_walks(packed((5, [(0, k) for k in range(1, 5)])), 1, starts=np.zeros(40_000, int), seed=2)
    first = walks.nodes[:, 1]
    pairs = np.bincount((first[:-1] - 1) * 4 + first[1:] - 1, minlength=16)
    assert chisquare(pairs).pvalue > 1e-3


def test_one_seed_gives_one_result_alone_or_in_a_batch_in_any_order_of_edges_on_any_threads(monkeypatch) -> None:
    rng = np.random.default_rng()
    parts = [(n, [tuple(e) for e in rng.integers(0, n, (3 * n, 2))] if n else []) for n in (7, 0, 1, 12)]
    batch, seed = packed(*parts), int(rng.integers(2**63))
    together = random_walks(batch, 9, backtracking=False, seed=seed)
    first = 0
    for part in parts:
        alone = random_walks(packed(part), 9, backtracking=False, seed=seed)
        rows = together.nodes[first : first + part[0]]
        assert np.array_equal(np.where(rows < 0, rows, rows - first), alone.nodes)
        first += part[0]
    mixed = packed(*[(n, [edges[i] for i in rng.permutation(len(edges))]) for n, edges in parts])
    assert np.array_equal(random_walks(mixed, 9, backtracking=False, seed=seed).nodes, together.nodes)
    with everything_compiled():
        compiled = random_walks(batch, 9, backtracking=False, seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(compiled, together, strict=True))
    monkeypatch.setattr(threads, "_NUMBERS_A_THREAD", 1)
    before = torch.get_num_threads()
    try:
        for number in (2, 3, 7):
            torch.set_num_threads(number)
            with everything_compiled():
                split = random_walks(batch, 9, backtracking=False, seed=seed)
            assert all(np.array_equal(a, b) for a, b in zip(split, together, strict=True))
    finally:
        torch.set_num_threads(before)
    assert not np.array_equal(random_walks(batch, 9, backtracking=False, seed=seed + 1).nodes, together.nodes)


def test_graphs_with_keys_of_their_own_walk_apart() -> None:
    path = (30, both([(i, i + 1) for i in range(29)]))
    alike = random_walks(packed(path, path), 20, seed=5).nodes
    assert np.array_equal(alike[:30], alike[30:] - 30)
    keys = graph_keys(5, 3, alike=False)
    assert len(set(keys.tolist())) == 3
    assert len(set(graph_keys(5, 3).tolist())) == 1


def test_starts_are_drawn_at_a_rate() -> None:
    ptr = np.array([0, 30_000, 30_000, 60_000])
    found = drawn_starts(ptr, graph_keys(7, 3, alike=False), 0.25)
    assert abs(len(found) - 15_000) < 500
    assert not np.array_equal(found[found < 30_000], found[found >= 30_000] - 30_000)
    assert np.array_equal(drawn_starts(ptr, graph_keys(7, 3), 1.0), np.arange(60_000))


def test_errors() -> None:
    graphs = packed((3, [(0, 1)]))
    with pytest.raises(GraphPETypeError, match="walks run over a PackedGraphs, got list"):
        random_walks([], 3)
    with pytest.raises(GraphPEValueError, match="length must be from 0 to 65536, got -1"):
        random_walks(graphs, -1)
    with pytest.raises(GraphPEValueError, match="starts go from 1 to 3, but there are 3 nodes"):
        random_walks(graphs, 2, starts=np.array([1, 3]))
    with pytest.raises(GraphPETypeError, match=r"starts must be a vector of nodes, got float64 \[2\]"):
        random_walks(graphs, 2, starts=np.array([0.0, 1.0]))
    with pytest.raises(GraphPETypeError, match="backtracking must be True or False"):
        random_walks(graphs, 2, backtracking=1)
    with pytest.raises(GraphPEValueError, match="seed must be"):
        random_walks(graphs, 2, seed=-1)
    assert random_walks(graphs, 2, starts=np.array([], dtype=int)).nodes.shape == (0, 3)
