"""The table of a task as a data frame, and how people write a mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from graphpe.benchmarks.grid.options import shown
from graphpe.benchmarks.grid.reports.published.literature import Published
from graphpe.benchmarks.grid.results import Combination, baselines_of
from graphpe.benchmarks.tasks.metrics import figure


def table_frame(
    combinations: Sequence[Combination], p_values: Mapping[tuple[str, str], float], literature: Sequence[Published]
) -> pd.DataFrame:
    """One task: a row for each combination, then one for each value from the literature, whose `source` says so."""
    first = combinations[0].runs[0]
    rows = [
        {
            "task": first.task,
            "encoding": each.encoding,
            "model": each.model,
            "metric": first.metric,
            "mean": each.mean(),
            "std": each.deviation(),
            "n": len(each.runs),
            "valid": each.mean("valid"),
            "valid_std": each.deviation("valid"),
            "p_against_none": p_values.get((each.row, each.setup), math.nan),
            "chosen_from": each.chosen_from or None,
            "parameters": each.mean("parameters"),
            "seconds": each.mean("seconds"),
            "graphs_per_second": each.mean("graphs_per_second"),
            "flops_per_graph": each.mean("flops_per_graph"),
            "source": "",
            **{f"option_{name}": shown(value) for name, value in each.options.items()},
        }
        for each in combinations
    ]
    rows += [
        {
            "task": first.task,
            "encoding": "none",
            "model": name,
            "metric": first.metric,
            "mean": test,
            "n": 1,
            "valid": valid,
            "source": "baseline",
        }
        for name, (valid, test) in baselines_of(run for each in combinations for run in each.runs).items()
    ]
    rows += [
        {
            "task": first.task,
            "encoding": row.encoding,
            "model": row.model,
            "metric": first.metric,
            "mean": row.mean,
            "std": row.deviation,
            "n": row.runs or None,
            "source": row.source,
        }
        for row in literature
    ]
    return pd.DataFrame(rows).astype({"n": "Int64", "chosen_from": "Int64"})  # whole, and empty where not known


def spread(mean: float, deviation: float) -> str:
    """Mean and standard deviation as people write them."""
    numbers = [mean, deviation] if math.isfinite(deviation) else [mean]
    return " ± ".join(figure(number, max(map(abs, numbers))) for number in numbers)


def p_text(p_value: float) -> str:
    """A p-value as people write it; empty where there is none."""
    if math.isnan(p_value):
        return ""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def gain_text(difference: float, scale: float | None = None) -> str:
    """A difference with its sign; empty where there is none."""
    return f"{'' if difference < 0 else '+'}{figure(difference, scale)}" if math.isfinite(difference) else ""


def interval_text(low: float, high: float) -> str:
    """An interval; empty where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    scale = max(abs(low), abs(high))
    return f"{gain_text(low, scale)} to {gain_text(high, scale)}"


def unit_text(standardised: float) -> str:
    """A difference in units of a spread; empty where there is none."""
    return f"{standardised:+.1f}" if math.isfinite(standardised) else ""


def rate_text(value: float) -> str:
    """A rate or a count in three digits; empty where it is not known."""
    if not math.isfinite(value):
        return ""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


def duration_text(seconds: float) -> str:
    """A duration that was measured or added up: `45 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table_heading(*names: str) -> list[str]:
    """The first two lines of a table in Markdown."""
    return [table_row(*names), "|---" * len(names) + "|"]


def table_row(*values: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(map(table_cell, values))} |"


def table_cell(text: str) -> str:
    """A text that does not end its cell."""
    return " ".join(text.split()).replace("|", "\\|")
