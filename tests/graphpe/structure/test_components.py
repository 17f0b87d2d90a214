from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.structure.components import balanced_components, find_components, potentials
from graphpe.structure.laplacian import SymmetricPairs, symmetric_pairs

seeds = st.integers(0, 2**32 - 1)


def pairs_of(edges: np.ndarray, n: int) -> SymmetricPairs:
    return symmetric_pairs(torch.from_numpy(np.ascontiguousarray(edges)).reshape(2, -1), n)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, n=st.integers(0, 60), density=st.floats(0, 2))
def test_components_are_those_of_networkx(seed, n, density):
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, max(n, 1), (2, int(density * n)))
    graph = nx.Graph(list(edges.T.tolist()))
    graph.add_nodes_from(range(n))
    label, first = find_components(pairs_of(edges, n), n)
    expected = sorted((sorted(nodes) for nodes in nx.connected_components(graph)), key=lambda nodes: nodes[0])
    assert [np.flatnonzero(label == c).tolist() for c in range(len(first))] == expected
    assert first.tolist() == [nodes[0] for nodes in expected]


def test_long_paths_in_any_order_are_one_component():
    order = np.random.default_rng(3).permutation(5000)
    label, first = find_components(pairs_of(np.stack([order[:-1], order[1:]]), 5000), 5000)
    assert len(first) == 1
    assert not label.any()


@settings(deadline=None, max_examples=30)
@given(seed=seeds, n=st.integers(1, 40))
def test_potential_of_a_forest_fits_every_edge(seed, n):
    rng = np.random.default_rng(seed)
    child = np.array([v for v in range(1, n) if rng.random() < 0.9], dtype=int)
    parent = np.array([rng.integers(0, v) for v in child], dtype=int)
    flip = rng.random(len(child)) < 0.5
    name = rng.permutation(n)
    edges = name[np.where(flip, [child, parent], [parent, child])]
    pairs = pairs_of(edges, n)
    components = find_components(pairs, n)
    potential = potentials(pairs, n, components)
    assert (potential[edges[1]] - potential[edges[0]] == 1).all()
    assert not potential[components.first].any()
    assert balanced_components(pairs, potential, np.full(len(pairs.row), 0.123), components).all()


def test_balance_of_each_component():
    # a directed 4-cycle; a triangle with a level function's missing edge reversed; a reciprocal triangle; a lone node
    edges = np.array([[0, 1, 2, 3, 4, 5, 4, 7, 8, 8, 9, 9, 7], [1, 2, 3, 0, 5, 6, 6, 8, 7, 9, 8, 7, 9]])
    pairs = pairs_of(edges, 11)
    components = find_components(pairs, 11)
    potential = potentials(pairs, 11, components)

    def balanced(q: float) -> list[bool]:
        return balanced_components(pairs, potential, np.full(len(pairs.row), q), components).tolist()

    assert balanced(0.1) == [False, False, True, True]
    # The 4-cycle turns by whole turns at q = 1/4; the triangle's misfit is one edge, which only whole q repair.
    assert balanced(0.25) == [True, False, True, True]
    assert balanced(0.25 + 1e-9) == [False, False, True, True]
    assert balanced(0.0) == balanced(2.0) == [True] * 4
