"""Block Lanczos with full reorthogonalisation and thick restarts, in NumPy: for inverses on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.eigen.operators.problem import Problem
from graphpe.structure.adjacency import Floats

Block = NDArray[Any]
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
    vectors: Block
    steps: int


def largest(
    apply: Callable[[Block], Block], problem: Problem, dtype: np.dtype[Any], known: list[Any], block: int
) -> Largest:
    """The k largest eigenpairs of a Hermitian operator, with residuals of `tol` relative to each eigenvalue.

    A Krylov space holds no eigenvector that its start has no part in, and for each repeated eigenvalue only as many as
    the block has columns, but for rounding. So a fresh block looks outside what was found, until it finds nothing that
    belongs there; what it finds is taken in.

    Args:
        apply: The operator times a block, `[n, m]` to `[n, m]`.
        problem: What is wanted: k, tolerance, iterations, seed.
        dtype: The precision of the blocks.
        known: Orthonormal blocks that are left out.
        block: Columns of a block.
    """
    size, k = problem.size, problem.k
    rng = np.random.default_rng(problem.seed)
    space = 2 * k + 6 * block
    krylov = Krylov(apply, size, dtype, known, block, rng, space)
    steps = problem.max_iterations
    while krylov.steps < steps:
        krylov.extend()
        if krylov.size < k:
            continue
        values, residual = krylov.ritz()
        if (residual[:k] <= problem.tol * values[:k]).all():
            break
        if krylov.is_full:
            krylov.restart(k + (krylov.size - k) // 3)
    values, vectors, done = krylov.ritz()[0][:k], krylov.vectors(k), krylov.steps
    while done < steps:
        more, done = _outside(apply, problem, [*known, vectors], float(values[-1]), block, rng, done)
        if more is None:
            break
        both = np.concatenate([values, more[0]])
        order = np.argsort(-both, kind="stable")[:k]
        values, vectors = both[order], np.linalg.qr(np.concatenate([vectors, more[1]], axis=1)[:, order])[0]
    return Largest(values, vectors, done)


def _outside(
    apply: Callable[[Block], Block],
    problem: Problem,
    known: list[Any],
    level: float,
    block: int,
    rng: np.random.Generator,
    done: int,
) -> tuple[tuple[Floats, Block] | None, int]:
    """Eigenpairs above the level in the complement of what is known, or None; and the steps so far."""
    level *= 1 + problem.tol
    columns = min(block, problem.size - sum(part.shape[1] for part in known))
    if columns == 0:
        return None, done
    krylov = Krylov(apply, problem.size, known[-1].dtype, known, columns, rng, 8 * block)
    while done < problem.max_iterations:
        krylov.extend()
        done += 1
        values, residual = krylov.ritz()
        above = int(np.count_nonzero(values[:columns] > level))
        if above and (residual[:above] <= problem.tol * values[:above]).all():
            return (values[:above], krylov.vectors(above)), done
        # The error of a Ritz value is as the square of its residual.
        if not above and (residual[0] <= problem.tol**0.5 * values[0] or values[0] + residual[0] <= level):
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
        dtype: The precision of the blocks.
        known: Orthonormal blocks that are left out.
        block: Columns of a block.
        rng: What start blocks are drawn with.
        space: Most vectors that are kept.
    """

    def __init__(
        self,
        apply: Callable[[Block], Block],
        size: int,
        dtype: np.dtype[Any],
        known: list[Any],
        block: int,
        rng: np.random.Generator,
        space: int,
    ) -> None:
        self._apply, self._known, self._block, self._rng = apply, known, block, rng
        self._basis = np.empty((size, space + block), dtype, order="F")
        self._projected = np.zeros((space + block, space + block), dtype)
        self.size, self.steps = 0, 0
        # One product takes the start towards the eigenvectors that are wanted.
        start = self._without_known(apply(self._without_known(self._random(block))))
        self._basis[:, :block] = np.linalg.qr(start)[0]
        self._last = np.zeros((block, block), dtype)

    @property
    def is_full(self) -> bool:
        """Whether the next step needs a restart."""
        return self.size + 2 * self._block > self._basis.shape[1]

    def extend(self) -> None:
        """Apply the operator to the last block, and add what is new."""
        begin, end = self.size, self.size + self._block
        basis = self._basis[:, :end]
        image = self._without_known(self._apply(self._basis[:, begin:end]))
        scale = np.linalg.norm(image, axis=0).max()
        new, last = image, np.eye(self._block)
        for attempt in range(_PASSES):
            part = basis.conj().T @ new
            self._projected[:end, begin:end] += part @ last
            new, rest = _qr(self._without_known(new - basis @ part))
            last = rest @ last
            if attempt and np.abs(np.diagonal(rest)).min() > 0.5:
                break
        for i in np.flatnonzero(np.abs(np.diagonal(last)) <= _RANK * scale):
            new[:, i] = self._fresh(np.concatenate([basis, np.delete(new, i, axis=1)], axis=1))
            last[i] = 0
        self._basis[:, end : end + self._block], self._last = new, last
        self.size, self.steps = end, self.steps + 1

    def ritz(self) -> tuple[Floats, Floats]:
        """All Ritz values, descending, and their residuals."""
        values, self._small = np.linalg.eigh(self._projected[: self.size, : self.size], UPLO="U")
        values, self._small = values[::-1], self._small[:, ::-1]
        return values, np.linalg.norm(self._last @ self._small[-self._block :], axis=0)

    def vectors(self, count: int) -> Block:
        """The first Ritz vectors of the last call of `ritz`.

        Args:
            count: How many.
        """
        return self._basis[:, : self.size] @ self._small[:, :count]

    def restart(self, count: int) -> None:
        """Keep the first Ritz vectors and the block that comes next.

        Args:
            count: How many are kept.
        """
        values = self.ritz()[0]
        new = self._basis[:, self.size : self.size + self._block].copy()
        self._basis[:, :count] = self.vectors(count)
        self._basis[:, count : count + self._block] = new
        self._projected[:] = 0
        self._projected[np.arange(count), np.arange(count)] = values[:count]
        self.size = count

    def _without_known(self, block: Block) -> Block:
        for part in self._known:
            block = block - part @ (part.conj().T @ block)
        return block

    def _random(self, columns: int) -> Block:
        block = self._rng.standard_normal((len(self._basis), columns))
        if np.iscomplexobj(self._basis):
            block = block + 1j * self._rng.standard_normal(block.shape)
        return block

    def _fresh(self, others: Block) -> Block:
        """A random unit vector orthogonal to the others."""
        vector = self._random(1)
        for _ in range(2):
            vector = self._without_known(vector)
            vector -= others @ (others.conj().T @ vector)
        return vector[:, 0] / np.linalg.norm(vector)


def _qr(block: Block) -> tuple[Block, Block]:
    """The QR decomposition of a block of few columns; by Cholesky factors, orthonormal to rounding when repeated."""
    gram = block.conj().T @ block
    scale = np.sqrt(np.diagonal(gram).real)
    if scale.min() > 0:
        gram /= scale[:, None] * scale
        try:
            factor = np.linalg.cholesky(gram)
        except np.linalg.LinAlgError:
            return np.linalg.qr(block)
        if np.abs(np.diagonal(factor)).min() > _INDEPENDENT:
            rest = factor.conj().T * scale
            return block @ np.linalg.inv(rest), rest
    return np.linalg.qr(block)
