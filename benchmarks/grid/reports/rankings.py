"""A ranking of columns over tasks: as text, and as the picture in which bars join what is not told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphpe.benchmarks.grid.reports.pictures import save, wrapped
from graphpe.benchmarks.grid.reports.table import p_text, table_heading, table_row
from graphpe.benchmarks.grid.statistics.ranks import Ranking

_LABEL = 38  # characters of a line of a label
_LINE = 0.155  # inches of a line of text
_BAR = 0.16  # inches from one bar to the next


def ranking_section(ranking: Ranking, p_value: float, of_tasks: Ranking | str) -> list[str]:
    """A ranking as Markdown.

    Args:
        ranking: The ranking over tasks and models.
        p_value: Of its Friedman test, corrected.
        of_tasks: That over tasks alone, or why there is none.
    """
    test, blocks, columns = ranking.friedman, len(ranking.blocks), len(ranking.columns)
    f = "infinite" if math.isinf(test.f) else f"{test.f:.2f}"
    lines = table_heading("encoding", "mean rank", "not told apart from")
    for place, (column, rank) in enumerate(zip(ranking.columns, ranking.ranks, strict=True)):
        same = [other for other in range(columns) if abs(ranking.ranks[other] - rank) < ranking.critical_difference]
        best, last = min(same), max(same)
        others = "" if best == last else f"{best + 1} to {last + 1}"
        lines.append(table_row(f"{place + 1}. {column}", f"{rank:.2f}", others))
    lines += [
        "",
        f"{columns} columns ranked by their mean over seeds in {blocks} blocks, a task and a model each (models of one "
        "task share its data, so these are tasks and models of this report, not a sample of all). Friedman's test in "
        f"Iman and Davenport's form: F({columns - 1}, {(columns - 1) * (blocks - 1)}) = {f}, "
        f"p {_is(test.p_value)} by permutations within blocks, {p_text(p_value)} corrected with all p of this report. "
        f"Critical difference of mean ranks (Nemenyi, 5 % for all pairs at once): {ranking.critical_difference:.2f}.",
    ]
    if isinstance(of_tasks, Ranking):
        lines += ["", _over_tasks_alone(of_tasks)]
    if ranking.left_out:
        lines += ["", f"Left out, since not every column has a result in every block: {'; '.join(ranking.left_out)}."]
    return lines


def _over_tasks_alone(ranking: Ranking) -> str:
    """What is left where a task counts once, however many models share its data."""
    text = (
        f"With the {len(ranking.blocks)} tasks alone as blocks, each column by its mean rank over a task's models, "
        f"the critical difference is {ranking.critical_difference:.2f}"
    )
    ranks = dict(zip(ranking.columns, ranking.ranks, strict=True))
    if (none := ranks.pop("none", None)) is None:
        return f"{text}."
    apart = [
        f"{column} ({rank:.2f})" for column, rank in ranks.items() if abs(rank - none) >= ranking.critical_difference
    ]
    return f"{text}; told apart from none ({none:.2f}): {', '.join(apart) or 'no column'}."


def draw_ranking(ranking: Ranking, heading: str, paths: Sequence[Path]) -> None:
    """Mean ranks on a line, the best at the left; bars join columns whose ranks differ by less than the critical one.

    Labels stand left and right of the line, the better half left, and elbows lead to them.

    Args:
        ranking: The ranking.
        heading: Its title.
        paths: Where the picture is written.
    """
    from matplotlib.figure import Figure

    columns, ranks = ranking.columns, ranking.ranks
    labels = [f"{wrapped(column, _LABEL)} ({rank:.2f})" for column, rank in zip(columns, ranks, strict=True)]
    half = (len(columns) + 1) // 2
    sides = [
        list(range(half)),
        list(range(len(columns) - 1, half - 1, -1)),
    ]  # the extremes at the top, so no elbow crosses
    bars = _rows_of_bars(ranking)
    below = 0.32 + _BAR * len(bars)
    depths: dict[int, float] = {}
    for side in sides:
        depth = below
        for place in side:
            lines = labels[place].count("\n") + 1
            depths[place] = depth + lines * _LINE / 2
            depth += lines * _LINE + 0.07
    height = max(depths.values()) + 0.35
    width, margin, above = 11.0, 3.1, 1.15
    figure = Figure(figsize=(width, height + above))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(-height, above)
    axes.axis("off")
    low, high = 1, len(columns)

    def at(rank: float) -> float:
        return margin + (width - 2 * margin) * (rank - low) / (high - low)

    axes.plot([at(low), at(high)], [0, 0], color="black", linewidth=1)
    for tick in range(low, high + 1):
        axes.plot([at(tick)] * 2, [0, 0.07], color="black", linewidth=1)
        axes.text(at(tick), 0.11, str(tick), ha="center", va="bottom", fontsize=8)
    gap = 0.48
    reach = at(low + min(ranking.critical_difference, high - low))
    axes.plot([at(low), reach], [gap, gap], color="0.35", linewidth=1.2)
    for end in (at(low), reach):
        axes.plot([end] * 2, [gap - 0.05, gap + 0.05], color="0.35", linewidth=1.2)
    beyond = ", beyond the line" if ranking.critical_difference > high - low else ""
    difference = f"critical difference {ranking.critical_difference:.2f}{beyond}"
    axes.text(reach + 0.08, gap, difference, ha="left", va="center", fontsize=8, color="0.25")
    for left, places in zip((True, False), sides, strict=True):
        for place in places:
            x, y = at(ranks[place]), -depths[place]
            end = margin - 0.25 if left else width - margin + 0.25
            axes.plot([x, x, end], [0, y, y], color="0.6", linewidth=0.7, zorder=0)
            axes.plot([x], [0], marker="o", markersize=4, color="black", zorder=3)
            align: Any = "right" if left else "left"
            shift = -0.06 if left else 0.06
            axes.text(end + shift, y, labels[place], ha=align, va="center", fontsize=8, linespacing=1.05)
    for row, groups in enumerate(bars):
        y = -0.18 - _BAR * row
        for first, last in groups:
            ends = [at(ranks[first]) - 0.04, at(ranks[last]) + 0.04]
            axes.plot(ends, [y, y], color="tab:blue", linewidth=3.5, solid_capstyle="butt", zorder=2)
    axes.text(width / 2, above - 0.1, heading, ha="center", va="top", fontsize=11)
    note = f"mean rank over {len(ranking.blocks)} blocks (task and model), 1 is best; bars join what is not told apart"
    axes.text(width / 2, -height + 0.08, note, ha="center", va="bottom", fontsize=8)
    save(figure, paths)


def _rows_of_bars(ranking: Ranking) -> list[list[tuple[int, int]]]:
    """The bars, those that do not overlap in one row."""
    rows: list[list[tuple[int, int]]] = []
    for group in ranking.groups:
        free = next((row for row in rows if ranking.ranks[row[-1][1]] < ranking.ranks[group[0]] - 0.1), None)
        if free is None:
            rows.append([group])
        else:
            free.append(group)
    return rows


def _is(p_value: float) -> str:
    text = p_text(p_value)
    return text if text.startswith("<") else f"= {text}"
