"""Vectors over nodes and sparse tables of pairs of nodes: the compiled steps that homomorphisms are counted with.

Numbers are int64 or float64, never negative. Every step that multiplies or adds compares with `most`, and returns the
first row whose number is larger instead of wrapping.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled
from graphpe.structure.adjacency import Ints

Numbers = NDArray[Any]

MOST_EXACT = 9.2e18
"""Counts are below this, a little less than 2^63: the sum of two of them is then seen to wrap, as it is negative."""


class Table(NamedTuple):
    """Numbers of pairs of nodes of one graph; row u holds the columns `indices[indptr[u]:indptr[u + 1]]`, ascending.

    Attributes:
        indptr: `[N + 1]`.
        indices: `[M]`.
        values: `[M]`, positive.
    """

    indptr: Ints
    indices: Ints
    values: Numbers


@compiled
def times(a: Numbers, b: Numbers, most: float) -> tuple[Numbers, int]:
    """The product of two vectors, and the first node where it is too large (-1: none).

    Args:
        a: One number a node, `[N]`.
        b: Another.
        most: The largest number.
    """
    out = np.empty_like(a)
    for u in range(len(a)):
        if float(a[u]) * float(b[u]) > most:
            return out, u
        out[u] = a[u] * b[u]
    return out, -1


@compiled
def through(indptr: Ints, indices: Ints, values: Numbers, x: Numbers, most: float) -> tuple[Numbers, int]:
    """The table times a vector, and the first node where it is too large (-1: none).

    Args:
        indptr: Of the table.
        indices: Of the table.
        values: Of the table.
        x: One number a node, `[N]`.
        most: The largest number.
    """
    out = np.zeros_like(x)
    for u in range(len(x)):
        for e in range(indptr[u], indptr[u + 1]):
            if float(values[e]) * float(x[indices[e]]) > most:
                return out, u
            out[u] += values[e] * x[indices[e]]
            if out[u] < 0 or out[u] > most:
                return out, u
    return out, -1


@compiled
def series(
    a_ptr: Ints, a_indices: Ints, a_values: Numbers, x: Numbers, b_ptr: Ints, b_indices: Ints, b_values: Numbers,
    most: float,
) -> tuple[Ints, Ints, Numbers, int]:  # fmt: skip
    """The product A diag(x) B of two tables with a vector between them, and the first row that is too large (-1: none).

    Args:
        a_ptr: Of the first table.
        a_indices: Of the first table.
        a_values: Of the first table.
        x: One number a node, `[N]`.
        b_ptr: Of the second table.
        b_indices: Of the second table.
        b_values: Of the second table.
        most: The largest number.
    """
    size = len(a_ptr) - 1
    indptr = np.zeros(size + 1, np.int64)
    seen = np.full(size, -1, np.int64)
    for u in range(size):  # how many columns each row will have
        count = 0
        for e in range(a_ptr[u], a_ptr[u + 1]):
            w = a_indices[e]
            if x[w] > 0:
                for f in range(b_ptr[w], b_ptr[w + 1]):
                    count += seen[b_indices[f]] != u
                    seen[b_indices[f]] = u
        indptr[u + 1] = indptr[u] + count
    indices = np.empty(indptr[size], np.int64)
    values = np.empty(indptr[size], x.dtype)
    total = np.zeros_like(x)
    for u in range(size):
        count = indptr[u]
        for e in range(a_ptr[u], a_ptr[u + 1]):
            w = a_indices[e]
            if x[w] > 0:
                if float(a_values[e]) * float(x[w]) > most:
                    return indptr, indices, values, u
                here = a_values[e] * x[w]
                for f in range(b_ptr[w], b_ptr[w + 1]):
                    v = b_indices[f]
                    if total[v] == 0:
                        indices[count] = v
                        count += 1
                    if float(here) * float(b_values[f]) > most:
                        return indptr, indices, values, u
                    total[v] += here * b_values[f]
                    if total[v] < 0 or total[v] > most:
                        return indptr, indices, values, u
        indices[indptr[u] : indptr[u + 1]] = np.sort(indices[indptr[u] : indptr[u + 1]])
        for e in range(indptr[u], indptr[u + 1]):
            values[e] = total[indices[e]]
            total[indices[e]] = 0
    return indptr, indices, values, -1


@compiled
def series_in(
    m_ptr: Ints, m_indices: Ints, m_values: Numbers,
    a_ptr: Ints, a_indices: Ints, a_values: Numbers, x: Numbers, b_ptr: Ints, b_indices: Ints, b_values: Numbers,
    most: float,
) -> tuple[Ints, Ints, Numbers, int]:  # fmt: skip
    """A table times A diag(x) B, entry by entry, without the entries of A diag(x) B that the table does not have.

    Args:
        m_ptr: Of the table.
        m_indices: Of the table.
        m_values: Of the table.
        a_ptr: Of A.
        a_indices: Of A.
        a_values: Of A.
        x: One number a node, `[N]`.
        b_ptr: Of B.
        b_indices: Of B.
        b_values: Of B.
        most: The largest number.

    Returns:
        The table's `indptr`, `indices` and `values`, and the first row that is too large (-1: none).
    """
    size = len(m_ptr) - 1
    indptr = np.zeros(size + 1, np.int64)
    indices = np.empty(len(m_indices), np.int64)
    values = np.empty(len(m_indices), x.dtype)
    total = np.zeros_like(x)
    wanted = np.full(size, -1, np.int64)
    count = 0
    for u in range(size):
        for e in range(m_ptr[u], m_ptr[u + 1]):
            wanted[m_indices[e]] = u
            total[m_indices[e]] = 0
        for e in range(a_ptr[u], a_ptr[u + 1] if m_ptr[u] < m_ptr[u + 1] else a_ptr[u]):
            w = a_indices[e]
            if x[w] > 0:
                if float(a_values[e]) * float(x[w]) > most:
                    return indptr, indices, values, u
                here = a_values[e] * x[w]
                for f in range(b_ptr[w], b_ptr[w + 1]):
                    v = b_indices[f]
                    if wanted[v] == u:
                        if float(here) * float(b_values[f]) > most:
                            return indptr, indices, values, u
                        total[v] += here * b_values[f]
                        if total[v] < 0 or total[v] > most:
                            return indptr, indices, values, u
        for e in range(m_ptr[u], m_ptr[u + 1]):
            found = total[m_indices[e]]
            if found > 0:
                if float(found) * float(m_values[e]) > most:
                    return indptr, indices, values, u
                indices[count] = m_indices[e]
                values[count] = found * m_values[e]
                count += 1
        indptr[u + 1] = count
    return indptr, indices[:count].copy(), values[:count].copy(), -1


@compiled
def both(
    a_ptr: Ints, a_indices: Ints, a_values: Numbers, b_ptr: Ints, b_indices: Ints, b_values: Numbers, most: float
) -> tuple[Ints, Ints, Numbers, int]:
    """The product of two tables, entry by entry, and the first row that is too large (-1: none).

    Args:
        a_ptr: Of the first table.
        a_indices: Of the first table.
        a_values: Of the first table.
        b_ptr: Of the second table.
        b_indices: Of the second table.
        b_values: Of the second table.
        most: The largest number.
    """
    size = len(a_ptr) - 1
    indptr = np.zeros(size + 1, np.int64)
    indices = np.empty(min(len(a_indices), len(b_indices)), np.int64)
    values = np.empty(len(indices), a_values.dtype)
    count = 0
    for u in range(size):
        i, j = a_ptr[u], b_ptr[u]
        while i < a_ptr[u + 1] and j < b_ptr[u + 1]:
            if a_indices[i] == b_indices[j]:
                if float(a_values[i]) * float(b_values[j]) > most:
                    return indptr, indices, values, u
                indices[count] = a_indices[i]
                values[count] = a_values[i] * b_values[j]
                count += 1
                i += 1
                j += 1
            elif a_indices[i] < b_indices[j]:
                i += 1
            else:
                j += 1
        indptr[u + 1] = count
    return indptr, indices[:count].copy(), values[:count].copy(), -1
