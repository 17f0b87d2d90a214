from __future__ import annotations

import os
import pickle
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from torch_geometric.datasets import Planetoid as PyGPlanetoid
from torch_geometric.transforms import NormalizeFeatures

from graphpe.benchmarks.tasks.nodes.planetoid import Planetoid
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

CLASSES = 3
SIZES = {"train": 60, "others": 600, "test": 1000}  # what the public split asks for


def write(root: Path) -> None:
    """A random graph in the layout of the download."""
    rng = np.random.default_rng()
    raw = root / "Cora" / "raw"
    raw.mkdir(parents=True)
    known, nodes = SIZES["others"], SIZES["others"] + SIZES["test"]
    x = scipy.sparse.csr_matrix((rng.random((nodes, 6)) < 0.4).astype(np.float32))
    y = np.eye(CLASSES, dtype=np.int32)[rng.permutation(nodes) % CLASSES]
    graph = defaultdict(list)
    for tail, head in rng.integers(0, nodes, (400, 2)):
        graph[int(tail)].append(int(head))
        graph[int(head)].append(int(tail))
    files = {
        "x": x[: SIZES["train"]],
        "allx": x[:known],
        "tx": x[known:],
        "y": y[: SIZES["train"]],
        "ally": y[:known],
        "ty": y[known:],
        "graph": graph,
    }
    for name, content in files.items():
        (raw / f"ind.cora.{name}").write_bytes(pickle.dumps(content, protocol=2))
    (raw / "ind.cora.test.index").write_text("".join(f"{node}\n" for node in rng.permutation(np.arange(known, nodes))))


def test_it_is_what_pyg_reads(tmp_path: Path) -> None:
    write(tmp_path)
    data = Planetoid("cora", root=str(tmp_path), download=False).load(progress=False)
    shutil.rmtree(tmp_path / "Cora" / "processed")
    (theirs,) = PyGPlanetoid(str(tmp_path), "Cora")
    assert torch.equal(data.graphs.edge_index, theirs.edge_index)
    assert torch.equal(data.graphs.node["x"], theirs.x)
    batch = data.adapter.model_graphs(data.graphs).to_batch()
    torch.testing.assert_close(batch.x, NormalizeFeatures()(theirs.clone()).x)
    assert Planetoid("Cora").adapter(data.adapter.state()) == data.adapter
    assert torch.equal(data.graphs.node["y"].flatten(), theirs.y)
    for part, mask in (("train", theirs.train_mask), ("valid", theirs.val_mask), ("test", theirs.test_mask)):
        assert torch.equal(data.split[part], mask.nonzero().flatten())
    full = Planetoid("Cora", root=str(tmp_path), split="full", normalize_features=False, download=False).load()
    assert torch.equal(full.adapter.model_graphs(full.graphs).node["x"], theirs.x)
    assert len(full.split["train"]) == theirs.num_nodes - 1500
    assert full.fingerprint != data.fingerprint


def test_random_splits_are_seeded_and_have_twenty_of_each_class(tmp_path: Path) -> None:
    write(tmp_path)
    one, two, other = (
        Planetoid("Cora", root=str(tmp_path), split="random", seed=seed, download=False).load(progress=False)
        for seed in (1, 1, 2)
    )
    counts = one.graphs.node["y"][one.split["train"]].flatten().bincount()
    assert counts.tolist() == [20] * CLASSES
    assert {part: len(ids) for part, ids in one.split.items()} == {"train": 60, "valid": 500, "test": 1000}
    assert all(torch.equal(one.split[part], two.split[part]) for part in one.split)
    assert not torch.equal(one.split["test"], other.split["test"])


def as_luo(y: torch.Tensor) -> tuple[set[int], set[int], set[int]]:
    """What the text of the released script says, with lists and the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        chosen: list[int] = []
        others: list[int] = []
        for number in range(int(y.max()) + 1):
            ids = [node for node in range(len(y)) if y[node] == number]
            order = torch.randperm(len(ids)).tolist()
            chosen += [ids[at] for at in order[:20]]
            others += [ids[at] for at in order[20:]]
        order = torch.randperm(len(others)).tolist()
    return set(chosen), {others[at] for at in order[:500]}, {others[at] for at in order[500:1500]}


def test_the_split_of_luo(tmp_path: Path) -> None:
    write(tmp_path)
    data = Planetoid("Cora", root=str(tmp_path), split="luo", download=False).load(progress=False)
    assert as_luo(data.graphs.node["y"].flatten()) == tuple(set(data.split[part].tolist()) for part in data.split)


def test_the_ten_splits_of_pei(tmp_path: Path) -> None:
    write(tmp_path)
    raw = tmp_path / "Cora" / "geom-gcn" / "raw"
    shutil.copytree(tmp_path / "Cora" / "raw", raw)
    nodes = SIZES["others"] + SIZES["test"]
    parts = np.random.default_rng().integers(0, 3, (10, nodes))
    for split in range(10):
        masks = {f"{name}_mask": parts[split] == number for number, name in enumerate(("train", "val", "test"))}
        np.savez(raw / f"cora_split_0.6_0.2_{split}.npz", **masks)
    data = Planetoid("Cora", root=str(tmp_path), split=7, download=False).load(progress=False)
    assert data.split["valid"].tolist() == np.flatnonzero(parts[7] == 1).tolist()


def test_bad_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"Cora is not in .*missing\)"):
        Planetoid("Cora", root=str(tmp_path / "new"), download=False).load(progress=False)
    assert not (tmp_path / "new").exists()
    write(tmp_path)
    (tmp_path / "Cora" / "raw" / "ind.cora.tx").rename(tmp_path / "tx")
    with pytest.raises(GraphPERuntimeError, match=r"raw is incomplete: it lacks ind\.cora\.tx of Cora"):
        Planetoid("Cora", root=str(tmp_path)).load(progress=False)
    assert not (tmp_path / "Cora" / "processed").exists()
    for bad in ({"name": "Karate"}, {"split": "half"}, {"split": 10}, {"split": True}):
        with pytest.raises(GraphPEValueError, match="must be"):
            Planetoid(**bad)  # type: ignore[arg-type]


def test_a_download_that_fails_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: object) -> None:
        raise OSError("cannot connect to host")  # what PyG's downloader raises is of this kind

    monkeypatch.setattr("torch_geometric.datasets.Planetoid.download", download)
    write(tmp_path)
    with pytest.raises(
        GraphPERuntimeError, match=r"Cora is not in .*geom-gcn/raw \(.*\) and cannot be downloaded \(cann"
    ):
        Planetoid("Cora", root=str(tmp_path), split=3).load(progress=False)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_nothing_in_the_files_is_executed_or_trusted(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "Cora" / "raw" / "ind.cora.allx"
    good = path.read_bytes()
    path.write_bytes(pickle.dumps(Payload(tmp_path / "made")))
    with pytest.raises(GraphPERuntimeError, match="could only be read by executing"):
        Planetoid("Cora", root=str(tmp_path)).load(progress=False)
    assert not (tmp_path / "made").exists()
    matrix = pickle.loads(good)
    matrix.indices[0] = 10**6  # SciPy would write there
    path.write_bytes(pickle.dumps(matrix, protocol=2))
    with pytest.raises(GraphPERuntimeError, match="cannot be read"):
        Planetoid("Cora", root=str(tmp_path)).load(progress=False)


@pytest.mark.parametrize(
    ("name", "nodes", "edges", "train"), [("Cora", 2708, 10_556, 140), ("CiteSeer", 3327, 9104, 120)]
)
def test_real_files(shared_data: Path, tmp_path: Path, name: str, nodes: int, edges: int, train: int) -> None:
    shutil.copytree(shared_data / "planetoid" / name, tmp_path / name)
    data = Planetoid(name, root=str(tmp_path), download=False).load(progress=False)  # type: ignore[arg-type]
    assert (data.graphs.num_nodes, data.graphs.num_edges) == (nodes, edges)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": train, "valid": 500, "test": 1000}
