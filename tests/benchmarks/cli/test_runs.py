from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder

SUMMARY = {
    "task": "t", "encodings": [], "model": "GIN", "metric": "MAE", "maximize": False, "best_epoch": 1, "epochs": 2,
    "constant_prediction": "0", "parameters": 5, "seconds_per_epoch": {}, "seconds_before": {}, "peak_bytes": 0,
    "run": "r", "valid": 0.5, "constant_valid": 1.0, "constant_test": 1.0,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, test, rate in (("a", 0.4, 1e-3), ("b", 0.2, 3e-3), ("c", None, 1e-3)):
        run = RunFolder.create(tmp_path / "runs" / name, "task")
        run.write_config(TrainConfig(learning_rate=rate, encodings=("LaplacianPE(k=3)",)))
        run.write_metrics([{"epoch": 1}])
        if test is not None:
            run.write_summary(SUMMARY | {"test": test})
    (tmp_path / "runs" / "other").mkdir()
    return tmp_path / "runs"


def test_the_best_come_first_and_the_unfinished_last(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    out = tmp_path / "table.csv"
    assert main(["runs", str(folder), "--sort", "test", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0][-1] for line in lines[1:4]] == ["b", "a", "c"]
    assert "at epoch 1" in lines[3]
    frame = pandas.read_csv(out)
    assert frame["test"].tolist()[:2] == [0.2, 0.4]
    assert frame["encodings"].tolist() == ["LaplacianPE(k=3)"] * 3


def test_a_comparison_shows_the_options_that_differ_and_no_others(folder: Path, capsys) -> None:
    assert main(["runs", "--compare", str(folder / "a"), str(folder / "b")]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["learning_rate"] == ["0.0010", "0.0030"]
    assert lines["test"] == ["0.4000", "0.2000"]
    assert "epochs" in lines
    assert "seed" not in lines


def test_a_damaged_run_is_a_row(folder: Path, capsys) -> None:
    (folder / "a" / "summary.json").write_text("{")
    assert main(["runs", str(folder)]) == 0
    assert "damaged" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["missing"], ["."], ["--sort", "colour", "runs"], ["--compare", "runs/a"]])
def test_what_cannot_be_listed_is_one_line(folder: Path, monkeypatch, capsys, arguments) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    if arguments == ["."]:
        monkeypatch.chdir(folder.parent / "empty")
    assert main(["runs", *arguments]) in (1, 2)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
