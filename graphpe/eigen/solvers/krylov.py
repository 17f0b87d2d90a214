"""Block Lanczos with full reorthogonalisation and thick restarts, for inverses: blocks where the factors are.

What is as large as the matrix stays on its device; what is as large as the space goes to the host, where it is decided
what comes next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.eigen.operators.problem import Problem
from graphpe.structure.adjacency import Floats

Small = NDArray[Any]
Apply = Callable[[Tensor], Tensor]
# Columns of less than this share of a product are rounding. A block is orthogonal when nothing is left to take off.
_RANK = 1e-13
_PASSES = 4
# Columns of unit length at least this far from those before them go through Cholesky factors, in a quarter of the time.
_INDEPENDENT = 1e-5


class Largest(NamedTuple):
    """The largest eigenpairs of an operator.

    Attributes:
        values: `[k]`, descending.
        vectors: `[n, k]`, orthonormal.
        steps: Block steps.
    """

    values: Floats
    vectors: Tensor
    steps: int


def largest(apply: Apply, problem: Problem, like: Tensor, known: list[Tensor], block: int) -> Largest:
    """The k largest eigenpairs of a Hermitian operator, with residuals of `tol` relative to each eigenvalue.

    A Krylov space holds no eigenvector that its start has no part in, and for each repeated eigenvalue only as many as
    the block has columns, but for rounding: `with_outside` looks for the others.

    Args:
        apply: The operator times a block, `[n, m]` to `[n, m]`.
        problem: What is wanted: k, tolerance, iterations, seed.
        like: A tensor of the blocks' dtype, on their device.
        known: Orthonormal blocks that are left out.
        block: Columns of a block.
    """
    k = problem.k
    rng = np.random.default_rng(problem.seed)
    krylov = Krylov(apply, problem.size, like, known, block, rng, 2 * k + 6 * block)
    while krylov.steps < problem.max_iterations:
        krylov.extend()
        if krylov.size < k:
            continue
        values, residual = krylov.ritz()
        if (residual[:k] <= problem.tol * values[:k]).all():
            break
        if krylov.is_full:
            krylov.restart(k + (krylov.size - k) // 3)
    return Largest(krylov.ritz()[0][:k], krylov.vectors(k), krylov.steps)


def with_outside(
    apply: Apply, problem: Problem, found: Largest, known: list[Tensor], block: int, missing: int = 0
) -> Largest:
    """What was found, and what is larger in its complement: a fresh block looks there until it finds nothing.

    Args:
        apply: The operator times a block, `[n, m]` to `[n, m]`.
        problem: What is wanted: k, tolerance, iterations, seed.
        found: What was found.
        known: Orthonormal blocks that are left out.
        block: Columns of a block.
        missing: How many there are for certain, where that is known: so many are found, and no more looked for.
    """
    values, vectors, done = found
    left = missing
    rng = np.random.default_rng([problem.seed, done])
    while done < problem.max_iterations:
        more, done = _outside(apply, problem, [*known, vectors], float(values[-1]), block, rng, done, left > 0)
        if more is None:
            break
        left -= len(more[0])
        both = np.concatenate([values, more[0]])
        order = np.argsort(-both, kind="stable")[: problem.k]
        values, chosen = both[order], _there(order, vectors)
        vectors = torch.linalg.qr(torch.cat([vectors, more[1]], dim=1)[:, chosen])[0]
        if missing and left <= 0:
            break
    return Largest(values, vectors, done)


def _outside(
    apply: Apply,
    problem: Problem,
    known: list[Tensor],
    level: float,
    block: int,
    rng: np.random.Generator,
    done: int,
    is_certain: bool,
) -> tuple[tuple[Floats, Tensor] | None, int]:
    """Eigenpairs above the level in the complement of what is known, or None; and the steps so far.

    Where it is certain that there are any, they are looked for as long as steps are left.
    """
    level *= 1 + problem.tol
    columns = min(block, problem.size - sum(part.shape[1] for part in known))
    if columns == 0:
        return None, done
    krylov = Krylov(apply, problem.size, known[-1], known, columns, rng, 8 * block)
    while done < problem.max_iterations:
        krylov.extend()
        done += 1
        values, residual = krylov.ritz()
        above = int(np.count_nonzero(values[:columns] > level))
        if above and (residual[:above] <= problem.tol * values[:above]).all():
            return (values[:above], krylov.vectors(above)), done
        # The error of a Ritz value is as the square of its residual. A residual that only ends below the level says
        # that some eigenvalue is there, not that none is above.
        if not above and residual[0] <= problem.tol**0.5 * values[0] and not is_certain:
            break
        if krylov.is_full:
            krylov.restart(krylov.size // 2)
    return None, done


class Krylov:
    """A Krylov space of an operator, in the complement of what is known.

    Attributes:
        size: Vectors that the operator has been applied to.
        steps: Blocks that it has been applied to since the beginning.

    Args:
        apply: The operator times a block, `[n, m]` to `[n, m]`.
        size: Number n of rows.
        like: A tensor of the blocks' dtype, on their device.
        known: Orthonormal blocks that are left out.
        block: Columns of a block.
        rng: What start blocks are drawn with, on the host: the same on every device.
        space: Most vectors that are kept.
    """

    def __init__(
        self,
        apply: Apply,
        size: int,
        like: Tensor,
        known: list[Tensor],
        block: int,
        rng: np.random.Generator,
        space: int,
    ) -> None:
        self._apply, self._known, self._block, self._rng = apply, known, block, rng
        self._basis = torch.empty(space + block, size, dtype=like.dtype, device=like.device).T
        kind = np.complex128 if like.dtype.is_complex else np.float64
        self._projected: Small = np.zeros((space + block, space + block), kind)
        self.size, self.steps = 0, 0
        # One product takes the start towards the eigenvectors that are wanted.
        start = self._without_known(apply(self._without_known(self._random(block))))
        self._basis[:, :block] = torch.linalg.qr(start)[0]
        self._last: Small = np.zeros((block, block), kind)

    @property
    def is_full(self) -> bool:
        """Whether the next step needs a restart."""
        return self.size + 2 * self._block > self._basis.shape[1]

    def extend(self) -> None:
        """Apply the operator to the last block, and add what is new."""
        begin, end = self.size, self.size + self._block
        basis = self._basis[:, :end]
        new = self._without_known(self._apply(self._basis[:, begin:end]))
        scale = float(torch.linalg.vector_norm(new, dim=0).max())
        last = np.eye(self._block)
        for attempt in range(_PASSES):
            part = basis.mH @ new
            self._projected[:end, begin:end] += _here(part) @ last
            new, rest = _qr(self._without_known(new - _times(basis, part)))
            last = rest @ last
            if attempt and np.abs(np.diagonal(rest)).min() > 0.5:
                break
        for i in np.flatnonzero(np.abs(np.diagonal(last)) <= _RANK * scale).tolist():
            new[:, i] = self._fresh(torch.cat([basis, new[:, :i], new[:, i + 1 :]], dim=1))
            last[i] = 0
        self._basis[:, end : end + self._block], self._last = new, last
        self.size, self.steps = end, self.steps + 1

    def ritz(self) -> tuple[Floats, Floats]:
        """All Ritz values, descending, and their residuals."""
        values, self._small = np.linalg.eigh(self._projected[: self.size, : self.size], UPLO="U")
        values, self._small = values[::-1], self._small[:, ::-1]
        return values, np.linalg.norm(self._last @ self._small[-self._block :], axis=0)

    def vectors(self, count: int) -> Tensor:
        """The first Ritz vectors of the last call of `ritz`.

        Args:
            count: How many.
        """
        return _times(self._basis[:, : self.size], _there(self._small[:, :count], self._basis))

    def restart(self, count: int) -> None:
        """Keep the first Ritz vectors and the block that comes next.

        Args:
            count: How many are kept.
        """
        values = self.ritz()[0]
        new = self._basis[:, self.size : self.size + self._block].clone()
        self._basis[:, :count] = self.vectors(count)
        self._basis[:, count : count + self._block] = new
        self._projected[:] = 0
        self._projected[np.arange(count), np.arange(count)] = values[:count]
        self.size = count

    def _without_known(self, block: Tensor) -> Tensor:
        for part in self._known:
            block = block - part @ (part.mH @ block)
        return block

    def _random(self, columns: int) -> Tensor:
        block: Small = self._rng.standard_normal((self._basis.shape[0], columns))
        if self._basis.is_complex():
            block = block + 1j * self._rng.standard_normal(block.shape)
        return _there(block, self._basis)

    def _fresh(self, others: Tensor) -> Tensor:
        """A random unit vector orthogonal to the others."""
        vector = self._random(1)
        for _ in range(2):
            vector = self._without_known(vector)
            vector = vector - others @ (others.mH @ vector)
        return vector[:, 0] / torch.linalg.vector_norm(vector)


def _here(part: Tensor) -> Small:
    """A small tensor on the host."""
    return part.numpy(force=True)


def _there(part: Small, like: Tensor) -> Tensor:
    """A small array where `like` is."""
    return torch.from_numpy(part.copy()).to(like.device)  # a reversed axis of length 1 counts as contiguous


def _times(block: Tensor, small: Tensor) -> Tensor:
    """A block times a small matrix, by columns in memory: the way that solves want, and products of blocks are fast."""
    return (small.mT @ block.mT).mT


def _qr(block: Tensor) -> tuple[Tensor, Small]:
    """The QR decomposition of a block of few columns; by Cholesky factors, orthonormal to rounding when repeated."""
    gram = _here(block.mH @ block)
    scale = np.sqrt(np.diagonal(gram).real)
    if scale.min() > 0:
        try:
            factor = np.linalg.cholesky(gram / (scale[:, None] * scale))
        except np.linalg.LinAlgError:
            factor = np.zeros((1, 1))
        if np.abs(np.diagonal(factor)).min() > _INDEPENDENT:
            rest = factor.conj().T * scale
            return _times(block, _there(np.linalg.inv(rest), block)), rest
    orthogonal, rest = torch.linalg.qr(block)
    return orthogonal, _here(rest)
