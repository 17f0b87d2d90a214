"""Personalised PageRank: where a random walk with restarts is, for every node that it restarts from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.laplacian import check_edge_weight
from graphpe.packed import PackedGraphs
from graphpe.pairs import dense_pairs, diagonal_rows, pair_blocks
from graphpe.plan import Plan
from graphpe.walks import Direction, isolated_nodes, steps


def personalized_pagerank(graphs: PackedGraphs | Plan, alpha: float = 0.15, undirected: bool = False) -> Tensor:
    """The probability that a walk from i, stopped before each step with probability alpha, stops at j.

        PPR = alpha (I - (1 - alpha) T)^-1 = alpha sum_k (1 - alpha)^k T^k

    with T the step matrix of `graphpe.walks`, where isolated nodes stay too: every row of T, and of PPR, sums to 1, and
    without edges PPR = I. alpha = 1 gives I as well. A batched dense inverse in float64 on the device of the graphs:
    O(n_b^3) time a graph.

    Args:
        graphs: The graphs, or a plan that shares their work.
        alpha: Restart probability, above 0 and at most 1.
        undirected: Walk every edge both ways.

    Returns:
        `[sum n_b^2]` float64, row-major (i, j), on the device of the graphs.

    Raises:
        GraphPETypeError: `alpha` is no number.
        GraphPEValueError: `alpha` is out of range, or weights are negative or not finite.

    References:
        Page, Brin, Motwani, Winograd: The PageRank Citation Ranking: Bringing Order to the Web. 1999, section 6.
        Gasteiger, Bojchevski, Günnemann: Predict then Propagate: Graph Neural Networks meet Personalized PageRank.
        ICLR 2019 (there with a symmetric normalisation).
    """
    plan = Plan.of(graphs)
    check_edge_weight(plan.graphs.edge_weight, plan.graphs.num_edges)
    direction: Direction = "both" if undirected else "forward"
    return plan.once(pagerank_of_pairs, check_restart("alpha", alpha), direction)


def pagerank_of_pairs(plan: Plan, alpha: float, direction: Direction) -> Tensor:
    """PPR of all pairs: `[sum n_b^2]` float64 (a part of a plan)."""
    graphs = plan.graphs
    probability = dense_pairs(plan.once(steps, direction), graphs)
    isolated = torch.from_numpy(plan.once(isolated_nodes)).to(graphs.device)
    probability[diagonal_rows(graphs)[isolated]] = 1.0
    out = torch.empty_like(probability)
    for block in pair_blocks(graphs):
        system = block.pad(probability).mul(alpha - 1)
        system.diagonal(dim1=1, dim2=2).add_(1)
        # Strictly diagonally dominant, hence never singular. Rounding may leave what is 0 a little below.
        inverse = torch.linalg.inv_ex(system).inverse.mul_(alpha).clamp_(min=0)
        out[block.rows] = block.flatten(inverse)
    return out


def check_restart(name: str, value: Any) -> float:
    """A restart probability, above 0 and at most 1."""
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise GraphPETypeError(f"{name} must be a number, got {value!r}") from None
    if not 0 < number <= 1:
        raise GraphPEValueError(f"{name} must be a probability above 0 and at most 1, got {value!r}")
    return number
