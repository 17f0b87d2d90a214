from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from networkx.algorithms.isomorphism import GraphMatcher

from graphpe.homomorphisms.canonical import automorphisms, canonical, orbits


def form(graph: nx.Graph) -> object:
    return canonical(len(graph), tuple(graph.edges), (0,) * len(graph))


def random_graph(rng: np.random.Generator) -> nx.Graph:
    return nx.gnp_random_graph(int(rng.integers(1, 8)), rng.random(), seed=int(rng.integers(1 << 30)))


@pytest.mark.parametrize("turn", range(60))
def test_one_labelling_for_isomorphic_graphs_and_no_others(turn):
    rng = np.random.default_rng()
    graph, other = random_graph(rng), random_graph(rng)
    moved = nx.relabel_nodes(graph, dict(enumerate(rng.permutation(len(graph)).tolist())))
    assert form(moved) == form(graph)
    assert (form(graph) == form(other)) == nx.is_isomorphic(graph, other)
    colours, edges = form(graph)
    again = nx.Graph(list(edges))
    again.add_nodes_from(range(len(colours)))
    assert nx.is_isomorphic(again, graph)


@pytest.mark.parametrize("turn", range(30))
def test_automorphisms_and_orbits_against_networkx(turn):
    graph = random_graph(np.random.default_rng())
    found = list(GraphMatcher(graph, graph).isomorphisms_iter())
    n, edges = len(graph), tuple(graph.edges)
    assert automorphisms(n, edges, (0,) * n) == len(found)
    expected = {tuple(sorted({each[node] for each in found})) for node in graph}
    assert set(orbits(n, edges)) == expected
    assert automorphisms(n, edges, (0, *(1,) * (n - 1))) == sum(each[0] == 0 for each in found)


def test_regular_graphs_that_refinement_does_not_tell_apart():
    two_triangles, hexagon = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), nx.cycle_graph(6)
    assert form(two_triangles) != form(hexagon)
    petersen = nx.petersen_graph()
    assert automorphisms(10, tuple(petersen.edges), (0,) * 10) == 120
    assert orbits(10, tuple(petersen.edges)) == (tuple(range(10)),)


def test_twins_cost_nothing():
    star = nx.star_graph(30)
    assert len(orbits(31, tuple(star.edges))) == 2
    assert len(orbits(30, tuple(nx.complete_graph(30).edges))) == 1
