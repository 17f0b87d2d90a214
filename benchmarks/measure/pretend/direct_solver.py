"""cuDSS on the pretended accelerator: `nvmath.sparse.advanced` as far as graphpe calls it, by dense matrices.

Signatures are those of nvmath-python (`tests/graphpe/eigen/factors/test_cudss.py` compares them where that is
installed), and it refuses what nvmath refuses: other layouts, rows in the wrong order, a call before its time. Pivots,
their rounding and speed are not modelled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from graphpe.benchmarks.measure.pretend.tensors import DEVICE, There
from graphpe.eigen.factors import cudss


class DirectSolverMatrixType(IntEnum):
    """What is known of the matrix."""

    GENERAL = 0
    SYMMETRIC = 1
    HERMITIAN = 2


class DirectSolverMatrixViewType(IntEnum):
    """Which part of the matrix is read."""

    FULL = 0
    LOWER = 1
    UPPER = 2


@dataclass
class DirectSolverOptions:
    """How a system is given."""

    sparse_system_type: int = DirectSolverMatrixType.GENERAL
    sparse_system_view: int = DirectSolverMatrixViewType.FULL


@dataclass
class DirectSolverFactorizationInfo:
    """What is said of factors."""

    inertia: tuple[int, int]
    lu_nnz: int
    npivots: int = 0


class DirectSolver:
    """a x = b on the pretended device; `a` and `b` are read when it factorises and solves, as their owner has them."""

    def __init__(
        self,
        a: Tensor,
        b: Tensor,
        *,
        options: DirectSolverOptions | None = None,
        execution: Any = None,
        stream: Any = None,
    ) -> None:
        if not (isinstance(a, There) and isinstance(b, There)):
            raise TypeError(f"operands must be on {DEVICE}, got {a.device} and {b.device}")
        if a.layout != torch.sparse_csr or a.crow_indices().dtype not in (torch.int32, torch.int64):
            raise TypeError(f"the matrix must be CSR, got {a.layout}")
        if b.dim() != 2 or b.stride(0) != 1 or (b.shape[1] > 1 and b.stride(1) < b.shape[0]):
            raise TypeError(f"right-hand sides must stand by columns, got strides {b.stride()}")
        if a.dtype != b.dtype or a.shape[1] != b.shape[0]:
            raise TypeError(f"{a.dtype} {list(a.shape)} and {b.dtype} {list(b.shape)} do not go together")
        self._a, self._b, self._options = a.here, b.here, options or DirectSolverOptions()
        self._planned: Tensor | None = None
        self._factored: tuple[Tensor, Tensor] | None = None

    def plan(self, *, stream: Any = None) -> None:
        """Look at the structure."""
        self._planned = self._a.col_indices().clone()

    def factorize(self, *, stream: Any = None) -> DirectSolverFactorizationInfo:
        """Take the values as they are now."""
        if self._planned is None or not torch.equal(self._planned, self._a.col_indices()):
            raise RuntimeError("factorize needs a plan of this structure")
        full = self._a.to_dense()
        match self._options.sparse_system_view:
            case DirectSolverMatrixViewType.UPPER:
                upper = full.triu()
            case DirectSolverMatrixViewType.LOWER:
                upper = full.tril().mH
            case _:
                upper = full
        if self._options.sparse_system_type != DirectSolverMatrixType.GENERAL:
            rest = upper.triu(1)
            kind = self._options.sparse_system_type
            full = upper.triu() + (rest.mH if kind == DirectSolverMatrixType.HERMITIAN else rest.mT)
        self._factored = torch.linalg.lu_factor(full)
        values = torch.linalg.eigvalsh(full)
        return DirectSolverFactorizationInfo((int((values > 0).sum()), int((values < 0).sum())), full.numel())

    def solve(self, *, stream: Any = None) -> Tensor:
        """The solutions, by columns as the right-hand sides."""
        if self._factored is None:
            raise RuntimeError("solve needs factors")
        return There(torch.linalg.lu_solve(*self._factored, self._b).T.contiguous().T)

    def free(self) -> None:
        """Forget plan and factors."""
        self._planned = self._factored = None


@contextmanager
def pretending_cudss() -> Iterator[None]:
    """A time in which cuDSS is there on the pretended device."""
    name = "nvmath.sparse.advanced"
    module = ModuleType(name)
    for each in (DirectSolver, DirectSolverOptions, DirectSolverMatrixType, DirectSolverMatrixViewType):
        setattr(module, each.__name__, each)
    with patch.dict(sys.modules, {name: module}), patch.object(cudss, "is_there", lambda device: device == DEVICE):
        yield
