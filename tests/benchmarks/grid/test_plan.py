from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.plan import comparisons_of, make_plan, plan_lines
from graphpe.benchmarks.grid.statistics.power import detectable
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEValueError

TESTS = {
    ("none", "GINE"): [0.50, 0.60, 0.55],
    ("a", "GINE"): [0.40, 0.45, 0.50],
    ("b", "GINE"): [0.50, 0.58, 0.58],
    ("none", "GPS"): [0.30, 0.31, 0.32],
    ("a", "GPS"): [0.20, 0.30, 0.10],
}


def cells(root: Path, epochs: int, columns: list[str], models: list[str], seeds: int, sizes: str = "") -> list[Cell]:
    found = []
    for column in columns:
        for model in models:
            for seed in range(seeds):
                config = TrainConfig(
                    task=f"Zinc(root={str(root)!r})",
                    model=model,
                    encodings=(column,),
                    seed=seed,
                    epochs=epochs,
                    sizes=sizes,
                )
                found.append(Cell.of(root, "zinc", column, model, config))
    return found


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    root = tmp_path / "pilot"
    for cell in cells(root, 10, ["none", "a", "b"], ["GINE", "GPS"], 3):
        tests = TESTS.get((cell.encoding, cell.model))
        if tests is None:
            continue
        cell.write()
        cell.run.mkdir()
        run = RunFolder(cell.run)
        run.write_task({}, "f" * 32)
        test = tests[cell.config.seed]
        numbers = {"valid": test, "test": test, "constant_valid": 0.0, "constant_test": 0.0}
        names = {"task": "zinc", "encodings": [cell.encoding], "model": cell.model, "metric": "MAE", "maximize": False}
        rest = {"best_epoch": 1, "epochs": 5, "constant_prediction": "0", "parameters": 9, "run": "", "peak_bytes": 1}
        seconds = {"seconds_per_epoch": {"total": 2.0 if cell.model == "GINE" else 6.0}}
        run.write_summary({**numbers, **names, **rest, **seconds, "seconds_before": {"encode": 1.0}})
    return root


def test_the_spread_is_pooled_over_columns(pilot: Path, tmp_path: Path) -> None:
    asked = cells(tmp_path / "new", 40, ["none", "c"], ["GINE", "GPS"], 20)
    plan = make_plan(asked, [pilot], seeds=[3, 10], jobs=2, begun=False)
    # Of one column in two models, and over both.
    assert plan.comparisons == 3
    a, b = (np.subtract(TESTS["none", "GINE"], TESTS[column, "GINE"]) for column in ("a", "b"))
    gine, gps = plan.rows
    assert gine.deviation == pytest.approx(math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))
    assert (gine.freedom, gine.of_model, gine.metric) == (4, True, "MAE")
    assert gps.freedom == 2
    assert gine.least[10] == detectable(gine.deviation, 10, comparisons=3)
    # 40 epochs, of which the pilot made half before it stopped; two columns, two at once.
    run = {"GINE": 1 + 40 * 2.0 / 2, "GPS": 1 + 40 * 6.0 / 2}
    assert plan.seconds == pytest.approx({count: count * 2 * sum(run.values()) / 2 for count in (3, 10)})
    assert plan.runs == {3: 12, 10: 40}
    text = "\n".join(plan_lines(plan))
    assert "correction of the 3 p-values of the report" in text
    assert "zinc, test MAE" in text
    assert "10 seeds 40 runs, " in text


def test_a_model_that_the_pilot_has_not_is_as_the_others(pilot: Path, tmp_path: Path) -> None:
    plan = make_plan(cells(tmp_path, 10, ["none", "a"], ["GRIT"], 3), [pilot], seeds=[3], jobs=1, begun=False)
    (row,) = plan.rows
    assert (row.of_model, row.freedom) == (False, 6)
    assert "not in the pilot: of its models" in "\n".join(plan_lines(plan))


def test_the_first_seeds_of_a_grid_are_its_pilot(pilot: Path) -> None:
    mine = cells(pilot, 10, ["none", "a"], ["GINE"], 5)
    plan = make_plan(mine, [pilot], seeds=[3, 5], jobs=1, begun=True)
    assert plan.runs == {3: 0, 5: 4}
    assert plan.seconds[3] == 0


def test_what_would_be_compared_is_counted_as_the_report_does(tmp_path: Path) -> None:
    columns, models = ["none", "a", "b"], ["GINE", "GPS"]
    assert comparisons_of(cells(tmp_path, 1, columns, models, 1)) == 2 * 2 + 2 + 1
    assert comparisons_of(cells(tmp_path, 1, columns, models, 1, "8 | 9-16")) == 2 * 2 + 2 + 2 * 2 + 1
    assert comparisons_of(cells(tmp_path, 1, ["a", "b"], ["GINE"], 1)) == 0


def test_a_pilot_without_pairs_says_what_to_do(pilot: Path, tmp_path: Path) -> None:
    asked = cells(tmp_path, 10, ["none", "a"], ["GINE"], 3)
    for cell in pilot.glob("cells/*none*"):
        (cell / "run" / "summary.json").unlink()
    with pytest.raises(GraphPEValueError, match="has no task of this grid with two finished seeds"):
        make_plan(asked, [pilot], seeds=[3], jobs=1, begun=False)
