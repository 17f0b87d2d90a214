from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.grid.report import write_report
from graphpe.benchmarks.grid.reports.gains import draw_gains, gains_of, gains_section
from graphpe.benchmarks.grid.results import Combination, Run, combine

RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)


def combinations(task: str, values: dict[tuple[str, str], float], *, maximize: bool = False) -> list[Combination]:
    made = [
        replace(RUN, task=task, maximize=maximize, encoding=encoding, model=model, seed=seed, test=value + seed)
        for (encoding, model), value in values.items()
        for seed in range(2)
    ]
    return combine(made, [])


TASKS = {
    "errors": combinations(
        "errors",
        {
            **{("none", "GINE"): 1.5, ("good", "GINE"): 0.5, ("odd", "GINE"): 3.5},
            **{("none", "GPS"): 1.5, ("good", "GPS"): 1.1},
        },
    ),
    "scores": combinations("scores", {("none", "GINE"): 0.5, ("good", "GINE"): 1.5}, maximize=True),
}
P_VALUES = {"errors": {("good", "GINE"): 0.01, ("odd", "GINE"): 0.04, ("good", "GPS"): 0.6}, "scores": {}}


def test_gains_by_hand() -> None:
    found = gains_of(TASKS, P_VALUES)
    assert found is not None
    by_model, by_task = found
    assert (by_model.rows, by_model.columns) == (["good", "odd"], ["GINE", "GPS", "all models"])
    # Means over two seeds: none 2, good 1 (half of it away), odd 4 (twice as bad), GPS's good 1.6; scores 1 and 2.
    np.testing.assert_allclose(by_model.mean, [[0.5, 0.2, (0.35 + 0.5) / 2], [-0.5, math.nan, -0.5]])
    assert by_model.better.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert by_model.worse.tolist() == [[0, 0, 0], [1, 0, 1]]
    assert by_task.columns == ["errors", "scores", "all tasks"]
    np.testing.assert_allclose(by_task.mean, [[0.35, 0.5, (0.35 + 0.5) / 2], [-0.5, math.nan, -0.5]])
    assert by_task.better.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert gains_of({"errors": TASKS["errors"]}, P_VALUES) is None


def test_what_is_certain_stands_in_the_table(tmp_path: Path) -> None:
    found = gains_of(TASKS, P_VALUES)
    assert found is not None
    lines = gains_section(found, ", tuned")
    assert lines[0] == "## What helps where, tuned"
    assert "| good | +50 % (↑1) | +20 % | +42 % (↑1) |" in lines
    assert "| odd | -50 % (↓1) | – | -50 % (↓1) |" in lines
    path = tmp_path / "gains.svg"
    draw_gains(found, "title", [path])
    assert "(↑1)" in path.read_text()


def test_a_report_of_two_tasks_says_what_helps_where(tmp_path: Path) -> None:
    found = [each for combinations in TASKS.values() for each in combinations]
    files = write_report(found, tmp_path / "two")
    assert tmp_path / "two" / "gains.png" in files
    assert "| relative gain by task | errors | scores | all tasks |" in (tmp_path / "two" / "report.md").read_text()
    files = write_report(TASKS["errors"], tmp_path / "one")
    assert tmp_path / "one" / "gains.png" not in files
    assert "What helps where" not in (tmp_path / "one" / "report.md").read_text()


@pytest.mark.parametrize("name", ["a | b", "a\n b"])
def test_names_do_not_break_the_table(name: str) -> None:
    tasks = {task: [replace_row(each, name) for each in mine] for task, mine in TASKS.items()}
    found = gains_of(tasks, P_VALUES)
    assert found is not None
    assert any(line.startswith(("| a \\| b |", "| a b |")) for line in gains_section(found, ""))


def replace_row(combination: Combination, name: str) -> Combination:
    runs = [replace(run, encoding=name) if run.encoding == "good" else run for run in combination.runs]
    return combine(runs, [])[0]
