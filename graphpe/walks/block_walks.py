"""Return probabilities from dense blocks of columns in vector registers, compiled: large graphs with hubs.

Where a few steps reach everything, sparse vectors gain nothing. 32 columns of a power stand side by side, so that every
entry of the matrix is read once for all of them and each sum stays in registers; the sums over nodes that make a
diagonal are taken on the way. Quicker by two to four than `graphpe.walks.loops.returns`, which small graphs take.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import add_scaled, load, plus, spread, store, times

LANES = 32
"""Columns of a block."""

_COLUMNS = (0.0,) * LANES  # a tuple as long: what compiled code knows the number from


@machine_code
def block_returns(
    first: Any,
    size: Any,
    indptr: Any,
    indices: Any,
    weight: Any,
    back_ptr: Any,
    back_indices: Any,
    back_weight: Any,
    symmetric: Any,
    out: Any,
) -> None:
    """diag(M^k), k = 1, ..., K, of the graph of nodes `first` to `first + size` into `out` `[size, K]`.

    Arguments as in `graphpe.walks.local_walks.local_returns`.
    """
    walk_length = out.shape[1]
    ahead, behind, spare = np.empty(size * LANES), np.empty(size * LANES), np.empty(size * LANES)
    sums = np.empty(2 * LANES)
    if symmetric:
        back_ptr, back_indices, back_weight = indptr, indices, weight
    for column in range(0, size, LANES):
        inside = min(LANES, size - column)
        _first_power(first, back_ptr, back_indices, back_weight, column, inside, ahead)
        for c in range(inside):
            out[column + c, 0] = ahead[(column + c) * LANES + c]
        if symmetric:
            if walk_length > 1:
                _products(ahead, ahead, sums)
                for c in range(inside):
                    out[column + c, 1] = sums[c]
            for step in range(3, walk_length + 1, 2):
                _multiply(first, size, indptr, indices, weight, ahead, ahead, spare, sums)
                for c in range(inside):
                    out[column + c, step - 1] = sums[c]
                    if step < walk_length:
                        out[column + c, step] = sums[LANES + c]
                ahead, spare = spare, ahead
            continue
        for step in range(2, walk_length + 1):
            if step == 2:
                _first_power(first, indptr, indices, weight, column, inside, behind)
                _products(ahead, behind, sums)
            elif step % 2:
                _multiply(first, size, indptr, indices, weight, ahead, behind, spare, sums)
                ahead, spare = spare, ahead
            else:
                _multiply(first, size, back_ptr, back_indices, back_weight, behind, ahead, spare, sums)
                behind, spare = spare, behind
            for c in range(inside):
                out[column + c, step - 1] = sums[c]


@machine_code
def _first_power(
    first: Any, back_ptr: Any, back_indices: Any, back_weight: Any, column: Any, inside: Any, out: Any
) -> None:
    """Columns of the matrix from `column` on, by the rows of its transpose."""
    out[:] = 0.0
    for c in range(inside):
        u = first + column + c
        for e in range(back_ptr[u], back_ptr[u + 1]):
            out[(back_indices[e] - first) * LANES + c] = back_weight[e]


@machine_code
def _multiply(
    first: Any, size: Any, indptr: Any, indices: Any, weight: Any, block: Any, other: Any, out: Any, sums: Any
) -> None:
    """The matrix times a block; the sums over rows of the result times another block, and of its squares."""
    with_other, squares = spread(0.0, _COLUMNS), spread(0.0, _COLUMNS)
    for u in range(size):
        value = spread(0.0, _COLUMNS)
        for e in range(indptr[first + u], indptr[first + u + 1]):
            value = add_scaled(weight[e], load(block, (indices[e] - first) * LANES, _COLUMNS), value)
        store(out, u * LANES, value)
        with_other = plus(with_other, times(value, load(other, u * LANES, _COLUMNS)))
        squares = plus(squares, times(value, value))
    store(sums, 0, with_other)
    store(sums, LANES, squares)


@machine_code
def _products(a: Any, b: Any, sums: Any) -> None:
    """Sums over rows of the products of two blocks."""
    value = spread(0.0, _COLUMNS)
    for at in range(0, len(a), LANES):
        value = plus(value, times(load(a, at, _COLUMNS), load(b, at, _COLUMNS)))
    store(sums, 0, value)
