"""Locally optimal block preconditioned conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.preconditioners import Preconditioner, Prepared
from graphpe.eigen.solvers.rayleigh_ritz import projected_pairs

# Products are carried along with their vectors; their rounding is taken off now and then.
_REFRESH_EVERY = 30
# With fewer rows than this for each vector of the block, the basis [X, P, W] is a good part of the space.
_LEAST_ROWS_PER_VECTOR = 5
_SHARE = 0.5  # of the tolerance: the norm is a bound, and the residuals are measured again
_CHECK = 5  # vectors of the block that checks a start's result: one alone may settle on a higher eigenvalue


@dataclass(frozen=True)
class LOBPCG:
    """Block conjugate gradients for the Rayleigh quotient, with a preconditioner.

    Each iteration takes the best vectors X of span [X, P, W]: W the preconditioned residuals, P the last directions.
    The basis is kept orthonormal (P within the coefficients of the small eigenproblem, W by two projections and two
    Cholesky factorisations), so that it works down to rounding, in float32 too. Converged vectors stay in X but cost no
    more products (soft locking). Known vectors are taken out of W after preconditioning. Real or complex, any device;
    the only value that the host waits for is the residuals' and, on a device, the small eigenproblem.

    Some random columns (`extra`, and 1e-5 of each W) keep out of invariant subspaces. A start that is given may lie in
    one: then the smallest eigenpair that is orthogonal to the result is computed as a check.

    O((k + extra) nnz + (k + extra)^2 n) an iteration, 7 (k + extra) n numbers of memory. Without a preconditioner it is
    slow on long graphs (paths, grids): use `AMG()` or `ChebyshevPolynomial()` there.

    Experimental, as its preconditioners are: `auto` never chooses it, for no measured graph is solved fastest by it;
    what would decide are a mesh of 10^6 nodes with `AMG()` whose factors do not fit in memory, and a GPU.

    Example:
        >>> import graphpe, torch
        >>> from graphpe.eigen.solvers import LOBPCG
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> result = graphpe.eigsh(operator, k=3, solver=LOBPCG())
        >>> result.values.abs().round(decimals=4).tolist()
        [0.0, 0.0123, 0.0123]

    Attributes:
        preconditioner: `Jacobi()`, `ChebyshevPolynomial(degree)`, `AMG()` or None.
        extra: Vectors beyond k, which make the k-th converge as fast as the gap to those allows; None for
            max(4, k / 4).

    References:
        Knyazev: Toward the Optimal Preconditioned Eigensolver. SIAM J. Sci. Comput. 23(2), 2001.
        Hetmaniuk, Lehoucq: Basis selection in LOBPCG. J. Comput. Phys. 218(1), 2006.
        Duersch, Shao, Yang, Gu: A Robust and Efficient Implementation of LOBPCG. SIAM J. Sci. Comput. 40(5), 2018.
    """

    preconditioner: Preconditioner | None = None
    extra: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra", None if self.extra is None else check_integer("extra", self.extra, least=0))

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs; small problems are solved densely.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        extra = max(4, problem.k // 4) if self.extra is None else self.extra
        width = problem.k + extra
        if problem.size - problem.num_known < _LEAST_ROWS_PER_VECTOR * max(width, _CHECK):
            found = Dense().solve(problem)
            return found._replace(note=f"solved densely: n < {_LEAST_ROWS_PER_VECTOR} (k + extra)")
        prepared = (
            Prepared(lambda block: block, 0) if self.preconditioner is None else self.preconditioner.prepare(problem)
        )
        start = problem.random(width)
        if problem.start is None:
            return _iterate(problem, prepared, start)
        given = problem.start[:, :width]
        found = _iterate(problem, prepared, torch.cat([given, start[:, given.shape[1] :]], dim=1))
        # Each round finds what the start's subspace does not hold; the last one finds nothing.
        while found.iterations < problem.max_iterations:
            one = replace(problem, k=1, max_iterations=problem.max_iterations - found.iterations)
            other = _iterate(one, prepared, problem.random(max(1 + extra, _CHECK), stream=2), found.vectors)
            found = _counted(found, other)
            sign = 1 if problem.which == "smallest" else -1
            if not bool(sign * other.values[0] < sign * found.values[-1] - problem.tol * problem.norm):
                break
            rest = replace(problem, max_iterations=max(problem.max_iterations - found.iterations, 1))
            start = torch.cat([found.vectors[:, :-1], other.vectors, start[:, problem.k :]], dim=1)
            found = _counted(_iterate(rest, prepared, start), found)
        return found


def _counted(found: Found, other: Found) -> Found:
    return found._replace(iterations=found.iterations + other.iterations, matvecs=found.matvecs + other.matvecs)


class _Space(NamedTuple):
    """What is solved for: eigenvalues that ascend, in the complement of known vectors and of those `found` before."""

    problem: Problem
    found: Tensor | None

    def matmul(self, block: Tensor) -> Tensor:
        image = self.problem.operator.matmul(block)
        return image if self.problem.which == "smallest" else -image

    def without_known(self, block: Tensor) -> Tensor:
        block = self.problem.without_known(block)
        return block if self.found is None else block - self.found @ (self.found.mH @ block)

    def orthonormal(self, block: Tensor, basis: Tensor, noise: Tensor) -> Tensor:
        """An orthonormal block close to `block`, orthogonal to the orthonormal `basis` and to the known vectors.

        The noise bounds the condition of the block (by its inverse), so that Cholesky factors exist.
        """
        block = _without(self.without_known(block), basis)
        tiny = torch.finfo(block.dtype).tiny
        block = block / torch.linalg.vector_norm(block, dim=0).clamp(min=tiny) + noise[:, : block.shape[1]]
        block = _without(self.without_known(block), basis)
        return _cholesky_qr(_cholesky_qr(block, floor=10 * torch.finfo(block.dtype).eps))


def _iterate(problem: Problem, prepared: Prepared, start: Tensor, found: Tensor | None = None) -> Found:
    """LOBPCG from a start block `[n, m]`, m >= k."""
    space = _Space(problem, found)
    k, m = problem.k, start.shape[1]
    tolerance = _SHARE * problem.tol * problem.norm
    noise = problem.random(m, stream=1)
    noise *= torch.finfo(start.dtype).eps ** (1 / 3) / torch.linalg.vector_norm(noise, dim=0)

    # Columns: X, P, W; `image` is the operator times them. `gram` is [X, P]^H A [X, P].
    basis = start.new_empty(problem.size, 3 * m)
    image = torch.empty_like(basis)
    basis[:, :m] = space.orthonormal(start, start[:, :0], noise)
    image[:, :m] = space.matmul(basis[:, :m])
    values, rotation = projected_pairs(_hermitian(basis[:, :m].mH @ image[:, :m]))
    basis[:, :m] = basis[:, :m] @ rotation
    image[:, :m] = image[:, :m] @ rotation
    gram = torch.diag(values).to(start.dtype)
    kept, matvecs, iterations, fresh = m, m, 0, True
    while True:
        residual = image[:, :m] - basis[:, :m] * values
        unconverged = (torch.linalg.vector_norm(residual, dim=0) > tolerance).tolist()
        done = not any(unconverged[:k]) or iterations >= problem.max_iterations
        if done and fresh:
            break
        if done or (iterations % _REFRESH_EVERY == 0 and not fresh):
            basis[:, :kept] = _cholesky_qr(space.without_known(basis[:, :kept]))
            image[:, :kept] = space.matmul(basis[:, :kept])
            gram = _hermitian(basis[:, :kept].mH @ image[:, :kept])
            values = gram.diagonal()[:m].real
            matvecs, fresh = matvecs + kept, True
            continue
        active = [column for column, far in enumerate(unconverged) if far]
        size = kept + len(active)
        wrong = torch.tensor(active).to(start.device, non_blocking=True)
        direction = prepared.apply(residual.index_select(1, wrong))
        basis[:, kept:size] = space.orthonormal(direction, basis[:, :kept], noise)
        image[:, kept:size] = space.matmul(basis[:, kept:size])
        matvecs += (1 + prepared.matvecs) * len(active)

        small = start.new_zeros(size, size)
        small[:kept, :kept] = gram
        border = basis[:, :size].mH @ image[:, kept:size]
        small[:, kept:], small[kept:, :kept] = border, border[:kept].mH
        small = _hermitian(small)
        values, vectors = projected_pairs(small)
        values, best, rest = values[:m], vectors[:, :m], vectors[:, m:]
        # What the best vectors gained beyond X, and that orthogonal to them: an orthonormal P.
        gained, _ = torch.linalg.qr(rest[:m].mH @ best[:m].index_select(1, wrong))
        coefficients = torch.cat([best, rest @ gained], dim=1)
        gram = _hermitian(coefficients.mH @ small @ coefficients)
        kept = coefficients.shape[1]
        basis[:, :kept] = basis[:, :size] @ coefficients
        image[:, :kept] = image[:, :size] @ coefficients
        iterations, fresh = iterations + 1, False

    if problem.which == "largest":
        values = -values
    order = values[:k].argsort(descending=problem.which == "largest", stable=True)
    return Found(values[:k][order], basis[:, :k][:, order].contiguous(), iterations, matvecs, is_complete=True)


def _without(block: Tensor, basis: Tensor) -> Tensor:
    return block - basis @ (basis.mH @ block)


def _hermitian(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mH) / 2


def _cholesky_qr(block: Tensor, floor: float = 0.0) -> Tensor:
    """The Q of a QR decomposition, up to rounding times the squared condition; `floor` keeps the Gram matrix definite.

    References:
        Fukaya, Kannan, Nakatsukasa, Yamamoto, Yanagisawa: Shifted Cholesky QR for Computing the QR Factorization of
        Ill-Conditioned Matrices. SIAM J. Sci. Comput. 42(1), 2020.
    """
    gram = _hermitian(block.mH @ block)
    if floor > 0:
        gram.diagonal().add_(floor * gram.diagonal().real.sum())
    factor, _ = torch.linalg.cholesky_ex(gram)
    identity = torch.eye(len(gram), dtype=block.dtype, device=block.device)
    return block @ torch.linalg.solve_triangular(factor.mH, identity, upper=True)
