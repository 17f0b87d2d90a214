"""The expressivity report as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np

from graphpe.benchmarks.expressivity.table import Result
from graphpe.benchmarks.grid.reports.pictures import short

PictureFormat = Literal["png", "svg", "pdf"]


def heat_map(results: Sequence[Result], form: PictureFormat) -> bytes:
    """Part of the pairs that are told apart, in per cent: a row a refinement, encoding or model, a column a set.

    Args:
        results: The results.
        form: What the picture is written as.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(result.dataset for result in results))
    labels = list(dict.fromkeys((result.kind, result.label) for result in results))
    part = np.full((len(labels), len(sets)), np.nan)
    for result in results:
        if result.apart is not None and result.pairs:
            place = labels.index((result.kind, result.label)), sets.index(result.dataset)
            part[place] = 100 * result.apart / result.pairs
    figure = Figure(figsize=(5.2 + 0.85 * len(sets), 1.3 + 0.27 * len(labels)), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.85")
    axes.imshow(np.ma.masked_invalid(part), cmap="Blues", vmin=0, vmax=115, aspect="auto")
    for row, column in np.ndindex(part.shape):
        value = float(part[row, column])
        colour = "white" if value > 70 else "black"
        axes.text(column, row, _percent(value), ha="center", va="center", fontsize=7.5, color=colour)
    kinds = [kind for kind, _ in labels]
    for row in range(1, len(kinds)):
        if kinds[row] != kinds[row - 1]:
            axes.axhline(row - 0.5, color="black", linewidth=1.2)
    axes.set_xticks(range(len(sets)), [name.replace("-", "\n") for name in sets], fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(labels)), _names(results), fontsize=7.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.supxlabel("per cent of the pairs told apart; –: signs or random numbers, not decided", fontsize=8)
    out = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": "graphpe"}):
        figure.savefig(out, format=form, dpi=130, metadata=undated.get(form))
    return out.getvalue()


def _names(results: Sequence[Result]) -> list[str]:
    """Labels of rows, without the arguments of models where they differ without those."""
    names = {
        (each.kind, each.label): each.case.model.partition("(")[0] + each.label.removeprefix(each.case.model)
        for each in results
    }
    known = list(names.values())
    return [short(name if known.count(name) == 1 else label) for (_, label), name in names.items()]


def _percent(value: float) -> str:
    """A percentage that says 100 only where all pairs are told apart."""
    if np.isnan(value):
        return "–"
    if 99.5 <= value < 100:
        return "99.9" if value >= 99.9 else f"{value:.1f}"
    return f"{value:.0f}" if value == 0 or value >= 1 else f"{value:.1f}"
