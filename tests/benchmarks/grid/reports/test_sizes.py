from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from graphpe.benchmarks.grid.report import runs_csv, write_report
from graphpe.benchmarks.grid.reports.sizes import (
    by_size,
    loss_per_doubling,
    size_section,
    sizes_csv,
)
from graphpe.benchmarks.grid.results import Combination, Run, SizeScore, combine
from graphpe.benchmarks.grid.statistics.family import family_of
from graphpe.benchmarks.grid.statistics.paired import interval

BINS = (("up to 16", 16, 10.0, 90), ("17-24", 24, 20.0, 80), ("25-32", 32, 28.0, 70), ("33-64", 64, 48.0, 12))
MEANS = [mean for _, _, mean, _ in BINS]


def runs(slopes: dict[str, float], *, maximize: bool = True, seeds: int = 4) -> list[Run]:
    """Runs whose metric falls by a slope for each doubling of size, and by some noise."""
    rng = np.random.default_rng(1)
    found = []
    for encoding, slope in slopes.items():
        for model in ("GPS()", "GRIT()"):
            for seed in range(seeds):
                sign = 1 if maximize else -1
                tests = [0.9 - sign * slope * math.log2(mean / 10) + rng.normal(0, 0.01) for mean in MEANS]
                sizes = tuple(SizeScore(*each, test, 0.4) for each, test in zip(BINS, tests, strict=True))
                run = Run(
                    "path", encoding, model, seed, "F1", maximize, 0.9, tests[0], 1000, 1.0, 2.0, 20.0, 10**9, 10,
                    sizes=sizes,
                )  # fmt: skip
                found.append(run)
    return found


def combined(found: list[Run]) -> list[Combination]:
    return combine(found, [(run.task, run.encoding, run.model) for run in found])


@pytest.mark.parametrize("maximize", [True, False])
def test_the_loss_is_the_slope_of_a_line(maximize: bool) -> None:
    rng = np.random.default_rng(3)
    sizes, scores = rng.uniform(4, 100, 6), rng.normal(size=6)
    slope = float(np.polyfit(np.log2(sizes), scores, 1)[0])
    found = loss_per_doubling(sizes.tolist(), scores.tolist(), maximize=maximize)
    assert found == pytest.approx(-slope if maximize else slope)
    # A metric that falls by 0.1 for each doubling loses 0.1; what is not finite has no part.
    fallen = loss_per_doubling([8, 16, 32, 64], [0.9, 0.8, math.nan, 0.6], maximize=True)
    assert fallen == pytest.approx(0.1)
    assert math.isnan(loss_per_doubling([8, 16], [0.9, math.nan], maximize=True))
    assert math.isnan(loss_per_doubling([8, 8], [0.9, 0.8], maximize=True))


def test_intervals_are_those_of_scipy() -> None:
    values = np.random.default_rng(4).normal(size=5).tolist()
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert interval(values) == pytest.approx((high - low) / 2)
    assert math.isnan(interval([1.0]))


@pytest.mark.parametrize("maximize", [True, False])
def test_the_table_has_the_smallest_loss_first(maximize: bool) -> None:
    found = runs({"none": 0.2, "good": 0.02, "alike": 0.2}, maximize=maximize)
    of_sizes = by_size(combined(found))
    assert of_sizes is not None
    family = family_of({"path": combined(found)})
    p_values = family.sections["path"].losses
    text = size_section(of_sizes, p_values)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0].startswith(
        "| encoding | model | up to 16 nodes | 17-24 nodes | 25-32 nodes | 33-64 nodes | loss per"
    )
    assert [line.split(" |")[0] for line in lines[2:4]] == ["| good"] * 2
    assert lines[-1].startswith("| none | constant prediction | 0.4000 | 0.4000 |")
    mine = [run for run in found if run.encoding == "good" and run.model == "GPS()"]
    losses = [loss_per_doubling(MEANS, [size.test for size in run.sizes], maximize=maximize) for run in mine]
    scores = [run.sizes[3].test for run in mine]
    row = next(line for line in lines if line.startswith("| good | GPS()"))
    half = interval(losses)
    mean = np.mean(losses)
    assert f"| {np.mean(scores):.4f} ± {np.std(scores, ddof=1):.4f} | {mean:+.4f} |" in row
    assert f"| {mean - half:+.4f} to {mean + half:+.4f} |" in row
    assert "Too few graphs to say much: 33-64 (12)." in text
    assert family.count == 4 + 2 + 4 + 1  # in two models, over them, the losses, and the ranking
    assert p_values["good", "GPS()"] < 0.01
    assert p_values["alike", "GPS()"] > 0.05
    assert ("none", "GPS()") not in p_values


def test_files(tmp_path: Path) -> None:
    found = runs({"none": 0.2, "good": 0.02}, seeds=2)
    files = write_report(combined(found), tmp_path)
    names = [path.name for path in files]
    assert names[:4] == ["runs.csv", "effects.csv", "sizes.csv", "report.md"]
    assert {"path-sizes.png", "path-loss.png"} <= set(names)
    assert all(path.stat().st_size > 100 for path in files)
    rows = list(csv.DictReader(files[2].open()))
    assert len(rows) == 2 * 2 * 2 * 4
    assert [row["trained"] for row in rows[:4]] == ["True", "False", "False", "False"]
    assert [float(row["test"]) for row in rows[:4]] == [size.test for size in found[0].sizes]
    assert "sizes" not in runs_csv(found).splitlines()[0]
    text = files[3].read_text()
    assert "![path: metric against size](path-sizes.png)" in text


@pytest.mark.filterwarnings("error")
def test_scores_that_are_not_there(tmp_path: Path) -> None:
    found = runs({"none": 0.2, "good": 0.02}, seeds=1)
    holes = [replace(size, test=math.nan, constant=math.nan) for size in found[1].sizes]
    found[1] = replace(found[1], sizes=tuple(holes))
    found[2] = replace(found[2], sizes=(*found[2].sizes[:3], holes[3]))
    found[3] = replace(found[3], sizes=())  # of a run that another split was made for
    files = write_report(combined(found), tmp_path)
    text = files[3].read_text()
    assert text.count("| not defined | not defined | not defined | not defined |  |  |  |") == 1
    assert "| good | GRIT()" not in text.split("###")[1]
    assert list(csv.DictReader(io.StringIO(sizes_csv(found))))[7]["test"] == "nan"
    assert by_size(combined([replace(run, sizes=()) for run in found])) is None
