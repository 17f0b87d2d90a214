"""Sparse factors on the host, by SuperLU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, identity
from scipy.sparse.linalg import splu
from torch import Tensor

from graphpe.eigen.factors.interface import in_double

# Random vectors that measure the error of factors, and by how much their estimate is raised.
_PROBES, _SAFETY = 8, 2.0
# Minimum degree takes time as the square of the longest row; COLAMD, which fills up more, sets long rows aside.
_LONG = 2000


class SuperLU:
    """`Factors` on the host.

    That no eigenvalue is below the shift is certain by the signs of the pivots, or, for matrices without positive
    entries off the diagonal, by a positive solution for a positive right-hand side.

    Attributes:
        dtype: float64 or complex128.
        device: The CPU.
        entries: Of the last factors.
        counts_cheaply: False: factors take as long as many solves.

    Args:
        matrix: The matrix, Hermitian, in double precision.
    """

    counts_cheaply = False

    def __init__(self, matrix: csc_matrix) -> None:
        self._matrix = matrix
        self.dtype = torch.complex128 if matrix.dtype.kind == "c" else torch.float64
        self.device = torch.device("cpu")
        self.entries = 0
        self._factors: Any = None

    def factor(self, shift: float) -> int | None:
        """Factor A - shift I, in place of what was factored before.

        Args:
            shift: The shift.

        Returns:
            How many eigenvalues of A are below the shift, or None where the factors do not say.
        """
        self._factors = _factor(self._matrix, shift)
        self.entries = self._factors.nnz
        image = self._factors.solve(np.ones(self._matrix.shape[0], self._matrix.dtype))
        if not np.isfinite(image).all():
            return None
        if np.isrealobj(image) and (image > 0).all() and _is_nonpositive_off_diagonal(self._matrix):  # an M-matrix
            return 0
        if (self._factors.perm_r != self._factors.perm_c).any():
            return None
        pivot = self._factors.U.diagonal().real
        return int(np.count_nonzero(pivot < 0)) if pivot.all() else None

    def solve(self, block: Tensor) -> Tensor:
        """(A - shift I)^-1 times a block `[n, m]`; not finite where A - shift I is singular.

        Args:
            block: The block, `[n, m]`.
        """
        return torch.from_numpy(self._factors.solve(block.numpy()))

    def matmul(self, block: Tensor) -> Tensor:
        """A times a block `[n, m]`.

        Args:
            block: The block, `[n, m]`.
        """
        return torch.from_numpy(self._matrix @ block.numpy())


def _factor(matrix: csc_matrix, shift: float) -> Any:
    """SuperLU's factors of A - shift I, with the pivots on the diagonal where they are not exactly zero."""
    return splu(
        (matrix - shift * identity(matrix.shape[0], dtype=matrix.dtype, format="csc")).tocsc(),
        permc_spec="MMD_AT_PLUS_A" if np.diff(matrix.indptr).max() < _LONG else "COLAMD",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


def _is_nonpositive_off_diagonal(matrix: csc_matrix) -> bool:
    column = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return bool((matrix.data[matrix.indices != column] <= 0).all())


def negative_pivots(matrix: csc_matrix, shift: float) -> tuple[int, float] | None:
    """Eigenvalues of a Hermitian matrix below a shift: the negative pivots of A - shift I = L D L^H (Sylvester).

    Args:
        matrix: The matrix, in double precision.
        shift: The shift.

    Returns:
        Their number, and an estimate of the Frobenius norm of A - shift I - L D L^H from above, from products with
        random vectors: the number is that of a shift that is at most so far away. None where a pivot is zero.
    """
    try:
        factors = _factor(matrix, shift)
    except RuntimeError:  # exactly singular
        return None
    if (factors.perm_r != factors.perm_c).any():
        return None
    lower, pivot = factors.L, factors.U.diagonal().real
    block = np.random.default_rng(0).standard_normal((len(pivot), _PROBES))
    image = np.empty((len(pivot), _PROBES), matrix.dtype)
    image[factors.perm_c] = matrix @ block - shift * block
    ordered = np.empty_like(block)
    ordered[factors.perm_c] = block
    image -= lower @ (pivot[:, None] * (lower.conj().T @ ordered))
    return int(np.count_nonzero(pivot < 0)), float(_SAFETY * np.linalg.norm(image) / _PROBES**0.5)


def by_columns(matrix: Tensor) -> csc_matrix:
    """A matrix on the CPU in double precision, by columns.

    Args:
        matrix: The matrix, dense or torch CSR.
    """
    if matrix.layout != torch.sparse_csr:
        return csc_matrix(_raised(matrix))
    parts = _raised(matrix.values()), matrix.col_indices().numpy(), matrix.crow_indices().numpy()
    return csr_matrix(parts, shape=tuple(matrix.shape)).tocsc()


def _raised(values: Tensor) -> NDArray[Any]:
    return in_double(values).clone().numpy()
