"""One process at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphpe.errors import GraphPERuntimeError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PAUSE = 0.1


@contextmanager
def locked(folder: Path, busy: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder. Where the file system has no locks, nothing is locked.

    Args:
        folder: The folder, which is there.
        busy: What to say when another process holds the lock.
        wait: Seconds in which the other may let go of it.

    Raises:
        GraphPERuntimeError: Another process holds it.
    """
    handle = None if fcntl is None else os.open(folder, os.O_RDONLY)
    try:
        if handle is not None:
            _lock(handle, busy, time.monotonic() + wait)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(handle: int, busy: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise GraphPERuntimeError(busy) from None
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            return
        else:
            return
