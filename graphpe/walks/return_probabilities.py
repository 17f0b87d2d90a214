"""Probabilities that random walks return to where they began."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, transpose
from graphpe.structure.plan import Plan
from graphpe.walks import loops
from graphpe.walks.steps import Direction, checked, edges_walked, reverse_steps, steps

# Entries of a block of columns: with up to two others it fills a small second-level cache.
_BLOCK_ENTRIES = 1 << 15


def return_probabilities(graphs: PackedGraphs | Plan, walk_length: int, undirected: bool = False) -> Tensor:
    """The probability that a random walk from each node is back after 1, ..., K steps: diag(P^k).

    P is the step matrix of `graphpe.walks.steps`: edges are walked in their direction, sinks absorb (their
    probabilities are 1), and isolated nodes have no walk (their probabilities are 0, as in PyG).

    diag(P^(a+b)) needs the powers a and b only, so that K steps cost K/2 products with the sparse P where weights are
    symmetric and K where they are not: O(K |E_b| n_b) time a graph, on blocks of columns: O(N K + n_max) memory. On the
    CPU, in float64.

    Args:
        graphs: The graphs, or a plan that shares their work.
        walk_length: K.
        undirected: Walk every edge both ways: A becomes max(A, A^T), as for `laplacian`.

    Returns:
        `[N, K]` float64, on the device of the graphs.

    Raises:
        GraphPEValueError: `walk_length` < 1, or weights that are negative or not finite.

    References:
        Dwivedi, Luu, Laurent, Bengio, Bresson: Graph Neural Networks with Learnable Structural and Positional
        Representations. ICLR 2022, equation 11.
    """
    plan = checked(graphs, walk_length)
    direction: Direction = "both" if undirected else "forward"
    return plan.up_to(returns, walk_length, direction)[:, :walk_length]


def returns(plan: Plan, walk_length: int, direction: Direction) -> Tensor:
    """diag(P^k), k = 1, ..., walk_length: `[N, walk_length]` float64 (a part of a plan)."""
    if direction == "forward" and plan.once(symmetric_graphs, direction).all():
        return plan.up_to(returns, walk_length, "both")
    ptr = plan.graphs.ptr.numpy(force=True)
    step: Adjacency = plan.once(steps, direction)
    back: Adjacency = plan.once(reverse_steps, direction)
    symmetric = plan.once(symmetric_graphs, direction)
    out = loops.returns(ptr, *step, *back, symmetric, walk_length, _BLOCK_ENTRIES)
    return torch.from_numpy(out).to(plan.graphs.device)


def symmetric_graphs(plan: Plan, direction: Direction) -> NDArray[np.bool_]:
    """Which graphs are as heavy from u to v as from v to u, for all u and v: `[B]` (a part of a plan)."""
    if direction == "both":
        return np.ones(plan.graphs.num_graphs, dtype=bool)
    there = edges_walked(plan, direction)
    back = edges_walked(plan, "reverse") if direction == "forward" else transpose(there)
    return loops.symmetric_graphs(plan.graphs.ptr.numpy(force=True), *there, *back)
