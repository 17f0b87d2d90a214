"""What the page knows of each encoding with each model: its runs, those that are not finished, curves, the command."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.options import setting_of
from graphpe.benchmarks.grid.reports.page.command import train_command
from graphpe.benchmarks.grid.reports.table import spread
from graphpe.benchmarks.grid.results import Combination
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPERuntimeError

MOST_POINTS = 32
"""Points of a curve: more are not seen, and make the page large."""


@dataclass(frozen=True)
class Entry:
    """One place of a heat map.

    Attributes:
        combination: Its finished runs; without any where none is finished.
        cells: All its cells, by seed; none where the folders are not at hand.
        p_value: Corrected, of its difference from no encoding; nan where nothing was tested.
    """

    combination: Combination
    cells: tuple[Cell, ...] = ()
    p_value: float = math.nan

    @property
    def value(self) -> str:
        """Mean and deviation, as tables have them; empty where no run is finished."""
        return spread(self.combination.mean(), self.combination.deviation()) if self.combination.runs else ""

    @property
    def state(self) -> str:
        """In a word, what became of it where no run is finished."""
        states = {cell.status for cell in self.cells}
        return next((state for state in ("failed", "damaged") if state in states), "not finished")

    @property
    def command(self) -> str:
        """The command of its first seed."""
        return train_command(self.cells[0].config) if self.cells else ""

    def described(self, metric: str) -> list[str]:
        """Lines about it."""
        seeds = [run.seed for run in self.combination.runs]
        lines = [f"{self.combination.row}, {self.combination.setup}"]
        if seeds:
            lines += [f"test {metric} {self.value}"]
        planned = f" of {len(self.cells)}" if len(self.cells) > len(seeds) else ""
        lines += [f"n = {len(seeds)}{planned} (seed{'s' * (len(seeds) != 1)} {', '.join(map(str, seeds)) or 'none'})"]
        if not math.isnan(self.p_value):
            small = self.p_value < 0.001
            lines += [f"p against none {'< 0.001' if small else f'= {self.p_value:.3f}'} (Holm)"]
        for cell in self.cells:
            if cell.config.seed not in seeds:
                reason = f": {cell.error}" if cell.status == "failed" else ""
                lines += [
                    f"seed {cell.config.seed} {'not finished' if cell.status == 'started' else cell.status}{reason}"
                ]
        return lines


def entries_of(
    combinations: Sequence[Combination], cells: Sequence[Cell], p_values: Mapping[tuple[str, str], float]
) -> list[Entry]:
    """The places of one heat map, in the order of the grid.

    Beside combinations with results stand those of the same task without any yet, unless validation chose: what is not
    finished was not there to be chosen.

    Args:
        combinations: Of one task; all chosen by validation, or none.
        cells: Of the grid.
        p_values: By row and setup.
    """
    with_results = {_key(each): each for each in combinations}
    groups: dict[tuple[Any, ...], list[Cell]] = {key: [] for key in with_results}
    plain = not combinations[0].chosen_from
    for cell in cells:
        key = (cell.task, cell.encoding, cell.model, cell.drawn, setting_of(cell.options))
        if key in groups or (plain and not cell.drawn and cell.task == combinations[0].task and cell.status != "done"):
            groups.setdefault(key, []).append(cell)
    order = {(cell.encoding, cell.model): place for place, cell in reversed(list(enumerate(cells)))}
    entries = []
    for key, mine in groups.items():
        mine.sort(key=lambda cell: cell.config.seed)
        found = with_results.get(key) or Combination(*key[:3], (), mine[0].options)
        entries.append(Entry(found, tuple(mine), p_values.get((found.row, found.setup), math.nan)))
    entries.sort(key=lambda each: order.get((each.combination.encoding, each.combination.model), 0))
    return entries


def curves(entry: Entry, metric: str, maximize: bool) -> list[dict[str, Any]]:
    """The curves of all seeds, also of runs that are not finished; none for a run whose record cannot be read.

    Args:
        entry: The place.
        metric: The metric's name.
        maximize: Whether more of it is better.
    """
    found = []
    for cell in entry.cells:
        try:
            history = RunFolder(cell.run).read_metrics()
        except GraphPERuntimeError:
            continue
        if history:
            found.append({"seed": cell.config.seed, **curve(history, metric, maximize)})
    return found


def curve(history: Sequence[Mapping[str, Any]], metric: str, maximize: bool) -> dict[str, list[float | None] | int]:
    """Loss in training and validation, and the metric in validation, of at most `MOST_POINTS` epochs.

    The first, the last and the best epoch are among them.

    Args:
        history: A record for each epoch.
        metric: The metric's name.
        maximize: Whether more of it is better.
    """
    sign = 1 if maximize else -1
    scores = [_finite(record.get(f"valid_{metric}")) for record in history]
    known = [place for place, score in enumerate(scores) if score is not None]
    best = max(known, key=lambda place: sign * (scores[place] or 0.0), default=len(history) - 1)
    last = len(history) - 1
    steps = min(MOST_POINTS - 1, len(history)) - 1
    kept = sorted({best, 0, last, *(round(step * last / max(steps, 1)) for step in range(steps + 1))})
    return {
        "epoch": [history[place].get("epoch", place + 1) for place in kept],
        "train": [_rounded(history[place].get("train_loss")) for place in kept],
        "valid": [_rounded(history[place].get("valid_loss")) for place in kept],
        "metric": [_rounded(scores[place]) for place in kept],
        "best": kept.index(best),
    }


def _key(combination: Combination) -> tuple[Any, ...]:
    names = combination.task, combination.encoding, combination.model
    return (*names, combination.drawn, setting_of(combination.options))


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _rounded(value: Any) -> float | None:
    number = _finite(value)
    return None if number is None else float(f"{number:.4g}")
