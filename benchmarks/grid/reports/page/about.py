"""What was run, and where the page was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from graphpe.benchmarks.console.machine import machine, machine_text
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.reports.table import duration_text
from graphpe.benchmarks.grid.results import Combination


def about(cells: Sequence[Cell], combinations: Sequence[Combination]) -> str:
    """A list of what was run, as HTML.

    Args:
        cells: All of the grid; none where the report is of raw numbers.
        combinations: Those of the report.
    """
    runs = [run for each in combinations for run in each.runs]
    states = Counter(cell.status for cell in cells)
    counted = [
        f"{states['done']} of {len(cells)} finished" if cells else f"{len(runs)} finished, read from raw numbers"
    ]
    words = {"failed": "failed", "damaged": "damaged", "started": "not finished"}
    counted += [f"{states[state]} {word}" for state, word in words.items() if states[state]]  # type: ignore[index]
    seeds, epochs = sorted({run.seed for run in runs}), sorted({run.epochs for run in runs})
    machines = Counter(run.machine for run in runs if run.machine)
    finished = sorted((cell.run / "summary.json").stat().st_mtime for cell in cells if cell.status == "done")
    rows = {
        "cells": ", ".join(counted),
        "tasks": "; ".join(dict.fromkeys(each.task for each in combinations)),
        "seeds": ", ".join(map(str, seeds)),
        "epochs made": _range(epochs),
        "parameters": _range(sorted({run.parameters for run in runs})),
        "time": f"{duration_text(sum(run.seconds for run in runs))} of encoding and training, all runs together",
        "finished": " to ".join(dict.fromkeys(map(_minute, (finished[0], finished[-1])))) if finished else "",
        "runs made on": "; ".join(f"{where} ({count} of {len(runs)} runs)" for where, count in machines.items()),
        "page made": f"{_minute(datetime.now(UTC).timestamp())} on {machine_text(machine())}",
    }
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows.items() if text)
    return f"<dl>{items}</dl>"


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def _minute(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
