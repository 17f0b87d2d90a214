"""Potentials of unit charges on one large connected graph, from sparse factors, some charges at a time.

With one node grounded, the Laplacian has sparse factors; a column of its inverse Z is two triangular solves, of which
the first meets zeros only but on the way from the charge to the root of the elimination. With h the mean of the columns
of Z,

    V_ij = (Z_ij - h_i) - (Z_jj - h_j)

is the potential at i of a unit charge at j that all nodes take away evenly, against that at j: L+_ij - L+_jj. Columns
stand side by side in vector registers, statistics are taken of each block, and no more than that is held.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import (
    add_scaled,
    greatest,
    larger,
    least,
    load,
    minus,
    plus,
    scale,
    smaller,
    spread,
    store,
    total,
)
from graphpe.compiled.simd import times as product
from graphpe.eigen.fill import estimate_fill
from graphpe.limits import check_seconds
from graphpe.structure.adjacency import Adjacency, Floats

_LANES = 32
_COLUMNS = (0.0,) * _LANES  # a tuple as long: what compiled code knows the number from
# Measured on one core: an entry of the factors for one column, an entry of a column for its statistics, and one of the
# last, dense block while it is eliminated, for each of its rows.
_FACTOR_SECONDS, _ENTRY_SECONDS, _FRONT_SECONDS = 3e-10, 1.2e-9, 3e-10
_FACTOR_BYTES = 2 * 12.0  # both factors, numbers and rows
_MOST_CONDITION = 1e11


class Cost(NamedTuple):
    """What the statistics of a graph take: seconds on one core, and bytes."""

    seconds: float
    memory: float


def estimate_cost(matrix: Adjacency) -> Cost:
    """The least that a graph takes, from how far its factors fill up; quick."""
    size = len(matrix.indptr) - 1
    front = float(estimate_fill(matrix.indptr, matrix.indices).front)
    entries = len(matrix.indices) + front**2 / 2
    return Cost(_columns_seconds(size, entries) + _FRONT_SECONDS * front**3 / 3, _memory(size, entries))


def sparse_potentials(matrix: Adjacency, what: str, instead: str) -> Floats | None:
    """The statistics of `graphpe.spectra.electrostatics` of a connected graph without self-loops: `[n, 10]`.

    None where weights are so far apart that the factors would lose the smaller ones.

    Args:
        matrix: The symmetric weights.
        what: What a message calls them.
        instead: What it says can be done instead, where they take too long.

    Raises:
        GraphPEValueError: They would take longer than `graphpe.limits` allow.
    """
    size = len(matrix.indptr) - 1
    weights = csr_array((matrix.weight, matrix.indices, matrix.indptr), shape=(size, size))
    strength = np.asarray(weights.sum(1)).ravel()
    # The node that most currents meet is grounded: the others are close to it.
    ground = int(np.argmax(np.diff(matrix.indptr)))
    kept = np.delete(np.arange(size), ground)
    grounded = (diags_array(strength[kept]) - weights[kept][:, kept]).tocsc()
    try:
        factors = splu(grounded, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError:  # singular, in double precision
        return None
    mean = factors.solve(np.full(size - 1, 1.0 / size))
    # The inverse is positive: its norm is the largest of its row sums.
    if not 2 * strength.max() * size * np.abs(mean).max() < _MOST_CONDITION:
        return None
    lower = factors.L.tocsc()
    entries = float(lower.nnz)
    check_seconds(what, size, _columns_seconds(size, entries), _memory(size, entries), instead)
    # From here on nodes are counted in the order of elimination, the grounded one last.
    eliminated = np.argsort(factors.perm_c)
    order = np.append(kept[eliminated], ground)
    place = np.argsort(order)
    lower.sort_indices()
    below = lower.indices != np.repeat(np.arange(size - 1), np.diff(lower.indptr))
    start = lower.indptr - np.arange(size)  # without the diagonal of ones
    moved = weights[order][:, order]
    out = np.zeros((size, 10))
    _stream(
        start.astype(np.int64),
        lower.indices[below].astype(np.int64),
        -lower.data[below],
        factors.U.diagonal(),
        np.append(mean[eliminated], 0.0),
        moved.indptr.astype(np.int64),
        moved.indices.astype(np.int64),
        moved.data,
        strength[order],
        out,
    )
    return out[place]


def _columns_seconds(size: int, entries: float) -> float:
    return size * (_FACTOR_SECONDS * entries + _ENTRY_SECONDS * size)


def _memory(size: int, entries: float) -> float:
    return _FACTOR_BYTES * entries + 8.0 * size * (_LANES + 24)


@machine_code
def _stream(
    start: Any,
    row: Any,
    entry: Any,
    pivot: Any,
    mean: Any,
    indptr: Any,
    indices: Any,
    weight: Any,
    strength: Any,
    out: Any,
) -> None:
    """Statistics from blocks of columns; the factors are (I - E) D (I - E)^T with E the `entry`s below the diagonal."""
    size = len(out)
    x = np.empty(size * _LANES)
    own, caused = np.empty(_LANES), np.empty(4 * _LANES)
    touched = np.zeros(size, np.bool_)
    # Squared deviations of what is felt are taken from the mean of the first block, and moved to the mean in the end.
    pilot = np.zeros(size)
    trace, away, others = 0.0, 0.0, size - 1
    for u in range(size):
        out[u, 5] = -np.inf
        away += mean[u]
    away /= size
    for first in range(0, size, _LANES):
        inside = min(_LANES, size - first)
        _solve(start, row, entry, pivot, first, inside, touched, x)
        for c in range(_LANES):
            own[c] = x[(first + c) * _LANES + c] - mean[first + c] if c < inside else 0.0
        for c in range(inside):
            trace += own[c] + mean[first + c]
        if first == 0:
            for u in range(size):
                for c in range(inside):
                    if u != c:
                        pilot[u] += (x[u * _LANES + c] - mean[u] - own[c]) / (inside - (u < inside))
        for c in range(inside):
            caused[c], caused[_LANES + c], caused[2 * _LANES + c] = 0.0, -np.inf, 0.0
            # The mean of a column over the others: that of Z and what is taken off are known.
            caused[3 * _LANES + c] = (mean[first + c] - away - own[c]) * size / others
        if inside == _LANES:
            _whole_rows(0, first, x, mean, own, pilot, caused, out)
            _whole_rows(first + _LANES, size, x, mean, own, pilot, caused, out)
        # The rows of the charges themselves; all rows, of the last columns.
        begin, end = (first, first + _LANES) if inside == _LANES else (0, size)
        for u in range(begin, end):
            for c in range(inside):
                if u != first + c:
                    value = x[u * _LANES + c] - mean[u] - own[c]
                    caused[c], caused[_LANES + c] = min(caused[c], value), max(caused[_LANES + c], value)
                    caused[2 * _LANES + c] += (value - caused[3 * _LANES + c]) ** 2
                    out[u, 4], out[u, 5] = min(out[u, 4], value), max(out[u, 5], value)
                    out[u, 7] += (value - pilot[u]) ** 2
        for c in range(inside):
            j = first + c
            out[j, 0], out[j, 1], out[j, 2] = caused[c], min(caused[_LANES + c], 0.0), caused[3 * _LANES + c]
            out[j, 3] = np.sqrt(caused[2 * _LANES + c] / others)
            for e in range(indptr[j], indptr[j + 1]):
                v = indices[e]
                felt = weight[e] * min(x[v * _LANES + c] - mean[v] - own[c], 0.0) / strength[v]
                out[j, 8] += felt
                out[v, 9] += felt
    felt = (away - trace / size) * size / others
    for u in range(size):
        squares = out[u, 7] - others * (felt - pilot[u]) ** 2
        out[u, 5], out[u, 6], out[u, 7] = min(out[u, 5], 0.0), felt, np.sqrt(max(squares, 0.0) / others)


@machine_code
def _solve(start: Any, row: Any, entry: Any, pivot: Any, first: Any, inside: Any, touched: Any, x: Any) -> None:
    """Columns of Z from `first` on; those beyond `inside` are zero, and the last row, of the grounded node, is."""
    last = len(pivot)
    x[:] = 0.0
    for c in range(inside):
        if first + c < last:
            x[(first + c) * _LANES + c] = 1.0
            touched[first + c] = True
    for k in range(first, last):
        if touched[k]:
            touched[k] = False
            value = load(x, k * _LANES, _COLUMNS)
            for e in range(start[k], start[k + 1]):
                at = row[e] * _LANES
                store(x, at, add_scaled(entry[e], value, load(x, at, _COLUMNS)))
                touched[row[e]] = True
            store(x, k * _LANES, scale(1.0 / pivot[k], value))
    for k in range(last - 1, -1, -1):
        value = load(x, k * _LANES, _COLUMNS)
        for e in range(start[k], start[k + 1]):
            value = add_scaled(entry[e], load(x, row[e] * _LANES, _COLUMNS), value)
        store(x, k * _LANES, value)


@machine_code
def _whole_rows(begin: Any, end: Any, x: Any, mean: Any, own: Any, pilot: Any, caused: Any, out: Any) -> None:
    """Rows of a full block that hold no charge's own place, into `caused` (of columns) and `out` (of rows)."""
    charge, centre = load(own, 0, _COLUMNS), load(caused, 3 * _LANES, _COLUMNS)
    low, high = load(caused, 0, _COLUMNS), load(caused, _LANES, _COLUMNS)
    squares = load(caused, 2 * _LANES, _COLUMNS)
    for u in range(begin, end):
        value = minus(minus(load(x, u * _LANES, _COLUMNS), spread(mean[u], _COLUMNS)), charge)
        low, high = smaller(value, low), larger(value, high)
        centred = minus(value, centre)
        squares = plus(squares, product(centred, centred))
        moved = minus(value, spread(pilot[u], _COLUMNS))
        out[u, 4], out[u, 5] = min(out[u, 4], least(value)), max(out[u, 5], greatest(value))
        out[u, 7] += total(product(moved, moved))
    store(caused, 0, low)
    store(caused, _LANES, high)
    store(caused, 2 * _LANES, squares)
