"""Subspace iteration with Chebyshev polynomials of the operator as filters.

Zhou, Saad, Tiago, Chelikowsky: Self-consistent-field calculations using Chebyshev-filtered subspace iteration. Journal
of Computational Physics 219, 2006. Differs from it: the degree follows from what is to be gained and what rounding
allows, filters are applied in single precision as long as that is enough, and outliers are taken off in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import takewhile

import torch
from torch import Tensor

from graphpe.eigen.problem import Found, Problem
from graphpe.eigen.products import Products, multiply, products_of
from graphpe.eigen.solvers.orthogonalize import orthonormalize, remove
from graphpe.eigen.solvers.rayleigh_ritz import rayleigh_ritz

_SINGLE = {torch.float64: torch.float32, torch.complex128: torch.complex64}
_SINGLE_FROM = 1e-8  # tolerances below are for double precision alone
_LEAST_DEGREE = 10  # orthonormalising a block costs about as much as ten products
_LANCZOS_STEPS = 12
_GAP = 1e-3  # of the norm: the least width of the interval that is damped
_LARGE = 64  # known vectors whose eigenvalues are looked at one by one


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

    Attributes:
        degree: Highest degree of a filter, at least 1. Lower ones are taken where rounding asks for it: the columns
            of a filtered block must not all become the lowest eigenvector.
        extra: Vectors beside the k wanted ones; None for k, at least 8, with which the sum of all work is least on
            graphs whose number of low eigenvalues grows linearly, such as grids.
    """

    degree: int = 2000
    extra: int | None = None

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs; `iterations` counts filters."""
        run = _Run(problem, self.degree, max(8, problem.k) if self.extra is None else self.extra)
        iterations = 0
        while not run.settle() and iterations < problem.max_iterations:
            run.filter()
            iterations += 1
        return run.found(iterations)


@dataclass
class _Filter:
    """T_degree on [cut, high], scaled to 1 at low, the lowest eigenvalue of all."""

    degree: int
    low: float
    cut: float
    high: float

    def angle(self, x: float) -> float:
        """The growth per degree, as an exponent, of what has eigenvalue x."""
        return _angle(x, self.cut, self.high)


def _angle(x: float, cut: float, high: float) -> float:
    return math.acosh(max(1 + 2 * (cut - x) / (high - cut), 1.0))


@dataclass
class _Run:
    """The state of an iteration. `sign` turns "largest" into "smallest": everything below is of sign A."""

    problem: Problem
    degree: int
    extra: int
    filters: list[_Filter] = field(default_factory=list)

    def __post_init__(self) -> None:
        problem, dtype = self.problem, self.problem.operator.dtype
        self.sign = 1.0 if problem.which == "smallest" else -1.0
        self.norm = problem.norm if problem.norm > 0 else 1.0
        self.exact = products_of(problem.operator, dtype)
        self.quick = self.exact
        if dtype in _SINGLE and problem.tol >= _SINGLE_FROM:
            self.quick = products_of(problem.operator, _SINGLE[dtype])
        self.low, self.high = _bounds(problem, self.sign)
        self.outlier = _lowest_known(problem, self.sign)
        self.matvecs = _LANCZOS_STEPS
        room = problem.size - problem.num_known
        width = min(room, -(-(problem.k + self.extra) // self.exact.width) * self.exact.width)
        block = problem.random(width, 1)
        if problem.start is not None:
            given = min(problem.k, problem.start.shape[1], width)
            block = torch.cat([problem.start[:, :given].to(block), block[:, given:]], 1)
        self.block = orthonormalize(block, problem)
        self.locked = self.block[:, :0]
        self.before = math.inf

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
        self.theta: list[float] = ritz.values.tolist()
        self.residual: list[float] = (ritz.residuals / self.norm).tolist()
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
                lambda j: self.residual[j] <= goal and self._seen(self.theta[j]),
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
        cut = min(self.theta[-1], self.high - _GAP * self.norm)
        low = min(low, cut - floor)
        single = self.quick is not self.exact or self.block.dtype in (torch.float32, torch.complex64)
        # What the lowest columns hold of the others' errors grows with them: columns stay independent up to here.
        most = 1e4 / max(self.residual[0], 1e-3) if single else 1e7 / max(self.residual[0], 1e-5)
        allowed = math.acosh(most if not first else 1e4) / _angle(low, cut, self.high)
        need = 3 * max(self.residual[: self.wanted]) / max(0.5 * self.problem.tol, 1e-16)
        edge = _angle(self.theta[self.wanted - 1], cut, self.high)
        enough = math.acosh(max(need, 2.0)) / max(edge, 1e-9)
        degree = min(max(int(min(allowed, enough)), _LEAST_DEGREE), self.degree)
        chosen = _Filter(degree, low, cut, self.high)
        self.filters.append(chosen)
        self.matvecs += degree * self.block.shape[1]
        block = self._apply(chosen, 1e5 if single else 1e10)
        self.block = orthonormalize(block, self.problem, self.locked, stream=1 + len(self.filters))

    def found(self, iterations: int) -> Found:
        """The k lowest pairs of what is set aside and what is not."""
        vectors = torch.cat([self.locked, self.block[:, : self.wanted]], 1)
        self.matvecs += vectors.shape[1]
        ritz = rayleigh_ritz(vectors, multiply(self.exact, vectors).mul_(self.sign))
        return Found(self.sign * ritz.values, ritz.vectors, iterations, self.matvecs)

    def _seen(self, value: float) -> bool:
        """Whether a random vector's part along an eigenvector, n^-1/2, would have grown to be seen."""
        gain = sum(each.degree * each.angle(value) - math.log(2) for each in self.filters)
        return bool(self.filters) and gain > math.log(10 * self.problem.size**0.5)

    def _choose_precision(self) -> None:
        """On to double precision, if the last filter should have gained far more than it did."""
        worst = max(self.residual[: self.wanted])
        if self.filters and self.quick is not self.exact and worst < 1e-3:
            last = self.filters[-1]
            due = last.degree * last.angle(self.theta[self.wanted - 1]) > math.log(20)
            if due and worst > 0.3 * self.before:
                self.quick = self.exact
        self.before = worst

    def _apply(self, chosen: _Filter, growth: float) -> Tensor:
        """The polynomial times the block.

        Known and set-aside vectors below the block's spectrum grow from rounding errors; they are taken off before
        they outgrow it by `growth`.
        """
        products, center, half = self.quick, (chosen.high + chosen.cut) / 2, (chosen.high - chosen.cut) / 2
        angle = max(chosen.angle(self.outlier), 1e-12) if self.outlier < math.inf else 1e-12
        every = max(1, int(math.log(growth) / angle))
        scale = first = half / (chosen.low - center)
        x = products.pack(self.block)
        z = products.step(self.sign * first / half, x, -center * first / half, 0.0, torch.zeros_like(x))
        for t in range(1, chosen.degree):
            if t % every == 0:
                x, z = self._purge(products, x), self._purge(products, z)
            then = 1 / (2 / first - scale)
            factor = 2 * then / half
            x, z = z, products.step(self.sign * factor, z, -center * factor, -scale * then, x)
            scale = then
        return products.unpack(z, self.block)

    def _purge(self, products: Products, packed: Tensor) -> Tensor:
        return products.pack(remove(products.unpack(packed, self.block), self.problem, self.locked))


def _bounds(problem: Problem, sign: float) -> tuple[float, float]:
    """About the lowest eigenvalue, and a bound of the highest, by Lanczos from one random vector."""
    steps = min(_LANCZOS_STEPS, problem.size - problem.num_known)
    vector = problem.without_known(problem.random(1, 0))
    basis = vector / torch.linalg.vector_norm(vector)
    columns = []
    for j in range(steps):
        image = sign * problem.without_known(problem.operator.matmul(basis[:, j:].contiguous()))
        product = basis.mH @ image
        rest = image - basis @ product
        rest = rest - basis @ (basis.mH @ rest)
        length = torch.linalg.vector_norm(rest)
        columns.append(torch.nn.functional.pad(product[:, 0].real, (0, steps - j - 1)))
        basis = torch.cat([basis, rest / length.clamp(min=torch.finfo(length.dtype).tiny)], 1)
    projected = torch.stack(columns, 1)
    ritz = torch.linalg.eigvalsh((projected + projected.mT) / 2 if steps == 1 else projected, UPLO="U").tolist()
    bound = ritz[-1] + float(length)  # Zhou, Li: Bounding the spectrum of large Hermitian matrices. LAA 435, 2011
    return ritz[0], bound if ritz[-1] > problem.norm else min(bound, problem.norm)


def _lowest_known(problem: Problem, sign: float) -> float:
    """The lowest eigenvalue of the known vectors; of very many, about."""
    known = problem.known
    if known is None or problem.num_known == 0:
        return math.inf
    if known.layout != torch.strided or known.shape[1] > _LARGE:
        generator = torch.Generator().manual_seed(problem.seed)
        known = known @ torch.randn(known.shape[1], 8, generator=generator, dtype=torch.float64).to(known)
    known = known / torch.linalg.vector_norm(known, dim=0)
    quotients = (known.conj() * problem.operator.matmul(known)).sum(0).real
    return float((sign * quotients).min())
