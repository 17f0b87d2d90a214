"""Graphs with an extra node each: Graphormer's [VNode], the class token of SAT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphpe.models.attention.pairs import PairSet
from graphpe.models.batches.nodes import NodeToGraph


@dataclass(frozen=True, eq=False)
class Extended:
    """A batch in which every graph has one more node, its last. Other nodes keep their place within the graph.

    Attributes:
        members: The partition of all N + B nodes.
        real: Place of each of the N nodes, `[N]`.
        virtual: Place of each graph's extra node, `[B]`.
    """

    members: NodeToGraph
    real: Tensor
    virtual: Tensor

    def join(self, x: Tensor, virtual: Tensor) -> Tensor:
        """Rows of the nodes `[N, D]` and of the extra ones (`[B, D]`, or `[D]` for all) as `[N + B, D]`.

        Args:
            x: Rows of the nodes, `[N, D]`.
            virtual: Rows of the extra nodes, `[B, D]`, or `[D]` for all.
        """
        out = x.new_empty(self.members.graph.numel(), x.shape[1])
        rows = virtual.to(x.dtype).expand(self.virtual.numel(), -1)
        return out.index_copy(0, self.real, x).index_copy(0, self.virtual, rows)

    def pair_rows(self, pairs: PairSet, wider: PairSet, value: Tensor, virtual: Tensor) -> Tensor:
        """Rows of all pairs `[P, H]` as rows of all pairs of the larger graphs; those of an extra node are `virtual`.

        Args:
            pairs: All pairs of the N nodes.
            wider: All pairs of the N + B nodes.
            value: `[P, H]`.
            virtual: `[H]`.
        """
        first = wider.ptr.index_select(0, self.real)  # first pair of each query
        offset = self.members.ptr.index_select(0, self.members.graph.index_select(0, self.real))
        place = first.index_select(0, pairs.target) + self.real.index_select(0, pairs.source)
        place = place - offset.index_select(0, pairs.target)
        rows = virtual.expand(wider.num_pairs, -1)
        return rows.index_copy(0, place, value.to(rows.dtype))


def extend(members: NodeToGraph) -> Extended:
    """One more node for every graph. O(N), without waiting for a GPU.

    Args:
        members: The partition of the nodes into graphs.
    """
    nodes, graphs, device = members.graph.numel(), members.num_graphs, members.ptr.device
    number = torch.arange(graphs, device=device)
    real = torch.arange(nodes, device=device) + members.graph
    virtual = members.ptr[1:] + number
    graph = number.new_empty(nodes + graphs).index_copy(0, real, members.graph).index_copy(0, virtual, number)
    ptr = members.ptr + torch.arange(graphs + 1, device=device)
    max_size = None if members.max_size is None else members.max_size + 1
    num_pairs = None if members.num_pairs is None else members.num_pairs + 2 * nodes + graphs
    groups = None if members.groups is None else tuple((count, size + 1) for count, size in members.groups)
    return Extended(NodeToGraph(graph, ptr, max_size, num_pairs, groups=groups), real, virtual)
