from __future__ import annotations

import networkx as nx
import pytest

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.homomorphisms.patterns import as_literals, connected_graphs, read_patterns


def test_connected_graphs_are_those_of_the_atlas():
    atlas = [graph for graph in nx.graph_atlas_g() if 2 <= len(graph) <= 6 and nx.is_connected(graph)]
    ours = read_patterns("Connected(6)")
    assert len(ours) == len(atlas) == 142
    left = {size: [graph for graph in atlas if len(graph) == size] for size in range(2, 7)}
    for pattern in ours:
        (same,) = [each for each in left[pattern.num_nodes] if nx.is_isomorphic(each, nx.Graph(list(pattern.edges)))]
        left[pattern.num_nodes].remove(same)


def test_orbits_are_those_of_graphlets():
    # Przulj 2007: 73 orbits of graphs of 2 to 5 nodes, 15 of 2 to 4.
    assert sum(len(each.roots()) for each in read_patterns("Connected(5)")) == 73
    assert sum(len(each.roots()) for each in read_patterns("Connected(4)")) == 15


def test_trees_are_as_many_as_networkx_finds():
    sizes = [each.num_nodes for each in read_patterns("Trees(10)")]
    assert [sizes.count(n) for n in range(2, 11)] == [nx.number_of_nonisomorphic_trees(n) for n in range(2, 11)]
    # Rooted trees, as there are: 1, 2, 4, 9, 20, 48, 115 of 2 to 8 nodes (OEIS A000081).
    roots = [(each.num_nodes, len(each.roots())) for each in read_patterns("Trees(8)")]
    assert [sum(count for size, count in roots if size == n) for n in range(2, 9)] == [1, 2, 4, 9, 20, 48, 115]


@pytest.mark.parametrize(
    ("text", "graph"),
    [
        ("Path(5)", nx.path_graph(5)),
        ("Star(5)", nx.star_graph(4)),
        ("Cycle(7)", nx.cycle_graph(7)),
        ("Clique(6)", nx.complete_graph(6)),
    ],
)
def test_names(text, graph):
    (pattern,) = read_patterns(text)
    assert pattern.name == text
    assert pattern.num_nodes == len(graph)
    assert set(pattern.edges) == {tuple(sorted(edge)) for edge in graph.edges}


def test_families_and_roots():
    assert [each.name for each in read_patterns(["Cycles(5)", "Cliques(3)"])] == [
        "Cycle(3)", "Cycle(4)", "Cycle(5)", "Clique(2)", "Clique(3)",
    ]  # fmt: skip
    assert [each.roots() for each in read_patterns(["Path(4)", "Path(4, root=3)", "Star(4)"])] == [[0, 1], [3], [0, 1]]
    named = [each.name for each in read_patterns("Connected(4)")]
    assert named[:3] == ["Path(2)", "Path(3)", "Cycle(3)"]
    assert {"Path(4)", "Star(4)", "Cycle(4)", "Clique(4)"} < set(named)
    assert len(read_patterns("Trees(2)")) == 1


def test_networkx_graphs_become_lists_of_edges():
    graph = nx.Graph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    (plain,) = as_literals(graph)
    assert plain == [(0, 1), (0, 2), (1, 2), (2, 3)]
    graph.nodes["d"]["root"] = True
    (rooted,) = as_literals([graph])
    assert rooted == {"edges": plain, "root": 3}
    assert as_literals(as_literals([graph, "Path(3)"])) == (rooted, "Path(3)")
    (pattern,) = read_patterns([(0, 1), (1, 2), (2, 1)])  # one list of edges, one of them twice
    assert pattern.edges == ((0, 1), (1, 2))


@pytest.mark.parametrize(
    ("patterns", "error", "words"),
    [
        (4, GraphPETypeError, "patterns must be texts such as"),
        ([], GraphPETypeError, "patterns must be texts such as"),
        ([None], GraphPETypeError, "a pattern must be a text such as"),
        ([[(0, 1, 2)]], GraphPETypeError, "a pattern must be a text such as"),
        ([[]], GraphPETypeError, "a pattern must be a text such as"),
        ("Ring(5)", GraphPEValueError, "there is no pattern Ring: there are Path, Star"),
        ("Cycle", GraphPEValueError, r"cannot read the pattern 'Cycle': write Cycle\(4, root=0\)"),
        ("Cycles(5, root=0)", GraphPEValueError, r"write Cycles\(4\)"),
        ("Cycle(5, n=5)", GraphPEValueError, "cannot read the pattern"),
        ("Cycle(5, 1, 2)", GraphPEValueError, "cannot read the pattern"),
        ("Cycle(2)", GraphPEValueError, "n of Cycle must be from 3 to 32, got 2"),
        ("Cycle('x')", GraphPETypeError, "n of Cycle must be an integer"),
        ("Cycle(x)", GraphPEValueError, "must be literals"),
        ("Connected(7)", GraphPEValueError, "n of Connected must be from 2 to 6, got 7"),
        ("Path(3, root=3)", GraphPEValueError, "root of Path must be from 0 to 2, got 3"),
        ([[(0, 1), (2, 3)]], GraphPEValueError, "a pattern must be connected"),
        ([[(0, 1), (1, 1)]], GraphPEValueError, "a pattern has no self-loops"),
        ([[(0, 2)]], GraphPEValueError, "the nodes of a pattern are 0, 1, ..., n - 1"),
        ([[(-1, 0)]], GraphPEValueError, "the nodes of a pattern are 0, 1, ..., n - 1"),
        ([[(i, i + 1) for i in range(32)]], GraphPEValueError, "a pattern has at most 32 nodes, got one of 33"),
        ([{"edges": [(0, 1)], "root": 2}], GraphPEValueError, "root must be from 0 to 1, got 2"),
        ([{"edges": [(0, 1)]}], GraphPEValueError, "a pattern with a root is"),
        (nx.DiGraph([(0, 1)]), GraphPEValueError, "a pattern must be undirected"),
        (nx.empty_graph(2), GraphPEValueError, "a pattern must be connected"),
    ],
)
def test_what_is_no_pattern(patterns, error, words):
    with pytest.raises(error, match=words) as caught:
        read_patterns(patterns)
    assert "\n" not in str(caught.value)


def test_two_roots_are_an_error():
    graph = nx.path_graph(3)
    nx.set_node_attributes(graph, True, "root")
    with pytest.raises(GraphPEValueError, match="one root or none, got 3"):
        as_literals(graph)


def test_trees_are_trees():
    for n in range(2, 9):
        for edges in connected_graphs(n, trees=True):
            assert nx.is_tree(nx.Graph(list(edges)))
