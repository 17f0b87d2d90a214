from __future__ import annotations

from itertools import combinations
from math import comb, perm

import networkx as nx
import numpy as np
import pytest
import torch
from networkx.algorithms.isomorphism import GraphMatcher

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.homomorphisms.canonical import orbits
from graphpe.homomorphisms.patterns import Pattern, read_patterns
from graphpe.homomorphisms.subgraphs import subgraph_counts
from graphpe.walks.cycles import cycle_counts


def random_graphs(sizes: tuple[int, ...]) -> list[nx.Graph]:
    rng = np.random.default_rng()
    return [nx.gnp_random_graph(n, rng.uniform(0.2, 0.9), seed=int(rng.integers(1 << 30))) for n in sizes]


def copies(pattern: Pattern, graph: nx.Graph, induced: bool) -> np.ndarray:
    """The subgraphs that networkx finds, each once, by node and orbit."""
    places = orbits(pattern.num_nodes, pattern.edges)
    orbit = {node: i for i, nodes in enumerate(places) for node in nodes}
    out = np.zeros((len(graph), len(places)), dtype=np.int64)
    matcher = GraphMatcher(graph, nx.Graph(list(pattern.edges)))
    seen = set()
    for found in matcher.subgraph_isomorphisms_iter() if induced else matcher.subgraph_monomorphisms_iter():
        image = {place: node for node, place in found.items()}
        edges = frozenset(frozenset((image[a], image[b])) for a, b in pattern.edges)
        if edges not in seen:
            seen.add(edges)
            for node, place in found.items():
                out[node, orbit[place]] += 1
    return out


@pytest.mark.parametrize("induced", [False, True])
@pytest.mark.parametrize("turn", range(3))
def test_all_motifs_of_five_nodes_against_networkx(turn, induced):
    graphs = random_graphs((7, 3, 1, 6))
    got = subgraph_counts(PackedGraphs.from_networkx(graphs), "Connected(5)", induced=induced)
    assert got.dtype == torch.int64
    motifs = read_patterns("Connected(5)")
    expected = [np.concatenate([copies(motif, graph, induced) for motif in motifs], axis=1) for graph in graphs]
    assert (got.numpy() == np.concatenate(expected)).all()


@pytest.mark.parametrize("induced", [False, True])
def test_motifs_of_six_nodes_and_roots_of_ones_own_against_networkx(induced):
    prism = nx.circular_ladder_graph(3)
    domino = nx.ladder_graph(3)
    graphs = random_graphs((8, 7))
    packed = PackedGraphs.from_networkx(graphs)
    got = subgraph_counts(packed, [prism, domino], induced=induced)
    motifs = read_patterns([prism, domino])
    expected = [np.concatenate([copies(motif, graph, induced) for motif in motifs], axis=1) for graph in graphs]
    assert (got.numpy() == np.concatenate(expected)).all()
    domino.nodes[1]["root"] = True
    middle = [root for motif in motifs for root in motif.roots()].index(1)
    assert torch.equal(subgraph_counts(packed, domino, induced=induced)[:, 0], got[:, middle])


def test_cycles_to_length_eight_against_the_search():
    graphs = PackedGraphs.from_networkx([*random_graphs((9, 12)), nx.petersen_graph(), nx.complete_graph(9)])
    assert torch.equal(subgraph_counts(graphs, "Cycles(8)"), cycle_counts(graphs, 8).long())


def test_closed_forms_of_orbits():
    n = 9
    complete = PackedGraphs.from_networkx(nx.complete_graph(n))
    got = subgraph_counts(complete, ["Path(4)", "Star(5)", "Clique(5)", "Cycle(5)"])[0].tolist()
    # End of a path, its inner node; leaf of a star, its centre.
    ends, inner = perm(n - 1, 3), perm(n - 1, 3)
    leaf, centre = (n - 1) * comb(n - 2, 3), comb(n - 1, 4)
    assert got == [ends, inner, *sorted([leaf, centre]), comb(n - 1, 4), perm(n - 1, 4) // 2]
    induced = subgraph_counts(complete, "Connected(5)", induced=True)
    cliques = [f"Clique({k})" for k in (2, 3, 4, 5)]
    assert torch.equal(induced[:, induced[0] > 0], subgraph_counts(complete, cliques))
    star = subgraph_counts(PackedGraphs.from_networkx(nx.star_graph(7)), "Star(4)", induced=True)
    assert star[0].tolist() == [comb(7, 3), 0]
    assert star[1:].tolist() == [[0, comb(6, 2)]] * 7


def test_induced_copies_are_the_sets_of_nodes():
    graph = random_graphs((12,))[0]
    found = subgraph_counts(PackedGraphs.from_networkx(graph), "Connected(4)", induced=True)
    motifs = read_patterns("Connected(4)")
    column, total = 0, 0
    for motif in motifs:
        width = len(motif.roots())
        if motif.num_nodes == 4:
            total += int(found[:, column : column + width].sum()) // 4
        column += width
    sets = [nodes for nodes in combinations(graph, 4) if nx.is_connected(graph.subgraph(nodes))]
    assert total == len(sets)


def test_cycles_tell_circular_skip_links_apart():
    # CSL graphs: 1-WL, and so every tree, gives them equal counts; cycles of up to eight nodes do not.
    graphs = [nx.circulant_graph(41, [1, skip]) for skip in (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)]
    packed = PackedGraphs.from_networkx(graphs)
    cycles = subgraph_counts(packed, "Cycles(8)").view(10, 41, 6)
    assert (cycles == cycles[:, :1]).all()
    assert len({tuple(row) for row in cycles[:, 0].tolist()}) == 10


def test_counts_near_the_limit_are_exact():
    graph = PackedGraphs.from_networkx(nx.star_graph(510))  # 510^7 homomorphisms: 9.0e18
    assert subgraph_counts(graph, "Star(8)")[0, 0] == comb(510, 7)
    with pytest.raises(GraphPEValueError, match=r"from Star\(8\), by way of .* to graph 0"):
        subgraph_counts(PackedGraphs.from_networkx(nx.star_graph(10**3)), "Star(8)")


def test_empty_graphs():
    empty = PackedGraphs.from_networkx([nx.empty_graph(0), nx.empty_graph(1), nx.empty_graph(3)])
    assert subgraph_counts(empty, "Connected(4)", induced=True).tolist() == [[0] * 15] * 4


@pytest.mark.parametrize(
    ("motifs", "induced", "error", "words"),
    [
        ("Cycle(9)", False, GraphPEValueError, r"the number of nodes of Cycle\(9\) must be from 2 to 8, got 9"),
        ("Cycle(7)", True, GraphPEValueError, r"the number of nodes of Cycle\(7\) must be from 2 to 6, got 7"),
        ("Paths(9)", False, GraphPEValueError, r"the number of nodes of Path\(9\) must be from 2 to 8, got 9"),
        (None, False, GraphPETypeError, "patterns must be texts"),
        ("Path(3)", 1, GraphPETypeError, "induced must be True or False, got 1"),
    ],
)
def test_arguments(motifs, induced, error, words):
    with pytest.raises(error, match=words):
        subgraph_counts(PackedGraphs.from_networkx(nx.path_graph(3)), motifs, induced=induced)
