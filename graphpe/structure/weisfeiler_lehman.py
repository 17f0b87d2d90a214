"""Colour refinement (1-dimensional Weisfeiler-Leman), with colours that mean the same in every graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Floats, Ints, adjacency, reverse_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan


def refined_colours(graphs: PackedGraphs | Plan, iterations: int) -> Tensor:
    """Colours of the nodes after 1, ..., T rounds of colour refinement, as 64-bit hashes.

    c_0(v) = 1; c_t(v) = h(c_(t-1)(v), {{c_(t-1)(w), a_vw : v -> w}}, {{c_(t-1)(u), a_uv : u -> v}}), with multisets of
    successors and of predecessors and a the weights (1 without). On an undirected graph that is colour refinement. A
    hash stands for each colour, a sum of hashes for a multiset, so that colours are equal exactly where refinement
    gives equal colours, in whatever graph, dataset or process, unless hashes collide (for n nodes with probability
    about n^2 / 2^65). O(T (N + E)).

    Args:
        graphs: The graphs, or a plan that shares their work.
        iterations: T.

    Returns:
        `[N, T]` int64, on the device of the graphs. Any bit may be set: take colours modulo a number of buckets with
        `torch.remainder`.

    Raises:
        GraphPEValueError: `iterations` < 1, or weights that are negative or not finite.

    References:
        Weisfeiler, Leman: The reduction of a graph to canonical form. 1968.
    """
    plan = Plan.of(graphs)
    check_integer("iterations", iterations, least=1)
    check_weights(plan.graphs)
    ahead, behind = plan.once(adjacency), plan.once(reverse_adjacency)
    colours = refine(
        ahead.indptr,
        ahead.indices,
        bits(ahead.weight),
        behind.indptr,
        behind.indices,
        bits(behind.weight),
        iterations,
    )
    return torch.from_numpy(colours.view(np.int64)).to(plan.graphs.device)


def bits(weight: Floats) -> np.ndarray:
    """Weights as 64-bit words, through float32, so that the same numbers in either precision look the same.

    As they are where float32 would make 0, infinity or numbers of fewer digits of them.

    Args:
        weight: Weights of entries.
    """
    limit = np.finfo(np.float32)
    inside = (weight >= limit.tiny) & (weight <= limit.max)
    return np.where(inside, np.where(inside, weight, 0).astype(np.float32), weight).astype(np.float64).view(np.uint64)


@compiled
def _mix(word: np.uint64) -> np.uint64:
    """A bijection of 64-bit words whose output bits depend on all input bits (the finaliser of SplitMix64)."""
    word ^= word >> np.uint64(30)
    word *= np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(27)
    word *= np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return word


@compiled
def refine(
    ahead_ptr: Ints,
    ahead: Ints,
    ahead_weight: np.ndarray,
    behind_ptr: Ints,
    behind: Ints,
    behind_weight: np.ndarray,
    iterations: int,
) -> np.ndarray:
    """Colours of all nodes after some rounds of refinement, from their neighbours ahead and behind.

    Args:
        ahead_ptr: Row pointers of A, `[N + 1]`.
        ahead: Heads of the edges of each node.
        ahead_weight: Words of their weights, from `bits`.
        behind_ptr: Row pointers of A^T, `[N + 1]`.
        behind: Tails of the edges of each node.
        behind_weight: Words of their weights.
        iterations: Number of rounds.
    """
    size = len(ahead_ptr) - 1
    out = np.empty((size, iterations), np.uint64)
    colour = np.ones(size, np.uint64)
    following = np.empty(size, np.uint64)
    # Different constants keep the own colour, successors and predecessors apart.
    own, succeeds, precedes = (
        np.uint64(0x9E3779B97F4A7C15),
        np.uint64(0xD1B54A32D192ED03),
        np.uint64(0x8CB92BA72F3D8DD7),
    )
    for t in range(iterations):
        for v in range(size):
            successors, predecessors = np.uint64(0), np.uint64(0)
            for e in range(ahead_ptr[v], ahead_ptr[v + 1]):
                successors += _mix(colour[ahead[e]] + succeeds + _mix(ahead_weight[e]))
            for e in range(behind_ptr[v], behind_ptr[v + 1]):
                predecessors += _mix(colour[behind[e]] + precedes + _mix(behind_weight[e]))
            following[v] = _mix(_mix(_mix(colour[v] + own) + successors) + predecessors)
        for v in range(size):
            colour[v] = following[v]
            out[v, t] = following[v]
    return out
