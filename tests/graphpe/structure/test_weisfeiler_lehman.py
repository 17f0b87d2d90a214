from __future__ import annotations

import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import random as random_matrix

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.weisfeiler_lehman import refined_colours


def partition(colours) -> list[int]:
    """Colours as the number of the first node that has them."""
    first: dict = {}
    return [first.setdefault(colour, i) for i, colour in enumerate(colours)]


def refine(graph: nx.DiGraph, iterations: int) -> list[list]:
    """Colour refinement with nested tuples for colours: exact, and comparable across graphs."""
    colour = dict.fromkeys(graph, ())
    out = []
    for _ in range(iterations):
        colour = {
            v: (
                colour[v],
                tuple(sorted((repr(colour[w]), graph[v][w].get("weight", 1.0)) for w in graph.successors(v))),
                tuple(sorted((repr(colour[u]), graph[u][v].get("weight", 1.0)) for u in graph.predecessors(v))),
            )
            for v in graph
        }
        out.append([hash(repr(colour[v])) for v in sorted(graph)])
    return out


@pytest.mark.parametrize("weighted", [False, True])
def test_same_partition_as_exact_refinement_across_graphs(weighted):
    graphs = []
    for seed in range(12):
        n = 3 + seed
        matrix = random_matrix(n, n, 0.2, random_state=seed)
        weights = np.random.default_rng(seed).choice([0.5, 2.0], matrix.nnz) if weighted else np.ones(matrix.nnz)
        graph = nx.DiGraph()
        graph.add_nodes_from(range(n))
        graph.add_weighted_edges_from(zip(matrix.row.tolist(), matrix.col.tolist(), weights.tolist(), strict=True))
        graphs.append(graph)
    packed = PackedGraphs.from_networkx(graphs)
    colours = refined_colours(packed, 4)
    expected = [refine(graph, 4) for graph in graphs]
    for t in range(4):
        exact = [colour for each in expected for colour in each[t]]
        assert partition(colours[:, t].tolist()) == partition(exact)


def test_regular_graphs_are_not_told_apart_but_others_are():
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    path = nx.path_graph(6)
    colours = refined_colours(PackedGraphs.from_networkx([hexagon, triangles, path]), 3).view(3, 6, 3)
    assert torch.equal(colours[0], colours[1])
    assert not torch.equal(colours[0], colours[2])
    assert len(set(colours[2, :, 2].tolist())) == 3  # a path's nodes by their distance from an end


def test_direction_counts():
    out_star = PackedGraphs.from_networkx(nx.DiGraph([(0, 1), (0, 2)]))
    in_star = PackedGraphs.from_networkx(nx.DiGraph([(1, 0), (2, 0)]))
    a, b = refined_colours(out_star, 1), refined_colours(in_star, 1)
    assert not set(a.flatten().tolist()) & set(b.flatten().tolist())


@pytest.mark.slow
def test_colours_are_those_of_another_process():
    program = (
        "import networkx as nx; from graphpe.graphs.packed import PackedGraphs as P;"
        "from graphpe.structure.weisfeiler_lehman import *;"
        "print(refined_colours(P.from_networkx(nx.path_graph(4)), 2).tolist())"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = refined_colours(PackedGraphs.from_networkx(nx.path_graph(4)), 2).tolist()
    assert there.strip().splitlines()[-1] == str(here)


def test_precision_of_weights_does_not_matter():
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    weight = torch.tensor([0.1, 0.2, 0.7])
    build = {"ptr": torch.tensor([0, 3]), "edge_ptr": torch.tensor([0, 3])}
    single = refined_colours(PackedGraphs(edges, edge_weight=weight, **build), 2)
    double = refined_colours(PackedGraphs(edges, edge_weight=weight.double(), **build), 2)
    assert torch.equal(single, double)


def test_no_rounds_are_an_error():
    with pytest.raises(GraphPEValueError, match="iterations must be from 1 on, got 0"):
        refined_colours(PackedGraphs.from_networkx(nx.path_graph(2)), 0)
