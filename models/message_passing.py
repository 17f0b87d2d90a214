"""Message-passing baselines for the grid: gated graph convolutions, GINE and GCN with edge features.

Design choices: residual layers of one width, batch or layer normalisation, encodings added once to the node embeddings,
as in Dwivedi et al., "Benchmarking Graph Neural Networks" (arXiv:2003.00982).

Shape legend: N nodes, E edges, B graphs, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_probabilities
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.layers.convolutions import GatedGCNLayer, GCNLayer, GINELayer
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.normalization import Norm, build_norm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text


class _MessagePassing(nn.Module):
    """Encoders, a stack of layers, a readout and a head: what the baselines share."""

    # Whether layers read features of edges even where edges carry nothing.
    needs_edges: ClassVar[bool] = False

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 4,
        norm: Norm = "batch",
        dropout: float = 0.0,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers = check_counts(width=width, layers=layers)
        (dropout,) = check_probabilities(dropout=dropout)
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.norm = norm
        self.dropout = float(dropout)
        self.readout = readout
        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        plain = self.needs_edges and edge_encoder is None
        self.plain_edge = nn.Parameter(torch.randn(width)) if plain else None
        self.layers = nn.ModuleList(self._stack(layers))
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    def _stack(self, layers: int) -> list[nn.Module]:
        raise NotImplementedError

    @property
    def attention_layout(self) -> Literal["edges"]:
        """What messages pass along."""
        return "edges"

    @property
    def attends_to_all_pairs(self) -> bool:
        """False: messages pass along edges only."""
        return False

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        edge = embed_edges(batch, self.edge_encoder, self.plain_edge)
        pairs = Neighbours(edge_index, x.shape[0])
        for number, layer in enumerate(self.layers):
            x, edge = layer(encodings.join(x, number), edge, pairs)
        return self.head(pool(x, members, self.readout))

    def __repr__(self) -> str:
        return call_text(self, ("width", "layers", "norm", "dropout", "readout"))


class GatedGCN(_MessagePassing):
    """Gated graph convolutions with an edge stream (Bresson & Laurent 2017, arXiv:1711.07553).

    A layer is `graphpe.models.layers.convolutions.GatedGCNLayer`. The published ZINC configuration (GatedGCN-E-PE) is
    `GatedGCN(width=78, layers=16)` with 8 eigenvectors: 505,011 parameters.

    Differs from the released code (graphdeeplearning/benchmarking-gnns): the last layer's edge update, which nothing
    reads, is not computed and the parameters of its norm do not require a gradient; batch normalisation of fewer than
    two rows uses the running statistics; sums of gates are in float32; without an `edge_encoder` every edge starts from
    one learned vector.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GatedGCN(width=16, layers=2,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D.
        layers: Number of layers.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout on a layer's result.
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

    needs_edges: ClassVar[bool] = True

    def _stack(self, layers: int) -> list[nn.Module]:
        stack = [GatedGCNLayer(self.width, norm=self.norm, dropout=self.dropout) for _ in range(layers)]
        stack[-1].skip_edge_update()
        return list(stack)


class GINE(_MessagePassing):
    """Graph isomorphism networks with edge features (Hu et al. 2020, arXiv:1905.12265), on PyG's `GINEConv`.

        x_i <- x_i + ReLU(Norm(MLP(x_i + sum_j ReLU(x_j + e_ij))))

    Without an `edge_encoder` e_ij = 0. Edge features are those of the input in every layer.

    Differs from the released code (snap-stanford/pretrain-gnns): residual connections; an MLP of one hidden layer of
    the same width without a norm inside, as in GraphGPS; one encoding of edges for all layers; no learned epsilon.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GINE(width=16, layers=2, node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D.
        layers: Number of layers.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout on a layer's result.
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

    def _stack(self, layers: int) -> list[nn.Module]:
        return [_Residual(GINELayer(self.width), self.width, self.norm, self.dropout) for _ in range(layers)]


class GCN(_MessagePassing):
    """Graph convolutions (Kipf & Welling 2017, arXiv:1609.02907), with edge features where there are any.

        x_i <- x_i + ReLU(Norm(GCN(x, e)_i))

    A layer is `graphpe.models.layers.convolutions.GCNLayer`; see there for where it differs from OGB's.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GCN(width=16, layers=2, node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D.
        layers: Number of layers.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout on a layer's result.
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

    def _stack(self, layers: int) -> list[nn.Module]:
        return [_Residual(GCNLayer(self.width), self.width, self.norm, self.dropout) for _ in range(layers)]


class _Residual(nn.Module):
    """x + dropout(ReLU(Norm(layer(x))))."""

    def __init__(self, layer: nn.Module, width: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.norm = build_norm(norm, width)
        self.dropout = dropout

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        update, edge = self.layer(x, edge, pairs)
        return x + functional.dropout(torch.relu(self.norm(update)), self.dropout, self.training), edge
