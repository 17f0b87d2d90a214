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
        ("smiles-table(path='x', targets=('y', ''))", "targets must name columns, each once"),
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


def test_rows_without_a_target_are_kept_for_prediction(tmp_path: Path) -> None:
    rows = [[text, "" if i in (2, 7) else i + 0.5] for i, text in enumerate(SMILES)]
    data = load(write(tmp_path / "x.csv", rows), tmp_path, fractions=(0.5, 0.25, 0.25))
    assert data.graphs.num_graphs == 10
    assert sorted(torch.cat(list(data.split.values())).tolist()) == [0, 1, 3, 4, 5, 6, 8, 9]
    assert any(note.startswith("2 of 10 graphs have no known target: they are in no part") for note in data.notes)
    train = data.graphs.graph["y"][data.split["train"]].double()
    assert data.adapter.shift == pytest.approx((float(train.mean()),))
    rows = [[text, "" if i == 3 else i, i * 2 if i % 3 else ""] for i, text in enumerate(SMILES)]
    several = load(write(tmp_path / "y.csv", rows, "smiles,a,b"), tmp_path, targets=("a", "b"))
    assert sorted(torch.cat(list(several.split.values())).tolist()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_bad_smiles_are_skipped_counted_and_named(tmp_path: Path) -> None:
    texts = [*SMILES[:3], "C(", *SMILES[3:6], "", "what", *SMILES[6:]]
    path = write(tmp_path / "x.csv", [[text, i + 0.5] for i, text in enumerate(texts)])
    with pytest.raises(
        GraphPERuntimeError, match=r"line 5: 'C\(' is no SMILES .* or give --skip-bad \(skip_bad=True\)"
    ):
        load(path, tmp_path)
    (tmp_path / "split.json").write_text('{"train": [0, 1, 2, 3, 4, 5], "valid": [6, 7, 8, 9], "test": [10, 11, 12]}')
    data = load(path, tmp_path, skip_bad=True, split=str(tmp_path / "split.json"))
    assert data.graphs.graph["y"].flatten().tolist() == [i + 0.5 for i in range(13) if i not in (3, 7, 8)]
    assert [ids.tolist() for ids in data.split.values()] == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]
    at = data.notes.index("skipped, for they cannot be read: 3 of 13 rows")
    assert data.notes[at + 1] == f"  {path}, line 5: 'C(' is no SMILES that rdkit can read"
    assert data.notes[at + 2] == f"  {path}, line 9: '' has no atoms"
    (tmp_path / "z.csv").write_text("smiles,y\nC(,1\n")
    with pytest.raises(GraphPERuntimeError, match=r"no row can be read; .*z.csv, line 2"):
        load(tmp_path / "z.csv", tmp_path, skip_bad=True)


def test_parts_in_files_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", [[text, i + 0.5] for i, text in enumerate(SMILES[:6])])
    (tmp_path / "b.tsv").write_text("y\tsmiles\n6.5\tC1CC1\n7.5\tOCC\n")  # OCC is in a.csv
    write(tmp_path / "c.csv", [[text, i + 8.5] for i, text in enumerate(SMILES[8:])])
    files = {"valid": str(tmp_path / "b.tsv"), "test": str(tmp_path / "c.csv")}
    data = load(tmp_path / "a.csv", tmp_path, **files)
    assert [ids.tolist() for ids in data.split.values()] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
    assert data.graphs.graph["y"].flatten().tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert f"{tmp_path / 'b.tsv'}: cells are separated by tabs" in data.notes
    assert any("a.csv, line 2 and" in note and "more than one part of the split: 1" in note for note in data.notes)
    task = SmilesTable(path=str(tmp_path / "a.csv"), **files)
    assert build_task(repr(task)) == task
    (tmp_path / "b.tsv").write_text("y\tsmiles\n\tC1CC1\n")
    with pytest.raises(GraphPERuntimeError, match=r"b.tsv, line 2: no graph of the valid part .* has a known target"):
        load(tmp_path / "a.csv", tmp_path, **files)
    (tmp_path / "b.tsv").write_text("z\tsmiles\n1\tC1CC1\n")
    with pytest.raises(GraphPERuntimeError, match=r"b.tsv has no column 'y', only 'z', 'smiles'"):
        load(tmp_path / "a.csv", tmp_path, **files)
    for options, message in (
        ({"valid": "x.csv"}, "must be different, got 'x.csv' twice"),
        ({"valid": "v.csv", "split": "part"}, "the files x.csv, v.csv are a split: leave split='part' out"),
        ({"valid": ""}, "valid must be a text"),
        ({"skip_bad": 1}, "skip_bad"),
    ):
        with pytest.raises(GraphPEError, match=message):
            SmilesTable(path="x.csv", **options)  # type: ignore[arg-type]


def test_a_decimal_comma_is_one_and_a_half(tmp_path: Path) -> None:
    lines = [f"{text};{i},5;{['low', 'high'][i % 2]}" for i, text in enumerate(SMILES)]
    (tmp_path / "x.csv").write_text("\n".join(["smiles;y;word", *lines]))
    data = load(tmp_path / "x.csv", tmp_path)
    assert data.graphs.graph["y"].flatten().tolist() == [i + 0.5 for i in range(10)]
    assert data.notes[-1].endswith("decimal commas in y: 0,5 is 0.5")
    assert load(tmp_path / "x.csv", tmp_path, targets=("word",), fractions=(0.5, 0.2, 0.3)).metric == "accuracy"
