from __future__ import annotations

import csv
import io
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.grid.report import runs_csv
from graphpe.benchmarks.grid.reports.published.beside import Beside
from graphpe.benchmarks.grid.results import Run, combine

RUN = Run("zinc", "RandomWalkPE(16)", "GPS(layers=3)", 0, "MAE", False, 0.5, 0.5, 60_000, 1.0, 1.0, 9.0, 10**9, 20)
TESTS = (0.61, 0.64, 0.58)


def of(**changes: object) -> list[Run]:
    return [replace(RUN, seed=seed, test=test, **changes) for seed, test in enumerate(TESTS)]  # type: ignore[arg-type]


def test_which_budget_is_smaller() -> None:
    def smaller(**changes: object) -> str:
        (pair,) = Beside.of(combine(of(**changes), [])).pairs
        return pair.smaller

    assert smaller() == "in epochs and parameters"
    assert smaller(epochs=2000) == "in parameters"  # gps-zinc: 2,000 epochs, 423,717 parameters
    assert smaller(parameters=423_717) == "in epochs"
    assert smaller(epochs=2000, parameters=423_717) == "no"
    assert smaller(task="cifar10", metric="accuracy", maximize=True) == "not known"


def test_numbers_of_both_sides() -> None:
    beside = Beside.of(combine([*of(), *of(encoding="DegreePE()"), *of(task="molesol()", metric="RMSE")], []))
    assert beside.left_out == "2 of 3 combinations of task, model and encoding have no published figure"
    (row,) = csv.DictReader(io.StringIO(beside.csv()))
    assert float(row["mean"]) == pytest.approx(statistics.mean(TESTS))
    assert float(row["std"]) == pytest.approx(statistics.stdev(TESTS))
    shown = [row[name] for name in ("n", "published_mean", "published_std", "published_n", "published_epochs")]
    assert shown == ["3", "0.07", "0.004", "10", "2000"]
    line = "| RandomWalkPE(16) | GPS(layers=3) | zinc | MAE | 0.6100 ± 0.0300 | 3 | 0.0700 ± 0.0040 | 10 | "
    line += "GPS, RandomWalkPE(walk_length=20) | 1 | 20 | 2,000 | 60,000 | 423,717 | in epochs and parameters |"
    assert line in beside.section()
    assert "1. Rampasek et al." in beside.section()
    assert "(*)" not in "\n".join(beside.lines())
    marked = Beside.of(combine(of(task="cifar10", metric="accuracy", maximize=True), []))
    assert marked.lines()[-1] == "(*) not compared with the paper"
    assert "| GraphGPS, RWSE (*) | 1 |" in marked.section()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "runs.csv"
    raw.write_text(runs_csv([*of(), *of(encoding="none")]))
    out = tmp_path / "report"
    assert main(["report", str(raw), "--out", str(out), "--against", "published", "--html"]) == 0
    said = capsys.readouterr().out
    assert "0.6100 ± 0.0300" in said
    assert "0.0700 ± 0.0040" in said
    assert said.splitlines()[-1].startswith("1 of 2 combinations")
    assert "## Beside published figures" in (out / "report.md").read_text()
    page = (out / "report.html").read_text()
    assert "<h2>Beside published figures</h2>" in page
    assert "Ours beside published figures" in page
    assert (out / "published.csv").read_text().count("\n") == 2

    raw.write_text(runs_csv(of(task="molesol()", metric="RMSE")))
    nothing = tmp_path / "nothing"
    assert main(["report", str(raw), "--out", str(nothing), "--against", "published"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 of 1 combinations")
    assert not (nothing / "published.csv").exists()
    assert "published figure" not in (nothing / "report.md").read_text()


def test_against_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "runs.csv"
    raw.write_text(runs_csv(of()))
    assert main(["report", str(raw), "--out", str(tmp_path / "r"), "--against", "papers"]) != 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "against" in line
    assert "published" in line
