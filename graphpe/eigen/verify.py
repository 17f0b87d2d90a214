"""Whether a solver has missed an eigenpair: seen from outside, by a few products."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from graphpe.eigen.operators.bounds import spectral_bounds
from graphpe.eigen.operators.problem import Found, Problem, Solver
from graphpe.eigen.operators.products import multiply, products_of
from graphpe.eigen.solvers.filters import Filter, lowest_known
from graphpe.eigen.solvers.orthogonalize import orthonormalize, remove
from graphpe.eigen.solvers.rayleigh_ritz import Ritz, rayleigh_ritz

_BLOCK = 4
_DEGREE = 40  # of a polynomial that lifts what was missed
_ROUNDS = 2
_GAP = 1e-3  # of the norm: the least width of the interval that is damped


def with_missed(problem: Problem, solver: Solver, found: Found) -> Found:
    """What was found, and what was missed: further copies of a repeated eigenvalue, say.

    In the complement of what was found, a random block is multiplied by a polynomial that lifts whatever is below the
    k-th eigenvalue. A Rayleigh quotient below it is a proof that something is missing; the solver is then called for
    the complement. Eigenvalues closer to the k-th than (log(1 / tol) / degree)^2 of the norm may stay unseen. Only
    where all pairs have converged: others are reported anyway.

    Args:
        problem: The operator and the eigenpairs that are wanted of it.
        solver: What found them.
        found: What was found.
    """
    products = products_of(problem.operator, problem.operator.dtype)
    sign = 1.0 if problem.which == "smallest" else -1.0
    matvecs, k = found.matvecs, problem.k

    def ritz(basis: Tensor) -> Ritz:
        nonlocal matvecs
        matvecs += basis.shape[1]
        return rayleigh_ritz(basis, multiply(products, basis).mul_(sign))

    values, vectors = sign * found.values, found.vectors
    while problem.size - problem.num_known > k:
        residual = multiply(products, vectors) - vectors * (sign * values)
        matvecs += k
        if not bool((torch.linalg.vector_norm(residual, dim=0) <= problem.tol * problem.norm).all()):
            break
        block, taken = _lifted(problem, values, vectors, sign)
        matvecs += taken
        if not bool(ritz(block).values[0] < values[-1] - problem.tol * problem.norm):
            break
        known = vectors if problem.known is None else torch.cat([problem.known.to_dense(), vectors], 1)
        rest = replace(problem, known=known, k=min(k, problem.size - known.shape[1]), start=None)
        more = solver.solve(rest)
        matvecs += more.matvecs
        both = ritz(orthonormalize(torch.cat([vectors, more.vectors], 1), problem))
        if not bool(both.values[:k].sum() < values.sum()):
            break  # the solver does not see it
        values, vectors = both.values[:k], both.vectors[:, :k].contiguous()
    return found._replace(values=sign * values, vectors=vectors, matvecs=matvecs)


def _lifted(problem: Problem, values: Tensor, vectors: Tensor, sign: float) -> tuple[Tensor, int]:
    """An orthonormal block outside of what was found, rich in what is below the largest value; and the products."""
    bounds = problem.bounds or spectral_bounds(problem.operator, problem.seed)
    low, high = (bounds.low, bounds.high) if sign > 0 else (-bounds.high, -bounds.low)
    columns = min(_BLOCK, problem.size - problem.num_known - problem.k)
    block = orthonormalize(problem.random(columns, stream=17), problem, vectors)
    cut = float(values[-1])
    low = min(low, float(values[0]), cut - _GAP * problem.norm)
    if cut > high - _GAP * problem.norm:
        return block, 0
    chosen = Filter(_DEGREE, low, cut, high)
    every = chosen.span(min(float(values[0]), lowest_known(problem, sign)), 1e4)
    products = products_of(problem.operator, problem.operator.dtype)
    for _ in range(_ROUNDS):
        block = chosen.apply(products, block, sign, every, partial(remove, problem=problem, against=vectors))
        block = orthonormalize(block, problem, vectors, stream=18)
    return block, _ROUNDS * _DEGREE * columns
