"""What speed measurements share: their options, sides that take turns, and the words under a table."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch_geometric


def parser(description: str, *, graphs: int, repeats: int) -> argparse.ArgumentParser:
    """The options that every measurement has."""
    out = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--graphs", type=int, default=graphs, help="graphs of each kind")
    out.add_argument("--repeats", type=int, default=repeats, help="turns of each side")
    out.add_argument("--threads", type=int, default=1, help="torch threads, for both sides")
    out.add_argument("--data", type=Path, help="folder with ogbg_molhiv (default: $GRAPHPE_DATA or ../shared/data)")
    out.add_argument("--seed", type=int, default=0)
    out.add_argument("--out", type=Path, help="write the table there, as Markdown")
    return out


def take_turns(sides: Sequence[Callable[[], object]], repeats: int, *, warm_up: bool = True) -> list[float]:
    """Median seconds of each side; they take turns, so that what else the machine does falls on all of them."""
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + warm_up):
        for side, taken in zip(sides, times, strict=True):
            start = time.perf_counter()
            side()
            if turn >= warm_up:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def machine() -> str:
    """What it ran on."""
    versions = f"torch {torch.__version__}, PyG {torch_geometric.__version__}, Python {platform.python_version()}"
    return f"{versions}, {torch.get_num_threads()} thread(s) of {os.cpu_count()} {platform.machine()} cores"
