"""The graph transformer of Dwivedi & Bresson, "A Generalization of Transformer Networks to Graphs" (arXiv:2012.09699).

Design choices: node and edge streams, each with residual connections and normalisation after addition (post-norm);
attention scores multiplied element-wise by projected edge features; structural encodings added once, to the node
embeddings; everything that depends on the batch's structure computed once and shared by the layers.

Shape legend: N nodes, E edges, B graphs, D width, H heads. "Pairs" are the edges (`attention="sparse"`) or all ordered
node pairs of each graph (`attention="full"`), P of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_flags, check_probabilities
from graphpe.models.attention import PaddedLayout, all_pairs, dense_attention, edge_attention, padded_layout
from graphpe.models.attention.gpu.edges import EdgeOrder, edges_for, pairs_for
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.positions.node_positions import (
    Attending,
    NodePositions,
    Placed,
    check_positions,
    place,
    query_key_value,
    restore,
    transform,
)
from graphpe.models.layers.gpu.residual import add_and_norm, feed_forward_and_norm
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.inputs import FactoredEdges, FactoredFeatures
from graphpe.models.layers.normalization import Norm, build_norm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text

Attention = Literal["sparse", "full"]


class GraphTransformer(nn.Module):
    """Graph transformer with edge features (Dwivedi & Bresson 2020, arXiv:2012.09699).

    A layer, for every pair (j -> i) and head, with C = width / heads:

        score_ij = (K h_j * Q h_i) / sqrt(C) * (P e_ij)                     element-wise
        a_ij     = exp(clamp(sum(score_ij), -5, 5)), normalised over j
        h_i     <- FFN(Norm(h_i + O_h [sum_j a_ij V h_j]))                  FFN with residual and norm, hidden width 2 D
        e_ij    <- FFN(Norm(e_ij + O_e [score_ij]))                         with `update_edges`

    With `update_edges=False` edge features enter every layer's score but are not updated; without an `edge_encoder`
    as well, the score is the plain product. The published ZINC configuration is the default with
    `heads=8, update_edges=True`, `CategoricalNodes(64, 28)`, `CategoricalEdges(64, 4)`,
    `EigenvectorEncoding("laplacian_eigenvector_pe", 8, 64)` and `MLPReadout(64, 1)`: 588,929 parameters.

    Costs per layer (multiply-adds): 8 N D^2 for nodes, 6 P D^2 more for an edge stream, 2 P D for attention.
    `attention="full"` without an edge stream runs in padded blocks and needs memory for P H scores; with an edge
    stream it keeps features of all pairs, P D numbers several times a layer, and suits small graphs only.

    Differs from the released code (graphdeeplearning/graphtransformer):

    * A node without an incoming pair gets a zero message. The released layer without edge features divides by zero
      there; the one with edge features adds 1e-6 to every denominator, here nothing is added and the weights sum to 1.
    * `full` attention keeps the features of real edges (parallel edges are summed) and gives every other pair one
      learned vector; it includes each node's attention to itself. The released code drops the features of real edges
      and has no self-pairs. The vector adds `width` parameters to the published count.
    * `update_edges=True` without an `edge_encoder` starts every pair from one learned vector (the released code has a
      linear map of the constant 1, which is the same with twice the parameters).
    * Random signs of eigenvectors are drawn for each graph, not one for each column of a batch (`EigenvectorEncoding`).
    * The last layer's edge update exists, so that counts and checkpoints agree, but nothing reads its result: it is not
      computed and its parameters do not require a gradient (in the released code they never get one). So
      DistributedDataParallel needs no `find_unused_parameters`.
    * Batch normalisation of fewer than two rows uses the running statistics instead of failing.
    * Q, K, V are one product. Exponentials and sums over neighbours are in float32 under autocast.
    * There is no dropout on the input (0 in every published configuration), and no switch for biases or residuals.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GraphTransformer(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of node and edge embeddings.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        attention: `sparse`: each node attends to the sources of the edges that end in it; `full`: to all nodes of its
            graph.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout on attention's output and inside the feed-forward networks.
        update_edges: Whether there is an edge stream.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        positions: `NodePositions` modules, which map queries, keys and values at each node. Rotations are relative
            where nothing multiplies the channels of a score: without an `edge_encoder` and `update_edges`.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or an option is unknown.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 10,
        heads: int = 8,
        attention: Attention = "sparse",
        norm: Norm = "batch",
        dropout: float = 0.0,
        update_edges: bool = False,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        positions: Sequence[NodePositions] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads = check_counts(width=width, layers=layers, heads=heads)
        check_divides(heads, width)
        (dropout,) = check_probabilities(dropout=dropout)
        (update_edges,) = check_flags(update_edges=update_edges)
        check_choice("attention", attention, get_args(Attention))
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.heads = heads
        self.attention = attention
        self.norm = norm
        self.dropout = float(dropout)
        self.update_edges = update_edges
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        check_positions(positions, widening=False)
        self.positions = nn.ModuleList(positions)
        scores_edges = update_edges or edge_encoder is not None
        # What a pair without features of its own is: one learned vector, like a row of an embedding table.
        plain = scores_edges and (attention == "full" or edge_encoder is None)
        self.plain_pair = nn.Parameter(torch.randn(width)) if plain else None
        stack = [
            GraphTransformerLayer(
                width, heads, norm=norm, dropout=dropout, score_edges=scores_edges, update_edges=update_edges
            )
            for _ in range(layers)
        ]
        stack[-1].skip_edge_update()
        self.layers = nn.ModuleList(stack)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["edges", "pair list", "padded"]:
        """What the attention of every layer runs over: the edges, or all pairs as a list or in padded blocks."""
        if self.attention == "sparse":
            return "edges"
        return "pair list" if self.update_edges else "padded"

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph; False if only along edges."""
        return self.attention_layout != "edges"

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        # In the cheapest form that the layers can use; None if scores do without.
        edges: Tensor | FactoredFeatures | None
        if isinstance(self.edge_encoder, FactoredEdges) and not self.update_edges:
            edges = self.edge_encoder.factors(batch)
        else:
            edges = embed_edges(batch, self.edge_encoder, self.plain_pair)
        pairs: Tensor | Neighbours | EdgeOrder | PaddedLayout
        if self.attention_layout == "padded":
            pairs = padded_layout(members, edge_index, self.heads)
        elif self.attention_layout == "pair list":
            complete = all_pairs(members, edge_index)
            pairs = pairs_for(complete)
            edges = complete.scatter(_rows(edges), _given(self.plain_pair))
        else:
            ordered = edges_for(edge_index, members.num_nodes)
            pairs = ordered if isinstance(ordered, EdgeOrder) else Neighbours(edge_index, x.shape[0])
        placed = place([*self.positions], batch, Attending(members, members.num_nodes))
        for number, layer in enumerate(self.layers):
            x, edges = layer(encodings.join(x, number), edges, pairs, self.plain_pair, placed)
        return self.head(pool(x, members, self.readout))

    def __repr__(self) -> str:
        names = ("width", "layers", "heads", "attention", "norm", "dropout", "update_edges", "readout")
        return call_text(self, names)


class GraphTransformerLayer(nn.Module):
    """One layer: attention, then a residual block for nodes and, with an edge stream, one for edges.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        norm: `batch` or `layer`.
        dropout: Probability of dropout.
        score_edges: Whether edge features enter the score.
        update_edges: Whether there is an edge stream; needs `score_edges`.
    """

    def __init__(
        self, width: int, heads: int, *, norm: Norm, dropout: float, score_edges: bool, update_edges: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.edge_projection = nn.Linear(width, width, bias=False) if score_edges else None
        self.node_block = ResidualBlock(width, norm, dropout)
        self.edge_block = ResidualBlock(width, norm, dropout) if update_edges else None
        self.updates_edges = update_edges

    def skip_edge_update(self) -> None:
        """Leave edges as they are: nothing reads them after this layer. Its parameters stay, without gradients."""
        self.updates_edges = False
        if self.edge_block is not None:
            self.edge_block.requires_grad_(False)

    def forward(
        self,
        x: Tensor,
        edges: Tensor | FactoredFeatures | None,
        pairs: Tensor | Neighbours | EdgeOrder | PaddedLayout,
        plain_pair: Tensor | None = None,
        placed: tuple[Placed, ...] = (),
    ) -> tuple[Tensor, Tensor | FactoredFeatures | None]:
        """Node embeddings and edge features after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            edges: Features of the pairs (of the real edges where `pairs` is padded), `[P, D]`.
            pairs: Pairs (source, target), `[2, P]` or `Neighbours`, in both orders for a GPU, or all pairs in padded
                blocks.
            plain_pair: Features of a pair without an edge, `[D]`; read only where `pairs` is padded.
            placed: What positions do to queries, keys and values.
        """
        query, key, value, structure = query_key_value(self.query_key_value, x, placed)
        query, key, value = transform(placed, query, key, value, structure)
        factor, absent = None, None
        if self.edge_projection is not None:
            factor = (
                edges.map(self.edge_projection) if isinstance(edges, FactoredFeatures) else self.edge_projection(edges)
            )
        if isinstance(pairs, PaddedLayout):
            if self.edge_projection is not None:
                absent = self.edge_projection(plain_pair)
            message = dense_attention(query, key, value, pairs, factor, absent, heads=self.heads)
            return self.node_block(x, restore(placed, message)), edges
        message, score = edge_attention(
            query, key, value, pairs, factor, heads=self.heads, return_scores=self.updates_edges
        )
        if self.edge_block is not None and score is not None:
            edges = self.edge_block(edges, score)
        return self.node_block(x, restore(placed, message)), edges


class ResidualBlock(nn.Module):
    """Output projection and feed-forward network of one stream: y = Norm(x + O update), then Norm(y + FFN(y)).

    Args:
        width: Width D of the stream.
        norm: `batch` or `layer`.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.out = nn.Linear(width, width)
        self.norm_1 = build_norm(norm, width)
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(2 * width, width)
        self.norm_2 = build_norm(norm, width)

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        """From `x` and its update, `[rows, D]` each, to `[rows, D]`.

        Args:
            x: The stream, `[rows, D]`.
            update: What is added to it, `[rows, D]`.
        """
        x = add_and_norm(self.norm_1, x, self._drop(update), self.out)
        dropout = self.dropout if self.training else 0.0
        return feed_forward_and_norm(self.norm_2, x, self.expand, self.contract, inner_dropout=dropout)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x


def _rows(edges: Tensor | FactoredFeatures | None) -> Tensor:
    assert isinstance(edges, Tensor), "an edge stream has its features as rows"
    return edges


def _given(vector: Tensor | None) -> Tensor:
    assert vector is not None, "an edge stream over all pairs has a vector for pairs without an edge"
    return vector
