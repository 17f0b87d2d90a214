"""What was run, and where the page was made."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

import torch
import torch_geometric

import graphpe
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.results import Combination


def about(cells: Sequence[Cell], combinations: Sequence[Combination]) -> str:
    """A list of what was run, as HTML.

    Runs do not record the machine that they were made on: named is that on which the page was made.

    Args:
        cells: All of the grid.
        combinations: Those of the report.
    """
    runs = [run for each in combinations for run in each.runs]
    states = Counter(cell.status for cell in cells)
    counted = [f"{states['done']} of {len(cells)} finished"]
    words = {"failed": "failed", "damaged": "damaged", "started": "not finished"}
    counted += [f"{states[state]} {word}" for state, word in words.items() if states[state]]  # type: ignore[index]
    seeds, epochs = sorted({run.seed for run in runs}), sorted({run.epochs for run in runs})
    finished = sorted((cell.run / "summary.json").stat().st_mtime for cell in cells if cell.status == "done")
    rows = {
        "cells": ", ".join(counted),
        "tasks": "; ".join(dict.fromkeys(each.task for each in combinations)),
        "seeds": ", ".join(map(str, seeds)),
        "epochs made": _range(epochs),
        "parameters": _range(sorted({run.parameters for run in runs})),
        "time": f"{_duration(sum(run.seconds for run in runs))} of encoding and training, all runs together",
        "finished": " to ".join(dict.fromkeys(map(_minute, (finished[0], finished[-1])))) if finished else "",
        "page made": f"{_minute(datetime.now(UTC).timestamp())} on {_machine()}",
        "versions there": (
            f"graphpe {graphpe.__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
            f"torch_geometric {torch_geometric.__version__}"
        ),
    }
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows.items() if text)
    return f"<dl>{items}</dl>"


def _machine() -> str:
    """The processor, as far as the system says what it is; not the name of the machine."""
    processor = platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {processor}, {os.cpu_count()} cores{gpu}"


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def _minute(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
