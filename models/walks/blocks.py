"""The parts of NeuralWalker's blocks: what walks say of nodes and edges, and what reaches all nodes of a graph.

Shape legend: N nodes, E edges, B graphs, D width.
"""

from __future__ import annotations

from torch import Tensor, nn

from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.convolutions import GatedGCNLayer
from graphpe.models.layers.heads import pool
from graphpe.models.layers.multi_head import AllPairs, FeedForward, MultiHeadAttention
from graphpe.models.layers.normalization import Norm, RowLayerNorm, build_norm
from graphpe.models.walks.batch_walks import BatchWalks


class WalkLayer(nn.Module):
    """A sequence model along walks, and what it says of nodes and edges, on the average over their visits.

    Args:
        width: Width D.
        sequence: From rows of walks to rows.
        window: Steps back that window features compare.
        norm: `batch` or `layer`.
        dropout: Probability of dropout.
        updates_edges: Whether something reads the edges after this layer.
    """

    def __init__(
        self, width: int, sequence: nn.Module, *, window: int, norm: Norm, dropout: float, updates_edges: bool
    ) -> None:
        super().__init__()
        self.edge_map = nn.Linear(width, width)
        self.window_map = nn.Linear(2 * window - 1, width)
        self.input_norm = RowLayerNorm(width)
        self.sequence = sequence
        self.node_update = _mlp(width, norm, dropout)
        self.edge_update = _mlp(width, norm, dropout) if updates_edges else None

    def forward(self, x: Tensor, edge: Tensor, walks: BatchWalks) -> tuple[Tensor, Tensor]:
        """Nodes and edges after the layer, residual connections included.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`.
            walks: The walks.
        """
        rows = x.index_select(0, walks.node) + self.window_map(walks.window.to(x.dtype)).to(x.dtype)
        taken = self.edge_map(edge).index_select(0, walks.edge)
        rows = self.sequence(self.input_norm(rows.index_add(0, walks.leaving, taken.to(x.dtype))), walks)
        x = x + self.node_update(walks.over_nodes(rows).to(x.dtype))
        if self.edge_update is not None:
            edge = edge + self.edge_update(walks.over_edges(rows).to(edge.dtype))
        return x, edge


class VirtualNode(nn.Module):
    """One more node for each graph, which sums up the others and is added to them (Gilmer et al. 2017).

    Args:
        width: Width D.
        norm: `batch` or `layer`.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, *, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.update = _mlp(width, norm, dropout)

    def forward(self, x: Tensor, virtual: Tensor | None, members: NodeToGraph) -> tuple[Tensor, Tensor]:
        """Nodes `[N, D]` and virtual nodes `[B, D]` after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            virtual: Virtual nodes after the layer before, `[B, D]`; None in the first.
            members: The partition of the nodes into graphs.
        """
        total = pool(x, members, "sum").to(x.dtype)
        virtual = self.update(total if virtual is None else total + virtual)
        return x + virtual.index_select(0, members.graph).to(x.dtype), virtual


class GlobalAttention(nn.Module):
    """Attention over all nodes of each graph, then a feed-forward network.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        norm: `batch` or `layer`.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, heads: int, *, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.local_norm = build_norm(norm, width)
        self.attention = MultiHeadAttention(width, heads)
        self.attention_norm = build_norm(norm, width)
        self.feed_forward = FeedForward(width, 2 * width, dropout=dropout)
        self.norm = build_norm(norm, width)

    def forward(self, x: Tensor, before: Tensor, pairs: AllPairs) -> Tensor:
        """Nodes after the layer, `[N, D]`.

        Args:
            x: Node embeddings after the local layer, `[N, D]`.
            before: Those before it, which the residual connection is from.
            pairs: All pairs of each graph.
        """
        x = self.attention_norm(before + self.attention(self.local_norm(x), pairs))
        return self.norm(x + self.feed_forward(x))


class WalkerBlock(nn.Module):
    """Walks, messages along edges and a global layer, one after the other.

    Args:
        walk: The layer of walks.
        local: The layer along edges, or None.
        everywhere: The global layer, or None.
        dropout: Probability of dropout of the local layer's result.
    """

    def __init__(
        self,
        walk: WalkLayer,
        local: nn.Module | None,
        everywhere: VirtualNode | GlobalAttention | None,
        *,
        dropout: float,
    ) -> None:
        super().__init__()
        self.walk = walk
        self.local = local
        self.everywhere = everywhere
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        edge: Tensor,
        virtual: Tensor | None,
        walks: BatchWalks,
        edges: Neighbours,
        pairs: AllPairs | None,
        members: NodeToGraph,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Nodes, edges and virtual nodes after the block.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`.
            virtual: Virtual nodes, `[B, D]`; None where there are none yet.
            walks: The walks.
            edges: The edges.
            pairs: All pairs of each graph; None where no attention runs over them.
            members: The partition of the nodes into graphs.
        """
        x, edge = self.walk(x, edge, walks)
        before = x
        if self.local is not None:
            update, edge = self.local(x, edge, edges)
            # GatedGCN's residual connection is inside.
            x = update if isinstance(self.local, GatedGCNLayer) else x + self.dropout(update)
        if isinstance(self.everywhere, VirtualNode):
            x, virtual = self.everywhere(x, virtual, members)
        elif self.everywhere is not None and pairs is not None:
            x = self.everywhere(x, before, pairs)
        return x, edge, virtual


def _mlp(width: int, norm: Norm, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, width), build_norm(norm, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
    )
