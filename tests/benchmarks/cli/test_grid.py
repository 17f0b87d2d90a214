"""`graphpe grid` and `graphpe report` as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graphpe.benchmarks.cli.main import main

MODELS = ["GraphTransformer(width=8, layers=1, heads=2)", "GRIT(width=8, layers=1, heads=2)"]


@pytest.fixture
def options(write_molecules: Callable[..., object], tmp_path: Path) -> list[str]:
    write_molecules(tmp_path / "data" / "ogbg_molesol", 32, [[float(i % 5)] for i in range(32)])
    task = f"molesol(root={str(tmp_path / 'data')!r})"
    chosen = ["--tasks", task, "--models", *MODELS, "--seeds", "2", "--epochs", "2", "--batch-size", "8"]
    return [*chosen, "--warmup-steps", "1", "--out", str(tmp_path / "grid")]


def run_graphpe(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "graphpe.benchmarks.cli.main", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(tmp_path: Path) -> dict[str, float]:
    paths = sorted((tmp_path / "grid" / "cells").glob("*/run/summary.json"))
    return {str(path): path.stat().st_mtime_ns for path in paths}


def test_a_grid_is_killed_goes_on_and_grows(options: list[str], tmp_path: Path) -> None:
    columns = ["--encodings", "none", "RandomWalkPE(walk_length=4)", "RelativeRandomWalkPE(walk_length=4)"]
    first = run_graphpe("grid", *options, *columns)
    deadline = time.monotonic() + 240
    while not finished(tmp_path):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = finished(tmp_path)
    time.sleep(1)  # its processes notice
    second = run_graphpe("grid", *options, *columns)
    out, err = second.communicate()
    assert second.returncode == 0, err
    results = finished(tmp_path)
    assert len(results) == 10  # GraphTransformer takes no encoding of pairs
    assert kept.items() <= results.items()
    assert "skipped" in out
    assert "GraphTransformer takes no encoding of pairs" in out
    assert {"runs.csv", "report.md"} <= {path.name for path in (tmp_path / "grid" / "report").iterdir()}

    third = run_graphpe("grid", *options, *columns, "DegreePE()")
    assert third.wait() == 0
    assert results.items() <= finished(tmp_path).items()
    assert len(finished(tmp_path)) == 14
    assert main(["report", str(tmp_path / "grid"), "--out", str(tmp_path / "elsewhere")]) == 0
    text = (tmp_path / "elsewhere" / "report.md").read_text()
    assert text.count("| DegreePE() | GRIT") == 1
    assert "    graphpe grid --tasks" in text
    assert (tmp_path / "elsewhere" / "molesol-heat.png").is_file()
    assert "| 2 |" in text


def test_a_cell_that_fails_does_not_stop_the_others(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grid", *options, "--encodings", "none", "--seeds", "1", "--quiet"]) == 0
    broken = next(iter((tmp_path / "grid" / "cells").iterdir()))
    (broken / "run" / "summary.json").unlink()
    weights = (broken / "run" / "last.pt").read_bytes()
    (broken / "run" / "last.pt").write_bytes(weights[:100])
    capsys.readouterr()
    assert main(["grid", *options, "--encodings", "none", "DegreePE()", "--seeds", "1"]) == 1
    out = capsys.readouterr().out
    assert "1 of 4 cells failed" in out
    assert "failed molesol" in (tmp_path / "grid" / "report" / "report.md").read_text()
    assert "last.pt" in (broken / "error.txt").read_text()
    (broken / "run" / "last.pt").write_bytes(weights)
    assert main(["grid", *options, "--encodings", "none", "DegreePE()", "--seeds", "1", "--quiet"]) == 0
    assert not (broken / "error.txt").exists()


def test_a_budget_of_parameters(options: list[str], tmp_path: Path) -> None:
    assert main(["grid", *options, "--encodings", "none", "--seeds", "1", "--params", "9k", "--quiet"]) == 0
    summaries = [json.loads(Path(path).read_text()) for path in finished(tmp_path)]
    assert len(summaries) == 2
    assert all(4_000 < summary["parameters"] <= 9_000 for summary in summaries)


def test_errors_are_one_line(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        ([*options], "encodings is empty"),
        ([*options, "--encodings", "none", "--params", "big"], "write a number of parameters"),
        ([*options, "--encodings", "none", "--engine", "slurm"], "engine"),
        ([*options[:-2], "--encodings", "none"], "--out is missing"),
        ([*options, "--encodings", "none", "--models", "Gritty()"], "unknown model 'Gritty'"),
        ([*options, "--encodings", "none", "--tasks", "nothing"], "unknown task 'nothing'"),
    ):
        assert main(["grid", *arguments]) in (1, 2)
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no cell of a grid" in capsys.readouterr().err
