"""Forests: trees in depth-first order, from a list of edges with lengths, and what linear passes over them find.

A forest is given by undirected edges, each once or in both directions, with lengths that are finite and not negative.
An edge of length 0 is an edge: it joins nodes that have no distance. (In graphs, where weights are strengths, weight 0
is no edge.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPEValueError
from graphpe.structure.laplacian import check_edges

Ints = NDArray[np.int64]
Shorts = NDArray[np.int32]
Floats = NDArray[np.float64]


class Forest(NamedTuple):
    """Trees in depth-first order (parents first, each subtree together), one after the other.

    Places in that order are what everything counts in. The root of a tree is any node of it.

    Attributes:
        order: `[N]`: the node at each place.
        parent: `[N]`: the place of its parent, before its own; -1 for roots.
        subtree: `[N]`: the nodes of its subtree, which are at places v to v + subtree[v] - 1.
        length: `[N]`: of the edge to the parent; 0 for roots.
    """

    order: Ints
    parent: Ints
    subtree: Ints
    length: Floats

    @property
    def num_nodes(self) -> int:
        """Nodes of all trees."""
        return len(self.order)


def read_forest(edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> Forest:
    """The forest with these edges. O(N + E) (where edges are given in both directions, E log E), on the CPU.

    Args:
        edge_index: `[2, E]` integers; each edge once, or in both directions.
        edge_weight: `[E]` lengths, finite and not negative; None for 1.
        num_nodes: N.

    Raises:
        GraphPETypeError: An argument is of another type.
        GraphPEValueError: A shape, node or length is not one that is accepted, or there is a loop, a repeated edge, an
            edge of two lengths or a cycle.
    """
    check_edges(edge_index, num_nodes, edge_weight)
    tail, head = edge_index.numpy(force=True).astype(np.int64, copy=False)
    length = np.ones(len(tail)) if edge_weight is None else edge_weight.detach().double().numpy(force=True)
    link, leaves, pruned = _prune(tail, head, num_nodes)
    if pruned < len(tail):
        once = _each_once(tail, head, length, num_nodes)
        tail, head, length = tail[once], head[once], length[once]
        link, leaves, pruned = _prune(tail, head, num_nodes)
        if pruned < len(tail):
            e = _closes_cycle(tail, head, num_nodes)
            raise GraphPEValueError(
                f"edge_index holds a cycle through the edge ({tail[e]}, {head[e]}): a forest has none, take a tree of "
                "graphpe.trees.spanning"
            )
    return Forest(*_depth_first(link, leaves, pruned, length))


def measure(forest: Forest) -> tuple[Ints, Floats, Floats]:
    """For each place: the place of its root `[N]`, its distance from it `[N]`, its distance from the farthest node.

    Args:
        forest: The trees.
    """
    return _measure(forest.parent, forest.length)


def diameter(forest: Forest) -> float:
    """The largest distance between two nodes of one tree; 0 without nodes.

    Args:
        forest: The trees.
    """
    return float(measure(forest)[2].max(initial=0.0))


def _each_once(tail: Ints, head: Ints, length: Floats, size: int) -> Ints:
    """One entry of each edge."""
    loops = tail == head
    if loops.any():
        u = tail[loops][0]
        raise GraphPEValueError(f"edge_index holds the loop ({u}, {u}): a forest has none, remove it")
    low, high = np.minimum(tail, head), np.maximum(tail, head)
    order = np.argsort(low * size + high)
    low, high, start, far = low[order], high[order], tail[order], length[order]
    again = (low[1:] == low[:-1]) & (high[1:] == high[:-1])
    repeated = again & (start[1:] == start[:-1])
    repeated[1:] |= again[1:] & again[:-1]
    different = again & (far[1:] != far[:-1])
    if repeated.any():
        i = np.argmax(repeated)
        raise GraphPEValueError(
            f"edge_index holds the edge ({low[i]}, {high[i]}) more than once: give each edge once, or once in each "
            "direction"
        )
    if different.any():
        i = np.argmax(different)
        raise GraphPEValueError(
            f"edge_index holds the edge ({low[i]}, {high[i]}) in both directions with different lengths: give it one"
        )
    return order[np.concatenate([[True], ~again])[: len(order)]]


# Columns of what `_prune` keeps of a node, in one cache line: its edges that are left, the exclusive or of the nodes at
# their other ends and that of their numbers (of a leaf: its parent and the edge to it), and the nodes pruned below it.
_DEGREE, _PARENT, _EDGE, _COUNT = range(4)


@compiled
def _prune(tail: Ints, head: Ints, size: int) -> tuple[Shorts, Shorts, int]:
    """Cut off leaves until none is left; which, in that order; how many, one for each edge if it is a forest."""
    link = np.zeros((size, 4), np.int32)
    link[:, _COUNT] = 1
    for e in range(len(tail)):
        u, v = tail[e], head[e]
        link[u, _DEGREE] += 1
        link[v, _DEGREE] += 1
        link[u, _PARENT] ^= v
        link[v, _PARENT] ^= u
        link[u, _EDGE] ^= e
        link[v, _EDGE] ^= e
    leaves = np.empty(size, np.int32)
    filled = 0
    for start in range(size):
        v = start
        while link[v, _DEGREE] == 1:
            p = link[v, _PARENT]
            leaves[filled] = v
            filled += 1
            link[v, _DEGREE] = 0
            link[p, _DEGREE] -= 1
            link[p, _PARENT] ^= v
            link[p, _EDGE] ^= link[v, _EDGE]
            link[p, _COUNT] += link[v, _COUNT]
            v = p
    return link, leaves, filled


@compiled
def _depth_first(link: Shorts, leaves: Shorts, pruned: int, length: Floats) -> tuple[Ints, Ints, Ints, Floats]:
    size = len(link)
    order, parent, count = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    to_parent = np.empty(size)
    place, free = np.empty(size, np.int32), np.empty(size, np.int32)  # free: the place of the next child
    place[:] = -1
    for i in range(pruned):
        place[leaves[i]] = 0
    start = 0
    for v in range(size):
        if place[v] < 0:
            order[start], parent[start], count[start], to_parent[start] = v, -1, link[v, _COUNT], 0.0
            place[v], free[v] = start, start + 1
            start += link[v, _COUNT]
    for i in range(pruned - 1, -1, -1):
        v = leaves[i]
        p, below = link[v, _PARENT], link[v, _COUNT]
        here = free[p]
        free[p] += below
        order[here], parent[here], count[here], to_parent[here] = v, place[p], below, length[link[v, _EDGE]]
        place[v], free[v] = here, here + 1
    return order, parent, count, to_parent


@compiled
def _closes_cycle(tail: Ints, head: Ints, size: int) -> int:
    """The first edge between nodes that those before it join."""
    up = np.arange(size)
    for e in range(len(tail)):
        u, v = tail[e], head[e]
        while up[u] != u:
            up[u] = up[up[u]]
            u = up[u]
        while up[v] != v:
            up[v] = up[up[v]]
            v = up[v]
        if u == v:
            return e
        up[u] = v
    return -1


@compiled
def _measure(parent: Ints, length: Floats) -> tuple[Ints, Floats, Floats]:
    size = len(parent)
    root, depth = np.empty(size, np.int64), np.zeros(size)
    first, second = np.zeros(size), np.zeros(size)  # the two longest ways down, through different children
    for v in range(size - 1, -1, -1):
        p = parent[v]
        if p >= 0:
            way = first[v] + length[v]
            if way > first[p]:
                first[p], second[p] = way, first[p]
            elif way > second[p]:
                second[p] = way
    farthest = first.copy()
    up = np.zeros(size)  # the longest way that begins with the edge to the parent
    for v in range(size):
        p = parent[v]
        if p < 0:
            root[v] = v
            continue
        root[v], depth[v] = root[p], depth[p] + length[v]
        # A tie of the two longest ways leaves both equal, so that either may be taken for this child's.
        other = second[p] if first[v] + length[v] == first[p] else first[p]
        up[v] = length[v] + max(up[p], other)
        farthest[v] = max(first[v], up[v])
    return root, depth, farthest
