from __future__ import annotations

import random
from importlib.util import find_spec
from pathlib import Path

import networkx as nx
import pytest
import torch

from graphpe.benchmarks.tasks.generated.graphbench import GraphBench, GraphBenchFlow
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

needs_package = pytest.mark.skipif(find_spec("graphbench") is None, reason="graphbench-lib is not installed")
SIZES = {"train": 6, "valid": 3, "test": 2}


@needs_package
def test_cliques_are_cliques(tmp_path: Path) -> None:
    state = random.getstate()
    data = GraphBench(**SIZES).load(cache=tmp_path, progress=False)
    assert random.getstate() == state
    assert data.graphs.sizes.tolist() == [16] * 9 + [128] * 2
    for index in range(9):
        graph = data.graphs.to_networkx(index).to_undirected()
        members = [node for node, y in enumerate(data.graphs[index].y.flatten().tolist()) if y]
        assert len(members) == max(len(each) for each in nx.find_cliques(graph)) or len(members) > 1
        assert all(graph.has_edge(u, v) for u in members for v in members if u != v)
    again = GraphBench(**SIZES).load(cache=tmp_path / "other", progress=False)
    assert again.fingerprint == data.fingerprint
    assert GraphBench(**SIZES, seed=1).load(cache=tmp_path, progress=False).fingerprint != data.fingerprint
    assert 0 < data.constant_baseline(data.split["test"])[0] < 1


@needs_package
def test_places_are_in_topological_order(tmp_path: Path) -> None:
    data = GraphBench(algorithm="topologicalorder", **SIZES).load(cache=tmp_path, progress=False)
    place = data.graphs.node["y"].flatten()
    assert bool((place[data.graphs.edge_index[0]] < place[data.graphs.edge_index[1]]).all())
    assert data.metric == "MAE"


@needs_package
def test_flows_are_those_of_networkx(tmp_path: Path) -> None:
    data = GraphBenchFlow(**SIZES).load(cache=tmp_path, progress=False)
    for index in range(6):
        graph, found = nx.DiGraph(), data.graphs[index]
        graph.add_nodes_from(range(16))
        for (u, v), capacity in zip(found.edge_index.t().tolist(), found.edge_attr.flatten().tolist(), strict=True):
            graph.add_edge(u, v, capacity=capacity)
        source, sink = (int((found.x.flatten() == kind).nonzero()[0]) for kind in (1, 2))
        assert found.y.item() == pytest.approx(nx.maximum_flow_value(graph, source, sink), rel=1e-5)
    assert data.evaluate(torch.zeros(2, 1), data.split["test"]) > 0


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(GraphPEValueError, match="algorithm must be one of"):
        GraphBench(algorithm="mst")  # type: ignore[arg-type]
    with pytest.raises(GraphPEValueError, match="train must be"):
        GraphBenchFlow(train=0)
    if find_spec("graphbench") is None:
        with pytest.raises(GraphPERuntimeError, match=r"pip install 'graphpe\[graphbench\]'"):
            GraphBench().load(cache=tmp_path, progress=False)
