from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.grid.report import runs_csv, write_report
from graphpe.benchmarks.grid.reports.raw import read_raw
from graphpe.benchmarks.grid.reports.sizes import sizes_csv
from graphpe.benchmarks.grid.results import Run, SizeScore, combine
from graphpe.errors import GraphPEValueError


def _runs(*, sizes: bool = False) -> list[Run]:
    scores = (SizeScore("up to 16", 16, 10.5, 20, 0.75, 0.5), SizeScore("17-24", 24, 20.0, 30, 0.625, 0.25))
    return [
        Run(
            *("a(x=1, y='b')", encoding, model, seed, "F1", True, 0.5 + seed / 8, value + seed / 16, 1234, 0.5, 2.0),
            *(20.0, 10**9, 10, 3000.0, 12.5, 240.0, 1e6),
            options={"learning_rate": "0.1"} if model == "GPS()" else {},
            sizes=scores if sizes else (),
        )
        for encoding, value in (("none", 0.1), ("DegreePE()", 0.3), ("LaplacianPE(k=8) with SPE", 0.2))
        for model in ("GINE()", "GPS()")
        for seed in range(3)
    ]


def test_baselines_are_those_of_the_runs(tmp_path: Path) -> None:
    baselines = {"fingerprints and boosted trees": (0.75, 0.625), "constant (always 1)": (0.5, math.inf)}
    runs = [replace(run, baselines=baselines) for run in _runs()]
    files = write_report(combine(runs, []), tmp_path / "a")
    assert tmp_path / "a" / "baselines.csv" in files
    assert read_raw(tmp_path / "a" / "runs.csv") == sorted(
        runs, key=lambda run: [each.encoding for each in runs].index(run.encoding)
    )
    assert main(["report", str(tmp_path / "a" / "runs.csv"), "--out", str(tmp_path / "b")]) == 0
    for folder in ("a", "b"):
        text = (tmp_path / folder / "report.md").read_text()
        assert "| none | fingerprints and boosted trees ‡ |  | 0.6250 | 0.7500 | 1 |" in text
        assert "| none | constant (always 1) ‡ |  | inf | 0.5000 | 1 |" in text
    assert (tmp_path / "a" / "baselines.csv").read_bytes() == (tmp_path / "b" / "baselines.csv").read_bytes()
    (tmp_path / "a" / "baselines.csv").write_text("task,baseline\na,b\n")
    with pytest.raises(GraphPEValueError, match=r"is no baselines\.csv that `graphpe report` wrote"):
        read_raw(tmp_path / "a" / "runs.csv")


def test_counts_are_whole_numbers(tmp_path: Path) -> None:
    known, unknown = _runs()[0], replace(_runs()[1], graphs=math.nan)
    for runs, column in (([known], ["3000"]), ([known, unknown], ["3000", "nan"])):
        table = list(csv.DictReader(io.StringIO(runs_csv(runs))))
        assert [row["graphs"] for row in table] == column
        assert table[0]["epochs"] == "10"


def test_machines_are_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [replace(run, machine="first, 1 thread(s); torch 2" if run.seed else "") for run in _runs()]
    (tmp_path / "runs.csv").write_text(runs_csv(runs))
    assert read_raw(tmp_path / "runs.csv") == runs
    assert main(["report", str(tmp_path / "runs.csv"), "--out", str(tmp_path / "out"), "--html"]) == 0
    lines = (tmp_path / "out" / "report.md").read_text().splitlines()
    assert "- 12 of 18 runs on first, 1 thread(s); torch 2" in lines
    assert "- 6 of 18 runs on a machine that they did not note" in lines
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<dt>runs made on</dt><dd>first, 1 thread(s); torch 2 (12 of 18 runs)</dd>" in page
    assert "<dt>cells</dt><dd>18 finished, read from raw numbers</dd>" in page
    assert "machine" not in runs_csv(_runs())


def test_a_validation_metric_that_is_not_finite_leaves_the_test_metric(tmp_path: Path) -> None:
    runs = [replace(run, valid=math.nan) if number == 0 else run for number, run in enumerate(_runs())]
    (tmp_path / "runs.csv").write_text(runs_csv(runs))
    assert main(["report", str(tmp_path / "runs.csv"), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| none | GINE() |  | 0.1625 ± 0.0625 | nan |" in text  # the test metric has its mean
    (line,) = (line for line in text.splitlines() if line.startswith("- not finite"))
    assert line.endswith("no mean over validation; mean, rank and tests of the test metric have that seed")


@pytest.mark.parametrize("sizes", [False, True])
def test_runs_are_what_was_written(tmp_path: Path, sizes: bool) -> None:
    runs = _runs(sizes=sizes)
    (tmp_path / "runs.csv").write_text(runs_csv(runs))
    if sizes:
        (tmp_path / "sizes.csv").write_text(sizes_csv(runs))
    assert read_raw(tmp_path / "runs.csv") == runs


def test_the_report_of_raw_numbers_is_that_of_the_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.csv").write_text(runs_csv(_runs()))
    first, again = tmp_path / "first", tmp_path / "again"
    assert main(["report", str(tmp_path / "runs.csv"), "--out", str(first), "--html"]) == 0
    assert main(["report", str(first / "runs.csv"), "--out", str(again), "--html"]) == 0
    assert "18 finished cells of 18" in capsys.readouterr().out
    for name in ("runs.csv", "effects.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    text = (first / "report.md").read_text()
    assert "| DegreePE() | GINE() |  | 0.3625 ± 0.0625 |" in text
    assert text.replace(str(tmp_path / "runs.csv"), "RAW") == (again / "report.md").read_text().replace(
        str(first / "runs.csv"), "RAW"
    )
    assert "DegreePE()" in (again / "report.html").read_text()


def test_what_is_no_raw_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs.csv"
    with pytest.raises(GraphPEValueError, match="there is no file"):
        read_raw(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(GraphPEValueError, match=r"has no column task: give the folder of a grid, or a runs\.csv"):
        read_raw(path)
    path.write_text(runs_csv(_runs()).replace(",1234,", ",many,", 1))
    with pytest.raises(GraphPEValueError, match="line 2: parameters is 'many', and must be a whole number"):
        read_raw(path)
    runs = _runs(sizes=True)
    path.write_text(runs_csv(runs))
    (tmp_path / "sizes.csv").write_text(sizes_csv(runs[1:]))
    with pytest.raises(GraphPEValueError, match=r"sizes\.csv has no line for .*, none, GINE\(\), seed 0"):
        read_raw(path)
    (tmp_path / "sizes.csv").unlink()
    assert main(["report", str(path)]) == 2
    assert "--out is missing: name a folder for the report of raw numbers" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text(runs_csv([replace(run, seed=run.seed + 2) for run in runs]))
    assert main(["report", str(path), str(tmp_path / "other.csv"), "--out", str(tmp_path / "out")]) == 1
    assert "seed 2 is 2 times in" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none.csv")]) == 1
    assert f"there is no file {tmp_path / 'none.csv'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("seed", "1.5", "a whole number"),
        ("parameters", "inf", "a whole number"),
        ("epochs", "", "a whole number"),
        ("test", "", "a number"),
        ("maximize", "yes", "True or False"),
        ("task", "", "a name"),
    ],
)
def test_a_value_that_is_none_is_named(tmp_path: Path, name: str, text: str, kind: str) -> None:
    table = list(csv.DictReader(io.StringIO(runs_csv(_runs()))))
    table[1][name] = text
    _write(tmp_path / "runs.csv", table, list(table[0]))
    with pytest.raises(GraphPEValueError, match=f"line 3: {name} is '{text}', and must be {kind}; give a runs"):
        read_raw(tmp_path / "runs.csv")


def test_parts_of_a_study_are_one(tmp_path: Path) -> None:
    """By seeds, by models and by encodings, with options in other columns: the tables of the whole."""
    rng = np.random.default_rng(0)
    runs = [
        replace(
            run,
            seed=seed,
            test=run.test + float(rng.normal(0, 0.1)),
            options={"learning_rate": "0.1", "dropout": "0.2"} if run.model == "GPS()" else {"dropout": "0.5"},
            baselines={"constant (always 1)": (0.5, 0.25)},
        )
        for run in _runs()
        if run.seed == 0
        for seed in range(8)
    ]
    whole = tmp_path / "whole"
    write_report(combine(runs, []), whole)
    rows = list(csv.DictReader((whole / "runs.csv").open()))
    names = list(rows[0])
    cuts: dict[str, Callable[[dict[str, str]], bool]] = {
        "seeds": lambda row: int(row["seed"]) < 3,
        "models": lambda row: row["model"] == "GPS()",
        "encodings": lambda row: row["encoding"] != "DegreePE()",
    }
    for cut, first in cuts.items():
        parts = [[row for row in rows if first(row)], [row for row in rows if not first(row)]]
        files = [tmp_path / cut / str(number) / "runs.csv" for number in range(2)]
        _write(files[0], parts[0], names)
        _write(files[1], parts[1], [*names[:-2], names[-1], names[-2]])
        (files[1].with_name("baselines.csv")).write_bytes((whole / "baselines.csv").read_bytes())  # the first has none
        out = tmp_path / cut / "out"
        assert main(["report", *map(str, files), "--out", str(out)]) == 0
        for name in ("effects.csv", "report.md"):
            lines = [
                sorted(line for line in (each / name).read_text().splitlines() if not line.startswith("- runs read"))
                for each in (whole, out)
            ]
            if name == "effects.csv":
                keys, values = zip(*(_numbers(each) for each in lines), strict=True)
                assert keys[0] == keys[1]
                np.testing.assert_allclose(values[0], values[1], rtol=1e-9)
            else:
                assert [line.rstrip() for line in lines[0] if line] == [line.rstrip() for line in lines[1] if line], cut
    twice = [str(whole / "runs.csv"), str(tmp_path / "seeds" / "0" / "runs.csv")]
    assert main(["report", *twice, "--out", str(tmp_path / "x")]) == 1


def _numbers(lines: list[str]) -> tuple[list[list[str]], list[list[float]]]:
    rows = list(csv.reader(lines))
    return [row[:5] for row in rows], [[float(each) for each in row[5:]] for row in rows if row[0] != "task"]


def test_runs_of_other_metrics_are_not_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = _runs()
    for number, other in enumerate((replace(runs[0], maximize=False), replace(runs[0], metric="accuracy"))):
        path = tmp_path / f"{number}.csv"
        path.write_text(runs_csv([other, *runs[1:]]))
        assert main(["report", str(path), "--out", str(tmp_path / "out")]) == 1
        assert "runs of a(x=1, y='b') are not to be compared: metric is " in capsys.readouterr().err
    sized = _runs(sizes=True)
    (tmp_path / "runs.csv").write_text(runs_csv(sized))
    (tmp_path / "sizes.csv").write_text(sizes_csv(sized).replace("17-24", "17-32", 1))
    assert main(["report", str(tmp_path / "runs.csv"), "--out", str(tmp_path / "out")]) == 1
    assert "sizes is up to 16 17-32 of one and up to 16 17-24 of another; report them apart" in capsys.readouterr().err


def test_tasks_with_sizes_stand_beside_tasks_without(tmp_path: Path) -> None:
    sized = [replace(run, task="other()", size_unit="wires") for run in _runs(sizes=True)]
    third = [replace(run, task="third()") for run in _runs(sizes=True)]
    runs = [*_runs(), *sized, *third]
    write_report(combine(runs, []), tmp_path)
    found = read_raw(tmp_path / "runs.csv")
    assert sorted(map(repr, found)) == sorted(map(repr, runs))


def test_what_is_counted_is_kept(tmp_path: Path) -> None:
    runs = [replace(run, unit="node") for run in _runs()]
    (tmp_path / "runs.csv").write_text(runs_csv(runs))
    assert read_raw(tmp_path / "runs.csv") == runs
    assert "unit" not in runs_csv(_runs())


def _write(path: Path, rows: list[dict[str, str]], names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
