"""Statistics of the potentials that unit charges on the nodes of a graph cause."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.resistance import pseudo_inverse, resistances
from graphpe.structure.adjacency import Adjacency, Floats, Ints, symmetric_adjacency
from graphpe.structure.laplacian import check_edge_weight
from graphpe.structure.plan import Plan

STATISTICS = 10
"""Columns of `potential_statistics`."""


def potential_statistics(graphs: PackedGraphs | Plan) -> Tensor:
    """Statistics of V_ij = L+_ij - L+_jj, the potential at i of a unit charge at j whose own potential is zero.

    L+ is the pseudo-inverse of the Laplacian D - S. All V_ij are negative or zero. For a node u, over the other nodes v
    of its component:

        0 to 3: minimum, maximum, mean and standard deviation of V_vu (what the charge at u causes elsewhere)
        4 to 7: the same of V_uv (what charges elsewhere cause at u)
        8: sum_v P_vu V_vu, and 9: sum_v P_uv V_uv, with P_uv = S_uv / sum_w S_uw without self-loops

    A component of one node has zeros. O(n^2) a graph beside the resistances (see `graphpe.spectra.resistance`).

    Args:
        graphs: The graphs, or a plan that shares their work.

    Returns:
        `[N, 10]` float64, on the device of the graphs.

    Raises:
        GraphPEValueError: Weights are negative or not finite.
    """
    plan = Plan.of(graphs)
    graphs = plan.graphs
    check_edge_weight(graphs.edge_weight, graphs.num_edges)
    matrix: Adjacency = plan.once(symmetric_adjacency)
    ptr, pair_ptr = graphs.ptr.numpy(force=True), graphs.pair_ptr.numpy(force=True)
    statistics = np.zeros((graphs.num_nodes, STATISTICS))
    _neighbours(*matrix, plan.once(pseudo_inverse), ptr, pair_ptr, statistics)
    _others(plan.once(pseudo_inverse), plan.once(resistances), ptr, pair_ptr, statistics)
    return torch.from_numpy(statistics).to(graphs.device)


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
