"""Which encoding helps which model, and on which task: relative gains over no encoding, over all tasks of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphpe.benchmarks.grid.reports.pictures import save, wrapped
from graphpe.benchmarks.grid.reports.table import table_heading, table_row
from graphpe.benchmarks.grid.results import Combination
from graphpe.benchmarks.grid.statistics.effects import RelativeGain, relative_gains
from graphpe.benchmarks.grid.statistics.family import LEVEL, Pair

HEADING = "What helps where"
"""Of the section."""


@dataclass(frozen=True)
class Gains:
    """Mean relative gains: encodings by models, each over tasks, or by tasks, each over models.

    Attributes:
        heading: Of the table.
        rows: Encodings.
        columns: Models or tasks; the last one is all of them.
        mean: `[rows, columns]`, nan where nothing can be compared.
        better: `[rows, columns]`: of the cells of the mean, how many are better for certain (p < 0.05, corrected).
        worse: Likewise.
    """

    heading: str
    rows: list[str]
    columns: list[str]
    mean: np.ndarray
    better: np.ndarray
    worse: np.ndarray


def gains_of(
    tasks: Mapping[str, Sequence[Combination]], p_values: Mapping[str, Mapping[Pair, float]]
) -> tuple[Gains, Gains] | None:
    """Relative gains by model and by task; None for fewer than two tasks that can be compared.

    Args:
        tasks: The combinations of each task, by its name.
        p_values: Likewise, corrected, by row and setup.
    """
    cells = [
        _Cell(name, each, p_values[name].get((each.row, each.setup), math.nan) < LEVEL)
        for name, combinations in tasks.items()
        for each in relative_gains(combinations)
    ]
    names = list(dict.fromkeys(each.task for each in cells))
    if len(names) < 2:
        return None
    setups = list(dict.fromkeys(each.of.setup for each in cells))
    return (
        _gains("by model", cells, [*setups, "all models"], lambda each: each.of.setup),
        _gains("by task", cells, [*names, "all tasks"], lambda each: each.task),
    )


def gains_section(tables: Sequence[Gains], ending: str) -> list[str]:
    """Relative gains as Markdown, with the certain ones counted.

    Args:
        tables: By model and by task.
        ending: Of the heading: what settings they are of.
    """
    lines = [f"## {HEADING}{ending}", ""]
    for table in tables:
        lines += table_heading(f"relative gain {table.heading}", *table.columns)
        for row, name in enumerate(table.rows):
            lines.append(table_row(name, *(_text(table, row, column) for column in range(len(table.columns)))))
        lines.append("")
    return [
        *lines,
        "Mean relative gain over none (the difference divided by the larger of the two), of each model over the tasks, "
        "of each task over the models. In brackets how many of these are better (↑) or worse (↓) for certain, p < 0.05 "
        "after correction with all p of this report: without one, a gain may be chance.",
    ]


def draw_gains(tables: Sequence[Gains], heading: str, paths: Sequence[Path]) -> None:
    """Relative gains as two heat maps beside each other, by model and by task.

    Args:
        tables: By model and by task.
        heading: Its title.
        paths: Where the picture is written.
    """
    from matplotlib.figure import Figure

    rows, widths = tables[0].rows, [len(table.columns) for table in tables]
    figure = Figure(figsize=(4.2 + 1.1 * sum(widths), 1.9 + 0.46 * len(rows)), layout="constrained")
    for table, axes in zip(tables, figure.subplots(1, 2, width_ratios=widths, squeeze=False)[0], strict=True):
        axes.set_facecolor("0.93")
        shown = np.ma.masked_invalid(table.mean)
        image = axes.imshow(shown, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
        for row, column in np.ndindex(table.mean.shape):
            dark = abs(table.mean[row, column]) > 0.65
            text = _text(table, row, column)
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        axes.axvline(len(table.columns) - 1.5, color="white", linewidth=4)
        axes.set_xticks(range(len(table.columns)), [wrapped(name, 17) for name in table.columns], fontsize=8)
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(rows)), [wrapped(row, 34) for row in rows] if table is tables[0] else [], fontsize=8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="relative gain over none", pad=0.01)
    figure.suptitle(heading, fontsize=11)
    figure.supxlabel(
        "mean over tasks (left) or models (right); ↑ ↓: how many of these are better or worse for certain, p < 0.05 "
        "(corrected)",
        fontsize=8,
    )
    save(figure, paths)


@dataclass(frozen=True)
class _Cell:
    task: str
    of: RelativeGain
    certain: bool


def _gains(heading: str, cells: Sequence[_Cell], columns: list[str], column_of: Callable[[_Cell], str]) -> Gains:
    rows = list(dict.fromkeys(each.of.row for each in cells))
    shape = len(rows), len(columns)
    found: dict[tuple[int, int], list[_Cell]] = {}
    for each in cells:
        row = rows.index(each.of.row)
        found.setdefault((row, columns.index(column_of(each))), []).append(each)
        found.setdefault((row, shape[1] - 1), []).append(each)
    mean, better, worse = np.full(shape, np.nan), np.zeros(shape, dtype=int), np.zeros(shape, dtype=int)
    for place, mine in found.items():
        by_task: dict[str, list[float]] = {}
        for each in mine:
            by_task.setdefault(each.task, []).append(each.of.gain)
        mean[place] = np.mean([np.mean(gains) for gains in by_task.values()])
        better[place] = sum(each.certain and each.of.gain > 0 for each in mine)
        worse[place] = sum(each.certain and each.of.gain < 0 for each in mine)
    return Gains(heading, rows, columns, mean, better, worse)


def _text(table: Gains, row: int, column: int) -> str:
    if math.isnan(table.mean[row, column]):
        return "–"
    counts = [
        f"{mark}{count}" for mark, count in (("↑", table.better[row, column]), ("↓", table.worse[row, column])) if count
    ]
    return f"{round(100 * table.mean[row, column]):+d} %" + (f"\n({' '.join(counts)})" if counts else "")
