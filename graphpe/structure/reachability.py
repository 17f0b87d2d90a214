"""What directed edges put in order: which node leads to which, and how deep a node lies.

Nodes that lead to each other (a strongly connected component: every node of a directed cycle, every connected component
of an undirected graph) share one place. Between these places edges run one way, so that reachability and depth are
defined on every graph; on an acyclic one each node is a place of its own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_choice
from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, Ints, adjacency, reverse_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan

Path = Literal["longest", "shortest"]
Direction = Literal["root", "leaves"]


class Condensation(NamedTuple):
    """Strongly connected components of all graphs, graph after graph, numbered against the edges between them.

    Attributes:
        label: `[N]`: the component of each node; an edge u -> v between two of them has label[v] < label[u].
        order: `[N]`: the nodes, sorted by component.
    """

    label: Ints
    order: Ints


def condensation(plan: Plan) -> Condensation:
    """Strongly connected components (a part of a plan). O(N + E).

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    matrix: Adjacency = plan.once(adjacency)
    return Condensation(*_tarjan(matrix.indptr, matrix.indices))


def reachability(graphs: PackedGraphs | Plan) -> Tensor:
    """Whether a walk along directed edges leads from i to j, for every ordered pair of nodes (i, j) of one graph.

    Every node reaches itself. The meaning of edges is that of `graphpe.laplacian`: an edge of weight 0 is none.
    O(n_b (n_b + |E_b|) / 64) per graph to find them, one bit a pair, and O(n_b^2) to write them.

    Args:
        graphs: The graphs, or a plan that shares their work.

    Returns:
        `[sum n_b^2]` int64, 1 where i leads to j and 0 elsewhere, row-major in each graph, on the graphs' device.

    Raises:
        GraphPEValueError: Weights are negative or not finite.
    """
    plan = Plan.of(graphs)
    graphs = plan.graphs
    check_weights(graphs)
    matrix: Adjacency = plan.once(adjacency)
    ptr, pair_ptr = graphs.ptr.numpy(force=True), graphs.pair_ptr.numpy(force=True)
    components: Condensation = plan.once(condensation)
    reached = _closure(matrix.indptr, matrix.indices, *components, ptr, pair_ptr)
    return torch.from_numpy(reached).to(graphs.device)


def depths(graphs: PackedGraphs | Plan, path: Path = "longest", direction: Direction = "root") -> Tensor:
    """The depth of each node: edges between strongly connected components on the way from a source to its own.

    A source is a component that no edge enters from another one; its nodes have depth 0. On an acyclic graph that is
    the number of edges on the longest (or the shortest) path that ends at the node and starts at a node without
    predecessors. From the leaves it is the same with all edges reversed: the height, edges on the way to a component
    that no edge leaves. O(N + E).

    Args:
        graphs: The graphs, or a plan that shares their work.
        path: Of the ways from sources, count the `"longest"` or the `"shortest"`.
        direction: Count from sources, `"root"`, or from sinks, `"leaves"`.

    Returns:
        `[N]` int64, on the device of the graphs.

    Raises:
        GraphPEValueError: `path` or `direction` is neither, or weights are negative or not finite.
    """
    check_path(path)
    check_direction(direction)
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    components: Condensation = plan.once(condensation)
    if direction == "root":
        matrix: Adjacency = plan.once(adjacency)
    else:  # the components of the reversed graph are the same, in the opposite order
        matrix = plan.once(reverse_adjacency)
        components = Condensation(components.label, np.ascontiguousarray(components.order[::-1]))
    depth = _depths(matrix.indptr, matrix.indices, *components, path == "longest")
    return torch.from_numpy(depth).to(plan.graphs.device)


def check_path(path: str) -> None:
    """Raise unless `path` is one of the two names.

    Args:
        path: The argument.
    """
    check_choice("path", path, get_args(Path))


def check_direction(direction: str) -> None:
    """Raise unless `direction` is one of the two names.

    Args:
        direction: The argument.
    """
    check_choice("direction", direction, get_args(Direction))


@compiled
def _tarjan(indptr: Ints, indices: Ints) -> tuple[Ints, Ints]:
    """Tarjan's algorithm without recursion: components are complete in the order in which they are numbered."""
    size = len(indptr) - 1
    label = np.full(size, -1, np.int64)
    order = np.empty(size, np.int64)
    found = np.full(size, -1, np.int64)  # when the search came to a node
    low = np.empty(size, np.int64)  # the earliest open node that is known to be reached from it
    upcoming = indptr[:-1].copy()
    path = np.empty(size, np.int64)
    waiting = np.empty(size, np.int64)
    num_found, num_waiting, num_labels, num_ordered = 0, 0, 0, 0
    for root in range(size):
        if found[root] >= 0:
            continue
        path[0] = root
        depth = 0
        while depth >= 0:
            u = path[depth]
            if found[u] < 0:
                found[u] = low[u] = num_found
                num_found += 1
                waiting[num_waiting] = u
                num_waiting += 1
            deeper = False
            while upcoming[u] < indptr[u + 1]:
                v = indices[upcoming[u]]
                if found[v] < 0:
                    depth += 1
                    path[depth] = v
                    deeper = True
                    break
                if label[v] < 0:
                    low[u] = min(low[u], low[v])
                upcoming[u] += 1
            if deeper:
                continue
            if low[u] == found[u]:
                v = -1
                while v != u:
                    num_waiting -= 1
                    v = waiting[num_waiting]
                    label[v] = num_labels
                    order[num_ordered] = v
                    num_ordered += 1
                num_labels += 1
            depth -= 1
    return label, order


@compiled
def _closure(indptr: Ints, indices: Ints, label: Ints, order: Ints, ptr: Ints, pair_ptr: Ints) -> Ints:
    """One word holds 64 targets; a component's words are complete before those of the components that lead to it."""
    out = np.zeros(pair_ptr[-1], np.int64)
    one = np.uint64(1)
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        if n == 0:
            continue
        num_words = (n + 63) // 64
        zero_label = label[order[first]]
        reached = np.zeros((label[order[first + n - 1]] - zero_label + 1, num_words), np.uint64)
        for u in order[first : first + n]:
            mine = reached[label[u] - zero_label]
            place = u - first
            mine[place >> 6] |= one << np.uint64(place & 63)
            for e in range(indptr[u], indptr[u + 1]):
                other = label[indices[e]]
                if other != label[u]:
                    theirs = reached[other - zero_label]
                    for w in range(num_words):
                        mine[w] |= theirs[w]
        for u in range(n):
            mine = reached[label[first + u] - zero_label]
            row = out[pair_ptr[b] + u * n : pair_ptr[b] + (u + 1) * n]
            for v in range(n):
                row[v] = np.int64(mine[v >> 6] >> np.uint64(v & 63) & one)
    return out


@compiled
def _depths(indptr: Ints, indices: Ints, label: Ints, order: Ints, longest: bool) -> Ints:
    unknown = -1
    place = np.full(len(order), unknown, np.int64)  # depth of each component
    for i in range(len(order) - 1, -1, -1):
        u = order[i]
        here = label[u]
        if place[here] == unknown:
            place[here] = 0
        for e in range(indptr[u], indptr[u + 1]):
            there = label[indices[e]]
            if there == here:
                continue
            depth = place[here] + 1
            if place[there] == unknown or (depth > place[there]) == longest:
                place[there] = depth
    out = np.empty(len(order), np.int64)
    for u in range(len(order)):
        out[u] = place[label[u]]
    return out
