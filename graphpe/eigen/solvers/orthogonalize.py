"""Orthonormal bases of blocks of vectors, by matrix products: Cholesky factors of Gram matrices, twice.

Yamamoto, Nakatsukasa, Yanagisawa, Fukaya: Roundoff error analysis of the CholeskyQR2 algorithm. ETNA 44, 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphpe.eigen.operators.problem import Problem


def orthonormalize(block: Tensor, problem: Problem, against: Tensor | None = None, stream: int = 0) -> Tensor:
    """An orthonormal basis of the block's span, orthogonal to known vectors; where it is lost, random directions.

    CholeskyQR2 on columns of unit length, O(n m^2) in products alone; a block whose columns depend on each other to
    rounding takes a QR factorisation, and its dependent columns are drawn anew.

    Args:
        block: `[n, m]`, m at most n less what is known.
        problem: Says which vectors are known.
        against: `[n, l]` orthonormal: more vectors to be orthogonal to, or None.
        stream: Of the problem's randomness, for columns drawn anew.

    Returns:
        `[n, m]` orthonormal.
    """
    for attempt in range(3):
        basis, sound = _cholesky_qr2(block, problem, against)
        if sound:
            return basis
        block = _independent(remove(block, problem, against), problem, against, stream + 7919 * (attempt + 1))
    return block


def remove(block: Tensor, problem: Problem, against: Tensor | None) -> Tensor:
    """The block minus its parts in the spans of the known vectors and of `against`.

    Args:
        block: The block, `[n, m]`.
        problem: The problem, with its known vectors.
        against: Orthonormal columns `[n, j]`; None for none.
    """
    block = problem.without_known(block)
    if against is not None and against.shape[1]:
        block = block - against @ (against.mH @ block)
    return block


def _cholesky_qr2(block: Tensor, problem: Problem, against: Tensor | None) -> tuple[Tensor, bool]:
    eps = torch.finfo(block.dtype).eps
    for last in (False, True):
        block = remove(block, problem, against)
        gram = block.mH @ block
        length = gram.diagonal().real
        scale = length.clamp(min=torch.finfo(length.dtype).tiny).rsqrt()
        gram = gram * scale[:, None] * scale
        factor, failed = torch.linalg.cholesky_ex(gram)
        # A pivot is the squared distance of a column from those before it; rounding in the Gram matrix is eps.
        least = factor.diagonal().real.min()
        limit = 0.5 if last else (100 * eps) ** 0.5
        if not bool((failed == 0) & (least > limit) & torch.isfinite(scale).all()):
            return block, False
        inverse = torch.linalg.solve_triangular(
            factor, torch.eye(len(factor), dtype=factor.dtype, device=factor.device), upper=False
        )
        block = block @ (inverse * scale).mH
    return block, True


def _independent(block: Tensor, problem: Problem, against: Tensor | None, stream: int) -> Tensor:
    """The Q factor, with columns drawn anew where the block depends on those before them."""
    eps = torch.finfo(block.dtype).eps
    block = torch.where(torch.isfinite(block), block, 0)
    block = block / torch.linalg.vector_norm(block, dim=0).clamp(min=torch.finfo(block.dtype).tiny)
    factors = torch.linalg.qr(block)
    lost = factors.R.diagonal().abs() <= 100 * eps * block.shape[0] ** 0.5
    drawn = remove(problem.random(block.shape[1], stream), problem, against)
    drawn = drawn - factors.Q @ (factors.Q.mH @ drawn) * ~lost
    return torch.linalg.qr(torch.where(lost, drawn, factors.Q)).Q
