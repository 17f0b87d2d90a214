from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.expressivity import models
from graphpe.benchmarks.expressivity.graph_sets import GraphSet, read_sets
from graphpe.benchmarks.expressivity.models import check_case, compare_model
from graphpe.benchmarks.expressivity.refinement import pairs_apart
from graphpe.benchmarks.expressivity.sets import DEFAULT_MODELS, Case
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

GINE = "GINE(width=8, layers=4)"
WALKS = "RandomWalkPE(walk_length=6)"


def graph_set(graphs: list[nx.Graph], consecutive: bool = True) -> GraphSet:
    packed = PackedGraphs.from_networkx(graphs, weight=None)
    types = torch.zeros(packed.num_nodes, 1, dtype=torch.long)
    return GraphSet("test", packed.with_values(node={"x": types}), consecutive)


def rings(*sizes: int) -> nx.Graph:
    return nx.disjoint_union_all([nx.cycle_graph(size) for size in sizes])


# Pairs: trees, which 1-WL tells apart; regular graphs, which it does not; isomorphic ones.
TREES = [nx.path_graph(5), nx.star_graph(4)]
REGULAR = [rings(6), rings(3, 3), rings(9), rings(4, 5)]
SAME = [nx.barbell_graph(3, 2), nx.relabel_nodes(nx.barbell_graph(3, 2), {i: 7 - i for i in range(8)})]
DATA = graph_set([*TREES, *REGULAR, *SAME])


def test_message_passing_is_1_wl() -> None:
    verdict = compare_model(Case(GINE), DATA, seeds=2)
    assert verdict.apart == (1, 1)
    assert (verdict.union, verdict.alarms, verdict.pairs) == (1, (0, 0), 4)


def test_encodings_are_used_though_their_maps_start_at_zero() -> None:
    assert compare_model(Case(GINE, WALKS), DATA, seeds=2).apart == (3, 3)
    assert compare_model(Case("Graphormer(width=8, layers=3, heads=2)"), DATA, seeds=1).apart == (1,)
    hops = Case("Graphormer(width=8, layers=3, heads=2)", "ShortestPathPE(max_distance=8)")
    assert compare_model(hops, DATA, seeds=1).apart == (3,)


def test_no_model_sees_more_than_its_theory() -> None:
    rng = np.random.default_rng()
    drawn = [nx.random_regular_graph(3, 8, seed=int(rng.integers(1 << 30))) for _ in range(40)]
    data = graph_set(drawn)
    assert compare_model(Case(GINE), data, seeds=1).apart == (0,)
    hops = Case("Graphormer(width=8, layers=4, heads=2)", "ShortestPathPE(max_distance=8)")
    assert compare_model(hops, data, seeds=1).apart[0] <= pairs_apart("SPD-WL", data)
    both = [Case("GRIT(width=8, layers=3, heads=2)", "RelativeRandomWalkPE(6)"), Case(GINE, WALKS)]
    assert all(compare_model(case, data, seeds=1).apart[0] <= pairs_apart("2-FWL", data) for case in both)


def test_random_node_features_are_tested_as_random() -> None:
    verdict = compare_model(Case(GINE, "PEARLEncoding(samples=4)"), DATA, seeds=2)
    assert verdict.alarms == (0, 0)
    isomorphic = compare_model(Case(GINE, "PEARLEncoding(samples=4)"), graph_set(SAME * 20), seeds=2)
    assert isomorphic.apart == (0, 0)


def test_signs_are_no_difference() -> None:
    # An encoder that respects neither signs nor bases: outputs depend on the numbering.
    data = graph_set(SAME * 20)
    verdict = compare_model(Case(GINE, "LaplacianPE(k=4)"), data, seeds=1)
    assert (verdict.apart, verdict.alarms) == ((0,), (0,))


def test_all_pairs_of_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = [graph for graph in nx.graph_atlas_g() if len(graph) == 5 and nx.is_connected(graph)]
    data = graph_set([*graphs, *SAME, *TREES], consecutive=False)
    expected = pairs_apart("1-WL", data)
    tested = compare_model(Case(GINE), data, seeds=2)
    assert tested.apart == (expected, expected)
    monkeypatch.setattr(models, "MOST_TESTED", 10)
    by_distance = compare_model(Case(GINE), data, seeds=2)
    assert by_distance == tested
    random = compare_model(Case(GINE, "PEARLEncoding(samples=4)"), data, seeds=2)
    assert (random.apart, random.union, random.alarms) == ((), None, ())


OWN = '''
import torch
from graphpe import transforms as T

class NumberPE(T.Encoding):
    """A node's number, in graphs of eight nodes."""

    def __init__(self, attr_name="number_pe"):
        self.attr_name = attr_name

    @property
    def columns(self):
        return 1

    def encode(self, plan):
        graphs = plan.graphs
        first = torch.arange(graphs.num_nodes) == graphs.ptr[graphs.batch]
        degree = torch.bincount(graphs.edge_index[0], minlength=graphs.num_nodes)
        return T.Values(node={self.attr_name: (first * (graphs.sizes[graphs.batch] == 8) * degree)[:, None].double()})
'''


def test_what_depends_on_the_numbering_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "own_numbers.py").write_text(OWN)
    with imported([str(tmp_path / "own_numbers.py")]):
        verdict = compare_model(Case(GINE, "NumberPE()"), DATA, seeds=2)
    assert verdict.apart == (1, 1)


def test_a_graph_that_is_told_apart_from_itself_is_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = models._Model.of_renumberings
    calls: list[int] = []

    def drifting(self: Any, *given: Any) -> torch.Tensor:
        calls.append(len(calls))
        found = outputs(self, *given)
        found[:, 0] += calls[-1]  # the first graph's second set of copies is another one
        return found

    monkeypatch.setattr(models._Model, "of_renumberings", drifting)
    verdict = compare_model(Case(GINE), DATA, seeds=2)
    assert (verdict.apart, verdict.alarms) == ((0, 0), (1, 1))


def test_training_finds_what_there_is() -> None:
    data = graph_set([*TREES, *REGULAR[:2], *SAME])
    assert compare_model(Case(GINE), data, seeds=1, epochs=2).apart == (1,)
    assert compare_model(Case(GINE, WALKS), data, seeds=1, epochs=2).apart == (2,)


def test_training_turns_outputs_away_from_each_other() -> None:
    data = graph_set(TREES)
    model = models._Model(Case("GINE(width=16, layers=2)"), 1, 1)
    rng = np.random.default_rng(0)
    steps = [model.batch(models.renumbered(data.graphs.select(np.tile([0, 1], 8)), rng)) for _ in range(4)]
    trained = model.drawn(0)

    def cosine() -> float:
        with torch.no_grad():
            first, second = trained(steps[0])[:2]
            return float(torch.cosine_similarity(first, second, dim=0))

    before = cosine()
    models._train(trained, steps, 60)
    assert not trained.training
    assert cosine() < before


def test_seeds_repeat_and_leave_torch_alone() -> None:
    state = torch.random.get_rng_state()
    case = Case(GINE, "PEARLEncoding(samples=4)")
    assert compare_model(case, DATA, seeds=2) == compare_model(case, DATA, seeds=2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_bad_cases() -> None:
    with pytest.raises(GraphPEValueError, match="GINE takes no encoding of pairs"):
        check_case(Case(GINE, "ShortestPathPE()"))
    with pytest.raises(GraphPEValueError, match="unknown model"):
        check_case(Case("Nothing()"))


@pytest.mark.parametrize("case", DEFAULT_MODELS, ids=str)
def test_default_cases(case: Case) -> None:
    verdict = compare_model(case, graph_set(TREES), seeds=1)
    assert verdict.alarms == (0,)
    # Without features, averages over neighbours are of the same vectors whatever the degree.
    averages = case.model.startswith(("GatedGCN", "GraphTransformer")) and case.encodings == "none"
    if "PEARL" not in case.encodings:
        assert verdict.apart == (0 if averages else 1,)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case("GINE(width=16, layers=4)"), (0, 0, 0)),
        # SPD-WL, its bound, tells 16, 14 and 41 apart (Wang & Zhang 2024).
        (Case("Graphormer(width=16, layers=4, heads=4)", "ShortestPathPE(max_distance=16)"), (16, 13, 41)),
    ],
)
@pytest.mark.slow
def test_brec(shared_data: Path, case: Case, expected: tuple[int, int, int]) -> None:
    for name, count in zip(("BREC-basic", "BREC-regular", "BREC-extension"), expected, strict=True):
        (data,) = read_sets(shared_data / "expressivity", [name])
        verdict = compare_model(case, data, seeds=1)
        assert (verdict.apart, verdict.alarms) == ((count,), (0,))
