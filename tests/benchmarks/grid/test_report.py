from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.grid.report import task_section, write_report
from graphpe.benchmarks.grid.results import Combination, Run, combine
from graphpe.benchmarks.grid.statistics.effects import column_ranks
from graphpe.benchmarks.grid.statistics.family import SectionTests, family_of


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


def corrected_in(found: list[Combination]) -> SectionTests:
    return family_of({"zinc": found}).sections["zinc"]


@pytest.mark.parametrize("maximize", [True, False])
def test_the_better_encoding_ranks_first_and_is_significant(maximize: bool) -> None:
    sign = 1 if maximize else -1
    effects = {"none": 0.0, "good": 0.2 * sign, "useless": 0.0, "bad": -0.2 * sign}
    found = combinations(effects, maximize=maximize, seeds=5)
    results, tests = {result.row: result for result in column_ranks(found)}, corrected_in(found)
    assert results["good"].rank == 1
    assert results["bad"].rank == 4
    assert results["good"].better == results["good"].models == 3
    assert results["bad"].better == 0
    assert tests.columns["good"] < 0.05
    assert tests.columns["bad"] < 0.05
    assert tests.columns["useless"] > 0.1
    assert "none" not in tests.columns
    assert tests.cells["good", "GRIT()"] < 0.05


def test_a_grid_without_the_empty_column_has_ranks_and_no_tests() -> None:
    found = combinations({"good": 0.2, "bad": -0.2})
    assert corrected_in(found) == SectionTests({}, {}, {})
    assert [(result.rank, result.models) for result in column_ranks(found)] == [(1.0, 0), (2.0, 0)]
    text = task_section(found, corrected_in(found))
    assert "| good | 1.00 |  |  |  |  |  |" in text
    assert "| gain over none |" not in text


def test_one_seed_has_no_deviation_and_no_significance() -> None:
    found = combinations({"none": 0.0, "good": 0.2}, seeds=1)
    text = task_section(found, corrected_in(found))
    assert "±" not in text.split("Mean and")[0]
    assert all(np.isnan(value) for value in corrected_in(found).cells.values())
    assert "| good | GRIT() | 0.7010 | 0.5000 | 1 |  | 1,000 |" in text
    gain = found[3].runs[0].test - found[0].runs[0].test
    assert f"| good | GRIT() | {gain:+.4f} |  |  |  |" in text


def test_files(tmp_path: Path) -> None:
    found = combinations({"none": 0.0, "good": 0.2})
    files = write_report(found, tmp_path / "report", ["skipped something"])
    names = ["runs.csv", "effects.csv", "report.md", "zinc-heat.png", "zinc-cost.png"]
    assert [path.name for path in files] == names
    assert all(path.stat().st_size > 500 for path in files)
    rows = list(csv.DictReader(files[0].open()))
    assert len(rows) == 18
    assert float(rows[0]["test"]) == found[0].runs[0].test
    text = files[2].read_text()
    mean = np.mean([run.test for run in found[0].runs])
    deviation = np.std([run.test for run in found[0].runs], ddof=1)
    assert f"| none | GRIT() | {mean:.4f} ± {deviation:.4f} |" in text
    assert "- skipped something" in text
    assert "No ranking over tasks: 2 columns have results in all of 3 blocks" in text
    # Of one column in each of three models, of it over all, and no other.
    assert "(columns in each model, columns over all models, losses by size, rankings; 4 in all)" in text


def test_two_tasks_of_one_name_have_pictures_of_their_own(tmp_path: Path) -> None:
    first = runs({"none": 0.0, "good": 0.2}, seeds=1)
    second = [replace(run, task="zinc(subset=False)") for run in first]
    both = [run for part in (first, second) for run in part]
    found = combine(both, [(run.task, run.encoding, run.model) for run in both])
    names = [path.name for path in write_report(found, tmp_path, command="graphpe grid")]
    pictures = ["zinc-heat.png", "zinc-cost.png", "zinc-2-heat.png", "zinc-2-cost.png"]
    assert names == ["runs.csv", "effects.csv", "report.md", *pictures, "gains.png"]
    text = (tmp_path / "report.md").read_text()
    assert "    graphpe grid" in text
    assert "| good | 2 | 6 of 6 cells | +" in text  # over tasks
    rows = list(csv.DictReader((tmp_path / "effects.csv").open()))
    assert len(rows) == 2 * (3 + 1) + 1
    assert [rows[-1][name] for name in ("task", "model", "metric", "n")] == ["all", "all", "relative gain", "2"]


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
    assert all(path.stat().st_size > 80 for path in files)  # of no effect only the names of columns
    text = files[2].read_text()
    assert text.count("- not finite: zinc") == (0 if math.isfinite(value) else sum(map(hit, made)))
    rows, tests = {result.row: result for result in column_ranks(found)}, corrected_in(found)
    if which == "one":
        assert rows["good"].rank == 1  # among the models where it has a mean
        assert tests.columns["good"] < 0.2  # eight pairs: 2 / 2^8 at best, of nine
        assert tests.cells["good", "GRIT()"] < 0.05
    if which == "all":
        assert np.isnan(rows["good"].rank)


def test_the_ranking_over_tasks_has_its_picture(tmp_path: Path) -> None:
    found = combinations({"none": 0.0, "good": 0.2, "better": 0.4}, seeds=2)
    files = write_report(found, tmp_path, formats=["svg"])
    assert [path.name for path in files][-2:] == ["ranks.png", "ranks.svg"]
    text = (tmp_path / "report.md").read_text()
    assert "| 1. better | 1.00 | 1 to 2 |" in text  # of three blocks: the critical difference is 1.91
    assert "| 3. none | 3.00 | 2 to 3 |" in text
    assert "![mean ranks](ranks.png)" in text
    assert "better (1.00)" in files[-1].read_text().replace("<!-- ", "")


def test_what_training_costs_is_shown_where_it_was_measured(tmp_path: Path) -> None:
    plain = runs({"none": 0.0, "good": 0.2}, seeds=1)
    text = write_report(combine(plain, []), tmp_path / "old")[2].read_text()
    assert "| 1,000 | 1.0 | 2.0 | 1.00 |" in text
    assert "processor second" not in text
    measured = [replace(run, graphs_per_second=1234.5, flops_per_graph=5.5e6) for run in plain]
    measured[0] = replace(measured[0], flops_per_graph=math.nan)
    text = write_report(combine(measured, []), tmp_path / "new")[2].read_text()
    assert "| graphs/s | MFLOP/graph |" in text
    assert "| 1,000 | 1.0 | 2.0 | 1,234 | 5.50 | 1.00 |" in text
    assert "| 1,000 | 1.0 | 2.0 | 1,234 |  | 1.00 |" in text
    assert "graphs of training by processor second" in text
