"""Return probabilities from the neighbourhoods that walks reach: sparse vectors, one node at a time, compiled.

A walk of K steps that comes back goes no further than K/2. Where neighbourhoods of that radius are small (paths, grids,
meshes, trees of bounded degree) this costs O(N) with a constant that does not depend on the graph's size; where a few
steps reach everything, as through hubs, the dense blocks of `graphpe.walks.loops` are quicker. `work` counts both.

A node's vectors are kept in arrays over all nodes, of which only the entries that walks reach are ever touched.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled, compiled_by_steps
from graphpe.structure.adjacency import Floats, Ints


@compiled_by_steps(lambda first, size, indptr, indices, *others: min(others[-1], others[-2] * len(indices)))
def work(
    first: int,
    size: int,
    indptr: Ints,
    indices: Ints,
    back_ptr: Ints,
    back_indices: Ints,
    symmetric: bool,
    walk_length: int,
    count: int,
    most: float,
) -> float:
    """Products that `local_returns` takes for the graph of nodes `first` to `first + size`, from `count` of its nodes.

    These are evenly spaced, so that the number depends on the graph alone; `most` products are enough to tell.

    Args:
        first: First node of the graph.
        size: Number of its nodes.
        indptr: Row pointers of M.
        indices: Columns of its entries.
        back_ptr: Row pointers of M^T.
        back_indices: Columns of its entries.
        symmetric: Whether M is symmetric.
        walk_length: Number K of steps.
        count: Number of nodes to look at.
        most: Products after which it stops.
    """
    seen = np.full(size, -1, np.int64)
    here, there = np.empty(size, np.int64), np.empty(size, np.int64)
    total, stamp = 0.0, 0
    for sample in range(count):
        root = (2 * sample + 1) * size // (2 * count)
        for side in range(1 if symmetric else 2):
            here[0], length = root, 1
            for _ in range((walk_length + 1 - side) // 2):
                following = 0
                for i in range(length):
                    u = first + here[i]
                    begin, end = (back_ptr[u], back_ptr[u + 1]) if side == 0 else (indptr[u], indptr[u + 1])
                    total += end - begin
                    for e in range(begin, end):
                        v = (back_indices[e] if side == 0 else indices[e]) - first
                        if seen[v] != stamp:
                            seen[v] = stamp
                            there[following] = v
                            following += 1
                stamp += 1
                here, there, length = there, here, following
                if total > most:
                    return total * size / (sample + 1)
    return total * size / count


@compiled_by_steps(lambda first, size, indptr, indices, *others: size * len(indices) * others[-1].shape[1])
def local_returns(
    first: int,
    size: int,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    back_ptr: Ints,
    back_indices: Ints,
    back_weight: Floats,
    symmetric: bool,
    out: Floats,
) -> None:
    """diag(M^k), k = 1, ..., K, of the graph of nodes `first` to `first + size` into `out` `[size, K]`.

    diag(M^(a+b))_j is the product of column j of M^a and row j of M^b; where M is symmetric they are of one sequence.
    `back` is M^T, which is not looked at where M is symmetric.

    Args:
        first: First node of the graph.
        size: Number of its nodes.
        indptr: Row pointers of M, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        back_ptr: Row pointers of M^T, `[N + 1]`.
        back_indices: Columns of its entries.
        back_weight: Their weights.
        symmetric: Whether M is symmetric.
        out: The diagonals, `[size, K]`, written.
    """
    walk_length = out.shape[1]
    column, row, spare = np.zeros(size), np.zeros(size), np.zeros(size)
    in_column, in_row, in_spare = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    reached = np.zeros(size, np.bool_)
    for j in range(size):
        column[j], in_column[0], columns = 1.0, j, 1
        row[j], in_row[0], rows = 1.0, j, 1
        for step in range(1, walk_length + 1):
            if symmetric:
                if step % 2:  # from here on `row` is one power behind `column`
                    for i in range(rows):
                        row[in_row[i]] = 0.0
                    row, in_row, rows, column, in_column, columns = column, in_column, columns, row, in_row, 0
                    columns = advance(first, indptr, indices, weight, row, in_row, rows, column, in_column, reached)
                    total = 0.0
                    for i in range(rows):
                        total += row[in_row[i]] * column[in_row[i]]
                else:
                    total = 0.0
                    for i in range(columns):
                        total += column[in_column[i]] ** 2
                out[j, step - 1] = total
                continue
            if step % 2:
                spares = advance(
                    first, back_ptr, back_indices, back_weight, column, in_column, columns, spare, in_spare, reached
                )
                for i in range(columns):
                    column[in_column[i]] = 0.0
                column, in_column, columns, spare, in_spare = spare, in_spare, spares, column, in_column
            else:
                spares = advance(first, indptr, indices, weight, row, in_row, rows, spare, in_spare, reached)
                for i in range(rows):
                    row[in_row[i]] = 0.0
                row, in_row, rows, spare, in_spare = spare, in_spare, spares, row, in_row
            total = 0.0
            if rows < columns:
                for i in range(rows):
                    total += row[in_row[i]] * column[in_row[i]]
            else:
                for i in range(columns):
                    total += row[in_column[i]] * column[in_column[i]]
            out[j, step - 1] = total
        for i in range(columns):
            column[in_column[i]] = 0.0
        for i in range(rows):
            row[in_row[i]] = 0.0


@compiled
def advance(
    first: int,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    vector: Floats,
    inside: Ints,
    count: int,
    out: Floats,
    reached_nodes: Ints,
    reached: NDArray[np.bool_],
) -> int:
    """A sparse row vector times the matrix.

    Args:
        first: First node of the graph.
        indptr: Row pointers of the matrix, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        vector: The vector, `[size]`, zero but for its entries.
        inside: Where those are.
        count: How many there are.
        out: The product, `[size]`, which is zero before.
        reached_nodes: Where its entries are, written.
        reached: False everywhere, before and after.

    Returns:
        The number of entries of the product.
    """
    length = 0
    for i in range(count):
        u = inside[i]
        value = vector[u]
        for e in range(indptr[first + u], indptr[first + u + 1]):
            v = indices[e] - first
            if not reached[v]:
                reached[v] = True
                reached_nodes[length] = v
                length += 1
            out[v] += value * weight[e]
    for i in range(length):
        reached[reached_nodes[i]] = False
    return length
