"""Subspace iteration with Chebyshev polynomials of the operator as filters.

Zhou, Saad, Tiago, Chelikowsky: Self-consistent-field calculations using Chebyshev-filtered subspace iteration. Journal
of Computational Physics 219, 2006. Differs from it: the degree follows from what is to be gained and what rounding
allows, filters are applied in single precision as long as that is enough, and outliers are taken off in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import takewhile

import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.operators.products import multiply, products_of
from graphpe.eigen.solvers.filters import Filter, lowest_known, spectrum_bounds
from graphpe.eigen.solvers.orthogonalize import orthonormalize, remove
from graphpe.eigen.solvers.rayleigh_ritz import rayleigh_ritz

_SINGLE = {torch.float64: torch.float32, torch.complex128: torch.complex64}
_SINGLE_FROM = 1e-8  # tolerances below are for double precision alone
_LEAST_DEGREE = 10  # orthonormalising a block costs about as much as ten products
_GAP = 1e-3  # of the norm: the least width of the interval that is damped


@dataclass(frozen=True)
class ChebyshevFilter:
    """Chebyshev-filtered subspace iteration: products with the operator, and little else.

    A block X of k + extra vectors is multiplied by a polynomial p(A) that is at most 1 on the unwanted part of the
    spectrum, [cut, high], and grows as fast as any below:

        p(x) = T_d((c - x) / e),  c = (high + cut) / 2,  e = (high - cut) / 2,  T_d the Chebyshev polynomial,

    then made orthonormal and rotated into its Ritz vectors. `cut` is the largest Ritz value of the block, `high` a
    bound from a few Lanczos steps. About log(1 / tol) / (2 sqrt(gap / 2)) products with the block are needed, where gap
    is (lambda_{k + extra + 1} - lambda_k) / high. Converged vectors are set aside in order. Repeated eigenvalues are
    found as the block is random, also where start vectors are given: at least `extra` columns are.

    Time and memory: the block and its image, O((k + extra) n) each, and the same twice in single precision.

    Example:
        >>> import graphpe, torch
        >>> from graphpe.eigen.solvers import ChebyshevFilter
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=ChebyshevFilter())
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]

    Attributes:
        degree: Highest degree of a filter, at least 1. Lower ones are taken where rounding asks for it: the columns
            of a filtered block must not all become the lowest eigenvector.
        extra: Vectors beside the k wanted ones; None for the larger of 8 and k: the sum of all work is least then on
            graphs whose number of low eigenvalues grows linearly, such as grids.
    """

    degree: int = 2000
    extra: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", check_integer("degree", self.degree, least=1))
        object.__setattr__(self, "extra", None if self.extra is None else check_integer("extra", self.extra, least=0))

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs; `iterations` counts filters.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        run = _Run(problem, self.degree, max(8, problem.k) if self.extra is None else self.extra)
        iterations = 0
        while not run.settle() and iterations < problem.max_iterations:
            run.filter()
            iterations += 1
        return run.found(iterations)


@dataclass
class _Run:
    """The state of an iteration. `sign` turns "largest" into "smallest": everything below is of sign A."""

    problem: Problem
    degree: int
    extra: int
    filters: list[Filter] = field(default_factory=list)

    def __post_init__(self) -> None:
        problem, dtype = self.problem, self.problem.operator.dtype
        self.sign = 1.0 if problem.which == "smallest" else -1.0
        self.norm = problem.norm if problem.norm > 0 else 1.0
        self.exact = products_of(problem.operator, dtype)
        self.quick = self.exact
        if dtype in _SINGLE and problem.tol >= _SINGLE_FROM:
            self.quick = products_of(problem.operator, _SINGLE[dtype])
        self.low, self.high, self.matvecs = spectrum_bounds(problem, self.sign)
        self.outlier = lowest_known(problem, self.sign)
        room = problem.size - problem.num_known
        width = min(room, -(-(problem.k + self.extra) // self.exact.width) * self.exact.width)
        block = problem.random(width, 1)
        if problem.start is not None:
            given = min(problem.k, problem.start.shape[1], width)
            block = torch.cat([problem.start[:, :given].to(block), block[:, given:]], 1)
        self.block = orthonormalize(block, problem)
        self.locked = self.block[:, :0]
        self.before = math.inf
        self.margin = 0.0  # least distance of the cut from the wanted eigenvalues

    @property
    def wanted(self) -> int:
        """Eigenpairs that are not set aside yet."""
        return self.problem.k - self.locked.shape[1]

    def settle(self) -> bool:
        """Ritz vectors of the block, the converged ones set aside; whether that is all."""
        problem = self.problem
        image = multiply(self.exact, self.block).mul_(self.sign)
        self.matvecs += self.block.shape[1]
        ritz = rayleigh_ritz(self.block, remove(image, problem, self.locked))
        self.block = ritz.vectors
        self.theta: list[float]
        self.residual: list[float]
        self.theta, self.residual = torch.stack([ritz.values, ritz.residuals / self.norm]).tolist()
        self.high = max(self.high, self.theta[-1] + self.residual[-1] * self.norm)
        whole = self.block.shape[1] >= problem.size - problem.num_known - self.locked.shape[1]
        if whole:
            return True
        self._choose_precision()
        # Below the tolerance, for setting aside leaves its residual with the others.
        goal = 0.5 * problem.tol
        done = sum(
            1
            for _ in takewhile(
                lambda j: self.residual[j] <= goal and self._is_lowest(j),
                range(self.wanted),
            )
        )
        if done == self.wanted:
            return True
        if done:
            self.outlier = min(self.outlier, self.theta[0])
            self.locked = torch.cat([self.locked, self.block[:, :done]], 1)
            self.block = self.block[:, done:].contiguous()
            self.theta, self.residual = self.theta[done:], self.residual[done:]
        return False

    def filter(self) -> None:
        """Multiply the block by the next polynomial, and make it orthonormal."""
        first = not self.filters
        low = min(self.low, self.theta[0]) if first else self.theta[0]
        floor = _GAP * self.norm * (1 if first else 1e-6)
        # Where an eigenvalue fills the block from the k-th vector on, nothing would grow: the cut is put above it.
        worst, edge_value = max(self.residual[: self.wanted]), self.theta[self.wanted - 1]
        self.margin = max(0.1 * (self.theta[-1] - self.theta[0]), worst * self.norm, 0.3 * self.margin)
        cut = min(max(self.theta[-1], edge_value + self.margin), self.high - _GAP * self.norm)
        low = min(low, cut - floor)
        single = self.quick is not self.exact or self.block.dtype in (torch.float32, torch.complex64)
        # What the lowest columns hold of the others' errors grows with them: columns stay independent up to here.
        most = 1e4 / max(self.residual[0], 1e-3) if single else 1e7 / max(self.residual[0], 1e-5)
        chosen = Filter(1, low, cut, self.high)
        allowed = math.acosh(most if not first else 1e4) / chosen.angle(low)
        need = 3 * worst / max(0.5 * self.problem.tol, 1e-16)
        edge = chosen.angle(edge_value)
        enough = math.acosh(max(need, 2.0)) / max(edge, 1e-9)
        degree = min(max(int(min(allowed, enough)), _LEAST_DEGREE), self.degree)
        chosen = replace(chosen, degree=degree)
        self.filters.append(chosen)
        self.matvecs += degree * self.block.shape[1]
        block = self._apply(chosen, 1e5 if single else 1e10)
        self.block = orthonormalize(block, self.problem, self.locked, stream=1 + len(self.filters))

    def found(self, iterations: int) -> Found:
        """The k lowest pairs of what is set aside and what is not."""
        vectors = torch.cat([self.locked, self.block[:, : self.wanted]], 1)
        self.matvecs += vectors.shape[1]
        ritz = rayleigh_ritz(vectors, multiply(self.exact, vectors).mul_(self.sign))
        return Found(self.sign * ritz.values, ritz.vectors, iterations, self.matvecs, is_complete=True)

    def _is_lowest(self, j: int) -> bool:
        """Whether the block has looked at what is not below the j-th Ritz value.

        Start vectors may lack a low eigenvector, which then rises out of the random ones. It has done so when one of
        the later Ritz vectors belongs to an eigenvalue that is not below.
        """
        least = 10 * self.problem.tol
        later = zip(self.theta[j + 1 :], self.residual[j + 1 :], strict=True)
        above = any(residual <= max(0.5 * (theta - self.theta[j]) / self.norm, least) for theta, residual in later)
        return len(self.filters) > 0 and (above or j + 1 == len(self.theta))

    def _choose_precision(self) -> None:
        """On to double precision, if the last filter should have gained far more than it did."""
        worst = max(self.residual[: self.wanted])
        if self.filters and self.quick is not self.exact and worst < 1e-3:
            last = self.filters[-1]
            due = last.degree * last.angle(self.theta[self.wanted - 1]) > math.log(20)
            if due and worst > 0.3 * self.before:
                self.quick = self.exact
        self.before = worst

    def _apply(self, chosen: Filter, growth: float) -> Tensor:
        """The polynomial times the block.

        Known and set-aside vectors below the block's spectrum grow from rounding errors; they are taken off before
        they outgrow it by `growth`.
        """
        every = chosen.span(self.outlier, growth)
        return chosen.apply(
            self.quick, self.block, self.sign, every, lambda block: remove(block, self.problem, self.locked)
        )
