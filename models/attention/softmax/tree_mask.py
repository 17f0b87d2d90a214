"""Linear attention masked by a function of the distance along a spanning tree: O(N D C) for all pairs of each graph.

Small graphs are faster with their matrices of pairs, which is what they get.

Shape legend: N nodes, D width, H heads, C = D / H; a block holds b graphs padded to n nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.attention.positions.node_positions import (
    Attending,
    NodePositions,
    Placed,
    place,
    query_key_value,
    restore,
    transform,
)
from graphpe.models.attention.shapes import check_attention
from graphpe.models.attention.softmax.linear import linear_attention
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.batches.on_host import structure_of
from graphpe.structure.plan import Plan
from graphpe.trees.fields import tree_distances, trees_of
from graphpe.trees.functions.closed_form import Exponential, TreeFunction
from graphpe.trees.spanning import SpanningTree

TreeChoice = Literal["minimum", "shortest"]
MaskSharing = Literal["heads", "synced", "none"]

DENSE_NODES = 256
"""Batches of graphs of at most as many nodes use matrices of all pairs; see `benchmarks.speed.tree_attention`."""


@dataclass(frozen=True, eq=False)
class TreeMask:
    """The mask with entries f(d(i, j)), d along trees, and 0 between connected components.

    Products are those of `SpanningTree.integrate`: O(N) a column on the CPU, O(N log N) elsewhere, without the matrix.

    Attributes:
        tree: A spanning tree of each connected component.
        f: The function of the distance, non-negative.
    """

    tree: SpanningTree
    f: TreeFunction

    @torch.compiler.disable
    def apply(self, x: Tensor) -> Tensor:
        """M X.

        Args:
            x: Fields on the nodes, `[N, columns]`.
        """
        return self.tree.integrate(self.f, x)


@dataclass(frozen=True, eq=False)
class TreeNodes:
    """The nodes of a batch and its spanning trees: made once a batch, for all layers.

    Attributes:
        nodes: The nodes of each graph in padded blocks.
        tree: A spanning tree of each connected component, of edges of length 1; None where nothing reads it.
        hops: Distances along the trees in each block, `[b, 1, n, n]`, -1 between components and at padding; None for
            sums over trees instead.
        positions: What positions do to features, values and results.
    """

    nodes: PaddedNodes
    tree: SpanningTree | None
    hops: list[Tensor] | None = None
    positions: tuple[Placed, ...] = ()


def tree_nodes(
    batch: Data, members: NodeToGraph, tree: TreeChoice | None, positions: Sequence[NodePositions] = ()
) -> TreeNodes:
    """The nodes and spanning trees of a batch, and their distances where graphs are small (`DENSE_NODES`).

    O(E log E), on the CPU, from the batch's structure on the host where it tells that (`structure_on_host`): graphs of
    more than `DENSE_NODES` nodes, and other batches on a GPU, wait for it.

    Edges count both ways and once, self-loops do nothing; the tree depends on the numbering of nodes only where
    `graphpe.trees.spanning` says so.

    Args:
        batch: The batch.
        members: Its partition into graphs.
        tree: `minimum` or `shortest` (`minimum_spanning_trees`, `shortest_path_trees`); None for none.
        positions: `NodePositions` modules.
    """
    nodes = padded_nodes(members)
    placed = place(positions, batch, Attending(members, members.num_nodes))
    if tree is None:
        return TreeNodes(nodes, None, positions=placed)
    plan = Plan(structure_of(batch, members))
    (spanning,) = _spanning_trees(plan, tree)
    if max((block.size for block in nodes.blocks), default=0) > DENSE_NODES:
        return TreeNodes(nodes, spanning, positions=placed)
    return TreeNodes(nodes, spanning, _hops_in_blocks(plan, tree, nodes, members), placed)


@torch.compiler.disable
def _spanning_trees(plan: Plan, tree: TreeChoice) -> list[SpanningTree]:
    return plan.once(trees_of, tree, False, 1, 0)


@torch.compiler.disable
def _hops_in_blocks(plan: Plan, tree: TreeChoice, nodes: PaddedNodes, members: NodeToGraph) -> list[Tensor]:
    flat = torch.cat([tree_distances(plan, tree=tree).float(), torch.full((1,), -1.0, device=plan.graphs.device)])
    flat = flat.to(members.ptr.device, non_blocking=True)
    squares = members.sizes.square()
    first = squares.cumsum(0) - squares  # the first pair of each graph
    out = []
    for block, graphs in zip(nodes.blocks, nodes.graph.split([b.graphs for b in nodes.blocks]), strict=True):
        size = members.sizes[graphs].view(-1, 1, 1)
        i = torch.arange(block.size, device=flat.device).unsqueeze(1)
        row = first[graphs].view(-1, 1, 1) + i * size + i.T
        row = torch.where((i < size) & (i.T < size), row, len(flat) - 1)
        out.append(flat[row].unsqueeze(1))
    return out


class TreeDecay(nn.Module):
    """Learned functions of a distance, each a mixture of two exponentials.

        f(d) = exp(-r_1 d) + w exp(-r_2 d),    r_k = softplus(a_k),  w = exp(a_0)

    Three parameters a function. It is positive and decreases, its largest value is at d = 0, and no distance overflows;
    r_1 = r_2 = 0 leaves no mask. Sums over trees are exact: two terms of one coefficient.

    At first r_1 = 2, 1, 1/2, ... over the functions, r_2 = r_1 / 8 and w = 1/8: near and far neighbours, which have the
    same share of the sum over a path. They move slowly, so that where they begin matters: with w = 1 the many far nodes
    outweigh the near ones, and a molecule's atoms see little but its mean.

    Args:
        functions: Their number.
    """

    def __init__(self, functions: int) -> None:
        super().__init__()
        near = 2 * 0.5 ** torch.arange(functions)
        rate = torch.stack([near, near / 8])
        self.rate = nn.Parameter(rate + torch.log(-torch.expm1(-rate)))  # the inverse of softplus
        self.log_weight = nn.Parameter(torch.full((functions,), -math.log(8)))

    def functions(self) -> list[TreeFunction]:
        """As functions of `graphpe.trees`, differentiable in the parameters."""
        rate, weight = functional.softplus(self.rate), torch.exp(self.log_weight)
        return [Exponential(near) + w * Exponential(far) for near, far, w in zip(*rate, weight, strict=True)]

    def of_hops(self, hops: Tensor) -> Tensor:
        """Values `[b, functions, n, n]` at distances `[b, 1, n, n]`; 0 where these are negative.

        Args:
            hops: Distances along trees, `[b, 1, n, n]`; -1 where there is no path.
        """
        near, far = functional.softplus(self.rate)[:, :, None, None]
        weight = torch.exp(self.log_weight)[:, None, None]
        distance = hops.clamp(min=0)
        return torch.where(hops < 0, 0.0, torch.exp(-near * distance) + weight * torch.exp(-far * distance))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.log_weight.numel()})"


class TreeAttention(nn.Module):
    """Linear attention of each node over its connected component, weighted by functions of tree distances.

        out_i = sum_j f(d(i, j)) (phi(q_i) . phi(k_j)) v_j / sum_j f(d(i, j)) (phi(q_i) . phi(k_j))

    in every head, phi = elu + 1 and d in hops along a spanning tree; then an output projection. The sums over j are
    products of the mask with the fields phi(k) v^T and phi(k), C (C + 1) columns a head. 4 (D^2 + D) parameters and
    three for each function.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        mask: A function f for each head (`heads`), one for all (`synced`), or 1 (`none`): then nodes attend to their
            whole graph, whatever its components.
    """

    def __init__(self, width: int, heads: int, *, mask: MaskSharing = "heads") -> None:
        super().__init__()
        self.heads = heads
        self.mask = mask
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.decay = None if mask == "none" else TreeDecay(heads if mask == "heads" else 1)

    def forward(self, x: Tensor, where: TreeNodes) -> Tensor:
        """From node embeddings `[N, D]` to `[N, D]`.

        Args:
            x: Node embeddings, `[N, D]`.
            where: The nodes of the batch, and their trees where there is a mask.
        """
        query, key, value, x = query_key_value(self.query_key_value, x, where.positions)
        if self.decay is None or where.tree is None:
            return self.out(
                linear_attention(query, key, value, where.nodes, heads=self.heads, positions=where.positions, x=x)
            )
        if where.hops is not None:
            return self.out(self._over_pairs(query, key, value, x, where, where.hops))
        masks = [TreeMask(where.tree, f) for f in self.decay.functions()]
        return self.out(
            linear_attention(
                query, key, value, where.nodes, heads=self.heads, mask=masks, positions=where.positions, x=x
            )
        )

    def _over_pairs(
        self, query: Tensor, key: Tensor, value: Tensor, x: Tensor, where: TreeNodes, hops: list[Tensor]
    ) -> Tensor:
        """The same by matrices of all pairs."""
        nodes = where.nodes
        check_attention(query, key, value, nodes.place.numel(), self.heads)
        if not nodes.blocks or self.decay is None:  # not one node
            return value
        exact = torch.promote_types(query.dtype, torch.float32)
        dtype = value.dtype
        query, key = (functional.elu(rows.to(exact)) + 1 for rows in (query, key))
        fields: tuple[Tensor, ...] = transform(where.positions, query, key, value.to(exact), x)
        if where.positions:
            fields += (query, key)
        outputs = []
        for distance, *blocks in zip(hops, *(nodes.split(rows) for rows in fields), strict=True):
            q, k, v, *plain = (rows.unflatten(2, (self.heads, -1)).transpose(1, 2) for rows in blocks)  # [b, H, n, C]
            decay = self.decay.of_hops(distance.to(exact))
            weight = torch.matmul(q, k.transpose(2, 3)) * decay
            unturned = torch.matmul(plain[0], plain[1].transpose(2, 3)) * decay if plain else weight
            total = unturned.sum(3, keepdim=True)
            message = torch.matmul(weight, v) / torch.where(total == 0, 1.0, total)
            outputs.append(message.transpose(1, 2).flatten(2))
        return restore(where.positions, nodes.join(outputs)).to(dtype)
