"""Personalised PageRank: where a random walk with restarts is, for every node that it restarts from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_matrix, diags_array
from scipy.sparse.linalg import splu
from torch import Tensor

from graphpe.arguments import check_number
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, dense_pairs
from graphpe.structure.laplacian import check_weights
from graphpe.structure.pair_blocks import diagonal_rows, pair_blocks
from graphpe.structure.plan import Plan
from graphpe.walks.steps import Direction, isolated_nodes, steps

# On the CPU, larger graphs are solved one by one: by sparse factors if the mean degree is at most `_SPARSE_DEGREE` and
# the factors fill no more than one entry in `_FILL` (dense solvers do an operation about that much quicker).
_LARGE = 256
_SPARSE_DEGREE = 8
_FILL = 30
_RIGHT_SIDES = 256


def personalized_pagerank(graphs: PackedGraphs | Plan, alpha: float = 0.15, undirected: bool = False) -> Tensor:
    """The probability that a walk from i, stopped before each step with probability alpha, stops at j.

        PPR = alpha (I - (1 - alpha) T)^-1 = alpha sum_k (1 - alpha)^k T^k

    with T the step matrix of `graphpe.walks.steps`, where isolated nodes stay too: every row of T, and of PPR, sums to
    1, and without edges PPR = I. alpha = 1 gives I as well. Solved exactly in float64 on the device of the graphs, in
    batches of dense matrices: O(n_b^3) time a graph; on the CPU, sparse graphs of more than 256 nodes by sparse
    factors.

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
    check_weights(plan.graphs)
    direction: Direction = "both" if undirected else "forward"
    return plan.once(pagerank_of_pairs, check_restart("alpha", alpha), direction)


def pagerank_of_pairs(plan: Plan, alpha: float, direction: Direction) -> Tensor:
    """PPR of all pairs: `[sum n_b^2]` float64 (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        alpha: Restart probability, above 0 and at most 1.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    graphs = plan.graphs
    step, isolated = plan.once(steps, direction), plan.once(isolated_nodes)
    probability = dense_pairs(step, graphs)
    probability[diagonal_rows(graphs)[torch.from_numpy(isolated).to(graphs.device)]] = 1.0
    out = torch.empty_like(probability)
    for block in pair_blocks(graphs):
        if graphs.device.type == "cpu" and block.size > _LARGE:
            for graph in block.graphs.tolist():
                start, stop = graphs.ptr[graph : graph + 2].tolist()
                first, last = graphs.pair_ptr[graph : graph + 2].tolist()
                out[first:last] = _inverse(_system(step, isolated, start, stop, alpha)).flatten()
        else:
            dense = block.pad(probability).mul(alpha - 1)
            dense.diagonal(dim1=1, dim2=2).add_(1)
            # Strictly diagonally dominant, hence never singular.
            out[block.rows] = block.flatten(torch.linalg.inv_ex(dense).inverse)
    return out.mul_(alpha).clamp_(min=0)  # rounding may leave what is 0 a little below


def _system(step: Adjacency, isolated: NDArray[np.bool_], start: int, stop: int, alpha: float) -> csc_array:
    """I - (1 - alpha) T of the graph of nodes `start` to `stop`."""
    first, last = step.indptr[start], step.indptr[stop]
    indptr, indices = step.indptr[start : stop + 1] - first, step.indices[first:last] - start
    walks = csr_matrix((step.weight[first:last], indices, indptr), shape=(stop - start, stop - start))
    diagonal = np.where(isolated[start:stop], alpha, 1.0)
    return (diags_array(diagonal) - (1 - alpha) * walks).tocsc()


def _inverse(system: csc_array) -> Tensor:
    """The inverse `[n, n]` of a strictly diagonally dominant matrix, by sparse factors if there are any."""
    n = system.shape[0]
    if system.nnz > _SPARSE_DEGREE * n:
        return torch.from_numpy(system.toarray()).inverse()
    # The diagonal is always large enough for a pivot, so that rows and columns may be ordered alike.
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    if factors.nnz > n * n / _FILL:
        return torch.from_numpy(system.toarray()).inverse()
    out = np.empty((n, n))
    for first in range(0, n, _RIGHT_SIDES):
        column = np.arange(first, min(n, first + _RIGHT_SIDES))
        right = np.zeros((n, len(column)))
        right[column, column - first] = 1.0
        out[:, column] = factors.solve(right)
    return torch.from_numpy(out)


def check_restart(name: str, value: Any) -> float:
    """A restart probability, above 0 and at most 1.

    Args:
        name: What the message calls it.
        value: The argument.
    """
    number = check_number(name, value)
    if not 0 < number <= 1:
        raise GraphPEValueError(f"{name} must be a probability above 0 and at most 1, got {value!r}")
    return number
