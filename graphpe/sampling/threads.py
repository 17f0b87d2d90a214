"""Compiled loops over many independent rows, on as many threads as torch has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch

_NUMBERS_A_THREAD = 1 << 20  # what a thread is worth: some milliseconds


def in_parts(rows: int, numbers: int, run: Callable[[int, int], None]) -> None:
    """Call `run(first, last)` for parts of the rows, at once where there is much to do.

    Args:
        rows: Number of rows.
        numbers: Numbers that all calls write together.
        run: Does rows `first` to `last` - 1, whatever the others do.
    """
    threads = min(torch.get_num_threads(), numbers // _NUMBERS_A_THREAD, rows)
    if threads < 2:
        run(0, rows)
        return
    cuts = np.linspace(0, rows, threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads, "walks") as pool:
        list(pool.map(lambda part: run(*part), pairwise(cuts)))
