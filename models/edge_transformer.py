"""The Edge Transformer of Bergen, O'Donnell & Bahdanau (NeurIPS 2021), of graphs as in Müller et al. (NeurIPS 2024).

Design choices: what a layer updates are vectors of pairs of nodes, nodes have none of their own; a pair attends to the
ways of two pairs that join its ends (triangular attention), which no model whose attention is over nodes does; a
normalisation before each part of a layer (pre-norm) and one after the last; nodes and graphs are read from pairs.

Shape legend: N nodes, B graphs, n nodes of a graph, D width, H heads, C = D / H, P pairs: all ordered pairs of nodes of
each graph, a row (i, j) for the pair j -> i.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_flags, check_probabilities
from graphpe.models.attention.pairs import PairSet, all_pairs
from graphpe.models.attention.triplet.attention import triplet_attention
from graphpe.models.attention.triplet.triplets import Triplets
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.heads import READOUTS, PairHead, Readout, pool
from graphpe.models.layers.normalization import RowLayerNorm
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.models.layers.stem import embed_edges, read_nodes
from graphpe.models.layers.text import call_text


class EdgeTransformer(nn.Module):
    """Edge Transformer (Bergen et al., NeurIPS 2021; Müller et al., NeurIPS 2024).

    With node embeddings n, a pair starts as

        e_ij = W_t n_i + W_s n_j + (embedding of the edge j -> i, parallel ones summed; 0 without) + (s if i = j) + p_ij

    where s is a learned vector and p_ij are the `pair_encodings`. A layer, for every pair (i, j) and head:

        q, k, u, v   = W_q LN(e), W_k LN(e), W_u LN(e), W_v LN(e)                   of every pair, without biases
        a_ilj        = softmax over all nodes l of q_il k_lj / sqrt(C)              with dropout
        e_ij        <- e_ij + O [sum over l of a_ilj (u_il * v_lj)]                 channel by channel
        e_ij        <- e_ij + W_2 gelu(W_1 LN(e_ij))

    After the last layer e is normalised, and nodes are read from the rows and columns of their pairs,

        n_i = W_4 gelu(W_3 [mean_j r_ij, mean_j r'_ji]),    [r_ij, r'_ij] = gelu(W_r e_ij).

    A `PairHead` reads e_ij as well. The defaults are the published configuration for ZINC: with `CategoricalNodes(64,
    21)`, `CategoricalEdges(64, 4)`, sum readout and `MLPReadout(64, 1)` 257,281 parameters.

    What it tells apart, without encodings: never more than the two-dimensional folklore Weisfeiler-Leman test (2-FWL,
    as strong as 3-WL), with any weights: a layer makes e_ij from itself and the multiset over l of (e_il, e_lj), as its
    refinement does. Strongly regular graphs of equal parameters, as the 4x4 rook's and the Shrikhande graph, have the
    same outputs to rounding. And with some weights as much (proven by Müller et al.); random ones, in float64, tell
    apart all pairs of graphs in our tests that 2-FWL does and 1-WL does not. With encodings that tell more it tells
    more.

    Costs of a layer for a graph, in multiply-adds forward: (5 + 2 expansion) n^2 D^2 in linear maps, n^3 (3 D + H) in
    the attention, of which nothing is stored (`graphpe.models.attention.triplet`): memory is O(n^2 D). For the backward
    pass (9 + 2 expansion) D + H numbers a pair and layer are kept; with `checkpoint` D.

    Differs from the released code (luis-mueller/towards-principled-gts):

    * Graphs of several sizes are lists of pairs without padding, and no `[B, H, n, n, n]` exists.
    * Rows are [target, source] as everywhere here: released pairs are [source, target]. On undirected graphs it is the
      same model, on directed ones that of the reversed graph.
    * A layer has a normalisation before the attention and one before the feed-forward network; the released one has
      the first, and one after each addition.
    * The pair (i, i) is marked by s, an edge without features by a learned vector. The released code has no mark of
      self-pairs, which the proof asks for: there nodes without features look like pairs without an edge.
    * Encodings of pairs are added to e_ij; there RRWP takes half of the channels.
    * The readout takes means, where the released one takes sums, which grow with n, and normalises over the batch. It
      has one hidden layer less.
    * The triplet attention of TGT (Hussain et al. 2024) and the pivotal attention of FloydNet make scores and values of
      other pairs: they are other layers, and not here.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> model = M.EdgeTransformer(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), head=torch.nn.Linear(16, 1))
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of the vectors of nodes and pairs.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        expansion: Hidden width of the feed-forward network, in widths.
        dropout: Probability of dropout on both updates before they are added, and inside the feed-forward network.
        attention_dropout: Probability of dropout on a_ilj.
        checkpoint: Keep less memory for the backward pass and compute every layer again in it: about a third more time.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`; None: one learned vector for each edge.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        pair_encodings: Modules from a batch and a set of pairs to `[P, width]` (`PairLinear`, `PairEmbedding`).
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.
            A `PairHead` gets the vectors of nodes and of pairs instead.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or the readout is unknown.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "features"
    pair_diagonals: ClassVar[bool] = False
    pair_output: ClassVar[bool] = True

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 6,
        heads: int = 8,
        expansion: int = 2,
        dropout: float = 0.0,
        attention_dropout: float = 0.2,
        checkpoint: bool = False,
        readout: Readout = "mean",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        pair_encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads, expansion = check_counts(width=width, layers=layers, heads=heads, expansion=expansion)
        check_divides(heads, width)
        dropout, attention_dropout = check_probabilities(dropout=dropout, attention_dropout=attention_dropout)
        (checkpoint,) = check_flags(checkpoint=checkpoint)
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.heads = heads
        self.expansion = expansion
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.checkpoint = checkpoint
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.pair_encodings = nn.ModuleList(pair_encodings)
        self.target, self.source = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.self_pair = nn.Parameter(torch.randn(width))
        self.present = nn.Parameter(torch.randn(width)) if edge_encoder is None else None
        self.layers = nn.ModuleList(
            EdgeTransformerLayer(
                width, heads, expansion=expansion, dropout=self.dropout, attention_dropout=self.attention_dropout
            )
            for _ in range(layers)
        )
        self.norm = RowLayerNorm(width)
        self.read_pairs = nn.Linear(width, 2 * width)
        self.read_1, self.read_2 = nn.Linear(2 * width, width), nn.Linear(width, width)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["triplets"]:
        """What the attention of every layer runs over: all triplets of nodes of each graph."""
        return "triplets"

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph: as the ends of pairs, all of them do."""
        return True

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, x, pair, pairs = self._run(batch)
        if isinstance(self.head, PairHead):
            members.check_in_order()
            return self.head(x, pair, pairs)
        return self.head(pool(x, members, self.readout))

    def vectors(self, batch: Data) -> tuple[Tensor, Tensor, PairSet]:
        """What the layers make of a batch: vectors of nodes `[N, D]` and of pairs `[P, D]`, and which pairs these are.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads, or its nodes are not in order of their graphs.
        """
        members, x, pair, pairs = self._run(batch)
        members.check_in_order()
        return x, pair, pairs

    def _run(self, batch: Data) -> tuple[NodeToGraph, Tensor, Tensor, PairSet]:
        members, edge_index, x = read_nodes(self, batch)
        pairs = all_pairs(members, edge_index)
        triplets = Triplets(pairs, members)
        pair = self._pairs(batch, x, members, pairs)
        for layer in self.layers:
            if self.checkpoint and torch.is_grad_enabled() and not torch.compiler.is_compiling():
                drops = self.training and (self.dropout > 0 or self.attention_dropout > 0)
                pair = recomputed(layer, pair, triplets, use_reentrant=False, preserve_rng_state=drops)
            else:
                pair = layer(pair, triplets)
        pair = self.norm(pair)
        return members, self._nodes(pair, members, pairs).to(x.dtype), pair, pairs

    def _pairs(self, batch: Data, x: Tensor, members: NodeToGraph, pairs: PairSet) -> Tensor:
        """What pairs start from, `[P, D]`."""
        edge = embed_edges(batch, self.edge_encoder, self.present)
        assert edge is not None, "without an edge encoder there is a vector for edges"
        local = torch.arange(pairs.num_nodes, device=x.device) - members.ptr.index_select(0, members.graph)
        pair = pairs.scatter(edge)
        pair = pair.index_add(0, pairs.ptr[:-1] + local, self.self_pair.to(pair.dtype).expand(pairs.num_nodes, -1))
        pair = pair + self.target(x).index_select(0, pairs.target) + self.source(x).index_select(0, pairs.source)
        if self.pair_encodings:
            members.check_in_order()
        for encoding in self.pair_encodings:
            pair = pair + encoding(batch, pairs)
        return pair

    def _nodes(self, pair: Tensor, members: NodeToGraph, pairs: PairSet) -> Tensor:
        """Vectors of nodes, read from their rows and columns, `[N, D]`."""
        of_row, of_column = exactly(functional.gelu(self.read_pairs(pair))).chunk(2, dim=1)
        size = members.sizes.index_select(0, members.graph).unsqueeze(1)
        start = of_row.new_zeros(pairs.num_nodes, self.width)
        rows = start.index_add(0, pairs.target, of_row) / size
        columns = start.index_add(0, pairs.source, of_column) / size
        means = torch.cat([rows, columns], dim=1).to(pair.dtype)
        return self.read_2(functional.gelu(self.read_1(means)))

    def __repr__(self) -> str:
        names = ["width", "layers", "heads", "expansion", "dropout", "attention_dropout", "checkpoint", "readout"]
        return call_text(self, names)


class EdgeTransformerLayer(nn.Module):
    """One layer: triplet attention and a feed-forward network, of pairs; see `EdgeTransformer`.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        expansion: Hidden width of the feed-forward network, in widths.
        dropout: Probability of dropout on updates and in the feed-forward network.
        attention_dropout: Probability of dropout on weights.
    """

    def __init__(
        self, width: int, heads: int, *, expansion: int = 2, dropout: float = 0.0, attention_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.norm_1, self.norm_2 = RowLayerNorm(width), RowLayerNorm(width)
        self.maps = nn.Linear(width, 4 * width, bias=False)  # W_q over W_k over W_u over W_v
        self.out = nn.Linear(width, width, bias=False)
        self.expand, self.contract = nn.Linear(width, expansion * width), nn.Linear(expansion * width, width)

    def forward(self, pair: Tensor, triplets: Triplets) -> Tensor:
        """Vectors of pairs after the layer, `[P, D]`.

        Args:
            pair: Vectors of pairs, `[P, D]`.
            triplets: The triplets that they make.
        """
        dropout = self.attention_dropout if self.training else 0.0
        query, key, left, right = self.maps(self.norm_1(pair)).chunk(4, dim=1)
        message = triplet_attention(query, key, left, right, triplets, heads=self.heads, dropout=dropout)
        pair = pair + self._drop(self.out(message))
        hidden = self._drop(functional.gelu(self.expand(self.norm_2(pair))))
        return pair + self._drop(self.contract(hidden))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x
