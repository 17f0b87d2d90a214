from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.user.smiles_table import SmilesTable
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError

rdkit = pytest.importorskip("rdkit")

SMILES = ["CCO", "c1ccccc1", "CC(=O)N", "O", "C#N", "CCN", "C1CC1", "CCl", "c1ccccc1C", "CCCC"]


def write(path: Path, rows: list[list[object]], header: str = "smiles,y") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def load(path: Path, cache: Path, **options: object):
    return SmilesTable(path=str(path), **options).load(cache=cache, progress=False)  # type: ignore[arg-type]


def test_numbers(tmp_path: Path) -> None:
    from ogb.utils.mol import smiles2graph

    values = np.random.default_rng().normal(size=10)
    path = write(tmp_path / "x.csv", [list(row) for row in zip(SMILES, values, strict=True)])
    task = SmilesTable(path=str(path))
    assert build_task(repr(task)) == task
    data = task.load(cache=tmp_path, progress=False)
    assert data.metric == "RMSE"
    np.testing.assert_allclose(data.graphs.graph["y"].flatten(), values, rtol=1e-6)
    for index, text in enumerate(SMILES):
        np.testing.assert_array_equal(data.graphs[index].x, smiles2graph(text)["node_feat"])
    assert sorted(torch.cat(list(data.split.values())).tolist()) == list(range(10))
    assert task.adapter(data.adapter.state()) == data.adapter
    batch = data.graphs.to_batch()
    assert data.adapter.head(8)(torch.randn(10, 8)).shape == (10, 1)
    assert data.adapter.node_encoder(8)(batch).shape == (data.graphs.num_nodes, 8)
    assert data.adapter.edge_encoder(8)(batch).shape == (data.graphs.num_edges, 8)


def test_labels_classes_and_a_given_split(tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["valid", "valid", "test", "test"]
    rows = [
        [text, i % 2, "" if i == 2 else (i + 1) % 2, "xy"[i % 2], part]
        for i, (text, part) in enumerate(zip(SMILES, parts, strict=True))
    ]
    path = write(tmp_path / "x.csv", rows, "smiles,a,b,c,part")
    data = load(path, tmp_path, targets=("a", "b"), split="part")
    assert data.metric == "ROC-AUC"
    assert data.graphs.graph["y"][2].isnan().tolist() == [False, True]
    assert data.split["test"].tolist() == [8, 9]
    assert data.evaluate(data.graphs.graph["y"][[8, 9]], data.split["test"]) == 1
    classes = load(path, tmp_path, targets=("c",), split="part")
    assert classes.metric == "accuracy"
    assert classes.graphs.graph["y"].flatten().tolist() == [i % 2 for i in range(10)]
    assert load(path, tmp_path, targets="c", split="part").fingerprint == classes.fingerprint


def test_scaffold_split(tmp_path: Path) -> None:
    rows = [[text, i + 0.5] for i, text in enumerate([*(f"c1ccccc1{'C' * n}" for n in range(8)), "C1CC1C", "C1CCC1"])]
    data = load(write(tmp_path / "x.csv", rows), tmp_path, split="scaffold")
    assert data.split["train"].tolist() == list(range(8))
    assert sorted(data.split["valid"].tolist() + data.split["test"].tolist()) == [8, 9]


def test_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"smiles": SMILES, "y": np.arange(10) + 0.5})
    try:
        frame.to_parquet(tmp_path / "x.parquet")
    except ImportError:
        (tmp_path / "x.parquet").write_bytes(b"PAR1")
        with pytest.raises(
            GraphPERuntimeError,
            match=r"Parquet is read by pyarrow, which is missing: pip install 'graphpe\[parquet\]'$",
        ):
            load(tmp_path / "x.parquet", tmp_path)
        return
    data = load(tmp_path / "x.parquet", tmp_path)
    assert data.graphs.graph["y"].flatten().tolist() == [i + 0.5 for i in range(10)]


def test_duplicates_are_reported(tmp_path: Path) -> None:
    rows = [[text, i + 0.5] for i, text in enumerate([*SMILES[:8], "OCC", "CC"])]  # OCC is CCO
    data = load(write(tmp_path / "x.csv", rows), tmp_path)
    note = next(note for note in data.notes if "more than once" in note)
    assert note.startswith("molecules that occur more than once: 1 (first: lines 2 and 10); ")
    part = {i: name for name, ids in data.split.items() for i in ids.tolist()}
    assert f"in more than one part of the split: {int(part[0] != part[8])}" in note


@pytest.mark.parametrize(
    ("row", "value", "message"),
    [
        (
            4,
            ["C(", "1.5"],
            r"x.csv, line 6: 'C\(' is no SMILES that rdkit can read; correct or remove it, or give --skip-bad",
        ),
        (4, ["", "1.5"], "x.csv, line 6: '' has no atoms"),
        (4, ["CC", "high"], "x.csv, line 6: y is 'high', not a number"),
        (4, ["CC", "inf"], "x.csv, line 6: y is inf"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: int, value: list[str], message: str) -> None:
    rows: list[list[object]] = [[text, i + 0.25] for i, text in enumerate(SMILES)]
    rows[row] = list(value)
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        load(write(tmp_path / "x.csv", rows), tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.*"))


def test_bad_tables(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", [[text, i + 0.5] for i, text in enumerate(SMILES)])
    for options, message in (
        ({"smiles": "structure"}, "has no column 'structure', only 'smiles', 'y'"),
        ({"targets": ("z",)}, "has no column 'z'"),
        ({"split": "part"}, "there is no split 'part'"),
        ({"fractions": (0.98, 0.01, 0.01)}, "the valid part of the split is empty"),
        ({"split": str(tmp_path / "none.json")}, "none.json cannot be read"),
    ):
        with pytest.raises(GraphPERuntimeError, match=message):
            load(path, tmp_path, **options)
    with pytest.raises(GraphPERuntimeError, match=r"none.csv is not there"):
        load(tmp_path / "none.csv", tmp_path)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(GraphPERuntimeError, match="is empty"):
        load(tmp_path / "empty.csv", tmp_path)
    (tmp_path / "head.csv").write_text("smiles,y\n")
    with pytest.raises(GraphPERuntimeError, match="has no rows"):
        load(tmp_path / "head.csv", tmp_path)
    rows = [[text, int(i == 0)] for i, text in enumerate(SMILES)]
    with pytest.raises(GraphPERuntimeError, match="ROC-AUC is not defined on the valid part of 1 graphs"):
        load(write(tmp_path / "one.csv", rows), tmp_path)
    for text, message in (
        ("smiles-table", "missing a required argument: 'path'"),
        ("smiles-table(path='x', metric='F1')", "metric must be one of 'auto', 'accuracy'"),
        ("smiles-table(path='x', targets=3)", "targets must be names"),
        ("smiles-table(path='x', targets=())", "targets must name one column or more"),
        ("smiles-table(path='x', targets=('y', 'y'))", "each once"),
        ("smiles-table(path='x', seed=-1)", "seed must be from 0"),
        ("smiles-table(path='')", "path must be a text"),
    ):
        with pytest.raises(GraphPEValueError, match=message):
            build_task(text)


def test_without_rdkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *arguments: object, **options: object) -> object:
        if name.split(".")[0] == "rdkit":
            raise ImportError(name)
        return original(name, *arguments, **options)  # type: ignore[arg-type]

    path = write(tmp_path / "x.csv", [[text, i + 0.5] for i, text in enumerate(SMILES)])
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(GraphPEError, match=r"not installed: pip install 'graphpe\[chem\]'"):
        load(path, tmp_path)
