from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.generated.families import bridges, draw_graphs
from graphpe.benchmarks.tasks.generated.problems import EXTRA, WINDOWS, Bridges, MaxFlow, PathLength, Problem
from graphpe.errors import GraphPEError

SMALL = {"train": 8, "valid": 4, "test": 6, "train_nodes": (2, 9), "test_nodes": (12, 20)}


@pytest.mark.parametrize("family", list(WINDOWS))
@pytest.mark.parametrize("kind", [PathLength, MaxFlow, Bridges])
def test_answers_are_those_of_networkx(kind: type[Problem], family: str, tmp_path: Path) -> None:
    if kind is Bridges and family == "tree":
        return
    task = kind(family=family, **SMALL)  # type: ignore[arg-type]
    assert build_task(repr(task)) == task
    data = task.load(cache=tmp_path, progress=False)
    assert task.load(cache=tmp_path, progress=False).fingerprint == data.fingerprint
    assert [len(ids) for ids in data.split.values()] == [8, 4, 6]
    graphs = data.graphs
    sizes = graphs.sizes.tolist()
    assert all(2 <= n <= 9 for n in sizes[:12])
    assert all(12 <= n <= 20 for n in sizes[12:])
    for b, n in enumerate(sizes):
        low, high = int(graphs.edge_ptr[b]), int(graphs.edge_ptr[b + 1])
        edges = (graphs.edge_index[:, low:high] - graphs.ptr[b]).t().tolist()
        graph = nx.DiGraph(edges)
        assert graph.number_of_edges() == len(edges)  # none is there twice
        assert all(graph.has_edge(v, u) and u != v for u, v in edges)
        both = graph.to_undirected()
        assert nx.is_connected(both)
        assert both.number_of_nodes() == n
        rows = slice(int(graphs.ptr[b]), int(graphs.ptr[b + 1]))
        if kind is Bridges:
            ends = {node for edge in nx.bridges(both) for node in edge}
            assert graphs.node["y"][rows].flatten().tolist() == [int(node in ends) for node in range(n)]
            continue
        one, other = graphs.node["x"][rows].flatten().nonzero().flatten().tolist()
        if kind is MaxFlow:
            capacity = graphs.edge["edge_attr"][low:high].flatten().tolist()
            nx.set_edge_attributes(graph, {(u, v): c for (u, v), c in zip(edges, capacity, strict=True)}, "capacity")
            expected = nx.maximum_flow_value(graph, one, other)
        else:
            expected = nx.shortest_path_length(both, one, other)
        assert float(graphs.graph["y"][b]) == expected
    if kind is not Bridges:
        y = graphs.graph["y"][data.split["train"]].double()
        assert data.adapter.shift == pytest.approx((float(y.mean()),))  # type: ignore[attr-defined]
    assert task.adapter(data.adapter.state()) == data.adapter


def test_families_have_the_distances_that_they_say() -> None:
    diameters = {}
    for family, window in WINDOWS.items():
        arrays = draw_graphs(30, (60, 60), window, EXTRA[family], seed=3)
        ends = np.cumsum(arrays["edge_sizes"])
        graphs = [
            nx.Graph((arrays["edges"][:, end - count : end]).T.tolist())
            for end, count in zip(ends, arrays["edge_sizes"], strict=True)
        ]
        diameters[family] = np.mean([nx.diameter(graph) for graph in graphs])
        edges = arrays["edge_sizes"] / 60
        assert edges.mean() == pytest.approx(1 + EXTRA[family], abs=0.08)
    assert diameters["random"] < diameters["tree"] < diameters["strip"]
    assert diameters["strip"] > 18  # a step leads past 2.5 nodes in the mean
    # Nodes are in a random order: the first one is not the root.
    assert (arrays["edges"][0] < arrays["edges"][1]).mean() == pytest.approx(0.5, abs=0.08)
    again = draw_graphs(5, (60, 60), WINDOWS["tree"], EXTRA["tree"], seed=3)
    np.testing.assert_array_equal(again["edges"], arrays["edges"][:, : again["edges"].shape[1]])


def test_bridges_of_graphs_in_pieces() -> None:
    # A path of three, a triangle with a tail, a node alone, a square.
    edges = np.array([[0, 1], [1, 2], [3, 4], [4, 5], [5, 3], [5, 6], [8, 9], [9, 10], [10, 11], [11, 8]]).T
    found = bridges(edges, 12)
    graph = nx.Graph(edges.T.tolist())
    expected = {frozenset(edge) for edge in nx.bridges(graph)}
    assert [frozenset(edge) in expected for edge in edges.T.tolist()] == found.tolist()
    assert bridges(np.zeros((2, 0), np.int64), 3).tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("path-length(family='ring')", "family must be"),
        ("path-length(train_nodes=(1, 4))", "train_nodes must be at least 2 nodes and in order"),
        ("max-flow(test_nodes=(9, 4))", "test_nodes must be at least 2 nodes and in order"),
        ("max-flow(test_nodes=9)", "test_nodes must be two numbers"),
        ("bridges(family='tree')", "every edge of a tree is one"),
        ("bridges(train=0)", "train must be"),
    ],
)
def test_bad_arguments(call: str, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        build_task(call)


def test_the_whole_answer_scores_full() -> None:
    data = Bridges(**SMALL).load(progress=False)  # type: ignore[arg-type]
    y = data.graphs.node["y"].double()
    ids = torch.arange(len(data.graphs))
    assert data.evaluate(2 * y - 1, ids) == 1
