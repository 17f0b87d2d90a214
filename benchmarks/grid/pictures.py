"""Pictures of a grid: encodings by models, and metric against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from graphpe.benchmarks.grid.config import NONE
from graphpe.benchmarks.grid.results import Combination

_MARKERS = "osD^vP*XhH<>pd"


def draw_heat_map(combinations: Sequence[Combination], p_values: Mapping[tuple[str, str], float], path: Path) -> None:
    """Test metric of every encoding (row) and model (column) of one task.

    Colour is the gain over no encoding in the same model (over the column's mean where that row is missing), in units
    of the largest in the picture; the best of each model is framed; a star marks p < 0.05.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    first = combinations[0].runs[0]
    sign = 1 if first.maximize else -1
    encodings = list(dict.fromkeys(each.encoding for each in combinations))
    models = list(dict.fromkeys(each.model for each in combinations))
    value = np.full((len(encodings), len(models)), np.nan)
    text = [["" for _ in models] for _ in encodings]
    for each in combinations:
        row, column = encodings.index(each.encoding), models.index(each.model)
        value[row, column] = sign * each.mean()
        star = "*" if p_values.get((each.encoding, each.model), 1.0) < 0.05 else ""
        deviation = each.deviation()
        text[row][column] = f"{each.mean():.4g}{star}" + ("" if math.isnan(deviation) else f"\n± {deviation:.2g}")
    with np.errstate(all="ignore"):
        base = value[encodings.index(NONE)] if NONE in encodings else np.full(len(models), np.nan)
        base = np.where(np.isnan(base), _column_means(value), base)
    gain = value - base
    limit = np.nanmax(np.abs(gain)) if np.isfinite(gain).any() else 1.0

    size = (3.0 + 1.55 * len(models), 1.6 + 0.52 * len(encodings))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(gain, cmap="RdBu", vmin=-(limit or 1.0), vmax=limit or 1.0, aspect="auto")
    for row in range(len(encodings)):
        for column in range(len(models)):
            dark = abs(gain[row, column]) > 0.65 * limit
            axes.text(
                column, row, text[row][column], ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
    for column in range(len(models)):
        if np.isfinite(value[:, column]).any():
            best = int(np.nanargmax(value[:, column]))
            axes.add_patch(Rectangle((column - 0.49, best - 0.49), 0.98, 0.98, fill=False, linewidth=2))
    axes.set_xticks(range(len(models)), [_short(model) for model in models], rotation=20, ha="right")
    axes.set_yticks(range(len(encodings)), [_short(encoding) for encoding in encodings])
    arrow = "higher" if first.maximize else "lower"
    axes.set_title(f"{_short(first.task.split('(')[0])}: test {first.metric}, {arrow} is better", fontsize=10)
    figure.colorbar(image, label="gain over none" if NONE in encodings else "gain over the mean")
    figure.savefig(path, dpi=130)


def draw_cost(combinations: Sequence[Combination], path: Path) -> None:
    """Test metric against seconds of encoding and training: a colour for each encoding, a marker for each model."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    first = combinations[0].runs[0]
    encodings = list(dict.fromkeys(each.encoding for each in combinations))
    models = list(dict.fromkeys(each.model for each in combinations))
    colours = colormaps["tab20" if len(encodings) > 10 else "tab10"].colors  # type: ignore[attr-defined]
    figure = Figure(figsize=(9.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for each in combinations:
        deviation = each.deviation()
        axes.errorbar(
            each.mean("seconds"),
            each.mean(),
            yerr=None if math.isnan(deviation) else deviation,
            marker=_MARKERS[models.index(each.model) % len(_MARKERS)],
            color=colours[encodings.index(each.encoding) % len(colours)],
            markersize=8,
            alpha=0.85,
            elinewidth=0.7,
        )
    axes.set(xscale="log", xlabel="seconds of encoding and training", ylabel=f"test {first.metric}")
    axes.set_title(
        f"{_short(first.task.split('(')[0])}: {'higher' if first.maximize else 'lower'} is better", fontsize=10
    )
    if not first.maximize:
        axes.invert_yaxis()  # better is up, as it is where more is better
    entries = [
        Line2D([], [], color=colours[i % len(colours)], marker="s", linestyle="", label=_short(encoding))
        for i, encoding in enumerate(encodings)
    ]
    entries += [
        Line2D([], [], color="black", marker=_MARKERS[i % len(_MARKERS)], linestyle="", label=_short(model))
        for i, model in enumerate(models)
    ]
    axes.legend(handles=entries, fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=130)


def _column_means(value: np.ndarray) -> np.ndarray:
    known = np.isfinite(value)
    return np.where(known.any(0), np.where(known, value, 0.0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _short(text: str) -> str:
    return text if len(text) <= 48 else text[:47] + "…"
