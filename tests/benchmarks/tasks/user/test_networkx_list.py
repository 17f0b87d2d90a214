from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.user.networkx_list import NetworkxList
from graphpe.errors import GraphPERuntimeError


def make(count: int = 12, kind: type = nx.Graph) -> list[nx.Graph]:
    out = []
    for i in range(count):
        graph = kind(nx.cycle_graph(i + 3))
        graph.add_node("alone")
        graph.graph |= {"y": i + 0.5, "part": ["train", "valid", "test"][i % 3]}
        nx.set_node_attributes(graph, {node: float(place) for place, node in enumerate(graph)}, "size")
        nx.set_edge_attributes(graph, {edge: 2.0 for edge in graph.edges()}, "weight")
        out.append(graph)
    return out


def save(path: Path, graphs: list[nx.Graph], edges: str = "edges") -> str:
    path.write_text(json.dumps([nx.node_link_data(graph, edges=edges) for graph in graphs]))
    return str(path)


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
@pytest.mark.parametrize("edges", ["edges", "links"])
def test_graphs_come_back(tmp_path: Path, kind: type, edges: str) -> None:
    graphs = make(kind=kind)
    task = NetworkxList(path=save(tmp_path / "a.json", graphs, edges), split="part")
    assert build_task(repr(task)) == task
    data = task.load()
    assert data.metric == "RMSE"
    assert data.split["valid"].tolist() == [1, 4, 7, 10]
    for index, graph in enumerate(graphs):
        expected = nx.convert_node_labels_to_integers(graph).to_directed()
        found = data.graphs.to_networkx(index)
        assert set(found.edges()) == set(expected.edges())
        assert data.graphs[index].x.flatten().tolist() == list(range(len(graph)))
        assert set(data.graphs[index].edge_weight.tolist()) == {2.0}
        assert data.graphs.graph["y"][index].item() == graph.graph["y"]


def test_lists_are_several_columns(tmp_path: Path) -> None:
    graphs = make()
    for i, graph in enumerate(graphs):
        graph.graph["y"] = [i % 2, None if i == 4 else (i // 3) % 2]
        nx.set_node_attributes(graph, {node: [0.5, place] for place, node in enumerate(graph)}, "size")
    data = NetworkxList(path=save(tmp_path / "a.json", graphs), split="part").load()
    assert data.metric == "ROC-AUC"
    assert data.graphs.graph["y"][4].isnan().tolist() == [False, True]
    assert data.graphs[0].x.tolist() == [[0.5, place] for place in range(4)]
    plain = NetworkxList(path=str(tmp_path / "a.json"), split="part", node_features=(), edge_features=()).load()
    assert plain.adapter.node_categories == (1,)
    assert plain.adapter.edge_encoder(8) is None


def test_ids_of_any_kind(tmp_path: Path) -> None:
    graphs = []
    for i in range(12):
        graph = nx.grid_2d_graph(2, i + 2)
        graph.graph["y"] = i + 0.5
        graphs.append(graph)
    data = NetworkxList(path=save(tmp_path / "a.json", graphs)).load()
    assert data.graphs.sizes.tolist() == [2 * (i + 2) for i in range(12)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graphs: graphs[3].graph.update(y="x"), "graph 3: y is 'x', not a number"),
        (lambda graphs: graphs[3].graph.update(y=[1, 2]), "graph 0: y is 0.5, elsewhere a list of 2"),
        (lambda graphs: graphs[3].nodes[1].clear(), "graph 3, nodes: number 1 has no 'size'; give it to all"),
        (lambda graphs: graphs[3].clear(), "graph 3"),
        (
            lambda graphs: graphs[3].nodes[1].update(size=float("nan")),
            "graph 3: size is nan, no finite number .*give --skip-bad",
        ),
        (lambda graphs: nx.set_edge_attributes(graphs[3], -1.0, "weight"), "graph 3: an edge has the weight '-1.0'"),
        (
            lambda graphs: nx.set_node_attributes(graphs[3], 1, "more"),
            r"graph 3: nodes have the features \['more', 'si",
        ),
        (lambda graphs: graphs[3].graph.update(part="dev"), "graph 3: part is 'dev', expected train, valid or test"),
    ],
)
def test_a_wrong_graph_is_named(tmp_path: Path, change: object, message: str) -> None:
    graphs = make()
    change(graphs)  # type: ignore[operator]
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        NetworkxList(path=save(tmp_path / "a.json", graphs), split="part").load()
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"none.json cannot be read: No such file"):
        NetworkxList(path=str(tmp_path / "none.json")).load()
    path = tmp_path / "a.json"
    for text, message in (
        ("[", "cannot be read as JSON"),
        ("{}", "must hold a list of graphs"),
        ("[]", "must hold a list of graphs"),
        ("[3]", "graph 0 has no list of nodes and of edges"),
        ('[{"nodes": [{"id": 1}], "edges": [{"source": 1, "target": 2}]}]', "graph 0: .* an edge ends in no node"),
        ('[{"nodes": [{"id": 1}, {"id": 1}], "edges": []}]', "graph 0 has two nodes of one id"),
        ('[{"nodes": [{"id": 1}], "edges": [], "graph": 3}]', r"graph 0: its attributes \('graph'\) are 3, not names"),
        ('[{"nodes": [{"id": 1}], "edges": [], "graph": {"y": {}}}]', "graph 0: y is {}, neither a number nor a word"),
        ('[{"nodes": [{"id": 1, "c": [[1]]}], "edges": [], "graph": {"y": 1}}]', r"graph 0: c\[0\] is \[1\], neither"),
        ('[{"nodes": [{"id": 1}], "edges": [], "graph": {"z": 1}}]', "no graph has the attribute 'y'; there are z"),
    ):
        path.write_text(text)
        with pytest.raises(GraphPERuntimeError, match=message):
            NetworkxList(path=str(path)).load()


def test_unknown_targets_bad_graphs_and_several_files(tmp_path: Path) -> None:
    graphs = make()
    del graphs[2].graph["y"]
    graphs[3].nodes[1].clear()
    save(tmp_path / "a.json", graphs)
    save(tmp_path / "b.json", make())
    files = {"path": str(tmp_path / "a.json"), "test": str(tmp_path / "b.json")}
    with pytest.raises(GraphPERuntimeError, match=r"a.json, graph 3, nodes: .*; correct it, or give --skip-bad"):
        NetworkxList(**files).load()  # type: ignore[arg-type]
    data = NetworkxList(**files, skip_bad=True).load()  # type: ignore[arg-type]
    count = len(graphs)
    assert data.graphs.num_graphs == 2 * count - 1
    assert data.split["test"].tolist() == list(range(count - 1, 2 * count - 1))
    assert 2 not in torch.cat([data.split["train"], data.split["valid"]]).tolist()
    assert data.graphs.graph["y"][2].isnan().all()
    for graph in graphs:
        graph.graph["z"] = 2.5 * graph.number_of_nodes()
    save(tmp_path / "c.json", graphs)
    both = NetworkxList(path=str(tmp_path / "c.json"), target=("y", "z"), skip_bad=True)
    assert build_task(repr(both)) == both
    assert both.load().adapter.target_names == ("y", "z")
