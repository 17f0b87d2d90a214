"""The loops of random walks, compiled.

They stand in one file because what is compiled is kept until the file of a function changes, not of those it calls.

Graphs share the arrays of one sparse block-diagonal matrix (`graphpe.structure.adjacency.Adjacency`); `ptr` `[B + 1]`
says which rows are whose. Dense blocks hold some columns of one graph's matrix, in rows that stand one after the other,
so that the innermost loops run over columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled, compiled_by_steps
from graphpe.structure.adjacency import Floats, Ints, structure_of, transposed, union

_LANES = 8  # columns of a block are a multiple of it where that costs little, so that vector loops have no remainder
_ELIMINATED = 64  # nodes up to which PageRank is solved by elimination, which then costs less than sweeps


@compiled
def steps(indptr: Ints, indices: Ints, weight: Floats) -> tuple[Ints, Ints, Floats]:
    """Rows divided by their sums, and an entry of 1 on the diagonal for each empty row whose column is not empty.

    Args:
        indptr: Row pointers of A, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
    """
    size = len(indptr) - 1
    entered = np.zeros(size, np.bool_)
    for v in indices:
        entered[v] = True
    most = len(indices) + size
    out_ptr = np.zeros(size + 1, np.int64)
    out_indices = np.empty(most, np.int64)
    out_weight = np.empty(most, np.float64)
    count = 0
    for u in range(size):
        start, stop = indptr[u], indptr[u + 1]
        if start == stop and entered[u]:
            out_indices[count] = u
            out_weight[count] = 1.0
            count += 1
        total = 0.0
        for e in range(start, stop):
            total += weight[e]
        for e in range(start, stop):
            out_indices[count] = indices[e]
            out_weight[count] = weight[e] / total
            count += 1
        out_ptr[u + 1] = count
    return out_ptr, out_indices[:count].copy(), out_weight[:count].copy()


@compiled
def walks(
    indptr: Ints, indices: Ints, weight: Floats, ptr: Ints
) -> tuple[Ints, Ints, Floats, Ints, Ints, Floats, NDArray[np.bool_]]:
    """A matrix with the diagonals of the powers of P, its transpose, and which graphs' are symmetric.

    Where A is symmetric, P is similar to S = D^-1/2 A D^-1/2, which takes its place: S_uv is the root of P_uv P_vu.
    Otherwise it is P.

    Args:
        indptr: Row pointers of A, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        ptr: First node of each graph and, last, N: `[B + 1]`.
    """
    out_ptr, out_indices, out_weight = steps(indptr, indices, weight)
    back_ptr, back_indices, back_weight = transposed(out_ptr, out_indices, out_weight)
    reverse_ptr, reverse_indices, reverse_weight = transposed(indptr, indices, weight)
    symmetric = symmetric_graphs(ptr, indptr, indices, weight, reverse_ptr, reverse_indices, reverse_weight)
    for b in range(len(ptr) - 1):
        if symmetric[b]:
            for e in range(out_ptr[ptr[b]], out_ptr[ptr[b + 1]]):
                out_weight[e] = np.sqrt(out_weight[e]) * np.sqrt(back_weight[e])
    return out_ptr, out_indices, out_weight, back_ptr, back_indices, back_weight, symmetric


@compiled
def _block_width(size: int, entries: int) -> int:
    """Columns of a graph of `size` nodes in one block: about `entries` entries, but at least `_LANES` columns."""
    rows = max(size, 1)
    return min(max(1, entries // (rows * _LANES)) * _LANES, (rows + 3) // 4 * 4)


@compiled
def _first_power(node: int, indptr: Ints, indices: Ints, weight: Floats, column: int, out: Floats) -> None:
    """The columns of the matrix of the graph that begins at `node`, from `column` of the graph on: `[n, width]`."""
    size, width = out.shape
    for i in range(size):
        out[i] = 0.0
        for e in range(indptr[node + i], indptr[node + i + 1]):
            j = indices[e] - node - column
            if 0 <= j < width:
                out[i, j] = weight[e]


@compiled
def _multiply(node: int, indptr: Ints, indices: Ints, weight: Floats, dense: Floats, out: Floats) -> None:
    """The matrix of the graph that begins at `node` times `dense` `[n, width]`."""
    size, width = dense.shape
    for i in range(size):
        out[i] = 0.0
        for e in range(indptr[node + i], indptr[node + i + 1]):
            j = indices[e] - node
            value = weight[e]
            for c in range(width):
                out[i, c] += value * dense[j, c]


@compiled
def powers(ptr: Ints, indptr: Ints, indices: Ints, weight: Floats, entries: int, out: NDArray[np.float32]) -> None:
    """[I, P, P^2, ...]_ij of all pairs of each graph: `[sum n_b^2, count]`, `entries` entries at a time.

    Args:
        ptr: First node of each graph and, last, N: `[B + 1]`.
        indptr: Row pointers of P, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        entries: Entries of a block of columns, about.
        out: The powers, `[sum n_b^2, count]`, written.
    """
    count = out.shape[1]
    most = 0
    for b in range(len(ptr) - 1):
        size = ptr[b + 1] - ptr[b]
        most = max(most, size * _block_width(size, entries))
    one, other = np.empty(most), np.empty(most)
    pair = 0
    for b in range(len(ptr) - 1):
        node = ptr[b]
        size = ptr[b + 1] - node
        width = _block_width(size, entries)
        power = one[: size * width].reshape(size, width)
        spare = other[: size * width].reshape(size, width)
        for column in range(0, size, width):
            inside = min(width, size - column)
            for i in range(size):
                for c in range(inside):
                    out[pair + i * size + column + c, 0] = 1.0 if i == column + c else 0.0
            for k in range(1, count):
                if k == 1:
                    _first_power(node, indptr, indices, weight, column, power)
                else:
                    _multiply(node, indptr, indices, weight, power, spare)
                    power, spare = spare, power
                for i in range(size):
                    for c in range(inside):
                        out[pair + i * size + column + c, k] = power[i, c]
        pair += size * size


@compiled
def symmetric_graphs(
    ptr: Ints, indptr: Ints, indices: Ints, weight: Floats, back_ptr: Ints, back_indices: Ints, back_weight: Floats
) -> NDArray[np.bool_]:
    """Which graphs have a symmetric matrix, given it and its transpose.

    Args:
        ptr: First node of each graph and, last, N: `[B + 1]`.
        indptr: Row pointers of A, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        back_ptr: Row pointers of A^T, `[N + 1]`.
        back_indices: Columns of its entries.
        back_weight: Their weights.
    """
    out = np.ones(len(ptr) - 1, np.bool_)
    for b in range(len(ptr) - 1):
        for u in range(ptr[b], ptr[b + 1]):
            if indptr[u] != back_ptr[u] or indptr[u + 1] != back_ptr[u + 1]:
                out[b] = False
                break
            for e in range(indptr[u], indptr[u + 1]):
                out[b] &= indices[e] == back_indices[e] and weight[e] == back_weight[e]
    return out


@compiled_by_steps(
    lambda ptr, indptr, indices, *others: np.diff(ptr).max(initial=0) * len(indices) * others[-1].shape[1]  # of `out`
)
def returns(
    ptr: Ints,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    back_ptr: Ints,
    back_indices: Ints,
    back_weight: Floats,
    symmetric: NDArray[np.bool_],
    graphs: Ints,
    entries: int,
    out: Floats,
) -> None:
    """diag(M^(a+b))_j = sum_i (R^a)_ij (M^b)_ij with R = M^T, k = 1, ..., K, of the `graphs`, in blocks of columns j.

    Where M is symmetric, one sequence of powers serves for both. `out` `[N, K]` is written where these graphs are.

    Args:
        ptr: First node of each graph and, last, N: `[B + 1]`.
        indptr: Row pointers of M, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        back_ptr: Row pointers of M^T, `[N + 1]`.
        back_indices: Columns of its entries.
        back_weight: Their weights.
        symmetric: Whether each graph's M is symmetric, `[B]`.
        graphs: Numbers of the graphs.
        entries: Entries of a block of columns, about.
        out: The diagonals, `[N, K]`, written.
    """
    walk_length = out.shape[1]
    most, widest = 0, 0
    for b in graphs:
        size = ptr[b + 1] - ptr[b]
        width = _block_width(size, entries)
        most, widest = max(most, size * width), max(widest, width)
    first, second, third = np.empty(most), np.empty(most), np.empty(most)
    sums = np.empty(widest)
    for b in graphs:
        node = ptr[b]
        size = ptr[b + 1] - node
        width = _block_width(size, entries)
        ahead = first[: size * width].reshape(size, width)
        behind = second[: size * width].reshape(size, width)
        spare = third[: size * width].reshape(size, width)
        for column in range(0, size, width):
            inside = min(width, size - column)
            _first_power(node, indptr, indices, weight, column, ahead)
            for c in range(inside):
                out[node + column + c, 0] = ahead[column + c, c]
            for step in range(2, walk_length + 1):
                if step % 2:
                    _multiply(node, indptr, indices, weight, ahead, spare)
                    ahead, spare = spare, ahead
                elif symmetric[b]:
                    behind = ahead
                elif step == 2:
                    _first_power(node, back_ptr, back_indices, back_weight, column, behind)
                else:
                    _multiply(node, back_ptr, back_indices, back_weight, behind, spare)
                    behind, spare = spare, behind
                _column_sums(ahead, behind, sums)
                for c in range(inside):
                    out[node + column + c, step - 1] = sums[c]


@compiled_by_steps(lambda edges, *others: others[2] * edges.size * others[-1])
def returns_of_edges(
    edges: Ints, value: Floats, weighted: bool, size: int, both: bool, entries: int, walk_length: int
) -> Floats:
    """`returns` of one small graph from its edges: on one small graph calls from Python are what costs.

    Args:
        edges: Tails and heads, `[2, E]`.
        value: Weights, `[E]`; not read unless `weighted`.
        weighted: Whether edges have weights; otherwise each is 1.
        size: Number of nodes.
        both: Whether edges are walked both ways.
        entries: Entries of a block of columns, about.
        walk_length: Number K of steps.
    """
    indptr, indices, weight, back_ptr, back_indices, back_weight, symmetric = structure_of(edges, value, weighted, size)
    if both and not symmetric:
        indptr, indices, ahead, behind = union(indptr, indices, weight, back_ptr, back_indices, back_weight)
        weight = np.maximum(ahead, behind)
    ptr, graphs, out = np.array([0, size]), np.zeros(1, np.int64), np.zeros((size, walk_length))
    m_ptr, m_indices, m_weight, r_ptr, r_indices, r_weight, alike = walks(indptr, indices, weight, ptr)
    returns(ptr, m_ptr, m_indices, m_weight, r_ptr, r_indices, r_weight, alike, graphs, entries, out)
    return out


@compiled
def _column_sums(a: Floats, b: Floats, out: Floats) -> None:
    """sum_i a_ij b_ij."""
    size, width = a.shape
    out[:width] = 0.0
    for i in range(size):
        for c in range(width):
            out[c] += a[i, c] * b[i, c]


@compiled_by_steps(lambda ptr, indptr, indices, weight, walk_length: len(indices) * walk_length)
def visits(ptr: Ints, indptr: Ints, indices: Ints, weight: Floats, walk_length: int) -> Floats:
    """Where walks that begin anywhere are after 1, ..., walk_length steps, from the rows of P^T: `[N, walk_length]`.

    Args:
        ptr: First node of each graph and, last, N: `[B + 1]`.
        indptr: Row pointers of P^T, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        walk_length: Number of steps.
    """
    out = np.zeros((ptr[-1], walk_length))
    for b in range(len(ptr) - 1):
        begin = 1.0 / max(ptr[b + 1] - ptr[b], 1)
        for v in range(ptr[b], ptr[b + 1]):
            for e in range(indptr[v], indptr[v + 1]):
                out[v, 0] += weight[e] * begin
        for k in range(1, walk_length):
            for v in range(ptr[b], ptr[b + 1]):
                for e in range(indptr[v], indptr[v + 1]):
                    out[v, k] += weight[e] * out[indices[e], k - 1]
    return out


@compiled_by_steps(lambda ptr, *others: np.diff(ptr).max(initial=0) ** 2 * ptr[-1])
def pagerank(ptr: Ints, indptr: Ints, indices: Ints, weight: Floats, restart: float, tolerance: float) -> Floats:
    """The solution of x = restart / n + (1 - restart) P^T x of each graph, from the rows of P^T: `[N]`.

    Args:
        ptr: First node of each graph and, last, N: `[B + 1]`.
        indptr: Row pointers of P^T, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        restart: Restart probability, above 0 and at most 1.
        tolerance: Largest error of an entry, in units of the smallest that it can be, restart / n; for graphs that are
            not solved by elimination.
    """
    out = np.empty(ptr[-1])
    dense = np.empty((_ELIMINATED, _ELIMINATED))
    for b in range(len(ptr) - 1):
        start, size = ptr[b], ptr[b + 1] - ptr[b]
        x = out[start : start + size]
        x[:] = restart / max(size, 1)
        if size <= _ELIMINATED:
            system = dense[:size, :size]
            system[:] = 0.0
            for v in range(size):
                system[v, v] = 1.0
                for e in range(indptr[start + v], indptr[start + v + 1]):
                    system[v, indices[e] - start] -= (1.0 - restart) * weight[e]
            _eliminate(system, x)
        else:
            _sweep(start, indptr, indices, weight, restart, tolerance, x)
    return out


@compiled
def _eliminate(system: Floats, x: Floats) -> None:
    """Solve for x in place. Columns are strictly diagonally dominant, so that no rows need be exchanged."""
    size = len(x)
    for k in range(size):
        for i in range(k + 1, size):
            if system[i, k] != 0.0:
                factor = system[i, k] / system[k, k]
                for j in range(k + 1, size):
                    system[i, j] -= factor * system[k, j]
                x[i] -= factor * x[k]
    for i in range(size - 1, -1, -1):
        for j in range(i + 1, size):
            x[i] -= system[i, j] * x[j]
        x[i] /= system[i, i]


@compiled
def _sweep(
    start: int, indptr: Ints, indices: Ints, weight: Floats, restart: float, tolerance: float, x: Floats
) -> None:
    """Gauss-Seidel sweeps, up and down in turns, from below.

    What is left after one that changes x by d (sum of absolute values) is at most d (1 - restart) / restart, and after
    m of them (1 - restart)^m.
    """
    size = len(x)
    go = 1.0 - restart
    share = restart / size
    most = 1 if go == 0.0 else int(np.ceil(np.log(tolerance * share) / np.log(go)))
    for sweep in range(most):
        change = 0.0
        for i in range(size):
            v = i if sweep % 2 == 0 else size - 1 - i
            arriving, staying = 0.0, 0.0
            for e in range(indptr[start + v], indptr[start + v + 1]):
                u = indices[e] - start
                if u == v:
                    staying = weight[e]
                else:
                    arriving += weight[e] * x[u]
            value = (share + go * arriving) / (1.0 - go * staying)
            change += abs(value - x[v])
            x[v] = value
        if change * go <= tolerance * share * restart:
            break
