"""All ordered node pairs of each graph as padded blocks.

The layout is built once a batch and shared by the layers, without a Python loop over graphs. It waits for a GPU only if
the batch does not say how large it is (`NodeToGraph.max_size`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphpe.models.batches.nodes import NodeToGraph, check_edges


@dataclass(frozen=True)
class Block:
    """Graphs padded to one size.

    Attributes:
        graphs: Number b of graphs.
        size: Nodes n that each is padded to.
        key_mask: 0 for the keys of a graph and -inf for padding, `[b, 1, 1, n]`; a graph without nodes has one key.
    """

    graphs: int
    size: int
    key_mask: Tensor


@dataclass(frozen=True)
class PaddedLayout:
    """All node pairs of each graph as padded blocks `[b, H, n, n]` (query i, key j).

    Attributes:
        blocks: The blocks; each graph with nodes is in one.
        edge_index: The real edges (source, target), `[2, E]`.
        node: Node at each place of the blocks, `[sum of b n]`; padding places hold the first of the graph.
        place: Place of each node in `node`, `[N]`.
        offset: Place of each edge's pair, for the first head, in the concatenation of the blocks' pairs, `[E]`.
        head_stride: Distance of two heads of one pair in the same concatenation, `[E]`.
        multiplicity: Number of edges on each edge's pair, `[E]` float32.
        num_places: Length of the concatenation of the blocks' pairs.
    """

    blocks: list[Block]
    edge_index: Tensor
    node: Tensor
    place: Tensor
    offset: Tensor
    head_stride: Tensor
    multiplicity: Tensor
    num_places: int


def padded_layout(members: NodeToGraph, edge_index: Tensor, heads: int) -> PaddedLayout:
    """The padded layout of a batch.

    Graphs are grouped by the power of two above their size, each group padded to its largest graph, so that one large
    graph does not make every other one as large. Away from the CPU sizes are read from what the batch tells on the host
    (`NodeToGraph.groups`); where it does not, and where `torch.compile` traces, all graphs form one block.

    Args:
        members: The partition of the nodes into graphs.
        edge_index: Edges (source, target), `[2, E]`.
        heads: Number of attention heads.
    """
    check_edges(edge_index, members)
    sizes, ptr, device = members.sizes, members.ptr, members.ptr.device
    groups = _size_groups(members)
    place_of_graph = torch.zeros_like(sizes)  # place of a graph's first node
    size_of_graph = torch.zeros_like(sizes)  # n of its block
    pair_of_graph = torch.zeros_like(sizes)  # place of its first pair
    blocks, nodes, num_nodes, num_places = [], [sizes.new_empty(0)], 0, 0
    last = max(members.graph.numel() - 1, 0)
    for graphs, size in groups:
        count, column = graphs.numel(), torch.arange(size, device=device)
        lengths = sizes.index_select(0, graphs).unsqueeze(1)
        padding = column >= lengths.clamp(min=1)
        nodes.append(_nodes(ptr, graphs, column, padding, last))
        key_mask = torch.zeros(padding.shape, device=device).masked_fill(padding, -torch.inf)
        blocks.append(Block(count, size, key_mask.view(count, 1, 1, size)))
        order = torch.arange(count, device=device)
        place_of_graph[graphs] = num_nodes + order * size
        pair_of_graph[graphs] = num_places + order * (heads * size * size)
        size_of_graph[graphs] = size
        num_nodes += count * size
        num_places += count * heads * size * size

    local = torch.arange(members.graph.numel(), device=device) - ptr.index_select(0, members.graph)
    place = place_of_graph.index_select(0, members.graph) + local
    j, i = edge_index[0], edge_index[1]
    graph = members.graph.index_select(0, i)
    n = size_of_graph.index_select(0, graph)
    offset = pair_of_graph.index_select(0, graph) + local.index_select(0, i) * n + local.index_select(0, j)
    ones = torch.ones(offset.numel(), device=device)
    counts = torch.zeros(num_places, device=device).index_add(0, offset, ones)
    return PaddedLayout(
        blocks, edge_index, torch.cat(nodes), place, offset, n * n, counts.index_select(0, offset), num_places
    )


@dataclass(frozen=True)
class PaddedNodes:
    """The nodes of each graph as padded blocks `[b, n]`, for attention that needs nothing of the edges.

    Attributes:
        blocks: The blocks; each graph with nodes is in one.
        node: Node at each place of the blocks, `[sum of b n]`; padding places hold the first of the graph.
        place: Place of each node in `node`, `[N]`.
        graph: Graph at each row of the blocks, `[sum of b]`.
    """

    blocks: list[Block]
    node: Tensor
    place: Tensor
    graph: Tensor

    def split(self, x: Tensor) -> list[Tensor]:
        """Rows of nodes `[N, D]` as the blocks `[b, n, D]`.

        Args:
            x: Rows of nodes, `[N, D]`.
        """
        if self._one_graph:
            return [x.unsqueeze(0)]
        lengths = [block.graphs * block.size for block in self.blocks]
        parts = x.index_select(0, self.node).split(lengths)
        return [part.view(block.graphs, block.size, -1) for part, block in zip(parts, self.blocks, strict=True)]

    def join(self, parts: list[Tensor]) -> Tensor:
        """The blocks `[b, n, D]` as rows of nodes `[N, D]`; needs at least one block.

        Args:
            parts: A tensor `[b, n, D]` for each block, at least one.
        """
        if self._one_graph:
            return parts[0].squeeze(0)
        return torch.cat([part.flatten(0, 1) for part in parts]).index_select(0, self.place)

    @property
    def _one_graph(self) -> bool:
        """Whether all nodes are those of one graph, which stand at their places."""
        return len(self.blocks) == 1 and self.blocks[0].graphs == 1


def padded_nodes(members: NodeToGraph) -> PaddedNodes:
    """The nodes of a batch as padded blocks, grouped as in `padded_layout`. O(N) memory, padding included.

    Args:
        members: The partition of the nodes into graphs.
    """
    sizes, ptr, device = members.sizes, members.ptr, members.ptr.device
    place_of_graph = torch.zeros_like(sizes)
    blocks, nodes, ids, num_nodes = [], [sizes.new_empty(0)], [sizes.new_empty(0)], 0
    last = max(members.graph.numel() - 1, 0)
    for graphs, size in _size_groups(members):
        count, column = graphs.numel(), torch.arange(size, device=device)
        lengths = sizes.index_select(0, graphs).unsqueeze(1)
        padding = column >= lengths.clamp(min=1)
        nodes.append(_nodes(ptr, graphs, column, padding, last))
        key_mask = torch.zeros(padding.shape, device=device).masked_fill(padding, -torch.inf)
        blocks.append(Block(count, size, key_mask.view(count, 1, 1, size)))
        place_of_graph[graphs] = num_nodes + torch.arange(count, device=device) * size
        ids.append(graphs)
        num_nodes += count * size
    local = torch.arange(members.graph.numel(), device=device) - ptr.index_select(0, members.graph)
    place = place_of_graph.index_select(0, members.graph) + local
    return PaddedNodes(blocks, torch.cat(nodes), place, torch.cat(ids))


def _nodes(ptr: Tensor, graphs: Tensor, column: Tensor, padding: Tensor, last: int) -> Tensor:
    """Node at each place, `[b n]`; at padding the first of the graph: its pairs are as real as others."""
    first = ptr.index_select(0, graphs).clamp(max=last).unsqueeze(1)
    return (first + column.masked_fill(padding, 0)).flatten()


def _size_groups(members: NodeToGraph) -> list[tuple[Tensor, int]]:
    """Graph ids of each group and the size to pad them to; graphs without nodes may be left out."""
    sizes = members.sizes
    if sizes.numel() == 0:
        return []
    traced = torch.compiler.is_compiling() and members.max_size is not None
    if sizes.device.type != "cpu" or traced:
        size = members.max_size if members.max_size is not None else int(sizes.max())
        known = members.groups if members.groups is not None else ((sizes.numel(), size),)
        if len(known) == 1:
            return [(torch.arange(sizes.numel(), device=sizes.device), size)] if size else []
        # The host knows how many graphs are in each group, and the device, which they are: nothing is copied.
        ids = sizes.argsort(stable=True).split([count for count, _ in known])
        return [(graphs, size) for graphs, (_, size) in zip(ids, known, strict=True) if size]
    level = torch.log2(sizes.clamp(min=1).double()).ceil().long()
    level[sizes == 0] = -1
    groups = []
    for value in level.unique().tolist():
        if value >= 0:
            graphs = (level == value).nonzero().flatten()
            groups.append((graphs, int(sizes[graphs].max())))
    return groups
