from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch_geometric.datasets import HeterophilousGraphDataset

from graphpe.benchmarks.tasks.nodes.heterophilous import Heterophilous
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def write(path: Path, nodes: int = 30, classes: int = 2, **changed: object) -> dict[str, np.ndarray]:
    """A random graph in the published layout; each edge stands there once."""
    rng = np.random.default_rng()
    part = np.stack([rng.permutation(nodes) % 3 for _ in range(10)])
    arrays: dict[str, np.ndarray] = {
        "node_features": rng.random((nodes, 4), dtype=np.float32),
        "node_labels": rng.permutation(np.arange(nodes) % classes),
        "edges": np.stack(np.triu_indices(nodes, 1), axis=1)[rng.permutation(nodes * (nodes - 1) // 2)[:60]],
        **{f"{name}_masks": part == number for number, name in enumerate(("train", "val", "test"))},
    }
    arrays |= changed  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return arrays


def test_it_is_what_pyg_reads(tmp_path: Path) -> None:
    arrays = write(tmp_path / "tolokers" / "raw" / "tolokers.npz")
    data = Heterophilous("tolokers", root=str(tmp_path), split=4, download=False).load()
    (theirs,) = HeterophilousGraphDataset(str(tmp_path), "tolokers")
    assert torch.equal(data.graphs.edge_index, theirs.edge_index)
    assert torch.equal(data.graphs.node["x"], theirs.x)
    assert torch.equal(data.graphs.node["y"].flatten().long(), theirs.y)
    for part, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        assert torch.equal(data.split[part], theirs[f"{name}_mask"][:, 4].nonzero().flatten())
    test, scores = data.split["test"], torch.randn(10, 1)
    labels = arrays["node_labels"][test.numpy()]
    assert data.evaluate(scores, test) == pytest.approx(roc_auc_score(labels, scores.flatten().numpy()))
    assert data.unit == "node"


def test_directed_graphs_stay_directed_and_classes_have_accuracy(tmp_path: Path) -> None:
    for name in ("chameleon_filtered_directed", "chameleon_filtered"):
        arrays = write(tmp_path / f"{name}.npz", classes=5)
        data = Heterophilous(name, root=str(tmp_path)).load()  # type: ignore[arg-type]
        given = {(int(u), int(v)) for u, v in arrays["edges"]}
        both = given if name.endswith("directed") else given | {(v, u) for u, v in given}
        assert {(int(u), int(v)) for u, v in data.graphs.edge_index.t()} == both
        assert data.metric == "accuracy"
        ids = data.split["valid"]
        right = torch.nn.functional.one_hot(data.graphs.node["y"][ids].flatten(), 5).float()
        assert data.evaluate(right, ids) == 1.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_masks": np.ones((10, 7), dtype=bool)}, r"train_masks is bool \[10, 7\], which does not fit 30 nodes"),
        (
            {"test_masks": np.ones((10, 30), dtype=bool)},
            r"is in the (train|valid) part of the split and in the test part",
        ),
        ({"train_masks": np.zeros((10, 30), dtype=bool)}, "the train part of the split is empty"),
        ({"node_features": np.full((30, 2), np.nan, dtype=np.float32)}, "x has nan in row 0, column 0"),
        ({"edges": np.array([[0, 30]])}, "edges of nodes that are not there"),
        ({"node_labels": np.arange(30)}, "its labels are not 0 and 1"),
        ({"node_labels": np.array([object()] * 30)}, "cannot be read"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, changed: dict[str, np.ndarray], message: str) -> None:
    write(tmp_path / "minesweeper.npz", **changed)
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        Heterophilous(root=str(tmp_path), download=False).load()
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"questions is not in .* \(questions.npz missing\)"):
        Heterophilous("questions", root=str(tmp_path / "new"), download=False).load(progress=False)
    assert not (tmp_path / "new").exists()
    with pytest.raises(GraphPERuntimeError, match=r"squirrel_filtered\.npz there, from"):
        Heterophilous("squirrel-filtered", root=str(tmp_path)).load()
    write(tmp_path / "minesweeper.npz")
    content = (tmp_path / "minesweeper.npz").read_bytes()
    (tmp_path / "minesweeper.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(GraphPERuntimeError, match="cannot be read"):
        Heterophilous(root=str(tmp_path)).load()
    for bad in ({"split": 10}, {"name": "cora"}, {"split": -1}):
        with pytest.raises(GraphPEValueError, match="must be"):
            Heterophilous(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "nodes", "edges", "metric"),
    [
        ("minesweeper", 10_000, 2 * 39_402, "ROC-AUC"),
        ("tolokers", 11_758, 2 * 519_000, "ROC-AUC"),
        ("chameleon-filtered-directed", 890, 13_584, "accuracy"),
    ],
)
def test_real_files(shared_data: Path, tmp_path: Path, name: str, nodes: int, edges: int, metric: str) -> None:
    shutil.copy(shared_data / "heterophilous" / f"{name.replace('-', '_')}.npz", tmp_path)
    data = Heterophilous(name, root=str(tmp_path), split=9).load()  # type: ignore[arg-type]
    assert (data.graphs.num_nodes, data.graphs.num_edges, data.metric) == (nodes, edges, metric)
    assert sum(map(len, data.split.values())) == nodes
