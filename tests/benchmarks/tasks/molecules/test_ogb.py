from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task, task_classes
from graphpe.benchmarks.tasks import stored
from graphpe.benchmarks.tasks.molecules.ogb import Molesol, Molfreesolv, Molhiv, Moltox21, OGBMolecules
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import evaluator
from graphpe.storage import shards

Molecule = tuple[np.ndarray, np.ndarray, np.ndarray]


def test_files_in_the_layout_of_ogb(write_molecules: Callable[..., list[Molecule]], tmp_path: Path) -> None:
    target = np.random.default_rng().normal(size=(12, 1))
    graphs = write_molecules(tmp_path / "ogbg_molesol", 12, target.tolist())
    for _ in range(2):  # from raw files, then from OGB's processed copy
        data = Molesol(root=str(tmp_path), download=False).load(progress=False)
        assert sorted(torch.cat(list(data.split.values())).tolist()) == list(range(12))
        torch.testing.assert_close(data.graphs.graph["y"], torch.from_numpy(target).float())
        for index, (edges, x, features) in enumerate(graphs):
            found = data.graphs[index]
            assert torch.equal(found.x, torch.from_numpy(x))
            both = torch.from_numpy(np.stack([edges, edges[::-1]], axis=2).reshape(2, -1))
            assert torch.equal(found.edge_index, both)
            assert torch.equal(found.edge_attr, torch.from_numpy(features).repeat_interleave(2, dim=0))
    guess = torch.randn(len(data.split["test"]), 1)
    expected = (guess - data.graphs.graph["y"][data.split["test"]]).pow(2).mean().sqrt()
    assert data.evaluate(guess, data.split["test"]) == pytest.approx(float(expected))


def test_unknown_labels_stay_unknown(write_molecules: Callable[..., list[Molecule]], tmp_path: Path) -> None:
    target = np.random.default_rng().integers(0, 2, (12, 12)).astype(float)
    target[np.random.default_rng().random((12, 12)) < 0.4] = np.nan
    write_molecules(tmp_path / "ogbg_moltox21", 12, target.tolist())
    data = Moltox21(root=str(tmp_path), download=False).load(progress=False)
    np.testing.assert_array_equal(data.graphs.graph["y"].numpy(), target.astype(np.float32))
    assert data.adapter.targets == 12


def test_in_a_store_they_are_the_same(
    write_molecules: Callable[..., list[Molecule]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = np.random.default_rng().integers(0, 2, (40, 12)).astype(float)
    target[np.random.default_rng().random((40, 12)) < 0.4] = np.nan
    write_molecules(tmp_path / "ogbg_moltox21", 40, target.tolist())
    task = Moltox21(root=str(tmp_path), download=False)
    memory = task.load(progress=False)
    monkeypatch.setattr(stored, "memory_limit", lambda: 1)
    monkeypatch.setattr(shards, "KEPT_GRAPHS", 9)
    data = task.load(cache=tmp_path / "cache", progress=False)
    assert data.store is not None
    assert data.fingerprint == memory.fingerprint
    assert all(data.graphs.node[key].dtype == value.dtype for key, value in memory.graphs.node.items())
    ids = data.split["valid"]
    guess = torch.randn(len(ids), 12)
    assert data.evaluate(guess, ids) == memory.evaluate(guess, ids)
    assert data.constant_baseline(ids) == memory.constant_baseline(ids)


def test_bad_files(write_molecules: Callable[..., list[Molecule]], tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"ogbg-molhiv is not in .*ogbg_molhiv: put OGB's files there"):
        Molhiv(root=str(tmp_path), download=False).load(progress=False)
    folder = tmp_path / "ogbg_molesol"
    write_molecules(folder, 8, [[np.nan]] * 8)
    with pytest.raises(GraphPERuntimeError, match="targets that are not finite"):
        Molesol(root=str(tmp_path), download=False).load(progress=False)
    shutil.rmtree(folder)
    write_molecules(folder, 8, [[0.0]] * 8)
    nodes = sum(int(row) for row in gzip.open(folder / "raw" / "num-node-list.csv.gz", "rt"))
    with gzip.open(folder / "raw" / "node-feat.csv.gz", "wt") as file:
        file.write(f"{','.join(['500'] * 9)}\n" * nodes)
    with pytest.raises(GraphPERuntimeError, match=r"x\[0, 0\] is 500: column 0 has 119 categories"):
        Molesol(root=str(tmp_path), download=False).load(progress=False)


@pytest.mark.parametrize(("table", "kind"), [("node-feat", "node"), ("edge", "edge"), ("edge-feat", "edge")])
@pytest.mark.parametrize("more", [1, -1])
def test_rows_that_no_graph_counts_are_one_line(
    write_molecules: Callable[..., list[Molecule]], tmp_path: Path, table: str, kind: str, more: int
) -> None:
    folder = tmp_path / "ogbg_molesol"
    write_molecules(folder, 12, np.random.default_rng().normal(size=(12, 1)).tolist())
    path = folder / "raw" / f"{table}.csv.gz"
    rows = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join([*rows[:3], rows[2], *rows[3:]] if more == 1 else rows[:-1])))
    message = rf"{table}.csv.gz has {len(rows) + more} rows, but num-{kind}-list.csv.gz counts {len(rows)}: get both"
    with pytest.raises(GraphPERuntimeError, match=message):
        Molesol(root=str(tmp_path), download=False).load(progress=False)
    assert not any((folder / "processed").glob("*.pt"))
    path.write_bytes(gzip.compress(b"".join(rows)))
    assert len(Molesol(root=str(tmp_path), download=False).load(progress=False).graphs) == 12


def test_parts_that_overlap_are_one_line(write_molecules: Callable[..., list[Molecule]], tmp_path: Path) -> None:
    folder = tmp_path / "ogbg_molesol"
    write_molecules(folder, 12, np.random.default_rng().normal(size=(12, 1)).tolist())
    train, test = (next(folder.glob(f"split/*/{part}.csv.gz")) for part in ("train", "test"))
    shutil.copy(train, test)
    with pytest.raises(GraphPERuntimeError, match=r"ogbg_molesol: the split names graph \d+ more than once \(\d+ such"):
        Molesol(root=str(tmp_path), download=False).load(progress=False)


def test_every_set_has_the_metric_of_ogb() -> None:
    sets = {name: member for name, member in task_classes().items() if issubclass(member, OGBMolecules)}
    assert len(sets) == 12
    for member in sets.values():
        official = evaluator(f"ogbg-{member.name}").eval_metric
        assert {"rocauc": "ROC-AUC", "ap": "AP", "rmse": "RMSE"}[official] == member.metric.name
        assert member.name in member.summary


def test_real_files(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "ogbg_molfreesolv", tmp_path / "ogbg_molfreesolv")
    data = Molfreesolv(root=str(tmp_path), download=False).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 513, "valid": 64, "test": 65}
    assert data.graphs.num_nodes == pytest.approx(8.7 * 642, rel=0.02)  # as published
    assert build_task(repr(Molfreesolv())) == Molfreesolv()
