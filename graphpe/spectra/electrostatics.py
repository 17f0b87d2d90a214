"""Statistics of the potentials that unit charges on the nodes of a graph cause."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Segments
from graphpe.limits import check_seconds
from graphpe.spectra.resistance import check_time, pseudo_inverse, pseudo_inverse_of, resistances, resistances_of
from graphpe.spectra.sparse_potentials import estimate_cost, sparse_potentials
from graphpe.spectra.tree_potentials import tree_potentials
from graphpe.structure.adjacency import Adjacency, Floats, Ints, rows_of, symmetric_adjacency
from graphpe.structure.components import label_components
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan

STATISTICS = 10
"""Columns of `potential_statistics`."""

# Graphs from _LARGE nodes on are taken apart; of their components, those from _SPARSE on have factors of their own, and
# the smaller ones all pairs, as many at once as a graph that is just not large.
_LARGE, _SPARSE, _PAIRS_AT_ONCE = 2000, 500, 2000**2
_PAIR_SECONDS = 4e-8
_WHAT, _INSTEAD = "the potentials of all nodes", "take parts of the graph"


def potential_statistics(graphs: PackedGraphs | Plan) -> Tensor:
    """Statistics of V_ij = L+_ij - L+_jj, the potential at i of a unit charge at j whose own potential is zero.

    L+ is the pseudo-inverse of the Laplacian D - S. All V_ij are negative or zero. For a node u, over the other nodes v
    of its component:

        0 to 3: minimum, maximum, mean and standard deviation of V_vu (what the charge at u causes elsewhere)
        4 to 7: the same of V_uv (what charges elsewhere cause at u)
        8: sum_v P_vu V_vu, and 9: sum_v P_uv V_uv, with P_uv = S_uv / sum_w S_uw without self-loops

    A component of one node has zeros. Small graphs: O(n^2) beside the resistances (see `graphpe.spectra.resistance`).
    Graphs of 2,000 nodes and more, component by component: trees in O(n), others in n solves with sparse factors, in
    the memory of these and some columns.

    Args:
        graphs: The graphs, or a plan that shares their work.

    Returns:
        `[N, 10]` float64, on the device of the graphs.

    Raises:
        GraphPEValueError: Weights are negative or not finite, or a graph would take longer than `graphpe.limits` allow.
    """
    plan = Plan.of(graphs)
    graphs = plan.graphs
    check_weights(graphs)
    large = np.flatnonzero(np.diff(graphs.host_ptr) >= _LARGE)
    if len(large) == 0:
        return torch.from_numpy(_of_all_pairs(plan)).to(graphs.device)
    matrix: Adjacency = plan.once(symmetric_adjacency)
    out = np.zeros((graphs.num_nodes, STATISTICS))
    for graph in large.tolist():
        first, last = graphs.host_ptr[graph : graph + 2].tolist()
        out[first:last] = _of_components(_without_loops(matrix, first, last))
    small = np.setdiff1d(np.arange(len(graphs)), large)
    if len(small):
        rows = Segments.pick(graphs.host_ptr, small).rows(torch.device("cpu"))
        out[rows] = _of_all_pairs(Plan(graphs.structure().select(small)))
    return torch.from_numpy(out).to(graphs.device)


def _of_all_pairs(plan: Plan) -> Floats:
    """Of small graphs, from the resistances of all pairs, which others may share."""
    matrix: Adjacency = plan.once(symmetric_adjacency)
    ptr, pair_ptr = plan.graphs.ptr.numpy(force=True), plan.graphs.pair_ptr.numpy(force=True)
    out = np.zeros((plan.graphs.num_nodes, STATISTICS))
    _neighbours(*matrix, plan.once(pseudo_inverse), ptr, pair_ptr, out)
    _others(plan.once(pseudo_inverse), plan.once(resistances), ptr, pair_ptr, out)
    return out


def _of_components(weights: csr_array) -> Floats:
    """Of one large graph without loops: each component in the way that is quickest for it.

    Trees take O(n); other components all pairs while they are small, and sparse factors beyond.
    """
    size = weights.shape[0]
    matrix = _adjacency(weights)
    row = rows_of(matrix)
    label, _ = label_components(row, matrix.indices, size)
    sizes = np.bincount(label)
    is_tree = np.bincount(label[row], minlength=len(sizes)) == 2 * (sizes - 1)
    order, ptr = np.argsort(label, kind="stable"), np.append(0, np.cumsum(sizes))
    large = [order[ptr[c] : ptr[c + 1]] for c in np.flatnonzero(~is_tree & (sizes >= _SPARSE)).tolist()]
    parts = [_adjacency(weights[nodes][:, nodes]) for nodes in large]
    small = np.flatnonzero(~is_tree & (sizes < _SPARSE))
    costs = [estimate_cost(part) for part in parts]
    seconds = sum(cost.seconds for cost in costs) + _PAIR_SECONDS * float((sizes[small] ** 2).sum())
    check_seconds(_WHAT, size, seconds, max((cost.memory for cost in costs), default=0.0), _INSTEAD)
    out = np.zeros((size, STATISTICS))
    tree_potentials(*matrix, is_tree, label, sizes, out)
    turn = np.cumsum(sizes[small] ** 2) // _PAIRS_AT_ONCE
    for chosen in np.split(small, np.flatnonzero(np.diff(turn)) + 1):
        nodes = order[Segments.pick(ptr, chosen).rows(torch.device("cpu"))]
        out[nodes] = _of_pairs(_adjacency(weights[nodes][:, nodes]), sizes[chosen])
    for nodes, part in zip(large, parts, strict=True):
        found = sparse_potentials(part, _WHAT, _INSTEAD)
        if found is None:
            check_time(part, 0, len(nodes))
            found = _of_pairs(part, np.array([len(nodes)]))
        out[nodes] = found
    return out


def _of_pairs(matrix: Adjacency, sizes: Ints) -> Floats:
    """Of components that stand one after the other, from the resistances of all their pairs."""
    ptr, pair_ptr = np.append(0, np.cumsum(sizes)), np.append(0, np.cumsum(sizes**2))
    resistance = resistances_of(matrix, ptr, pair_ptr)
    inverse = pseudo_inverse_of(resistance, ptr, pair_ptr)
    out = np.zeros((int(ptr[-1]), STATISTICS))
    _neighbours(*matrix, inverse, ptr, pair_ptr, out)
    _others(inverse, resistance, ptr, pair_ptr, out)
    return out


def _without_loops(matrix: Adjacency, first: int, last: int) -> csr_array:
    """The weights of the graph of nodes `first` to `last`."""
    begin, end = matrix.indptr[[first, last]]
    tail = np.repeat(np.arange(last - first), np.diff(matrix.indptr[first : last + 1]))
    head = matrix.indices[begin:end] - first
    edge = tail != head
    return csr_array((matrix.weight[begin:end][edge], (tail[edge], head[edge])), shape=(last - first, last - first))


def _adjacency(weights: csr_array) -> Adjacency:
    weights.sort_indices()
    return Adjacency(weights.indptr.astype(np.int64), weights.indices.astype(np.int64), weights.data)


def with_the_node_itself(statistics: Tensor, sizes: Tensor) -> Tensor:
    """`potential_statistics` in which a node counts as one of the others, and deviations are those of a sample.

    That is what GraphGPS's released code computes on a connected graph. With n the nodes of the component, mu and sigma
    mean and standard deviation over the n - 1 others, and V_uu = 0 among them: the maximum is 0, the mean
    (n - 1) mu / n and the standard deviation sqrt(sigma^2 + mu^2 / n).

    Args:
        statistics: `[N, 10]`.
        sizes: Number of nodes of each node's component, `[N]`.
    """
    out = statistics.clone()
    n = sizes.to(out.dtype)
    for first in (0, 4):
        mean, deviation = statistics[:, first + 2], statistics[:, first + 3]
        out[:, first + 1] = 0
        out[:, first + 2] = mean * ((n - 1) / n)
        out[:, first + 3] = torch.hypot(deviation, mean / n.sqrt())
    return out


@compiled
def _others(inverse: Floats, resistance: Floats, ptr: Ints, pair_ptr: Ints, out: Floats) -> None:
    """Columns 0 to 7. Nodes of one component are those of finite resistance."""
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        potential = inverse[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
        apart = resistance[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
        for u in range(n):
            own = potential[u, u]
            count, sum_caused, sum_felt = 0, 0.0, 0.0
            least_caused, least_felt, most_caused, most_felt = 0.0, 0.0, -np.inf, -np.inf
            for v in range(n):
                if v != u and apart[u, v] != np.inf:
                    # L+ is symmetric. Rounding may leave what cannot be positive a little above 0.
                    caused = min(potential[u, v] - own, 0.0)
                    felt = min(potential[u, v] - potential[v, v], 0.0)
                    least_caused, most_caused = min(least_caused, caused), max(most_caused, caused)
                    least_felt, most_felt = min(least_felt, felt), max(most_felt, felt)
                    sum_caused += caused
                    sum_felt += felt
                    count += 1
            if count == 0:
                continue
            mean_caused, mean_felt = sum_caused / count, sum_felt / count
            spread_caused, spread_felt = 0.0, 0.0
            for v in range(n):
                if v != u and apart[u, v] != np.inf:
                    spread_caused += (min(potential[u, v] - own, 0.0) - mean_caused) ** 2
                    spread_felt += (min(potential[u, v] - potential[v, v], 0.0) - mean_felt) ** 2
            row = out[first + u]
            row[0], row[1], row[2], row[3] = least_caused, most_caused, mean_caused, np.sqrt(spread_caused / count)
            row[4], row[5], row[6], row[7] = least_felt, most_felt, mean_felt, np.sqrt(spread_felt / count)


@compiled
def _neighbours(
    indptr: Ints, indices: Ints, weight: Floats, inverse: Floats, ptr: Ints, pair_ptr: Ints, out: Floats
) -> None:
    """Columns 8 and 9."""
    for b in range(len(ptr) - 1):
        first, n = ptr[b], ptr[b + 1] - ptr[b]
        potential = inverse[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
        for u in range(n):
            degree = 0.0
            for e in range(indptr[first + u], indptr[first + u + 1]):
                if indices[e] != first + u:
                    degree += weight[e]
            for e in range(indptr[first + u], indptr[first + u + 1]):
                v = indices[e] - first
                if v != u:
                    felt = weight[e] / degree * min(potential[u, v] - potential[v, v], 0.0)
                    out[first + v, 8] += felt
                    out[first + u, 9] += felt
