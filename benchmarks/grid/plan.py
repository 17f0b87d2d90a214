"""What a grid would find out, and in what time, before it runs: from a pilot, which may be its own first seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphpe.benchmarks.console.columns import aligned
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.options import setting_of
from graphpe.benchmarks.grid.report import sections_of
from graphpe.benchmarks.grid.reports.merging import gather
from graphpe.benchmarks.grid.reports.table import duration_text
from graphpe.benchmarks.grid.results import Combination, Run, SizeScore, combine, read_run
from graphpe.benchmarks.grid.statistics.effects import differences_from_none
from graphpe.benchmarks.grid.statistics.family import family_of
from graphpe.benchmarks.grid.statistics.power import detectable, deviation_interval
from graphpe.benchmarks.tasks.metrics import figure
from graphpe.calls import Call, parse_call
from graphpe.errors import GraphPEValueError

_PLACES = ("root", "download")

SEEDS = (3, 5, 10, 20)
"""For how many seeds a plan is made, beside those that were asked for."""


@dataclass(frozen=True)
class PlanRow:
    """What seeds can detect with one model on one task.

    Attributes:
        task: The task.
        model: The model.
        metric: The metric that all numbers are in.
        deviation: Standard deviation of the paired differences between a column and none, pooled over the pilot's
            columns.
        freedom: Its degrees of freedom.
        of_model: Whether it is of this model; else, since the pilot has it not, of all models of the task.
        least: By number of seeds, the smallest difference that is found with a power of 80 %.
    """

    task: str
    model: str
    metric: str
    deviation: float
    freedom: int
    of_model: bool
    least: Mapping[int, float]


@dataclass(frozen=True)
class Plan:
    """What a grid would find out.

    Attributes:
        comparisons: P-values that its report would correct together.
        rows: For each task and model.
        runs: By number of seeds, the runs that are still to be made.
        seconds: By number of seeds, what they take, several at once where that was asked for; nan without a pilot of
            one of the tasks.
        missing: Tasks of which the pilot has no two seeds of a column and none.
    """

    comparisons: int
    rows: tuple[PlanRow, ...]
    runs: Mapping[int, int]
    seconds: Mapping[int, float]
    missing: tuple[str, ...]


def make_plan(cells: Sequence[Cell], pilots: Sequence[Path], *, seeds: Sequence[int], jobs: int, begun: bool) -> Plan:
    """Plan a grid.

    Differences are paired over seeds as in the report. A task or model is that of the pilot whose text, written out, is
    the same; columns may be others. A run takes what the pilot's took, by the epoch, with the share of the asked epochs
    that it made before it stopped.

    Args:
        cells: The cells of the grid, for as many seeds as the most that are planned.
        pilots: Folders of finished grids.
        seeds: For how many seeds.
        jobs: Cells that run at once.
        begun: Whether finished cells of the grid itself count as done.

    Raises:
        GraphPEValueError: The pilot has nothing finished of these tasks that can be paired.
    """
    done = [cell for cell in gather(pilots).cells if cell.status == "done"]
    runs = {cell.folder: read_run(cell) for cell in done}
    names = {cell.task: _task_of(cell) for cell in done}
    known = _differences(list(runs.values()), names)
    comparisons = comparisons_of([cell for cell in cells if cell.config.seed == 0])
    rows, missing = [], []
    for task, model in dict.fromkeys((cell.task, cell.model) for cell in cells):
        of_task = next(_task_of(cell) for cell in cells if cell.task == task)
        squares = known.get((of_task, model), [])
        pooled = squares or [each for (other, _), several in known.items() if other == of_task for each in several]
        freedom = sum(count for _, count in pooled)
        if not freedom:
            missing.append(task)
            continue
        deviation = math.sqrt(sum(total for total, _ in pooled) / freedom)
        metric = next(run.metric for run in runs.values() if names[run.task] == of_task)
        least = {count: detectable(deviation, count, comparisons=comparisons) for count in seeds}
        rows.append(PlanRow(task, model, metric, deviation, freedom, bool(squares), least))
    if not rows:
        where = ", ".join(map(str, pilots))
        raise GraphPEValueError(
            f"{where} has no task of this grid with two finished seeds of a column and of none in one model: run a "
            'pilot first, the same command with --encodings none "..." --seeds 3 and few epochs'
        )
    todo = {
        count: [cell for cell in cells if cell.config.seed < count and not (begun and cell.status == "done")]
        for count in seeds
    }
    seconds = _seconds(cells, done, runs)
    return Plan(
        comparisons,
        tuple(rows),
        {count: len(several) for count, several in todo.items()},
        {count: sum(seconds[cell.folder] for cell in several) / jobs for count, several in todo.items()},
        tuple(dict.fromkeys(missing)),
    )


def comparisons_of(cells: Sequence[Cell]) -> int:
    """How many p-values the report of a grid would correct together, were all its cells finished.

    Args:
        cells: Its cells, of one seed.
    """
    found: dict[tuple[object, ...], Combination] = {}
    for cell in cells:
        key = (cell.task, cell.encoding, cell.model, cell.drawn, "" if cell.drawn else setting_of(cell.options))
        runs = tuple(_nothing_yet(cell, seed) for seed in range(2))
        names, chosen_from = (cell.task, cell.encoding, cell.model), 1 if cell.drawn else 0
        found.setdefault(key, Combination(*names, runs, cell.options, cell.drawn, chosen_from))
    sections = sections_of(list(found.values()))
    return family_of({each.name: each.combinations for each in sections}).count


def plan_lines(plan: Plan) -> list[str]:
    """A plan for people."""
    seeds = list(plan.seconds)
    lines = [
        f"smallest true difference from none that is found with a power of 80 %, after Holm's correction of the "
        f"{plan.comparisons} p-values of the report:"
    ]
    for task in dict.fromkeys(row.task for row in plan.rows):
        mine = [row for row in plan.rows if row.task == task]
        table = [["", "spread of differences (95 %)", *(f"{count} seeds" for count in seeds)]]
        for row in mine:
            low, high = deviation_interval(row.deviation, row.freedom)
            around = f"{figure(row.deviation)} ({figure(low, row.deviation)} to {figure(high, row.deviation)})"
            model = row.model if row.of_model else f"{row.model} (not in the pilot: of its models)"
            table.append([model, around, *(figure(row.least[count]) for count in seeds)])
        lines += ["", f"{task}, test {mine[0].metric}", *(f"  {line}" for line in aligned(table, numbers_from=2))]
    lines.append("")
    for name in plan.missing:
        lines.append(f"{name}: not in the pilot with two seeds of a column and none")
    times = ", ".join(f"{count} seeds {plan.runs[count]} runs, {_time(plan.seconds[count])}" for count in seeds)
    lines.append(f"to be run: {times}")
    return lines


def _differences(runs: Sequence[Run], names: Mapping[str, str]) -> dict[tuple[str, str], list[tuple[float, int]]]:
    """By task, written out, and model: sums of squares of paired differences about their mean, and their freedom."""
    combinations = combine(runs, [(run.task, run.encoding, run.model) for run in runs])
    found: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for task in dict.fromkeys(each.task for each in combinations):
        mine = [each for each in combinations if each.task == task]
        for each in mine:
            differences = differences_from_none(each, mine)
            if len(differences) > 1:
                squares = float(np.var(differences)) * len(differences)
                found.setdefault((names[task], each.model), []).append((squares, len(differences) - 1))
    return found


def _seconds(cells: Sequence[Cell], done: Sequence[Cell], runs: Mapping[Path, Run]) -> dict[Path, float]:
    """What each cell would take: as the pilot's of its column, model and task, else of its model, else of its task."""
    known: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for cell in done:
        run = runs[cell.folder]
        share = run.epochs / cell.config.epochs
        for key in _alike(cell):
            known.setdefault(key, []).append((run.encode_seconds, run.epoch_seconds * share))
    found = {}
    for cell in cells:
        taken = next((known[key] for key in _alike(cell) if key in known), [(math.nan, math.nan)])
        encode, epoch = np.mean(taken, axis=0).tolist()
        found[cell.folder] = encode + epoch * cell.config.epochs
    return found


def _alike(cell: Cell) -> list[tuple[str, ...]]:
    task = _task_of(cell)
    return [(task, cell.model, cell.encoding), (task, cell.model), (task,)]


def _task_of(cell: Cell) -> str:
    """Its task, written out, without where it is on this machine."""
    call = parse_call(cell.config.task)
    return str(Call(call.name, call.args, {key: value for key, value in call.kwargs.items() if key not in _PLACES}))


def _nothing_yet(cell: Cell, seed: int) -> Run:
    """A run without a result, for counting what would be compared."""
    sizes = (SizeScore("", 1, 1.0, 1, 0.0, 0.0), SizeScore("", 2, 2.0, 1, 0.0, 0.0)) if cell.config.sizes else ()
    return Run(
        task=cell.task,
        encoding=cell.encoding,
        model=cell.model,
        seed=seed,
        metric="",
        maximize=True,
        valid=0.0,
        test=0.0,
        parameters=0,
        encode_seconds=0.0,
        epoch_seconds=0.0,
        train_seconds=0.0,
        peak_bytes=0,
        epochs=1,
        options=cell.options,
        drawn=cell.drawn,
        sizes=sizes,
    )


def _time(seconds: float) -> str:
    return duration_text(seconds) if math.isfinite(seconds) else "in a time that the pilot does not tell"
