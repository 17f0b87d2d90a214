"""Sparse factors of A - sigma I with sigma below the spectrum, and Lanczos on their inverse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, identity
from scipy.sparse.linalg import splu

from graphpe.arguments import check_integer
from graphpe.eigen.batched.eigh import KnownModes
from graphpe.eigen.batched.sparse import is_worth_it, lowest_by_shift_invert
from graphpe.eigen.operators.base import MatrixOperator
from graphpe.eigen.operators.bounds import spectral_bounds
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.krylov import Block, Krylov, largest
from graphpe.errors import GraphPETypeError
from graphpe.structure.laplacian import Entries

# In units of the norm: how far below the spectrum the shift stays, and from which distance on a better one is sought.
_DISTANCE = 1e-8
_ROUNDING = 1e-14
_FAR = 0.02
_PROBE = 10
# Random vectors that measure the error of factors, and by how much their estimate is raised.
_PROBES, _SAFETY = 8, 2.0
# Of the tolerance, for the inverse: rounding in the solves takes the rest.
_SHARE = 0.25
# Minimum degree takes time as the square of the longest row; COLAMD, which fills up more, sets long rows aside.
_LONG = 2000
# Between these sizes the compiled solver for the graphs of a batch takes half of the time; with more entries a row than
# trees and roads have, to another size.
_LEAST_SMALL, _MOST_SMALL = 100, 5000
_DENSE_ROW, _MOST_SMALL_DENSE = 6, 2000


@dataclass(frozen=True)
class ShiftInvert:
    """Sparse factors of A - sigma I with sigma just below the spectrum, and block Lanczos on their inverse.

    Unbeaten where the factors stay sparse (forests, roads, meshes, chains), out of reach where they fill up (expanders,
    social networks). On the CPU, for matrices with entries; single precision is raised to double. That sigma is below
    the spectrum is certain: by the signs of the pivots, or, for matrices without positive entries off the diagonal, by
    a positive solution for a positive right-hand side. A fresh random block looks for eigenvectors that the first one
    missed. The residual of the inverse is at most `tol` relative to its eigenvalue, hence low eigenvalues are far more
    accurate than `tol` times the norm.

    Example:
        >>> import graphpe, torch
        >>> from graphpe.eigen.solvers import ShiftInvert
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=ShiftInvert())
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]

    Args:
        block: Vectors that are solved for together; eigenvalues of that multiplicity are found at once.

    References:
        Ericsson, Ruhe: The spectral transformation Lanczos method. Mathematics of Computation 35 (1980).
    """

    block: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "block", check_integer("block", self.block, least=1))

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs; densely where the Krylov space would be nearly all there is.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        operator = problem.operator
        if not isinstance(operator, MatrixOperator) or operator.device.type != "cpu":
            raise GraphPETypeError("ShiftInvert needs a matrix with entries on the CPU: choose another solver")
        if problem.size - problem.num_known <= 3 * problem.k + 6 * self.block:
            return Dense().solve(problem)._replace(note="densely, as many of all eigenpairs are wanted")
        matrix = by_columns(operator.matrix)
        if problem.which == "largest":
            matrix = -matrix
        elif problem.known is None and _LEAST_SMALL <= problem.size <= _most_small(matrix):
            if (small := _lowest_of_small(matrix, problem)) is not None:
                return small
        inverse = _invert_below(matrix, problem)
        known = [] if problem.known is None else [_array(problem.known)]
        found = largest(inverse.solve, replace(problem, tol=_SHARE * problem.tol), matrix.dtype, known, self.block)
        # The space is accurate; within it, the matrix itself tells close eigenvalues apart best.
        projected = found.vectors.conj().T @ (matrix @ found.vectors)
        values, rotation = np.linalg.eigh((projected + projected.conj().T) / 2)
        if problem.which == "largest":
            values = -values
        vectors = torch.from_numpy(found.vectors @ rotation).to(operator.dtype)
        note = f"sigma = {inverse.shift:.3g}, {inverse.entries / problem.size:.0f} entries of the factors a row"
        return Found(
            torch.from_numpy(values).to(vectors.dtype.to_real()), vectors, found.steps, inverse.solves, note, True
        )


def _most_small(matrix: csc_matrix) -> int:
    return _MOST_SMALL if matrix.nnz <= _DENSE_ROW * matrix.shape[0] else _MOST_SMALL_DENSE


def _lowest_of_small(matrix: csc_matrix, problem: Problem) -> Found | None:
    """By the solver of `graphpe.eigen.batched.sparse`; None where that could not verify, or is not worth compiling."""
    size = problem.size
    if problem.k * 8 > size:
        return None
    by_entry = matrix.tocsr().tocoo()
    off = by_entry.row != by_entry.col
    row, col = (part[off].astype(np.int64) for part in (by_entry.row, by_entry.col))
    entries = Entries(row, col, by_entry.data[off], matrix.diagonal())
    if not is_worth_it(entries, size**2):
        return None
    nothing = np.zeros(size, matrix.dtype)
    known = KnownModes(nothing, np.zeros(size, np.int64), np.zeros(1, np.int64), np.array([problem.norm]))
    found = lowest_by_shift_invert(entries, np.array([0, size]), problem.k, known, np.array([0]))
    if 0 not in found:
        return None
    vectors = torch.from_numpy(np.ascontiguousarray(found[0][1])).to(problem.operator.dtype)
    return Found(
        torch.from_numpy(found[0][0]).to(vectors.dtype.to_real()), vectors, 0, 0, "compiled, as it is small", True
    )


class _Inverse:
    """(A - shift I)^-1 by sparse factors.

    Attributes:
        shift: The shift.
        entries: Of both factors.
        solves: Right-hand sides so far.
        is_below: Whether the shift is below the spectrum.
        closeness: A lower bound of 1 / (lowest eigenvalue - shift), where it is below.
    """

    def __init__(self, matrix: csc_matrix, shift: float) -> None:
        self.shift = shift
        size = matrix.shape[0]
        self._factors = _factor(matrix, shift)
        self.entries = self._factors.nnz
        self.solves = 0
        image = self.solve(np.ones((size, 1), matrix.dtype))
        self.closeness = float(np.linalg.norm(image)) / size**0.5
        self.is_below = _is_definite(matrix, self._factors, image)

    def solve(self, block: Block) -> Block:
        """The inverse times a block `[n, m]`."""
        self.solves += block.shape[1]
        return self._factors.solve(block)


def _factor(matrix: csc_matrix, shift: float) -> Any:
    """SuperLU's factors of A - shift I, with the pivots on the diagonal where they are not exactly zero."""
    return splu(
        (matrix - shift * identity(matrix.shape[0], dtype=matrix.dtype, format="csc")).tocsc(),
        permc_spec="MMD_AT_PLUS_A" if np.diff(matrix.indptr).max() < _LONG else "COLAMD",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


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


def _is_definite(matrix: csc_matrix, factors: Any, image: Block) -> bool:
    """Whether the shifted matrix is positive definite; `image` is its inverse times ones."""
    if not np.isfinite(image).all():
        return False
    if np.isrealobj(image):
        off_diagonal = matrix.data[matrix.indices != np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))]
        if (off_diagonal <= 0).all() and (image > 0).all():  # an M-matrix
            return True
    pivot = factors.U.diagonal()
    return bool((factors.perm_r == factors.perm_c).all() and (pivot.real > 0).all())


def _invert_below(matrix: csc_matrix, problem: Problem) -> _Inverse:
    """The inverse for a shift below the spectrum and close to it."""
    norm = problem.norm
    bounds = problem.bounds or spectral_bounds(problem.operator, problem.seed)
    low, least = (bounds.low, bounds.least) if problem.which == "smallest" else (-bounds.high, -bounds.greatest)
    # The largest eigenvalue of the inverse, times rounding, is the error of all others.
    distance = max(_DISTANCE, _ROUNDING / problem.tol)
    inverse = None
    # Most operators on graphs begin at zero.
    for bound in (0.0 if low < 0 <= least else low, low, -norm, -2 * norm):
        inverse = _Inverse(matrix, bound - distance * norm)
        if inverse.is_below:
            break
    assert inverse is not None
    if inverse.closeness * _FAR * norm >= 1:
        return inverse
    rng = np.random.default_rng(problem.seed)
    krylov = Krylov(inverse.solve, problem.size, matrix.dtype, [], 1, rng, _PROBE + 1)
    for _ in range(_PROBE):
        krylov.extend()
    theta, residual = krylov.ritz()
    gap = 1 / (theta[0] + residual[0])
    if gap > _FAR * norm:
        closer = _Inverse(matrix, inverse.shift + (1 - 1e-3) * gap)
        if closer.is_below:
            closer.solves += inverse.solves
            return closer
    return inverse


def by_columns(matrix: torch.Tensor) -> csc_matrix:
    """A matrix on the CPU in double precision, by columns.

    Args:
        matrix: The matrix, dense or torch CSR.
    """
    if matrix.layout != torch.sparse_csr:
        return csc_matrix(_raised(matrix))
    parts = _raised(matrix.values()), matrix.col_indices().numpy(), matrix.crow_indices().numpy()
    return csr_matrix(parts, shape=tuple(matrix.shape)).tocsc()


def _array(block: torch.Tensor) -> Any:
    """A block as an array, dense or by rows."""
    if block.layout != torch.sparse_csr:
        return _raised(block)
    return csr_matrix((_raised(block.values()), block.col_indices().numpy(), block.crow_indices().numpy()), block.shape)


def _raised(values: torch.Tensor) -> NDArray[Any]:
    return values.detach().clone().to(torch.complex128 if values.is_complex() else torch.float64).numpy()
