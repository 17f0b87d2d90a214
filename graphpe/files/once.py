"""Files that several steps of one command ask about, read once.

What to train on is asked several times before training: what the targets are of, what the split divides, then the data
itself. Within `read_once` the content of a file is kept from one of these to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_Stamp = tuple[str, str, int, int, int]
_kept: ContextVar[dict[_Stamp, Any] | None] = ContextVar("_kept", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """Within the block, `kept` gives what it gave before of a file that has not changed since; nobody may change it.

    An inner block is part of the outer one.
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def forget() -> None:
    """Let go of what is kept: from here on, the data itself is in memory."""
    if (content := _kept.get()) is not None:
        content.clear()


def kept(kind: str, path: Path, read: Callable[[Path], Any], *, last: bool = False) -> Any:
    """What a file holds.

    Args:
        kind: Tells ways to read one file apart.
        path: The file.
        read: Reads it.
        last: Whether nobody asks again: what is read now is not kept.
    """
    content = _kept.get()
    if content is None or not path.is_file():
        return read(path)
    status = path.stat()
    stamp = (kind, str(path.absolute()), status.st_ino, status.st_mtime_ns, status.st_size)
    if stamp not in content:
        content[stamp] = read(path)
    return content.pop(stamp) if last else content[stamp]
