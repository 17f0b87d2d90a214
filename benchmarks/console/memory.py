"""Running out of memory, in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphpe.errors import GraphPEError, GraphPERuntimeError

# Limits of a container, of either version of Linux's control groups.
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

# What torch's allocators, C++ and threads say in a RuntimeError; torch has a class of its own only for GPUs.
_SAYINGS = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc", "can't start new thread")


class OutOfMemory(GraphPERuntimeError):
    """There was not enough memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory did not suffice, or came of one that does.

    Where a writer of torch has no memory, what it raises at last is that the end of its file is at the wrong place.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return True
        if isinstance(cause, RuntimeError) and any(saying in str(cause).lower() for saying in _SAYINGS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Turn every kind of running out of memory into `OutOfMemory`.

    Args:
        advice: What to do.
    """
    try:
        yield
    except GraphPEError:
        raise
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory ({first_line(error)}): {advice}") from None


def memory_limit() -> int | None:
    """Bytes that this process can have at most: the machine's, or less where that is limited; None if not known."""
    limits = [int(text) for path in _CGROUPS if path.exists() and (text := path.read_text().strip()).isdecimal()]
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # Windows
        pass
    try:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [soft] if soft != resource.RLIM_INFINITY else []
    except ImportError:  # Windows
        pass
    return min(limits, default=None)


def first_line(error: BaseException) -> str:
    """What an error says, without the stack of C++ that torch adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
