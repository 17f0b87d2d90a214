"""Loops over graphs, nodes and edges that are compiled by numba.

A compiled function takes and returns arrays and numbers, releases the GIL, and is kept on disk after the first call, so
that one process in a machine's life pays for the compiler (some seconds a function).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function, compiled when it is first called with arguments of new types."""
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder can be written to: not beside the source, not in the user's cache
        return cast(Function, numba.njit(nogil=True)(function))
