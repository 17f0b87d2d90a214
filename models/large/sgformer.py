"""SGFormer: Wu et al., "Simplifying and Empowering Transformers for Large-Graph Representations" (NeurIPS 2023).

arXiv:2306.10759.

Design choices: one layer of global attention whose weights need no softmax, so that sums over all nodes are taken once
a graph; a graph convolutional network beside it; a fixed mix of both results.

Shape legend: N nodes, E edges, B graphs, D width; a block holds b graphs padded to n nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_number, check_probabilities
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.layers.convolutions import GCNLayer
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.normalization import Norm, RowLayerNorm, build_norm
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.models.layers.stem import EncodingsIn, add_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text


class SGFormer(nn.Module):
    """Simple global attention beside a GCN (Wu et al. 2023).

        z <- Dropout(ReLU(LayerNorm(x)))
        z <- Dropout(LayerNorm(alpha Att(z) + (1 - alpha) z))                          `layers` times
        Att(z) = Delta^-1 [V + 1/n Q~ (K~^T V)],    Delta = diag(1 + 1/n Q~ (K~^T 1))
        Q~ = Q / |Q|,  K~ = K / |K|,  Q, K, V linear in z, |.| Frobenius norms over all n nodes of a graph

        g <- Dropout(ReLU(Norm(x))),    g <- g + Dropout(ReLU(Norm(GCN(g))))           `local_layers` times
        out = graph_weight g + (1 - graph_weight) z

    Norms and sums are those of each graph of a batch. A graph of one node attends to itself: Att(z) = V. Edge features
    enter once, added to the nodes at which edges end, as their mean.

    The published configuration for Cora is `SGFormer(width=64, local_layers=4, dropout=0.5, attention_dropout=0.2)`
    with learning rate 0.01; a layer of attention has 3 (D^2 + D) parameters, one of the GCN D^2 + D, and norms 2 D
    each.

    Costs (multiply-adds): 5 N D^2 for a layer of attention, N D^2 + E D for one of the GCN; memory O(N D).

    Differs from the released code (qitianwu/SGFormer):

    * Q and K are normalised over each graph of a batch (released: over all rows that are given).
    * One embedding of the inputs, from `node_encoder`, for both branches (released: a linear map for each).
    * The GCN's residual connections are to the layer before (released: to its first layer, or none, by dataset).
    * Attention has one head, as in all published configurations, and no activation after a layer of it (released: by
      argument).
    * Released training has a weight decay for each branch; runs here have one.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> head = torch.nn.Linear(16, 2)
        >>> model = M.SGFormer(width=16, readout="none", node_encoder=M.LinearNodes(3, 16), head=head)
        >>> model(data).shape
        torch.Size([5, 2])

    Args:
        width: Width D.
        layers: Number of layers of attention.
        local_layers: Number of layers of the GCN.
        alpha: Share of the attention in its residual connection, from 0 to 1.
        graph_weight: Share of the GCN in the result, from 0 to 1.
        norm: `batch` or `layer` normalisation of the GCN; that of the attention is `layer`.
        dropout: Probability of dropout in the GCN.
        attention_dropout: Probability of dropout of the attention's branch.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range or an option is unknown.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 1,
        local_layers: int = 2,
        alpha: float = 0.5,
        graph_weight: float = 0.8,
        norm: Norm = "batch",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, local_layers = check_counts(width=width, layers=layers, local_layers=local_layers)
        dropout, attention_dropout = check_probabilities(dropout=dropout, attention_dropout=attention_dropout)
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.alpha = check_number("alpha", alpha, least=0, most=1)
        self.graph_weight = check_number("graph_weight", graph_weight, least=0, most=1)
        self.norm: Norm = norm
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.attention_norm = RowLayerNorm(width)
        self.layers = nn.ModuleList(SimpleAttention(width, self.alpha, self.attention_dropout) for _ in range(layers))
        self.local_norm = build_norm(norm, width)
        self.local_layers = nn.ModuleList(_GraphLayer(width, norm, self.dropout) for _ in range(local_layers))
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers + local_layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["linear"]:
        """What the attention runs over: sums over nodes."""
        return "linear"

    @property
    def attends_to_all_pairs(self) -> bool:
        """True: every node attends to every node of its graph."""
        return True

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        x = add_edges(x, batch, self.edge_encoder, edge_index)
        nodes, pairs = padded_nodes(members), Neighbours(edge_index, x.shape[0])
        z = functional.dropout(torch.relu(self.attention_norm(x)), self.attention_dropout, self.training)
        for number, layer in enumerate(self.layers):
            z = layer(encodings.join(z, number), nodes)
        g = functional.dropout(torch.relu(self.local_norm(x)), self.dropout, self.training)
        for number, layer in enumerate(self.local_layers, start=len(self.layers)):
            g = layer(encodings.join(g, number), pairs)
        mixed = self.graph_weight * exactly(g) + (1 - self.graph_weight) * exactly(z)
        return self.head(pool(mixed, members, self.readout))

    def __repr__(self) -> str:
        names = ("width", "layers", "local_layers", "alpha", "graph_weight", "norm", "dropout", "attention_dropout")
        return call_text(self, (*names, "readout"))


class SimpleAttention(nn.Module):
    """A layer of attention without softmax, its residual connection, normalisation and dropout.

    Args:
        width: Width D.
        alpha: Share of the attention.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(width, 3 * width)
        self.norm = RowLayerNorm(width)
        self.alpha = alpha
        self.dropout = dropout

    def forward(self, x: Tensor, nodes: PaddedNodes) -> Tensor:
        """Node embeddings `[N, D]` after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            nodes: The nodes of each graph.
        """
        query, key, value = (exactly(part) for part in self.query_key_value(x).chunk(3, dim=1))
        attended = simple_attention(query, key, value, nodes)
        x = self.norm(self.alpha * attended + (1 - self.alpha) * exactly(x))
        return functional.dropout(x, self.dropout, self.training)


def simple_attention(query: Tensor, key: Tensor, value: Tensor, nodes: PaddedNodes) -> Tensor:
    """[V + 1/n Q~ (K~^T V)] / [1 + 1/n Q~ (K~^T 1)] over the n nodes of each graph, `[N, D]`.

    The denominator is at least 1 - n^-1/2; for n = 1 the quotient is V.

    Args:
        query: `[N, D]`.
        key: `[N, D]`.
        value: `[N, D]`.
        nodes: The nodes of each graph in padded blocks.
    """
    outputs = []
    for block, *rows in zip(nodes.blocks, *(nodes.split(x) for x in (query, key, value)), strict=True):
        real = (block.key_mask == 0).to(value.dtype).view(block.graphs, block.size, 1)
        q, k, v = (x * real for x in rows) if block.graphs > 1 else rows  # [b, n, D]; one graph has no padding
        size = real.sum(1, keepdim=True)  # [b, 1, 1]
        share = _inverse_norm(q) * _inverse_norm(k) / size
        top = v + q @ ((k.transpose(1, 2) @ v) * share)
        total = 1 + q @ (k.sum(1).unsqueeze(2) * share)
        # Of a single node the fraction is v, and 0 / 0 where its query is opposite to its key.
        alone = size <= 1
        outputs.append(torch.where(alone, v, top / torch.where(alone, 1.0, total)))
    return nodes.join(outputs) if outputs else value


def _inverse_norm(x: Tensor) -> Tensor:
    """One over the Frobenius norm of each matrix `[b, n, D]`, `[b, 1, 1]`; finite where it is zero."""
    return x.square().sum((1, 2), keepdim=True).clamp(min=torch.finfo(x.dtype).tiny).rsqrt()


class _GraphLayer(nn.Module):
    """x + dropout(ReLU(Norm(GCN(x))))."""

    def __init__(self, width: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.conv = GCNLayer(width)
        self.norm = build_norm(norm, width)
        self.dropout = dropout

    def forward(self, x: Tensor, pairs: Neighbours) -> Tensor:
        update, _ = self.conv(x, None, pairs)
        return x + functional.dropout(torch.relu(self.norm(update)), self.dropout, self.training)
