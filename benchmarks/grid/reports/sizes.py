"""What larger graphs cost: the metric on each bin of sizes, and the loss per doubling of size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from graphpe.benchmarks.grid.options import shown
from graphpe.benchmarks.grid.reports.table import p_text, spread, table_heading, table_row
from graphpe.benchmarks.grid.results import Combination, Run, base_of
from graphpe.benchmarks.grid.statistics.paired import interval
from graphpe.benchmarks.tasks.by_size import FEW
from graphpe.benchmarks.tasks.metrics import figure


@dataclass(frozen=True)
class Bin:
    """Sizes of graphs.

    Attributes:
        name: As tables call them.
        most: The largest.
        mean: Mean size of the graphs.
        graphs: Their number.
        constant: The metric of the constant prediction.
    """

    name: str
    most: int
    mean: float
    graphs: int
    constant: float


@dataclass(frozen=True)
class Curve:
    """The metric of one combination against size.

    Attributes:
        combination: The combination.
        scores: The metric of each seed on each bin, `[seeds, bins]`.
        losses: By seed, how much worse a doubling of size makes it; seeds without one are left out.
    """

    combination: Combination
    scores: np.ndarray
    losses: Mapping[int, float]

    @property
    def loss(self) -> float:
        """The mean loss per doubling; nan without any."""
        return float(np.mean(list(self.losses.values()))) if self.losses else math.nan

    @property
    def loss_interval(self) -> float:
        """Half the width of its 95 % interval over seeds; nan for one seed."""
        return interval(list(self.losses.values()))

    def at(self, place: int) -> tuple[float, float]:
        """The mean metric on a bin over the seeds that have one, and half the width of its 95 % interval."""
        known = [float(score) for score in self.scores[:, place] if math.isfinite(score)]
        return (float(np.mean(known)) if known else math.nan, interval(known))


@dataclass(frozen=True)
class BySize:
    """The curves of one task.

    Attributes:
        unit: What sizes count.
        bins: The bins; the first is of the sizes of training.
        curves: A curve for each combination.
    """

    unit: str
    bins: tuple[Bin, ...]
    curves: tuple[Curve, ...]

    @property
    def first(self) -> Run:
        """A run, for what all share: task and metric."""
        return self.curves[0].combination.runs[0]

    @property
    def base(self) -> str | None:
        """The row of no encoding, if there is one."""
        return base_of([each.combination for each in self.curves])


def loss_per_doubling(sizes: Sequence[float], scores: Sequence[float], *, maximize: bool) -> float:
    """How much worse the metric gets where graphs are twice as large: the slope against log2 of the size.

    The least-squares line through all sizes, those of training among them; positive is worse, whichever way the metric
    goes. Scores that are not finite have no part; nan where fewer than two sizes are left.

    Args:
        sizes: Mean size of each bin.
        scores: The metric on it.
        maximize: Whether more of the metric is better.
    """
    known = np.isfinite(np.asarray(scores, dtype=float))
    x, y = np.log2(np.asarray(sizes, dtype=float)[known]), np.asarray(scores, dtype=float)[known]
    if len(set(x.tolist())) < 2:
        return math.nan
    x = x - x.mean()
    slope = float((x * (y - y.mean())).sum() / (x * x).sum())
    return -slope if maximize else slope


def by_size(combinations: Sequence[Combination]) -> BySize | None:
    """The curves of combinations of one task; None where its split is none by size."""
    found = []
    runs = [run for each in combinations for run in each.runs if run.sizes]
    if not runs:
        return None
    first = runs[0]
    bins = tuple(Bin(each.sizes, each.most, each.mean, each.graphs, each.constant) for each in first.sizes)
    for each in combinations:
        mine = [run for run in each.runs if len(run.sizes) == len(bins)]
        if not mine:
            continue
        scores = np.array([[size.test for size in run.sizes] for run in mine])
        losses = {
            run.seed: loss
            for run, row in zip(mine, scores, strict=True)
            if math.isfinite(loss := loss_per_doubling([one.mean for one in bins], row.tolist(), maximize=run.maximize))
        }
        found.append(Curve(each, scores, losses))
    return BySize(first.size_unit, bins, tuple(found))


def loss_differences(of_sizes: BySize) -> dict[tuple[str, str], list[float]]:
    """By row and setup: how much more a doubling of size costs it than the model without an encoding, by seed."""
    base = of_sizes.base
    without = {each.combination.setup: each.losses for each in of_sizes.curves if each.combination.row == base}
    found = {}
    for each in of_sizes.curves:
        other = without.get(each.combination.setup, {})
        shared = [loss - other[seed] for seed, loss in each.losses.items() if seed in other]
        if each.combination.row != base and shared:
            found[each.combination.row, each.combination.setup] = shared
    return found


def size_section(of_sizes: BySize, p_values: Mapping[tuple[str, str], float]) -> str:
    """One task as Markdown: the metric on each bin, and what a doubling of size costs, the least first.

    Args:
        of_sizes: The curves.
        p_values: By row and setup, corrected, that its loss per doubling differs from that without an encoding.
    """
    first, bins = of_sizes.first, of_sizes.bins
    names = [f"{each.name} {of_sizes.unit}" for each in bins]
    columns = ["encoding", "model", *names, "loss per doubling", "95 % interval", "p against none"]
    lines = [
        f"### {first.task}: trained on {names[0]}, tested on larger ones",
        "",
        *table_heading(*columns),
    ]
    for each in sorted(of_sizes.curves, key=lambda curve: (math.isnan(curve.loss), curve.loss)):
        scores = [_score(each, place) for place in range(len(bins))]
        half = each.loss_interval
        around = f"{each.loss - half:+.4f} to {each.loss + half:+.4f}" if math.isfinite(half) else ""
        p_value = p_values.get((each.combination.row, each.combination.setup), math.nan)
        named = each.combination.row, each.combination.setup
        loss = f"{each.loss:+.4f}" if math.isfinite(each.loss) else ""
        lines.append(table_row(*named, *scores, loss, around, p_text(p_value)))
    constants = [figure(each.constant) if math.isfinite(each.constant) else "not defined" for each in bins]
    lines.append(f"| none | constant prediction | {' | '.join(constants)} |  |  |  |")
    lines += [
        "",
        f"Test {first.metric}, mean and sample standard deviation over seeds; the first sizes are those of training "
        "(in distribution). Loss per doubling: by how much the metric gets worse where graphs are twice as large, the "
        "slope of the least-squares line of all sizes against log2 of their mean size, for each seed; its 95 % "
        "interval and p (paired, against the same model without an encoding, corrected as all p of this report) are "
        "over seeds. A small loss of a poor metric is no merit: read it beside the constant prediction.",
    ]
    few = [f"{each.name} ({each.graphs})" for each in bins if each.graphs < FEW]
    if few:
        lines += ["", f"Too few graphs to say much: {', '.join(few)}."]
    return "\n".join(lines)


def sizes_csv(runs: Sequence[Run]) -> str:
    """A row for each run and bin of sizes; the options that vary are columns."""
    varied = list(dict.fromkeys(name for run in runs for name in run.options))
    rows = [
        {
            "task": run.task,
            "encoding": run.encoding,
            "model": run.model,
            "seed": run.seed,
            "unit": run.size_unit,
            "sizes": each.sizes,
            "trained": number == 0,
            "mean_size": each.mean,
            "graphs": each.graphs,
            "metric": run.metric,
            "maximize": run.maximize,
            "test": each.test,
            "constant": each.constant,
            **{f"option_{name}": shown(run.options.get(name, "")) for name in varied},
        }
        for run in runs
        for number, each in enumerate(run.sizes)
    ]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", na_rep="nan")


def _score(curve: Curve, place: int) -> str:
    known = [float(score) for score in curve.scores[:, place] if math.isfinite(score)]
    if not known:
        return "not defined"
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
    return spread(float(np.mean(known)), deviation) + ("" if len(known) == len(curve.scores) else f" (of {len(known)})")
