from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import networkx as nx
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.generated.counting import SubstructureCount, node_counts
from graphpe.errors import GraphPEError
from graphpe.graphs.packed import PackedGraphs

SHAPES = {
    "triangle": nx.cycle_graph(3),
    "cycle4": nx.cycle_graph(4),
    "cycle5": nx.cycle_graph(5),
    "cycle6": nx.cycle_graph(6),
    "star3": nx.star_graph(3),
    "tailed-triangle": nx.Graph([(0, 1), (1, 2), (2, 0), (0, 3)]),
    "chordal-cycle": nx.Graph([(0, 1), (1, 2), (2, 0), (0, 3), (1, 3)]),
}
ROOTS = {"star3": {0}, "tailed-triangle": {0}, "chordal-cycle": {0, 1}}


def occurrences(graph: nx.Graph, shape: nx.Graph) -> list[dict[int, int]]:
    """Each subgraph once, by trying every way to lay the shape."""
    found = {}
    nodes = sorted(shape)
    for chosen in combinations(graph, len(nodes)):
        for order in permutations(chosen):
            place = dict(zip(nodes, order, strict=True))
            edges = frozenset(frozenset((place[u], place[v])) for u, v in shape.edges)
            if all(graph.has_edge(*edge) for edge in edges):
                found.setdefault(edges, place)
    return list(found.values())


@pytest.mark.parametrize("pattern", list(SHAPES))
def test_counts_are_those_of_trying_all(pattern: str) -> None:
    seed = int(torch.randint(1 << 30, ()))
    graphs = [nx.gnp_random_graph(7, 0.5, seed=seed + number) for number in range(3)] + [nx.empty_graph(2)]
    packed = PackedGraphs.from_networkx(graphs, weight=None)
    counts, at = node_counts(packed, pattern)  # type: ignore[arg-type]
    first = 0
    for graph in graphs:
        shapes = occurrences(graph, SHAPES[pattern])
        expected = [0] * len(graph)
        for place in shapes:
            for root in ROOTS.get(pattern, set(SHAPES[pattern])):
                expected[place[root]] += 1
        own = counts[first : first + len(graph)]
        assert own.tolist() == expected
        assert float(own.sum()) == at * len(shapes)
        first += len(graph)


@pytest.mark.parametrize("graphs", ["random-regular", "erdos-renyi"])
def test_the_task_is_that_of_chen_et_al(graphs: str, tmp_path: Path) -> None:
    whole = SubstructureCount(graphs=graphs, count=80, seed=3)  # type: ignore[arg-type]
    data = whole.load(cache=tmp_path, progress=False)
    assert [len(ids) for ids in data.split.values()] == [24, 16, 40]
    degrees = [data.graphs.select(slice(b, b + 1)).edge_index[0].bincount() for b in range(80)]
    if graphs == "random-regular":
        kinds = {(len(each), int(each.max())) for each in degrees}
        assert kinds == {(10, 6), (15, 6), (20, 5), (30, 5)}
        assert all(int(each.min()) == int(each.max()) for each in degrees)
    else:
        assert set(data.graphs.sizes.tolist()) == {10}
        assert data.graphs.num_edges / 80 == pytest.approx(90 * 0.3, rel=0.15)
    nodes = build_task(repr(SubstructureCount("triangle", graphs, "node", 80, 3)))  # type: ignore[arg-type]
    assert nodes.readout == "none"
    at_nodes = nodes.load(cache=tmp_path, progress=False)
    sums = torch.zeros(80).index_add_(0, at_nodes.graphs.batch, at_nodes.graphs.node["y"][:, 0]) / 3
    torch.testing.assert_close(sums, data.graphs.graph["y"][:, 0])
    ids = data.split["test"]
    y = data.graphs.graph["y"][ids].double()
    assert data.evaluate(y.float() + 2, ids) == pytest.approx(4 / float(y.var(correction=0)), rel=1e-5)
    constant, _ = data.constant_baseline(ids)
    assert constant >= 1 - 1e-6
    assert nodes.adapter(at_nodes.adapter.state()) == at_nodes.adapter
    assert whole.load(cache=tmp_path, progress=False).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("substructure-count(pattern='square')", "pattern must be"),
        ("substructure-count(count=3)", "three parts need"),
        ("substructure-count(level='edge')", "level must be"),
    ],
)
def test_what_cannot_be_is_one_line(text: str, what: str) -> None:
    with pytest.raises(GraphPEError, match=what) as caught:
        build_task(text)
    assert "\n" not in str(caught.value)
