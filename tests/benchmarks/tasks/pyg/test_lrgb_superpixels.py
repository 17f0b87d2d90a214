from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from sklearn.metrics import f1_score

from graphpe.benchmarks.tasks.pyg.lrgb_superpixels import COCOSP, ObjectSuperpixels, PascalVOCSP
from graphpe.errors import GraphPERuntimeError

ORIGINAL = (0, 1, 13, 90)
"""Some class numbers of COCO, and those of them in a row: 0, 1, 12, 80."""


def write(folder: Path, classes: tuple[int, ...]) -> list[tuple[torch.Tensor, ...]]:
    """Graphs as LRGB's pickles have them: numbers of nodes and edges, edges, a list of classes."""
    graphs = []
    (folder / "raw").mkdir(parents=True)
    for part, count in (("train", 4), ("val", 3), ("test", 5)):
        made = []
        for _ in range(count):
            n = int(torch.randint(3, 9, ()))
            edges = (torch.rand(n, n) < 0.5).nonzero().t()
            y = torch.tensor(classes)[torch.randint(0, len(classes), (n,))].tolist()
            made.append((torch.rand(n, 14).double(), torch.rand(edges.shape[1], 2).double(), edges, y))
        (folder / "raw" / f"{part}.pickle").write_bytes(pickle.dumps(made))
        graphs += made
    return graphs


SHOWN = {
    PascalVOCSP: {number: number for number in range(21)},
    COCOSP: dict(zip(ORIGINAL, (0, 1, 12, 80), strict=True)),
}


@pytest.mark.parametrize("task", [PascalVOCSP, COCOSP])
def test_files_in_the_layout_of_pyg(tmp_path: Path, task: type[ObjectSuperpixels]) -> None:
    classes = SHOWN[task]
    graphs = write(tmp_path / task.name, tuple(classes))
    for _ in range(2):  # from raw files, then from PyG's processed copy
        data = task(root=str(tmp_path), download=False).load(progress=False)
        assert {part: len(ids) for part, ids in data.split.items()} == {"train": 4, "valid": 3, "test": 5}
        for index, (x, edge_attr, edges, y) in enumerate(graphs):
            found = data.graphs[index]
            torch.testing.assert_close(found.x, x.float())
            torch.testing.assert_close(found.edge_attr, edge_attr.float())
            assert torch.equal(found.edge_index, edges)
            assert found.y.flatten().tolist() == [classes[each] for each in y]
    ids = data.split["test"]
    target = data.graphs.select(ids).node["y"].flatten()
    output = torch.randn(len(target), task.classes)
    assert data.evaluate(output, ids) == pytest.approx(f1_score(target, output.argmax(1), average="macro"))
    assert data.adapter.loss(torch.randn(data.graphs.num_nodes, task.classes), data.graphs.to_batch()).isfinite()


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="pascalvoc-sp is not in"):
        PascalVOCSP(root=str(tmp_path), download=False).load(progress=False)
    write(tmp_path / "pascalvoc-sp", (0, 30))
    with pytest.raises(GraphPERuntimeError, match="has class 30 of 21: get it again"):
        PascalVOCSP(root=str(tmp_path), download=False).load(progress=False)
