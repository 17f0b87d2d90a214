from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.tasks.generated.problems import Problem
from graphpe.benchmarks.tasks.generated.properties import ConnectedComponents, Eccentricity, EffectiveResistance
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import limits

SMALL = {"train": 8, "valid": 4, "test": 6, "train_nodes": (2, 9), "test_nodes": (12, 20)}


def graph_of(graphs: PackedGraphs, b: int) -> nx.Graph:
    graph = nx.empty_graph(int(graphs.sizes[b]))
    own = slice(int(graphs.edge_ptr[b]), int(graphs.edge_ptr[b + 1]))
    graph.add_edges_from((graphs.edge_index[:, own] - graphs.ptr[b]).t().tolist())
    return graph


@pytest.mark.parametrize("family", ["random", "strip", "tree"])
@pytest.mark.parametrize("kind", [Eccentricity, EffectiveResistance, ConnectedComponents])
def test_answers_are_those_of_networkx(kind: type[Problem], family: str, tmp_path: Path) -> None:
    task = kind(family=family, **SMALL)  # type: ignore[arg-type]
    assert build_task(repr(task)) == task
    data = task.load(cache=tmp_path, progress=False)
    graphs = data.graphs
    several = 0
    for b in range(len(graphs)):
        graph, rows = graph_of(graphs, b), slice(int(graphs.ptr[b]), int(graphs.ptr[b + 1]))
        if kind is Eccentricity:
            assert graphs.node["y"][rows, 0].tolist() == [nx.eccentricity(graph)[node] for node in graph]
            continue
        y = float(graphs.graph["y"][b])
        if kind is ConnectedComponents:
            assert y == nx.number_connected_components(graph)
            several += y > 1
            assert not bool(graphs.node["x"].any())
            continue
        one, other = graphs.node["x"][rows].flatten().nonzero().flatten().tolist()
        assert y == pytest.approx(nx.resistance_distance(graph, one, other), rel=1e-6)
        if family == "tree":
            assert y == pytest.approx(nx.shortest_path_length(graph, one, other), rel=1e-6)
    assert several or kind is not ConnectedComponents
    again = task.load(cache=tmp_path, progress=False)
    assert (again.fingerprint, again.graphs.num_edges) == (data.fingerprint, graphs.num_edges)
    assert task.adapter(data.adapter.state()) == data.adapter
    larger = task.load_sizes(Sizes.parse("8 | 9-12 20-30"), cache=tmp_path, progress=False)
    assert larger is not None
    assert int(larger.graphs.sizes.max()) in range(20, 31)


@pytest.mark.parametrize(
    ("task", "what"),
    [("eccentricity", "distances of all nodes"), ("effective-resistance", "a linear system")],
)
def test_graphs_that_are_too_large_are_refused_before_they_are_answered(task: str, what: str) -> None:
    built = build_task(f"{task}(train=2, valid=1, test=1)")
    with pytest.raises(
        GraphPEValueError, match=f"{task}: {what} on a graph of 100,000 nodes would take about"
    ) as caught:
        load_task(built, "8 | 100000", progress=False)
    assert "name smaller sizes" in str(caught.value)
    assert "\n" not in str(caught.value)
    with limits(seconds=0):  # the same limit as that of encodings
        with pytest.raises(GraphPEValueError, match="more than the limits of 0 s"):
            built.answers({"sizes": np.array([4]), "marked": np.array([[0, 1]])})
