"""Processes of their own for runs: forked from one that has imported everything and done nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext

from tqdm import tqdm


def forking_context() -> ForkServerContext:
    """The context whose processes start at once, whatever threads and devices this process has."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["graphpe.benchmarks.training.experiment"])
    return context


@contextmanager
def one_thread_while_importing() -> Iterator[None]:
    """The process that others are forked from must not start threads of BLAS: they would not survive the fork."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def begin_process() -> None:
    """What a process that was started for a run does first.

    It is asked to stop when the one that started it ends; Ctrl-C in the terminal is for that one alone.
    """
    tqdm.set_lock(threading.RLock())  # the default one is shared between processes, and not cleaned up after a kill
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    threading.Thread(target=watch, daemon=True).start()
