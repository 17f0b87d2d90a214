from __future__ import annotations

import itertools
from math import factorial, perm

import networkx as nx
import numpy as np
import pytest
import torch

import graphpe
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.homomorphisms import counts
from graphpe.homomorphisms.counts import graph_homomorphism_counts, homomorphism_counts, rooted
from graphpe.walks.cycles import closed_walk_counts
from graphpe.walks.return_probabilities import return_probabilities


def random_graphs(sizes: tuple[int, ...]) -> list[nx.Graph]:
    rng = np.random.default_rng()
    return [nx.gnp_random_graph(n, rng.uniform(0.2, 1), seed=int(rng.integers(1 << 30))) for n in sizes]


HEAVY = {
    "edges": [*itertools.combinations(range(4), 2), *((2 + leaf % 2, 4 + leaf) for leaf in range(20))],
    "root": 0,
}


def enumerated(pattern, graph: nx.Graph, weight=None) -> np.ndarray:
    """Every map of the pattern's nodes to the graph's, looked at."""
    out = np.zeros(len(graph), dtype=object if weight is None else float)
    for image in itertools.product(graph, repeat=pattern.num_nodes):
        if all(graph.has_edge(image[a], image[b]) for a, b in pattern.edges):
            out[image[pattern.root]] += 1 if weight is None else np.prod([weight[v] for v in image])
    return out


def test_all_patterns_of_five_nodes_against_enumeration():
    graphs = random_graphs((1, 5, 6, 4))
    packed = PackedGraphs.from_networkx(graphs)
    got = homomorphism_counts(packed, "Connected(5)")
    weighted = homomorphism_counts(packed, "Connected(5)", "inverse_degree")
    assert got.dtype == torch.int64
    weights = [{v: 1 / max(d, 1) for v, d in graph.degree} for graph in graphs]
    for column, pattern in enumerate(rooted("Connected(5)")):
        expected = np.concatenate([enumerated(pattern, graph) for graph in graphs])
        assert got[:, column].tolist() == expected.tolist(), pattern
        expected = np.concatenate([enumerated(pattern, g, w) for g, w in zip(graphs, weights, strict=True)])
        np.testing.assert_allclose(weighted[:, column], expected, rtol=1e-12)


@pytest.mark.parametrize("turn", range(3))
def test_random_patterns_of_six_and_seven_nodes_against_enumeration(turn):
    rng = np.random.default_rng()
    patterns = []
    for n in (6, 7):
        graph = nx.gnm_random_graph(n, int(rng.integers(2 * n - 3, 3 * n - 4)), seed=int(rng.integers(1 << 30)))
        graph.add_edges_from(itertools.pairwise(range(n)))
        graph.nodes[int(rng.integers(n))]["root"] = True
        patterns.append(graph)
    graphs = [*random_graphs((5,)), nx.complete_graph(4), nx.complete_bipartite_graph(2, 3)]
    got = homomorphism_counts(PackedGraphs.from_networkx(graphs), patterns)
    for column, pattern in enumerate(rooted(patterns)):
        expected = np.concatenate([enumerated(pattern, graph) for graph in graphs])
        assert got[:, column].tolist() == expected.tolist(), pattern


def test_cycles_are_closed_walks():
    graphs = PackedGraphs.from_networkx(random_graphs((30, 1, 12, 50)))
    assert torch.equal(homomorphism_counts(graphs, "Cycles(8)"), closed_walk_counts(graphs, 8).long())


def test_cycles_with_weights_are_return_probabilities():
    graphs = PackedGraphs.from_networkx(random_graphs((20, 1, 7, 2)))
    got = homomorphism_counts(graphs, "Cycles(9)", "inverse_degree")
    torch.testing.assert_close(got, return_probabilities(graphs, 9)[:, 2:].double(), rtol=1e-6, atol=1e-7)


def test_paths_stars_and_trees_are_walks_and_powers_of_degrees():
    graph = random_graphs((40,))[0]
    got = homomorphism_counts(PackedGraphs.from_networkx(graph), ["Path(6, root=0)", "Star(6)"]).numpy()
    matrix = nx.to_numpy_array(graph, dtype=np.int64)
    ones = np.ones(40, dtype=np.int64)
    assert (got[:, 0] == np.linalg.matrix_power(matrix, 5) @ ones).all()
    assert (got[:, 1] == (matrix @ ones) ** 5).all()
    assert (got[:, 2] == matrix @ (matrix @ ones) ** 4).all()


@pytest.mark.parametrize("size", range(3, 9))
def test_cliques_in_complete_and_random_graphs(size):
    graphs = [nx.complete_graph(9), random_graphs((14,))[0]]
    packed = PackedGraphs.from_networkx(graphs)
    got = homomorphism_counts(packed, f"Clique({size})")[:, 0]
    assert got[:9].tolist() == [perm(8, size - 1)] * 9
    through = dict.fromkeys(graphs[1], 0)
    for found in nx.enumerate_all_cliques(graphs[1]):
        if len(found) == size:
            for node in found:
                through[node] += factorial(size - 1)
    assert got[9:].tolist() == list(through.values())


def test_many_cliques_of_a_larger_graph():
    graph = nx.gnp_random_graph(120, 0.3)
    got = homomorphism_counts(PackedGraphs.from_networkx(graph), ["Clique(5)", "Cycle(3)"])
    triangles = nx.triangles(graph)
    assert got[:, 1].tolist() == [2 * triangles[node] for node in graph]
    expected = sum(len(found) == 5 for found in nx.enumerate_all_cliques(graph))
    assert int(got[:, 0].sum()) == expected * factorial(5)


def test_colourings_of_patterns():
    # Homomorphisms to a complete graph are proper colourings: the chromatic polynomial.
    for colours in (3, 5):
        graph = PackedGraphs.from_networkx(nx.complete_graph(colours))
        for pattern in (nx.cycle_graph(7), nx.complete_bipartite_graph(3, 3), nx.wheel_graph(6)):
            expected = nx.chromatic_polynomial(pattern).subs({"x": colours})
            assert int(graph_homomorphism_counts(graph, pattern)[0, 0]) == expected
    three = PackedGraphs.from_networkx(nx.complete_graph(3))
    assert graph_homomorphism_counts(three, nx.petersen_graph()).tolist() == [[120]]


def test_graphs_are_sums_of_their_nodes():
    graphs = PackedGraphs.from_networkx([*random_graphs((8, 1, 12)), nx.empty_graph(0)])
    whole = graph_homomorphism_counts(graphs, "Connected(4)")
    patterns = rooted("Connected(4)")
    of_nodes = homomorphism_counts(graphs, "Connected(4)")
    column = 0
    for i, (name, _) in enumerate(itertools.groupby(patterns, key=lambda each: each.edges)):
        while column < len(patterns) and patterns[column].edges == name:
            per_graph = [int(part[:, column].sum()) for part in of_nodes.split([8, 1, 12, 0])]
            assert whole[:, i].tolist() == per_graph
            column += 1


def test_batches_are_their_graphs(monkeypatch):
    graphs = random_graphs((7, 3, 1, 9, 30, 2))
    packed = PackedGraphs.from_networkx(graphs)
    alone = torch.cat([homomorphism_counts(PackedGraphs.from_networkx(each), "Connected(4)") for each in graphs])
    assert torch.equal(homomorphism_counts(packed, "Connected(4)"), alone)
    monkeypatch.setattr(counts, "_CHUNK_NODES", 8)
    assert torch.equal(homomorphism_counts(packed, "Connected(4)"), alone)


def test_trees_do_not_see_what_colour_refinement_does_not():
    # Dvorak 2010; Dell, Grohe, Rattan 2018: equal counts of all trees, if and only if refinement gives equal colours.
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    regular = [nx.random_regular_graph(3, 14) for _ in range(2)]
    for pair in ([hexagon, triangles], regular):
        a, b = graph_homomorphism_counts(PackedGraphs.from_networkx(pair), "Trees(8)")
        assert torch.equal(a, b)
    a, b = graph_homomorphism_counts(PackedGraphs.from_networkx([hexagon, triangles]), "Cycles(6)")
    assert a.tolist() == [0, 36, 0, 132]
    assert b.tolist() == [12, 36, 60, 132]
    a, b = graph_homomorphism_counts(PackedGraphs.from_networkx([nx.path_graph(4), nx.star_graph(3)]), "Trees(3)")
    assert not torch.equal(a, b)


def test_treewidth_two_does_not_see_strongly_regular_graphs():
    # Refinement of pairs gives the rook's and the Shrikhande graph equal colours: patterns of treewidth 2 and less do
    # not tell them apart (Dvorak 2010), cliques of four nodes do.
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    steps = ((0, 1), (1, 0), (1, 1))
    shrikhande = nx.Graph(
        (4 * a + b, 4 * ((a + x) % 4) + (b + y) % 4) for a in range(4) for b in range(4) for x, y in steps
    )
    both = PackedGraphs.from_networkx([nx.convert_node_labels_to_integers(rook), shrikhande])
    a, b = graph_homomorphism_counts(both, ["Trees(6)", "Cycles(8)", nx.complete_bipartite_graph(2, 4)])
    assert torch.equal(a, b)
    assert graph_homomorphism_counts(both, "Clique(4)").flatten().tolist() == [8 * 24, 0]


def test_cliques_tell_strongly_regular_graphs_apart(shared_data):
    graphs = nx.read_graph6(shared_data / "expressivity" / "sr251256.g6")
    packed = PackedGraphs.from_networkx(graphs)
    told = {}
    for patterns in ("Trees(6)", "Cycles(8)", "Cliques(4)", "Cliques(5)"):
        rows = homomorphism_counts(packed, patterns).view(15, 25, -1)
        several = [sorted(map(tuple, nodes.tolist())) for nodes in rows]
        told[patterns] = sum(a != b for a, b in itertools.combinations(several, 2))
    assert told == {"Trees(6)": 0, "Cycles(8)": 0, "Cliques(4)": 98, "Cliques(5)": 105}


def test_directions_weights_loops_and_parallel_edges_do_not_count():
    edges = torch.tensor([[0, 1, 2, 0, 1, 2, 2], [1, 2, 0, 0, 2, 1, 3]])
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0, 1.0, 1.0, 1.0])
    graphs = PackedGraphs(edges, ptr=torch.tensor([0, 4]), edge_ptr=torch.tensor([0, 7]), edge_weight=weight)
    plain = PackedGraphs.from_networkx(nx.Graph([(0, 1), (1, 2), (2, 0), (2, 3)]))
    assert torch.equal(homomorphism_counts(graphs, "Connected(4)"), homomorphism_counts(plain, "Connected(4)"))


@pytest.mark.parametrize(
    ("pattern", "graph"),
    [
        ("Star(9, root=0)", nx.star_graph(1 << 8)),  # 2^64: it would wrap to 0
        ("Star(10, root=1)", nx.star_graph(1 << 8)),
        ("Path(32)", nx.complete_graph(6)),
        ("Cycle(32)", nx.complete_graph(6)),
        ("Clique(22)", nx.complete_graph(22)),
        (HEAVY, nx.complete_graph(12)),  # 11^10 at each of two nodes of a core
    ],
)
def test_what_int64_does_not_hold_is_named(pattern, graph):
    graphs = PackedGraphs.from_networkx([nx.path_graph(2), graph, nx.path_graph(3)])

    def count(weights: str = "none") -> torch.Tensor:
        return homomorphism_counts(graphs, pattern, weights)

    with pytest.raises(GraphPEValueError, match=r"to graph 1, or from a part of it, are more than 9.2e\+18") as caught:
        count()
    assert "\n" not in str(caught.value)
    assert count("inverse_degree").isfinite().all()


def test_just_below_the_limit_counts_are_exact():
    graph = PackedGraphs.from_networkx(nx.star_graph(233))
    assert homomorphism_counts(graph, "Star(9, root=0)")[0, 0] == 233**8  # 8.7e18
    assert graph_homomorphism_counts(graph, "Star(9)")[0, 0] == 233**8 + 233
    with pytest.raises(GraphPEValueError, match=r"from Star\(9\) to graph 0"):  # each of two is held, the sum is not
        graph_homomorphism_counts(PackedGraphs.from_networkx(nx.complete_bipartite_graph(233, 2)), "Star(9)")


def test_what_would_take_too_long_is_refused(monkeypatch):
    graph = PackedGraphs.from_networkx(nx.complete_graph(60))
    with (
        graphpe.limits(seconds=1e-6),
        pytest.raises(GraphPEValueError, match=r"Cycle\(8\) at 0 on a graph of 60 nodes"),
    ):
        homomorphism_counts(graph, "Cycle(8)")
    monkeypatch.setattr(counts, "_FEW_STEPS", 10)
    for pattern in ("Clique(5)", nx.complete_bipartite_graph(3, 3)):
        with graphpe.limits(seconds=1e-5), pytest.raises(GraphPEValueError, match="takes more than 2,500 steps"):
            homomorphism_counts(graph, pattern)


def test_no_nodes_and_no_edges():
    empty = PackedGraphs.from_networkx([nx.empty_graph(0), nx.empty_graph(1), nx.empty_graph(3)])
    assert homomorphism_counts(empty, "Connected(5)").tolist() == [[0] * 73] * 4
    assert graph_homomorphism_counts(empty, "Connected(5)").tolist() == [[0] * 30] * 3
    assert not homomorphism_counts(empty, "Connected(4)", "inverse_degree").any()
    nothing = PackedGraphs.from_data_list([])
    assert homomorphism_counts(nothing, "Path(3)").shape == (0, 2)


def test_arguments():
    graph = PackedGraphs.from_networkx(nx.path_graph(3))
    with pytest.raises(GraphPEValueError, match="weights must be one of 'none', 'inverse_degree', got 'degree'"):
        homomorphism_counts(graph, "Path(3)", "degree")
    with pytest.raises(GraphPETypeError, match="patterns must be texts"):
        homomorphism_counts(graph, None)
