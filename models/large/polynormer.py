"""Polynormer: Deng et al., "Polynomial-Expressive Graph Transformer in Linear Time" (ICLR 2024, arXiv:2403.01232).

Design choices: every layer multiplies what attention gathers with a map of what was there, so that a stack of layers is
a polynomial of high degree in the inputs; first attention over edges, then linear attention over all nodes on the sum
of the first part's layers.

Shape legend: N nodes, E edges, B graphs, D width, H heads, C = D / H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_number, check_probabilities
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.attention.softmax.linear import linear_attention
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.neighbour_convolutions import AttentionConvolution
from graphpe.models.layers.normalization import RowLayerNorm
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.models.layers.stem import EncodingsIn, add_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text


class Polynormer(nn.Module):
    """Polynomial attention along edges, then over all nodes (Deng et al. 2024).

        x <- Dropout(x)
        h = ReLU(W x + b),   x <- Dropout(ReLU(GAT(x) + U x + u))
        x <- (1 - b') * LayerNorm(h * x) + b' * x                         `layers` times, `*` number by number
        y = LayerNorm(sum of x over these layers)

        A_i = sum_j (phi_i . phi_j) V y_j / sum_j phi_i . phi_j,    phi = sigmoid(K y + k),       head by head
        y <- Dropout(ReLU(O (LayerNorm(A) * (W' y + w' + b'')) + o))       `global_layers` times, one O and o

    GAT is graph attention over the sources of the edges that end in a node and the node itself
    (`graphpe.models.layers.neighbour_convolutions`). b', b'' are vectors of each layer: sigmoids of learned numbers,
    or, with `beta`, learned numbers that start there. Edges are directed: for the published numbers a graph has both
    directions of each and no self-loops. Edge features enter once, added to the nodes at which edges end, as their
    mean.

    The published configuration for minesweeper, whose test ROC-AUC is 97.46, is `Polynormer(width=512, layers=10,
    global_layers=3, heads=8, dropout=0.3, global_dropout=0.3)` (released: 64 hidden channels a head) with learning rate
    0.001; that for tolokers `Polynormer(width=960, layers=7, global_layers=4, heads=16, dropout=0.5,
    global_dropout=0.5, beta=0.1)`. A local layer has 3 D^2 + 7 D parameters, a global one 3 D^2 + 6 D, and D^2 + 3 D
    are
    shared: 10,537,474 in all for minesweeper with
    `LinearNodes(7, 512)` and a linear map to two classes.

    Costs per layer (multiply-adds): 3 N D^2 + E D for a local one, N D (4 D + 2 C) for a global one; memory
    O(N D + E H).

    Differs from the released code (cornell-zhang/Polynormer):

    * Both parts are trained together from the first step. The released training runs the first part alone for 100 to
      200 epochs, with a last layer of its own that is dropped afterwards, and goes on from its best epoch.
    * Dropout on the input features (`--in_dropout`) is left out.
    * The learned numbers b' and b'' start at zero, shares of a half (released: at random, around a half).
    * Sums of global attention are over each graph of a batch.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> head = torch.nn.Linear(16, 2)
        >>> model = M.Polynormer(width=16, layers=2, heads=4, readout="none",
        ...     node_encoder=M.LinearNodes(3, 16), head=head)
        >>> model(data).shape
        torch.Size([5, 2])

    Args:
        width: Width D of all heads together.
        layers: Number of local layers.
        global_layers: Number of layers of attention over all nodes.
        heads: Number of heads; divides `width`.
        beta: Where the shares b' and the numbers b'' start; None: sigmoids of learned numbers.
        dropout: Probability of dropout on the input embeddings and in local layers.
        global_dropout: Probability of dropout on a global layer's result.
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
        width: int = 64,
        layers: int = 7,
        global_layers: int = 2,
        heads: int = 8,
        beta: float | None = None,
        dropout: float = 0.0,
        global_dropout: float = 0.0,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, global_layers, heads = check_counts(
            width=width, layers=layers, global_layers=global_layers, heads=heads
        )
        check_divides(heads, width)
        dropout, global_dropout = check_probabilities(dropout=dropout, global_dropout=global_dropout)
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.heads = heads
        self.beta = None if beta is None else check_number("beta", beta, least=0, most=1)
        self.dropout = float(dropout)
        self.global_dropout = float(global_dropout)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.layers = nn.ModuleList(LocalLayer(width, heads, self.beta, self.dropout) for _ in range(layers))
        self.norm = RowLayerNorm(width)
        self.global_layers = nn.ModuleList(GlobalLayer(width, heads, self.beta) for _ in range(global_layers))
        self.out = nn.Linear(width, width)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers + global_layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["linear"]:
        """What the attention of the last layers runs over: sums over nodes."""
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
        pairs, nodes = Neighbours(edge_index, x.shape[0], itself=True), padded_nodes(members)
        x = functional.dropout(x, self.dropout, self.training)
        total: Tensor | None = None
        for number, layer in enumerate(self.layers):
            x = layer(encodings.join(x, number), pairs)
            total = x if total is None else total + x
        y = self.norm(total)
        for number, layer in enumerate(self.global_layers, start=len(self.layers)):
            y = torch.relu(self.out(layer(encodings.join(y, number), nodes)))
            y = functional.dropout(y, self.global_dropout, self.training)
        return self.head(pool(y, members, self.readout))

    def __repr__(self) -> str:
        names = ("width", "layers", "global_layers", "heads", "beta", "dropout", "global_dropout", "readout")
        return call_text(self, names)


class Shares(nn.Module):
    """A vector of D shares: sigmoids of learned numbers, or learned numbers that start at a value.

    Args:
        width: D.
        start: The value; None for sigmoids.
    """

    def __init__(self, width: int, start: float | None) -> None:
        super().__init__()
        self.through_sigmoid = start is None
        self.numbers = nn.Parameter(torch.full((width,), 0.0 if start is None else start))

    def forward(self) -> Tensor:
        """The shares, `[D]`, in float32 or better."""
        numbers = exactly(self.numbers)
        return numbers.sigmoid() if self.through_sigmoid else numbers


class LocalLayer(nn.Module):
    """A layer along the edges.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        beta: As in `Polynormer`.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, heads: int, beta: float | None, dropout: float) -> None:
        super().__init__()
        self.maps = nn.Linear(width, 2 * width)  # h, and what stands beside the attention
        self.attention = AttentionConvolution(width, heads)
        self.norm = RowLayerNorm(width)
        self.shares = Shares(width, beta)
        self.dropout = dropout

    def forward(self, x: Tensor, pairs: Neighbours) -> Tensor:
        """Node embeddings `[N, D]` after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            pairs: The neighbours, each node itself among them.
        """
        factor, own = self.maps(x).chunk(2, dim=1)
        x = functional.dropout(torch.relu(self.attention(x, pairs) + own), self.dropout, self.training)
        share = self.shares()
        return (1 - share) * self.norm(torch.relu(factor) * x) + share * x


class GlobalLayer(nn.Module):
    """A layer over all nodes of each graph, up to its output map, which all layers share.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        beta: As in `Polynormer`.
    """

    def __init__(self, width: int, heads: int, beta: float | None) -> None:
        super().__init__()
        self.heads = heads
        self.maps = nn.Linear(width, 3 * width)  # the factor, keys, which are queries as well, and values
        self.norm = RowLayerNorm(width)
        self.shares = Shares(width, beta)

    def forward(self, x: Tensor, nodes: PaddedNodes) -> Tensor:
        """Node embeddings `[N, D]` after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            nodes: The nodes of each graph.
        """
        factor, key, value = self.maps(x).chunk(3, dim=1)
        attended = linear_attention(key, key, value, nodes, heads=self.heads, feature="sigmoid")
        return self.norm(attended) * (factor + self.shares())
