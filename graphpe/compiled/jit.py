"""Loops over graphs, nodes and edges that are compiled by numba, where there is enough to do.

A compiled function takes and returns arrays and numbers, releases the GIL, and is kept on disk after the first call, so
that one process in a machine's life pays for the compiler: some seconds a function, a minute for all of them. Until
then, small work is not worth that. Python itself runs a `compiled` function on a graph of some tens of nodes in
milliseconds, from the same source and to the same numbers; a `machine_code` function, which Python cannot run, has a
caller that asks `is_ready` and takes another way. The compiler is started

* for a call on many numbers, as of a dataset or a batch, and for a function that Python has run often enough;
* always inside `everything_compiled`: what must give the same bits on every machine, whatever was compiled there before
  (`precompute`, loaders, training), runs there;
* by `graphpe warmup`, ahead of the work.
"""

from __future__ import annotations

import logging
import mmap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

# Numbers in the arrays of a call up to which Python runs it, and of all calls of a function that Python runs in one
# process. n^2 numbers may take n^3 steps, 128 steps each: two seconds for one call at the very most.
_SMALL, _OFTEN = 1 << 14, 1 << 16

_TO_LOAD, _TO_COMPILE = 1 << 25, 1 << 27  # bytes that LLVM may need at most

Function = TypeVar("Function", bound=Callable[..., Any])

_everything = 0  # depth of `everything_compiled`
_told = False


class _Interpreting(threading.local):
    """How many functions are open that Python runs, in this thread: what those call is a part of their work."""

    depth = 0


_interpreting = _Interpreting()


class Loop(CPUDispatcher):
    """A function that numba compiles, or not yet."""

    in_python = True
    _cache: Any
    _cache_hits: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.measure = _numbers
        self.work = 0  # done without compiled code, in this process
        self.ready: set[tuple[Any, ...]] = set()  # see `is_ready`
        self.absent: set[tuple[Any, ...]] = set()  # for which it found nothing on disk
        self._missing: set[tuple[Any, ...]] = set()  # types for which there is nothing on disk
        try:
            self.enable_caching()
        except RuntimeError:  # no folder can be written to: not beside the source, not in the user's cache
            pass

    def _compile_for_args(self, *arguments: Any) -> Any:
        """What numba calls for arguments of new types; returns what is to be called with them."""
        if self.in_python and _interpreting.depth:
            return self.py_func
        if not self.is_compiled(arguments):
            if self.in_python and not _everything:
                work = self.measure(*arguments)
                self.work += work
                if work <= _SMALL and self.work <= _OFTEN:
                    return partial(_interpret, self.py_func)
            _tell()
            _check_room(_TO_COMPILE)
        return super()._compile_for_args(*arguments)  # type: ignore[misc]

    def is_compiled(self, arguments: tuple[Any, ...]) -> bool:
        """Whether there is compiled code for such arguments: in this process, or on disk.

        Args:
            arguments: Arguments of the types in question.
        """
        types = tuple(self.typeof_pyval(each) for each in arguments)
        if types in self.overloads:
            return True
        if types in self._missing:
            return False
        _check_room(_TO_LOAD)
        with global_compiler_lock:
            found = self._cache.load_overload(types, self.targetctx)
            if found is None:
                self._missing.add(types)
                return False
            # Kept, as `compile` does: code that is read once more would share its constants with what was let go of.
            self.targetctx.insert_user_function(found.entry_point, found.fndesc, [found.library])
            self.add_overload(found)
            self._cache_hits[types] += 1
        return True


def compiled(function: Function) -> Function:
    """The function, compiled when that is worth it; until then Python runs it.

    At most about 128 steps for each number in the arrays that it is given: see `compiled_by_steps` for others.

    Args:
        function: The function.
    """
    return cast(Function, _loop(function))


def compiled_by_steps(steps: Callable[..., float]) -> Callable[[Function], Function]:
    """`compiled`, for functions whose work the size of their arguments does not tell.

    Args:
        steps: From the arguments to the number of steps, about, of the innermost loop.
    """

    def decorate(function: Function) -> Function:
        loop = _loop(function)
        loop.measure = lambda *arguments: max(_numbers(*arguments), int(steps(*arguments)) >> 7)
        return cast(Function, loop)

    return decorate


def machine_code(function: Function) -> Function:
    """The function, always compiled: Python has no vector registers, or the work is not bounded by the arguments.

    Args:
        function: The function.
    """
    loop = _loop(function)
    loop.in_python = False
    return cast(Function, loop)


def _loop(function: Callable[..., Any]) -> Loop:
    return Loop(function, targetoptions={"nopython": True, "nogil": True, "boundscheck": None})


def is_ready(function: Callable[..., Any], work: int, enough: int, *arguments: Any) -> bool:
    """Whether a `machine_code` function should be called, rather than what takes its place until it is compiled.

    Args:
        function: The function.
        work: What there is to do, in a unit of the caller's.
        enough: From so much work in one process on, compiling is worth it.
        arguments: What it would be called with: there may be compiled code for arguments of such types.
    """
    loop = cast(Loop, function)
    kinds = tuple(getattr(each, "dtype", None) for each in arguments)  # numba's types of them take 20 us
    if _everything or kinds in loop.ready:
        return True
    loop.work += work
    if loop.work <= enough:
        if kinds in loop.absent:
            return False
        if not loop.is_compiled(arguments):
            loop.absent.add(kinds)
            return False
    loop.ready.add(kinds)
    return True


@contextmanager
def everything_compiled() -> Iterator[None]:
    """Compile whatever is called inside the block, however small the work; holds for the whole process."""
    global _everything
    _everything += 1
    try:
        yield
    finally:
        _everything -= 1


def compiles_everything() -> bool:
    """Whether this is inside `everything_compiled`."""
    return _everything > 0


def _numbers(*arguments: Any) -> int:
    """The numbers in the arrays."""
    return sum(each.size for each in arguments if isinstance(each, np.ndarray))


def _interpret(function: Callable[..., Any], *arguments: Any) -> Any:
    _interpreting.depth += 1
    try:
        with np.errstate(all="ignore"):  # integers wrap and divisions by zero are silent, as in compiled code
            return function(*arguments)
    finally:
        _interpreting.depth -= 1


def _check_room(size: int) -> None:
    """Raise where so many bytes are not to be had: LLVM would end the process.

    Raises:
        MemoryError: They are not.
    """
    try:
        mmap.mmap(-1, size).close()
    except OSError:
        raise MemoryError(f"no {size >> 20} MiB are left for compiled loops") from None


def _tell() -> None:
    """Say once in a process why it takes so long."""
    global _told
    if not _told:
        _told = True
        logging.getLogger("graphpe").warning(
            "graphpe compiles loops, once on this machine: some seconds each (`graphpe warmup` does that ahead)"
        )
