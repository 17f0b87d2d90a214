from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.datasets import TUDataset

from graphpe import precompute
from graphpe import transforms as T
from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.user.data_file import DataFile
from graphpe.errors import GraphPERuntimeError


def graphs(count: int = 20, **extra: object) -> list[Data]:
    out = []
    for i in range(count):
        n = 2 + i % 4
        edges = torch.randint(n, (2, n))
        values = {"num_nodes": n, **{key: value(i, n) for key, value in extra.items()}}  # type: ignore[operator]
        out.append(Data(edge_index=edges, **values))
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
    labels = DataFile(path=str(saved(tmp_path / "a.pt", several)), metric="AP").load()
    assert labels.metric == "AP"
    assert labels.graphs.graph["y"].shape == (20, 2)
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
    with pytest.raises(GraphPERuntimeError, match=r"holds more.pt, test.pt, train.pt, val.pt: expected one .pt file"):
        DataFile(path=str(tmp_path / "three")).load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[2].x.fill_(torch.inf), "a.pt, graph 2: x has inf in column 0"),
        (lambda data: data.__setitem__(5, Data(x=torch.zeros(0, 2), edge_index=torch.zeros(2, 0, dtype=torch.long),
                                               y=torch.tensor([1.5]))), "a.pt, graph 5: the graph has no nodes"),
        (lambda data: data[1].edge_index.fill_(9), r"a.pt, graph 1: edge_index has the edge \[9, 9\]"),
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
    with pytest.raises(GraphPERuntimeError, match=r"holds no .pt file: expected one .pt file"):
        DataFile(path=str(tmp_path)).load()
    data = graphs(x=lambda i, n: torch.full((n, 1), -1), y=lambda i, n: torch.tensor([i + 0.5]))
    with pytest.raises(GraphPERuntimeError, match="graph 0: x is -1 in column 0; integers are categories from 0"):
        DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    nodes = graphs(y=lambda i, n: torch.rand(n), z=lambda i, n: 1.0)
    with pytest.raises(GraphPERuntimeError, match="no graph-level value 'y' to predict; it is a value of nodes"):
        DataFile(path=str(saved(tmp_path / "b.pt", nodes)), level="graph").load()
    with pytest.raises(GraphPERuntimeError, match=r"no graph has a value 'q' to predict .*; there is y, z"):
        DataFile(path=str(tmp_path / "b.pt"), target="q").load()
    few = graphs(3, y=lambda i, n: torch.tensor([i + 0.5]))
    with pytest.raises(GraphPERuntimeError, match="the valid part of the split is empty"):
        DataFile(path=str(saved(tmp_path / "c.pt", few))).load()


def a_number(i: int, n: int) -> torch.Tensor:
    return torch.tensor([i + 0.5])


def test_a_folder_of_tudataset(tmp_path: Path) -> None:
    """Written by PyG from raw files: four things, of which `_num_nodes` counts nodes where there are no features."""
    for name, labels in (("WITH", True), ("BARE", False)):
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        sizes = [3, 1, 4] * 8
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        edges = [(s + 1 + k, s + 2 + k) for s, n in zip(starts, sizes, strict=True) for k in range(n - 1)]
        (raw / f"{name}_A.txt").write_text("".join(f"{a}, {b}\n{b}, {a}\n" for a, b in edges))
        (raw / f"{name}_graph_indicator.txt").write_text("".join(f"{g + 1}\n" * n for g, n in enumerate(sizes)))
        (raw / f"{name}_graph_labels.txt").write_text("".join(f"{g % 3}\n" for g in range(len(sizes))))
        if labels:
            (raw / f"{name}_node_labels.txt").write_text("".join(f"{k % 2}\n" for k in range(sum(sizes))))
        dataset = TUDataset(str(tmp_path), name)
        assert len(torch.load(tmp_path / name / "processed" / "data.pt", weights_only=False)) == 4
        loaded = DataFile(path=str(tmp_path / name)).load()
        assert loaded.metric == "accuracy"
        for found, expected in zip(loaded.graphs.to_data_list(), dataset, strict=True):
            assert torch.equal(found.edge_index, expected.edge_index)
            assert found.num_nodes == expected.num_nodes
            assert found.y.item() == expected.y.item()
            if labels:
                assert torch.equal(found.x, expected.x)
    assert "no node features (x): a constant instead" in loaded.notes


def test_other_forms_of_the_same_graphs(tmp_path: Path) -> None:
    data = graphs(24, x=categories, y=a_number)
    expected = DataFile(path=str(saved(tmp_path / "list.pt", data))).load()
    torch.save(Batch.from_data_list(data), tmp_path / "batch.pt")
    torch.save(data, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save([graph.to_dict() for graph in data], tmp_path / "dicts.pt")
    (tmp_path / "numbered" / "processed").mkdir(parents=True)
    for i, graph in enumerate(data):  # in the order of numbers, not of names: data_10 after data_9
        torch.save(graph, tmp_path / "numbered" / "processed" / f"data_{i}.pt")
    for name in ("batch.pt", "legacy.pt", "dicts.pt", "numbered"):
        assert DataFile(path=str(tmp_path / name)).load().fingerprint == expected.fingerprint
    precompute(data, T.DegreePE(), tmp_path / "encoded", progress=False)
    encoded = DataFile(path=str(tmp_path / "encoded")).load()
    assert encoded.fingerprint == expected.fingerprint
    assert encoded.encodings == (repr(T.DegreePE()),)
    assert torch.equal(encoded.graphs.node["degree_pe"], T.DegreePE()(encoded.graphs.structure()).node["degree_pe"])
    assert not any("degree_pe" in note for note in encoded.notes)


@pytest.mark.parametrize("names", [("train_data", "val_data", "test_data"), ("train", "valid", "test")])
def test_parts_under_other_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    data = graphs(12, x=categories, y=a_number)
    for name, part in zip(names, (data[:6], data[6:8], data[8:]), strict=True):
        InMemoryDataset.save(part, str(tmp_path / f"{name}.pt"))
    torch.save(dict(zip(names, (data[:6], data[6:8], data[8:]), strict=True)), tmp_path.with_suffix(".pt"))
    for path in (tmp_path, tmp_path.with_suffix(".pt")):
        loaded = DataFile(path=str(path)).load()
        assert {part: ids.tolist() for part, ids in loaded.split.items()} == {
            "train": list(range(6)), "valid": [6, 7], "test": list(range(8, 12))
        }  # fmt: skip
        assert loaded.graphs.graph["y"].flatten().tolist() == [i + 0.5 for i in range(12)]


def test_what_nothing_reads_is_named_and_nothing_else(tmp_path: Path) -> None:
    data = graphs(
        x=categories,
        y=a_number,
        fingerprint=lambda i, n: torch.rand(64),
        ragged=lambda i, n: torch.rand(7 + i % 5, i % 3 + 1),
        sparse=lambda i, n: torch.eye(n).to_sparse(),
        smiles=lambda i, n: "C" * n,
        pair=lambda i, n: (1, "two"),
        batch=lambda i, n: "text",
    )
    del data[3].fingerprint
    loaded = DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    assert "there and not used: fingerprint, ragged, sparse, smiles, pair, batch" in loaded.notes
    bare = graphs(y=a_number, pos=lambda i, n: torch.rand(n, 3), z=lambda i, n: torch.arange(n))
    notes = DataFile(path=str(saved(tmp_path / "b.pt", bare))).load().notes
    assert "there and not used: pos, z; no node features (x): a constant instead" in notes


@pytest.mark.parametrize(
    ("value", "width"),
    [
        (lambda i, n: torch.tensor([i, 2.5, -i]), 3),
        (lambda i, n: torch.tensor([[i, 2.5]]), 2),
        (lambda i, n: np.array([i, 0.5]), 2),
        (lambda i, n: [i, 0.5], 2),
        (lambda i, n: np.float32(i + 0.5), 1),
        (lambda i, n: np.array(i + 0.5), 1),
        (lambda i, n: torch.tensor(i + 0.5), 1),
        (lambda i, n: np.int64(3 * i), 1),
    ],
)
def test_targets_of_any_container(tmp_path: Path, value: Callable[[int, int], object], width: int) -> None:
    data = graphs(x=lambda i, n: np.full((n, 2), i / 2), y=value)
    loaded = DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    expected = torch.tensor([np.asarray(value(i, 0), dtype=float).reshape(-1).tolist() for i in range(20)])
    assert torch.equal(loaded.graphs.graph["y"], expected.float())
    assert loaded.graphs.graph["y"].shape == (20, width)
    assert torch.equal(loaded.graphs.node["x"][:, 0], loaded.graphs.batch / 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"y": lambda i, n: 1e300 if i == 4 else 1.5 * i}, r"graph 4: y is 1e\+300"),
        ({"y": lambda i, n: 10**400 if i == 4 else 1.5 * i}, "graph 4: y is inf"),
        ({"x": lambda i, n: torch.full((n, 1), 1e300 if i == 4 else 1, dtype=torch.float64)}, r"graph 4: x has 1e"),
        ({"edge_weight": lambda i, n: torch.full((n,), torch.nan if i == 4 else 1.0)}, "graph 4: edge_weight has nan"),
        ({"edge_weight": lambda i, n: torch.full((n,), 1e300, dtype=torch.float64)}, r"graph 0: edge_weight has 1e"),
        ({"edge_attr": lambda i, n: torch.full((n,), torch.inf if i == 4 else 1.0)}, "graph 4: edge_attr has inf"),
        ({"num_nodes": lambda i, n: 10**14 if i == 4 else n}, "graph 4: num_nodes is 100000000000000, expected"),
        ({"num_nodes": lambda i, n: "three" if i == 4 else n}, "graph 4: num_nodes is 'three', expected an integer"),
        ({"x": lambda i, n: "text" if i == 4 else torch.rand(n, 2)}, "graph 4: x is str, expected 2 rows"),
        ({"x": lambda i, n: torch.rand(n, 1 + (i == 4))}, r"graph 4: x is \[2, 2\], but that of graph 0 is \[2, 1\]"),
        ({"edge_attr": lambda i, n: torch.rand(n + (i == 4), 1)}, "graph 4: edge_attr is .*, expected 2 rows"),
        ({"y": lambda i, n: torch.rand(2 + (i == 4))}, "graph 4: y holds 3 values, elsewhere 2"),
        ({"y": lambda i, n: torch.zeros(0)}, "graph 0: the target is an empty list"),
        ({"y": lambda i, n: {"a": 1}}, "graph 0: y is .*, neither a number nor a word"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line(tmp_path: Path, values: dict[str, object], message: str) -> None:
    data = graphs(**{"y": a_number, **values})
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    assert "\n" not in str(caught.value)


def test_a_graph_without_edges_needs_no_edge_features(tmp_path: Path) -> None:
    data = graphs(x=categories, y=a_number)
    for graph in data:
        graph.edge_attr = torch.rand(graph.num_edges, 2)
    data[7] = Data(x=categories(7, 1), edge_index=torch.zeros(2, 0, dtype=torch.long), y=a_number(7, 1))
    loaded = DataFile(path=str(saved(tmp_path / "a.pt", data))).load()
    assert loaded.graphs.edge["edge_attr"].shape == (loaded.graphs.num_edges, 2)


def test_weights_are_in_the_fingerprint(tmp_path: Path) -> None:
    data = graphs(y=a_number, edge_weight=lambda i, n: torch.ones(n))
    before = DataFile(path=str(saved(tmp_path / "a.pt", data))).load().fingerprint
    data[3].edge_weight[0] = 2.0
    assert DataFile(path=str(saved(tmp_path / "a.pt", data))).load().fingerprint != before


def test_unknown_targets_bad_graphs_and_several_files(tmp_path: Path) -> None:
    data = graphs(20, x=lambda i, n: torch.rand(n, 2), y=a_number, kind=lambda i, n: ["a", "b", None][i % 3])
    words = DataFile(path=str(saved(tmp_path / "w.pt", data)), target="kind").load()
    assert words.graphs.graph["y"].flatten().tolist() == [[0, 1, -1][i % 3] for i in range(20)]
    assert {i % 3 for i in torch.cat(list(words.split.values())).tolist()} == {0, 1}
    data[2].y = None
    data[4].edge_index = data[4].edge_index + 9
    data[5].x = data[5].x[:, :1]
    data[7].x[0] = torch.inf
    parts = {"path": saved(tmp_path / "a.pt", data[:12]), "test": saved(tmp_path / "b.pt", data[12:])}
    files = {name: str(path) for name, path in parts.items()}
    with pytest.raises(
        GraphPERuntimeError, match=r"a.pt, graph 4: edge_index has the edge .*; correct it, or give --skip-bad"
    ):
        DataFile(**files).load()
    loaded = DataFile(**files, skip_bad=True).load()
    assert loaded.graphs.num_graphs == 17
    assert loaded.split["test"].tolist() == list(range(9, 17))
    assert sorted(loaded.split["train"].tolist() + loaded.split["valid"].tolist()) == [0, 1, 3, 4, 5, 6, 7, 8]
    at = loaded.notes.index("skipped, for they cannot be read: 3 of 20 rows")
    assert "a.pt, graph 5: its x is [1] a row, that of most graphs [2] a row" in loaded.notes[at + 2]
    several = DataFile(path=str(saved(tmp_path / "c.pt", graphs(y=a_number, z=a_number))), target=["y", "z"])
    assert build_task(repr(several)) == several
    assert several.load().graphs.graph["y"].shape == (20, 2)
    torch.save({"train": data[8:12], "val": data[12:14], "test": data[14:]}, tmp_path / "d.pt")
    with pytest.raises(GraphPERuntimeError, match=r"d.pt holds parts of a split itself: give it alone"):
        DataFile(path=files["path"], valid=str(tmp_path / "d.pt"), skip_bad=True).load()
