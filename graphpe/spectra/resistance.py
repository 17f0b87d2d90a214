"""Effective resistances, and the pseudo-inverse of the Laplacian that they determine.

A graph is a network of conductors: the symmetrised weights S of `graphpe.laplacian` are conductances. One node after
the other is eliminated (Kron reduction, the star-mesh transform: its neighbours p, q get w_p w_q / d more), then put
back with its resistances to those that remain. Elimination adds and multiplies positive numbers only, so that no weight
is lost beside a larger one: on a tree, the resistances are the sums of 1 / w to the last digit, whatever the weights.
The node with the fewest neighbours goes first, which keeps sparse graphs sparse: a tree costs O(n^2), no more than
writing the result does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.eigen.fill import estimate_fill
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds
from graphpe.structure.adjacency import Adjacency, Floats, Ints, symmetric_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan

# Graphs from this size on are looked at first: a row of resistances for each conductance of each reduced network.
_LARGE = 2000
_PAIR_SECONDS, _SCANS = 1e-9, 8

DISCONNECTED = -1.0
"""The resistance and the commute time of two nodes of different components, which have none that is finite."""


def effective_resistances(graphs: PackedGraphs | Plan) -> Tensor:
    """The effective resistance between all nodes of each graph: R_ij = L+_ii + L+_jj - 2 L+_ij, L = D - S.

    The voltage between i and j when a unit current enters at i and leaves at j. A metric on each component; nodes of
    different components have `DISCONNECTED`, -1. See the module's text for how: O(n^2) for trees to O(n^3) a graph.

    Args:
        graphs: The graphs, or a plan that shares their work.

    Returns:
        `[sum n_b^2]` float64, row-major in each graph, on the device of the graphs.

    Raises:
        GraphPEValueError: Weights are negative or not finite.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    resistance = plan.once(resistances)
    return _tensor(np.where(np.isinf(resistance), DISCONNECTED, resistance), plan)


def commute_times(graphs: PackedGraphs | Plan) -> Tensor:
    """The expected number of steps of a random walk from i to j and back: C_ij = vol R_ij.

    The walk is that of the symmetrised weights, P = D^-1 S (self-loops are steps that stay), and vol the sum of the
    degrees of the component. Arguments, result and errors as in `effective_resistances`.

    Args:
        graphs: The graphs, or a plan that shares their work.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    matrix: Adjacency = plan.once(symmetric_adjacency)
    degree = _degrees(*matrix)
    return _tensor(_times_volume(plan.once(resistances), degree, *_pointers(plan)), plan)


def resistances(plan: Plan) -> Floats:
    """Effective resistances, infinite between components; `[sum n_b^2]` (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    matrix: Adjacency = plan.once(symmetric_adjacency)
    for graph in np.flatnonzero(plan.graphs.host_ptr[1:] - plan.graphs.host_ptr[:-1] >= _LARGE).tolist():
        check_time(matrix, *plan.graphs.host_ptr[graph : graph + 2].tolist())
    return resistances_of(matrix, *_pointers(plan))


def resistances_of(matrix: Adjacency, ptr: Ints, pair_ptr: Ints) -> Floats:
    """Effective resistances, infinite between components; `[sum n_b^2]`.

    Args:
        matrix: Symmetric weights; self-loops do nothing.
        ptr: `[B + 1]`: graph b owns rows `ptr[b]` to `ptr[b + 1]`.
        pair_ptr: `[B + 1]`: and the pairs `pair_ptr[b]` to `pair_ptr[b + 1]`.
    """
    out = np.zeros(int(pair_ptr[-1]))
    _resistances(*matrix, ptr, pair_ptr, out)
    return out


def check_time(matrix: Adjacency, first: int, last: int) -> None:
    """Refuse a graph of nodes `first` to `last` whose networks fill up, or that is too large for its n^2 values."""
    begin, end = matrix.indptr[[first, last]]
    size = last - first
    fill = estimate_fill(matrix.indptr[first : last + 1] - begin, matrix.indices[begin:end] - first)
    seconds = _PAIR_SECONDS * size * (_SCANS * size + fill.front**2 / 2)
    check_seconds("effective resistances of all pairs", size, seconds, 3 * 8.0 * size**2, "take parts of the graph")


def pseudo_inverse(plan: Plan) -> Floats:
    """L+, the pseudo-inverse of L = D - S, of each graph; `[sum n_b^2]` (a part of a plan).

    L+_ij = -1/2 (R_ij - r_i - r_j + r) with r_i the mean of R_i over the component and r the mean of r_i; 0 between
    components.

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    return pseudo_inverse_of(plan.once(resistances), *_pointers(plan))


def pseudo_inverse_of(resistance: Floats, ptr: Ints, pair_ptr: Ints) -> Floats:
    """L+ from the resistances; arguments as in `resistances_of`."""
    return _centred(resistance, ptr, pair_ptr)


def _pointers(plan: Plan) -> tuple[Ints, Ints]:
    """First node and first pair of each graph."""
    return plan.graphs.ptr.numpy(force=True), plan.graphs.pair_ptr.numpy(force=True)


def _tensor(values: Floats, plan: Plan) -> Tensor:
    return torch.from_numpy(values).to(plan.graphs.device)


@compiled
def _resistances(indptr: Ints, indices: Ints, weight: Floats, ptr: Ints, pair_ptr: Ints, out: Floats) -> None:
    """Fills `out`, which holds zeros; while a graph is worked on, the conductances of its reduced networks."""
    largest = 0
    for b in range(len(ptr) - 1):
        largest = max(largest, ptr[b + 1] - ptr[b])
    order = np.empty(largest, np.int64)
    place = np.empty(largest, np.int64)
    share = np.empty(largest)
    # Rows and columns in the reverse order of elimination: the nodes put back so far stand first.
    rebuilt = np.empty((largest, largest))
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        conductance = out[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
        for u in range(n):
            for e in range(indptr[first + u], indptr[first + u + 1]):
                if indices[e] != first + u:
                    conductance[u, indices[e] - first] = weight[e]
        _eliminate(conductance, order)
        for i in range(n):
            place[order[i]] = n - 1 - i
        for i in range(n - 1, -1, -1):
            _put_back(conductance[order[i]], order, i, n, share, rebuilt)
        for u in range(n):
            row = rebuilt[place[u]]
            for v in range(n):
                conductance[u, v] = row[place[v]]


@compiled
def _eliminate(conductance: Floats, order: Ints) -> None:
    """Eliminate all nodes; the row of each then holds its conductances at the moment when it went."""
    n = len(conductance)
    degree = np.zeros(n, np.int64)
    for u in range(n):
        order[u] = u
        for v in range(n):
            degree[u] += conductance[u, v] > 0
    neighbours = np.empty(n, np.int64)
    for i in range(n):
        best = i
        for j in range(i + 1, n):
            if degree[order[j]] < degree[order[best]]:
                best = j
        order[i], order[best] = order[best], order[i]
        row = conductance[order[i]]
        count = 0
        total = 0.0
        for j in range(i + 1, n):
            if row[order[j]] > 0:
                neighbours[count] = order[j]
                total += row[order[j]]
                count += 1
        for a in range(count):
            u = neighbours[a]
            share = row[u] / total
            degree[u] -= 1
            for c in range(a):
                v = neighbours[c]
                more = share * row[v]
                if more > 0:
                    if conductance[u, v] == 0:
                        degree[u] += 1
                        degree[v] += 1
                    conductance[u, v] += more
                    conductance[v, u] = conductance[u, v]


@compiled
def _put_back(row: Floats, order: Ints, i: int, n: int, share: Floats, rebuilt: Floats) -> None:
    """The resistances of the i-th node of the order to those after it, from their own.

    Of a unit current into node k, the share p_m = w_m / d goes to its neighbour m. Hence, with R that of the others,
    R_kj = 1 / d + sum_m p_m R_mj - 1/2 sum_lm p_l p_m R_lm.
    """
    size = n - 1 - i
    mine = rebuilt[size]
    mine[: size + 1] = 0.0
    total = 0.0
    for j in range(i + 1, n):
        total += row[order[j]]
    if total == 0:
        mine[:size] = np.inf
    else:
        for m in range(size):
            share[m] = row[order[n - 1 - m]] / total
            if share[m] > 0:
                for j in range(size):
                    mine[j] += share[m] * rebuilt[m, j]
        spread = 0.0
        for m in range(size):
            if share[m] > 0:
                spread += share[m] * mine[m]
        for j in range(size):
            mine[j] = 1.0 / total + max(mine[j] - 0.5 * spread, 0.0)
    for j in range(size):
        rebuilt[j, size] = mine[j]


@compiled
def _centred(resistance: Floats, ptr: Ints, pair_ptr: Ints) -> Floats:
    out = np.zeros(len(resistance))
    for b in range(len(ptr) - 1):
        n = ptr[b + 1] - ptr[b]
        inside = resistance[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
        inverse = out[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
        done = np.zeros(n, np.bool_)
        members = np.empty(n, np.int64)
        mean = np.empty(n)
        for first in range(n):
            if done[first]:
                continue
            count = 0
            for u in range(n):
                if inside[first, u] != np.inf:
                    members[count] = u
                    done[u] = True
                    count += 1
            whole = 0.0
            for a in range(count):
                row = inside[members[a]]
                total = 0.0
                for c in range(count):
                    total += row[members[c]]
                mean[a] = total / count
                whole += mean[a] / count
            for a in range(count):
                row, target = inside[members[a]], inverse[members[a]]
                for c in range(count):
                    v = members[c]
                    target[v] = 0.5 * (mean[a] + mean[c] - whole - row[v])
    return out


@compiled
def _degrees(indptr: Ints, indices: Ints, weight: Floats) -> Floats:
    degree = np.zeros(len(indptr) - 1)
    for u in range(len(degree)):
        for e in range(indptr[u], indptr[u + 1]):
            degree[u] += weight[e]
    return degree


@compiled
def _times_volume(resistance: Floats, degree: Floats, ptr: Ints, pair_ptr: Ints) -> Floats:
    out = np.empty(len(resistance))
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        for u in range(n):
            start = pair_ptr[b] + u * n
            volume = 0.0
            for v in range(n):
                if resistance[start + v] != np.inf:
                    volume += degree[first + v]
            for v in range(n):
                apart = resistance[start + v] == np.inf
                out[start + v] = -1.0 if apart else volume * resistance[start + v]
    return out
