"""Of many settings the one that validation likes best. The test part has no say in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.options import setting_of
from graphpe.benchmarks.grid.results import Combination, Run

Key = tuple[str, str, str, bool]
"""Task, encoding and model as the grid names them, and whether settings are those of a random search."""


def budgets(cells: Iterable[Cell], raw: Iterable[Run] = (), *, listed: bool) -> dict[Key, int]:
    """Of how many settings validation chooses: among those that were drawn, and, if `listed`, among those listed.

    Args:
        cells: The cells, finished or not.
        raw: Runs of which there is no cell.
        listed: Whether it chooses among listed settings, too.
    """
    found: dict[Key, set[str]] = {}
    everything: list[Cell | Run] = [*cells, *raw]
    for each in everything:
        found.setdefault((each.task, each.encoding, each.model, each.drawn), set()).add(setting_of(each.options))
    return {key: len(settings) for key, settings in found.items() if key[-1] or (listed and len(settings) > 1)}


def best_by_validation(
    combinations: Sequence[Combination], settings: Mapping[Key, int]
) -> tuple[list[Combination], list[str]]:
    """The best setting of each task, encoding and model, by the mean validation metric over seeds.

    Only settings with as many finished seeds as the one with most are compared. The first of equal ones is taken, and
    where no mean is finite the first.

    Args:
        combinations: All settings.
        settings: Settings of each that is chosen for, those that are not finished included; others stay as they are.

    Returns:
        The combinations, and notes about choices among fewer settings than there are.
    """
    groups: dict[Key, list[Combination]] = {}
    for each in combinations:
        groups.setdefault((each.task, each.encoding, each.model, each.drawn), []).append(each)
    kept: list[Combination] = []
    notes = []
    for key, group in groups.items():
        if key not in settings:
            kept += group
            continue
        most = max(len(each.runs) for each in group)
        complete = [each for each in group if len(each.runs) == most]
        sign = 1 if complete[0].runs[0].maximize else -1
        finite = [each for each in complete if math.isfinite(each.mean("valid"))]
        best = max(finite, key=lambda each: sign * each.mean("valid"), default=complete[0])
        kept.append(replace(best, chosen_from=settings[key]))
        if len(complete) < settings[key]:
            notes.append(
                f"chosen among {len(complete)} of {settings[key]} settings, others are not done: {', '.join(key[:3])}"
            )
    return kept, notes


def budget_text(combinations: Sequence[Combination]) -> str:
    """What the choice of tuned combinations cost."""
    budgets = sorted({each.chosen_from for each in combinations})
    seeds = sorted({len(each.runs) for each in combinations})
    tried, counted = (
        f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}" for numbers in (budgets, seeds)
    )
    unequal = "" if len(budgets) == 1 else " (not the same for all)"
    return (
        f"Budget: {tried} settings{unequal} by {counted} seeds for each encoding and model; shown is the best by mean "
        "validation metric, whose test metric had no say."
    )
