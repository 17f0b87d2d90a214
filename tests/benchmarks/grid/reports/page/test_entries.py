from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.reports.page.entries import MOST_POINTS, Entry, curve, curves, entries_of
from graphpe.benchmarks.grid.results import combine, read_run


def test_long_curves_are_thinned_and_keep_their_ends_and_the_best_epoch() -> None:
    history = [
        {"epoch": epoch, "train_loss": 1 / epoch, "valid_loss": math.pi / epoch, "valid_MAE": abs(epoch - 333)}
        for epoch in range(1, 1001)
    ]
    found = curve(history, "MAE", maximize=False)
    epochs = found["epoch"]
    assert isinstance(epochs, list)
    assert len(epochs) <= MOST_POINTS
    assert {epochs[0], epochs[-1]} == {1, 1000}
    assert epochs[found["best"]] == 333  # type: ignore[index]
    assert found["valid"][0] == 3.142  # type: ignore[index]
    assert max(b - a for a, b in pairwise(epochs)) < 2 * 1000 / (MOST_POINTS - 2)  # type: ignore[operator]
    assert curve(history, "MAE", maximize=True)["best"] == MOST_POINTS - 2  # type: ignore[comparison-overlap]


def test_short_curves_are_kept_and_what_is_missing_is_none() -> None:
    history = [
        {"epoch": 1, "train_loss": None, "valid_loss": 0.5},
        {"epoch": 2, "valid_loss": math.inf, "valid_F1": 0.25},
    ]
    assert curve(history, "F1", maximize=True) == {
        "epoch": [1, 2], "train": [None, None], "valid": [0.5, None], "metric": [None, 0.25], "best": 1,
    }  # fmt: skip


def test_a_folder_without_records_has_no_curves(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    one, two = cell(tmp_path), cell(tmp_path, seed=1)
    (one.run / "metrics.jsonl").unlink()
    (two.run / "metrics.jsonl").write_text("{")
    three = cell(tmp_path, seed=2)
    combination = combine([read_run(each) for each in (one, two, three)], [])[0]
    found = curves(Entry(combination, (one, two, three)), "F1", maximize=True)
    assert [each["seed"] for each in found] == [2]


def test_what_is_not_finished_stands_beside_in_the_order_of_the_grid(tmp_path: Path, cell: Callable[..., Cell]) -> None:
    cells = [
        cell(tmp_path, "first", test=None),
        cell(tmp_path, "none", test=0.5),
        cell(tmp_path, "none", test=None, seed=1),
        cell(tmp_path, "other", test=None),
        cell(tmp_path, "other", test=0.5, task="path-length"),
    ]
    cells[3].fail("out of memory")
    combinations = combine([read_run(cells[1])], [])
    found = entries_of(combinations, cells, {("none", "GINE(width=8)"): 0.25})
    assert [(each.combination.row, each.value, each.state) for each in found] == [
        ("first", "", "not finished"),
        ("none", "0.5000", "not finished"),
        ("other", "", "failed"),
    ]
    assert "n = 1 of 2 (seed 0)" in found[1].described("F1")
    assert "p against none = 0.250 (Holm)" in found[1].described("F1")
    assert "seed 0 failed: out of memory" in found[2].described("F1")
    assert "--seed 0" in found[0].command
