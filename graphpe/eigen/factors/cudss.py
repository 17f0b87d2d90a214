"""Sparse factors on a CUDA device, by cuDSS through nvmath-python (extra `gpu`)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from graphpe.eigen.factors.interface import in_double
from graphpe.eigen.operators.base import quiet
from graphpe.errors import EigenError

_API = "nvmath.sparse.advanced"


def is_there(device: torch.device) -> bool:
    """Whether factors can be had on a device: a CUDA device, with nvmath-python and cuDSS installed.

    Args:
        device: The device.
    """
    return device.type == "cuda" and _loads()


@cache
def _loads() -> bool:
    """Whether nvmath-python is installed and finds the library of cuDSS."""
    try:
        importlib.import_module(_API)
        importlib.import_module("nvmath.bindings.cudss").get_property(0)
    except (ImportError, RuntimeError, OSError):
        return False
    return True


class CuDSS:
    """`Factors` on a CUDA device: L D L^H of the upper triangle, planned once; each shift is a numerical factorisation.

    cuDSS counts the pivots by their signs: the negative ones are the eigenvalues below the shift. Where it had to
    perturb a pivot, the signs are those of another matrix, and nothing is said.

    Attributes:
        dtype: float64 or complex128.
        device: That of the matrix.
        entries: Of the last factors.
        counts_cheaply: True: factors are the device's, while solves wait for each other.

    Args:
        matrix: The matrix, Hermitian, on a CUDA device, dense or torch CSR; single precision is raised to double.
        columns: Right-hand sides that are solved for together.

    Raises:
        EigenError: cuDSS fails, for want of memory, say.
    """

    counts_cheaply = True

    def __init__(self, matrix: Tensor, columns: int) -> None:
        api = importlib.import_module(_API)
        self._matrix = _csr(in_double(matrix))
        self.dtype, self.device = self._matrix.dtype, self._matrix.device
        self.entries = 0
        upper, self._diagonal = _upper(self._matrix)
        # Its values are overwritten for each shift: the solver keeps the addresses.
        self._values, self._unshifted = upper.values(), upper.values().clone()
        self._right = torch.zeros(columns, upper.shape[0], dtype=self.dtype, device=self.device).T
        with _said("plan factors"):
            self._solver = api.DirectSolver(upper, self._right, options=_options(api, self.dtype))
            try:
                self._solver.plan()
            except BaseException:
                self._solver.free()
                raise

    def __enter__(self) -> CuDSS:
        return self

    def __exit__(self, *error: Any) -> None:
        self._solver.free()

    def factor(self, shift: float) -> int | None:
        """Factor A - shift I, in place of what was factored before.

        Args:
            shift: The shift.

        Returns:
            How many eigenvalues of A are below the shift, or None where the factors do not say.

        Raises:
            EigenError: cuDSS fails.
        """
        self._values.copy_(self._unshifted)
        self._values[self._diagonal] -= shift
        with _said("factor"):
            info = self._solver.factorize()
            positive, negative = (int(count) for count in info.inertia)
            self.entries = int(info.lu_nnz)
            perturbed = int(info.npivots)
        return negative if perturbed == 0 and positive + negative == self._matrix.shape[0] else None

    def solve(self, block: Tensor) -> Tensor:
        """(A - shift I)^-1 times a block `[n, m]`; not finite where A - shift I is singular.

        Args:
            block: The block, `[n, m]`.

        Raises:
            EigenError: cuDSS fails.
        """
        width = self._right.shape[1]
        solved = []
        with _said("solve"):
            for part in block.split(width, 1):
                self._right[:, : part.shape[1]] = part
                solved.append(self._solver.solve()[:, : part.shape[1]])
        return solved[0] if len(solved) == 1 else torch.cat(solved, 1)

    def matmul(self, block: Tensor) -> Tensor:
        """A times a block `[n, m]`.

        Args:
            block: The block, `[n, m]`.
        """
        return self._matrix @ block


def _options(api: ModuleType, dtype: torch.dtype) -> Any:
    kinds = api.DirectSolverMatrixType
    return api.DirectSolverOptions(
        sparse_system_type=kinds.HERMITIAN if dtype.is_complex else kinds.SYMMETRIC,
        sparse_system_view=api.DirectSolverMatrixViewType.UPPER,
    )


@contextmanager
def _said(what: str) -> Iterator[None]:
    """What cuDSS raises, or torch for want of memory, in one line that says what to do."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, RuntimeError) and type(error).__name__ != "cuDSSError":  # a class of nvmath's own
            raise
        reason = str(error).partition("\n")[0]
        raise EigenError(
            f"cuDSS cannot {what}: {reason}; choose a solver without factors, solver='chebyshev_filter', say"
        ) from error


def _csr(matrix: Tensor) -> Tensor:
    with quiet():
        return matrix if matrix.layout == torch.sparse_csr else matrix.to_sparse_csr()


def _upper(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The upper triangle with its whole diagonal, CSR, with indices of 32 bits if they fit; where that stands."""
    size, crow = matrix.shape[0], matrix.crow_indices()
    each = torch.arange(size, device=matrix.device)
    row = torch.repeat_interleave(each, crow.diff(), output_size=matrix.values().numel())
    col, value = matrix.col_indices(), matrix.values()
    kept = row < col
    # The diagonal once, wherever it stands and whether or not it does; then by rows, with the diagonal first.
    diagonal = torch.zeros(size, dtype=matrix.dtype, device=matrix.device)
    diagonal.index_add_(0, row, torch.where(row == col, value, 0))
    row, col, value = (torch.cat(part) for part in ((each, row[kept]), (each, col[kept]), (diagonal, value[kept])))
    order = torch.argsort(row * size + col)
    start = torch.zeros(size + 1, dtype=torch.int64, device=matrix.device)
    start[1:] = torch.bincount(row, minlength=size).cumsum(0)
    narrow = torch.int32 if len(value) < 2**31 else torch.int64
    with quiet():
        upper = torch.sparse_csr_tensor(
            start.to(narrow), col[order].to(narrow), value[order], matrix.shape, check_invariants=False
        )
    return upper, start[:-1]
