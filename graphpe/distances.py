"""Shortest paths between all nodes of a graph: hops, and lengths of weighted edges.

The meaning of edges is that of `graphpe.laplacian`; self-loops shorten no path.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.adjacency import Adjacency, Floats, Ints, adjacency, reverse_adjacency, symmetric_adjacency
from graphpe.compiled import compiled
from graphpe.errors import GraphPEValueError
from graphpe.laplacian import check_edge_weight
from graphpe.packed import PackedGraphs
from graphpe.plan import Plan

UNREACHABLE = -1
"""The distance of two nodes that no path joins, where no largest distance is given."""


def shortest_paths(
    graphs: PackedGraphs | Plan, max_distance: float | None = None, undirected: bool = True, weighted: bool = False
) -> Tensor:
    """The distance from i to j for every ordered pair of nodes (i, j) of one graph.

    Without a largest distance, pairs that no path joins have `UNREACHABLE`, -1. With one, distances are cut to
    `max_distance` and these pairs have `max_distance + 1`: nothing is negative, and hops are rows of a table of
    `max_distance + 2`.

    Hops are found for 64 targets at a time, one bit each (all targets of a small graph at once): O(|E_b| n_b) in the
    worst case and about a 64th of it where distances are short. Lengths: O(n_b |E_b| log n_b).

    Args:
        graphs: The graphs, or a plan that shares their work.
        max_distance: Largest distance, positive; None for no limit.
        undirected: Walk every edge both ways; otherwise from tail to head.
        weighted: Take `edge_weight` as lengths; otherwise every edge has length 1.

    Returns:
        `[sum n_b^2]`, row-major in each graph, on the device of the graphs: int64, or float64 where weighted.

    Raises:
        GraphPEValueError: `max_distance` is not positive, or weights are negative or not finite.
    """
    plan = Plan.of(graphs)
    check_edge_weight(plan.graphs.edge_weight, plan.graphs.num_edges)
    if max_distance is not None and not 0 < max_distance < np.inf:
        raise GraphPEValueError(f"max_distance must be positive and finite, got {max_distance}")
    if weighted and plan.graphs.edge_weight is not None:
        distance = plan.once(path_lengths, undirected)
    else:
        distance = plan.once(hop_distances, undirected)
    limit = -1 if max_distance is None else max_distance
    cut = _cut_lengths(distance, float(limit)) if weighted else _cut_hops(distance, int(limit))
    return torch.from_numpy(cut).to(plan.graphs.device)


def hop_distances(plan: Plan, undirected: bool) -> NDArray[np.int32]:
    """Edges on a shortest path from i to j, `UNREACHABLE` where there is none; `[sum n_b^2]` (a part of a plan)."""
    # The search runs backwards, from the targets.
    backward: Adjacency = plan.once(symmetric_adjacency if undirected else reverse_adjacency)
    return _hops(backward.indptr, backward.indices, *_pointers(plan))


def path_lengths(plan: Plan, undirected: bool) -> Floats:
    """Least sum of weights on a path from i to j, `UNREACHABLE` where there is none; `[sum n_b^2]` (a part)."""
    return _lengths(*plan.once(symmetric_adjacency if undirected else adjacency), *_pointers(plan))


def _pointers(plan: Plan) -> tuple[Ints, Ints]:
    """First node and first pair of each graph."""
    return plan.graphs.ptr.numpy(force=True), plan.graphs.pair_ptr.numpy(force=True)


@compiled
def lowest_bit(word: np.uint64) -> np.int64:
    """The position of the lowest bit that is set."""
    below = (word & (~word + np.uint64(1))) - np.uint64(1)
    # Count the bits below it, in pairs, fours and bytes at once.
    below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
    below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
    below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((below * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def _hops(indptr: Ints, indices: Ints, ptr: Ints, pair_ptr: Ints) -> NDArray[np.int32]:
    """Breadth-first search to 64 targets at a time: bit i of a node's word says that it reaches target i."""
    out = np.full(pair_ptr[-1], -1, np.int32)
    largest = 0
    for b in range(len(ptr) - 1):
        largest = max(largest, ptr[b + 1] - ptr[b])
    none = np.uint64(0)
    seen = np.zeros(largest, np.uint64)
    fresh = np.zeros(largest, np.uint64)  # targets that the node has reached with the last step
    arriving = np.zeros(largest, np.uint64)
    active = np.empty(largest, np.int64)
    touched = np.empty(largest, np.int64)
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        for block in range(0, n, 64):
            seen[:n] = none
            num_active = min(64, n - block)
            for i in range(num_active):
                target = block + i
                active[i] = target
                fresh[target] = seen[target] = np.uint64(1) << np.uint64(i)
                out[pair_ptr[b] + target * n + target] = 0
            steps = 0
            while num_active > 0:
                steps += 1
                num_touched = 0
                for i in range(num_active):
                    v = active[i]
                    for e in range(indptr[first + v], indptr[first + v + 1]):
                        u = indices[e] - first
                        if arriving[u] == none:
                            touched[num_touched] = u
                            num_touched += 1
                        arriving[u] |= fresh[v]
                num_active = 0
                for i in range(num_touched):
                    u = touched[i]
                    word = arriving[u] & ~seen[u]
                    arriving[u] = none
                    if word == none:
                        continue
                    fresh[u] = word
                    seen[u] |= word
                    active[num_active] = u
                    num_active += 1
                    row = pair_ptr[b] + u * n + block
                    while word != none:
                        out[row + lowest_bit(word)] = steps
                        word &= word - np.uint64(1)
    return out


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
def _cut_hops(distance: NDArray[np.int32], limit: int) -> Ints:
    """Distances up to a limit, limit + 1 where there is no path; with limit -1 as they are."""
    out = np.empty(len(distance), np.int64)
    for p in range(len(out)):
        hops = np.int64(distance[p])
        if limit >= 0:
            hops = limit + 1 if hops < 0 else min(hops, limit)
        out[p] = hops
    return out


@compiled
def _cut_lengths(distance: NDArray[np.number], limit: float) -> Floats:
    out = np.empty(len(distance), np.float64)
    for p in range(len(out)):
        length = np.float64(distance[p])
        if limit >= 0:
            length = limit + 1.0 if length < 0 else min(length, limit)
        out[p] = length
    return out
