"""Lowest eigenpairs of one sparse positive semi-definite matrix by Lanczos on its shifted inverse.

The matrix minus a small negative shift is positive definite, so that SuperLU factors it without pivoting and with a
fill-reducing order that keeps symmetry. Of a sparse graph with little fill (syntax trees with token edges, roads,
meshes) this costs milliseconds where a dense decomposition costs seconds; of an expander the factors fill up.

Lanczos may miss a copy of a repeated eigenvalue. The result is checked by inertia (Sylvester): the signs of the pivots
of A - mu I count the eigenvalues below mu. What does not check out is not returned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as sparse_linalg
from numpy.typing import NDArray

from graphpe.laplacian import Floats

# In units of the spectrum's upper end. The shift is far below the eigenvalues that matter (they converge the faster,
# the closer it is), and far above rounding; the margin of the inertia check separates eigenvalues that are worth
# telling apart.
_SHIFT = 1e-3
_MARGIN = 1e-7
_RESIDUAL = 1e-9


def lowest_by_shift_invert(
    matrix: sparse.csc_matrix, k: int, known: sparse.csc_matrix, top: float
) -> tuple[Floats, NDArray[Any]] | None:
    """The k lowest eigenpairs in the complement of `known`, smallest first.

    O(fill) memory; one factorisation, some tens of solves, and one more factorisation for the check. The start vector
    is fixed: the result is the same every time.

    Args:
        matrix: Hermitian positive semi-definite `[n, n]`, real or complex.
        k: Number of eigenpairs; k + c < n.
        known: Orthonormal eigenvectors of eigenvalue 0 `[n, c]`, to be left out.
        top: An upper bound of the spectrum.

    Returns:
        Values `[k]` and orthonormal vectors `[n, k]`; None where they could not be found and verified.
    """
    size = matrix.shape[0]
    factor = _factorise(matrix, -_SHIFT * top)
    if factor is None:
        return None
    adjoint = known.conj().T.tocsr()

    def without_known(x: NDArray[Any]) -> NDArray[Any]:
        return x - known @ (adjoint @ x)

    def inverse(x: NDArray[Any]) -> NDArray[Any]:
        return without_known(factor.solve(without_known(x)))

    operator = sparse_linalg.LinearOperator(matrix.shape, matvec=inverse, dtype=matrix.dtype)
    start = np.random.default_rng(size).standard_normal((2, size))
    start = start[0] + 1j * start[1] if np.iscomplexobj(matrix.data) else start[0]
    try:
        _, vectors = sparse_linalg.eigsh(operator, k, which="LM", v0=without_known(start.astype(matrix.dtype)))
    except (sparse_linalg.ArpackError, ArithmeticError):
        return None
    # ARPACK's complex solver is made for general matrices: its vectors of a repeated eigenvalue are not orthogonal.
    vectors, _ = np.linalg.qr(without_known(vectors))
    values, rotation = np.linalg.eigh(vectors.conj().T @ (matrix @ vectors))
    vectors = vectors @ rotation
    residual = np.abs(matrix @ vectors - vectors * values).max()
    if residual > _RESIDUAL * top or not _complete(matrix, values, known.shape[1], top):
        return None
    return values, vectors


def _complete(matrix: sparse.csc_matrix, values: Floats, known: int, top: float) -> bool:
    """Whether no eigenvalue clearly below the largest of `values` is missing."""
    level = values[-1] - _MARGIN * top
    if level <= _MARGIN * top:  # too close to the known modes to tell them apart
        return False
    factor = _factorise(matrix, level)
    if factor is None or not np.array_equal(factor.perm_r, factor.perm_c):
        return False
    below = int(np.count_nonzero(factor.U.diagonal().real < 0))
    return below == known + int(np.count_nonzero(values < level))


def _factorise(matrix: sparse.csc_matrix, shift: float) -> Any:
    """LU factors of matrix - shift I without pivoting: those of an LDL^H. None where they break down."""
    shifted = (matrix - shift * sparse.identity(matrix.shape[0], dtype=matrix.dtype)).tocsc()
    try:
        return sparse_linalg.splu(
            shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
    except RuntimeError:  # exactly singular
        return None
