"""What lies along shortest paths: the types of their edges, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, Floats, Ints, adjacency, symmetric_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan


def edge_path_frequencies(
    graphs: PackedGraphs | Plan,
    types: Tensor,
    num_types: Sequence[int],
    max_distance: int,
    undirected: bool = True,
) -> Tensor:
    """Of all shortest paths from i to j (in hops), the fraction whose t-th edge is of type c.

    Where several edges join two nodes in the direction of a path (parallel edges; with `undirected`, also those the
    other way), each of them counts by an equal share. The meaning of edges is that of `graphpe.laplacian`; types of
    edges of weight 0 are not looked at.

    The paths are counted, not listed: with s_v the number of shortest paths from i to v, a path to v comes by the node
    u before it with probability s_u / s_v. Numbers are kept relative to the largest at the same distance, so that
    exponentially many paths do no harm. O(n_b |E_b| T C) time, on the CPU, for T steps and C types.

    Args:
        graphs: The graphs, or a plan that shares their work.
        types: `[E]` or `[E, F]` integers: F kinds of types of each edge.
        num_types: Number of types of each kind, F of them; C is their sum.
        max_distance: T: steps from the start that are looked at.
        undirected: Walk every edge both ways; otherwise from tail to head.

    Returns:
        `[sum n_b^2, T C]` float32, row-major in each graph; column t C + c is step t (from 0) and type c, kinds one
        after the other. Steps that a path does not have are 0, also for i = j and where there is no path.

    Raises:
        GraphPETypeError: `types` are no integers.
        GraphPEValueError: `types` have another shape or are out of range, or weights are negative or not finite.
    """
    plan = Plan.of(graphs)
    graphs = plan.graphs
    check_weights(graphs)
    kinds = _check_types(types, num_types, graphs.num_edges)
    matrix: Adjacency = plan.once(symmetric_adjacency if undirected else adjacency)
    tail, head = graphs.edge_index.numpy(force=True)
    exists = np.ones(len(tail), dtype=bool)
    if graphs.edge_weight is not None:
        exists = (graphs.edge_weight > 0).numpy(force=True)
    column = kinds + np.cumsum([0, *num_types[:-1]])
    shares = np.zeros((len(matrix.indices), sum(num_types)))
    _share(matrix.indptr, matrix.indices, tail[exists], head[exists], column[exists], undirected, shares)
    out = np.empty((graphs.num_pairs, max_distance * sum(num_types)), np.float32)
    ptr, pair_ptr = graphs.ptr.numpy(force=True), graphs.pair_ptr.numpy(force=True)
    _frequencies(matrix.indptr, matrix.indices, shares, ptr, pair_ptr, max_distance, out)
    return torch.from_numpy(out).to(graphs.device)


def _check_types(types: Tensor, num_types: Sequence[int], num_edges: int) -> Ints:
    """The types as `[E, F]`."""
    if types.is_floating_point() or types.is_complex():
        raise GraphPETypeError(f"types of edges must be integers, got {types.dtype}: bin the values first")
    kinds = types.numpy(force=True).astype(np.int64)
    kinds = kinds[:, None] if kinds.ndim == 1 else kinds
    if kinds.shape != (num_edges, len(num_types)):
        raise GraphPEValueError(
            f"types of edges are {list(types.shape)}, but num_types {tuple(num_types)} needs "
            f"[{num_edges}, {len(num_types)}]: one column for each number"
        )
    for kind, number in enumerate(num_types):
        wrong = kinds[(kinds[:, kind] < 0) | (kinds[:, kind] >= number), kind]
        if len(wrong):
            raise GraphPEValueError(f"column {kind} of the types of edges holds {wrong[0]}, but has {number} types")
    return kinds


@compiled
def _share(
    indptr: Ints, indices: Ints, tail: Ints, head: Ints, column: NDArray[np.int64], undirected: bool, shares: Floats
) -> None:
    """Fills `shares` `[M, C]`: of the edges behind each entry of the matrix, the fraction of each type."""
    count = np.zeros(len(indices))
    for e in range(len(tail)):
        for way in range(2 if undirected and tail[e] != head[e] else 1):
            u, v = (tail[e], head[e]) if way == 0 else (head[e], tail[e])
            entry = indptr[u] + np.searchsorted(indices[indptr[u] : indptr[u + 1]], v)
            count[entry] += 1
            for kind in range(column.shape[1]):
                shares[entry, column[e, kind]] += 1
    for entry in range(len(indices)):
        for c in range(shares.shape[1]):
            shares[entry, c] /= count[entry]


@compiled
def _frequencies(
    indptr: Ints,
    indices: Ints,
    shares: Floats,
    ptr: Ints,
    pair_ptr: Ints,
    max_distance: int,
    out: NDArray[np.float32],
) -> None:
    num_types = shares.shape[1]
    width = max_distance * num_types
    largest = 0
    for b in range(len(ptr) - 1):
        largest = max(largest, ptr[b + 1] - ptr[b])
    distance = np.empty(largest, np.int64)
    order = np.empty(largest, np.int64)
    arriving = np.empty(largest)  # paths that reach a node, in units of the largest number one step before
    paths = np.empty(largest)  # the same, in units of the largest number at its distance
    frequency = np.empty((largest, width))
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        for source in range(n):
            num_found = _count_paths(indptr, indices, first, n, source, distance, order, arriving, paths)
            frequency[:n] = 0.0
            for i in range(num_found):
                u = order[i]
                steps = distance[u]
                known = min(steps, max_distance) * num_types
                for e in range(indptr[first + u], indptr[first + u + 1]):
                    v = indices[e] - first
                    if distance[v] != steps + 1:
                        continue
                    weight = paths[u] / arriving[v]
                    for c in range(known):
                        frequency[v, c] += weight * frequency[u, c]
                    if steps < max_distance:
                        for c in range(num_types):
                            frequency[v, known + c] += weight * shares[e, c]
            start = pair_ptr[b] + source * n
            for v in range(n):
                for c in range(width):
                    out[start + v, c] = frequency[v, c]


@compiled
def _count_paths(
    indptr: Ints,
    indices: Ints,
    first: int,
    n: int,
    source: int,
    distance: Ints,
    order: Ints,
    arriving: Floats,
    paths: Floats,
) -> int:
    """Count the shortest paths from a node, distance by distance; `order` gets the nodes that it reaches."""
    distance[:n] = -1
    distance[source] = 0
    arriving[source] = 1.0
    order[0] = source
    begin, end = 0, 1
    while begin < end:
        most = 0.0
        for i in range(begin, end):
            most = max(most, arriving[order[i]])
        last = end
        for i in range(begin, last):
            u = order[i]
            paths[u] = max(arriving[u] / most, 1e-300)  # a share that small is lost anyway; 0 would divide later
            for e in range(indptr[first + u], indptr[first + u + 1]):
                v = indices[e] - first
                if distance[v] < 0:
                    distance[v] = distance[u] + 1
                    arriving[v] = 0.0
                    order[end] = v
                    end += 1
                if distance[v] == distance[u] + 1:
                    arriving[v] += paths[u]
        begin = last
    return end
