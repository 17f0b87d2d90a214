from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.user.data_file import DataFile
from graphpe.errors import GraphPERuntimeError


def graphs(count: int = 20, **extra: object) -> list[Data]:
    out = []
    for i in range(count):
        n = 2 + i % 4
        edges = torch.randint(n, (2, n))
        values = {key: value(i, n) for key, value in extra.items()}  # type: ignore[operator]
        out.append(Data(edge_index=edges, num_nodes=n, **values))
    return out


def categories(i: int, n: int) -> torch.Tensor:
    return torch.arange(2 * n).view(n, 2) % 3


def saved(path: Path, data: list[Data]) -> Path:
    torch.save(data, path)
    return path


def test_a_saved_list(tmp_path: Path) -> None:
    data = graphs(
        x=categories, y=lambda i, n: torch.tensor([i + 0.5]), part=lambda i, n: ["train", "val", "test"][i % 3]
    )
    task = DataFile(path=str(saved(tmp_path / "a.pt", data)))
    assert build_task(repr(task)) == task
    loaded = task.load()
    assert loaded.metric == "RMSE"
    for found, expected in zip(loaded.graphs.to_data_list(), data, strict=True):
        assert torch.equal(found.x, expected.x)
        assert torch.equal(found.edge_index, expected.edge_index)
        assert found.y.item() == expected.y.item()
    assert loaded.adapter.node_categories == (3, 3)
    given = DataFile(path=task.path, split="part").load()
    assert given.split["valid"].tolist() == list(range(1, 20, 3))
    (tmp_path / "split.json").write_text(json.dumps({"train": [0, 1], "valid": [2], "test": [3]}))
    listed = DataFile(path=task.path, split=str(tmp_path / "split.json")).load()
    assert listed.split["train"].tolist() == [0, 1]
    assert "16 graphs are in no part of the split" in listed.notes


def test_features(tmp_path: Path) -> None:
    data = graphs(x=lambda i, n: torch.rand(n, 3, dtype=torch.float64), y=lambda i, n: float(i))
    for graph in data:
        graph.edge_attr = torch.rand(graph.edge_index.shape[1])
        graph.edge_weight = torch.ones(graph.edge_index.shape[1])
    loaded = DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    batch = loaded.graphs.to_batch()
    assert loaded.adapter.node_encoder(8)(batch).shape == (loaded.graphs.num_nodes, 8)
    assert loaded.adapter.edge_encoder(8)(batch).shape == (loaded.graphs.num_edges, 8)  # type: ignore[misc]
    assert loaded.graphs.edge_weight is not None
    bare = DataFile(path=str(saved(tmp_path / "b.pt", graphs(y=lambda i, n: float(i))))).load()
    assert bare.adapter.edge_encoder(8) is None
    assert bare.adapter.node_encoder(8)(bare.graphs.to_batch()).shape == (bare.graphs.num_nodes, 8)


def test_targets(tmp_path: Path) -> None:
    several = graphs(y=lambda i, n: torch.tensor([[float(i % 2), torch.nan if i == 3 else float(i % 3 == 0)]]))
    answers = DataFile(path=str(saved(tmp_path / "a.pt", several)), metric="AP").load()
    assert answers.metric == "AP"
    assert answers.graphs.graph["y"].shape == (20, 2)
    words = graphs(kind=lambda i, n: ["tree", "ring"][i % 2])
    classes = DataFile(path=str(saved(tmp_path / "b.pt", words)), target="kind").load()
    assert classes.metric == "accuracy"
    assert classes.graphs.graph["y"].flatten().tolist() == [1, 0] * 10


def test_datasets_of_pyg(tmp_path: Path) -> None:
    data = graphs(x=categories, y=lambda i, n: torch.tensor([i + 0.5]))
    InMemoryDataset.save(data, str(tmp_path / "new.pt"))
    torch.save(InMemoryDataset.collate(data), tmp_path / "old.pt")
    expected = DataFile(path=str(saved(tmp_path / "list.pt", data))).load().fingerprint
    for name in ("new.pt", "old.pt"):
        assert DataFile(path=str(tmp_path / name)).load().fingerprint == expected
    (tmp_path / "one" / "processed").mkdir(parents=True)
    InMemoryDataset.save(data, str(tmp_path / "one" / "processed" / "data.pt"))
    torch.save("None", tmp_path / "one" / "processed" / "pre_transform.pt")
    assert DataFile(path=str(tmp_path / "one")).load().fingerprint == expected
    processed = tmp_path / "three" / "processed"
    processed.mkdir(parents=True)
    for name, part in (("train", data[:9]), ("val", data[9:12]), ("test", data[12:])):
        InMemoryDataset.save(part, str(processed / f"{name}.pt"))
    three = DataFile(path=str(tmp_path / "three")).load()
    assert {part: len(ids) for part, ids in three.split.items()} == {"train": 9, "valid": 3, "test": 8}
    assert three.graphs.graph["y"].flatten().tolist() == [i + 0.5 for i in range(20)]
    InMemoryDataset.save(data, str(processed / "more.pt"))
    with pytest.raises(GraphPERuntimeError, match=r"holds more.pt, test.pt, train.pt, val.pt: expected one file"):
        DataFile(path=str(tmp_path / "three")).load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[4].update({"y": torch.tensor([torch.nan])}), "a.pt, graph 4: y is missing; RMSE"),
        (lambda data: data[2].x.fill_(torch.inf), "a.pt, graph 2: x has inf in column 0"),
        (lambda data: data.__setitem__(5, Data(x=torch.zeros(0, 2), edge_index=torch.zeros(2, 0, dtype=torch.long),
                                               y=torch.tensor([1.5]))), "a.pt, graph 5: the graph has no nodes"),
        (lambda data: data[3].pop("y"), "'y' is in graph 0 but not in graph 3"),
        (lambda data: data[1].edge_index.fill_(9), r"edge_index of graph 1 has the edge \[9, 9\]"),
        (lambda data: data.__setitem__(slice(None), []), "a.pt holds no graph"),
    ],
)  # fmt: skip
def test_a_wrong_graph_is_named(tmp_path: Path, change: object, message: str) -> None:
    data = graphs(x=lambda i, n: torch.rand(n, 2), y=lambda i, n: torch.tensor([i + 0.25]))
    change(data)  # type: ignore[operator]
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="No such file"):
        DataFile(path=str(tmp_path / "none.pt")).load()
    with pytest.raises(GraphPERuntimeError, match=r"holds no .pt file: expected one file"):
        DataFile(path=str(tmp_path)).load()
    data = graphs(x=lambda i, n: torch.full((n, 1), -1), y=lambda i, n: torch.tensor([i + 0.5]))
    with pytest.raises(GraphPERuntimeError, match="graph 0: x is -1 in column 0; integers are categories from 0"):
        DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    nodes = graphs(y=lambda i, n: torch.rand(n), z=lambda i, n: 1.0)
    with pytest.raises(GraphPERuntimeError, match="no graph-level value 'y' to predict; it is a value of nodes"):
        DataFile(path=str(saved(tmp_path / "b.pt", nodes))).load()
    with pytest.raises(GraphPERuntimeError, match="no graph-level value 'q' to predict; there are z"):
        DataFile(path=str(tmp_path / "b.pt"), target="q").load()
    few = graphs(3, y=lambda i, n: torch.tensor([i + 0.5]))
    with pytest.raises(GraphPERuntimeError, match="the valid part of the split is empty"):
        DataFile(path=str(saved(tmp_path / "c.pt", few))).load()
