"""One BLAS thread where several only wait for each other.

On matrices of a few hundred rows OpenBLAS's threads gain little on idle cores and lose 5 to 20-fold on shared ones:
they spin. Data loaders, test suites and clusters share cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run BLAS on one thread inside the block, then as before. Costs some microseconds; holds for the whole process."""
    libraries = _blas_libraries()
    before = [library.get_num_threads() for library in libraries]
    for library in libraries:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, number in zip(libraries, before, strict=True):
            library.set_num_threads(number)


@cache
def _blas_libraries() -> list[Any]:
    # Looking for the libraries takes 10 ms; `ThreadpoolController.limit`, which looks at more than BLAS, 70 us.
    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]
