"""Ours beside what others published for the same task, architecture and encoding, with the budgets of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from graphpe.benchmarks.console.columns import aligned
from graphpe.benchmarks.grid.reports.published.figures import figures_beside
from graphpe.benchmarks.grid.reports.published.literature import UNCHECKED, Published
from graphpe.benchmarks.grid.reports.table import spread, table_heading, table_row
from graphpe.benchmarks.grid.results import Combination


@dataclass(frozen=True)
class Pair:
    """A combination and a published figure of the same task, architecture and encoding.

    Attributes:
        ours: The combination.
        theirs: The figure.
    """

    ours: Combination
    theirs: Published

    @property
    def smaller(self) -> str:
        """In what our budget was the smaller one: `epochs`, `parameters`, both, `no`; `not known` without theirs."""
        known = [name for name in ("epochs", "parameters") if getattr(self.theirs, name)]
        less = [name for name in known if self.ours.mean(name) < getattr(self.theirs, name)]
        return "in " + " and ".join(less) if less else "no" if known else "not known"


@dataclass(frozen=True)
class Beside:
    """All pairs of a report.

    Attributes:
        pairs: In the order of the grid.
        without: How many combinations have no published figure.
    """

    pairs: tuple[Pair, ...]
    without: int

    @classmethod
    def of(cls, combinations: Sequence[Combination]) -> Beside:
        """The pairs of some combinations."""
        pairs = [(each, figures_beside(each)) for each in combinations]
        return cls(
            tuple(Pair(each, figure.row) for each, figures in pairs for figure in figures),
            sum(not figures for _, figures in pairs),
        )

    @property
    def left_out(self) -> str:
        """A line about the combinations without a published figure; empty where each has one."""
        if not self.without:
            return ""
        total = self.without + len({id(pair.ours) for pair in self.pairs})
        return f"{self.without} of {total} combinations of task, model and encoding have no published figure"

    def section(self) -> str:
        """The part of a report, as Markdown."""
        lines = ["## Beside published figures", ""]
        sources = list(dict.fromkeys(pair.theirs.source for pair in self.pairs))
        if self.pairs:
            columns = ["encoding", "model", "task", "metric", "ours", "our n", "theirs", "their n", "their name"]
            columns += [
                "source",
                "our epochs",
                "their epochs",
                "our parameters",
                "their parameters",
                "our budget smaller",
            ]
            lines += table_heading(*columns)
            for pair in self.pairs:
                source = f"{sources.index(pair.theirs.source) + 1}"
                lines.append(table_row(*_ours(pair), source, *_budgets(pair)))
            lines += ["", _TEXT, "", *(f"{number}. {' '.join(each.split())}" for number, each in enumerate(sources, 1))]
        if self.left_out:
            lines += [*([""] if self.pairs else []), f"{self.left_out}."]
        return "\n".join(lines)

    def csv(self) -> str:
        """A line a pair, in full digits."""
        rows = [
            {
                "task": pair.ours.task,
                "model": pair.ours.setup,
                "encoding": pair.ours.row,
                "metric": pair.ours.runs[0].metric,
                "mean": pair.ours.mean(),
                "std": pair.ours.deviation(),
                "n": len(pair.ours.runs),
                "epochs": pair.ours.mean("epochs"),
                "parameters": pair.ours.mean("parameters"),
                "published_model": pair.theirs.model,
                "published_encoding": pair.theirs.encoding,
                "published_mean": pair.theirs.mean,
                "published_std": pair.theirs.deviation,
                "published_n": pair.theirs.runs or None,
                "published_epochs": pair.theirs.epochs or None,
                "published_parameters": pair.theirs.parameters or None,
                "budget_smaller": pair.smaller,
                "source": pair.theirs.source,
            }
            for pair in self.pairs
        ]
        counts = ("published_n", "published_epochs", "published_parameters")
        return pd.DataFrame(rows).astype(dict.fromkeys(counts, "Int64")).to_csv(index=False, lineterminator="\n")

    def lines(self) -> list[str]:
        """What a terminal shows."""
        head = ["encoding", "model", "task", "metric", "ours", "n", "theirs", "n", "published as"]
        head += ["epochs", "theirs", "parameters", "theirs", "our budget smaller"]
        rows = [[*_ours(pair), *_budgets(pair)] for pair in self.pairs]
        lines = ["", *aligned([head, *rows])] if rows else []
        if any(pair.theirs.source.endswith(UNCHECKED) for pair in self.pairs):
            lines.append(f"(*) {UNCHECKED}")
        return [*lines, *([self.left_out] if self.left_out else [])]


def _ours(pair: Pair) -> list[str]:
    ours, theirs = pair.ours, pair.theirs
    mark = " (*)" if theirs.source.endswith(UNCHECKED) else ""
    return [
        *(ours.row, ours.setup, ours.task, ours.runs[0].metric),
        *(spread(ours.mean(), ours.deviation()), f"{len(ours.runs)}"),
        *(spread(theirs.mean, theirs.deviation), f"{theirs.runs or ''}"),
        f"{theirs.model}, {theirs.encoding}{mark}",
    ]


def _budgets(pair: Pair) -> list[str]:
    numbers = []
    for name in ("epochs", "parameters"):
        mean, published = pair.ours.mean(name), getattr(pair.theirs, name)
        numbers += [f"{mean:,.0f}" if math.isfinite(mean) else "", f"{published:,}" if published else ""]
    return [*numbers, pair.smaller]


_TEXT = (
    "Mean and sample standard deviation over n runs, in no test and no rank; n, epochs and parameters of theirs are "
    "empty where they are not known. Epochs of ours are a mean. Beside each other stands what has the same "
    "task, architecture and class of encoding: width, layers, walk lengths, numbers of eigenvectors and how training "
    "went may differ. (*): nobody has compared the figure with its paper."
)
