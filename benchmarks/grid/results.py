"""The results of a grid's finished cells: one row a run, one row a combination."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphpe.benchmarks.calls.text import NONE
from graphpe.benchmarks.console.machine import machine_text
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.options import Named, options_text, setting_of
from graphpe.benchmarks.training.summary import FINGERPRINTS
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


@dataclass(frozen=True)
class SizeScore:
    """The metric of one run on graphs of some sizes.

    Attributes:
        sizes: As tables call them; the first of a run are those of training.
        most: The largest.
        mean: Mean size of the graphs.
        graphs: Their number.
        test: The metric; NaN where it is not defined on them, or not finite.
        constant: That of the constant prediction.
    """

    sizes: str
    most: int
    mean: float
    graphs: int
    test: float
    constant: float


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
        graphs: Graphs of training that were seen, in all epochs (nodes or links, where a task is about those); nan
            where a run did not note it, as older ones did not. Likewise the next three.
        cpu_seconds: Processor seconds of the training loop, of all threads; validation is not in it.
        graphs_per_second: Graphs by processor second, of the median epoch.
        flops_per_graph: Arithmetic of a step of training, without the optimizer; nan where it cannot be counted.
        options: The options that vary in its column and model, with their values.
        drawn: Whether those were drawn by a random search.
        baselines: What reads no graph, the constant and of molecules fingerprints: the metric on the validation and the
            test part, by name.
        sizes: Of a split by size, what came out for graphs of the sizes of training, then for larger ones.
        size_unit: What sizes count.
        unit: What `graphs` counts: `graph`, `node`, or `link`.
        machine: What it was made on, and versions, in a line; empty where a run did not note it, as older ones did not.
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
    graphs: float = math.nan
    cpu_seconds: float = math.nan
    graphs_per_second: float = math.nan
    flops_per_graph: float = math.nan
    options: Mapping[str, Any] = field(default_factory=dict)
    drawn: bool = False
    baselines: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sizes: tuple[SizeScore, ...] = ()
    size_unit: str = "nodes"
    unit: str = "graph"
    machine: str = ""

    @property
    def seconds(self) -> float:
        """What the run cost: encoding and training."""
        return self.encode_seconds + self.train_seconds


@dataclass(frozen=True)
class Combination:
    """The runs of one task, encoding, model and setting of options, over seeds.

    Attributes:
        task: The task.
        encoding: The column.
        model: The model.
        runs: Its runs, by seed.
        options: The options that vary, with their values.
        drawn: Whether those were drawn by a random search.
        chosen_from: Of how many settings validation chose this one; 0 where nothing was chosen.
    """

    task: str
    encoding: str
    model: str
    runs: tuple[Run, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    drawn: bool = False
    chosen_from: int = 0

    @property
    def row(self) -> str:
        """Its column's name in tables, with the values of the options that vary in that column alone."""
        return self._named(self.encoding, {name: self.options[name] for name in self._own})

    @property
    def setup(self) -> str:
        """What it shares with the combinations that differ in encoding: the model, and options that are not chosen."""
        return self._named(self.model, {name: self.options[name] for name in self.options if name not in self._own})

    @property
    def is_base(self) -> bool:
        """Whether it has no encoding."""
        return Named.parse(self.encoding).call.strip() == NONE

    @property
    def _own(self) -> list[str]:
        behind = Named.parse(self.encoding).options
        return [name for name in self.options if name in behind]

    def _named(self, text: str, options: Mapping[str, Any]) -> str:
        # In one order: grids that name options in another have the same models and columns.
        return text if self.chosen_from or not options else f"{text}: {options_text(dict(sorted(options.items())))}"

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
    cost = {name: value for name, value in summary.get("cost", {}).items() if value is not None}
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
        graphs=cost.get("seen", math.nan),
        cpu_seconds=cost.get("cpu_seconds", math.nan),
        graphs_per_second=cost.get("per_cpu_second", math.nan),
        flops_per_graph=cost.get("flops", math.nan),
        unit=cost.get("unit", "graph"),
        options=cell.options,
        drawn=cell.drawn,
        baselines=_baselines(summary),
        sizes=tuple(_size_score(each) for each in summary.get("sizes", {}).get("parts", [])),
        size_unit=summary.get("sizes", {}).get("unit", "nodes"),
        machine=machine_text(summary.get("machine", {})),
    )


def _size_score(part: Mapping[str, Any]) -> SizeScore:
    test, constant = (math.nan if part[name] is None else float(part[name]) for name in ("test", "constant"))
    return SizeScore(part["sizes"], part["most"], part["mean"], part["graphs"], test, constant)


def _baselines(summary: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The fingerprints of molecules, where they could be fitted, and of every task the constant."""
    found = summary.get("fingerprints", {})
    fitted = {FINGERPRINTS: (found["valid"], found["test"])} if "test" in found else {}
    constant = summary["constant_valid"], summary["constant_test"]
    return {**fitted, f"constant ({summary['constant_prediction']})": constant}


def combine(runs: Iterable[Run], order: Sequence[tuple[str, str, str]]) -> list[Combination]:
    """Runs by combination, in the order of the grid.

    Args:
        runs: The runs.
        order: Task, encoding and model of the combinations, as the grid goes through them.
    """
    found: dict[tuple[str, str, str], dict[tuple[str, bool], list[Run]]] = {}
    for run in runs:
        setting = setting_of(run.options), run.drawn
        found.setdefault((run.task, run.encoding, run.model), {}).setdefault(setting, []).append(run)
    keys = [*(key for key in dict.fromkeys(order) if key in found), *(key for key in found if key not in order)]
    return [
        Combination(*key, tuple(sorted(each, key=lambda run: run.seed)), each[0].options, each[0].drawn)
        for key in keys
        for each in found[key].values()
    ]


def baselines_of(runs: Iterable[Run]) -> dict[str, tuple[float, float]]:
    """What reads no graph, by name, of the runs of one task; not every run needs to have noted it."""
    found: dict[str, tuple[float, float]] = {}
    for run in runs:
        for name, values in run.baselines.items():
            found.setdefault(name, values)
    return found


def base_of(combinations: Sequence[Combination]) -> str | None:
    """The row of no encoding, with which the others are compared; None where there is none."""
    rows = [each.row for each in combinations if each.is_base]
    return NONE if NONE in rows else next(iter(rows), None)
