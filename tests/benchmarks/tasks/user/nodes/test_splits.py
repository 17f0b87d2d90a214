"""Own data with targets of nodes: what is read from each kind of file, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.calls.data import own_task
from graphpe.benchmarks.console.data import DataOptions
from graphpe.benchmarks.tasks import DataFile, EdgeListFolder, NetworkxList
from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.node_level import NodeTargets
from graphpe.benchmarks.tasks.shared_graph import NodeSplitTargets
from graphpe.errors import GraphPEError, GraphPERuntimeError

N = 40
WORDS = ("train", "valid", "test")


def parts() -> torch.Tensor:
    """A part of each node at random, one of each class in the training part."""
    return torch.cat([torch.zeros(4, dtype=torch.long), torch.randperm(N - 4) % 3])


def graph(**more: Any) -> Data:
    part = parts()
    content: dict[str, Any] = {
        "x": torch.randn(N, 3),
        "edge_index": torch.randint(0, N, (2, 90)),
        "y": torch.arange(N) % 4,
        **{f"{name}_mask": part == number for number, name in enumerate(("train", "val", "test"))},
    }
    return Data(**{name: value for name, value in (content | more).items() if value is not None})


def masks(value: Any = None) -> dict[str, Any]:
    return {f"{name}_mask": value for name in ("train", "val", "test")}


def saved(path: Path, content: Any) -> str:
    torch.save(content, path)
    return str(path)


def understood(path: str, **more: Any) -> DataFile:
    return DataFile(path=path, **more).understood()


def test_one_data_with_masks(tmp_path: Path) -> None:
    data = graph()
    data.y[7] = -1
    task = understood(saved(tmp_path / "a.pt", data))
    assert (task.level, task.split, task.readout) == ("node", "masks", "none")
    loaded = task.load()
    assert isinstance(loaded, NodeSplitTargets)
    assert (loaded.unit, loaded.metric, loaded.adapter.class_names) == ("node", "accuracy", ("0", "1", "2", "3"))
    for part, name in zip(WORDS, ("train", "val", "test"), strict=True):
        expected = set(data[f"{name}_mask"].nonzero().flatten().tolist()) - {7}
        assert set(loaded.split[part].tolist()) == expected
    assert any("1 of 40 not known" in note for note in loaded.notes)
    assert DataFile(path=str(tmp_path / "a.pt")).load().fingerprint == loaded.fingerprint


def test_several_splits_in_masks(tmp_path: Path) -> None:
    columns = torch.stack([parts() for _ in range(10)], dim=1)
    data = graph(**{f"{name}_mask": columns == number for number, name in enumerate(("train", "val", "test"))})
    path = saved(tmp_path / "a.pt", data)
    for split, column in (("masks", 0), ("masks[3]", 3), ("9", 9)):
        loaded = DataFile(path=path, split=split, level="node").load()
        assert loaded.split["test"].tolist() == (columns[:, column] == 2).nonzero().flatten().tolist()
    assert any("hold 10 splits" in note for note in understood(path).load().notes)
    with pytest.raises(GraphPERuntimeError, match="train_mask holds 10 splits, counted from 0: there is no 10"):
        DataFile(path=path, split="masks[10]", level="node").load()


def test_one_mask_beside_several_is_that_of_each(tmp_path: Path) -> None:
    """As PyG's WikiCS has it: twenty of training and validation, one of the test."""
    part, columns = parts(), torch.randn(N, 5) > 0
    free = (part < 2)[:, None]
    data = graph(train_mask=free & columns, val_mask=free & ~columns, test_mask=part == 2)
    path = saved(tmp_path / "a.pt", data)
    for split, column in (("masks", 0), ("masks[4]", 4)):
        loaded = DataFile(path=path, split=split, level="node", metric="RMSE").load()
        assert loaded.split["test"].tolist() == (part == 2).nonzero().flatten().tolist()
        assert loaded.split["valid"].tolist() == data.val_mask[:, column].nonzero().flatten().tolist()
    assert any("hold 5 splits" in note for note in understood(path, metric="RMSE").load().notes)
    with pytest.raises(GraphPERuntimeError, match="train_mask holds 5 splits, counted from 0: there is no 5"):
        DataFile(path=path, split="masks[5]", level="node").load()
    with pytest.raises(GraphPERuntimeError, match="train_mask holds 1 splits, counted from 0: there is no 1"):
        DataFile(path=saved(tmp_path / "b.pt", graph()), split="masks[1]", level="node").load()


@pytest.mark.parametrize(
    ("names", "lacking"),
    [
        ({"val_mask": None}, "has train_mask and test_mask, but no val_mask"),
        ({"val_mask": None, "test_mask": None}, "has train_mask, but no val_mask and test_mask"),
        (masks() | {"train_idx": torch.arange(9), "valid_idx": torch.arange(9, 20)}, "but no test_idx"),
    ],
)
def test_a_part_of_the_masks_is_no_reason_to_mix_them(tmp_path: Path, names: dict[str, Any], lacking: str) -> None:
    path = saved(tmp_path / "a.pt", graph(**names))
    with pytest.raises(GraphPERuntimeError, match=f"a.pt: the graph {lacking}" if "has" in lacking else lacking):
        understood(path)
    assert len(DataFile(path=path, level="node").load().split["train"]) == 32


def test_one_graph_with_a_target_of_its_own_cannot_be_split(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", graph(y=torch.arange(N - 1)))
    (tmp_path / "a.json").write_text(json.dumps({**node_link({}), "graph": {"y": 1}}))
    (tmp_path / "g.csv").write_text("0,1\n")
    (tmp_path / "labels.csv").write_text("graph,y\ng,1\n")
    for task in (DataFile(path), NetworkxList(str(tmp_path / "a.json")), EdgeListFolder(str(tmp_path))):
        with pytest.raises(
            GraphPERuntimeError, match=r"holds one graph, .* give one for each of them, and level='node'"
        ):
            task.load()


def test_splits_by_ids_words_dictionaries_and_files(tmp_path: Path) -> None:
    part = parts()
    ids = {word: (part == number).nonzero().flatten() for number, word in enumerate(WORDS)}
    listed = {"train_idx": ids["train"], "valid_idx": ids["valid"], "test_idx": ids["test"]}
    (tmp_path / "split.json").write_text(json.dumps({word: each.tolist() for word, each in ids.items()}))
    for number, (more, split, found) in enumerate(
        [
            (listed, "random", "masks"),
            ({"split_idx": ids}, "random", "split_idx"),
            ({"split": [WORDS[int(each)] for each in part]}, "random", "split"),
            ({}, str(tmp_path / "split.json"), str(tmp_path / "split.json")),
        ]
    ):
        task = understood(saved(tmp_path / f"{number}.pt", graph(**masks(), **more)), split=split)
        assert task.split == found
        loaded = task.load()
        assert all(torch.equal(loaded.split[word], ids[word]) for word in WORDS)
    plain = understood(saved(tmp_path / "plain.pt", graph(**masks()))).load()
    assert {word: len(each) for word, each in plain.split.items()} == {"train": 32, "valid": 4, "test": 4}


@pytest.mark.parametrize(
    ("y", "metric", "targets"),
    [
        (torch.arange(N) % 2, "ROC-AUC", 1),
        ((torch.arange(N) % 2).bool(), "ROC-AUC", 1),
        (torch.arange(N) % 3 + 5, "accuracy", 3),
        (torch.randint(0, 2, (N, 5)).float(), "ROC-AUC", 5),
        (torch.randn(N), "RMSE", 1),
        (torch.randn(N, 3), "RMSE", 3),
        ([("red", "green", "blue")[i % 3] for i in range(N)], "accuracy", 3),
    ],
)
def test_classes_labels_and_numbers(tmp_path: Path, y: Any, metric: str, targets: int) -> None:
    if isinstance(y, torch.Tensor) and y.is_floating_point():
        y[0] = torch.nan
    loaded = understood(saved(tmp_path / "a.pt", graph(y=y))).load()
    assert (loaded.metric, loaded.adapter.targets) == (metric, targets)
    assert loaded.graphs.node["y"].shape == (N, targets if metric != "accuracy" else 1)


def test_many_graphs_are_split_as_graphs_unless_masks_say_otherwise(tmp_path: Path) -> None:
    sizes = [3 + i % 4 for i in range(20)]
    graphs = [Data(x=torch.randn(n, 2), edge_index=torch.zeros(2, 0).long(), y=torch.arange(n) % 2) for n in sizes]
    task = understood(saved(tmp_path / "many.pt", graphs))
    loaded = task.load()
    assert (task.level, task.split, loaded.unit) == ("node", "random", "graph")
    assert isinstance(loaded, NodeTargets)
    assert {word: len(each) for word, each in loaded.split.items()} == {"train": 16, "valid": 2, "test": 2}
    assert task.training_defaults("whole") == {}
    for each, n in zip(graphs, sizes, strict=True):
        part = torch.arange(n) % 3
        each.train_mask, each.val_mask, each.test_mask = part == 0, part == 1, part == 2
    masked = understood(saved(tmp_path / "masked.pt", graphs))
    assert masked.split == "masks"
    loaded = masked.load()
    assert isinstance(loaded, NodeSplitTargets)
    assert len(loaded.split["train"]) == sum(-(-n // 3) for n in sizes)
    places, _ = loaded.table(torch.zeros(len(loaded.split["test"]), 1), loaded.split["test"])
    assert places["graph"].tolist() == [g for g, n in enumerate(sizes) for i in range(n) if i % 3 == 2]
    assert places["node"].tolist() == [i for n in sizes for i in range(n) if i % 3 == 2]


def test_targets_of_graphs_stay_targets_of_graphs(tmp_path: Path) -> None:
    same = [Data(edge_index=torch.zeros(2, 0).long(), num_nodes=3, y=torch.randn(3)) for _ in range(12)]
    loaded = understood(saved(tmp_path / "a.pt", same)).load()
    assert type(loaded) is GraphTargets
    assert loaded.adapter.targets == 3
    assert understood(str(tmp_path / "a.pt")).level == "graph"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"train_mask": torch.ones(7, dtype=torch.bool)},
            r"train_mask is .*\[7\] .*, expected one entry for each of 40",
        ),
        (masks(torch.ones(N, dtype=torch.bool)), "node 0 is in the train part of the split and in the valid part"),
        ({"val_mask": torch.zeros(N, dtype=torch.bool)}, "the valid part of the split is empty"),
        ({"val_mask": torch.randn(N)}, "val_mask is .*, expected True and False"),
        ({"x": torch.full((N, 2), torch.nan)}, "x has nan in column 0, no finite number"),
        ({"y": torch.full((N,), torch.nan)}, "y is not known for any node"),
        ({"y": torch.full((N,), 3)}, "y is '3' for every node: there is nothing to learn"),
        ({"y": torch.full((N,), torch.inf)}, "node 0: y is inf, which is not a finite number"),
        ({"edge_index": torch.tensor([[0], [N]])}, r"the edge \[0, 40\], but the graph has 40 nodes"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        DataFile(path=saved(tmp_path / "a.pt", graph(**more)), level="node", split="masks").load()
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a.pt") in str(caught.value) or "for every node" in message


def test_targets_that_a_split_lacks_are_one_line(tmp_path: Path) -> None:
    data = graph(y=torch.randn(N))
    data.y[data.val_mask] = torch.nan
    with pytest.raises(GraphPERuntimeError, match=r"none of the 1\d nodes of the valid part .* has a known target"):
        understood(saved(tmp_path / "a.pt", data)).load()
    data = graph()
    data.y[data.train_mask] = data.y[data.train_mask] % 3
    data.y[data.val_mask.nonzero()[:2].flatten()] = 3
    with pytest.raises(
        GraphPERuntimeError, match=r"class 3 is that of \d+ nodes of the valid part, and of none of the"
    ):
        understood(saved(tmp_path / "b.pt", data)).load()
    with pytest.raises(GraphPERuntimeError, match="there is no split 'columns': give 'random', 'masks'"):
        DataFile(path=str(tmp_path / "b.pt"), level="node", split="columns").load()
    with pytest.raises(GraphPERuntimeError, match="needs train_mask, val_mask and test_mask"):
        DataFile(path=saved(tmp_path / "c.pt", graph(**masks())), level="node", split="masks").load()


def node_link(attributes: dict[str, list[Any]]) -> dict[str, Any]:
    nodes = [{"id": i, **{name: cells[i] for name, cells in attributes.items()}} for i in range(N)]
    links = [{"source": i, "target": (i + 1) % N} for i in range(N)]
    return {"directed": False, "graph": {}, "nodes": nodes, "edges": links}


def test_networkx_graphs_with_targets_of_nodes(tmp_path: Path) -> None:
    y: list[Any] = [("a", "b", None)[i % 3] for i in range(N)]
    words = [WORDS[i % 4 % 3] for i in range(N)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(node_link({"y": y, "split": words, "f": [0.5 * i for i in range(N)]})))
    task = NetworkxList(path=str(path)).understood()
    assert (task.level, task.split) == ("node", "split")
    loaded = task.load()
    assert loaded.graphs.node["y"].flatten().tolist() == [{"a": 0, "b": 1, None: -1}[each] for each in y]
    assert loaded.adapter.node_columns == (("f", None),)  # neither the target nor the split is a feature
    assert loaded.split["valid"].tolist() == [i for i in range(N) if words[i] == "valid" and y[i] is not None]
    several = [node_link({"y": y}) for _ in range(10)]
    path.write_text(json.dumps(several))
    loaded = NetworkxList(path=str(path)).load()
    assert (loaded.unit, loaded.adapter.level) == ("graph", "node")
    path.write_text(json.dumps(node_link({"z": words})))
    with pytest.raises(GraphPERuntimeError, match="nodes have no 'y' to predict"):
        NetworkxList(path=str(path), level="node").load()


def test_edge_lists_with_targets_of_nodes(tmp_path: Path) -> None:
    (tmp_path / "edges").mkdir()
    (tmp_path / "nodes").mkdir()
    (tmp_path / "edges" / "g.csv").write_text("source,target\n" + "".join(f"n{i},n{(i + 1) % N}\n" for i in range(N)))
    cells = ["" if i % 9 == 0 else -1 if i % 11 == 1 else i % 3 for i in range(N)]
    rows = "".join(f"n{i},{i / 7:.2f},{cells[i]},{WORDS[i % 4 % 3]}\n" for i in range(N))
    (tmp_path / "nodes" / "g.csv").write_text("node,f,y,split\n" + rows)
    text = own_task(DataOptions(data=str(tmp_path)), None, given_by="--task")
    task = EdgeListFolder(path=str(tmp_path)).understood()
    assert text == repr(task)
    assert (task.level, task.split) == ("node", "split")
    loaded = task.load()
    known = [i for i in range(N) if cells[i] not in ("", -1)]
    assert loaded.graphs.node["y"].flatten().tolist() == [c if c not in ("", -1) else -1 for c in cells]
    assert loaded.split["test"].tolist() == [i for i in known if WORDS[i % 4 % 3] == "test"]
    assert loaded.adapter.node_columns == (("f", None),)
    with pytest.raises(GraphPERuntimeError, match="no column 'q' to predict; there are f, y, split"):
        EdgeListFolder(path=str(tmp_path), targets=("q",), level="node").load()
    (tmp_path / "nodes" / "g.csv").unlink()
    with pytest.raises(GraphPEError, match=r"labels\.csv is not in"):
        own_task(DataOptions(data=str(tmp_path)), None, given_by="--task")
