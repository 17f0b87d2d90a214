"""Shortest paths between chosen pairs of nodes: searches from both ends that stop where they meet.

Pairs that share an end are searched for from it, all in one search, where that meets less than a search for each.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphpe.compiled.jit import compiled_by_steps
from graphpe.distances.shortest_paths import UNREACHABLE, check_distance
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds
from graphpe.pairs.asked import Asked, Groups, asked_pairs, grouped, in_threads, thread_count
from graphpe.structure.adjacency import (
    Adjacency,
    Floats,
    Ints,
    adjacency,
    reverse_adjacency,
    rows_of,
    symmetric_adjacency,
)
from graphpe.structure.components import label_components
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan

# Measured on one core: an entry of the matrix that a search meets, by hops and by lengths.
_HOP_SECONDS, _LENGTH_SECONDS = 6e-9, 6e-8
_SAMPLES, _MOST_SAMPLED = 16, 1 << 24
_MATRIX_BYTES, _NODE_BYTES = 32, 64


class _Graph(NamedTuple):
    """What searches need: the matrices of the grouped end and of the other one, and connected components."""

    own: Adjacency
    other: Adjacency
    component: Ints


def asked_distances(
    graphs: PackedGraphs | Plan,
    pairs: Tensor | Asked,
    max_distance: float | None = None,
    undirected: bool = True,
    weighted: bool = False,
) -> Tensor:
    """The distance from i to j, for chosen pairs (i, j).

    Values are those of `graphpe.distances.shortest_paths.shortest_paths` at these pairs. A search ends where those from
    both ends meet, or at `max_distance`; only along directed edges it may have to go on, to tell pairs that a longer
    path joins from those that none does. At worst O(E) a pair, O(E log N) where weighted. Memory O(N + E), and O(N) for
    each thread.

    Args:
        graphs: The graphs, or a plan that shares their work.
        pairs: `[2, P]`: i and j, ids counted over all graphs, nodes of one graph; or what `asked_pairs` returns for
            them.
        max_distance: Largest distance, positive (and whole, unless `weighted`); None for no limit.
        undirected: Walk every edge both ways; otherwise from tail to head.
        weighted: Take `edge_weight` as lengths; otherwise every edge has length 1.

    Returns:
        `[P]`, on the device of the graphs: int64, or float64 where weighted.

    Raises:
        GraphPETypeError: `pairs` are no tensor of integers.
        GraphPEValueError: `max_distance` is out of range, pairs that are not there, weights that are negative or not
            finite, or more time or memory than `graphpe.limits` allow.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    check_distance(max_distance, weighted)
    asked = asked_pairs(pairs, plan.graphs)
    ahead: Adjacency = plan.once(symmetric_adjacency if undirected else adjacency)
    back: Adjacency = plan.once(symmetric_adjacency if undirected else reverse_adjacency)
    component = plan.once(component_of_nodes)
    by_source = len(np.unique(asked.source)) <= len(np.unique(asked.target))
    groups = grouped(*((asked.source, asked.target) if by_source else (asked.target, asked.source)))
    graph = _Graph(ahead, back, component) if by_source else _Graph(back, ahead, component)
    by_length = weighted and plan.graphs.edge_weight is not None
    limit = np.inf if max_distance is None else float(max_distance)
    # Along directed edges a component does not tell whether there is a path.
    most = limit if undirected else np.inf
    size = plan.graphs.num_nodes
    worth, entries = _cost(groups, graph, most, by_length)
    seconds = entries * (_LENGTH_SECONDS if by_length else _HOP_SECONDS)
    memory = _MATRIX_BYTES * len(ahead.indices) + _NODE_BYTES * size * thread_count(len(groups.node))
    what = f"shortest paths between {len(asked.source):,} pairs"
    check_seconds(what, size, seconds, memory, "ask for fewer pairs or a smaller max_distance")
    found = np.full(len(asked.source), float(UNREACHABLE))
    arrays: tuple[Any, ...] = (groups.node, groups.ptr, groups.other, *graph.own, *graph.other, component)

    search: Callable[..., float] = _lengths if by_length else _hops

    def run(start: int, stop: int) -> None:
        search(start, stop, *arrays, most, worth, entries, found)

    in_threads(run, len(groups.node), seconds)
    out = np.empty_like(found)
    out[groups.order] = found
    if max_distance is not None:
        out = np.where(out == UNREACHABLE, limit + 1, np.minimum(out, limit))
    distance = torch.from_numpy(out[asked.place]).to(plan.graphs.device)
    return distance if weighted else distance.long()


def component_of_nodes(plan: Plan) -> Ints:
    """The connected component of each node: `[N]` (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    both: Adjacency = plan.once(symmetric_adjacency)
    return label_components(rows_of(both), both.indices, plan.graphs.num_nodes)[0]


def _cost(groups: Groups, graph: _Graph, most: float, by_length: bool) -> tuple[float, float]:
    """From how many pairs of a group on one search is cheaper than one for each; and entries that all of it meets."""
    search = _lengths if by_length else _hops

    def mean(chosen: Ints, worth: float) -> float:
        """Of entries for a pair, or for a group where `worth` is 0."""
        met, done = 0.0, 0
        for group in chosen.tolist():
            first = groups.ptr[group]
            ptr = np.array([0, 1 if worth else groups.ptr[group + 1] - first], dtype=np.int64)
            other = groups.other[first : first + ptr[1]]
            effort = float(len(graph.own.indices))
            out = np.empty(len(other))
            met += search(
                0, 1, groups.node[group : group + 1], ptr, other, *graph.own, *graph.other, graph.component, most,
                worth, effort, out,
            )  # fmt: skip
            done += 1
            if met > _MOST_SAMPLED:
                break
        return met / max(done, 1)

    sizes = np.diff(groups.ptr)
    spaced = (2 * np.arange(min(_SAMPLES, len(sizes))) + 1) * len(sizes) // max(2 * min(_SAMPLES, len(sizes)), 1)
    pair = mean(spaced, np.inf)
    shared = np.flatnonzero(sizes > 1)
    if not len(shared):
        return np.inf, pair * len(groups.other)
    whole = mean(shared[:: max(1, len(shared) // _SAMPLES)][:_SAMPLES], 0.0)
    worth = whole / max(pair, 1.0)
    return worth, float(np.where(sizes > worth, whole, sizes * pair).sum())


@compiled_by_steps(lambda *arguments: arguments[-2])
def _hops(
    start: int,
    stop: int,
    node: Ints,
    ptr: Ints,
    other: Ints,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    other_ptr: Ints,
    other_indices: Ints,
    other_weight: Floats,
    component: Ints,
    most: float,
    worth: float,
    effort: float,
    out: Floats,
) -> float:
    """Hops of the pairs of groups `start` to `stop` into `out`; the entries that were met.

    Groups of more than `worth` pairs are searched for from their own end. Nodes of one component that are more than
    `most` apart are given that distance.
    """
    size = len(indptr) - 1
    seen, other_seen = np.full(size, -1, np.int64), np.full(size, -1, np.int64)  # the last search that has met a node
    hops = np.empty(size, np.int64)
    queue, other_queue = np.empty(size, np.int64), np.empty(size, np.int64)
    met, stamp = 0.0, 0
    for group in range(start, stop):
        own = node[group]
        if ptr[group + 1] - ptr[group] > worth:
            stamp += 1
            missing = 0
            for pair in range(ptr[group], ptr[group + 1]):
                if component[other[pair]] == component[own] and other_seen[other[pair]] != stamp:
                    other_seen[other[pair]] = stamp
                    missing += 1
            missing -= other_seen[own] == stamp
            queue[0], seen[own], hops[own], head, tail = own, stamp, 0, 0, 1
            while head < tail and missing > 0 and hops[queue[head]] + 1 < most:
                u = queue[head]
                head += 1
                met += indptr[u + 1] - indptr[u] + 1
                for e in range(indptr[u], indptr[u + 1]):
                    v = indices[e]
                    if seen[v] != stamp:
                        seen[v], hops[v] = stamp, hops[u] + 1
                        missing -= other_seen[v] == stamp
                        queue[tail] = v
                        tail += 1
            for pair in range(ptr[group], ptr[group + 1]):
                v = other[pair]
                if seen[v] == stamp:
                    out[pair] = hops[v]
                else:
                    out[pair] = most if component[v] == component[own] and most < np.inf else -1.0
            continue
        for pair in range(ptr[group], ptr[group + 1]):
            end = other[pair]
            if component[own] != component[end]:
                out[pair] = -1.0
                continue
            if own == end:
                out[pair] = 0.0
                continue
            stamp += 1
            queue[0], seen[own], head, tail = own, stamp, 0, 1
            other_queue[0], other_seen[end], other_head, other_tail = end, stamp, 0, 1
            ahead, behind = float(indptr[own + 1] - indptr[own]), float(other_ptr[end + 1] - other_ptr[end])
            distance, found = 0.0, False
            while head < tail and other_head < other_tail and not found:
                distance += 1.0
                if distance >= most:
                    found = True
                    break
                # A level of the end whose next one takes less.
                if ahead <= behind:
                    ahead, last = 0.0, tail
                    while head < last and not found:
                        u = queue[head]
                        head += 1
                        met += indptr[u + 1] - indptr[u] + 1
                        for e in range(indptr[u], indptr[u + 1]):
                            v = indices[e]
                            if seen[v] != stamp:
                                seen[v] = stamp
                                if other_seen[v] == stamp:
                                    found = True
                                    break
                                queue[tail] = v
                                tail += 1
                                ahead += indptr[v + 1] - indptr[v]
                else:
                    behind, last = 0.0, other_tail
                    while other_head < last and not found:
                        u = other_queue[other_head]
                        other_head += 1
                        met += other_ptr[u + 1] - other_ptr[u] + 1
                        for e in range(other_ptr[u], other_ptr[u + 1]):
                            v = other_indices[e]
                            if other_seen[v] != stamp:
                                other_seen[v] = stamp
                                if seen[v] == stamp:
                                    found = True
                                    break
                                other_queue[other_tail] = v
                                other_tail += 1
                                behind += other_ptr[v + 1] - other_ptr[v]
            out[pair] = distance if found else -1.0
    return met


@compiled_by_steps(lambda *arguments: 8 * arguments[-2])
def _lengths(
    start: int,
    stop: int,
    node: Ints,
    ptr: Ints,
    other: Ints,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    other_ptr: Ints,
    other_indices: Ints,
    other_weight: Floats,
    component: Ints,
    most: float,
    worth: float,
    effort: float,
    out: Floats,
) -> float:
    """`_hops` with lengths of edges: Dijkstra's algorithm from one end or from both."""
    size = len(indptr) - 1
    here, there = np.full(size, np.inf), np.full(size, np.inf)
    inside, other_inside = np.empty(size, np.int64), np.empty(size, np.int64)
    asked = np.full(size, -1, np.int64)
    met, stamp = 0.0, 0
    for group in range(start, stop):
        own = node[group]
        if ptr[group + 1] - ptr[group] > worth:
            stamp += 1
            missing = 0
            for pair in range(ptr[group], ptr[group + 1]):
                if component[other[pair]] == component[own] and asked[other[pair]] != stamp:
                    asked[other[pair]] = stamp
                    missing += 1
            here[own], inside[0], count = 0.0, own, 1
            heap = [(0.0, own)]
            while len(heap) > 0 and missing > 0 and heap[0][0] < most:
                length, u = heappop(heap)
                if length > here[u]:
                    continue
                if asked[u] == stamp:
                    asked[u] = -1
                    missing -= 1
                met += 1.0 + indptr[u + 1] - indptr[u]
                for e in range(indptr[u], indptr[u + 1]):
                    v, through = indices[e], length + weight[e]
                    if through < here[v]:
                        if here[v] == np.inf:
                            inside[count] = v
                            count += 1
                        here[v] = through
                        heappush(heap, (through, v))
            for pair in range(ptr[group], ptr[group + 1]):
                v = other[pair]
                if component[v] != component[own] or (here[v] == np.inf and most == np.inf):
                    out[pair] = -1.0
                else:
                    out[pair] = min(here[v], most)
            for i in range(count):
                here[inside[i]] = np.inf
            continue
        for pair in range(ptr[group], ptr[group + 1]):
            end = other[pair]
            if component[own] != component[end]:
                out[pair] = -1.0
                continue
            here[own], inside[0], count = 0.0, own, 1
            there[end], other_inside[0], other_count = 0.0, end, 1
            heap, other_heap = [(0.0, own)], [(0.0, end)]
            shortest = 0.0 if own == end else np.inf
            while len(heap) > 0 and len(other_heap) > 0 and heap[0][0] + other_heap[0][0] < min(shortest, most):
                if heap[0][0] <= other_heap[0][0]:
                    length, u = heappop(heap)
                    if length > here[u]:
                        continue
                    shortest = min(shortest, length + there[u])
                    met += 1.0 + indptr[u + 1] - indptr[u]
                    for e in range(indptr[u], indptr[u + 1]):
                        v, through = indices[e], length + weight[e]
                        if through < here[v]:
                            if here[v] == np.inf:
                                inside[count] = v
                                count += 1
                            here[v] = through
                            heappush(heap, (through, v))
                else:
                    length, u = heappop(other_heap)
                    if length > there[u]:
                        continue
                    shortest = min(shortest, length + here[u])
                    met += 1.0 + other_ptr[u + 1] - other_ptr[u]
                    for e in range(other_ptr[u], other_ptr[u + 1]):
                        v, through = other_indices[e], length + other_weight[e]
                        if through < there[v]:
                            if there[v] == np.inf:
                                other_inside[other_count] = v
                                other_count += 1
                            there[v] = through
                            heappush(other_heap, (through, v))
            for i in range(count):
                here[inside[i]] = np.inf
            for i in range(other_count):
                there[other_inside[i]] = np.inf
            nearest = min(shortest, most)
            out[pair] = -1.0 if nearest == np.inf else nearest
    return met
