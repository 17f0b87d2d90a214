"""The nodes of graphs of any sizes in blocks for programs of a GPU: nothing is padded, and nobody waits for sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from graphpe.compiled.kernel import has_kernels
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.attention.pairs import PairSet, all_pairs
from graphpe.models.batches.gpu.blocks import blocks_of_graphs
from graphpe.models.batches.nodes import NodeToGraph


@dataclass(frozen=True, eq=False)
class RaggedNodes:
    """The nodes of each graph in blocks of `size`, of which a graph's last is cut short.

    There are at most N / size + B blocks: that many are listed, so that their number is known without asking the
    device. Those too many are of the last graph and begin after its end.

    Attributes:
        members: The partition of the nodes into graphs.
        pair_ptr: First pair of each graph and, last, their number, `[B + 1]`.
        graph: Graph of each block, `[blocks]`.
        first: First block of each graph and, last, their number, `[B + 1]`.
        size: Nodes of a block: 16 or 32. With more, products of float32 do not fit into registers.
    """

    members: NodeToGraph
    pair_ptr: Tensor
    graph: Tensor
    first: Tensor
    size: int

    @property
    def blocks(self) -> int:
        """How many blocks are listed."""
        return self.graph.numel()

    @cached_property
    def pairs(self) -> PairSet:
        """The pairs as a list. Computed once."""
        return all_pairs(self.members, self.first.new_empty(2, 0))

    @cached_property
    def padded(self) -> PaddedNodes:
        """The nodes as padded blocks. Computed once."""
        return padded_nodes(self.members)


def ragged_nodes(members: NodeToGraph) -> RaggedNodes:
    """The nodes of a batch in blocks. O(N / size + B) time and memory.

    Args:
        members: The partition of the nodes into graphs.
    """
    nodes, graphs = members.num_nodes, members.num_graphs
    size = 16 if nodes <= 16 * graphs else 32
    listed = nodes // size + graphs if nodes else 0
    if graphs and has_kernels(members.ptr.device):
        graph, first, pair_ptr = blocks_of_graphs(members.ptr, size, listed)
        return RaggedNodes(members, pair_ptr, graph, first, size)
    sizes = members.sizes
    zero = sizes.new_zeros(1)
    first = torch.cat([zero, (sizes + (size - 1)).div(size, rounding_mode="floor").cumsum(0)])
    number = torch.arange(listed, device=sizes.device)
    graph = torch.searchsorted(first[1:], number, right=True).clamp(max=max(graphs - 1, 0))
    return RaggedNodes(members, torch.cat([zero, (sizes * sizes).cumsum(0)]), graph, first, size)
