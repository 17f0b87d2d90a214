"""Bounds of encodings and models, and that they hold: what theory says beside what is found."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe import transforms as T
from graphpe.benchmarks.calls.build import stored_encodings
from graphpe.benchmarks.expressivity.bounds import bound_of, bound_of_model
from graphpe.benchmarks.expressivity.graph_sets import GraphSet, read_sets, renumbered
from graphpe.benchmarks.expressivity.models import compare_model
from graphpe.benchmarks.expressivity.pairs import compare
from graphpe.benchmarks.expressivity.refinement import REFINEMENTS, pairs_alike
from graphpe.benchmarks.expressivity.sets import DEFAULT_ENCODINGS, DEFAULT_MODELS, Case
from graphpe.graphs.packed import PackedGraphs

EDGES = Case("EdgeTransformer(width=8, layers=4, heads=2)")


def graph_set(graphs: list[nx.Graph], consecutive: bool = True) -> GraphSet:
    packed = PackedGraphs.from_networkx(graphs, weight=None)
    types = torch.zeros(packed.num_nodes, 1, dtype=torch.long)
    return GraphSet("test", packed.with_values(node={"x": types}), consecutive)


def rings(*sizes: int) -> nx.Graph:
    return nx.disjoint_union_all([nx.cycle_graph(size) for size in sizes])


def shrikhande() -> nx.Graph:
    steps = ((0, 1), (1, 0), (1, 1))
    return nx.Graph((4 * a + b, 4 * ((a + x) % 4) + (b + y) % 4) for a in range(4) for b in range(4) for x, y in steps)


ROOK = nx.convert_node_labels_to_integers(nx.line_graph(nx.complete_bipartite_graph(4, 4)))
# A pair that 1-WL tells apart; three that 2-FWL does; one that it does not.
LADDER = [
    *[nx.path_graph(5), nx.star_graph(4)],
    *[rings(6), rings(3, 3), rings(8), rings(4, 4), nx.circular_ladder_graph(4), nx.circulant_graph(8, [1, 4])],
    *[ROOK, shrikhande()],
]


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (None, "1-WL"),
        (T.DegreePE(), "1-WL"),
        (T.HomomorphismPE("Trees(6)"), "1-WL"),
        (T.HomomorphismPE(["Trees(4)", "Cycles(9)"]), "2-FWL"),
        (T.HomomorphismPE(nx.complete_bipartite_graph(2, 4)), "2-FWL"),
        (T.HomomorphismPE(nx.complete_bipartite_graph(3, 3)), None),  # treewidth 3
        (T.HomomorphismPE(["Cycle(4)", "Clique(4)"]), None),
        (T.MotifPE("Star(4)"), "1-WL"),  # folds into stars
        (T.MotifPE("Path(4)"), "2-FWL"),  # whose ends meet in a triangle
        (T.MotifPE("Cycle(7)"), "2-FWL"),
        (T.MotifPE("Cycle(8)"), None),  # folds into a clique of 4: once along each edge, and twice along two
        (T.MotifPE("Cycle(4)", induced=True), None),  # minus those with both diagonals
        (T.CyclePE(7), "2-FWL"),
        (T.CyclePE(8), None),
        (T.CyclePE(8, kind="walks"), "2-FWL"),
        (T.DirectedRandomWalkPE(3), "1-WL"),
        (T.DirectedRandomWalkPE(3, level="pair"), "2-FWL"),
        (T.DiffusionPE(level="pair"), "2-FWL"),
        (T.LaplacianPE(4), "2-FWL"),
        (T.SVDPE(4), None),
    ],
    ids=str,
)
def test_bounds_of_encodings(encoding: T.Encoding | None, expected: str | None) -> None:
    assert bound_of(encoding) == expected


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case("GINE(layers=2)"), "1-WL"),
        (Case("GINE(layers=2)", "DegreePE() + CyclePE(4)"), "2-FWL"),
        (Case("GINE(layers=2)", "DegreePE() + HomomorphismPE('Clique(4)')"), None),
        (Case("Graphormer()", "ShortestPathPE()"), "SPD-WL"),
        (Case("GRIT()", "RelativeRandomWalkPE(8)"), "2-FWL"),
        (Case("GINE()", "LaplacianPE(k=8)"), None),  # signs and bases
        (Case("GINE()", "LaplacianPE(k=8)", "SPE(taper=0.1)"), "2-FWL"),
        (Case("Specformer()", "LaplacianPE(k=8)"), "2-FWL"),
        (Case("GINE()", "DirectedRandomWalkPE(4)", "PersistenceEncoding()"), "2-FWL"),
        (Case("GINE()", "SpectralCoordinates(k=8)", "PersistenceEncoding()"), None),
        (Case("GINE()", "PEARLEncoding(samples=4)"), None),
        (Case("NeuralWalker()"), None),
        (EDGES, "2-FWL"),
    ],
    ids=str,
)
def test_bounds_of_models(case: Case, expected: str | None) -> None:
    assert bound_of_model(case) == expected


@pytest.mark.parametrize("text", DEFAULT_ENCODINGS)
def test_no_encoding_tells_apart_more_than_its_bound(text: str) -> None:
    (encoding,) = stored_encodings([text])
    bound = bound_of(encoding)
    if bound is not None:
        data = graph_set([graph for pair in zip(LADDER[::2], LADDER[1::2], strict=True) for graph in pair])
        assert compare(encoding, data, alike=pairs_alike(bound, data)).beyond == 0


@pytest.mark.parametrize("case", DEFAULT_MODELS, ids=str)
def test_no_model_tells_apart_more_than_its_bound(case: Case) -> None:
    bound = bound_of_model(case)
    if bound is not None:
        data = graph_set(LADDER)
        assert compare_model(case, data, seeds=1, alike=pairs_alike(bound, data)).beyond == 0


def test_what_is_beyond_the_bound_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = graph_set(LADDER)
    alike = pairs_alike("1-WL", data)  # all but the first pair
    assert alike.tolist() == [[2, 3], [4, 5], [6, 7], [8, 9]]
    assert compare(T.RandomWalkPE(6), data, alike=alike).beyond == 3
    walks = Case("GINE(width=8, layers=3)", "RandomWalkPE(6)")
    assert compare_model(walks, data, seeds=2, alike=alike).beyond == 3
    everything = graph_set(LADDER, consecutive=False)
    alike = pairs_alike("1-WL", everything)
    names = [nx.weisfeiler_lehman_graph_hash(graph, iterations=8) for graph in LADDER]
    assert sorted(map(tuple, alike.tolist())) == [(i, j) for i, j in combinations(range(10), 2) if names[i] == names[j]]
    expected = len(alike) - len(pairs_alike("2-FWL", everything))
    assert compare(T.RandomWalkPE(6), everything, alike=alike).beyond == expected
    assert compare_model(walks, everything, seeds=1, alike=alike).beyond == expected
    monkeypatch.setattr("graphpe.benchmarks.expressivity.models.MOST_TESTED", 10)
    assert compare_model(walks, everything, seeds=1, alike=alike).beyond == expected


@pytest.mark.parametrize("kind", REFINEMENTS)
def test_copies_are_alike(kind: str) -> None:
    data = graph_set(LADDER)
    both = torch.arange(20) % 10
    twice = data.graphs.select(both.numpy())
    copies = GraphSet("copies", renumbered(twice, np.random.default_rng()), consecutive=False)
    found = set(map(tuple, pairs_alike(kind, copies).tolist()))  # type: ignore[arg-type]
    assert {(i, i + 10) for i in range(10)} <= found


def test_the_edge_transformer_sees_what_2_fwl_sees(shared_data: Path) -> None:
    basic, strongly_regular = read_sets(shared_data / "expressivity", ["BREC-basic", "sr25"])
    six = GraphSet("sr25", strongly_regular.graphs.select(slice(0, 6)), consecutive=False)
    for data, expected in ((basic.fewer(8), 8), (six, 0)):
        alike = pairs_alike("2-FWL", data)
        verdict = compare_model(EDGES, data, seeds=1, alike=alike)
        assert verdict.pairs - len(alike) == expected
        assert (verdict.exact, verdict.alarms, verdict.beyond) == ((expected,), (0,), 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CSL", "BREC-basic", "BREC-regular", "BREC-extension", "sr25"])
def test_the_edge_transformer_sees_all_that_2_fwl_sees(shared_data: Path, name: str) -> None:
    (data,) = read_sets(shared_data / "expressivity", [name])
    alike = pairs_alike("2-FWL", data)
    verdict = compare_model(EDGES, data, seeds=1, alike=alike)
    assert (verdict.exact, verdict.alarms, verdict.beyond) == ((data.pairs - len(alike),), (0,), 0)


def test_patterns_of_treewidth_two_do_not_see_strongly_regular_graphs(shared_data: Path) -> None:
    (data,) = read_sets(shared_data / "expressivity", ["sr25"])
    four_cycle_with_diagonal = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]
    for encoding in (
        T.HomomorphismPE(["Trees(6)", "Cycles(8)", four_cycle_with_diagonal, nx.complete_bipartite_graph(2, 4)]),
        T.MotifPE(["Cycles(7)", "Paths(5)"]),
    ):
        assert bound_of(encoding) == "2-FWL"
        assert compare(encoding, data).apart == 0
    graphs = nx.read_graph6(shared_data / "expressivity" / "sr251256.g6")
    cliques = [
        sorted(sum(node in clique for clique in nx.enumerate_all_cliques(graph) if len(clique) == 4) for node in graph)
        for graph in graphs
    ]
    expected = sum(a != b for a, b in combinations(cliques, 2))
    assert compare(T.HomomorphismPE("Clique(4)"), data).apart == expected == 98
    assert compare(T.MotifPE("Clique(4)"), data).apart == expected
