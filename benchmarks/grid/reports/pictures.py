"""Pictures of a grid: encodings by models, and metric against cost."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphpe.benchmarks.grid.reports.table import spread
from graphpe.benchmarks.grid.results import Combination, base_of
from graphpe.benchmarks.grid.statistics.family import LEVEL
from graphpe.benchmarks.grid.statistics.ranks import mean_ranks

_MARKERS = "osD^vP*XhH<>pd"


def draw_heat_map(
    combinations: Sequence[Combination], p_values: Mapping[tuple[str, str], float], paths: Sequence[Path]
) -> None:
    """Test metric of every encoding (row) and model (column) of one task, and the mean rank and cost of each encoding.

    Colour is the gain over no encoding in the same model (over the column's mean where that row is missing); the best
    of each model is framed; a star marks p < 0.05. The cost of an encoding is the median over models of its seconds of
    encoding and training, divided by those of no encoding where there is that row.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    first = combinations[0].runs[0]
    sign = 1 if first.maximize else -1
    encodings = list(dict.fromkeys(each.row for each in combinations))
    models = list(dict.fromkeys(each.setup for each in combinations))
    base = base_of(combinations)
    found = {(encodings.index(each.row), models.index(each.setup)): each for each in combinations}
    value = np.full((len(encodings), len(models)), np.nan)
    for place, each in found.items():
        value[place] = sign * each.mean() if math.isfinite(each.mean()) else math.nan
    gain, over = gains(value, encodings, base)
    limit = colour_limit(gain)

    labels = [wrapped(encoding, 34) for encoding in encodings]
    size = (5.4 + 1.25 * len(models), 1.9 + 0.5 * len(encodings))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.93")
    image = axes.imshow(np.ma.masked_invalid(gain), cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    digits = _digits(value)
    for row, column in np.ndindex(value.shape):
        cell = found.get((row, column))
        text, dark = "–", False
        if cell is not None:
            star = "*" if p_values.get((cell.row, cell.setup), math.nan) < LEVEL else ""
            deviation = cell.deviation()
            text = _number(cell.mean(), digits) + star if math.isfinite(cell.mean()) else "not\nfinite"
            text += f"\n± {_number(deviation, digits)}" if math.isfinite(deviation) else ""
            dark = bool(abs(gain[row, column]) > 0.65 * limit)
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    for column in range(len(models)):
        if np.isfinite(value[:, column]).any():
            best = int(np.nanargmax(value[:, column]))
            axes.add_patch(Rectangle((column - 0.48, best - 0.47), 0.96, 0.94, fill=False, linewidth=2))
    axes.set_xticks(range(len(models)), [wrapped(model, 18) for model in models], fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(encodings)), labels, fontsize=8)
    axes.tick_params(length=0)
    edge = len(models) - 0.5
    for offset, title, entries in (
        (0.38, "mean\nrank", [f"{rank:.1f}" for rank in mean_ranks(value.T.tolist())]),
        (1.0, "time" if base else "time, s", _costs(found, encodings, base, len(models))),
    ):
        axes.text(edge + offset, -0.62, title, ha="center", va="bottom", fontsize=8)
        for row, entry in enumerate(entries):
            axes.text(edge + offset, row, entry, ha="center", va="center", fontsize=8)
    axes.set_xlim(-0.5, edge + 1.35)
    axes.add_patch(Rectangle((edge, -0.5), 1.36, len(encodings), facecolor="white", zorder=0.5))
    axes.spines[:].set_visible(False)
    extend = "both" if (np.abs(gain[np.isfinite(gain)]) > limit).any() else "neither"
    figure.colorbar(image, label=f"gain in {first.metric} over {over}", extend=extend, pad=0.01)
    arrow = "higher" if first.maximize else "lower"
    figure.suptitle(f"{short(first.task)}\ntest {first.metric}, {arrow} is better", fontsize=11)
    seeds = sorted({len(each.runs) for each in combinations})
    counted = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    notes = [f"± over {counted} seeds" if seeds[-1] > 1 else "one seed", "frame: best of its model"]
    if any(p < LEVEL for p in p_values.values()):
        notes.append("*: differs from none, p < 0.05 (corrected)")
    if len(found) < value.size:
        notes.append("–: not possible, or not finished")
    notes.append("time: of encoding and training by the clock" + (", relative to none" if base else ""))
    figure.supxlabel("; ".join(notes), fontsize=8)
    save(figure, paths)


def draw_cost(combinations: Sequence[Combination], paths: Sequence[Path]) -> None:
    """Test metric against what training costs; the combinations that none beats at less cost stand out, with names.

    Cost is graphs of training by processor second where every run has measured it, else the seconds of encoding and
    training by the clock, which depend on what else the machine did. Faster is right, better is up. A line joins the
    front; labels are right of it, in its order. No encoding has hollow points; all others are faded. Combinations
    whose mean is not finite have no place in it, which a line below says.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    first = combinations[0].runs[0]
    everything, combinations = combinations, [each for each in combinations if math.isfinite(each.mean())]
    measured = all(each.mean("graphs_per_second") > 0 for each in combinations)
    name = "graphs_per_second" if measured else "seconds"
    models = list(dict.fromkeys(each.setup for each in everything))
    front = front_of(combinations)
    labels = [
        f"{wrapped(each.row, 44)}\n{short(each.setup)}: {spread(each.mean(), each.deviation())}"
        for each in reversed(front)
    ]
    lines = sum(label.count("\n") + 1.6 for label in labels) + 1.3 * len(models)
    figure = Figure(figsize=(11.5, max(5.4, 1.5 + 0.155 * lines)), layout="constrained")
    axes, beside = figure.subplots(1, 2, width_ratios=(1.75, 1))
    for each in combinations:
        chosen, deviation = each in front, each.deviation()
        axes.errorbar(
            each.mean(name),
            each.mean(),
            yerr=deviation if math.isfinite(deviation) and (chosen or each.is_base) else None,
            marker=_MARKERS[models.index(each.setup) % len(_MARKERS)],
            color="tab:blue" if chosen else "black" if each.is_base else "0.6",
            markerfacecolor="white" if each.is_base else None,
            markersize=8 if chosen else 7,
            alpha=1 if chosen else 0.9 if each.is_base else 0.45,
            elinewidth=0.8,
            zorder=3 if chosen else 2 if each.is_base else 1,
        )
    ends = [each.mean(name) for each in front], [each.mean() for each in front]
    axes.step(*ends, where="post", color="tab:blue", linewidth=1, alpha=0.6, zorder=0)
    label = f"{first.unit}s of training by processor second (faster is right)"
    axes.set(xscale="log", xlabel=label if measured else "seconds of encoding and training by the clock")
    if not measured:
        axes.invert_xaxis()
        axes.set_xlabel("seconds of encoding and training by the clock (faster is right)")
    axes.set_ylabel(f"test {first.metric}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    means = [each.mean() for each in combinations] or [0.0]
    margin = 0.12 * (max(means) - min(means)) or 0.05 * abs(means[0]) or 1.0
    axes.set_ylim(min(means) - margin, max(means) + margin)  # of the means: one wide error bar would squeeze the rest
    better = "higher" if first.maximize else "lower"
    if not first.maximize:
        axes.invert_yaxis()  # better is up, as it is where more is better
    beside.axis("off")
    beside.set(xlim=(0, 1), ylim=(0, 1))
    marks = [
        beside.plot([], [], marker=_MARKERS[place % len(_MARKERS)], color="0.4", linestyle="", label=short(model))[0]
        for place, model in enumerate(models)
    ]
    beside.legend(handles=marks, fontsize=7.5, loc="lower left", frameon=False)
    figure.canvas.draw()  # places what is laid out, so that labels find their points
    points = [(each.mean(name), each.mean()) for each in reversed(front)]
    _label_points(axes, beside, points, labels, above=1.4 * len(models) + 0.6)
    figure.suptitle(f"{short(first.task)}: test {first.metric} ({better} is better, up) against cost", fontsize=11)
    note = "blue: no other is as good at less cost; hollow: no encoding; lines: one standard deviation over seeds"
    left_out = len(everything) - len(combinations)
    figure.supxlabel(note + (f"; {left_out} not shown: not finite" if left_out else ""), fontsize=8)
    save(figure, paths)


def _label_points(
    axes: Any, beside: Any, points: Sequence[tuple[float, float]], labels: Sequence[str], *, above: float
) -> None:
    """Labels in the room beside, as near to the height of their points as they fit, each with a line to its point.

    Args:
        axes: Where the points are.
        beside: The room for labels, from 0 to 1.
        points: The points, the upper ones first.
        labels: Their labels.
        above: Lines at the bottom of that room that are taken.
    """
    from matplotlib.patches import ConnectionPatch

    a_line = 0.145 * beside.figure.dpi / beside.get_window_extent().height
    heights = [(label.count("\n") + 1.6) * a_line for label in labels]
    places: list[float] = []
    top = 1.0
    for point, height in zip(points, heights, strict=True):
        own = float(axes.transAxes.inverted().transform(axes.transData.transform(point))[1])
        places.append(min(own, top - height / 2))
        top = places[-1] - height / 2
    bottom = above * a_line
    for number in reversed(range(len(places))):  # up again, where the last ones have gone too far down
        places[number] = max(places[number], bottom + heights[number] / 2)
        bottom = places[number] + heights[number] / 2
    for point, label, y in zip(points, labels, places, strict=True):
        beside.text(0.05, y, label, ha="left", va="center", fontsize=8, linespacing=1.05)
        line = ConnectionPatch(point, (0.03, y), "data", "data", axesA=axes, axesB=beside, color="0.6", linewidth=0.7)
        line.set_in_layout(False)
        beside.add_artist(line)


def save(figure: Any, paths: Sequence[Path]) -> None:
    """Write a picture; the same one is the same file.

    Args:
        figure: A figure of matplotlib.
        paths: The files.
    """
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "graphpe"}):
        for path in paths:
            undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
            figure.savefig(path, dpi=130, metadata=undated.get(path.suffix))


def gains(value: np.ndarray, encodings: Sequence[str], base: str | None) -> tuple[np.ndarray, str]:
    """Gains over no encoding, or over the mean of each column where that is missing; and what they are over."""
    missing = np.full(value.shape[1], np.nan)
    without = missing if base is None else value[list(encodings).index(base)]
    known = np.isfinite(value)
    means = np.where(known.any(0), np.where(known, value, 0.0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
    return value - np.where(np.isnan(without), means, without), base or "the mean"


def colour_limit(gain: np.ndarray) -> float:
    """The gain that has the strongest colour: one diverged run must not make all others white."""
    known = np.abs(gain[np.isfinite(gain)])
    largest = float(known.max(initial=0.0))
    limit = min(largest, 3 * float(np.quantile(known, 0.75))) if known.size else 1.0
    return limit or largest or 1.0


def _costs(
    found: Mapping[tuple[int, int], Combination], encodings: Sequence[str], base: str | None, models: int
) -> list[str]:
    """Seconds of each encoding, median over models; as a multiple of no encoding where there is that row."""
    seconds = np.full((len(encodings), models), np.nan)
    for place, each in found.items():
        seconds[place] = each.mean("seconds")
    if base is not None:
        seconds = seconds / seconds[list(encodings).index(base)]
    texts = []
    for row in seconds:
        known = row[np.isfinite(row)]
        number = float(np.median(known)) if known.size else math.nan
        texts.append("" if math.isnan(number) else f"{number:.2g}x" if base is not None else f"{number:.3g}")
    return texts


def front_of(combinations: Sequence[Combination]) -> list[Combination]:
    """The combinations that none beats at less cost, cheapest first.

    Cost is processor seconds by graph of training where all have measured them, else seconds of encoding and training.

    Args:
        combinations: With finite means.
    """
    if not combinations:
        return []
    sign = 1 if combinations[0].runs[0].maximize else -1
    measured = all(each.mean("graphs_per_second") > 0 for each in combinations)

    def cost(each: Combination) -> float:
        return 1 / each.mean("graphs_per_second") if measured else each.mean("seconds")

    front: list[Combination] = []
    for each in sorted(combinations, key=lambda each: (cost(each), -sign * each.mean())):
        if not front or sign * each.mean() > sign * front[-1].mean():
            front.append(each)
    return front


def _digits(value: np.ndarray) -> int:
    """Decimals that show about four digits of the largest number."""
    known = np.abs(value[np.isfinite(value)])
    largest = float(np.median(known)) if known.size else 0.0
    return 3 if largest == 0 else int(np.clip(3 - math.floor(math.log10(largest)), 0, 4))


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if not value or 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"


def wrapped(text: str, width: int) -> str:
    """A label on several lines; broken at spaces, and after brackets and commas."""
    lines = textwrap.wrap(re.sub(r",\s*", ", ", text).replace("(", "( "), width)
    return "\n".join(line.replace("( ", "(").rstrip() for line in lines[:4]) + ("…" if len(lines) > 4 else "")


def short(text: str) -> str:
    """A text that fits into a title."""
    return text if len(text) <= 60 else text[:59] + "…"
