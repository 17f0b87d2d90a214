from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.report import task_section
from graphpe.benchmarks.grid.reports.selection import best_by_validation, budget_text, budgets
from graphpe.benchmarks.grid.results import Combination, Run, combine
from graphpe.benchmarks.grid.statistics.family import family_of
from graphpe.benchmarks.training.config import TrainConfig

RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)
KEY = ("zinc", "none", "GINE", False)


def runs(valid: dict[float, float], test: dict[float, float], *, maximize: bool, seeds: int = 2) -> list[Run]:
    return [
        replace(RUN, maximize=maximize, seed=seed, valid=value, test=test[rate], options={"learning_rate": rate})
        for rate, value in valid.items()
        for seed in range(seeds)
    ]


def chosen(found: list[Run], budget: int) -> tuple[Combination, list[str]]:
    (one,), notes = best_by_validation(combine(found, []), {KEY: budget})
    return one, notes


@pytest.mark.parametrize(("maximize", "best"), [(True, 0.2), (False, 0.1)])
def test_validation_chooses_and_the_test_part_has_no_say(maximize: bool, best: float) -> None:
    valid = {0.1: 0.3, 0.2: 0.6, 0.3: 0.4}
    for test in ({0.1: 0.0, 0.2: 0.0, 0.3: 9.0}, {0.1: 9.0, 0.2: 5.0, 0.3: -9.0}, dict.fromkeys(valid, math.nan)):
        one, notes = chosen(runs(valid, test, maximize=maximize), 3)
        assert one.options == {"learning_rate": best}
        assert one.chosen_from == 3
        assert one.runs[0].test is test[best]
        assert notes == []


def test_settings_that_are_not_done_or_not_finite_are_not_chosen() -> None:
    found = runs({0.1: 0.3, 0.2: math.nan, 0.3: 0.1}, dict.fromkeys((0.1, 0.2, 0.3), 0.0), maximize=True)
    found = [run for run in found if run.options["learning_rate"] != 0.1 or run.seed == 0]
    one, notes = chosen(found, 5)
    assert one.options == {"learning_rate": 0.3}
    assert notes == ["chosen among 2 of 5 settings, others are not done: zinc, none, GINE"]


def test_budgets_are_the_settings_of_each_column_and_model(tmp_path: Path) -> None:
    def cell(model: str, options: dict[str, object], draws: int, seed: int = 0) -> Cell:
        return Cell.of(tmp_path, "zinc", "none", model, TrainConfig(seed=seed), options=options, draws=draws)

    cells = [cell("drawn", {"a": value}, 3, seed) for value in (1, 2, 3) for seed in (0, 1)]
    cells += [cell("listed", {"a": value}, 0) for value in (1, 2)] + [cell("plain", {}, 3), cell("alone", {}, 0)]
    assert budgets(cells, listed=False) == {("zinc", "none", "drawn", True): 3}
    assert budgets(cells, listed=True) == {
        ("zinc", "none", "drawn", True): 3,
        ("zinc", "none", "listed", False): 2,
    }


def test_the_report_keeps_tuned_and_untuned_apart_and_pairs_within_them() -> None:
    both = [
        replace(run, encoding=encoding, test=run.test + (0.1 + 0.001 * run.seed if encoding == "good" else 0.0))
        for run in runs({0.1: 0.3, 0.2: 0.6}, {0.1: 0.5, 0.2: 0.7}, maximize=True, seeds=3)
        for encoding in ("none", "good")
    ]
    keys = [("zinc", encoding, "GINE") for encoding in ("none", "good")]
    listed = combine(both, keys)
    assert {(each.row, each.setup) for each in listed} == {
        (row, f"GINE: learning_rate={rate}") for row in ("none", "good") for rate in (0.1, 0.2)
    }
    tests = family_of({"": listed}).sections[""]
    assert set(tests.cells) == {("good", "GINE: learning_rate=0.1"), ("good", "GINE: learning_rate=0.2")}
    text = task_section(listed, tests)
    assert "| encoding | model | learning_rate | test MAE |" in text
    assert "| good | GINE | 0.2 | 0.8010 ± 0.0010 |" in text
    tuned, _ = best_by_validation(listed, {(*key, False): 2 for key in keys})
    assert [(each.row, each.setup) for each in tuned] == [("none", "GINE"), ("good", "GINE")]
    tests = family_of({"": tuned}).sections[""]
    assert tests.cells["good", "GINE"] < 0.05
    assert "Budget: 2 settings by 3 seeds for each encoding and model" in task_section(tuned, tests)
    assert "2 to 4 settings (not the same for all)" in budget_text([tuned[0], replace(tuned[1], chosen_from=4)])
