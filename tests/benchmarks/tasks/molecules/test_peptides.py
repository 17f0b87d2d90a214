from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.molecules.peptides import PeptidesFunc, PeptidesStruct, read_split
from graphpe.errors import GraphPERuntimeError

SMILES = ["CCO", "c1ccccc1", "CC(=O)N", "O", "C#N", "CCN", "C1CC1", "CCl"]


class Touch:
    """What a malicious pickle does: it calls something."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def write_tables(root: Path, task: type, rows: list[list[object]], header: list[str]) -> None:
    folder = root / task.folder  # type: ignore[attr-defined]
    (folder / "raw").mkdir(parents=True)
    text = "\n".join(",".join(map(str, row)) for row in [header, *rows])
    (folder / "raw" / task.table).write_bytes(gzip.compress(text.encode()))  # type: ignore[attr-defined]
    split = {"train": np.array([0, 2, 4, 6]), "val": np.array([1, 3]), "test": np.array([7, 5])}
    (folder / task.split_file).write_bytes(pickle.dumps(split))  # type: ignore[attr-defined]


def write_pyg(root: Path, name: str, targets: int) -> dict[str, list[tuple[torch.Tensor, ...]]]:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    parts = {}
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        graphs = []
        for _ in range(count):
            n = int(torch.randint(2, 6, ()))
            edges = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
            y = torch.randint(0, 2, (1, targets)).float()
            graphs.append((torch.randint(0, 2, (n, 9)), torch.randint(0, 2, (n - 1, 3)), edges, y))
        torch.save(graphs, raw / f"{part}.pt")
        parts[part] = graphs
    return parts


def test_tables_of_lrgb(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    from ogb.utils.mol import smiles2graph

    labels = np.random.default_rng().integers(0, 2, (8, 10))
    rows = [[i, text, f'"{row}"'] for i, (text, row) in enumerate(zip(SMILES, labels.tolist(), strict=True))]
    write_tables(tmp_path, PeptidesFunc, rows, ["", "smiles", "labels"])
    data = PeptidesFunc(root=str(tmp_path), download=False).load(cache=tmp_path / "cache", progress=False)
    assert {part: ids.tolist() for part, ids in data.split.items()} == {
        "train": [0, 2, 4, 6],
        "valid": [1, 3],
        "test": [7, 5],
    }
    np.testing.assert_array_equal(data.graphs.graph["y"], labels)
    for index, text in enumerate(SMILES):
        expected, found = smiles2graph(text), data.graphs[index]
        np.testing.assert_array_equal(found.x, expected["node_feat"])
        np.testing.assert_array_equal(found.edge_index, expected["edge_index"])
        np.testing.assert_array_equal(found.edge_attr, expected["edge_feat"])
    again = PeptidesFunc(root=str(tmp_path), download=False).load(cache=tmp_path / "cache", progress=False)
    assert again.fingerprint == data.fingerprint
    assert any("taken from" in note for note in again.notes)


def test_numbers_of_the_shape(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    values = np.random.default_rng().normal(size=(8, 11))
    rows = [[text, *row] for text, row in zip(SMILES, values.tolist(), strict=True)]
    write_tables(tmp_path, PeptidesStruct, rows, ["smiles", *PeptidesStruct.columns])
    data = PeptidesStruct(root=str(tmp_path), download=False).load(cache=tmp_path, progress=False)
    np.testing.assert_allclose(data.graphs.graph["y"], values, rtol=1e-6)
    guess = torch.randn(2, 11)
    expected = np.abs(guess.numpy() - values[[7, 5]]).mean()
    assert data.evaluate(guess, data.split["test"]) == pytest.approx(expected, rel=1e-6)


def test_files_of_pyg(tmp_path: Path) -> None:
    parts = write_pyg(tmp_path, "peptides-func", 10)
    data = PeptidesFunc(root=str(tmp_path), download=False).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 4, "valid": 2, "test": 3}
    for index, (x, edge_attr, edges, y) in enumerate(graph for part in parts.values() for graph in part):
        found = data.graphs[index]
        assert torch.equal(found.x, x)
        assert torch.equal(found.edge_attr, edge_attr)
        assert torch.equal(found.edge_index, edges)
        assert torch.equal(found.y, y)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"peptides-func is neither in .* nor in .*: put LRGB's or PyG's"):
        PeptidesFunc(root=str(tmp_path), download=False).load(progress=False)
    pytest.importorskip("rdkit")
    rows = [[text, '"[0]"'] for text in SMILES]
    write_tables(tmp_path / "few", PeptidesFunc, rows, ["smiles", "labels"])
    with pytest.raises(GraphPERuntimeError, match="does not hold 10 targets"):
        PeptidesFunc(root=str(tmp_path / "few"), download=False).load(cache=tmp_path, progress=False)
    rows[3] = ["nonsense)", '"[0]"']
    write_tables(tmp_path / "broken", PeptidesFunc, rows, ["smiles", "labels"])
    with pytest.raises(GraphPERuntimeError, match=r"csv.gz, line 5: 'nonsense\)' is no SMILES"):
        PeptidesFunc(root=str(tmp_path / "broken"), download=False).load(cache=tmp_path, progress=False)
    folder = tmp_path / "few" / PeptidesFunc.folder
    (folder / PeptidesFunc.split_file).unlink()
    with pytest.raises(GraphPERuntimeError, match=r"splits_random_stratified_peptide.pickle is not in"):
        PeptidesFunc(root=str(tmp_path / "few"), download=False).load(cache=tmp_path, progress=False)


def test_a_split_is_read_without_running_it(tmp_path: Path) -> None:
    path, touched = tmp_path / "split.pickle", tmp_path / "touched"
    path.write_bytes(pickle.dumps({"train": Touch(touched)}))
    with pytest.raises(GraphPERuntimeError, match=r"holds (pathlib|posixpath|builtins)"):
        read_split(path, 3)
    assert not touched.exists()
    path.write_bytes(pickle.dumps({"train": np.array([0]), "val": np.array([0]), "test": np.array([2])}))
    with pytest.raises(GraphPERuntimeError, match="is no split of the 3 graphs"):
        read_split(path, 3)


def test_the_real_split(shared_data: Path) -> None:
    split = read_split(shared_data / "peptides-functional" / PeptidesFunc.split_file, 15_535)
    assert {part: len(ids) for part, ids in split.items()} == {"train": 10_873, "valid": 2_331, "test": 2_331}


@pytest.mark.slow
def test_real_files(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    data = PeptidesFunc(root=str(shared_data), download=False).load(cache=tmp_path, progress=False)
    assert data.graphs.num_nodes / 15_535 == pytest.approx(150.94, abs=0.005)
    assert data.graphs.num_edges / 15_535 == pytest.approx(307.30, abs=0.005)
