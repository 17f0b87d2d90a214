"""Block Lanczos with full reorthogonalisation and thick restarts.

Wu, Simon: Thick-restart Lanczos method for large symmetric eigenvalue problems. SIAM Journal on Matrix Analysis 22,
2000; in blocks, so that all that touches the basis is a matrix product, and repeated eigenvalues are found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.operators.products import multiply, products_of
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.filters import Filter, lowest_known, spectrum_bounds
from graphpe.eigen.solvers.orthogonalize import orthonormalize, remove
from graphpe.eigen.solvers.rayleigh_ritz import Ritz, projected_pairs, rayleigh_ritz

_CHUNK = 1 << 22  # numbers of the basis that are rotated at a time
_GROWTH = 1e4  # of the lowest eigenvalue over the unwanted ones, by one polynomial
_LOOK = 30  # degree that is enough to find missing copies, where polynomials are not wanted otherwise
_SUNK = 0.2  # when the wanted interval has shrunk to this, a new polynomial is worth the old basis
_STALLED = 100  # restarts in which residuals have not halved: more would not help
# More products than these times the size, of an operator that fits into memory, cost more than all of its eigenvectors.
_MOST_PRODUCTS, _LARGEST_DENSE = 100, 5000
_GAP = 1e-3  # of the norm: the least width of the interval that is damped


@dataclass(frozen=True)
class Lanczos:
    """Block Lanczos on a Chebyshev polynomial of the operator.

    The basis grows by `block` vectors at a time to `basis` of them: the operator times the last block, minus its parts
    in all blocks before, made orthonormal. Then the best Ritz vectors and the last block stay, and it grows again,
    until the k lowest Ritz pairs have converged. Keeping the basis orthogonal costs far more than a product with a
    sparse matrix: after a first basis, whose Ritz values bound the wanted eigenvalues from above, the products are with
    a polynomial of the operator that is monotone below that bound and damps what lies above (`Filter`); when the
    bound has sunk much, with the next polynomial.

    An eigenvalue shows in as many copies as a block has vectors. Where that many are found, the search goes on in the
    complement of what was found, from a fresh block, until nothing lower comes.

    It ends without convergence where residuals stall, as on operators of many scales, whose low end polynomials hardly
    separate; one of up to 5,000 rows is then solved densely.

    Memory: the basis, `(basis + block) n` numbers, and some blocks. Work beside the products: O(n basis) a vector.

    Experimental: `auto` never chooses it, for on the CPU no measured graph is solved fastest by it (`ChebyshevFilter`
    and `PartialLanczos` are faster); what would decide is a GPU, where products with blocks are cheap.

    Example:
        >>> import graphpe, torch
        >>> from graphpe.eigen.solvers import Lanczos
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=Lanczos())
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]

    Attributes:
        block: Vectors of a block, at least 1.
        basis: Vectors of the basis, more than k + 2 block; None for the larger of 4 k and k + 6 block.
        degree: Highest degree of a polynomial; 1 for the operator itself: the fewest products, where these are
            expensive. Lower ones are taken as long as the wanted eigenvalues are known badly. Without a polynomial,
            operators of few distinct eigenvalues (hypercubes) hardly converge, which is then reported.
    """

    block: int = 8
    basis: int | None = None
    degree: int = 200

    def __post_init__(self) -> None:
        object.__setattr__(self, "block", check_integer("block", self.block, least=1))
        object.__setattr__(self, "basis", None if self.basis is None else check_integer("basis", self.basis, least=1))
        object.__setattr__(self, "degree", check_integer("degree", self.degree, least=1))

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs; `iterations` counts restarts.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        k = problem.k
        size = max(4 * k, k + 6 * self.block) if self.basis is None else max(self.basis, k + 3 * self.block)
        run = _Run(problem, self.block, size)
        found = run.lowest(k, None, None, problem.start, 0 if self.degree > 1 else problem.max_iterations)
        while not found.converged and not run.ended and self.degree > 1:
            chosen = self._filter(problem, found.values.tolist(), *run.bounds, most=self.degree)
            found = run.lowest(k, chosen, None, found.vectors, problem.max_iterations)
        values, vectors = found.values, found.vectors
        goal = problem.tol * problem.norm
        while found.converged and self._may_repeat(values, goal):
            rest = min(self.block, problem.size - problem.num_known - k)
            if rest == 0:
                break
            # What is missing is below the cut, and shows in one basis of a polynomial.
            chosen = self._filter(problem, values.tolist(), *run.bounds, most=max(self.degree, _LOOK))
            look = run.lowest(rest, chosen, vectors, None, 0)
            missing = int((look.values < values[-1] - goal).sum())
            if missing == 0:
                break
            found = run.lowest(missing, chosen, vectors, look.vectors, problem.max_iterations)
            ritz = run.ritz(torch.cat([vectors, found.vectors], 1))
            values, vectors = ritz.values[:k], ritz.vectors[:, :k]
        if not found.converged and run.is_expensive:
            dense = Dense().solve(problem)
            note = f"solved densely: not converged in {run.matvecs} products"
            return dense._replace(iterations=run.iterations, matvecs=dense.matvecs + run.matvecs, note=note)
        return Found(run.sign * values, vectors.contiguous(), run.iterations, run.matvecs, is_complete=True)

    def _filter(self, problem: Problem, theta: list[float], low: float, high: float, most: int) -> Filter | None:
        """A polynomial for eigenvalues of which there are upper bounds; None where they fill the spectrum."""
        low = min(low, theta[0])
        cut = theta[-1] + 0.1 * (theta[-1] - theta[0]) + 1e-6 * problem.norm
        if cut > high - _GAP * problem.norm:
            return None
        growth = _GROWTH if torch.finfo(problem.operator.dtype).eps < 1e-10 else _GROWTH**0.5
        chosen = Filter(1, low, cut, high)
        return replace(chosen, degree=max(1, min(most, math.ceil(math.log(growth) / chosen.angle(low)))))

    def _may_repeat(self, values: Tensor, same: float) -> bool:
        """Whether some eigenvalue was found in as many copies as a block can show."""
        copies = self.block - 1
        return len(values) > copies and bool((values[copies:] - values[: len(values) - copies] <= same).any())


class _Lowest(NamedTuple):
    values: Tensor
    vectors: Tensor
    converged: bool


class _Run:
    """What the parts of a solution share. `sign` turns "largest" into "smallest": everything is of sign A."""

    def __init__(self, problem: Problem, block: int, size: int) -> None:
        self.problem, self.block, self.size = problem, block, size
        self.sign = 1.0 if problem.which == "smallest" else -1.0
        self.products = products_of(problem.operator, problem.operator.dtype)
        self.outlier = lowest_known(problem, self.sign)
        self.iterations = self.matvecs = self.starts = 0
        self.best, self.since = math.inf, 0  # the least residual, less than half of that before, and when it was

    @property
    def is_expensive(self) -> bool:
        """Whether it has taken more than a dense solution would."""
        size = self.problem.size
        return size <= _LARGEST_DENSE and self.matvecs > _MOST_PRODUCTS * size + 10_000

    @property
    def ended(self) -> bool:
        """Whether there are to be no more restarts."""
        stalled = self.iterations - self.since >= _STALLED
        return self.iterations >= self.problem.max_iterations or stalled or self.is_expensive

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """About the lowest eigenvalue, and a bound of the highest."""
        low, high, products = spectrum_bounds(self.problem, self.sign)
        self.matvecs += products
        return low, high

    def ritz(self, basis: Tensor) -> Ritz:
        """Ritz pairs of the operator in the span of an orthonormal basis."""
        self.matvecs += basis.shape[1]
        return rayleigh_ritz(basis, multiply(self.products, basis).mul_(self.sign))

    def lowest(
        self, k: int, chosen: Filter | None, against: Tensor | None, start: Tensor | None, max_iterations: int
    ) -> _Lowest:
        """The k lowest eigenpairs in the complement of the known vectors and of `against`.

        Args:
            k: How many.
            chosen: A polynomial to work with, or None for the operator itself.
            against: `[n, l]` orthonormal.
            start: Vectors to start from.
            max_iterations: Restarts, in the whole run, at most.
        """
        problem, block, size = self.problem, self.block, self.size
        n, dtype = problem.size, problem.operator.dtype
        room = n - problem.num_known - (0 if against is None else against.shape[1])
        if room <= size + block:
            ritz = self.ritz(orthonormalize(problem.random(room, 1), problem, against))
            return _Lowest(ritz.values[:k], ritz.vectors[:, :k], True)
        # Vectors are rows, each on its own in memory: the basis grows without leaving gaps.
        rows = torch.empty(size + block, n, dtype=dtype, device=problem.operator.device)
        projected = torch.zeros(size + block, size + block, dtype=dtype, device=rows.device)
        rows[:block] = orthonormalize(self._start(start), problem, against, stream=2).T
        kept, held = 0, block  # Ritz vectors at the front; vectors in all, the last block among them
        # Of what `projected` is made of: the largest eigenvalue of the polynomial is 1.
        norm = problem.norm if chosen is None else 1.0
        self.best, self.since = math.inf, self.iterations
        # A device is not waited for within a basis: whether all blocks were independent is asked once it is full.
        careful = rows.device.type == "cpu"
        while True:
            begin, sound = held, torch.ones((), dtype=torch.bool, device=rows.device)
            while held <= size:
                at = held - block
                image = self._apply(rows[at:held].T, chosen, against).T.contiguous()
                # All that it can have a part in by construction: after a restart the Ritz vectors, later two blocks.
                near = 0 if at == kept else at - block
                coupling = _subtract(image, rows[near:held])
                # After what is large: the basis holds rounding errors along known vectors, which would add up.
                image = remove(image.T, problem, against).T.contiguous()
                _subtract(image, rows[:held])
                projected[near:held, at:held] = coupling.T
                new, independent = _normalize(image, norm)
                if careful and not bool(independent):
                    new = _repaired(image, rows[:held], norm, problem, against, self.matvecs)
                elif not careful:
                    sound &= independent
                rows[held : held + block] = new
                held += block
                # A filter may need far less than a basis; the operator itself never does.
                if careful and chosen is not None and at >= k and held <= size:
                    beside = rows[held - block : held].conj() @ image.T
                    values, rotation = projected_pairs(projected[: at + block, : at + block], "U")
                    off = torch.linalg.vector_norm(beside @ rotation[at:, :k], dim=0)
                    if bool((off < -problem.tol * values[:k]).all()):
                        ritz = self.ritz(rows[: at + block].T @ rotation[:, :k])
                        if self._converged(ritz):
                            return _Lowest(ritz.values, ritz.vectors, True)
            if not careful and not bool(sound):
                held, careful = begin, True
                continue
            inner = held - block
            values, rotation = projected_pairs(projected[:inner, :inner], "U")
            keep = min(k + max(block, (inner - k) // 3), inner - 2 * block)
            _rotate(rows, rotation[:, :keep], inner)
            ritz = self.ritz(rows[:k].T)
            done = self._converged(ritz)
            if (worst := float(ritz.residuals.max())) < 0.5 * self.best:
                self.best, self.since = worst, self.iterations
            if done or self.iterations >= max_iterations or self.ended:
                return _Lowest(ritz.values, ritz.vectors, done)
            self.iterations += 1
            if chosen is not None and against is None:
                width, least = chosen.cut - chosen.low, 1e-5 * problem.norm
                if width > least and float(ritz.values[-1] - ritz.values[0]) < _SUNK * width:
                    return _Lowest(ritz.values, ritz.vectors, False)
            rows[keep : keep + block] = rows[inner:held].clone()
            projected.zero_()
            projected[:keep, :keep] = torch.diag(values[:keep]).to(dtype)
            kept, held = keep, keep + block

    def _start(self, start: Tensor | None) -> Tensor:
        """Random vectors, others each time; of start vectors, random combinations and a little of everything else."""
        self.starts += 1
        drawn = self.problem.random(self.block, self.starts)
        if start is None or start.shape[1] == 0:
            return drawn
        generator = torch.Generator().manual_seed(self.problem.seed)
        mix = torch.randn(start.shape[1], self.block, generator=generator, dtype=torch.float64).to(drawn)
        mixed = start.to(drawn) @ mix
        lengths = torch.linalg.vector_norm(mixed, dim=0).clamp(min=torch.finfo(drawn.dtype).tiny)
        return mixed / lengths + 0.01 * drawn / torch.linalg.vector_norm(drawn, dim=0)

    def _converged(self, ritz: Ritz) -> bool:
        return bool((ritz.residuals <= 0.9 * self.problem.tol * self.problem.norm).all())

    def _apply(self, block: Tensor, chosen: Filter | None, against: Tensor | None) -> Tensor:
        """The operator, or minus its polynomial, times a block."""
        self.matvecs += block.shape[1] * (1 if chosen is None else chosen.degree)
        if chosen is None:
            return multiply(self.products, block).mul_(self.sign)
        every = chosen.span(self.outlier, 1e6 if torch.finfo(block.dtype).eps < 1e-10 else 1e2)
        purge = partial(remove, problem=self.problem, against=against)
        return -chosen.apply(self.products, block, self.sign, every, purge)


def _subtract(image: Tensor, rows: Tensor) -> Tensor:
    """Take the parts along the rows off the image's rows, in place; `[b, j]`: the parts.

    Measured: twice as quick as the same with vectors in columns.
    """
    parts = image @ rows.mH
    image.addmm_(parts, rows, alpha=-1)
    return parts


def _normalize(image: Tensor, norm: float) -> tuple[Tensor, Tensor]:
    """Orthonormal rows with the span of an image's, and whether these are independent, beyond rounding."""
    eps = torch.finfo(image.dtype).eps
    # Rounding in the image is eps norm: a shorter row is not orthogonal to the basis to that much.
    block, factor = _cholesky_qr(image)
    return _cholesky_qr(block)[0], factor.diagonal().real.min() > 10 * eps**0.5 * norm


def _repaired(
    image: Tensor, rows: Tensor, norm: float, problem: Problem, against: Tensor | None, stream: int
) -> Tensor:
    """Orthonormal rows with the span of an image's that is orthogonal to the rows; random where nothing is left."""
    eps = torch.finfo(image.dtype).eps
    tiny = torch.linalg.vector_norm(image, dim=1) <= 100 * eps * norm
    everything = rows.T if against is None else torch.cat([rows.T, against], 1)
    return orthonormalize(torch.where(tiny, 0, image.T), problem, everything, stream=stream).T


def _cholesky_qr(image: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal rows, and the lower factor that makes the image of them; nan where the image's rows are dependent."""
    factor, failed = torch.linalg.cholesky_ex(image.conj() @ image.T)
    factor = torch.where(failed > 0, torch.nan, factor)
    unit = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    return torch.linalg.solve_triangular(factor, unit, upper=False).conj() @ image, factor


def _rotate(rows: Tensor, rotation: Tensor, inner: int) -> None:
    """The first rows <- rotation^T times the first `inner` rows, in place."""
    step = max(1, _CHUNK // inner)
    for first in range(0, rows.shape[1], step):
        rows[: rotation.shape[1], first : first + step] = rotation.T @ rows[:inner, first : first + step]
