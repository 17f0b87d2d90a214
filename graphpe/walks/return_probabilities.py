"""Probabilities that random walks return to where they began."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, edge_arrays, rows_of, structure, transpose
from graphpe.structure.plan import Plan
from graphpe.walks import loops
from graphpe.walks.diagonal_powers import Estimate, Powers, diagonal_powers, returns_of_small_graph
from graphpe.walks.steps import Direction, checked, edges_walked

_INSTEAD = "take fewer steps, or estimate them (estimate=64)"


def return_probabilities(
    graphs: PackedGraphs | Plan, walk_length: int, undirected: bool = False, estimate: Estimate | None = None
) -> Tensor:
    """The probability that a random walk from each node is back after 1, ..., K steps: diag(P^k).

    P is the step matrix of `graphpe.walks.steps`: edges are walked in their direction, sinks absorb (their
    probabilities are 1), and isolated nodes have no walk (their probabilities are 0, as in PyG).

    diag(P^(a+b)) needs the powers a and b only, so that K steps cost K/2 products with the sparse P where weights are
    symmetric and K where they are not: what walks of K/2 steps reach, at most O(K |E_b| n_b) time a graph, and
    O(N K + n_max) memory (see `graphpe.walks.diagonal_powers`). On the CPU, in float64.

    Args:
        graphs: The graphs, or a plan that shares their work.
        walk_length: K.
        undirected: Walk every edge both ways: A becomes max(A, A^T), as for `laplacian`.
        estimate: How to estimate the probabilities on graphs where that is cheaper; None: exactly.

    Returns:
        `[N, K]` float64, on the device of the graphs.

    Raises:
        GraphPEValueError: `walk_length` < 1, weights that are negative or not finite, or a graph that is too large.

    References:
        Dwivedi, Luu, Laurent, Bengio, Bresson: Graph Neural Networks with Learnable Structural and Positional
        Representations. ICLR 2022, equation 11.
    """
    plan = checked(graphs, walk_length)
    direction: Direction = "both" if undirected else "forward"
    return plan.up_to(returns, walk_length, direction, estimate)[:, :walk_length]


def returns(plan: Plan, walk_length: int, direction: Direction, estimate: Estimate | None = None) -> Tensor:
    """diag(P^k), k = 1, ..., walk_length: `[N, walk_length]` float64 (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        walk_length: Number of steps, at least 1.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
        estimate: How large graphs are estimated; None for exact values everywhere.
    """
    ptr = plan.graphs.host_ptr
    if len(ptr) == 2 and direction != "reverse" and not plan.has(structure):
        arrays = edge_arrays(plan.graphs)
        alone = returns_of_small_graph(*arrays, int(ptr[1]), direction == "both", walk_length)
        if alone is not None:
            return torch.from_numpy(alone).to(plan.graphs.device)
    if direction == "forward" and plan.once(structure).symmetric:
        return plan.up_to(returns, walk_length, "both", estimate)
    walked = edges_walked(plan, direction)
    found = loops.walks(*walked, ptr)
    powers = Powers(Adjacency(*found[:3]), Adjacency(*found[3:6]), found[6], None)
    if estimate is not None:
        weight = np.bincount(rows_of(walked), walked.weight, int(ptr[-1]))
        powers = powers._replace(stationary=np.sqrt(weight))
    out = diagonal_powers(powers, ptr, walk_length, f"return probabilities of {walk_length} steps", estimate, _INSTEAD)
    return torch.from_numpy(out).to(plan.graphs.device)


def symmetric_graphs(plan: Plan, direction: Direction) -> NDArray[np.bool_]:
    """Which graphs are as heavy from u to v as from v to u, for all u and v: `[B]` (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    if direction == "both":
        return np.ones(plan.graphs.num_graphs, dtype=bool)
    there = edges_walked(plan, direction)
    back = edges_walked(plan, "reverse") if direction == "forward" else transpose(there)
    return loops.symmetric_graphs(plan.graphs.ptr.numpy(force=True), *there, *back)
