"""A Krylov space of a Hermitian operator, grown by one vector at a time and kept orthogonal no more than is needed.

In exact arithmetic a new vector is orthogonal to all those before it. In floating point, rounding errors along
eigenvectors that have been found grow. How much of that there is, w_ji = |v_j^H v_i|, obeys the recurrence of the
vectors themselves and costs nothing to follow; vectors are taken off where it has grown to a threshold.

Simon: The Lanczos algorithm with partial reorthogonalization. Mathematics of Computation 42 (1984). Differs from it:
after a thick restart, the recurrence runs with the restarted projection.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.compiled.jit import machine_code
from graphpe.eigen.operators.base import MatrixOperator, Operator
from graphpe.structure.adjacency import Floats

Vector = NDArray[Any]

_EPS = float(np.finfo(np.float64).eps)
_WORK_PER_THREAD = 100_000  # entries
_CHUNK = 1 << 21  # numbers of the basis that are rotated at a time
# Of the norm: a step this short is orthogonalised in full, for rounding is a large part of it.
_SHORT = 0.02


class Product(Protocol):
    """sign A x - beta y, and its product with x."""

    def __call__(self, x: Vector, beta: float, y: Vector, out: Vector) -> float:
        """Write sign A x - beta y to `out`; x^H out."""
        ...


def product_of(operator: Operator, sign: float) -> Product:
    """The product with sign A, in double precision for matrices of any precision.

    Args:
        operator: The operator.
        sign: 1 or -1.
    """
    if isinstance(operator, MatrixOperator) and operator.is_sparse:
        return _CompiledProduct(operator.matrix, sign)

    def product(x: Vector, beta: float, y: Vector, out: Vector) -> float:
        out[:] = operator.matmul(torch.from_numpy(x)[:, None].to(operator.dtype))[:, 0].numpy()
        out *= sign
        out -= beta * y
        return float(np.vdot(x, out).real)

    return product


class _CompiledProduct:
    def __init__(self, matrix: torch.Tensor, sign: float) -> None:
        values = matrix.values().detach().clone()
        values = sign * values.to(torch.complex128 if values.is_complex() else torch.float64)
        self._start = matrix.crow_indices().to(torch.int64).numpy()
        # Unsigned: no index is from the end.
        self._col, self._value = matrix.col_indices().to(torch.int32).numpy().view(np.uint32), values.numpy()
        threads = max(1, min(torch.get_num_threads(), len(self._col) // _WORK_PER_THREAD))
        cuts = np.searchsorted(self._start, np.linspace(0, self._start[-1], threads + 1))
        cuts[0], cuts[-1] = 0, len(self._start) - 1
        self._cuts = cuts.tolist()
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __call__(self, x: Vector, beta: float, y: Vector, out: Vector) -> float:
        if self._pool is None:
            return _multiply(self._start, self._col, self._value, x, beta, y, out, 0, len(x))

        def rows(first: int, last: int) -> float:
            return _multiply(self._start, self._col, self._value, x, beta, y, out, first, last)

        return sum(self._pool.map(rows, self._cuts[:-1], self._cuts[1:]))


class Space:
    """A Krylov space in the complement of what is known.

    Attributes:
        size: Vectors that the operator has been applied to.
        products: Products with the operator since the beginning.
        is_whole: Whether there is nothing beside it.
    """

    def __init__(
        self,
        product: Product,
        start: Vector,
        most: int,
        norm: float,
        take_off_known: Callable[[Vector], None],
        room: int,
        threshold: float,
        rng: np.random.Generator,
    ) -> None:
        """Begin.

        Args:
            product: That of the operator.
            start: `[n]`, not zero.
            most: Vectors at most, more than those a restart keeps.
            norm: Of the operator, about.
            take_off_known: Takes known vectors off a vector, in place.
            room: Dimension of the complement.
            threshold: How far from orthogonal vectors may become; 0 for orthogonal to rounding.
            rng: Of vectors that are drawn when an invariant subspace is found.
        """
        self._product, self._norm, self._take_off_known, self._rng = product, norm, take_off_known, rng
        self._room, self._most = room, min(most, room)
        self._rows = np.empty((self._most + 1, len(start)), start.dtype)
        self._alpha, self._beta, self._border = (np.zeros(self._most + 1) for _ in range(3))
        self._level = _EPS * len(start) ** 0.5  # of what is orthogonal to rounding
        self._threshold = threshold
        self._in_full = threshold < 10 * self._level
        self._now, self._before = np.zeros((2, self._most + 2))
        self._now[0] = 1
        self._span: tuple[int, int] | None = None
        self.size, self.products, self._kept = 0, 0, 0
        self._rows[0] = start
        take_off_known(self._rows[0])
        self._rows[0] /= _norm(self._rows[0])

    @property
    def is_full(self) -> bool:
        """Whether the next step needs a restart."""
        return self.size == self._most

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing beside it."""
        return self.size == self._room

    def extend(self) -> None:
        """Apply the operator to the last vector, and add what is new."""
        j, rows = self.size, self._rows
        x, z = rows[j], rows[j + 1]
        after_restart = j == self._kept
        if after_restart:
            alpha = self._product(x, 0.0, x, z)
            if j:
                z -= self._border[:j] @ rows[:j]
        else:
            alpha = self._product(x, self._beta[j - 1], rows[j - 1], z)
        self.products += 1
        self.size = j + 1
        self._alpha[j] = alpha
        _subtract(z, x, alpha)
        self._take_off_known(z)
        beta = _norm(z)
        now, new = self._now, self._before  # of the next vector: written over those of the last but one
        if self._in_full or after_restart or beta <= _SHORT * self._norm:
            self._remove(0, j + 1)
            self._remove(0, j + 1)
            beta = _norm(z)
            new[: j + 1] = self._level
            self._span = None if self._in_full else (0, j + 1)
        else:
            noise = self._level * self._norm
            worst = _overlaps(self._alpha, self._beta, self._border, self._kept, j, beta, noise, self._level, now, new)
            span, self._span = self._span, None
            if span is None and worst > self._threshold:
                self._span = span = _exceeding(new, j + 1, max(1e-4 * self._threshold, 2 * self._level))
            if span is not None:
                self._remove(*span)
                beta = _norm(z)
                new[slice(*span)] = self._level
        new[j + 1] = 1
        self._now, self._before = new, now
        if beta <= 1e3 * self._level * self._norm:
            beta = 0.0
            if self.size < self._room:
                self._draw()
        else:
            z /= beta
        self._beta[j] = beta

    def ritz(self, count: int) -> tuple[Floats, Floats]:
        """The lowest Ritz values, ascending, and their residuals; at most `count`.

        Args:
            count: How many at most.
        """
        j, kept = self.size, self._kept
        projected = np.diag(self._alpha[:j])
        at = np.arange(kept, j - 1)
        projected[at + 1, at] = self._beta[kept : j - 1]
        if j > kept:
            projected[kept, :kept] = self._border[:kept]
        values, vectors = np.linalg.eigh(projected)
        values, self._small = values[:count], vectors[:, :count]
        self._values = values
        return values, np.abs(self._beta[j - 1] * self._small[-1])

    def vectors(self, count: int) -> NDArray[Any]:
        """The first Ritz vectors of the last call of `ritz`, as rows.

        Args:
            count: How many.
        """
        return self._small[:, :count].T @ self._rows[: self.size]

    def restart(self, count: int) -> None:
        """Keep the first Ritz vectors of the last call of `ritz`, and the vector that comes next.

        Args:
            count: How many are kept.
        """
        j, rows = self.size, self._rows
        values, self._small = self._values[:count], self._small[:, :count]
        for first in range(0, rows.shape[1], step := max(1, _CHUNK // j)):
            rows[:count, first : first + step] = self._small.T @ rows[:j, first : first + step]
        rows[count] = rows[j]
        self._border[:count] = self._beta[j - 1] * self._small[-1]
        self._alpha[:count] = values
        self._kept = self.size = count
        self._span = None

    def _remove(self, first: int, last: int) -> None:
        """Take vectors off the next one."""
        subtract_rows(self._rows[self.size], self._rows[first:last])

    def _draw(self) -> None:
        """The space is invariant: go on from a random vector that is orthogonal to it."""
        z = self._rows[self.size]
        z[:] = self._rng.standard_normal(len(z))
        for _ in range(3):
            self._take_off_known(z)
            self._remove(0, self.size)
            z /= _norm(z)
        self._now[: self.size] = self._level
        self._span = (0, self.size)


@machine_code
def _multiply(
    start: Any, col: Any, value: Any, x: Vector, beta: float, y: Vector, out: Vector, first: int, last: int
) -> float:
    total = 0.0
    for i in range(first, last):
        s = -beta * y[i]
        for e in range(start[i], start[i + 1]):
            s += value[e] * x[col[e]]
        out[i] = s
        total += (np.conj(x[i]) * s).real
    return total


def subtract_rows(vector: Vector, rows: NDArray[Any]) -> None:
    """Take orthonormal rows off a vector, in place.

    Args:
        vector: The vector, `[n]`, overwritten.
        rows: The rows, `[j, n]`.
    """
    vector -= (rows @ vector.conj()).conj() @ rows


def _norm(vector: Vector) -> float:
    return float(np.vdot(vector, vector).real) ** 0.5


@machine_code
def _subtract(z: Vector, x: Vector, alpha: float) -> None:
    """Write z - alpha x over z."""
    for i in range(len(z)):
        z[i] -= alpha * x[i]


@machine_code
def _overlaps(
    alpha: Floats,
    beta: Floats,
    border: Floats,
    kept: int,
    j: int,
    length: float,
    noise: float,
    level: float,
    now: Floats,
    out: Floats,
) -> float:
    """Bounds of the overlaps of vector j + 1 with those before it; the largest.

    Args:
        alpha: Diagonal of the projection.
        beta: What couples neighbours beyond the first `kept` vectors.
        border: What couples those to vector `kept`.
        kept: Ritz vectors of a restart; less than j unless both are zero.
        j: The vector that the operator was applied to.
        length: What couples it to the next one.
        noise: Rounding in a step.
        level: Overlap of vectors that are orthogonal to rounding.
        now: Overlaps of vector j.
        out: Those of vector j - 1, overwritten by those of j + 1.
    """
    coupled = 0.0
    for i in range(kept):
        coupled += border[i] * now[i]
    worst = 0.0
    for i in range(j):
        s = (alpha[i] - alpha[j]) * now[i]
        if i < kept:
            s += border[i] * now[kept]
        else:
            s += beta[i] * now[i + 1]
            if i > kept:
                s += beta[i - 1] * now[i - 1]
            else:
                s += coupled
        s -= beta[j - 1] * out[i]
        s += noise if s >= 0 else -noise
        out[i] = s / length
        worst = max(worst, abs(out[i]))
    out[j] = level
    return worst


@machine_code
def _exceeding(overlaps: Floats, count: int, least: float) -> tuple[int, int]:
    """From the first to after the last overlap above `least`."""
    first, last = count, 0
    for i in range(count):
        if abs(overlaps[i]) > least:
            first, last = min(first, i), i + 1
    return first, last
