"""Forests: trees in breadth-first order, from a list of edges with lengths, and what linear passes over them find.

A forest is given by undirected edges, each once or in both directions, with lengths that are finite and not negative.
An edge of length 0 is an edge: it joins nodes that have no distance. (In graphs, where weights are strengths, weight 0
is no edge.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled import compiled
from graphpe.errors import GraphPEValueError
from graphpe.laplacian import check_edges

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Forest(NamedTuple):
    """Trees in breadth-first order, one after the other; places in that order are what everything counts in.

    Attributes:
        order: `[N]`: the node at each place.
        parent: `[N]`: the place of its parent, before its own; -1 for roots.
        children: `[N, 2]`: the children of place v are at `children[v, 0]` to `children[v, 1]`.
        length: `[N]`: of the edge to the parent; 0 for roots.
    """

    order: Ints
    parent: Ints
    children: Ints
    length: Floats

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.order)


def read_forest(edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int, roots: Tensor | None = None) -> Forest:
    """The forest with these edges. O(N + E), on the CPU.

    Args:
        edge_index: `[2, E]` integers; each edge once, or in both directions.
        edge_weight: `[E]` lengths, finite and not negative; None for 1.
        num_nodes: N.
        roots: Nodes that are roots of their trees; by default, and of trees without any, the smallest node.

    Raises:
        GraphPETypeError: An argument is of another type.
        GraphPEValueError: A shape, node or length is not one that is accepted; there is a loop, a repeated edge, an
            edge of two lengths or a cycle; or two roots are in one tree.
    """
    check_edges(edge_index, num_nodes, edge_weight)
    tail, head = edge_index.numpy(force=True).astype(np.int64, copy=False)
    length = np.ones(len(tail)) if edge_weight is None else edge_weight.detach().double().numpy(force=True)
    starts = np.empty(0, np.int64) if roots is None else roots.long().numpy(force=True)
    if len(starts) and not (starts.min() >= 0 and starts.max() < num_nodes):
        raise GraphPEValueError(f"roots must be nodes from 0 to {num_nodes - 1}, got {starts.tolist()[:8]}")
    order, parent, children, to_parent, problem, u, v = _breadth_first(tail, head, length, num_nodes, starts)
    if problem:
        raise GraphPEValueError(_PROBLEMS[problem - 1].format(u=u, v=v))
    return Forest(order, parent, children, to_parent)


_PROBLEMS = (
    "edge_index holds the loop ({u}, {u}): a forest has none, remove it",
    "edge_index holds the edge ({u}, {v}) more than once: give each edge once, or once in each direction",
    "edge_index holds the edge ({u}, {v}) in both directions with different lengths: give it one",
    "edge_index holds a cycle through the edge ({u}, {v}): a forest has none, take a tree of graphpe.trees.spanning",
    "roots holds {u} and {v}, which are in one tree: give one root for a tree",
)


def measure(forest: Forest) -> tuple[Ints, Floats, Floats]:
    """For each place: the place of its root `[N]`, its distance from it `[N]`, its distance from the farthest node."""
    return _measure(forest.parent, forest.length)


def diameter(forest: Forest) -> float:
    """The largest distance between two nodes of one tree; 0 without nodes."""
    return float(measure(forest)[2].max(initial=0.0))


@compiled
def _breadth_first(
    tail: Ints, head: Ints, length: Floats, size: int, starts: Ints
) -> tuple[Ints, Ints, Ints, Floats, int, int, int]:
    """The forest; and a number of `_PROBLEMS` (0 for none) with two nodes."""
    order, parent = np.empty(size, np.int64), np.empty(size, np.int64)
    children, to_parent = np.empty((size, 2), np.int64), np.zeros(size)
    for e in range(len(tail)):
        if tail[e] == head[e]:
            return order, parent, children, to_parent, 1, tail[e], head[e]
    ptr = np.zeros(size + 2, np.int64)
    for e in range(len(tail)):
        ptr[tail[e] + 2] += 1
        ptr[head[e] + 2] += 1
    for u in range(size):
        ptr[u + 2] += ptr[u + 1]
    edge_of = np.empty(2 * len(tail), np.int64)  # edges at each node, in the order in which they are given
    for e in range(len(tail)):
        for u in (tail[e], head[e]):
            edge_of[ptr[u + 1]] = e
            ptr[u + 1] += 1
    via = np.full(size, -1, np.int64)  # the edge through which a node was found; -2 for roots
    both = np.zeros(size, np.bool_)  # whether that edge is given in both directions
    root = np.empty(size, np.int64)
    filled = 0
    for s in range(len(starts) + size):
        start = starts[s] if s < len(starts) else s - len(starts)
        if via[start] != -1:
            if s < len(starts):
                return order, parent, children, to_parent, 5, root[start], start
            continue
        via[start], root[start] = -2, start
        order[filled], parent[filled] = start, -1
        place = filled
        filled += 1
        while place < filled:
            u = order[place]
            children[place, 0] = filled
            for a in range(ptr[u], ptr[u + 1]):
                e = edge_of[a]
                v = head[e] if tail[e] == u else tail[e]
                if via[v] == -1:
                    via[v], root[v] = e, start
                    order[filled], parent[filled], to_parent[filled] = v, place, length[e]
                    filled += 1
                elif via[v] == e or via[u] == e:
                    continue
                elif via[v] >= 0 and (tail[via[v]] == u or head[via[v]] == u):  # a second edge to a child
                    if both[v] or tail[e] == tail[via[v]]:
                        return order, parent, children, to_parent, 2, u, v
                    if length[e] != length[via[v]]:
                        return order, parent, children, to_parent, 3, u, v
                    both[v] = True
                elif not (via[u] >= 0 and (tail[via[u]] == v or head[via[u]] == v)):
                    return order, parent, children, to_parent, 4, u, v
            children[place, 1] = filled
            place += 1
    return order, parent, children, to_parent, 0, 0, 0


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
