"""Cycles and closed walks through each node."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.compiled.jit import compiled, everything_compiled
from graphpe.errors import GraphPEValueError, GraphRangeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Ints, symmetric_adjacency, without_loops
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan
from graphpe.walks.cycle_effort import check_effort
from graphpe.walks.diagonal_powers import Estimate, Powers, diagonal_powers

MOST_STEPS = 1 << 31
"""Steps of the search for cycles in one graph after which it is given up: about ten seconds."""

_FEW_STEPS = 1 << 16
"""Steps that Python takes where nothing is compiled yet: the size of a graph does not tell how many there are."""
_INSTEAD = "take a smaller max_length, or estimate them (CyclePE(..., kind='walks', estimate=64))"


def cycle_counts(graphs: PackedGraphs | Plan, max_length: int) -> Tensor:
    """The number of simple cycles of length 3, ..., L through each node of the undirected graph.

    A cycle visits each of its nodes once; it is counted once, whatever its start and direction. Directions, weights,
    parallel edges and self-loops do not count. Nodes of degree 1 are peeled off first, so that trees cost nothing; the
    rest is a depth-first search from the lowest node of each cycle, O(n d^(L-1)) with d the mean degree: made for
    sparse graphs and small L.

    Args:
        graphs: The graphs, or a plan that shares their work.
        max_length: L, at least 3.

    Returns:
        `[N, L - 2]` float64, on the device of the graphs.

    Raises:
        GraphPEValueError: `max_length` < 3, weights that are negative or not finite, or a graph that is too dense (more
            than 2^31 steps; where it is far more, that is said before the search begins).
    """
    plan = Plan.of(graphs)
    packed = plan.graphs
    check_integer("max_length", max_length, least=3)
    check_weights(packed)
    matrix = plan.once(symmetric_adjacency)
    ptr = packed.ptr.numpy(force=True)
    core = partial(_core, matrix.indptr, matrix.indices)
    check_effort(matrix.indptr, matrix.indices, ptr, max_length, MOST_STEPS, core)
    arguments = matrix.indptr, matrix.indices, ptr, max_length
    counts, failed = _count_cycles(*arguments, _FEW_STEPS)
    if failed >= 0:
        with everything_compiled():
            counts, failed = _count_cycles(*arguments, MOST_STEPS)
    if failed >= 0:
        raise GraphPEValueError(
            f"graph {failed} has too many paths of up to {max_length} nodes to count its cycles: lower max_length "
            "or count closed walks"
        )
    return torch.from_numpy(counts).to(packed.device)


def closed_walk_counts(graphs: PackedGraphs | Plan, max_length: int, estimate: Estimate | None = None) -> Tensor:
    """The number of closed walks of length 3, ..., L from each node of the undirected graph: diag(S^l).

    S is the 0/1 adjacency matrix without self-loops; directions and weights do not count. Every walk is counted from
    each start and in each direction. As fast as return probabilities are (see `graphpe.walks.diagonal_powers`).

    Args:
        graphs: The graphs, or a plan that shares their work.
        max_length: L, at least 3.
        estimate: How to estimate the numbers on graphs where that is cheaper; None: exactly.

    Returns:
        `[N, L - 2]` float64, on the device of the graphs; exact up to 2^53.

    Raises:
        GraphPEValueError: `max_length` < 3, weights that are negative or not finite, a graph that is too large, or
            numbers above 1.8e308.
    """
    plan = Plan.of(graphs)
    packed = plan.graphs
    check_integer("max_length", max_length, least=3)
    check_weights(packed)
    matrix = without_loops(plan.once(symmetric_adjacency))
    symmetric = np.ones(packed.num_graphs, dtype=bool)
    counts = diagonal_powers(
        Powers(matrix, matrix, symmetric, None), packed.ptr.numpy(force=True), max_length,
        f"closed walks of up to {max_length} steps", estimate, _INSTEAD,
    )[:, 2:]  # fmt: skip
    beyond = ~np.isfinite(counts)  # inf, or NaN from inf times 0
    if beyond.any():
        row, column = np.unravel_index(beyond.argmax(), beyond.shape)
        graph = int(np.searchsorted(packed.ptr.numpy(force=True), row, side="right")) - 1
        raise GraphRangeError(
            graph, f"closed walks of {column + 3} steps are more than float64 holds, 1.8e308: take a smaller max_length"
        )
    return torch.from_numpy(np.ascontiguousarray(counts)).to(packed.device)


@compiled
def _count_cycles(indptr: Ints, indices: Ints, ptr: Ints, max_length: int, most_steps: int) -> tuple[np.ndarray, int]:
    size = len(indptr) - 1
    counts = np.zeros((size, max_length - 2))
    alive = _core(indptr, indices)
    on_path = np.zeros(size, np.bool_)
    beside = np.full(size, -1, np.int64)  # the last root that the node is a neighbour of
    path = np.empty(max_length, np.int64)
    edge = np.empty(max_length, np.int64)
    for graph in range(len(ptr) - 1):
        steps = 0
        for root in range(ptr[graph], ptr[graph + 1]):
            if not alive[root]:
                continue
            for e in range(indptr[root], indptr[root + 1]):
                beside[indices[e]] = root
            # Paths from the root over higher nodes; one that an edge closes is a cycle, found in both directions.
            path[0], edge[0], depth = root, indptr[root], 0
            on_path[root] = True
            while depth >= 0:
                node = path[depth]
                if edge[depth] == indptr[node + 1]:
                    on_path[node] = False
                    depth -= 1
                    continue
                ahead = indices[edge[depth]]
                edge[depth] += 1
                steps += 1
                if steps > most_steps:
                    return counts, graph
                if ahead <= root or not alive[ahead] or on_path[ahead]:
                    continue
                if depth >= 1 and beside[ahead] == root:
                    counts[ahead, depth - 1] += 0.5
                    for i in range(depth + 1):
                        counts[path[i], depth - 1] += 0.5
                if depth + 2 < max_length:
                    depth += 1
                    path[depth], edge[depth] = ahead, indptr[ahead]
                    on_path[ahead] = True
    return counts, -1


@compiled
def _core(indptr: Ints, indices: Ints) -> np.ndarray:
    """The nodes that remain after nodes of degree 1 are taken away again and again: all cycles are among them."""
    size = len(indptr) - 1
    degree = np.zeros(size, np.int64)
    for u in range(size):
        for e in range(indptr[u], indptr[u + 1]):
            degree[u] += indices[e] != u
    alive = np.ones(size, np.bool_)
    stack = np.empty(size, np.int64)
    count = 0
    for u in range(size):
        if degree[u] <= 1:
            alive[u] = False
            stack[count] = u
            count += 1
    while count:
        count -= 1
        u = stack[count]
        for e in range(indptr[u], indptr[u + 1]):
            v = indices[e]
            if alive[v]:
                degree[v] -= 1
                if degree[v] <= 1:
                    alive[v] = False
                    stack[count] = v
                    count += 1
    return alive
