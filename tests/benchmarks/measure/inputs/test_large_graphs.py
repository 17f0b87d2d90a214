from __future__ import annotations

import gzip

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.benchmarks.measure.inputs import large_graphs
from graphpe.benchmarks.measure.inputs.large_graphs import Graph


def make(name: str, size: int) -> Graph:
    return large_graphs.families()[name](size, np.random.default_rng(0))


def simple(graph: Graph) -> nx.Graph:
    out = nx.empty_graph(graph.num_nodes, create_using=nx.DiGraph if graph.directed else nx.Graph)
    out.add_edges_from(graph.edges.T.tolist())
    return out


def test_rings_and_grids_are_those():
    assert nx.is_isomorphic(simple(make("ring", 20)), nx.cycle_graph(20))
    assert nx.is_isomorphic(simple(make("grid", 30)), nx.grid_2d_graph(5, 5))


def test_barabasi_albert_has_its_degrees():
    graph = simple(make("Barabasi-Albert", 5000))
    degrees = np.array([degree for _, degree in graph.degree])
    expected = np.array([degree for _, degree in nx.barabasi_albert_graph(5000, 4, seed=0).degree])
    assert degrees.mean() == pytest.approx(8, rel=0.01)
    for share in (0.25, 0.5, 0.9, 0.99):
        assert np.quantile(degrees, share) == pytest.approx(np.quantile(expected, share), rel=0.15)
    assert 0.3 < degrees.max() / expected.max() < 3
    assert nx.number_of_selfloops(graph) == 0


def test_neighbours_are_the_nearest():
    graph = make("kNN-geometric", 300)
    assert nx.is_connected(simple(graph))
    assert 8 <= 2 * simple(graph).number_of_edges() / graph.num_nodes < 16


def test_digraphs_have_magnetic_operators():
    graph = make("random digraph", 500)
    assert nx.is_weakly_connected(simple(graph))
    assert graph.edges.shape[1] == pytest.approx(4 * graph.num_nodes, rel=0.02)
    assert graph.operator().dtype == torch.complex128
    assert make("ring", 5).operator().dtype == torch.float64


@pytest.mark.parametrize("name", large_graphs.families())
def test_a_seed_is_a_graph(name):
    assert np.array_equal(make(name, 200).edges, make(name, 200).edges)


def test_the_largest_component_is_kept():
    edges = np.array([[5, 1, 3], [1, 2, 0]])
    graph = large_graphs.largest_component(Graph("three", 7, edges))
    assert (graph.num_nodes, graph.edges.tolist()) == (3, [[2, 0], [0, 1]])


def test_what_is_absent_is_named(tmp_path):
    folder = tmp_path / "graphs" / "directed"
    folder.mkdir(parents=True)
    with gzip.open(folder / "p2p-Gnutella31.txt.gz", "wt") as file:
        file.write("4 3\n0 1\n1 2\n3 3\n")
    *absent, (name, size, edges, directed) = large_graphs.real_graphs(tmp_path)
    assert absent[0] == f"minnesota is left out: no graphs/pygsp/minnesota.mat in {tmp_path}"
    assert (name, size, edges.tolist(), directed) == ("p2p-Gnutella31", 3, [[0, 1], [1, 2]], True)


def test_real_graphs_have_their_sizes(shared_data):
    """Nodes as published; those of graphs in several pieces are fewer."""
    sizes = {graph.name: graph for graph in large_graphs.real_graphs(shared_data) if isinstance(graph, Graph)}
    published = {"airfoil": 4253, "3elt": 4720, "commanche_dual": 7920, "luxembourg_osm": 114_599, "mesh spot": 2930}
    published |= {"mesh horse": 48_485, "chameleon": 2277}
    assert {name: sizes[name].num_nodes for name in published} == published
    horse = sizes["mesh horse"]  # a closed surface of triangles: E = 3 F / 2, V - E + F = 2 (sphere)
    edges = simple(horse).number_of_edges()
    assert 2 * edges == 3 * 96_966
    assert horse.num_nodes - edges + 96_966 == pytest.approx(2, abs=4)
