"""Folders of datasets with payloads in every file that a loader reads, and with what a killed process leaves."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch_geometric.io import fs

from graphpe.benchmarks.tasks.molecules.ogb import Molesol
from graphpe.benchmarks.tasks.molecules.peptides import PeptidesFunc
from graphpe.benchmarks.tasks.molecules.zinc import Zinc
from graphpe.benchmarks.tasks.pyg.gnn_benchmark import Mnist, Pattern
from graphpe.benchmarks.tasks.task import Task
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import molecule_categories


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def edges(n: int) -> torch.Tensor:
    return torch.tensor([[i, i + 1] for i in range(n - 1)]).t().reshape(2, -1)


def write_zinc(root: Path) -> Task:
    (root / "raw").mkdir(parents=True)
    for name in ("train", "val", "test"):
        bonds = torch.ones(3, 3, dtype=torch.uint8)
        molecule = {"num_atom": 3, "atom_type": torch.arange(3), "bond_type": bonds}
        molecules = [molecule | {"logP_SA_cycle_normalized": torch.randn(1)} for _ in range(3)]
        (root / "raw" / f"{name}.pickle").write_bytes(pickle.dumps(molecules))
        (root / "raw" / f"{name}.index").write_text("0,1,2\n")
    return Zinc(root=str(root), download=False)


def write_block_models(root: Path) -> Task:
    graph = {"x": torch.rand(4, 3), "edge_index": edges(4), "y": torch.tensor([0, 1, 0, 1])}
    (root / "PATTERN" / "raw").mkdir(parents=True)
    torch.save(([graph] * 3, [graph], [graph]), root / "PATTERN" / "raw" / "PATTERN_v2.pt")
    return Pattern(root=str(root), download=False)


def write_superpixels(root: Path) -> Task:
    graph = {"x": torch.rand(4, 1), "pos": torch.rand(4, 2), "edge_attr": torch.rand(3), "edge_index": edges(4)}
    graph["y"] = torch.tensor([7])
    (root / "MNIST" / "raw").mkdir(parents=True)
    torch.save(([graph] * 3, [graph], [graph]), root / "MNIST" / "raw" / "MNIST_v2.pt")
    return Mnist(root=str(root), download=False)


def write_peptides(root: Path) -> Task:
    graph = (torch.zeros(4, 9).long(), torch.zeros(3, 3).long(), edges(4), torch.eye(1, 10))
    (root / "peptides-func" / "raw").mkdir(parents=True)
    for name in ("train", "val", "test"):
        torch.save([graph] * 3, root / "peptides-func" / "raw" / f"{name}.pt")
    return PeptidesFunc(root=str(root), download=False)


def write_ogb(root: Path) -> Task:
    folder = root / "ogbg_molesol"
    atoms, bonds = (len(each) for each in molecule_categories())
    rows = {
        "raw/edge": ["0,1"] * 4,
        "raw/node-feat": [",".join("0" * atoms)] * 8,
        "raw/edge-feat": [",".join("0" * bonds)] * 4,
        "raw/num-node-list": ["2"] * 4,
        "raw/num-edge-list": ["1"] * 4,
        "raw/graph-label": ["0.5"] * 4,
        **{f"split/scaffold/{part}": [ids] for part, ids in (("train", "0\n1"), ("valid", "2"), ("test", "3"))},
    }
    for name, lines in rows.items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt") as file:
            file.write("\n".join(lines) + "\n")
    (folder / "RELEASE_v1.txt").write_text("")
    return Molesol(root=str(root), download=False)


WRITERS: list[tuple[Callable[[Path], Task], list[str]]] = [
    (write_zinc, ["raw/val.pickle", "subset/processed/train.pt"]),
    (write_block_models, ["PATTERN/raw/PATTERN_v2.pt", "PATTERN/processed/val_data.pt"]),
    (write_superpixels, ["MNIST/raw/MNIST_v2.pt", "MNIST/processed/train_data.pt"]),
    (write_peptides, ["peptides-func/raw/train.pt", "peptides-func/processed/test.pt"]),
    (
        write_ogb,
        ["ogbg_molesol/processed/geometric_data_processed.pt", "ogbg_molesol/split/scaffold/split_dict.pt"],
    ),
]


@pytest.mark.parametrize(("write", "files"), WRITERS, ids=[writer.__name__ for writer, _ in WRITERS])
def test_no_payload_runs(write: Callable[[Path], Task], files: list[str], tmp_path: Path) -> None:
    clean, sign = tmp_path / "clean", tmp_path / "executed"
    expected = write(clean).load(progress=False).fingerprint
    payload = Payload(sign)

    def plant(name: str, form: str) -> Task:
        root = tmp_path / "planted"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(clean, root)
        if "/raw/" in f"/{name}":  # else it would not be read
            for processed in root.glob("**/processed"):
                shutil.rmtree(processed)
        path = root / name
        if form == "pickle":
            path.write_bytes(pickle.dumps(payload))
        else:
            torch.save([torch.zeros(1), payload], path, _use_new_zipfile_serialization=form == "zip")
        task = write(tmp_path / "other")
        shutil.rmtree(tmp_path / "other")
        return type(task)(root=str(root), download=False)

    for name in files:
        for form in ("zip", "legacy", "pickle"):
            with pytest.raises(GraphPERuntimeError) as caught:
                plant(name, form).load(progress=False)
            assert "\n" not in str(caught.value)
    (processed,) = (path.relative_to(clean) for path in clean.glob("**/processed"))
    for name in ("pre_transform.pt", "pre_filter.pt"):
        for form in ("zip", "legacy", "pickle"):
            assert plant(str(processed / name), form).load(progress=False).fingerprint == expected
    assert not sign.exists()


def dying_save(count: int) -> Callable[..., None]:
    """Saves `count` files and then half of one, as a process does that is killed."""
    saved, save = [], torch.save

    def die(content: object, path: str, *_: object) -> None:
        if len(saved) == count:
            Path(path).write_bytes(b"PK\x03\x04half a file")
            os._exit(9)
        saved.append(path)
        save(content, path)

    return die


@pytest.mark.parametrize("write", [writer for writer, _ in WRITERS])
def test_killed_while_it_is_processed(
    write: Callable[[Path], Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = write(tmp_path / "killed")
    shutil.copytree(tmp_path / "killed", tmp_path / "whole")
    expected = type(task)(root=str(tmp_path / "whole"), download=False).load(progress=False).fingerprint
    for count in range(3):
        child = os.fork()
        if child == 0:
            try:
                for module in (torch, fs):
                    monkeypatch.setattr(module, "save" if module is torch else "torch_save", dying_save(count))
                task.load(progress=False)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    assert task.load(progress=False).fingerprint == expected
    assert not list((tmp_path / "killed").glob("**/.*"))


def test_pipes_in_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    task = write_ogb(tmp_path)
    path = tmp_path / "ogbg_molesol" / "raw" / "edge.csv.gz"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(GraphPERuntimeError, match=r"edge.csv.gz is a pipe"):
        task.load(progress=False)
    task = write_zinc(tmp_path / "zinc")
    (tmp_path / "zinc" / "raw" / "val.index").unlink()
    (tmp_path / "zinc" / "raw" / "val.index").symlink_to("/dev/zero")
    with pytest.raises(GraphPERuntimeError, match=r"val.index is a device"):
        task.load(progress=False)
