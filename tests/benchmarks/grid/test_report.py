from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.grid.report import encoding_results, significance, task_section, write_report
from graphpe.benchmarks.grid.results import Combination, Run, combine


def runs(effects: dict[str, float], *, maximize: bool = True, seeds: int = 3, noise: float = 0.01) -> list[Run]:
    rng = np.random.default_rng(0)
    return [
        Run(
            task="zinc",
            encoding=encoding,
            model=model,
            seed=seed,
            metric="AP",
            maximize=maximize,
            valid=0.5,
            test=0.5 + effect + 0.1 * number + float(rng.normal(0, noise)),
            parameters=1000,
            encode_seconds=1.0,
            epoch_seconds=2.0,
            train_seconds=20.0,
            peak_bytes=10**9,
            epochs=10,
        )
        for encoding, effect in effects.items()
        for number, model in enumerate(("GRIT()", "GPS()", "GCN()"))
        for seed in range(seeds)
    ]


def combinations(effects: dict[str, float], **options: object) -> list[Combination]:
    found = runs(effects, **options)  # type: ignore[arg-type]
    return combine(found, [(run.task, run.encoding, run.model) for run in found])


@pytest.mark.parametrize("maximize", [True, False])
def test_the_better_encoding_ranks_first_and_is_significant(maximize: bool) -> None:
    sign = 1 if maximize else -1
    found = combinations({"none": 0.0, "good": 0.2 * sign, "useless": 0.0, "bad": -0.2 * sign}, maximize=maximize)
    results = {result.encoding: result for result in encoding_results(found)}
    assert results["good"].rank == 1
    assert results["bad"].rank == 4
    assert results["good"].better == results["good"].models == 3
    assert results["bad"].better == 0
    assert results["good"].p_value < 0.05
    assert results["bad"].p_value < 0.05
    assert results["useless"].p_value > 0.1
    assert np.isnan(results["none"].p_value)
    assert significance(found)["good", "GRIT()"] < 0.05


def test_a_grid_without_the_empty_column_has_ranks_and_no_tests() -> None:
    found = combinations({"good": 0.2, "bad": -0.2})
    assert significance(found) == {}
    assert [(result.rank, result.models) for result in encoding_results(found)] == [(1.0, 0), (2.0, 0)]
    assert "| good | 1.00 |  |  |" in task_section(found)


def test_one_seed_has_no_deviation_and_no_significance() -> None:
    found = combinations({"none": 0.0, "good": 0.2}, seeds=1)
    assert "±" not in task_section(found).split("Mean and")[0]
    assert all(np.isnan(value) for value in significance(found).values())
    assert "| good | GRIT() | 0.7010 | 0.5000 | 1 |  | 1,000 |" in task_section(found)


def test_files(tmp_path: Path) -> None:
    found = combinations({"none": 0.0, "good": 0.2})
    files = write_report(found, tmp_path / "report", ["skipped something"])
    assert [path.name for path in files] == ["runs.csv", "report.md", "zinc-heat.png", "zinc-cost.png"]
    assert all(path.stat().st_size > 500 for path in files)
    rows = list(csv.DictReader(files[0].open()))
    assert len(rows) == 18
    assert float(rows[0]["test"]) == found[0].runs[0].test
    text = files[1].read_text()
    mean = np.mean([run.test for run in found[0].runs])
    deviation = np.std([run.test for run in found[0].runs], ddof=1)
    assert f"| none | GRIT() | {mean:.4f} ± {deviation:.4f} |" in text
    assert "- skipped something" in text


def test_two_tasks_of_one_name_have_pictures_of_their_own(tmp_path: Path) -> None:
    first = runs({"none": 0.0, "good": 0.2}, seeds=1)
    second = [replace(run, task="zinc(subset=False)") for run in first]
    both = [run for part in (first, second) for run in part]
    found = combine(both, [(run.task, run.encoding, run.model) for run in both])
    names = [path.name for path in write_report(found, tmp_path, command="graphpe grid")]
    assert names == ["runs.csv", "report.md", "zinc-heat.png", "zinc-cost.png", "zinc-2-heat.png", "zinc-2-cost.png"]
    assert "    graphpe grid" in (tmp_path / "report.md").read_text()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("value", "which"),
    [
        (math.nan, "one"),
        (math.inf, "a column"),
        (-math.inf, "the column without"),
        (math.nan, "a model"),
        (math.inf, "all"),
        (1e300, "a column"),
    ],
)
def test_runs_that_are_not_finite_are_reported_and_named(tmp_path: Path, value: float, which: str) -> None:
    hit = {
        "one": lambda run: run.encoding == "good" and run.model == "GPS()" and run.seed == 1,
        "a column": lambda run: run.encoding == "good",
        "the column without": lambda run: run.encoding == "none",
        "a model": lambda run: run.model == "GPS()",
        "all": lambda run: True,
    }[which]
    made = [replace(run, test=value) if hit(run) else run for run in runs({"none": 0.0, "good": 0.2, "bad": -0.2})]
    found = combine(made, [(run.task, run.encoding, run.model) for run in made])
    files = write_report(found, tmp_path)
    assert all(path.stat().st_size > 500 for path in files)
    text = files[1].read_text()
    assert text.count("- not finite: zinc") == (0 if math.isfinite(value) else sum(map(hit, made)))
    rows = {result.encoding: result for result in encoding_results(found)}
    if which == "one":
        assert rows["good"].rank == 1  # among the models where it has a mean
        assert rows["good"].p_value < 0.05
        assert significance(found)["good", "GRIT()"] < 0.05
    if which == "all":
        assert np.isnan(rows["good"].rank)
