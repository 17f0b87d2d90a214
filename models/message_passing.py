"""Message-passing baselines for the grid: gated graph convolutions, GINE and GCN with edge features.

Design choices: residual layers of one width, batch or layer normalisation, encodings added once to the node embeddings,
as in Dwivedi et al., "Benchmarking Graph Neural Networks" (arXiv:2003.00982). What strong baselines have beside that
are arguments: a feed-forward network after each layer (GNN+, Luo et al. 2025, arXiv:2502.09263), a virtual node and the
layers of OGB (Hu et al. 2020, arXiv:2005.00687).

Shape legend: N nodes, E edges, B graphs, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags, check_probabilities
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.layers.convolutions import (
    ConvolutionBlock,
    FeedForwardBlock,
    GatedGCNLayer,
    GCNLayer,
    GINELayer,
    OGBGCNLayer,
    OGBGINLayer,
)
from graphpe.models.layers.gpu.two_layers import Activation
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.normalization import NormOrNone
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text
from graphpe.models.layers.virtual_nodes import VirtualNode

Variant = Literal["plain", "ogb"]


class _MessagePassing(nn.Module):
    """Encoders, a stack of layers, a readout and a head: what the baselines share."""

    # Whether layers read features of edges even where edges carry nothing.
    needs_edges: ClassVar[bool] = False
    # Arguments that came later, with their defaults.
    optional: ClassVar[dict[str, Any]] = {
        "residual": True,
        "activation": "relu",
        "feed_forward": False,
        "virtual_node": False,
    }

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 4,
        norm: NormOrNone = "batch",
        dropout: float = 0.0,
        residual: bool = True,
        activation: Activation = "relu",
        feed_forward: bool = False,
        virtual_node: bool = False,
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
        residual, feed_forward, virtual_node = check_flags(
            residual=residual, feed_forward=feed_forward, virtual_node=virtual_node
        )
        check_choice("norm", norm, get_args(NormOrNone))
        check_choice("activation", activation, get_args(Activation))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.norm: NormOrNone = norm
        self.dropout = float(dropout)
        self.residual = residual
        self.activation: Activation = activation
        self.feed_forward = feed_forward
        self.virtual_node = virtual_node
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
        options: dict[str, Any] = {"norm": norm, "dropout": self.dropout}
        self.networks = nn.ModuleList(
            FeedForwardBlock(width, activation=activation, **options) for _ in range(layers if feed_forward else 0)
        )
        self.virtual = VirtualNode(width, layers, residual=residual, **options) if virtual_node else None

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
        virtual = None if self.virtual is None else self.virtual.start(members)
        for number, layer in enumerate(self.layers):
            x = given = encodings.join(x, number)
            if virtual is not None:
                x = given = x + virtual.index_select(0, members.graph)
            x, edge = layer(x, self._edge_of(batch, edge, number), pairs)
            if self.feed_forward:
                x = self.networks[number](x)
            if virtual is not None and self.virtual is not None:
                virtual = self.virtual(number, virtual, given, members)
        return self.head(pool(x, members, self.readout))

    def _edge_of(self, batch: Data, edge: Tensor | None, number: int) -> Tensor | None:
        """What a layer reads of edges."""
        return edge

    def __repr__(self) -> str:
        return call_text(self, ("width", "layers", "norm", "dropout", "readout"), self.optional)


class GatedGCN(_MessagePassing):
    """Gated graph convolutions with an edge stream (Bresson & Laurent 2017, arXiv:1711.07553).

    A layer is `graphpe.models.layers.convolutions.GatedGCNLayer`. The published ZINC configuration (GatedGCN-E-PE) is
    `GatedGCN(width=78, layers=16)` with 8 eigenvectors: 505,011 parameters.

    With `feed_forward`, each layer is followed by h = Norm(x), x <- Norm(h + W_2 act(W_1 h)), hidden width 2 D, with
    dropout after either map: GatedGCN+ of Luo et al. 2025 (arXiv:2502.09263; recipes gatedgcn-plus-zinc, ...),
    4 D^2 + 7 D parameters more a layer. With `virtual_node` graphs have one each
    (`graphpe.models.layers.virtual_nodes.VirtualNode`).

    Differs from the released code (graphdeeplearning/benchmarking-gnns, LUOyk1999/GNNPlus): the last layer's edge
    update, which nothing reads, is not computed and the parameters of its norm do not require a gradient; batch
    normalisation of fewer than two rows uses the running statistics; sums of gates are in float32; without an
    `edge_encoder` every edge starts from one learned vector.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GatedGCN(width=16, layers=2, feed_forward=True,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D.
        layers: Number of layers.
        norm: `batch` or `layer` normalisation, or `none`.
        dropout: Probability of dropout on a layer's result, inside the feed-forward network and on virtual nodes.
        residual: Whether a layer's input is added to its result; also of edges and of virtual nodes.
        activation: `relu` or `gelu`.
        feed_forward: Whether a feed-forward network follows each layer.
        virtual_node: Whether each graph has a virtual node.
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
        options: dict[str, Any] = {"norm": self.norm, "dropout": self.dropout}
        options |= {"residual": self.residual, "activation": self.activation}
        stack = [GatedGCNLayer(self.width, **options) for _ in range(layers)]
        stack[-1].skip_edge_update()
        return list(stack)


class _Convolutional(_MessagePassing):
    """GINE and GCN: a convolution, then normalisation, activation and dropout; or the layers of OGB's baselines."""

    optional: ClassVar[dict[str, Any]] = {**_MessagePassing.optional, "variant": "plain", "edge_features": True}

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 4,
        norm: NormOrNone = "batch",
        dropout: float = 0.0,
        residual: bool = True,
        activation: Activation = "relu",
        feed_forward: bool = False,
        virtual_node: bool = False,
        variant: Variant = "plain",
        edge_features: bool = True,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        check_choice("variant", variant, get_args(Variant))
        (edge_features,) = check_flags(edge_features=edge_features)
        self.variant: Variant = variant  # before the others: the stack depends on it
        self.edge_features = edge_features
        super().__init__(
            width=width,
            layers=layers,
            norm=norm,
            dropout=dropout,
            residual=residual,
            activation=activation,
            feed_forward=feed_forward,
            virtual_node=virtual_node,
            readout=readout,
            encodings_in=encodings_in,
            node_encoder=node_encoder,
            edge_encoder=edge_encoder if edge_features else None,
            encodings=encodings,
            head=head,
        )
        again = layers - 1 if variant == "ogb" and self.edge_encoder is not None else 0
        self.edge_encoders = nn.ModuleList(_drawn_again(edge_encoder) for _ in range(again))

    def _convolution(self) -> nn.Module:
        raise NotImplementedError

    def _stack(self, layers: int) -> list[nn.Module]:
        stack = [
            ConvolutionBlock(
                self._convolution(),
                self.width,
                self._norm(),
                self.dropout,
                residual=self.residual,
                # OGB's last layer ends without.
                activation=None if self.variant == "ogb" and number == layers - 1 else self.activation,
            )
            for number in range(layers)
        ]
        return list(stack)

    def _norm(self) -> NormOrNone:
        """The normalisation after a convolution."""
        return self.norm

    def _edge_of(self, batch: Data, edge: Tensor | None, number: int) -> Tensor | None:
        if number == 0 or not len(self.edge_encoders):
            return edge
        return embed_edges(batch, self.edge_encoders[number - 1])


class GINE(_Convolutional):
    """Graph isomorphism networks with edge features (Hu et al. 2020, arXiv:1905.12265), on PyG's `GINEConv`.

        x_i <- x_i + ReLU(Norm(MLP(x_i + sum_j ReLU(x_j + e_ij))))

    Without an `edge_encoder` e_ij = 0. Edge features are those of the input in every layer.

    With `feed_forward`, each layer is followed by h = Norm(x), x <- Norm(h + W_2 act(W_1 h)), hidden width 2 D, with
    dropout after either map, and has no normalisation of its own: GIN+ of Luo et al. 2025 (arXiv:2502.09263; recipes
    gin-plus-zinc, ...), 6 D^2 + 9 D parameters a layer. With `virtual_node` graphs have one each
    (`graphpe.models.layers.virtual_nodes.VirtualNode`).

    `variant="ogb"`: GIN of OGB's baselines (Hu et al. 2020, arXiv:2005.00687), whose layers are
    `graphpe.models.layers.convolutions.OGBGINLayer`, with an edge encoder of its own in each and no activation after
    the last. GIN+virtual of the leaderboards is `GINE(width=300, layers=5, dropout=0.5, residual=False,
    virtual_node=True, variant="ogb")`: on molhiv 3,336,306 parameters, without virtual nodes 1,885,206 (recipes
    gin-virtual-molhiv, ...).

    Differs from the released code (snap-stanford/pretrain-gnns): residual connections; an MLP of one hidden layer of
    the same width without a norm inside, as in GraphGPS; one encoding of edges for all layers; no learned epsilon.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GINE(width=16, layers=2, virtual_node=True,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D.
        layers: Number of layers.
        norm: `batch` or `layer` normalisation, or `none`.
        dropout: Probability of dropout on a layer's result, inside the feed-forward network and on virtual nodes.
        residual: Whether a layer's input is added to its result; also of virtual nodes.
        activation: `relu` or `gelu`.
        feed_forward: Whether a feed-forward network follows each layer.
        virtual_node: Whether each graph has a virtual node.
        variant: `plain`, or `ogb` for the layers of OGB's baselines.
        edge_features: Whether layers read what `edge_encoder` makes of edges.
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

    def _norm(self) -> NormOrNone:
        return "none" if self.feed_forward else self.norm

    def _convolution(self) -> nn.Module:
        return OGBGINLayer(self.width, self.norm) if self.variant == "ogb" else GINELayer(self.width)


class GCN(_Convolutional):
    """Graph convolutions (Kipf & Welling 2017, arXiv:1609.02907), with edge features where there are any.

        x_i <- x_i + ReLU(Norm(GCN(x, e)_i))

    A layer is `graphpe.models.layers.convolutions.GCNLayer`; see there for where it differs from OGB's.

    With `feed_forward`, each layer is followed by h = Norm(x), x <- Norm(h + W_2 act(W_1 h)), hidden width 2 D, with
    dropout after either map: GCN+ of Luo et al. 2025 (arXiv:2502.09263; recipes gcn-plus-zinc, ...), 5 D^2 + 10 D
    parameters a layer. Where edges carry features, the released GCN+ sums ReLU(W x_j + e_ij) without degrees and
    without x_i; here both are there, as without features. With `virtual_node` graphs have one each
    (`graphpe.models.layers.virtual_nodes.VirtualNode`).

    `variant="ogb"`: GCN of OGB's baselines (Hu et al. 2020, arXiv:2005.00687), whose layers are
    `graphpe.models.layers.convolutions.OGBGCNLayer`, with an edge encoder of its own in each and no activation after
    the last. GCN+virtual of the leaderboards is `GCN(width=300, layers=5, dropout=0.5, residual=False,
    virtual_node=True, variant="ogb")`: on molhiv 1,978,801 parameters, without virtual nodes 527,701 (recipes
    gcn-virtual-molhiv, ...).

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GCN(width=16, layers=2, feed_forward=True,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D.
        layers: Number of layers.
        norm: `batch` or `layer` normalisation, or `none`.
        dropout: Probability of dropout on a layer's result, inside the feed-forward network and on virtual nodes.
        residual: Whether a layer's input is added to its result; also of virtual nodes.
        activation: `relu` or `gelu`.
        feed_forward: Whether a feed-forward network follows each layer.
        virtual_node: Whether each graph has a virtual node.
        variant: `plain`, or `ogb` for the layers of OGB's baselines.
        edge_features: Whether layers read what `edge_encoder` makes of edges.
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

    def _convolution(self) -> nn.Module:
        return OGBGCNLayer(self.width) if self.variant == "ogb" else GCNLayer(self.width)


def _drawn_again(encoder: nn.Module | None) -> nn.Module:
    """A copy with parameters of its own."""
    assert encoder is not None
    out = copy.deepcopy(encoder)
    for part in out.modules():
        if callable(reset := getattr(part, "reset_parameters", None)):
            reset()
    return out
