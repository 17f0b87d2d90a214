"""Shortest paths between all nodes of a graph: hops, and lengths of weighted edges.

The meaning of edges is that of `graphpe.laplacian`; self-loops shorten no path.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import (
    Adjacency,
    Floats,
    Ints,
    adjacency,
    reverse_adjacency,
    rows_of,
    symmetric_adjacency,
)
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan

# From so many steps on, looking at all edges for 64 nodes at once costs more than one search for each node.
_LEVELS = 64

UNREACHABLE = -1
"""The distance of two nodes that no path joins, where no largest distance is given."""


def shortest_paths(
    graphs: PackedGraphs | Plan, max_distance: float | None = None, undirected: bool = True, weighted: bool = False
) -> Tensor:
    """The distance from i to j for every ordered pair of nodes (i, j) of one graph.

    Without a largest distance, pairs that no path joins have `UNREACHABLE`, -1. With one, distances are cut to
    `max_distance` and these pairs have `max_distance + 1`: nothing is negative, and hops are rows of a table of
    `max_distance + 2`.

    Hops are found for 64 nodes at a time, one bit each (for a small graph, all at once): O(n_b (n_b + d |E_b| / 64))
    with d the largest distance, O(n_b |E_b|) from d = 64 on. Lengths: O(n_b |E_b| log n_b).

    Args:
        graphs: The graphs, or a plan that shares their work.
        max_distance: Largest distance, positive (and whole, unless `weighted`); None for no limit.
        undirected: Walk every edge both ways; otherwise from tail to head.
        weighted: Take `edge_weight` as lengths; otherwise every edge has length 1.

    Returns:
        `[sum n_b^2]`, row-major in each graph, on the device of the graphs: int64, or float64 where weighted.

    Raises:
        GraphPEValueError: `max_distance` is no such number, or weights are negative or not finite.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    check_distance(max_distance, weighted)
    if weighted and plan.graphs.edge_weight is not None:
        distance = plan.once(path_lengths, undirected)
    else:
        distance = plan.once(hop_distances, undirected)
    limit = -1 if max_distance is None else max_distance
    cut = _cut_lengths(distance, float(limit)) if weighted else _cut_hops(distance, int(limit))
    return torch.from_numpy(cut).to(plan.graphs.device)


def check_distance(max_distance: float | None, weighted: bool) -> None:
    """Check a largest distance.

    Args:
        max_distance: The distance; None for no limit.
        weighted: Whether it is a length; otherwise a number of hops.

    Raises:
        GraphPEValueError: It is not positive and finite, or a number of hops that is not whole.
    """
    if max_distance is None:
        return
    if not 0 < max_distance < np.inf:
        raise GraphPEValueError(f"max_distance must be positive and finite, got {max_distance}")
    if not weighted and max_distance != int(max_distance):
        raise GraphPEValueError(f"max_distance must be a whole number of hops, got {max_distance}")


def hop_distances(plan: Plan, undirected: bool) -> NDArray[np.signedinteger]:
    """Edges on a shortest path from i to j, `UNREACHABLE` where there is none; `[sum n_b^2]` (a part of a plan).

    In int16 wherever that is enough: on small graphs, writing the distances takes as long as finding them.

    Args:
        plan: The graphs, and the work that several encodings share.
        undirected: Whether edges are walked both ways.
    """
    # Searched backwards, so that the distances to a block of 64 nodes stand together in each row.
    backward: Adjacency = plan.once(symmetric_adjacency if undirected else reverse_adjacency)
    dtype: type[np.signedinteger] = np.int16 if plan.graphs.max_size <= np.iinfo(np.int16).max else np.int32
    out: NDArray[np.signedinteger] = np.empty(plan.graphs.num_pairs, dtype)
    _hops(backward.indptr, backward.indices, rows_of(backward), *_pointers(plan), out)
    return out


def path_lengths(plan: Plan, undirected: bool) -> Floats:
    """Least sum of weights on a path from i to j, `UNREACHABLE` where there is none; `[sum n_b^2]` (a part).

    Args:
        plan: The graphs, and the work that several encodings share.
        undirected: Whether edges are walked both ways.
    """
    matrix: Adjacency = plan.once(symmetric_adjacency if undirected else adjacency)
    return _lengths(*matrix, *_pointers(plan))


def _pointers(plan: Plan) -> tuple[Ints, Ints]:
    """First node and first pair of each graph."""
    return plan.graphs.ptr.numpy(force=True), plan.graphs.pair_ptr.numpy(force=True)


@compiled
def _hops(indptr: Ints, head: Ints, tail: Ints, ptr: Ints, pair_ptr: Ints, out: NDArray[np.signedinteger]) -> None:
    """Breadth-first search from 64 nodes at a time, `_LEVELS` steps deep: then a search from each costs less.

    Bit i of a node's words tells about source i of the block. A node that is reached by sources with step d notes the
    binary digits of d: digit k of all of them in `digits[k]`. No branch depends on an edge.
    """
    largest = 0
    for b in range(len(ptr) - 1):
        largest = max(largest, ptr[b + 1] - ptr[b])
    none, one = np.uint64(0), np.uint64(1)
    seen = np.zeros(largest, np.uint64)
    fresh = np.zeros(largest, np.uint64)  # sources that have reached the node with the last step
    arriving = np.zeros(largest, np.uint64)
    digits = np.zeros((8, largest), np.uint64)
    queue = np.empty(largest, np.int64)
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        for block in range(0, n, 64):
            width = min(64, n - block)
            fresh[:n] = none
            for i in range(width):
                fresh[block + i] = one << np.uint64(i)
            seen[:n] = fresh[:n]
            steps, num_digits = 0, 0
            some = one
            while some != none and steps < _LEVELS:
                steps += 1
                arriving[:n] = none
                for e in range(indptr[first], indptr[first + n]):
                    arriving[head[e] - first] |= fresh[tail[e] - first]
                some = none
                for v in range(n):
                    fresh[v] = arriving[v] & ~seen[v]
                    seen[v] |= fresh[v]
                    some |= fresh[v]
                digit = 0
                while steps >> digit > 0:
                    if digit == num_digits:
                        digits[digit, :n] = none
                        num_digits += 1
                    if steps >> digit & 1:
                        for v in range(n):
                            digits[digit, v] |= fresh[v]
                    digit += 1
            if some != none:
                for source in range(block, block + width):
                    _search(indptr, head, first, n, source, queue, out[pair_ptr[b] : pair_ptr[b + 1]])
                continue
            for v in range(n):
                start = pair_ptr[b] + v * n + block
                row = out[start : start + width]
                for i in range(width):
                    row[i] = -1 + np.int64(seen[v] >> np.uint64(i) & one)
                for k in range(num_digits):
                    for i in range(width):
                        row[i] += np.int64(digits[k, v] >> np.uint64(i) & one) << k


@compiled
def _search(
    indptr: Ints, head: Ints, first: int, n: int, source: int, queue: Ints, out: NDArray[np.signedinteger]
) -> None:
    """Breadth-first search from one node; fills its column of the matrix `out` `[n * n]`."""
    for v in range(n):
        out[v * n + source] = -1
    out[source * n + source] = 0
    queue[0] = source
    begin, end = 0, 1
    while begin < end:
        u = queue[begin]
        begin += 1
        for e in range(indptr[first + u], indptr[first + u + 1]):
            v = head[e] - first
            if out[v * n + source] < 0:
                out[v * n + source] = out[u * n + source] + 1
                queue[end] = v
                end += 1


@compiled
def _lengths(indptr: Ints, indices: Ints, weight: Floats, ptr: Ints, pair_ptr: Ints) -> Floats:
    """Dijkstra's algorithm from every node."""
    out = np.full(pair_ptr[-1], np.inf)
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        for source in range(n):
            row = out[pair_ptr[b] + source * n : pair_ptr[b] + (source + 1) * n]
            row[source] = 0.0
            heap = [(0.0, source)]
            while len(heap) > 0:
                length, u = heappop(heap)
                if length > row[u]:
                    continue
                for e in range(indptr[first + u], indptr[first + u + 1]):
                    v = indices[e] - first
                    if length + weight[e] < row[v]:
                        row[v] = length + weight[e]
                        heappush(heap, (row[v], v))
    for p in range(len(out)):
        if out[p] == np.inf:
            out[p] = -1.0
    return out


@compiled
def _cut_hops(distance: NDArray[np.signedinteger], limit: int) -> Ints:
    """Distances up to a limit, limit + 1 where there is no path; with limit -1 as they are."""
    out = np.empty(len(distance), np.int64)
    for p in range(len(out)):
        hops = int(distance[p])
        if limit >= 0:
            hops = limit + 1 if hops < 0 else min(hops, limit)
        out[p] = hops
    return out


@compiled
def _cut_lengths(distance: NDArray[np.number], limit: float) -> Floats:
    out = np.empty(len(distance), np.float64)
    for p in range(len(out)):
        length = float(distance[p])
        if limit >= 0:
            length = limit + 1.0 if length < 0 else min(length, limit)
        out[p] = length
    return out
