"""The results of a grid's finished cells: one row a run, one row a combination."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphpe.benchmarks.grid.cell import Cell
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


@dataclass(frozen=True)
class Run:
    """One finished cell.

    Attributes:
        task: As the grid names it; likewise `encoding` and `model`.
        encoding: Its column.
        model: Its model.
        seed: Its seed.
        metric: Name of the metric.
        maximize: Whether more is better.
        valid: Metric of the best epoch on the validation part.
        test: Metric of that epoch on the test part.
        parameters: Of the model.
        encode_seconds: Encoding all graphs; encodings of pairs are in the epochs.
        epoch_seconds: Mean of an epoch.
        train_seconds: All epochs.
        peak_bytes: Most memory of the process.
        epochs: Epochs that were made.
    """

    task: str
    encoding: str
    model: str
    seed: int
    metric: str
    maximize: bool
    valid: float
    test: float
    parameters: int
    encode_seconds: float
    epoch_seconds: float
    train_seconds: float
    peak_bytes: int
    epochs: int

    @property
    def seconds(self) -> float:
        """What the run cost: encoding and training."""
        return self.encode_seconds + self.train_seconds


@dataclass(frozen=True)
class Combination:
    """The runs of one task, encoding and model, over seeds.

    Attributes:
        task: The task.
        encoding: The column.
        model: The model.
        runs: Its runs, by seed.
    """

    task: str
    encoding: str
    model: str
    runs: tuple[Run, ...]

    def mean(self, name: str = "test") -> float:
        """Mean of a number over seeds."""
        return sum(getattr(run, name) for run in self.runs) / len(self.runs)

    def deviation(self, name: str = "test") -> float:
        """Sample standard deviation over seeds; nan for one, and where a number is not finite."""
        mean = self.mean(name)
        if len(self.runs) < 2 or not math.isfinite(mean):
            return math.nan
        # `hypot` does not overflow where squares do.
        return math.hypot(*(getattr(run, name) - mean for run in self.runs)) / math.sqrt(len(self.runs) - 1)

    @property
    def by_seed(self) -> dict[int, float]:
        """Test metric of each seed."""
        return {run.seed: run.test for run in self.runs}


def grid_folders(root: Path) -> tuple[list[Cell], list[str]]:
    """The cells below a grid's folder, and lines about those that cannot be read.

    Raises:
        GraphPEValueError: There is none.
    """
    folders = sorted(path.parent for path in (root / "cells").glob("*/cell.json"))
    if not folders:
        raise GraphPEValueError(f"{root} holds no cell of a grid: give the folder of a `graphpe grid`")
    cells, notes = [], []
    for folder in folders:
        try:
            cells.append(Cell.open(folder))
        except GraphPERuntimeError as error:
            notes.append(f"not in the tables: {error}; the `graphpe grid` that made it writes it again")
    return cells, notes


def read_run(cell: Cell) -> Run:
    """The result of a finished cell."""
    summary = cell.summary()
    epochs, seconds = summary["epochs"], summary["seconds_per_epoch"]["total"]
    return Run(
        task=cell.task,
        encoding=cell.encoding,
        model=cell.model,
        seed=cell.config.seed,
        metric=summary["metric"],
        maximize=summary["maximize"],
        valid=summary["valid"],
        test=summary["test"],
        parameters=summary["parameters"],
        encode_seconds=summary["seconds_before"]["encode"],
        epoch_seconds=seconds,
        train_seconds=seconds * epochs,
        peak_bytes=summary["peak_bytes"],
        epochs=epochs,
    )


def combine(runs: Iterable[Run], order: Sequence[tuple[str, str, str]]) -> list[Combination]:
    """Runs by combination, in the order of the grid.

    Args:
        runs: The runs.
        order: Task, encoding and model of the combinations, as the grid goes through them.
    """
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.task, run.encoding, run.model), []).append(run)
    keys = [*(key for key in dict.fromkeys(order) if key in found), *(key for key in found if key not in order)]
    return [Combination(*key, tuple(sorted(found[key], key=lambda run: run.seed))) for key in keys]
