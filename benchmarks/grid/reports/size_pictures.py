"""Pictures of what larger graphs cost: curves of the metric against size, and which columns lose least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graphpe.benchmarks.grid.reports.pictures import save, short, wrapped
from graphpe.benchmarks.grid.reports.sizes import BySize

_STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
_LEAST_SEEDS = 3
"""With fewer, bands are many times as wide as the seeds are apart, and say nothing."""


def draw_curves(of_sizes: BySize, paths: Sequence[Path]) -> None:
    """The metric against the size of graphs, a line for each column and a panel for each model.

    Bands are 95 % intervals over seeds; the sizes of training are shaded and marked by squares; a dotted line is the
    constant prediction. Better is up. Columns stand in the legend in the order of their metric on the largest graphs.

    Args:
        of_sizes: The curves.
        paths: Where the picture is written.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    first, bins, last = of_sizes.first, of_sizes.bins, len(of_sizes.bins) - 1
    sign = 1 if first.maximize else -1
    models = list(dict.fromkeys(each.combination.setup for each in of_sizes.curves))
    rows = _rows(of_sizes, lambda curve: -sign * curve.at(last)[0])
    looks = {row: _look(place) for place, row in enumerate(dict.fromkeys(c.combination.row for c in of_sizes.curves))}
    x = [each.mean for each in bins]
    figure = Figure(figsize=(3.4 + 4.4 * len(models), max(4.6, 1.2 + 0.2 * len(rows))), layout="constrained")
    panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axes, model in zip(panels, models, strict=True):
        axes.axvspan(x[0] / 1.12, bins[0].most, color="0.92", linewidth=0)
        axes.plot(x, [each.constant for each in bins], color="black", linestyle=(0, (1, 3)), linewidth=1)
        for each in (curve for curve in of_sizes.curves if curve.combination.setup == model):
            colour, style = looks[each.combination.row]
            points = [each.at(place) for place in range(len(bins))]
            means, halves = np.array(points).T
            axes.plot(x, means, color=colour, linestyle=style, marker="o", markersize=3.5, linewidth=1.4)
            axes.plot(x[:1], means[:1], color=colour, marker="s", markersize=6.5)
            if len(each.scores) < _LEAST_SEEDS:
                for row in each.scores:
                    axes.plot(x, row, color=colour, marker=".", markersize=3, linestyle="", alpha=0.6)
            else:
                axes.fill_between(x, means - halves, means + halves, color=colour, alpha=0.13, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [each.name for each in bins], rotation=30, ha="right", fontsize=8)
        axes.minorticks_off()
        axes.set_title(wrapped(model, 44), fontsize=9)
        axes.set_xlabel(f"size of graphs, {of_sizes.unit}")
    panels[0].set_ylabel(f"test {first.metric}")
    _limit(panels[0], of_sizes, first.maximize)
    entries = [
        Line2D([], [], color=looks[row][0], linestyle=looks[row][1], marker="o", markersize=3.5, label=wrapped(row, 40))
        for row in rows
    ]
    entries.append(Line2D([], [], color="black", linestyle=(0, (1, 3)), label="constant prediction"))
    figure.legend(handles=entries, fontsize=7.5, loc="outside right center")
    better = "higher" if first.maximize else "lower"
    figure.suptitle(f"{short(first.task)}\ntest {first.metric} ({better} is better, up) against size", fontsize=11)
    seeds = sorted({len(each.scores) for each in of_sizes.curves})
    bands = f"bands: 95 % over {seeds[0] if len(seeds) == 1 else f'{seeds[0]} to {seeds[-1]}'} seeds"
    few = f"dots: the seeds, fewer than {_LEAST_SEEDS}"
    note = [f"shaded, square: the sizes of training ({bins[0].name})", bands if seeds[-1] >= _LEAST_SEEDS else few]
    figure.supxlabel("; ".join([*note, *_too_few(of_sizes)]), fontsize=8)
    save(figure, paths)


def draw_losses(of_sizes: BySize, paths: Sequence[Path]) -> None:
    """Which columns extrapolate: from the sizes of training to the largest graphs, and the loss per doubling.

    A row for each column, a colour for each model; the column that is best on the largest graphs, in the mean over
    models, is at the top. Left, an arrow leads from the metric in distribution to that on the largest graphs. Right,
    the loss per doubling of size with its 95 % interval over seeds; left of the line larger graphs cost nothing. In
    both, worse is right.

    Args:
        of_sizes: The curves.
        paths: Where the picture is written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    first, bins, last = of_sizes.first, of_sizes.bins, len(of_sizes.bins) - 1
    sign = 1 if first.maximize else -1
    models = list(dict.fromkeys(each.combination.setup for each in of_sizes.curves))
    rows = _rows(of_sizes, lambda curve: -sign * curve.at(last)[0])
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    figure = Figure(figsize=(11.0, 2.2 + (0.26 + 0.16 * len(models)) * len(rows)), layout="constrained")
    where, cost = figure.subplots(1, 2, sharey=True)
    where.axvline(bins[last].constant, color="black", linestyle=(0, (1, 3)), linewidth=1)
    cost.axvline(0, color="0.4", linewidth=0.8)
    ends = []
    for each in of_sizes.curves:
        model = models.index(each.combination.setup)
        colour = colours[model % len(colours)]
        y = rows.index(each.combination.row) + 0.62 * ((model + 0.5) / len(models) - 0.5)
        start, end = each.at(0)[0], each.at(last)[0]
        if math.isfinite(start) and math.isfinite(end):
            where.annotate("", (end, y), (start, y), arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1.4})
        where.plot([start], [y], marker="s", color=colour, markersize=5, linestyle="")
        where.plot([end], [y], marker="o", color=colour, markersize=4, linestyle="")
        half = each.loss_interval
        error = half if math.isfinite(half) else None
        cost.errorbar(
            [each.loss], [y], xerr=error, marker="o", color=colour, markersize=5, linestyle="", elinewidth=1.2
        )
        ends += [each.loss]
    for axes in (where, cost):
        for place in range(0, len(rows), 2):
            axes.axhspan(place - 0.5, place + 0.5, color="0.95", zorder=0, linewidth=0)
    where.set_yticks(range(len(rows)), [wrapped(row, 44) for row in rows], fontsize=8)
    where.set_ylim(len(rows) - 0.5, -0.5)
    _limit(where, of_sizes, first.maximize, sideways=True)
    where.set_xlabel(
        f"test {first.metric}: {bins[0].name} (square) to {bins[last].name} {of_sizes.unit} (right is worse)"
    )
    known = [0.0, *(loss for loss in ends if math.isfinite(loss))]
    margin = 0.15 * (max(known) - min(known)) or 0.1
    cost.set_xlim(min(known) - margin, max(known) + margin)
    cost.xaxis.set_major_locator(MaxNLocator(6))
    cost.set_xlabel(f"loss of {first.metric} per doubling of size (right is worse)")
    entries = [
        Line2D([], [], color=colours[place % len(colours)], marker="o", linestyle="", label=wrapped(model, 60))
        for place, model in enumerate(models)
    ]
    entries.append(Line2D([], [], color="black", linestyle=(0, (1, 3)), label="constant prediction, largest graphs"))
    figure.legend(handles=entries, fontsize=8, loc="outside lower center", ncols=2)
    figure.suptitle(f"{short(first.task)}: which columns extrapolate to larger graphs\nbest on the largest at the top")
    save(figure, paths)


def _rows(of_sizes: BySize, key: Any) -> list[str]:
    """Columns by a number of their curves, its mean over models; those without one last."""
    found: dict[str, list[float]] = {}
    for each in of_sizes.curves:
        found.setdefault(each.combination.row, []).append(key(each))
    means = {row: float(np.mean(values)) for row, values in found.items()}
    return sorted(found, key=lambda row: (not math.isfinite(means[row]), means[row]))


def _look(place: int) -> tuple[Any, Literal["-", "--", ":", "-."]]:
    from matplotlib import colormaps

    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    return colours[place % len(colours)], _STYLES[place // len(colours) % len(_STYLES)]


def _limit(axes: Any, of_sizes: BySize, maximize: bool, *, sideways: bool = False) -> None:
    """Axes of the means, so that one wide band does not squeeze the rest; better is up, or to the left."""
    places = range(len(of_sizes.bins))
    means = [mean for each in of_sizes.curves for place in places if math.isfinite(mean := each.at(place)[0])]
    means = means or [0.0]
    low, high = min(means), max(means)
    constants = [each.constant for each in of_sizes.bins]  # as far as they are not far off
    means += [each for each in constants if 2 * low - high <= each <= 2 * high - low]
    margin = 0.12 * (max(means) - min(means)) or 0.05 * abs(means[0]) or 1.0
    ends = (min(means) - margin, max(means) + margin)
    if sideways:
        axes.set_xlim(*(ends[::-1] if maximize else ends))
    else:
        axes.set_ylim(*(ends if maximize else ends[::-1]))


def _too_few(of_sizes: BySize) -> list[str]:
    from graphpe.benchmarks.tasks.by_size import FEW

    few = [f"{each.name} ({each.graphs})" for each in of_sizes.bins if each.graphs < FEW]
    return [f"few graphs: {', '.join(few)}"] if few else []
