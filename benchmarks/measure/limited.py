"""A function in a process of its own, with a limit of time and of memory."""

from __future__ import annotations

import math
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Result = TypeVar("Result")

# What the server of processes has imported costs its children nothing.
_IMPORTED = [
    "torch",
    "torch_geometric",
    "scipy.sparse.linalg",
    "numba",
    "pyamg",
    "threadpoolctl",
    "graphpe.eigen.eigsh",
]


OUT_OF_CPU = "out of processor time"
"""Why a function of `limit_cpu` was stopped."""


class Stopped(Exception):
    """The function did not return: the message says why."""


def call_limited(function: Callable[..., Result], *arguments: Any, seconds: float, gigabytes: float = 0) -> Result:
    """What the function returns, or `Stopped`: out of time, out of memory, or an error of its own.

    Args:
        function: A function of a module.
        *arguments: What it is called with.
        seconds: Wall time that it may take; the start of its process is not counted.
        gigabytes: Address space that it may take; 0 for no limit.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_IMPORTED, function.__module__])
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, function, arguments, gigabytes), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()  # it has begun
        if not ours.poll(seconds):
            raise Stopped(f"> {seconds:g} s")
        worked, result = ours.recv()
    except (EOFError, ConnectionError):
        process.join()
        raise Stopped(OUT_OF_CPU if process.exitcode == -signal.SIGXCPU else "killed") from None
    finally:
        process.kill()
        process.join()
    if not worked:
        raise Stopped(result)
    return result


def limit_cpu(seconds: float) -> None:
    """Let this process take so many processor seconds more, and end it then."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds), hard))


def _run(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], gigabytes: float) -> None:
    if gigabytes > 0:
        limit = int(gigabytes * 1e9)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    connection.send(None)
    try:
        outcome = (True, function(*arguments))
    except MemoryError:
        outcome = (False, "out of memory")
    except Exception as error:
        outcome = (False, f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
    connection.send(outcome)
