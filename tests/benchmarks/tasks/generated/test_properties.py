from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.generated.problems import Problem
from graphpe.benchmarks.tasks.generated.properties import ConnectedComponents, Eccentricity, EffectiveResistance
from graphpe.graphs.packed import PackedGraphs

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
