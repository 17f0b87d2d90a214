"""Tuned GCN, GraphSAGE and GAT: Luo et al., "Classic GNNs are Strong Baselines" (NeurIPS 2024, arXiv:2406.08993).

Design choices: what made classic message passing competitive with graph transformers on nodes: a linear residual
connection around every convolution, normalisation, dropout, many layers, and a sum over layers where asked for.

Shape legend: N nodes, E edges, B graphs, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_flags, check_probabilities
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.layers.convolutions import GCNLayer
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.neighbour_convolutions import AttentionConvolution, MeanConvolution
from graphpe.models.layers.normalization import NormOrNone, build_norm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, add_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text

Convolution = Literal["GCN", "SAGE", "GAT"]


class ClassicGNN(nn.Module):
    """GCN, GraphSAGE or GAT as tuned for nodes of one graph (Luo et al. 2024).

        x <- Dropout(x)
        x <- Dropout(ReLU(Norm(Conv(x) + W x + b)))          W x + b with `residual` only
        out = x of the last layer, or the sum over layers with `jumping`

        GCN:  b + sum_j W x_j / sqrt(d_i d_j)
        SAGE: U mean_j x_j + V x_i + b
        GAT:  sum_j softmax_j(leaky_relu(s . W x_j + t . W x_i)) W x_j        head by head

    with j over the sources of the edges that end in i, and i itself, in all three. Edges are directed: for the
    published numbers a graph has both directions of each and no self-loops. Edge features enter once, added to the
    nodes at which edges end, as their mean.

    The published configuration for minesweeper, whose test ROC-AUC is between 97 and 98, is `ClassicGNN(conv="GCN",
    width=64, layers=12, dropout=0.2)` with learning rate 0.01 for 2,000 epochs: 8,448 parameters a layer, 102,018 in
    all with
    `LinearNodes(7, 64)` and a linear map to two classes.

    Costs per layer (multiply-adds): GCN N D^2 + E D, SAGE 2 N D^2 + E D, GAT N D^2 + E D, and N D^2 with `residual`;
    memory O(N D), and O(E H) for GAT.

    Differs from the released code (LUOyk1999/tunedGNN):

    * `node_encoder` maps the inputs to the width before the first layer (released: with `--pre_linear` only, else the
      first convolution does).
    * GCN adds each node to its own neighbours even where the graph has a self-loop (PyG adds what is missing).
    * Features of edges, which the released code does not have; layer normalisation and residual connection are on by
      argument as there, but batch normalisation and residual connection are the default.
    * Batch normalisation of fewer than two rows uses the running statistics instead of failing.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> head = torch.nn.Linear(16, 2)
        >>> model = M.ClassicGNN(conv="SAGE", width=16, layers=2, readout="none",
        ...     node_encoder=M.LinearNodes(3, 16), head=head)
        >>> model(data).shape
        torch.Size([5, 2])

    Args:
        conv: `GCN`, `SAGE` or `GAT`.
        width: Width D.
        layers: Number of layers.
        heads: Number of heads of `GAT`; divides `width`. Others have none.
        norm: `batch` or `layer` normalisation, or `none`.
        residual: Whether there is a linear map beside each convolution.
        jumping: Whether the result is the sum of all layers' results.
        dropout: Probability of dropout on the input embeddings and on each layer's result.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or an option is unknown.
    """

    def __init__(
        self,
        *,
        conv: Convolution = "GCN",
        width: int = 64,
        layers: int = 4,
        heads: int = 1,
        norm: NormOrNone = "batch",
        residual: bool = True,
        jumping: bool = False,
        dropout: float = 0.0,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads = check_counts(width=width, layers=layers, heads=heads)
        check_divides(heads, width)
        (dropout,) = check_probabilities(dropout=dropout)
        residual, jumping = check_flags(residual=residual, jumping=jumping)
        check_choice("conv", conv, get_args(Convolution))
        check_choice("norm", norm, get_args(NormOrNone))
        check_choice("readout", readout, READOUTS)
        self.conv: Convolution = conv
        self.width = width
        self.heads = heads
        self.norm: NormOrNone = norm
        self.residual = residual
        self.jumping = jumping
        self.dropout = float(dropout)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.layers = nn.ModuleList(
            ClassicLayer(conv, width, heads, norm=norm, residual=residual, dropout=self.dropout) for _ in range(layers)
        )
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

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
        x = add_edges(x, batch, self.edge_encoder, edge_index)
        x = functional.dropout(x, self.dropout, self.training)
        pairs = Neighbours(edge_index, x.shape[0], itself=self.conv != "GCN")
        out: Tensor | None = None
        for number, layer in enumerate(self.layers):
            x = layer(encodings.join(x, number), pairs)
            out = x if out is None or not self.jumping else out + x
        return self.head(pool(x if out is None else out, members, self.readout))

    def __repr__(self) -> str:
        names = ("conv", "width", "layers", "heads", "norm", "residual", "jumping", "dropout", "readout")
        return call_text(self, names)


class ClassicLayer(nn.Module):
    """One layer: a convolution beside a linear map, then normalisation, ReLU and dropout.

    Args:
        conv: `GCN`, `SAGE` or `GAT`.
        width: Width D.
        heads: Number of heads of `GAT`.
        norm: `batch`, `layer` or `none`.
        residual: Whether there is the linear map.
        dropout: Probability of dropout.
    """

    def __init__(
        self, conv: Convolution, width: int, heads: int, *, norm: NormOrNone, residual: bool, dropout: float
    ) -> None:
        super().__init__()
        match conv:
            case "GCN":
                layer = GCNLayer(width)
                nn.init.xavier_uniform_(layer.linear.weight)  # as PyG's, with which the published values were found
                self.conv: nn.Module = layer
            case "SAGE":
                self.conv = MeanConvolution(width)
            case "GAT":
                self.conv = AttentionConvolution(width, heads)
        self.residual = nn.Linear(width, width) if residual else None
        self.norm = build_norm(norm, width)
        self.dropout = dropout

    def forward(self, x: Tensor, pairs: Neighbours) -> Tensor:
        """Node embeddings `[N, D]` after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            pairs: The neighbours; with each node itself unless the convolution is GCN, which adds it.
        """
        update = self.conv(x, None, pairs)[0] if isinstance(self.conv, GCNLayer) else self.conv(x, pairs)
        if self.residual is not None:
            update = update + self.residual(x)
        return functional.dropout(torch.relu(self.norm(update)), self.dropout, self.training)
