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
except ImportError:  # Windows: nothing keeps two processes out of one folder
    fcntl = None  # type: ignore[assignment]

_PAUSE = 0.1


@contextmanager
def locked(folder: Path, busy: str, *, wait: float = 0.0) -> Iterator[int | None]:
    """Hold the lock of a folder. Where the file system has no locks, nothing is locked.

    Args:
        folder: The folder, which is there.
        busy: What to say when another process holds the lock.
        wait: Seconds in which the other may let go of it.

    Yields:
        The lock, a file descriptor: it is held until every copy of it is closed. None where there are no locks.

    Raises:
        GraphPERuntimeError: Another process holds it.
    """
    handle = acquire(folder, busy, wait=wait)
    try:
        yield handle
    finally:
        release(handle)


def acquire(folder: Path, busy: str, *, wait: float = 0.0) -> int | None:
    """Take the lock of a folder until `release` or the end of the process; errors as in `locked`.

    Args:
        folder: The folder, which is there.
        busy: What to say when another process holds the lock.
        wait: Seconds in which the other may let go of it.

    Returns:
        What `release` takes; None where there are no locks.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(handle)
                raise GraphPERuntimeError(busy) from None
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            os.close(handle)
            return None
        else:
            return handle


def release(handle: int | None) -> None:
    """Let go of a lock.

    Args:
        handle: What `acquire` returned.
    """
    if handle is not None:
        os.close(handle)
