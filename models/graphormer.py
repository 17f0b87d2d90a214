"""Graphormer: Ying et al., "Do Transformers Really Perform Badly for Graph Representation?" (NeurIPS 2021).

Design choices: a plain Transformer encoder with normalisation before each block; structure enters through embeddings of
degrees, through biases of attention, made once a batch and shared by all layers, and through a virtual node that is
joined to every node and read out.

Shape legend: N nodes, E edges, B graphs, D width, H heads; P ordered pairs of nodes of one graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_flags, check_integer, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import NodePositions, check_positions
from graphpe.models.batches.nodes import stated_edges
from graphpe.models.layers.gpu.feed_forward import norm_of_sum
from graphpe.models.layers.gpu.residual import add_before_norm
from graphpe.models.layers.heads import pool
from graphpe.models.layers.multi_head import AllPairs, FeedForward, MultiHeadAttention, all_pairs_of
from graphpe.models.layers.normalization import RowLayerNorm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text
from graphpe.models.layers.virtual_nodes import extend

GraphormerReadout = Literal["virtual", "mean", "sum", "max", "none"]


class Graphormer(nn.Module):
    """Graphormer (Ying et al. 2021, arXiv:2106.05234).

        h_i^0   = node embedding + encodings + z_in[indegree_i] + z_out[outdegree_i]
        logit_ij = q_i k_j / sqrt(C) + sum of pair biases(i, j) + sum over edges e: j -> i of <w_h, e>
        h <- h + MHA(LN(h)),  h <- h + FFN(LN(h))

    and a last LN. With `virtual_node` every graph has one more node, a learned vector, whose pairs have a bias of their
    own, the same for all; `readout="virtual"` takes its embedding. Pair encodings are `PairBias` modules for `heads`
    heads, made once a batch: of hops with `head="table"` the paper's spatial encoding, of `EdgePathPE` with
    `head="path"` its edge encoding, of resistances with `mode="both"` Graphormer-GD. Biases go through PyTorch's
    `scaled_dot_product_attention`, multiplied factors do not.

    The published slim configuration for ZINC is the default: 39,200 parameters a layer, 470,400 of its 489,321; the
    rest are embeddings, which differ (see below).

    Costs per layer (multiply-adds): (4 + 2 expansion) N D^2 for nodes and 2 P D for attention; P H numbers for biases,
    once.

    Differs from the released code (microsoft/Graphormer v1):

    * Edge features also enter directly, through the edges' own pairs, where there is an `edge_encoder`. In the released
      code they enter along shortest paths only, which `EdgePathPE` gives here: as a mean over all shortest paths, not
      the first that a search finds, and with one weight for each step and type (no embedding of types in between).
    * Degrees are counted in the batch, parallel edges each, instead of stored with the graph.
    * A pair without a path has a bias of its own; the released code has distance 510 there.
    * No dropout inside the feed-forward network apart from `dropout`; padding is masked and has no embedding.
    * Readout by mean, sum or max, and graphs without a virtual node, are added.

    `positions` have the virtual node at the origin. What they say of two nodes depends on differences; what they say of
    a node and the virtual one on the node's coordinates themselves, so that a shift of all of them, and a choice of
    phase or sign (gauge) that `MagneticRotary` does not see between nodes, changes the output. `virtual_node=False`
    with `readout="mean"` has none of it.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.ShortestPathPE(max_distance=4)(data)
        >>> encoding = M.PairBias("shortest_path", 4, size=6)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.Graphormer(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), pair_encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of node embeddings.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        expansion: Width of the feed-forward network in units of `width`.
        dropout: Probability of dropout after attention, inside and after the feed-forward network.
        attention_dropout: Probability of dropout of attention weights.
        max_degree: Greatest in- and out-degree with an embedding of its own; 0 for no embeddings of degrees.
        virtual_node: Whether every graph has a virtual node.
        readout: `virtual`: the virtual node; `mean`, `sum`, `max` over the others; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        pair_encodings: `PairBias` and `PairTerms` modules for `heads` heads.
        positions: `NodePositions` modules, which map queries, keys and values at each node.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, an option is unknown, or the
            virtual node is to be read out where there is none.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "biases"
    pair_diagonals: ClassVar[bool] = False
    default_encodings: ClassVar[tuple[str, ...]] = ("ShortestPathPE(max_distance=20)",)

    def __init__(
        self,
        *,
        width: int = 80,
        layers: int = 12,
        heads: int = 8,
        expansion: int = 1,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        max_degree: int = 63,
        virtual_node: bool = True,
        readout: GraphormerReadout = "virtual",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        pair_encodings: Sequence[nn.Module] = (),
        positions: Sequence[NodePositions] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads, expansion = check_counts(width=width, layers=layers, heads=heads, expansion=expansion)
        check_divides(heads, width)
        dropout, attention_dropout = check_probabilities(dropout=dropout, attention_dropout=attention_dropout)
        (virtual_node,) = check_flags(virtual_node=virtual_node)
        check_choice("readout", readout, get_args(GraphormerReadout))
        max_degree = check_integer("max_degree", max_degree, least=0)
        if readout == "virtual" and not virtual_node:
            raise GraphPEValueError("readout='virtual' needs virtual_node=True (got False)")
        self.width = width
        self.heads = heads
        self.expansion = expansion
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.max_degree = max_degree
        self.virtual_node = virtual_node
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        check_positions(positions)
        self.pair_encodings = nn.ModuleList(pair_encodings)
        self.positions = nn.ModuleList(positions)
        self.in_degree, self.out_degree = (
            nn.Embedding(max_degree + 1, width) if max_degree else None for _ in range(2)
        )
        self.edge_bias = nn.Linear(width, heads, bias=False) if edge_encoder is not None else None
        self.virtual = nn.Parameter(torch.empty(width)) if virtual_node else None
        self.virtual_bias = nn.Parameter(torch.empty(heads)) if virtual_node else None
        self.layers = nn.ModuleList(
            GraphormerLayer(width, heads, expansion * width, dropout=dropout, attention_dropout=attention_dropout)
            for _ in range(layers)
        )
        self.norm = RowLayerNorm(width)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()
        self._reset()

    def _reset(self) -> None:
        """As in the released code: N(0, 0.02^2) for embeddings."""
        for table in (self.in_degree, self.out_degree):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)
        for vector in (self.virtual, self.virtual_bias):
            if vector is not None:
                nn.init.normal_(vector, std=0.02)

    @property
    def attention_layout(self) -> Literal["padded"]:
        """What the attention of every layer runs over: all pairs in padded blocks."""
        return "padded"

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
            GraphPEValueError: If the batch lacks what an encoder or a pair encoding reads; the message says what to
                add.
        """
        members, _, x, encodings = read_for_layers(self, batch)
        if self.max_degree:
            x = x + members.sort(self._degrees(batch, x))
        edge = embed_edges(batch, self.edge_encoder)
        if edge is not None and self.edge_bias is not None:
            edge = self.edge_bias(edge)
        extended = extend(members) if self.virtual_node else None
        pairs = all_pairs_of(
            batch, members, list(self.pair_encodings), edge, extended, self.virtual_bias, [*self.positions]
        )
        if extended is not None and self.virtual is not None:
            x, encodings = extended.join(x, self.virtual), encodings.at(extended.real)
        x = functional.dropout(x, self.dropout, self.training)
        update: Tensor | None = None
        for number, layer in enumerate(self.layers):
            if update is not None and encodings.value is not None:
                x, update = x + update, None
            x, update = layer(encodings.join(x, number), pairs, update)
        out, _ = norm_of_sum(self.norm, x, update)
        return self.head(pool(out, members, self.readout, extended))

    def _degrees(self, batch: Data, x: Tensor) -> Tensor:
        """Embeddings of in- and out-degrees, `[N, D]`, in the batch's order."""
        if self.in_degree is None or self.out_degree is None:
            return torch.zeros_like(x[:1])
        edge_index = stated_edges(batch)
        assert edge_index is not None, "read before"
        source, target = edge_index[0], edge_index[1]
        ones = torch.ones_like(source)
        count = ones.new_zeros(x.shape[0])
        degrees = (count.index_add(0, end, ones).clamp(max=self.max_degree) for end in (target, source))
        entering, leaving = degrees
        return self.in_degree(entering) + self.out_degree(leaving)

    def __repr__(self) -> str:
        names = ("width", "layers", "heads", "expansion", "dropout", "attention_dropout", "max_degree")
        return call_text(self, (*names, "virtual_node", "readout"))


class GraphormerLayer(nn.Module):
    """One layer: attention, then a feed-forward network, each after a layer norm and added to its input.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        hidden: Width of the feed-forward network.
        dropout: Probability of dropout.
        attention_dropout: Probability of dropout of attention weights.
    """

    def __init__(self, width: int, heads: int, hidden: int, *, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.attention_norm = RowLayerNorm(width)
        self.attention = MultiHeadAttention(width, heads, dropout=attention_dropout)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward_norm = RowLayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, activation="gelu", dropout=dropout)

    def forward(self, x: Tensor, pairs: AllPairs, update: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Two parts of the node embeddings after the layer, which are their sum: it is taken with the next norm.

        Args:
            x: Node embeddings, `[N, D]`.
            pairs: All pairs of each graph, with their biases.
            update: What is to be added to them, `[N, D]`; None for nothing.
        """
        rows, x = norm_of_sum(self.attention_norm, x, update)
        dropout = self.dropout.p if self.training else 0.0
        hidden = self.attention.attended(rows, pairs)
        rows, x = add_before_norm(self.feed_forward_norm, x, hidden, self.attention.out, dropout)
        return x, self.feed_forward(rows)
