"""Preconditioners of LOBPCG: cheap positive definite stand-ins for the inverse of a Hermitian operator.

A preconditioner is a frozen dataclass of its parameters; `prepare(problem)` does the work that is done once. Where the
largest eigenvalues are sought, all of them approximate the inverse of norm * I - A instead of A's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.eigen.operators.base import MatrixOperator, quiet
from graphpe.eigen.operators.problem import Problem
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError


class Prepared(NamedTuple):
    """A preconditioner of one operator.

    Attributes:
        apply: Of a block `[n, m]`, a new block `[n, m]`.
        matvecs: Products of the operator with a vector that `apply` takes for each column.
    """

    apply: Callable[[Tensor], Tensor]
    matvecs: int


class Preconditioner(Protocol):
    """What LOBPCG takes as a preconditioner."""

    def prepare(self, problem: Problem) -> Prepared:
        """Ready it for the operator of a problem.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        ...


@dataclass(frozen=True)
class Jacobi:
    """The inverse of the diagonal, |a_ii|^-1; worth it where diagonals differ (`"comb"` Laplacians, weights).

    On a normalised Laplacian it does nothing. Needs a matrix with explicit entries. O(n m) a product.

    Example:
        >>> from graphpe.eigen.solvers import LOBPCG, Jacobi
        >>> import graphpe, torch
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=LOBPCG(preconditioner=Jacobi()))
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]
    """

    def prepare(self, problem: Problem) -> Prepared:
        """Invert the diagonal.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.

        Raises:
            GraphPETypeError: The operator is no matrix with explicit entries.
        """
        diagonal = _diagonal(_explicit(problem, "Jacobi"))
        if problem.which == "largest":
            diagonal = problem.norm - diagonal
        # A row whose entry is far below the others would otherwise outweigh them all.
        inverse = 1 / diagonal.abs().clamp(min=1e-3 * max(problem.norm, torch.finfo(diagonal.dtype).tiny))
        return Prepared(lambda block: inverse[:, None] * block, 0)


@dataclass(frozen=True)
class ChebyshevPolynomial:
    """`degree` steps of the Chebyshev iteration for A z = r, a polynomial p(A) with p > 0 up to the norm of A.

    The steps damp by 1 / T_d((b + a) / (b - a)) on [a, b] = [norm / degree^2, norm], so that p(x) is 1 / x up to 27 %
    there, and stays bounded below. Eigenvalues below zero are amplified more still. `degree` - 1 products.

    Example:
        >>> from graphpe.eigen.solvers import LOBPCG, ChebyshevPolynomial
        >>> import graphpe, torch
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=LOBPCG(preconditioner=ChebyshevPolynomial()))
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]

    Attributes:
        degree: Number of steps; a graph of diameter D gains up to about D / 2.

    References:
        Saad: Iterative Methods for Sparse Linear Systems, 2nd edition, algorithm 12.1. SIAM 2003.
    """

    degree: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", check_integer("degree", self.degree, least=1))

    def prepare(self, problem: Problem) -> Prepared:
        """Fix the interval.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        matmul = problem.operator.matmul
        upper = problem.norm if problem.norm > 0 else 1.0
        if problem.which == "largest":

            def product(block: Tensor) -> Tensor:
                return upper * block - matmul(block)

            # The spectrum of norm * I - A ends at norm where A is positive, at 2 * norm where it is not.
            end = 2 * upper
        else:
            product, end = matmul, upper
        lower = end / self.degree**2
        # The estimate of the norm may be a little low, and beyond the interval the polynomial would change its sign.
        end *= 1.01
        return Prepared(lambda block: chebyshev_steps(product, block, lower, end, self.degree), self.degree - 1)


@dataclass(frozen=True)
class AMG:
    """One V-cycle of smoothed aggregation; what makes long, planar-like graphs (grids, meshes, roads) converge.

    `pyamg` (`pip install graphpe[amg]`) aggregates A + `shift` * norm * I on the CPU; the cycle itself runs on the
    operator's device, for all vectors at once, real or complex. What coarse matrices must represent well is the
    constant vector after some relaxation for the smallest eigenvalues of a real operator, and two random vectors that a
    polynomial has smoothed for a complex one, whose phases nobody knows beforehand, and for the largest eigenvalues.
    On expander-like graphs (social networks) the coarse matrices fill up: use another preconditioner there.

    Example:
        >>> from graphpe.eigen.solvers import AMG, LOBPCG
        >>> import graphpe, torch
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> solver = LOBPCG(preconditioner=AMG())  # needs pyamg
        >>> result = graphpe.eigsh(operator, k=3, solver=solver)  # doctest: +SKIP

    Attributes:
        shift: Relative to the norm; keeps a singular operator definite.
        degree: Chebyshev steps of the smoother, before and after the coarse correction.

    References:
        Vanek, Mandel, Brezina: Algebraic Multigrid by Smoothed Aggregation. Computing 56, 1996.
        Bell, Olson, Schroder, Southworth: PyAMG. Journal of Open Source Software 8(87), 2023.
    """

    shift: float = 1e-8
    degree: int = 2

    def __post_init__(self) -> None:
        if not self.shift > 0:
            raise GraphPEValueError(f"shift must be positive, got {self.shift}")
        object.__setattr__(self, "degree", check_integer("degree", self.degree, least=1))

    def prepare(self, problem: Problem) -> Prepared:
        """Build the hierarchy.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.

        Raises:
            GraphPERuntimeError: `pyamg` is not installed.
            GraphPETypeError: The operator is no matrix with explicit entries.
        """
        try:
            pyamg = importlib.import_module("pyamg")
        except ImportError as error:
            raise GraphPERuntimeError("AMG needs pyamg, which is not installed: pip install graphpe[amg]") from error
        matrix = _explicit(problem, "AMG")
        definite = _to_scipy(matrix)
        if problem.which == "largest":
            definite = problem.norm * scipy.sparse.eye_array(problem.size) - definite
        definite = definite + self.shift * (problem.norm or 1.0) * scipy.sparse.eye_array(problem.size)
        plain = problem.which == "smallest" and not matrix.dtype.is_complex
        hierarchy = pyamg.smoothed_aggregation_solver(
            definite.astype(np.complex128 if matrix.dtype.is_complex else np.float64).tocsr(),
            B=None if plain else _smooth_vectors(problem),
            improve_candidates=[("gauss_seidel", {"sweep": "symmetric", "iterations": 4})] if plain else None,
            symmetry="hermitian" if matrix.dtype.is_complex else "symmetric",
            # The other weightings estimate a spectral radius from NumPy's global random numbers.
            smooth=("jacobi", {"omega": 4 / 3, "weighting": "local"}),
            max_coarse=300,
            max_levels=30,
        )
        levels = [_Level.of(level, matrix) for level in hierarchy.levels[:-1]]
        # Aggregates smaller than the number of vectors they represent leave empty rows, which pinv passes over.
        coarse = torch.from_numpy(np.linalg.pinv(hierarchy.levels[-1].A.toarray(), hermitian=True))
        coarse = coarse.to(matrix.device, matrix.dtype)
        return Prepared(lambda block: _cycle(levels, coarse, block, self.degree), 2 * self.degree if levels else 0)


def _smooth_vectors(problem: Problem) -> NDArray[Any]:
    """Two orthonormal vectors of low energy."""
    smooth = ChebyshevPolynomial(40).prepare(problem).apply
    block = problem.random(2, stream=3)
    for _ in range(2):
        block = torch.linalg.qr(smooth(block))[0]
    return block.to(torch.complex128 if block.dtype.is_complex else torch.float64).numpy(force=True)


class _Level(NamedTuple):
    """One level of the hierarchy; `bound` is of the spectrum of D^-1 A."""

    matrix: Tensor
    inverse_diagonal: Tensor
    restriction: Tensor
    prolongation: Tensor
    bound: float

    @classmethod
    def of(cls, level: Any, like: Tensor) -> _Level:
        matrix = level.A.tocsr()
        diagonal = matrix.diagonal().real
        diagonal = np.where(diagonal > 0, diagonal, 1.0)
        bound = float((abs(matrix).sum(axis=1).ravel() / diagonal).max())
        return cls(
            _as_csr(matrix, like),
            torch.from_numpy(1 / diagonal).to(like.device, like.dtype)[:, None],
            _as_csr(level.P.conj().T, like),
            _as_csr(level.P, like),
            bound,
        )


def _cycle(levels: list[_Level], coarse_inverse: Tensor, block: Tensor, degree: int) -> Tensor:
    """One V-cycle; smoothed alike before and after, hence symmetric."""
    if not levels:
        return coarse_inverse @ block
    matrix, inverse_diagonal, restriction, prolongation, bound = levels[0]

    def smooth(rest: Tensor) -> Tensor:
        return chebyshev_steps(
            lambda x: inverse_diagonal * (matrix @ x), inverse_diagonal * rest, bound / 8, bound, degree
        )

    out = smooth(block)
    out = out + prolongation @ _cycle(levels[1:], coarse_inverse, restriction @ (block - matrix @ out), degree)
    return out + smooth(block - matrix @ out)


def chebyshev_steps(
    product: Callable[[Tensor], Tensor], block: Tensor, lower: float, upper: float, degree: int
) -> Tensor:
    """Steps of the Chebyshev iteration on [lower, upper] for A z = block, from z = 0; `degree` - 1 products.

    Args:
        product: A times a block.
        block: The right-hand sides, `[n, m]`.
        lower: Lower end of the interval, above 0.
        upper: Its upper end.
        degree: Degree of the polynomial.
    """
    center, half = (upper + lower) / 2, (upper - lower) / 2
    if half == 0:  # one step of degree 1
        return block / center
    ratio = half / center
    rest, step = block, block / center
    out = step
    for _ in range(degree - 1):
        rest = rest - product(step)
        following = 1 / (2 * center / half - ratio)
        step = following * ratio * step + (2 * following / half) * rest
        out = out + step
        ratio = following
    return out


def _explicit(problem: Problem, name: str) -> Tensor:
    if not isinstance(problem.operator, MatrixOperator):
        raise GraphPETypeError(
            f"{name} needs a matrix with explicit entries, got {type(problem.operator).__name__}: use "
            "ChebyshevPolynomial() for operators that only multiply"
        )
    return problem.operator.matrix


def _diagonal(matrix: Tensor) -> Tensor:
    """The diagonal `[n]` of a Hermitian matrix, real."""
    if matrix.layout != torch.sparse_csr:
        return matrix.diagonal().real.clone()
    row_ptr, column = matrix.crow_indices(), matrix.col_indices()
    value = matrix.values().clone().real  # torch has no real part of a view of CSR values
    row = torch.repeat_interleave(row_ptr.diff(), output_size=len(column))
    return value.new_zeros(matrix.shape[0]).index_add_(0, row, torch.where(row == column, value, 0))


def _to_scipy(matrix: Tensor) -> Any:
    if matrix.layout != torch.sparse_csr:
        return scipy.sparse.csr_array(matrix.numpy(force=True))
    parts = (part.numpy(force=True) for part in (matrix.values(), matrix.col_indices(), matrix.crow_indices()))
    return scipy.sparse.csr_array(tuple(parts), shape=tuple(matrix.shape))


def _as_csr(matrix: Any, like: Tensor) -> Tensor:
    """A SciPy sparse matrix as torch CSR, of the dtype and on the device of another one."""
    matrix = matrix.tocsr()
    with quiet():
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            matrix.shape,
            dtype=like.dtype,
            device=like.device,
            check_invariants=False,
        )
