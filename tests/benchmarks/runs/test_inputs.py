from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest

import graphpe
from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.runs.kinds import kind_of
from graphpe.errors import GraphPEError, GraphPEValueError

SMILES = ["CCO", "c1ccccc1", "CC(=O)N", "O", "C#N", "CCN", "C1CC1", "CCl", "c1ccccc1C", "CCCC"]


@pytest.fixture(scope="module")
def molecules_run(train, tmp_path_factory) -> tuple[Path, Path]:
    pytest.importorskip("rdkit")
    path = tmp_path_factory.mktemp("data") / "molecules.csv"
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"id": range(10), "smiles": SMILES, "a": rng.normal(size=10), "b": rng.normal(size=10)})
    frame.to_csv(path, index=False)
    return train(f"SmilesTable({str(path)!r}, targets=('a', 'b'))"), path


def test_rows_that_cannot_be_read_keep_their_place(molecules_run, tmp_path) -> None:
    run = graphpe.load_run(molecules_run[0])
    everything = run.predict(molecules_run[1])
    path = tmp_path / "new.csv"
    path.write_text('name,smiles\nx,CCO\nbad,C1CC\nempty,\nnothing,""\ny,C1CC1\n')
    frame = run.predict(path)
    assert list(frame) == ["line", "name", "smiles", "predicted_a", "predicted_b", "error"]
    assert frame["line"].tolist() == [2, 3, 4, 5, 6]
    assert frame["name"].tolist() == ["x", "bad", "empty", "nothing", "y"]
    assert frame["error"].isna().tolist() == [True, False, False, False, True]
    assert "'C1CC'" in frame["error"][1]
    np.testing.assert_allclose(frame["predicted_b"][[0, 4]], everything["predicted_b"][[0, 6]], rtol=1e-5)
    assert frame["predicted_b"].isna().tolist() == [False, True, True, True, False]


def test_the_command_writes_all_rows_and_names_those_not_read(molecules_run, tmp_path, capsys) -> None:
    (tmp_path / "new.csv").write_text("smiles\nCCO\nC1CC\n")
    out = tmp_path / "out.csv"
    assert main(["predict", str(tmp_path / "new.csv"), "--run", str(molecules_run[0]), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 rows could not be read" in printed
    assert "predicted_a" in printed
    frame = pandas.read_csv(out)
    assert frame["smiles"].tolist() == ["CCO", "C1CC"]
    assert frame["predicted_a"].isna().tolist() == [False, True]


def test_the_command_keeps_what_it_reads(molecules_run, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    text = "smiles,line,file\nCCO,a,b\nC1CC,c,d\n"
    (tmp_path / "new.csv").write_text(text)
    (tmp_path / "more.csv").write_text("smiles, note \n\nC1CC,x\nO,y\n")
    common = ["--run", str(molecules_run[0]), "--out"]
    assert main(["predict", str(tmp_path / "new.csv"), *common, "new.csv"]) == 1
    assert "is a file that is read" in capsys.readouterr().err
    assert (tmp_path / "new.csv").read_text() == text
    assert main(["predict", "more.csv", "new.csv", *common, "out.csv"]) == 0
    assert "not read: more.csv, line 3: 'C1CC'" in capsys.readouterr().out
    frame = pandas.read_csv("out.csv")
    assert frame["file"].tolist()[2:] == ["b", "d"]
    assert frame["file_"].tolist() == ["more.csv"] * 2 + ["new.csv"] * 2
    assert frame["note"].tolist()[:2] == ["x", "y"]


def test_several_tables_are_one(molecules_run, tmp_path) -> None:
    (tmp_path / "a.csv").write_text("smiles,id\nCCO,1\n")
    (tmp_path / "b.csv").write_text("SMILES\nC1CC\nO\n")
    run = graphpe.load_run(molecules_run[0])
    frame = run.predict([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert frame["file"].tolist() == [str(tmp_path / name) for name in ("a.csv", "b.csv", "b.csv")]
    expected = run.predict(molecules_run[1])["predicted_a"]
    np.testing.assert_allclose(frame["predicted_a"], [expected[0], np.nan, expected[3]], rtol=1e-5)


def test_a_run_on_an_official_set_of_molecules_reads_tables(train, write_molecules, tmp_path) -> None:
    pytest.importorskip("rdkit")
    rng = np.random.default_rng(2)
    write_molecules(tmp_path / "ogbg_molhiv", 80, [[float(rng.random() < 0.5)] for _ in range(80)])
    run = graphpe.load_run(train(f"Molhiv(root={str(tmp_path)!r}, download=False)"))
    path = tmp_path / "new.tsv"
    path.write_text("Smiles\nCCO\nc1ccccc1\n")
    frame = run.predict(path)
    assert frame["Smiles"].tolist() == ["CCO", "c1ccccc1"]
    assert frame.filter(like="probability").to_numpy().shape == (2, 1)
    assert ((frame.filter(like="probability") > 0) & (frame.filter(like="probability") < 1)).all().all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [("name,y\na,1\n", "no column of SMILES"), ("smiles\nC1CC\n", "no row can be read"), ("smiles\n", "no rows")],
)
def test_tables_that_give_nothing(molecules_run, tmp_path, content, expected) -> None:
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(GraphPEError, match=expected):
        graphpe.load_run(molecules_run[0]).predict(tmp_path / "new.csv")


def test_kinds(tmp_path) -> None:
    for name, kind in (("a.py", "python"), ("a.CSV", "table"), ("a.csv.gz", "table"), ("a.json", "json")):
        (tmp_path / name).write_text("")
        assert kind_of(tmp_path / name) == kind
    for name, inside, kind in (
        ("source", "package/a.py", "python"),
        ("lists", "edges/a.csv", "edges"),
        ("labelled", "labels.csv", "edges"),
        ("bare", "a.edgelist", "edges"),
        ("texts", "a.txt", "edges"),
        ("dataset", "processed/data.pt", "pyg"),
        ("encoded", "manifest.json", "pyg"),
    ):
        path = tmp_path / name / inside
        path.parent.mkdir(parents=True)
        path.write_text("")
        assert kind_of(tmp_path / name) == kind
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing", "a.doc"):
        if name == "a.doc":
            (tmp_path / name).write_text("")
        with pytest.raises(GraphPEValueError, match=name):
            kind_of(tmp_path / name)
