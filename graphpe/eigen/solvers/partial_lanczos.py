"""Lanczos from one vector, with partial reorthogonalisation and thick restarts.

Wu, Simon: Thick-restart Lanczos method for large symmetric eigenvalue problems. SIAM Journal on Matrix Analysis 22,
2000; Simon: The Lanczos algorithm with partial reorthogonalization. Mathematics of Computation 42, 1984.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.compiled.threads import one_blas_thread
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.operators.products import multiply, products_of
from graphpe.eigen.solvers.orthogonalize import orthonormalize
from graphpe.eigen.solvers.rayleigh_ritz import Ritz, rayleigh_ritz
from graphpe.eigen.solvers.semiorthogonal import Space, Vector, product_of, subtract_rows
from graphpe.errors import GraphPETypeError

_LEAST_BASIS = 40
_KEPT = 0.2  # of the Ritz vectors that are not wanted, at a restart
_SHARE = 0.7  # of the tolerance, for the estimated residuals
_THRESHOLD = 0.01  # of the tolerance: how far from orthogonal the basis may become
_FEW = 16  # known vectors that are kept dense
_LOOK = 20  # steps between two looks for what was missed


@dataclass(frozen=True)
class PartialLanczos:
    """Lanczos from one vector: the fewest products of all iterative solvers, for expanders and social networks.

    There, the wanted eigenvalues are separated by about n^(-2/3) of the norm, hence about n^(1/3) products converge,
    and the factors of a matrix would fill up. A step is one product with one vector, compiled for sparse matrices, and
    hardly more: new vectors are made orthogonal to those before them only when rounding has made that necessary
    (`graphpe.eigen.solvers.semiorthogonal`), about every fifth time. When the basis is full, the best Ritz vectors and
    the last vector stay.

    From one vector, an eigenvalue shows in one copy. So Lanczos goes on in the complement of what was found, from a
    fresh vector, until nothing below the k-th eigenvalue comes; each round takes some more products, and one is the
    least. On the CPU: every step looks at numbers. Single precision is raised to double for sparse matrices.

    Memory: the basis, (basis + 1) n numbers.

    Example:
        >>> import graphpe, torch
        >>> from graphpe.eigen.solvers import PartialLanczos
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=PartialLanczos())
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]

    Attributes:
        basis: Vectors of the basis, at least k + 8; None for the larger of 5 k and 40.
    """

    basis: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "basis", None if self.basis is None else check_integer("basis", self.basis, least=1))

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs; `iterations` counts restarts.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        if problem.operator.device.type != "cpu":
            raise GraphPETypeError(
                f"PartialLanczos works on the CPU, got an operator on {problem.operator.device}: choose Lanczos()"
            )
        with one_blas_thread():  # a step has one product with many entries, which has threads of its own
            return self._solve(problem)

    def _solve(self, problem: Problem) -> Found:
        k = problem.k
        run = _Run(problem, max(5 * k, _LEAST_BASIS) if self.basis is None else max(self.basis, k + 8))
        found = run.lowest(None, math.inf)
        values, vectors = found.values, found.vectors
        while found.converged and k < problem.size - problem.num_known:
            found = run.lowest(vectors, float(values[-1]) - problem.tol * problem.norm)
            if not len(found.values):
                break
            ritz = run.ritz(torch.cat([vectors, found.vectors], 1))
            values, vectors = ritz.values[:k], ritz.vectors[:, :k]
        return Found(run.sign * values, vectors.contiguous(), run.restarts, run.matvecs, is_complete=True)


class _Lowest(NamedTuple):
    values: Tensor
    vectors: Tensor
    converged: bool


class _Run:
    """What the rounds share. `sign` turns "largest" into "smallest": everything is of sign A."""

    def __init__(self, problem: Problem, basis: int) -> None:
        self.problem, self.basis = problem, basis
        self.sign = 1.0 if problem.which == "smallest" else -1.0
        self.dtype = torch.complex128 if problem.operator.dtype.is_complex else torch.float64
        self.product = product_of(problem.operator, self.sign)
        self.products = products_of(problem.operator, problem.operator.dtype)
        self.rng = np.random.default_rng(problem.seed)
        self.restarts = self.matvecs = 0

    def ritz(self, basis: Tensor) -> Ritz:
        """Ritz pairs of the operator in the span of an orthonormal basis."""
        self.matvecs += basis.shape[1]
        return rayleigh_ritz(basis, multiply(self.products, basis).mul_(self.sign))

    def lowest(self, against: Tensor | None, level: float) -> _Lowest:
        """The k lowest eigenpairs, or those below the level, in the complement of known vectors and of `against`."""
        problem, k = self.problem, self.problem.k
        goal = _SHARE * problem.tol * problem.norm
        space = self._space(against)
        before = (0, 0.0)
        look = self.basis if against is None else _LOOK
        while True:
            space.extend()
            if space.products < look and not (space.is_full or space.is_whole):
                continue
            keep = k + int(_KEPT * (space.size - k)) if space.is_full else k
            values, residuals = space.ritz(keep)
            wanted = int(np.count_nonzero(values[:k] < level))
            # The error of a Ritz value is as the square of its residual over the gap to the next.
            error = min(residuals[0], residuals[0] ** 2 / max(values[1] - values[0], goal)) if len(values) > 1 else 0.0
            sharp = values[0] - error >= level
            worst = float(residuals[:wanted].max(initial=0.0))
            missing = against is None and wanted < k
            converged = space.is_whole or (worst <= goal and not missing and (wanted > 0 or bool(sharp)))
            if converged or (space.is_full and self.restarts >= problem.max_iterations):
                break
            if space.is_full:
                self.restarts += 1
                space.restart(keep)
            now = (space.products, math.log(max(worst / goal, 1.0)))
            look, before = _next_look(before, now, self.basis if against is None else _LOOK), now
        self.matvecs += space.products
        if wanted == 0:
            return _Lowest(torch.zeros(0), torch.zeros(0), converged)
        vectors = torch.from_numpy(np.ascontiguousarray(space.vectors(wanted).T)).to(problem.operator.dtype)
        ritz = self.ritz(orthonormalize(vectors, problem, against))
        return _Lowest(ritz.values, ritz.vectors, converged)

    def _space(self, against: Tensor | None) -> Space:
        problem = self.problem
        parts = [part.to(self.dtype) for part in (problem.known, against) if part is not None]
        parts = [part.to_dense() if part.shape[1] <= _FEW else part for part in parts]
        sparse = [part for part in parts if part.layout != torch.strided]
        dense = [part.T.contiguous().numpy() for part in parts if part.layout == torch.strided]

        def purge(vector: Vector) -> None:
            for columns in sparse:
                block = torch.from_numpy(vector)[:, None]
                block -= columns @ (columns.mH @ block)
            for rows in dense:
                subtract_rows(vector, rows)

        is_double = problem.operator.dtype == self.dtype
        return Space(
            self.product,
            self._start(None if against is not None else problem.start),
            self.basis,
            problem.norm,
            purge,
            problem.size - sum(part.shape[1] for part in parts),
            min(_THRESHOLD * problem.tol, 1e-8) if is_double else 0.0,
            self.rng,
        )

    def _start(self, given: Tensor | None) -> Vector:
        """A random vector; of start vectors, a random combination and a little of everything else."""
        drawn = torch.from_numpy(self.rng.standard_normal(self.problem.size)).to(self.dtype)
        if given is None or given.shape[1] == 0:
            return drawn.numpy()
        mixed = given.to(self.dtype) @ torch.from_numpy(self.rng.standard_normal(given.shape[1])).to(self.dtype)
        length = torch.linalg.vector_norm(mixed).clamp(min=torch.finfo(self.dtype).tiny)
        return (mixed / length + 0.01 * drawn / torch.linalg.vector_norm(drawn)).numpy()


def _next_look(before: tuple[int, float], now: tuple[int, float], every: int) -> int:
    """After how many products residuals will have converged, if they go on as between the last two looks.

    Args:
        before: Products, and the logarithm of what the residuals are too large by, at the last look but one.
        now: The same at the last look.
        every: Products until the next look at most.
    """
    gained = before[1] - now[1]
    if gained <= 0:
        return now[0] + every
    return now[0] + min(every, 4 + int(now[1] * (now[0] - before[0]) / gained))
