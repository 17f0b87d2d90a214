"""Connected random graphs of any size with two marked nodes and capacities, and what algorithms say of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from graphpe.benchmarks.tasks.generated.cache import Arrays
from graphpe.benchmarks.tasks.generated.splitmix import random_below, random_uniform, start_stream
from graphpe.compiled.jit import machine_code

MOST_CAPACITY = 10

_CHUNK = 1_000


def draw_graphs(count: int, nodes: tuple[int, int], window: int, extra: float, seed: int) -> Arrays:
    """Connected graphs, made a node at a time, in a random order of their nodes.

    Args:
        count: Number of graphs.
        nodes: Least and most nodes; at least 2.
        window: A node joins one of so many before it; 0: any.
        extra: The probability that it joins a second one of those.
        seed: Graph b depends on it and b alone.

    Returns:
        `sizes` and `edge_sizes` `[B]`; `edges` `[2, E]`, one direction of each, ids counted over all graphs;
        `capacity` `[E]`, from 1 to 10; `marked` `[B, 2]`, two nodes of each graph, and `length` `[B]`, edges of a
        shortest path between them.
    """
    parts = [
        _draw(start, min(start + _CHUNK, count), nodes[0], nodes[1], window, extra, np.uint64(seed))
        for start in range(0, count, _CHUNK)
    ]
    local, capacity, sizes, edge_sizes, marked, length = (
        np.concatenate(each, axis=1 if each[0].shape[0] == 2 and each[0].ndim == 2 else 0)
        for each in zip(*parts, strict=True)
    )
    first = np.cumsum(sizes) - sizes
    return {
        "edges": local + np.repeat(first, edge_sizes),
        "capacity": capacity,
        "sizes": sizes,
        "edge_sizes": edge_sizes,
        "marked": marked,
        "length": length,
    }


@machine_code
def _draw(start: int, stop: int, least: int, most: int, window: int, extra: float, seed: Any) -> Any:
    count = stop - start
    sizes, edge_sizes, length = np.empty(count, np.int64), np.zeros(count, np.int64), np.empty(count, np.int64)
    marked = np.empty((count, 2), np.int64)
    edges, capacity = np.empty((2, 2 * count * most), np.int64), np.empty(2 * count * most, np.int64)
    name, distance = np.empty(most, np.int64), np.empty(most, np.int64)
    state = np.empty(1, np.uint64)
    total = 0
    for graph in range(count):
        start_stream(state, seed, start + graph)
        n = least + random_below(state, most - least + 1)
        sizes[graph] = n
        for i in range(n):
            name[i] = i
        for i in range(n - 1, 0, -1):
            j = random_below(state, i + 1)
            name[i], name[j] = name[j], name[i]
        begin = total
        for i in range(1, n):
            reach = i if window == 0 else min(window, i)
            near = random_below(state, reach)
            edges[0, total], edges[1, total] = name[i - 1 - near], name[i]
            total += 1
            if reach > 1 and random_uniform(state) < extra:
                other = random_below(state, reach - 1)
                other += other >= near
                edges[0, total], edges[1, total] = name[i - 1 - other], name[i]
                total += 1
        edge_sizes[graph] = total - begin
        for edge in range(begin, total):
            capacity[edge] = 1 + random_below(state, MOST_CAPACITY)
        source = random_below(state, n)
        distance[:n] = n
        distance[source] = 0
        changed = True
        while changed:
            changed = False
            for edge in range(begin, total):
                a, b = edges[0, edge], edges[1, edge]
                if distance[a] + 1 < distance[b]:
                    distance[b], changed = distance[a] + 1, True
                elif distance[b] + 1 < distance[a]:
                    distance[a], changed = distance[b] + 1, True
        length[graph] = 1 + random_below(state, int(np.max(distance[:n])))
        chosen = random_below(state, int(np.sum(distance[:n] == length[graph])))
        marked[graph, 0] = source
        for i in range(n):
            if distance[i] == length[graph]:
                if chosen == 0:
                    marked[graph, 1] = i
                chosen -= 1
    return edges[:, :total].copy(), capacity[:total].copy(), sizes, edge_sizes, marked, length


def maximum_flows(arrays: Arrays) -> NDArray[np.int64]:
    """The value of a maximum flow between the marked nodes of each graph, `[B]`.

    Args:
        arrays: What `draw_graphs` gives.
    """
    found = np.empty(len(arrays["sizes"]), np.int64)
    for graph, matrix in enumerate(adjacencies(arrays, arrays["capacity"].astype(np.int32))):
        found[graph] = maximum_flow(matrix, *arrays["marked"][graph].tolist()).flow_value
    return found


def adjacencies(arrays: Arrays, values: NDArray[Any]) -> Iterator[csr_array]:
    """The symmetric adjacency matrix of each graph.

    Args:
        arrays: What `draw_graphs` gives.
        values: The number that stands for each edge, `[E]`.
    """
    node, edge = 0, 0
    for nodes, edges in zip(arrays["sizes"], arrays["edge_sizes"], strict=True):
        ends = arrays["edges"][:, edge : edge + edges] - node
        own = values[edge : edge + edges]
        both = np.concatenate([ends, ends[::-1]], axis=1)
        yield csr_array((np.concatenate([own, own]), (both[0], both[1])), shape=(nodes, nodes))
        node, edge = node + nodes, edge + edges


def bridges(edges: NDArray[np.int64], nodes: int) -> NDArray[np.bool_]:
    """Which edges are bridges: without one, its two ends are in different components. O(nodes + edges).

    Args:
        edges: One direction of each, `[2, E]`, no edge twice.
        nodes: Number of nodes.
    """
    tail = np.concatenate([edges[0], edges[1]])
    order = np.argsort(tail, kind="stable")
    neighbour = np.concatenate([edges[1], edges[0]])[order]
    first = np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=nodes))])
    return _bridges(first, neighbour, order % edges.shape[1] if len(order) else order, edges.shape[1])


@machine_code
def _bridges(first: Any, neighbour: Any, edge_of: Any, edges: int) -> Any:
    """Tarjan (1974): in a depth-first search no edge leads from below a bridge to above it."""
    nodes = len(first) - 1
    found = np.zeros(edges, np.bool_)
    place, low = np.full(nodes, -1), np.empty(nodes, np.int64)
    entered, following, path = np.full(nodes, -1), first[:-1].copy(), np.empty(nodes, np.int64)
    seen = 0
    for root in range(nodes):
        if place[root] >= 0:
            continue
        depth = 0
        path[0] = root
        place[root] = low[root] = seen
        seen += 1
        while depth >= 0:
            node = path[depth]
            if following[node] < first[node + 1]:
                at = following[node]
                following[node] += 1
                other = neighbour[at]
                if place[other] < 0:
                    entered[other] = edge_of[at]
                    place[other] = low[other] = seen
                    seen += 1
                    depth += 1
                    path[depth] = other
                elif edge_of[at] != entered[node]:
                    low[node] = min(low[node], place[other])
            else:
                depth -= 1
                if depth >= 0:
                    above = path[depth]
                    low[above] = min(low[above], low[node])
                    if low[node] > place[above]:
                        found[entered[node]] = True
    return found
