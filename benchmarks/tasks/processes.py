"""Parsing in several processes, in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from graphpe.errors import GraphPERuntimeError

Item = TypeVar("Item")
Parsed = TypeVar("Parsed")


def in_processes(
    parse: Callable[[Item], Parsed], items: Sequence[Item], workers: int, *, at_once: int, what: str = "source"
) -> Iterator[Parsed]:
    """What `parse` gives for each item, in order.

    Args:
        parse: A function of a module, or a `partial` of one.
        items: What it is called with.
        workers: Processes.
        at_once: Items that a process is given together.
        what: What is parsed, for an error.

    Raises:
        GraphPERuntimeError: A process dies.
    """
    if workers == 1 or len(items) < 2 or multiprocessing.current_process().daemon:  # a daemon may have no children
        yield from map(parse, items)
        return
    pool = None
    try:
        pool = ProcessPoolExecutor(min(workers, len(items)), mp_context=_context(), initializer=_ignore_interrupts)
        with _without_fork_warning():
            results = pool.map(parse, items, chunksize=at_once)
    except OSError:  # no semaphores or no more processes to be had here
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        yield from map(parse, items)
        return
    try:
        yield from results
    except BrokenProcessPool:
        raise GraphPERuntimeError(
            f"a process died while parsing {what} (out of memory, or a text that crashes the parser): "
            "try it with workers=1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _context() -> multiprocessing.context.BaseContext:
    """Forked processes where they are safe: they start at once and need no guard in the caller's script.

    The children run the parser and NumPy indexing only, nothing that takes a lock or a thread of the parent.
    """
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


@contextmanager
def _without_fork_warning() -> Iterator[None]:
    """Python 3.12 warns of forking beside other threads; see `_context` for why it is safe here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        yield


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which stops its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
