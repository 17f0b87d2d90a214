"""Sums of terms p(d) exp(lambda d) over all nodes of a tree in two passes, on the CPU, with a written backward.

Place v keeps the moments m_k = sum_j d(v, j)^k exp(lambda d(v, j)) X_j over a set of nodes j. Along an edge of length w
they turn into

    m'_k = exp(lambda w) sum_i binomial(k, i) w^(k - i) m_i

From the leaves up, each place gets the moments of its subtree; from the roots down, those of everything else: what its
parent got from above, the parent's own value, and its siblings' subtrees, by running sums from either side. Nothing is
subtracted, so that sums of positive values keep their relative accuracy, whatever the lengths.

All sums are taken in float64 (complex128). Columns of the field are worked on in chunks that bound the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled import compiled
from graphpe.trees.forest import Floats, Forest, Ints
from graphpe.trees.functions import Term

Numbers = NDArray[Any]  # float64 or complex128

# Bytes of the moments in one direction; two are kept.
_CHUNK_BYTES = 1 << 25


def sum_terms(forest: Forest, field: Tensor, terms: list[Term]) -> Tensor:
    """Y_i = sum_j f(d(i, j)) X_j over the nodes j of i's tree, f being the sum of the terms.

    O(N C R^2) for a term of R coefficients and C columns. Differentiable once, in the field and in the terms.

    Args:
        forest: The trees.
        field: X `[N, C]`, float32 or float64, on the CPU.
        terms: The terms.

    Returns:
        `[N, C]`, of the dtype of the field.
    """
    parts = [part for term in terms for part in (term.exponent, term.coefficients)]
    return _Sweeps.apply(field, forest, *parts)


class _Sweeps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, field: Tensor, forest: Forest, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(field, *parts)
        ctx.forest = forest
        return torch.from_numpy(_apply(forest, _array(field), _numbers(parts)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        field, *parts = ctx.saved_tensors
        forest, terms = ctx.forest, _numbers(parts)
        gradient = _array(grad)
        # The matrix is symmetric.
        to_field = torch.from_numpy(_apply(forest, gradient, terms)) if ctx.needs_input_grad[0] else None
        to_parts: list[Tensor | None] = [None] * len(parts)
        if any(ctx.needs_input_grad[2:]):
            for i, sums in enumerate(_pair(forest, gradient, _array(field), terms)):
                coefficients = terms[i][1]
                # L = Re sum_k c_k S_k with S_k = sum_ij <G_i, X_j> d^k exp(lambda d), and dS_k / dlambda = S_(k+1).
                for place, value in ((0, (coefficients * sums[1:]).sum()), (1, sums[:-1])):
                    part = parts[2 * i + place]
                    to_parts[2 * i + place] = torch.as_tensor(np.conj(value), dtype=part.dtype, device=part.device)
        return to_field, None, *to_parts


def _array(field: Tensor) -> Numbers:
    return field.detach().contiguous().numpy()


def _numbers(parts: Any) -> list[tuple[Any, Numbers]]:
    arrays = [part.detach().resolve_conj().numpy(force=True) for part in parts]
    return [(exponent[()], coefficients) for exponent, coefficients in zip(arrays[::2], arrays[1::2], strict=True)]


def _apply(forest: Forest, field: Numbers, terms: list[tuple[Any, Numbers]]) -> Numbers:
    out = np.empty_like(field)
    work = _Work()
    for first, last in _chunks(field, terms, extra=0):
        x = work.array("x", (len(field), last - first))
        y = work.array("y", x.shape)
        _gather(field, forest.order, first, x)
        y.fill(0.0)
        for exponent, coefficients in terms:
            _read_out(_moments(forest, exponent, len(coefficients), x, work), coefficients, y)
        _scatter(y, forest.order, first, out)
    return out


def _pair(forest: Forest, left: Numbers, right: Numbers, terms: list[tuple[Any, Numbers]]) -> list[Numbers]:
    """sum_ij <left_i, right_j> d^k exp(lambda d) for k = 0, ..., K of each term of K coefficients."""
    sums = [np.zeros(len(coefficients) + 1, coefficients.dtype) for _, coefficients in terms]
    work = _Work()
    for first, last in _chunks(left, terms, extra=1):
        g = work.array("g", (len(left), last - first))
        x = work.array("x", g.shape)
        _gather(left, forest.order, first, g)
        _gather(right, forest.order, first, x)
        for (exponent, coefficients), total in zip(terms, sums, strict=True):
            _pair_up(_moments(forest, exponent, len(coefficients) + 1, x, work), g, total)
    return sums


def _chunks(field: Numbers, terms: list[tuple[Any, Numbers]], extra: int) -> Iterator[tuple[int, int]]:
    nodes, columns = field.shape
    bytes_a_column = max(((len(c) + extra) * c.itemsize for _, c in terms), default=8) * max(nodes, 1)
    width = max(_CHUNK_BYTES // bytes_a_column, 8)
    for first in range(0, columns, width):
        yield first, min(first + width, columns)


class _Work:
    """Arrays that are used again for the next term and chunk: fresh memory costs more than the sums in it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Any], Numbers] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Numbers:
        """An array of this shape, with anything in it."""
        key, size = (name, np.dtype(dtype)), math.prod(shape)
        if key not in self._kept or len(self._kept[key]) < size:
            self._kept[key] = np.empty(size, dtype)
        return self._kept[key][:size].reshape(shape)


def _moments(forest: Forest, exponent: Any, count: int, x: Floats, work: _Work) -> Numbers:
    """The first moments of each place over its tree: `[N, C]` if there is one, `[N, C, K]` of more."""
    factor = np.exp(exponent * forest.length)
    shape = x.shape if count == 1 else (*x.shape, count)
    below, above = (work.array(name, shape, factor.dtype) for name in ("below", "above"))
    if count == 1:
        _sweep(forest.parent, forest.children, factor, x, below, above)
    else:
        binomial = np.array([[math.comb(k, i) for i in range(count)] for k in range(count)], dtype=np.float64)
        _sweep_moments(forest.parent, forest.children, forest.length, factor, binomial, x, below, above)
    return below


@compiled
def _gather(field: Floats, order: Ints, first: int, out: Floats) -> None:
    for v in range(len(order)):
        row = field[order[v]]
        for c in range(out.shape[1]):
            out[v, c] = row[first + c]


@compiled
def _scatter(value: Floats, order: Ints, first: int, out: Floats) -> None:
    for v in range(len(order)):
        row = out[order[v]]
        for c in range(value.shape[1]):
            row[first + c] = value[v, c]


@compiled
def _sweep(parent: Ints, children: Ints, factor: Numbers, x: Floats, below: Numbers, above: Numbers) -> None:
    """Fills `below`, in the end with the sums over all of the tree; what is in `above` is of no use."""
    size, columns = x.shape
    running = np.empty(columns, factor.dtype)
    for v in range(size):
        for c in range(columns):
            below[v, c] = x[v, c]
    for v in range(size - 1, -1, -1):
        p, t = parent[v], factor[v]
        if p >= 0:
            for c in range(columns):
                below[p, c] += t * below[v, c]
    for v in range(size):
        start, end = children[v]
        if parent[v] < 0:
            above[v] = 0.0
        if end > start:
            for c in range(columns):
                running[c] = above[v, c] + x[v, c]
            for u in range(start, end):
                t = factor[u]
                for c in range(columns):
                    above[u, c] = running[c]
                    running[c] += t * below[u, c]
            for c in range(columns):
                running[c] = 0.0
            for u in range(end - 1, start - 1, -1):
                t = factor[u]
                for c in range(columns):
                    above[u, c] = t * (above[u, c] + running[c])
                    running[c] += t * below[u, c]
        for c in range(columns):
            below[v, c] += above[v, c]


@compiled
def _sweep_moments(
    parent: Ints,
    children: Ints,
    length: Floats,
    factor: Numbers,
    binomial: Floats,
    x: Floats,
    below: Numbers,
    above: Numbers,
) -> None:
    """As `_sweep`."""
    size, columns = x.shape
    count = len(binomial)
    below[:] = 0.0
    running = np.empty((columns, count), factor.dtype)
    turn = np.zeros((count, count), factor.dtype)
    for v in range(size):
        for c in range(columns):
            below[v, c, 0] = x[v, c]
    for v in range(size - 1, -1, -1):
        p = parent[v]
        if p >= 0:
            _turn(length[v], factor[v], binomial, turn)
            for c in range(columns):
                for k in range(count):
                    total = below[p, c, k]
                    for i in range(k + 1):
                        total += turn[k, i] * below[v, c, i]
                    below[p, c, k] = total
    for v in range(size):
        start, end = children[v]
        if parent[v] < 0:
            above[v] = 0.0
        if end > start:
            running[:] = above[v]
            for c in range(columns):
                running[c, 0] += x[v, c]
            for u in range(start, end):
                _turn(length[u], factor[u], binomial, turn)
                for c in range(columns):
                    for k in range(count):
                        above[u, c, k] = running[c, k]
                        for i in range(k + 1):
                            running[c, k] += turn[k, i] * below[u, c, i]
            running[:] = 0.0
            for u in range(end - 1, start - 1, -1):
                _turn(length[u], factor[u], binomial, turn)
                for c in range(columns):
                    for k in range(count - 1, -1, -1):  # downwards: lower moments are still those of the parent
                        total = turn[k, k] * (above[u, c, k] + running[c, k])
                        for i in range(k):
                            total += turn[k, i] * (above[u, c, i] + running[c, i])
                        above[u, c, k] = total
                    for k in range(count):
                        for i in range(k + 1):
                            running[c, k] += turn[k, i] * below[u, c, i]
        for c in range(columns):
            for k in range(count):
                below[v, c, k] += above[v, c, k]


@compiled
def _turn(length: float, factor: Any, binomial: Floats, out: Numbers) -> None:
    """What moments are multiplied by along an edge."""
    count = len(binomial)
    power = 1.0
    for apart in range(count):
        for k in range(apart, count):
            out[k, k - apart] = factor * (binomial[k, k - apart] * power)
        power *= length


def _read_out(moments: Numbers, coefficients: Numbers, y: Floats) -> None:
    """Add Re sum_k coefficients_k m_k."""
    if moments.ndim == 2:
        _add_one(moments, coefficients[0], y)
    else:
        _add_all(moments, coefficients, y)


@compiled
def _add_one(moments: Numbers, coefficient: Any, y: Floats) -> None:
    for v in range(y.shape[0]):
        for c in range(y.shape[1]):
            y[v, c] += (coefficient * moments[v, c]).real


@compiled
def _add_all(moments: Numbers, coefficients: Numbers, y: Floats) -> None:
    for v in range(y.shape[0]):
        for c in range(y.shape[1]):
            for k in range(len(coefficients)):
                y[v, c] += (coefficients[k] * moments[v, c, k]).real


@compiled
def _pair_up(moments: Numbers, g: Floats, total: Numbers) -> None:
    """Add sum_v <g_v, m_k(v)> for each k."""
    for v in range(g.shape[0]):
        for c in range(g.shape[1]):
            for k in range(len(total)):
                total[k] += g[v, c] * moments[v, c, k]
