"""Random walks along the edges and against them, with and without restarts.

T is the step matrix of `graphpe.walks.steps` with one difference: isolated nodes stay, so that every row sums to 1. The
walks of `"reverse"` are those on A^T. On a directed acyclic graph no walk returns; where walks come from and get to
says which nodes are early and which are late.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency
from graphpe.structure.pair_blocks import diagonal_rows, empty_pairs
from graphpe.structure.plan import Plan
from graphpe.walks import loops
from graphpe.walks.personalized_pagerank import check_restart, pagerank_of_pairs
from graphpe.walks.return_probabilities import symmetric_graphs
from graphpe.walks.steps import Direction, checked, isolated_nodes, powers, reverse_steps

DIRECTIONS: tuple[Direction, Direction] = ("forward", "reverse")

# Of the smallest value, which is at least restart / n: far below the rounding of float32.
_TOLERANCE = 1e-10


def directed_walk_pairs(graphs: PackedGraphs | Plan, walk_length: int, ppr: float | None = 0.05) -> Tensor:
    """Probabilities of all pairs of nodes, along the edges and against them.

    Channels [T, ..., T^K, PPR]_ij on A, then the same on A^T, with PPR = ppr (I - (1 - ppr) T)^-1. Each row of each
    channel sums to 1; without edges every channel is I.

    O(K |E_b| n_b) time a graph for powers (see `graphpe.walks.steps.walk_powers`), O(n_b^3) for PPR.

    Args:
        graphs: The graphs, or a plan that shares their work.
        walk_length: K, the number of powers.
        ppr: Restart probability; None for powers alone.

    Returns:
        `[sum n_b^2, 2 (K + 1)]` float32 (`2 K` without PPR), row-major (i, j), on the device of the graphs.

    Raises:
        GraphPETypeError: `ppr` is no number.
        GraphPEValueError: `walk_length` < 1, `ppr` is out of range, or weights are negative or not finite.

    References:
        Geisler, Li, Mankowitz, Cemgil, Günnemann, Paduraru: Transformers Meet Directed Graphs. ICML 2023, section 5.
    """
    plan = checked(graphs, walk_length)
    restart = None if ppr is None else check_restart("ppr", ppr)
    channels = walk_length + (restart is not None)
    out = empty_pairs(plan.graphs.num_pairs, 2 * channels, plan.graphs.device)
    for start, direction in zip((0, channels), DIRECTIONS, strict=True):
        out[:, start : start + walk_length] = plan.up_to(powers, walk_length + 1, direction)[:, 1 : walk_length + 1]
        if restart is not None:
            out[:, start + walk_length] = plan.once(pagerank_of_pairs, restart, direction)
    isolated = torch.from_numpy(plan.once(isolated_nodes)).to(out.device)
    out[diagonal_rows(plan.graphs)[isolated]] = 1.0
    return out


def directed_walk_visits(graphs: PackedGraphs | Plan, walk_length: int, ppr: float | None = 0.05) -> Tensor:
    """The probability of being at each node, for a walk that begins at a node drawn uniformly from its graph.

    Columns 1/n sum_u [T, ..., T^K, PPR]_uv on A, then the same on A^T: the means of the columns of
    `directed_walk_pairs`. Each column sums to 1 over the nodes of a graph; that of PPR is PageRank with sinks that
    absorb.

    O(K |E_b|) time a graph for powers. For PPR elimination up to 64 nodes, then Gauss-Seidel sweeps of O(|E_b|), at
    most log(1e-10 ppr / n) / log(1 - ppr) of them. Memory O(N K). On the CPU, in float64.

    Args:
        graphs: The graphs, or a plan that shares their work.
        walk_length: K, the number of powers.
        ppr: Restart probability; None for powers alone.

    Returns:
        `[N, 2 (K + 1)]` float64 (`2 K` without PPR), on the device of the graphs.

    Raises:
        GraphPETypeError: `ppr` is no number.
        GraphPEValueError: `walk_length` < 1, `ppr` is out of range, or weights are negative or not finite.
    """
    plan = checked(graphs, walk_length)
    restart = None if ppr is None else check_restart("ppr", ppr)
    ptr = plan.graphs.ptr.numpy(force=True)
    # Where every edge goes both ways, the walks against the edges are those along them.
    undirected = bool(plan.once(symmetric_graphs, "forward").all())
    columns = []
    for direction in DIRECTIONS[:1] if undirected else DIRECTIONS:
        back: Adjacency = plan.once(reverse_steps, direction)
        columns.append(loops.visits(ptr, *back, walk_length))
        if restart is not None:
            columns.append(loops.pagerank(ptr, *back, restart, _TOLERANCE)[:, None])
    out = np.concatenate(columns * 2 if undirected else columns, axis=1)
    size = np.diff(ptr)
    isolated = plan.once(isolated_nodes)
    out[isolated] = 1 / np.repeat(size, size)[isolated, None]
    return torch.from_numpy(out).to(plan.graphs.device)
