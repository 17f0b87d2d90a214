"""The triplets (i, l, j) of nodes of each graph, by the pairs that they are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.graphs.ragged import Ints
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.threads import array
from graphpe.models.batches.nodes import NodeToGraph


@dataclass(frozen=True, eq=False)
class Triplets:
    """All triplets (i, l, j) of nodes of one graph: the pair (i, j), and the pairs (i, l) and (l, j) between its ends.

    Pairs are rows [target, source]: a row (i, j) is the pair j -> i, and a triplet is the way from j over l to i.
    Nothing here has as many numbers as there are triplets.

    Attributes:
        pairs: All ordered pairs of nodes of each graph, P of them.
        members: The partition of the N nodes into graphs.

    Raises:
        GraphPEValueError: If the pairs are not all pairs.
    """

    pairs: PairSet
    members: NodeToGraph
    _blocks: list[PaddedPairs] = field(default_factory=list, init=False)

    # Kept in a list: `torch.compile` does not read `cached_property`, which takes a lock.

    def __post_init__(self) -> None:
        if not self.pairs.complete:
            raise GraphPEValueError("triplets are made of all pairs of each graph: give pairs of all_pairs(...)")

    @cached_property
    def on_host(self) -> tuple[Ints, Ints]:
        """Of each graph with nodes, on the CPU: its first pair, and its size. Once."""
        sizes = np.diff(array(self.members.ptr))
        first = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes * sizes)])[:-1]
        return first[sizes > 0], sizes[sizes > 0]

    @property
    def blocks(self) -> PaddedPairs:
        """The pairs of graphs of about one size as padded arrays. Computed once."""
        if not self._blocks:
            self._blocks.append(padded_pairs(self.pairs, padded_nodes(self.members)))
        return self._blocks[0]


@dataclass(frozen=True, eq=False)
class PaddedPairs:
    """All pairs of each graph as padded blocks `[b, n, n]`.

    Attributes:
        nodes: The blocks of the nodes.
        row: Row of the pair at each place of the blocks, `[sum of b n^2]`; places of padding have one of the graph.
        place: Place of each pair, `[P]`.
    """

    nodes: PaddedNodes
    row: Tensor
    place: Tensor

    def split(self, values: Tensor) -> list[Tensor]:
        """Rows of pairs `[P, ...]` as the blocks `[b, n, n, ...]`.

        Args:
            values: Rows of pairs.
        """
        blocks = self.nodes.blocks
        parts = values.index_select(0, self.row).split([block.graphs * block.size**2 for block in blocks])
        shapes = [(block.graphs, block.size, block.size) for block in blocks]
        return [part.unflatten(0, shape) for part, shape in zip(parts, shapes, strict=True)]

    def join(self, parts: list[Tensor]) -> Tensor:
        """The blocks `[b, n, n, ...]` as rows of pairs `[P, ...]`; needs at least one block.

        Args:
            parts: A tensor for each block.
        """
        return torch.cat([part.flatten(0, 2) for part in parts]).index_select(0, self.place)


def padded_pairs(pairs: PairSet, nodes: PaddedNodes) -> PaddedPairs:
    """The pairs of each graph in the blocks of its nodes. O(P) memory, padding included.

    Args:
        pairs: All pairs of each graph.
        nodes: The blocks of the nodes.
    """
    device, rows, starts = pairs.ptr.device, [], []
    column = torch.zeros_like(nodes.node)  # place of a node in its graph, 0 where there is padding, as `node` has it
    start = pair_start = 0
    for block in nodes.blocks:
        shape, length = (block.graphs, block.size), block.graphs * block.size
        node = nodes.node[start : start + length].view(shape)
        first = node[:, :1]
        rows.append((pairs.ptr.index_select(0, node.flatten()).view(*shape, 1) + (node - first).unsqueeze(1)).flatten())
        # Where the row of a node begins in the blocks of pairs.
        starts.append(pair_start + torch.arange(length, device=device) * block.size)
        column[start : start + length] = (node - first).flatten()
        start, pair_start = start + length, pair_start + length * block.size
    if not rows:
        empty = pairs.ptr.new_empty(0)
        return PaddedPairs(nodes, empty, empty)
    of_node = torch.cat(starts).index_select(0, nodes.place)
    local = column.index_select(0, nodes.place)
    place = of_node.index_select(0, pairs.target) + local.index_select(0, pairs.source)
    return PaddedPairs(nodes, torch.cat(rows), place)
