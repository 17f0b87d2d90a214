"""Sums of terms p(d) exp(lambda d) over all nodes of a tree by moments: for polynomials, and terms that grow.

Place v keeps the moments m_k = sum_j d(v, j)^k exp(lambda d(v, j)) X_j over a set of nodes j. Along an edge of length w
they turn into

    m'_k = exp(lambda w) sum_i binomial(k, i) w^(k - i) m_i

From the leaves up, each place gets the moments of its subtree; from the roots down, those of everything else: what its
parent got from above, the parent's own value, and its siblings' subtrees, by running sums from either side. Nothing is
subtracted, so that sums of positive values keep their relative accuracy, whatever the lengths.

All sums are taken in float64 (complex128), a few columns of the field at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled
from graphpe.trees.forest import Floats, Forest, Ints
from graphpe.trees.functions.phases import exponential

Numbers = NDArray[Any]  # float64 or complex128

# Bytes of the moments in one direction; two are kept.
_CHUNK_BYTES = 1 << 25


def add_sums(forest: Forest, field: Numbers, exponent: Any, coefficients: Numbers, out: Numbers) -> None:
    """Add sum_j f(d(i, j)) X_j of the term f to each row of `out`. O(N C K^2) for K coefficients.

    Args:
        forest: The trees.
        field: X, `[N, D]`.
        exponent: The exponent of the term, complex or real.
        coefficients: Its coefficients of 1, d, d^2, ..., `[K]`.
        out: What is added to, `[N, D]`.
    """
    for first, found in _moments(forest, field, exponent, len(coefficients)):
        _read_out(forest.order, found, coefficients, first, out)


def pair(forest: Forest, left: Numbers, right: Numbers, exponent: Any, count: int) -> Numbers:
    """sum_ij <left_i, right_j> d^k exp(exponent d) for the first k, `[count]`.

    Args:
        forest: The trees.
        left: `[N, D]`.
        right: `[N, D]`.
        exponent: The exponent, complex or real.
        count: Number of powers of d.
    """
    total = np.zeros(count, np.asarray(exponent).dtype)
    for first, found in _moments(forest, right, exponent, count):
        _pair_up(forest.order, found, left, first, total)
    return total


def _moments(forest: Forest, field: Numbers, exponent: Any, count: int) -> Iterator[tuple[int, Numbers]]:
    """The first moments of each place over its tree, `[N, K, some columns]`, and the first of these columns."""
    nodes, columns = field.shape
    factor = exponential(exponent, forest.length)
    binomial = np.array([[math.comb(k, i) for i in range(count)] for k in range(count)], dtype=np.float64)
    width = max(_CHUNK_BYTES // (max(nodes, 1) * count * factor.itemsize), 8)
    below, above = np.empty((2, nodes, count, min(width, columns)), factor.dtype)
    for first in range(0, columns, width):
        chunk = slice(min(width, columns - first))
        parts = below[:, :, chunk], above[:, :, chunk]
        _sweep(*forest, factor, binomial, field, first, *parts)
        yield first, parts[0]


@compiled
def _sweep(
    order: Ints,
    parent: Ints,
    count: Ints,
    length: Floats,
    factor: Numbers,
    binomial: Floats,
    field: Floats,
    first: int,
    below: Numbers,
    above: Numbers,
) -> None:
    """Fills `below`, in the end with the moments over all of the tree; what is in `above` is of no use."""
    size, moments, columns = below.shape
    turn = np.zeros((moments, moments), factor.dtype)
    running, sums = np.empty((moments, columns), factor.dtype), np.empty((moments, columns), factor.dtype)
    below[:] = 0.0
    for v in range(size - 1, -1, -1):
        p = parent[v]
        for c in range(columns):
            below[v, 0, c] += field[order[v], first + c]
        above[v] = 0.0
        if p >= 0:
            above[v] = below[p]  # of the siblings after it
            _turn(length[v], factor[v], binomial, turn)
            _add_turned(turn, below[v], below[p])
    for v in range(size):
        running[:] = above[v]
        for c in range(columns):
            running[0, c] += field[order[v], first + c]
        u, end = v + 1, v + count[v]
        while u < end:
            _turn(length[u], factor[u], binomial, turn)
            for k in range(moments):
                for c in range(columns):
                    sums[k, c] = running[k, c] + above[u, k, c]
            above[u] = 0.0
            _add_turned(turn, sums, above[u])
            _add_turned(turn, below[u], running)
            u += count[u]
        for k in range(moments):
            for c in range(columns):
                below[v, k, c] += above[v, k, c]


@compiled
def _turn(length: float, factor: Any, binomial: Floats, out: Numbers) -> None:
    """What moments are multiplied by along an edge."""
    count = len(binomial)
    power = 1.0
    for apart in range(count):
        for k in range(apart, count):
            out[k, k - apart] = factor * (binomial[k, k - apart] * power)
        power *= length


@compiled
def _add_turned(turn: Numbers, moments: Numbers, out: Numbers) -> None:
    for k in range(len(turn)):
        for i in range(k + 1):
            t = turn[k, i]
            for c in range(out.shape[1]):
                out[k, c] += t * moments[i, c]


@compiled
def _read_out(order: Ints, moments: Numbers, coefficients: Numbers, first: int, out: Floats) -> None:
    """Add Re sum_k coefficients_k m_k."""
    for v in range(len(order)):
        for c in range(moments.shape[2]):
            total = 0.0
            for k in range(len(coefficients)):
                total += (coefficients[k] * moments[v, k, c]).real
            out[order[v], first + c] += total


@compiled
def _pair_up(order: Ints, moments: Numbers, left: Floats, first: int, total: Numbers) -> None:
    """Add sum_v <left_v, m_k(v)> for each k."""
    for v in range(len(order)):
        for k in range(len(total)):
            for c in range(moments.shape[2]):
                total[k] += left[order[v], first + c] * moments[v, k, c]
