"""What the numbers of a task say, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from graphpe.benchmarks.grid.reports.table import spread
from graphpe.benchmarks.grid.results import Combination, base_of
from graphpe.benchmarks.grid.statistics.family import LEVEL
from graphpe.benchmarks.tasks.metrics import figure

_MOST_MODELS, _MOST_EQUAL = 6, 3


def answer(combinations: Sequence[Combination], p_values: Mapping[tuple[str, str], float]) -> str:
    """Which column is best in which model, and how many differences from no encoding are more than chance, as HTML.

    Args:
        combinations: Of one task.
        p_values: By row and setup, corrected.
    """
    return f"{_bests(combinations)}; {_tests(combinations, p_values)}."


def _bests(combinations: Sequence[Combination]) -> str:
    sign = 1 if combinations[0].runs[0].maximize else -1
    setups = list(dict.fromkeys(each.setup for each in combinations))
    base = base_of(combinations)
    best_in: dict[tuple[str, ...], list[str]] = {}
    for setup in setups:
        mine = {each.row: each for each in combinations if each.setup == setup and math.isfinite(each.mean())}
        if not mine:
            continue
        best = max(mine.values(), key=lambda each: sign * each.mean())
        rows = tuple(row for row, each in mine.items() if each.mean() == best.mean())
        value = spread(best.mean(), best.deviation() if len(rows) == 1 else math.nan)
        if base in mine and base not in rows:
            value += f" against {figure(mine[base].mean())} without"
        best_in.setdefault(rows, []).append(f"{escape(setup)} ({value})")
    if not best_in:
        return "No run has a finite metric"
    if len({each.row for each in combinations}) == 1:
        return f"One column, <b>{escape(combinations[0].row)}</b>: {_joined(next(iter(best_in.values())))}"
    if len(setups) > _MOST_MODELS:
        counted = sorted(best_in.items(), key=lambda item: -len(item[1]))
        return _joined([f"{_are_best(rows)} in {len(mine)} of {len(setups)} models" for rows, mine in counted])
    return _joined([f"{_are_best(rows)} in {_joined(mine)}" for rows, mine in best_in.items()])


def _are_best(rows: Sequence[str]) -> str:
    if len(rows) > _MOST_EQUAL:
        return f"{len(rows)} columns are equally good, and best,"
    names = _joined([f"<b>{escape(row)}</b>" for row in rows])
    return f"{names} is best" if len(rows) == 1 else f"{names} are equally good, and best,"


def _tests(combinations: Sequence[Combination], p_values: Mapping[tuple[str, str], float]) -> str:
    base = base_of(combinations)
    if base is None:
        return "nothing is tested, since no column is without an encoding"
    known = {key: p for key, p in p_values.items() if not math.isnan(p)}
    if not known:
        return "nothing can be tested: that takes two seeds with and without an encoding"
    sign = 1 if combinations[0].runs[0].maximize else -1
    without = {each.setup: each for each in combinations if each.row == base}
    better = [
        _better(each, without[each.setup], sign)
        for each in combinations
        if known.get((each.row, each.setup), 1.0) < LEVEL
    ]
    of = f"{len(known)} difference{'s' * (len(known) != 1)} from <i>{escape(base)}</i>"
    if not better:
        no = "the one" if len(known) == 1 else "none of the"
        verb = "is not" if len(known) == 1 else "is"
        of = f"difference from <i>{escape(base)}</i>" if len(known) == 1 else of
        return f"{no} {of} {verb} significant after Holm's correction (smallest p = {min(known.values()):.2g})"
    ways = [f"{better.count(True)} better"] * any(better) + [f"{better.count(False)} worse"] * (not all(better))
    verb = "is" if len(better) == 1 else "are"
    return f"{len(better)} of {of} {verb} significant after Holm's correction ({', '.join(ways)})"


def _better(combination: Combination, without: Combination, sign: int) -> bool:
    """Whether it is better over the seeds that both have."""
    mine, theirs = combination.by_seed, without.by_seed
    gains = [sign * (mine[seed] - theirs[seed]) for seed in mine if seed in theirs]
    return sum(gain for gain in gains if math.isfinite(gain)) > 0


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
