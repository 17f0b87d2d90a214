"""Random walks on directed, weighted graphs: what a step is, and the probabilities of all pairs after each step.

A walk at u takes an edge u -> v with probability P_uv = A_uv / sum_w A_uw. The meaning of edges is that of
`graphpe.laplacian`: parallel edges count once without weights and add with them, self-loops are steps that stay, weight
0 is no edge. Two kinds of nodes have no step to take:

* **Sinks**, which edges enter and none leaves, absorb: P_uu = 1.
* **Isolated nodes**, without any edge, have no walk: their row of P is empty.

Walks go along the edges (`"forward"`), against them (`"reverse"`: the walks on A^T), or along every edge both ways
(`"both"`: the walks on max(A, A^T)).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.compiled.kernel import has_kernels
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import (
    Adjacency,
    adjacency,
    dense_pairs,
    reverse_adjacency,
    symmetric_adjacency,
    transpose,
)
from graphpe.structure.laplacian import check_weights
from graphpe.structure.pair_blocks import empty_pairs, pair_blocks
from graphpe.structure.plan import Plan
from graphpe.walks import loops
from graphpe.walks.ragged_powers import ragged_powers

Direction = Literal["forward", "reverse", "both"]

# Bytes of the result that one power after the other is written to: half of a small second-level cache.
_POWERS_BYTES = 1 << 19


def walk_powers(graphs: PackedGraphs | Plan, walk_length: int, undirected: bool = False) -> Tensor:
    """The probability that a walk from i is at j after 0, 1, ..., K - 1 steps, for all pairs of nodes of one graph.

    Channels [I, P, P^2, ..., P^(K-1)]_ij: the relative random walk probabilities of GRIT. Row i = query = where walks
    start, column j = key. A sink's row is that of I in every channel (it absorbs), an isolated node's row that of I in
    the first channel and 0 in all others.

    O(K |E_b| n_b + K n_b^2) time a graph, on the CPU by compiled loops, on a GPU by a Triton kernel; on another device
    batched dense products, O(K n^3). float64 inside: rounding is that of the float32 result, whatever K.

    Args:
        graphs: The graphs, or a plan that shares their work.
        walk_length: K, the number of channels.
        undirected: Walk every edge both ways.

    Returns:
        `[sum n_b^2, K]` float32, row-major (i, j), on the device of the graphs.

    Raises:
        GraphPEValueError: `walk_length` < 1, or weights that are negative or not finite.

    References:
        Ma, Lin, Lim, Romero-Soriano, Dokania, Coates, Torr, Lim: Graph Inductive Biases in Transformers without Message
        Passing. ICML 2023, section 3.1.
    """
    plan = checked(graphs, walk_length)
    direction: Direction = "both" if undirected else "forward"
    return plan.up_to(powers, walk_length, direction)[:, :walk_length].contiguous()


def checked(graphs: PackedGraphs | Plan, walk_length: int) -> Plan:
    """The plan of graphs that can be walked on for a number of steps.

    Args:
        graphs: The graphs, or a plan that shares their work.
        walk_length: Number of steps, at least 1.
    """
    check_integer("walk_length", walk_length, least=1)
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    return plan


def edges_walked(plan: Plan, direction: Direction) -> Adjacency:
    """The matrix whose rows hold the steps of a direction, with the weights of the edges.

    Args:
        plan: The graphs, and the work that several encodings share.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    part = {"forward": adjacency, "reverse": reverse_adjacency, "both": symmetric_adjacency}[direction]
    return plan.once(part)


def steps(plan: Plan, direction: Direction) -> Adjacency:
    """P (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    return Adjacency(*loops.steps(*edges_walked(plan, direction)))


def reverse_steps(plan: Plan, direction: Direction) -> Adjacency:
    """P^T (a part of a plan): row v holds the probabilities of the steps that end in v.

    Args:
        plan: The graphs, and the work that several encodings share.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    return transpose(plan.once(steps, direction))


def isolated_nodes(plan: Plan) -> NDArray[np.bool_]:
    """Which nodes have no edge, not even a loop: `[N]` (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    leaving, entering = (np.diff(plan.once(part).indptr) for part in (adjacency, reverse_adjacency))
    return (leaving == 0) & (entering == 0)


def powers(plan: Plan, count: int, direction: Direction) -> Tensor:
    """[I, P, ..., P^(count-1)] of all pairs: `[sum n_b^2, count]` float32 (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        count: Number of powers, P^0 included.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    if has_kernels(plan.graphs.device):
        return ragged_powers(plan.graphs, plan.once(steps, direction), count)
    on_cpu = plan.graphs.device.type == "cpu"
    return (compiled_powers if on_cpu else batched_powers)(plan, count, direction)


def compiled_powers(plan: Plan, count: int, direction: Direction) -> Tensor:
    """`powers` as sparse products, on the CPU.

    Args:
        plan: The graphs, and the work that several encodings share.
        count: Number of powers, P^0 included.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    ptr = plan.graphs.ptr.numpy(force=True)
    step: Adjacency = plan.once(steps, direction)
    out = empty_pairs(plan.graphs.num_pairs, count)
    loops.powers(ptr, *step, _POWERS_BYTES // (4 * count), out.numpy())
    return out.to(plan.graphs.device)


def batched_powers(plan: Plan, count: int, direction: Direction) -> Tensor:
    """`powers` as dense products of padded stacks, on the device of the graphs.

    Args:
        plan: The graphs, and the work that several encodings share.
        count: Number of powers, P^0 included.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    graphs = plan.graphs
    probability = dense_pairs(plan.once(steps, direction), graphs)
    out = empty_pairs(graphs.num_pairs, count, graphs.device)
    for block in pair_blocks(graphs):
        step = block.pad(probability)
        power = torch.eye(block.size, dtype=step.dtype, device=step.device).expand_as(step)
        for k in range(count):
            power = step @ power if k else power
            out[block.rows, k] = block.flatten(power).float()
    return out
