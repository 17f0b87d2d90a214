"""Eigenvalues of the matrices f(d(i, j)) of the distances along trees."""

from __future__ import annotations

import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.eigen.eigsh import eigsh
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.pair_blocks import pair_blocks
from graphpe.structure.plan import Plan
from graphpe.trees.fields import TreeKind, check_tree, overflow, tree_distances, trees_of
from graphpe.trees.functions.closed_form import TreeFunction
from graphpe.trees.spanning import SpanningTree

DENSE_NODES = 1000
"""Graphs up to here are solved as dense matrices, in batches; above, by products with the field integrator."""


class FieldOperator:
    """The matrix f(d(i, j)) as an operator for `graphpe.eigsh`: products only, 0 between components.

    Args:
        tree: The trees of one graph.
        f: The function.
    """

    def __init__(self, tree: SpanningTree, f: TreeFunction) -> None:
        self.tree, self.f = tree, f
        self.shape = (tree.num_nodes, tree.num_nodes)
        self.dtype, self.device = torch.float64, torch.device("cpu")

    def matmul(self, block: Tensor) -> Tensor:
        """The matrix times a block `[n, m]`."""
        with torch.no_grad():
            return self.tree.integrate(self.f, block)


def tree_spectra(
    graphs: PackedGraphs | Plan,
    f: TreeFunction,
    k: int,
    *,
    tree: TreeKind = "minimum",
    weighted: bool = False,
    seed: int = 0,
    dense_nodes: int = DENSE_NODES,
) -> Tensor:
    """The k largest eigenvalues, descending, of each graph's matrix f(d(i, j)) along a tree; 0 beyond n.

    O(n^3) a graph up to `dense_nodes`, in batches; above, a Krylov method on products in O(n), without the matrix, to
    a relative residual of 1e-6.

    Args:
        graphs: The graphs, or a plan that shares their work.
        f: The function.
        k: Number of eigenvalues.
        tree: Trees, as in `graphpe.trees.fields.tree_fields`.
        weighted: Take `edge_weight` as lengths; otherwise all edges have length 1.
        seed: Of random trees.
        dense_nodes: The largest dense matrix.

    Returns:
        `[B, k]` float64, on the device of the graphs.

    Raises:
        GraphPEValueError: k < 1, a name is unknown, weights are negative or not finite, or f overflows.
        EigenError: The Krylov method did not converge.
    """
    check_integer("k", k, least=1)
    check_tree(tree)
    graphs = Plan.of(graphs).graphs.structure()
    out = torch.zeros(graphs.num_graphs, k, dtype=torch.float64)
    small = torch.nonzero(graphs.sizes.cpu() <= dense_nodes).flatten()
    chosen = graphs.select(small)
    distance = tree_distances(chosen, tree=tree, weighted=weighted, seed=seed).cpu()
    value = torch.where(distance < 0, 0.0, f(distance.clamp(min=0)).detach())
    for block in pair_blocks(chosen.to("cpu")):
        matrix = block.pad(value)
        # What is padded comes last: below all eigenvalues, which no row sum exceeds.
        missing = chosen.sizes.cpu()[block.graphs, None] <= torch.arange(block.size)
        below = -1.0 - matrix.abs().sum(2).amax(1, keepdim=True)
        if not bool(below.isfinite().all()):
            raise overflow(f)
        values = torch.linalg.eigvalsh(matrix + torch.diag_embed(torch.where(missing, below, 0.0))).flip(1)[:, :k]
        out[small[block.graphs], : values.size(1)] = torch.where(missing[:, :k], 0.0, values)
    for b in torch.nonzero(graphs.sizes.cpu() > dense_nodes).flatten().tolist():
        plan = Plan(graphs.select([b]))
        (one,) = plan.once(trees_of, tree, weighted, 1, seed)
        found = eigsh(FieldOperator(one, f), min(k, one.num_nodes), which="largest")
        out[b, : len(found.values)] = found.values
    return out.to(graphs.device)
