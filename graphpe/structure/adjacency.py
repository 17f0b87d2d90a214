"""Adjacency matrices of many graphs: one sparse block-diagonal matrix, its transpose and its symmetrised form.

What edges mean is said in `graphpe.laplacian`: parallel edges count once without weights and add with them, an edge of
weight 0 is no edge, self-loops are kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.pair_blocks import flat_rows
from graphpe.structure.plan import Plan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


_NONE = np.zeros(0)


class Adjacency(NamedTuple):
    """A sparse matrix over all nodes: row u holds the columns `indices[indptr[u]:indptr[u + 1]]`, ascending and unique.

    Attributes:
        indptr: `[N + 1]`.
        indices: `[M]`.
        weight: `[M]` positive float64; ones without edge weights.
    """

    indptr: Ints
    indices: Ints
    weight: Floats


class Structure(NamedTuple):
    """The edges of some graphs as matrices.

    Attributes:
        matrix: A.
        reverse: A^T.
        symmetric: Whether they are equal.
    """

    matrix: Adjacency
    reverse: Adjacency
    symmetric: bool


def structure(plan: Plan) -> Structure:
    """The matrices of the edges (a part of a plan), from one compiled call: on one small graph calls are what costs.

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    graphs = plan.graphs
    found = structure_of(*edge_arrays(graphs), graphs.num_nodes)
    return Structure(Adjacency(*found[:3]), Adjacency(*found[3:6]), found[6])


def edge_arrays(graphs: PackedGraphs) -> tuple[Ints, Floats, bool]:
    """The edges `[2, E]` on the host, their weights `[E]`, and whether there are any; contiguous.

    Args:
        graphs: The graphs.
    """
    edges = np.ascontiguousarray(graphs.edge_index.numpy(force=True))
    if graphs.edge_weight is None:
        return edges, _NONE, False
    return edges, np.ascontiguousarray(graphs.edge_weight.double().numpy(force=True)), True


def adjacency(plan: Plan) -> Adjacency:
    """A: row u holds the heads of the edges u -> v.

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    return plan.once(structure).matrix


def reverse_adjacency(plan: Plan) -> Adjacency:
    """A^T: row v holds the tails of the edges u -> v.

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    return plan.once(structure).reverse


def symmetric_adjacency(plan: Plan) -> Adjacency:
    """max(A, A^T): every edge both ways.

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    both: Structure = plan.once(structure)
    if both.symmetric:
        return both.matrix
    indptr, indices, ahead, behind = union(*both.matrix, *both.reverse)
    return Adjacency(indptr, indices, np.maximum(ahead, behind))


def from_edges(tail: Ints, head: Ints, weight: Floats | None, num_nodes: int) -> Adjacency:
    """The matrix of a list of edges. O(N + E): two counting sorts.

    Args:
        tail: Row of each edge, `[E]`.
        head: Column of each edge, `[E]`.
        weight: Weight of each edge, `[E]`; None for 1.
        num_nodes: Number N of nodes, over all graphs.
    """
    edges = np.stack([tail, head])
    return Adjacency(*_from_edges(edges, _NONE if weight is None else weight, num_nodes, weight is not None))


def transpose(matrix: Adjacency) -> Adjacency:
    """The transpose. O(N + M).

    Args:
        matrix: The matrix, N x N with M entries.
    """
    return Adjacency(*transposed(*matrix))


def without_loops(matrix: Adjacency) -> Adjacency:
    """The matrix of ones where there is an edge between two nodes.

    Args:
        matrix: The matrix.
    """
    row = rows_of(matrix)
    kept = row != matrix.indices
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(matrix.indptr) - 1))])
    return Adjacency(indptr.astype(np.int64), matrix.indices[kept], np.ones(int(kept.sum())))


def rows_of(matrix: Adjacency) -> Ints:
    """The row of each entry `[M]`.

    Args:
        matrix: The matrix, with M entries.
    """
    return np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr))


@compiled
def structure_of(
    edges: Ints, value: Floats, weighted: bool, num_nodes: int
) -> tuple[Ints, Ints, Floats, Ints, Ints, Floats, bool]:
    """A, A^T, and whether they are equal.

    Args:
        edges: Tails and heads, `[2, E]`.
        value: Weights, `[E]`; not read unless `weighted`.
        weighted: Whether edges have weights; otherwise each is 1.
        num_nodes: Number N of nodes, over all graphs.
    """
    indptr, indices, weight = _from_edges(edges, value, num_nodes, weighted)
    back_ptr, back_indices, back_weight = transposed(indptr, indices, weight)
    symmetric = True
    for u in range(num_nodes + 1):
        symmetric &= indptr[u] == back_ptr[u]
    for e in range(len(indices)):
        symmetric &= indices[e] == back_indices[e] and weight[e] == back_weight[e]
    return indptr, indices, weight, back_ptr, back_indices, back_weight, symmetric


@compiled
def _from_edges(edges: Ints, value: Floats, num_nodes: int, weighted: bool) -> tuple[Ints, Ints, Floats]:
    tail, head = edges[0], edges[1]
    order = _sort_by(tail, _sort_by(head, np.arange(len(tail)), num_nodes), num_nodes)
    return _unique(tail, head, value if weighted else np.ones(len(tail)), order, num_nodes, weighted)


@compiled
def _sort_by(key: Ints, order: Ints, num_keys: int) -> Ints:
    """The ids `order`, stably sorted by `key[id]`."""
    start = np.zeros(num_keys + 1, np.int64)
    for e in order:
        start[key[e] + 1] += 1
    for u in range(num_keys):
        start[u + 1] += start[u]
    out = np.empty_like(order)
    for e in order:
        out[start[key[e]]] = e
        start[key[e]] += 1
    return out


@compiled
def _unique(
    tail: Ints, head: Ints, value: Floats, order: Ints, num_nodes: int, weighted: bool
) -> tuple[Ints, Ints, Floats]:
    indptr = np.zeros(num_nodes + 1, np.int64)
    indices = np.empty(len(order), np.int64)
    weight = np.empty(len(order), np.float64)
    count = 0
    last_tail, last_head = -1, -1
    for e in order:
        if value[e] == 0.0:
            continue
        if tail[e] == last_tail and head[e] == last_head:
            if weighted:
                weight[count - 1] += value[e]
            continue
        last_tail, last_head = tail[e], head[e]
        indices[count] = last_head
        weight[count] = value[e]
        indptr[last_tail + 1] += 1
        count += 1
    for u in range(num_nodes):
        indptr[u + 1] += indptr[u]
    return indptr, indices[:count].copy(), weight[:count].copy()


@compiled
def transposed(indptr: Ints, indices: Ints, weight: Floats) -> tuple[Ints, Ints, Floats]:
    """Row pointers, columns and weights of A^T.

    Args:
        indptr: Row pointers of A, `[N + 1]`.
        indices: Columns of its entries, ascending in each row, `[M]`.
        weight: Their weights, `[M]`.
    """
    size = len(indptr) - 1
    out_ptr = np.zeros(size + 1, np.int64)
    for v in indices:
        out_ptr[v + 1] += 1
    for u in range(size):
        out_ptr[u + 1] += out_ptr[u]
    place = out_ptr[:-1].copy()
    out_indices = np.empty_like(indices)
    out_weight = np.empty_like(weight)
    for u in range(size):
        for e in range(indptr[u], indptr[u + 1]):
            at = place[indices[e]]
            out_indices[at] = u
            out_weight[at] = weight[e]
            place[indices[e]] = at + 1
    return out_ptr, out_indices, out_weight


@compiled
def union(
    a_ptr: Ints, a_indices: Ints, a_weight: Floats, b_ptr: Ints, b_indices: Ints, b_weight: Floats
) -> tuple[Ints, Ints, Floats, Floats]:
    """The entries of either: row pointers, columns, and the weights of both, 0 where one has no entry.

    Args:
        a_ptr: Row pointers of the first matrix, `[N + 1]`.
        a_indices: Columns of its entries, ascending in each row, `[M]`.
        a_weight: Their weights, `[M]`.
        b_ptr: Row pointers of the second, `[N + 1]`.
        b_indices: Columns of its entries, ascending in each row, `[M]`.
        b_weight: Their weights, `[M]`.
    """
    size = len(a_ptr) - 1
    indptr = np.zeros(size + 1, np.int64)
    most = len(a_indices) + len(b_indices)
    indices = np.empty(most, np.int64)
    ahead, behind = np.zeros(most), np.zeros(most)
    count = 0
    for u in range(size):
        i, j = a_ptr[u], b_ptr[u]
        while i < a_ptr[u + 1] or j < b_ptr[u + 1]:
            from_a = j == b_ptr[u + 1] or (i < a_ptr[u + 1] and a_indices[i] <= b_indices[j])
            from_b = i == a_ptr[u + 1] or (j < b_ptr[u + 1] and b_indices[j] <= a_indices[i])
            if from_a:
                indices[count] = a_indices[i]
                ahead[count] = a_weight[i]
                i += 1
            if from_b:
                indices[count] = b_indices[j]
                behind[count] = b_weight[j]
                j += 1
            count += 1
        indptr[u + 1] = count
    return indptr, indices[:count].copy(), ahead[:count].copy(), behind[:count].copy()


def dense_pairs(matrix: Adjacency, graphs: PackedGraphs) -> Tensor:
    """A sparse matrix over the nodes as values of all pairs: `[sum n_b^2]` float64, on the device of the graphs.

    Args:
        matrix: The matrix; entries join nodes of one graph.
        graphs: The graphs of its nodes.
    """
    row = rows_of(matrix)
    place = torch.from_numpy(flat_rows(graphs, row, matrix.indices))
    weight = torch.from_numpy(matrix.weight)
    out = torch.zeros(graphs.num_pairs, dtype=torch.float64, device=graphs.device)
    return out.index_copy_(0, place.to(graphs.device), weight.to(graphs.device))
