"""Sparse factors of A - sigma I with sigma below the spectrum, and Lanczos on their inverse."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import csc_matrix
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.eigen.batched.eigh import KnownModes
from graphpe.eigen.batched.sparse import is_worth_it, lowest_by_shift_invert
from graphpe.eigen.factors import cudss
from graphpe.eigen.factors.interface import Factors, in_double
from graphpe.eigen.factors.superlu import SuperLU, by_columns
from graphpe.eigen.operators.base import MatrixOperator
from graphpe.eigen.operators.bounds import spectral_bounds
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.krylov import Krylov, Largest, largest, with_outside
from graphpe.errors import GraphPETypeError
from graphpe.structure.adjacency import Floats
from graphpe.structure.laplacian import Entries

# In units of the norm: how far below the spectrum the shift stays, and from which distance on a better one is sought.
_DISTANCE = 1e-8
_ROUNDING = 1e-14
_FAR = 0.02
_PROBE = 10
# Of the tolerance, for the inverse: rounding in the solves takes the rest.
_SHARE = 0.25
# Between these sizes the compiled solver for the graphs of a batch takes half of the time; with more entries a row than
# trees and roads have, to another size.
_LEAST_SMALL, _MOST_SMALL = 100, 5000
_DENSE_ROW, _MOST_SMALL_DENSE = 6, 2000
# Values closer than this, in units of the norm, are not told apart by a count; how many known vectors are counted; and
# how often a count may find that some are missing.
_CLOSE = 1e-9
_MOST_KNOWN = 256
_COUNTS = 5


@dataclass(frozen=True)
class ShiftInvert:
    """Sparse factors of A - sigma I with sigma just below the spectrum, and block Lanczos on their inverse.

    Unbeaten where the factors stay sparse (forests, roads, meshes, chains), out of reach where they fill up (expanders,
    social networks). For matrices with entries; single precision is raised to double. On the CPU the factors are
    SuperLU's; on a CUDA device cuDSS's, where nvmath-python is installed (extra `gpu`), and all blocks stay there. That
    sigma is below the spectrum is certain: by the signs of the pivots, or, for matrices without positive entries off
    the diagonal, by a positive solution for a positive right-hand side. On the CPU, a fresh random block looks for
    eigenvectors that the first one missed. On a device, factors just below the last value count the eigenvalues there
    (Sylvester): a proof that none is missing, or the reason to look. The residual of the inverse is at most `tol`
    relative to its eigenvalue, hence low eigenvalues are far more accurate than `tol` times the norm.

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
        on_cpu = operator.device.type == "cpu"
        if not isinstance(operator, MatrixOperator) or not (on_cpu or cudss.is_there(operator.device)):
            raise GraphPETypeError(
                "ShiftInvert needs a matrix with entries, on the CPU, or on a CUDA device where nvmath-python and "
                f"cuDSS are installed (extra gpu), got {type(operator).__name__} on {operator.device}: choose another "
                "solver"
            )
        if problem.size - problem.num_known <= 3 * problem.k + 6 * self.block:
            return Dense().solve(problem)._replace(note="densely, as many of all eigenpairs are wanted")
        sign = 1 if problem.which == "smallest" else -1
        if not on_cpu:
            with cudss.CuDSS(sign * operator.matrix, self.block) as factors:
                return lowest_by_factors(problem, factors, self.block)
        matrix = sign * by_columns(operator.matrix)
        if sign > 0 and problem.known is None and _LEAST_SMALL <= problem.size <= _most_small(matrix):
            if (small := _lowest_of_small(matrix, problem)) is not None:
                return small
        return lowest_by_factors(problem, SuperLU(matrix), self.block)


def lowest_by_factors(problem: Problem, factors: Factors, block: int) -> Found:
    """The eigenpairs by block Lanczos on an inverse.

    Args:
        problem: The operator and the eigenpairs that are wanted of it.
        factors: Of the operator, or of its negative where its largest eigenpairs are wanted.
        block: Vectors that are solved for together.
    """
    inverse = _invert_below(factors, problem)
    known = [] if problem.known is None else [in_double(problem.known)]
    wanted = replace(problem, tol=_SHARE * problem.tol)
    like = torch.empty(0, dtype=factors.dtype, device=factors.device)
    found, complete = largest(inverse.solve, wanted, like, known, block), True
    if factors.counts_cheaply:
        found, complete = _counted(inverse, wanted, found, known, block)
    else:
        found = with_outside(inverse.solve, wanted, found, known, block)
    # The space is accurate; within it, the matrix itself tells close eigenvalues apart best.
    projected = (found.vectors.mH @ factors.matmul(found.vectors)).numpy(force=True)
    values, rotation = np.linalg.eigh((projected + projected.conj().T) / 2)
    if problem.which == "largest":
        values = -values
    dtype = problem.operator.dtype
    vectors = (found.vectors @ torch.from_numpy(rotation).to(factors.device)).to(dtype)
    note = f"sigma = {inverse.shift:.3g}, {factors.entries / problem.size:.0f} entries of the factors a row"
    level = torch.from_numpy(values).to(factors.device, dtype.to_real())
    return Found(level, vectors, found.steps, inverse.solves, note, complete)


def _counted(
    inverse: _Inverse, problem: Problem, found: Largest, known: list[Tensor], block: int
) -> tuple[Largest, bool]:
    """What was found, completed until the count of eigenvalues below the last one is right; and whether it is."""
    below = _known_values(inverse.factors, known)
    for _ in range(_COUNTS):
        missing = None if below is None else _missing(inverse, problem, found, below, block)
        if missing is None or missing <= 0:
            return found, missing == 0
        inverse.again()
        found = with_outside(inverse.solve, problem, found, known, block, missing)
    return found, False


def _known_values(factors: Factors, known: list[Tensor]) -> Floats | None:
    """Eigenvalues that belong to the known vectors; None if there are too many of these."""
    if not known:
        return np.zeros(0)
    if known[0].shape[1] > _MOST_KNOWN:
        return None
    basis = known[0].to_dense()
    projected = (basis.mH @ factors.matmul(basis)).numpy(force=True)
    return np.linalg.eigvalsh((projected + projected.conj().T) / 2)


def _missing(inverse: _Inverse, problem: Problem, found: Largest, known: Floats, block: int) -> int | None:
    """How many eigenvalues below the last one, and its copies, are not among the known and the found ones.

    None where the factors cannot count that exactly: x solves (A - cut I) x = b but for a residual r, so that |r| / |x|
    is how far the cut may be off; x is rich in the eigenvector next to it.
    """
    found_values = inverse.shift + 1 / found.values
    level = np.sort(np.concatenate([known[known <= found_values[-1]], found_values]))
    margin = max(_CLOSE * problem.norm, 2 * problem.tol * float(level[-1] - inverse.shift))
    first = len(level) - 1
    while first and level[first] - level[first - 1] <= 2 * margin:
        first -= 1
    cut = float(level[first]) - margin
    count = inverse.factors.factor(cut)
    right = problem.random(block, stream=19).to(found.vectors.dtype)
    x = inverse.factors.solve(right)
    off = torch.linalg.vector_norm(inverse.factors.matmul(x) - cut * x - right, dim=0)
    if count is None or not bool((off <= margin / 2 * torch.linalg.vector_norm(x, dim=0)).all()):
        return None
    return count - first


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
        factors: The factors.
        shift: The shift.
        solves: Right-hand sides so far.
        is_below: Whether the shift is below the spectrum.
        closeness: A lower bound of 1 / (lowest eigenvalue - shift), where it is below.
    """

    def __init__(self, factors: Factors, size: int, shift: float) -> None:
        self.factors, self.shift = factors, shift
        self.is_below = factors.factor(shift) == 0
        self.solves = 0
        image = self.solve(torch.ones(size, 1, dtype=factors.dtype, device=factors.device))
        self.closeness = float(torch.linalg.vector_norm(image)) / size**0.5

    def solve(self, block: Tensor) -> Tensor:
        """The inverse times a block `[n, m]`."""
        self.solves += block.shape[1]
        return self.factors.solve(block)

    def again(self) -> None:
        """Factor anew, after the factors were those of another shift."""
        self.factors.factor(self.shift)


def _invert_below(factors: Factors, problem: Problem) -> _Inverse:
    """The inverse for a shift below the spectrum and close to it."""
    norm = problem.norm
    bounds = problem.bounds or spectral_bounds(problem.operator, problem.seed)
    low, least = (bounds.low, bounds.least) if problem.which == "smallest" else (-bounds.high, -bounds.greatest)
    # The largest eigenvalue of the inverse, times rounding, is the error of all others.
    distance = max(_DISTANCE, _ROUNDING / problem.tol)
    inverse = None
    # Most operators on graphs begin at zero.
    for bound in (0.0 if low < 0 <= least else low, low, -norm, -2 * norm):
        inverse = _Inverse(factors, problem.size, bound - distance * norm)
        if inverse.is_below:
            break
    assert inverse is not None
    if inverse.closeness * _FAR * norm >= 1:
        return inverse
    rng = np.random.default_rng(problem.seed)
    like = torch.empty(0, dtype=factors.dtype, device=factors.device)
    krylov = Krylov(inverse.solve, problem.size, like, [], 1, rng, _PROBE + 1)
    for _ in range(_PROBE):
        krylov.extend()
    theta, residual = krylov.ritz()
    gap = 1 / (theta[0] + residual[0])
    if gap > _FAR * norm:
        closer = _Inverse(factors, problem.size, inverse.shift + (1 - 1e-3) * gap)
        if closer.is_below:
            closer.solves += inverse.solves
            return closer
        inverse.again()
    return inverse
