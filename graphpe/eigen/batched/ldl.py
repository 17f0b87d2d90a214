"""Factors L D L^H of a sparse Hermitian matrix, without pivoting, in an order of minimum degree.

Of a graph with little fill (syntax trees with token edges, roads, meshes) this takes microseconds per node; of an
expander the factors fill up. All loops are compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import machine_code
from graphpe.compiled.lanes import full, load, multiply_add, store
from graphpe.structure.adjacency import Floats, Ints


class SparseRows(NamedTuple):
    """A square Hermitian matrix: row i holds `data[indptr[i]:indptr[i + 1]]` in the columns `indices[...]`."""

    indptr: Ints
    indices: Ints
    data: NDArray[Any]


class Structure(NamedTuple):
    """Where the entries of L are.

    Attributes:
        order: `[n]`: the row of the matrix that is eliminated at each position.
        place: `[n]`: the position of each row.
        start: `[n + 1]`: column j of L owns entries `start[j]` to `start[j + 1]`.
        rows: The positions of the entries below the diagonal, ascending within a column.
        columns: The column of each entry.
    """

    order: Ints
    place: Ints
    start: Ints
    rows: Ints
    columns: Ints


class Factors(NamedTuple):
    """L (unit diagonal left out) and D.

    Attributes:
        lower: The entries of L.
        pivot: `[n]`: D.
        growth: The largest |l_ij|^2 |d_j|, which bounds the rounding errors of the factors; inf if a pivot is zero.
    """

    lower: NDArray[Any]
    pivot: Floats
    growth: float


class Inverse(NamedTuple):
    """The inverse of L D L^H, as `solve_lanes` takes it.

    Attributes:
        columns: As in `Structure`.
        rows: As in `Structure`.
        lower: `[entries, parts]`: the entries of L, real, or real and imaginary part.
        diagonal: D^-1.
    """

    columns: Ints
    rows: Ints
    lower: Floats
    diagonal: Floats


def eliminate(matrix: SparseRows, most: int) -> Structure | None:
    """Choose an order of minimum degree; None if L would have more than `most` entries.

    Args:
        matrix: The matrix, Hermitian.
        most: Most entries of L.
    """
    order, start, rows, fits = _eliminate(matrix.indptr, matrix.indices, most)
    if not fits:
        return None
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    columns = np.empty_like(rows)
    _sort_columns(start, rows, columns, place)
    return Structure(order, place, start, rows, columns)


def factorise(matrix: SparseRows, structure: Structure, shift: float) -> Factors:
    """The factors of matrix - shift I.

    Args:
        matrix: The matrix.
        structure: What `eliminate` gave for it.
        shift: What is taken off the diagonal.
    """
    return Factors(*_factorise(*matrix, *structure[:4], shift))


def invert(structure: Structure, factors: Factors) -> Inverse:
    """The factors in the form that solves with them.

    Args:
        structure: What `eliminate` gave.
        factors: What `factorise` gave.
    """
    lower = factors.lower.view(np.float64).reshape(len(factors.lower), factors.lower.itemsize // 8)
    return Inverse(structure.columns, structure.rows, lower, 1 / factors.pivot)


@machine_code
def _eliminate(indptr: Ints, indices: Ints, most: int) -> tuple[Ints, Ints, Ints, bool]:
    """The graph after each elimination is kept as lists of neighbours in one pool; a list that grows moves to its end.

    Returns:
        Order, start and rows (nodes, not sorted) as in `Structure`, and whether the limit was kept.
    """
    size = len(indptr) - 1
    pool = np.empty(4 * len(indices) + size + 16, np.int64)
    begin, length, room = np.empty(size, np.int64), np.zeros(size, np.int64), np.empty(size, np.int64)
    end = 0
    for u in range(size):
        begin[u] = end
        for e in range(indptr[u], indptr[u + 1]):
            if indices[e] != u:
                pool[end] = indices[e]
                end += 1
        length[u] = room[u] = end - begin[u]
    # Nodes of each degree in doubly linked lists.
    first = np.full(size + 1, -1)
    after, before = np.full(size, -1), np.full(size, -1)
    for u in range(size - 1, -1, -1):
        _link(u, length[u], first, after, before)
    order, start, rows = np.empty(size, np.int64), np.zeros(size + 1, np.int64), np.empty(most, np.int64)
    mark = np.full(size, -1)
    least, stamp = 0, 0
    for position in range(size):
        while first[least] < 0:
            least += 1
        v = first[least]
        _unlink(v, length[v], first, after, before)
        order[position] = v
        clique = length[v]
        at = start[position]
        if at + clique > most:
            return order, start, rows, False
        for i in range(clique):
            rows[at + i] = pool[begin[v] + i]
        start[position + 1] = at + clique
        for i in range(clique):
            u = rows[at + i]
            _unlink(u, length[u], first, after, before)
            # Take v out, then join u with the others.
            stamp += 1
            mark[u] = stamp
            kept = begin[u]
            for e in range(begin[u], begin[u] + length[u]):
                w = pool[e]
                mark[w] = stamp
                if w != v:
                    pool[kept] = w
                    kept += 1
            count = kept - begin[u]
            if count + clique > room[u]:
                need = 2 * (count + clique)
                if end + need > len(pool):
                    larger = np.empty(2 * (end + need), np.int64)
                    for e in range(end):
                        larger[e] = pool[e]
                    pool = larger
                for e in range(count):
                    pool[end + e] = pool[begin[u] + e]
                begin[u], room[u] = end, need
                end += need
            for j in range(clique):
                w = rows[at + j]
                if mark[w] != stamp:
                    pool[begin[u] + count] = w
                    count += 1
            length[u] = count
            _link(u, count, first, after, before)
            least = min(least, count)
    return order, start, rows[: start[size]].copy(), True


@machine_code
def _link(u: int, degree: int, first: Ints, after: Ints, before: Ints) -> None:
    head = first[degree]
    after[u], before[u] = head, -1
    if head >= 0:
        before[head] = u
    first[degree] = u


@machine_code
def _unlink(u: int, degree: int, first: Ints, after: Ints, before: Ints) -> None:
    if before[u] >= 0:
        after[before[u]] = after[u]
    else:
        first[degree] = after[u]
    if after[u] >= 0:
        before[after[u]] = before[u]


@machine_code
def _sort_columns(start: Ints, rows: Ints, columns: Ints, place: Ints) -> None:
    """Nodes to positions, ascending within each column; and the column of each entry."""
    for j in range(len(start) - 1):
        for e in range(start[j], start[j + 1]):
            position = place[rows[e]]
            at = e
            while at > start[j] and rows[at - 1] > position:
                rows[at] = rows[at - 1]
                at -= 1
            rows[at] = position
            columns[e] = j


@machine_code
def _factorise(
    indptr: Ints, indices: Ints, data: NDArray[Any], order: Ints, place: Ints, start: Ints, rows: Ints, shift: float
) -> tuple[NDArray[Any], Floats, float]:
    """Column after column; each is updated by the columns that have an entry in its row."""
    size = len(order)
    lower, pivot = np.empty(len(rows), data.dtype), np.empty(size)
    column = np.zeros(size, data.dtype)
    waiting, following = np.full(size, -1), np.full(size, -1)  # columns by the row of their next entry
    upcoming = start[:-1].copy()
    growth = 0.0
    for j in range(size):
        u = order[j]
        for e in range(indptr[u], indptr[u + 1]):
            if place[indices[e]] >= j:
                column[place[indices[e]]] += np.conj(data[e])
        column[j] -= shift
        k = waiting[j]
        while k >= 0:
            following_k = following[k]
            e = upcoming[k]
            factor = np.conj(lower[e]) * pivot[k]
            for x in range(e, start[k + 1]):
                column[rows[x]] -= lower[x] * factor
            upcoming[k] = e + 1
            if e + 1 < start[k + 1]:
                row = rows[e + 1]
                following[k] = waiting[row]
                waiting[row] = k
            k = following_k
        d = column[j].real
        column[j] = 0
        pivot[j] = d
        if d == 0:
            return lower, pivot, np.inf
        growth = max(growth, abs(d))
        for x in range(start[j], start[j + 1]):
            entry = column[rows[x]] / d
            column[rows[x]] = 0
            lower[x] = entry
            growth = max(growth, (entry.real**2 + entry.imag**2) * abs(d))
        if start[j] < start[j + 1]:
            row = rows[start[j]]
            following[j] = waiting[row]
            waiting[row] = j
    return lower, pivot, growth


@machine_code
def solve_lanes(inverse: Inverse, x: Floats, at: int) -> None:
    """Solve L D L^H x = b for eight right-hand sides, in place.

    One loop over all entries, and another one back: most columns have so few that loops over columns would end before
    the processor has learnt when.

    Args:
        inverse: The factors.
        x: An array of lanes (see `graphpe.compiled.lanes`) with right-hand sides in the lanes: row j is element
            `at + parts j`, and its imaginary part the next one.
        at: Element of the first row.
    """
    columns, rows, lower, diagonal = inverse
    parts = lower.shape[1]
    for e in range(len(rows)):
        if parts == 1:
            row = at + rows[e]
            store(x, row, multiply_add(full(-lower[e, 0]), load(x, at + columns[e]), load(x, row)))
        else:
            row, column = at + 2 * rows[e], at + 2 * columns[e]
            l_re, l_im, re, im = full(-lower[e, 0]), full(-lower[e, 1]), load(x, column), load(x, column + 1)
            x_re, x_im = load(x, row) - l_im * im, load(x, row + 1)
            store(x, row, multiply_add(l_re, re, x_re))
            store(x, row + 1, multiply_add(l_re, im, multiply_add(l_im, re, x_im)))
    for j in range(len(diagonal)):
        for element in range(at + parts * j, at + parts * (j + 1)):
            store(x, element, full(diagonal[j]) * load(x, element))
    for e in range(len(rows) - 1, -1, -1):
        if parts == 1:
            column = at + columns[e]
            store(x, column, multiply_add(full(-lower[e, 0]), load(x, at + rows[e]), load(x, column)))
        else:
            row, column = at + 2 * rows[e], at + 2 * columns[e]
            l_re, l_im, re, im = full(-lower[e, 0]), full(lower[e, 1]), load(x, row), load(x, row + 1)
            x_re, x_im = load(x, column) - l_im * im, load(x, column + 1)
            store(x, column, multiply_add(l_re, re, x_re))
            store(x, column + 1, multiply_add(l_re, im, multiply_add(l_im, re, x_im)))
