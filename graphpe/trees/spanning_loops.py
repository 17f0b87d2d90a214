"""The loops of `graphpe.trees.spanning` and `graphpe.trees.hierarchical`, compiled."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled, compiled_by_steps
from graphpe.structure.adjacency import Floats, Ints
from graphpe.structure.union_find import find_root

Bools = NDArray[np.bool_]


@compiled
def kruskal(row: Ints, col: Ints, new: Bools, owner: Ints, num_graphs: int) -> tuple[Ints, Bools]:
    """The edges of the trees, from sorted ones; and whether each graph's tree depends on no order among equals.

    Edges are equals up to the next that is `new`. The choice among them is none if all that join different trees at
    their beginning are taken.

    Args:
        row: One end of each edge, edges sorted.
        col: The other end.
        new: Whether an edge differs from the one before, and begins a run of equals.
        owner: Graph of each node, `[N]`.
        num_graphs: Number of graphs.
    """
    size = len(owner)
    leader, members = np.arange(size), np.ones(size, np.int64)
    kept = np.empty(max(size - 1, 0), np.int64)
    unique = np.ones(num_graphs, np.bool_)
    joins = np.zeros(len(row), np.bool_)
    count = 0
    begin = 0
    while begin < len(row):
        end = begin + 1
        while end < len(row) and not new[end]:
            end += 1
        for e in range(begin, end):
            joins[e] = find_root(leader, row[e]) != find_root(leader, col[e])
        for e in range(begin, end):
            if not joins[e]:
                continue
            u, v = find_root(leader, row[e]), find_root(leader, col[e])
            if u == v:
                unique[owner[row[e]]] = False
                continue
            if members[u] < members[v]:
                u, v = v, u
            leader[v] = u
            members[u] += members[v]
            kept[count] = e
            count += 1
        begin = end
    return kept[:count].copy(), unique


@compiled
def shortest_paths(indptr: Ints, indices: Ints, weight: Floats, roots: Ints, colour: Ints) -> tuple[Ints, Floats, Ints]:
    """Parents (-1 of roots), lengths of the edges to them, and nodes with parents of equal colours to choose from.

    Args:
        indptr: Row pointers of the symmetrised graph, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        roots: The root of each component.
        colour: Colours of the nodes by refinement, `[N]`.
    """
    size = len(indptr) - 1
    parent, to_parent = np.full(size, -1, np.int64), np.zeros(size)
    distance = np.full(size, np.inf)
    settled = np.zeros(size, np.bool_)
    tied = np.zeros(size, np.bool_)
    heap = [(0.0, np.int64(0)) for _ in range(0)]
    for r in roots:
        distance[r] = 0.0
        heap.append((0.0, r))
    while len(heap) > 0:
        length, u = heappop(heap)
        if settled[u]:
            continue
        for e in range(indptr[u], indptr[u + 1]):
            v = indices[e]
            # Of nodes that were reached before: adding an edge to a path may be lost to rounding.
            if settled[v] and distance[v] + weight[e] == length and parent[u] != v:
                if parent[u] < 0 or colour[v] < colour[parent[u]]:
                    parent[u], to_parent[u] = v, weight[e]
                    tied[u] = False
                elif colour[v] == colour[parent[u]]:
                    tied[u] = True
                    if v < parent[u]:
                        parent[u], to_parent[u] = v, weight[e]
        settled[u] = True
        for e in range(indptr[u], indptr[u + 1]):
            v = indices[e]
            if length + weight[e] < distance[v]:
                distance[v] = length + weight[e]
                heappush(heap, (distance[v], v))
    return parent, to_parent, np.flatnonzero(tied)


@compiled
def _draw(state: NDArray[np.uint64]) -> np.uint64:
    """The next number of SplitMix64."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    word = state[0]
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@compiled
def _seeded(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = np.zeros(1, np.uint64)
    for word in key:
        state[0] ^= word
        state[0] = _draw(state)
    return state


# A random walk finds a new node of a path of n nodes after n^2 steps.
@compiled_by_steps(lambda indptr, indices, weight, ptr, *others: np.diff(ptr).max(initial=0) * len(indices))
def wilson(
    indptr: Ints, indices: Ints, weight: Floats, ptr: Ints, label: Ints, is_tree: Bools, key: NDArray[np.uint64]
) -> tuple[Ints, Floats]:
    """Parents (-1 of roots) in uniformly random spanning trees, and the lengths of the edges to them.

    Components that are trees are their own: they are searched through, without a walk.

    Args:
        indptr: Row pointers of the symmetrised graph, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        label: Component of each node, `[N]`.
        is_tree: Whether each component is a tree.
        key: Key of the random numbers, which begin alike in every graph.
    """
    size = len(indptr) - 1
    parent, to_parent = np.full(size, -1, np.int64), np.zeros(size)
    inside = np.zeros(size, np.bool_)
    rooted = np.zeros(len(is_tree), np.bool_)
    queue = np.empty(size, np.int64)
    leaving = np.full(size, -1, np.int64)  # the edge by which the walk last left a node
    for b in range(len(ptr) - 1):
        state = _seeded(key)
        for start in range(ptr[b], ptr[b + 1]):
            if not rooted[label[start]]:
                rooted[label[start]] = inside[start] = True
                if is_tree[label[start]]:
                    queue[0] = start
                    first, last = 0, 1
                    while first < last:
                        u = queue[first]
                        first += 1
                        for e in range(indptr[u], indptr[u + 1]):
                            v = indices[e]
                            if not inside[v]:
                                inside[v] = True
                                parent[v], to_parent[v] = u, weight[e]
                                queue[last] = v
                                last += 1
            u = start
            while not inside[u]:
                degree = np.uint64(indptr[u + 1] - indptr[u])
                # Of 64 bits: the bias is degree / 2^64.
                leaving[u] = indptr[u] + np.int64(_draw(state) % degree)
                u = indices[leaving[u]]
            u = start
            while not inside[u]:
                inside[u] = True
                parent[u], to_parent[u] = indices[leaving[u]], weight[leaving[u]]
                u = parent[u]
    return parent, to_parent


@compiled
def distances_from(parent: Ints, length: Floats, source: int) -> Floats:
    """Distances along a forest from a place, inf in other trees.

    Args:
        parent: Parent of each place, -1 of roots.
        length: Length of the edge to it.
        source: The place.
    """
    out = np.full(len(parent), np.inf)
    out[source] = 0.0
    v = source
    while parent[v] >= 0:
        out[parent[v]] = out[v] + length[v]
        v = parent[v]
    for v in range(len(parent)):
        p = parent[v]
        if p >= 0 and out[v] == np.inf:
            out[v] = out[p] + length[v]
    return out


@compiled
def first_in_reach(indptr: Ints, indices: Ints, weight: Floats, ptr: Ints, order: Ints) -> tuple[Ints, Ints, Floats]:
    """For each node the nodes that come before all others at most as far away, in an order of the nodes.

    Returns pointers `[N + 1]` into ranks (ascending) and distances (descending). By a search from one node after the
    other that goes no farther than where an earlier node was nearer: O(log N) nodes each, expected in a random order.

    Args:
        indptr: Row pointers of the symmetrised graph, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        order: The nodes in their order.
    """
    size = len(indptr) - 1
    nearest = np.full(size, np.inf)
    distance = np.full(size, np.inf)
    node, rank, apart = np.empty(4 * size + 16, np.int64), np.empty(4 * size + 16, np.int64), np.empty(4 * size + 16)
    count = 0
    for r in range(size):
        touched = [order[r]]
        distance[order[r]] = 0.0
        heap = [(0.0, order[r])]
        while len(heap) > 0:
            length, u = heappop(heap)
            if length > distance[u]:
                continue
            if count == len(node):
                node, rank = np.concatenate((node, node)), np.concatenate((rank, rank))
                apart = np.concatenate((apart, apart))
            node[count], rank[count], apart[count] = u, r, length
            count += 1
            nearest[u] = length
            for e in range(indptr[u], indptr[u + 1]):
                v = indices[e]
                reach = length + weight[e]
                if reach < distance[v] and reach < nearest[v]:
                    distance[v] = reach
                    touched.append(v)
                    heappush(heap, (reach, v))
        for u in touched:
            distance[u] = np.inf
    start = np.zeros(size + 1, np.int64)
    for i in range(count):
        start[node[i] + 1] += 1
    for v in range(size):
        start[v + 1] += start[v]
    place = start[:-1].copy()
    ranks, distances = np.empty(count, np.int64), np.empty(count)
    for i in range(count):
        at = place[node[i]]
        ranks[at], distances[at] = rank[i], apart[i]
        place[node[i]] = at + 1
    return start, ranks, distances
