"""A time in which compiled passes stand back for formulas in PyTorch, whose operations can be seen one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_depth = 0


@contextmanager
def standing_back() -> Iterator[None]:
    """Compiled passes with a reference in PyTorch leave the work to it: values are the same up to rounding."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def stands_back() -> bool:
    """Whether this is inside `standing_back`."""
    return _depth > 0
