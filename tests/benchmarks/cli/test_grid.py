"""`graphpe grid` and `graphpe report` as a user runs them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.files.locking import locked

MODELS = ["GINE(width=8, layers=1)", "GRIT(width=8, layers=1, heads=2)"]
COLUMNS = ["--encodings", "none", "RelativeRandomWalkPE(walk_length=4)"]


@pytest.fixture
def options(write_molecules: Callable[..., object], tmp_path: Path) -> list[str]:
    write_molecules(tmp_path / "data" / "ogbg_molesol", 32, [[float(i % 5)] for i in range(32)])
    task = f"molesol(root={str(tmp_path / 'data')!r})"
    chosen = ["--tasks", task, "--models", *MODELS, "--seeds", "1", "--epochs", "2", "--batch-size", "8"]
    return [*chosen, "--warmup-steps", "1", "--out", str(tmp_path / "grid")]


def finished(tmp_path: Path) -> dict[str, float]:
    paths = sorted((tmp_path / "grid" / "cells").glob("*/run/summary.json"))
    return {str(path): path.stat().st_mtime_ns for path in paths}


def wait_for(tmp_path: Path, pattern: str, running: Callable[[], bool]) -> Path:
    deadline = time.monotonic() + 240
    while not (found := list((tmp_path / "grid" / "cells").glob(pattern))):
        assert running()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found[0]


@pytest.mark.slow
def test_a_grid_is_killed_goes_on_and_grows(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "graphpe.benchmarks.cli.main", "grid", *options, *COLUMNS, "--quiet"]
    first = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    wait_for(tmp_path, "*/run/summary.json", lambda: first.poll() is None)
    wait_for(tmp_path, "*RelativeRandomWalk*/run", lambda: first.poll() is None)  # the last cell runs
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = finished(tmp_path)
    assert len(kept) == 2
    cell = Path(next(iter(kept))).parents[1]
    described = (cell / "cell.json").read_text()
    (cell / "cell.json").write_text("[" * 100_000)
    (tmp_path / "grid" / ".cells.txt.abcdefgh.part").touch()
    assert main(["report", str(tmp_path / "grid"), "--out", str(tmp_path / "partial")]) == 0
    assert "not in the tables: " in (tmp_path / "partial" / "report.md").read_text()
    capsys.readouterr()
    assert main(["grid", *options, *COLUMNS]) == 0  # at once: the process of the last cell may still be there
    out = capsys.readouterr().out
    results = finished(tmp_path)
    assert len(results) == 3
    assert kept.items() <= results.items()
    assert (cell / "cell.json").read_text() == described
    assert not list((tmp_path / "grid").rglob("*.part"))
    assert "GINE takes no encoding of pairs" in out
    assert "3 cells, 2 done before, 1 skipped" in out
    assert {"runs.csv", "report.md"} <= {path.name for path in (tmp_path / "grid" / "report").iterdir()}

    assert main(["grid", *options, *COLUMNS, "DegreePE()"]) == 0
    assert results.items() <= finished(tmp_path).items()
    assert len(finished(tmp_path)) == 5
    assert main(["report", str(tmp_path / "grid"), "--out", str(tmp_path / "elsewhere")]) == 0
    text = (tmp_path / "elsewhere" / "report.md").read_text()
    assert text.count("| DegreePE() | GRIT") == 1
    made_by = next(line for line in text.splitlines() if line.startswith("    graphpe grid --tasks"))
    assert shlex.split(made_by)[2:] == [*options, *COLUMNS, "DegreePE()"]
    assert (tmp_path / "elsewhere" / "molesol-heat.png").is_file()
    capsys.readouterr()
    assert main(["report", str(tmp_path / "grid"), "--out", str(tmp_path / "grid" / "cells.txt")]) == 1
    assert "cannot write the report" in capsys.readouterr().err


@pytest.mark.slow
def test_a_grid_of_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Slow: four cells, each in a process of its own.
    task = "path-length(train=40, valid=10, test=10)"
    chosen = ["--tasks", task, "--models", "GINE(width=8, layers=1)", "--seeds", "2", "--epochs", "1"]
    chosen += ["--encodings", "none", "RandomWalkPE(4) @ perturb=Perturbed(noise=0.1)", "--out", str(tmp_path / "grid")]
    chosen += ["--cache", str(tmp_path / "cache"), "--quiet"]
    assert main(["grid", *chosen, "--sizes", "8 | 8-12 13-16"]) == 0
    rows = (tmp_path / "grid" / "report" / "sizes.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 * 3
    cells = [json.loads(path.read_text()) for path in (tmp_path / "grid" / "cells").glob("*/cell.json")]
    assert {cell["config"]["sizes"] for cell in cells} == {"8 | 9-12 13-16"}
    assert {cell["config"]["perturb"] for cell in cells} == {"none", "Perturbed(noise=0.1)"}
    before = finished(tmp_path)
    assert main(["grid", *chosen, "--sizes", "8|9-12, 13-16"]) == 0  # the same sizes: nothing to do
    assert finished(tmp_path) == before
    capsys.readouterr()
    assert main(["grid", *chosen, "--sizes", "8 | 4-12"]) == 1
    assert "the bin 4-12 begins at 4, but training reaches 8: begin it at 9" in capsys.readouterr().err


@pytest.mark.slow
def test_a_grid_that_is_stopped_saves_and_one_runs_at_a_time(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [*options, "--models", MODELS[0], "--encodings", "none", "--epochs", "100000", "--patience", "0"]
    said: list[str] = []

    def press() -> None:
        try:
            cell = wait_for(tmp_path, "*/run/last.pt", lambda: True).parents[1]
            for folder in (tmp_path / "grid", cell):
                try:
                    with locked(folder, "busy"):
                        pass
                except RuntimeError as error:
                    said.append(str(error))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts with `&`
    thread = threading.Thread(target=press)
    thread.start()
    try:
        assert main(["grid", *long]) == 130
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert len(said) == 2
    assert all("busy" in text for text in said)
    captured = capsys.readouterr()
    assert "the same command goes on" in captured.err
    assert "Traceback" not in captured.err
    (cell,) = (tmp_path / "grid" / "cells").iterdir()
    assert not (cell / "error.txt").exists()
    with locked(cell, "busy"):  # its process has ended
        pass


@pytest.mark.slow
def test_a_cell_that_fails_does_not_stop_the_others(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grid", *options, "--models", MODELS[0], "--encodings", "none", "--quiet"]) == 0
    broken = next(iter((tmp_path / "grid" / "cells").iterdir()))
    (broken / "run" / "summary.json").unlink()
    weights = (broken / "run" / "last.pt").read_bytes()
    (broken / "run" / "last.pt").write_bytes(weights[:100])
    capsys.readouterr()
    more = ["grid", *options, "--models", MODELS[0], "GINE(width=1000000)", "--encodings", "none", "DegreePE()"]
    assert main(more) == 1
    out = capsys.readouterr().out
    assert "1 of 2 cells failed" in out
    assert "GINE(width=1000000) cannot be built" in out
    assert "failed molesol" in (tmp_path / "grid" / "report" / "report.md").read_text()
    assert "last.pt" in (broken / "error.txt").read_text()
    (broken / "run" / "last.pt").write_bytes(weights)
    assert main([*more, "--quiet"]) == 0
    assert not (broken / "error.txt").exists()
    summary = broken / "run" / "summary.json"
    whole = summary.read_text()
    summary.write_text(whole[:-9])
    assert main(["report", str(tmp_path / "grid")]) == 0  # of the other cell
    assert "damaged, and not in the tables: molesol" in (tmp_path / "grid" / "report" / "report.md").read_text()
    assert main([*more, "--quiet"]) == 0
    assert json.loads(summary.read_text())["test"] == json.loads(whole)["test"]


@pytest.mark.slow
def test_a_budget_of_parameters_from_yaml(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("encodings: [none]\nparams: 9000\nmodels: ['GINE(layers=1)', 'GPS(heads=6)']\n")
    without_models = [*options[:2], *options[2 + 1 + len(MODELS) :]]
    assert main(["grid", "--config", str(tmp_path / "grid.yaml"), *without_models, "--epochs", "1", "--quiet"]) == 0
    assert main(["grid", "--config", str(tmp_path / "grid.yaml"), *without_models, "--params", "90k", "--quiet"]) == 0
    parameters = [json.loads(Path(path).read_text())["parameters"] for path in finished(tmp_path)]
    assert len(parameters) == 3
    assert sorted(count <= 9_000 for count in parameters) == [False, False, True]
    assert all(4_000 < count <= 90_000 for count in parameters)


@pytest.mark.slow
def test_a_random_search_goes_on_with_more_draws(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vary = "learning_rate: loguniform(1e-4, 1e-1)".replace(": ", "=")
    (tmp_path / "grid.yaml").write_text(f"encodings: [none]\nvary: ['{vary}']\ntune: 1\nepochs: 1\n")
    command = [
        "grid",
        *options,
        "--models",
        "GINE(width=8, layers=1) @ clip=0.5",
        "--config",
        str(tmp_path / "grid.yaml"),
    ]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, "--epochs", "1", "--tune", "2"]) == 0
    assert "3 cells, 2 done before, 0 skipped" in capsys.readouterr().out
    cells = [json.loads(path.read_text()) for path in (tmp_path / "grid" / "cells").glob("*/cell.json")]
    rates = {cell["config"]["learning_rate"] for cell in cells}
    assert len(rates) == 3
    assert all(cell["config"]["clip"] == 0.5 for cell in cells)
    (untuned,) = (cell for cell in cells if not cell["options"])
    drawn = [cell for cell in cells if cell["options"]]
    assert all(cell["options"] == {"learning_rate": cell["config"]["learning_rate"]} for cell in drawn)
    assert untuned["config"]["learning_rate"] not in [cell["config"]["learning_rate"] for cell in drawn]
    text = (tmp_path / "grid" / "report" / "report.md").read_text()
    assert "Budget: 2 settings by 1 seeds" in text
    untuned_part, tuned_part = text.split(", tuned\n")
    assert untuned_part.count("| none | GINE(width=8, layers=1) @ clip=0.5 | ") == 1
    assert tuned_part.split("## What tuning gave")[0].count("| none | GINE(width=8, layers=1) @ clip=0.5 | 0.") == 1


def test_errors_are_one_line(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for arguments, message in (
        ([*options], "encodings is empty"),
        ([*options, "--encodings", "none", "--params", "big"], "write a number of parameters"),
        ([*options, "--encodings", "none", "--engine", "slurm"], "engine"),
        ([*options[:-2], "--encodings", "none"], "--out is missing"),
        ([*options, "--encodings", "none", "--models", MODELS[0], "Gritty()"], "unknown model 'Gritty'"),
        ([*options, "--encodings", "none", "--models", "GINE(wdth=3)"], "GINE has no argument 'wdth'"),
        ([*options, "--encodings", "none", "non"], "unknown encoding 'non'"),
        ([*options, "--encodings", "none", "LaplacianPE(k=4) with SPY"], "unknown encoder 'SPY'"),
        ([*options, "--encodings", "none", "LaplacianPE(k=4) as Bias"], "unknown bias 'Bias'"),
        ([*options, "--encodings", "none", "--encoder", "SPY"], "unknown encoder 'SPY'"),
        ([*options, "--encodings", "none", "--tasks", "nothing"], "unknown task 'nothing'"),
        ([*options, "--encodings", "none", "--params", "9"], "no cell of this grid can be run"),
        ([*options, "--encodings", "none", "--gpus", "99"], "--gpus is 99, but this machine has"),
        ([*options, "--encodings", "none", "--models", "GINE @ learing_rate=1"], "did you mean learning_rate"),
        ([*options, "--encodings", "none @ epochs=many"], "epochs must be an integer, got 'many'"),
        ([*options, "--encodings", "none", "--vary", "heads=[2, 4]"], "has the option heads, which is not known"),
        ([*options, "--encodings", "none", "--vary", "clip=uniform(0, 1)"], "clip is a range: say with --tune"),
        ([*options, "--encodings", "none", "--tune", "3"], "tune is 3, but no option has a range"),
        ([*options, "--encodings", "none", "--tune", "-1"], "tune must be"),
        ([*options, "--encodings", "none", "--log", "mlflow"], "log must be one of"),
        ([*options, "--encodings", "none", "--plan", str(tmp_path / "no")], "no holds no cell of a grid"),
        ([*options[:-2], "--encodings", "none", "--plan", str(tmp_path / "no")], "no holds no cell of a grid"),
        ([*options, "--encodings", "none", "--accelerator", "cuda"], "needs --gpus"),
        ([*options, "--encodings", "none", "--out", str(tmp_path / "file" / "grid")], "cannot make the folder"),
        ([*options, "--encodings", "none", "--out", str(tmp_path)], "holds files that are no grid's"),
    ):
        assert main(["grid", "--quiet", *arguments]) in (1, 2)
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
        assert not (tmp_path / "grid").exists()
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no cell of a grid" in capsys.readouterr().err


def test_a_folder_with_cells_of_somebody_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "grid",
        "--quiet",
        "--encodings",
        "none",
        "--models",
        "GINE()",
        "--tasks",
        "zinc",
        "--out",
        str(tmp_path),
    ]
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "photo.txt").write_text("theirs")
    assert main(command) == 1
    assert "holds files that are no grid's" in capsys.readouterr().err
    (tmp_path / "command.txt").write_bytes("é".encode("latin1"))
    assert main(command) == 1
    assert "no text in UTF-8" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells", "command.txt"]
