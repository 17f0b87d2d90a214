"""SAT: Chen et al., "Structure-Aware Transformer for Graph Representation Learning" (ICML 2022, arXiv:2202.03036).

Design choices: queries and keys are not made of node embeddings but of what a small message-passing network, the
structure extractor, sees in k hops around each node; values are node embeddings. The variant of Geisler et al.,
"Transformers Meet Directed Graphs" (ICML 2023, arXiv:2302.00049), for ogbg-code2 ("SAT++") walks edges both ways with
weights of their own, reads out a class token and uses GELU and layer normalisation.

Shape legend: N nodes, E edges, B graphs, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_flags, check_integer, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import NodePositions, check_positions
from graphpe.models.layers.gpu.residual import add_and_norm
from graphpe.models.layers.gpu.two_layers import Activation
from graphpe.models.layers.heads import pool
from graphpe.models.layers.multi_head import AllPairs, FeedForward, MultiHeadAttention, all_pairs_of
from graphpe.models.layers.normalization import Norm, build_norm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.structure_extractor import Neighbourhood, StructureExtractor
from graphpe.models.layers.text import call_text
from graphpe.models.layers.virtual_nodes import extend

SATReadout = Literal["cls", "mean", "sum", "max", "none"]


class SAT(nn.Module):
    """Structure-aware transformer (Chen et al. 2022), and its form for directed graphs (Geisler et al. 2023).

        s      = StructureExtractor(x)                                     k hops of messages
        a_ij   = softmax_j(Q s_i . K s_j / sqrt(C) + pair biases)
        x_i <- Norm(x_i + d_i O sum_j a_ij V x_j),    d_i = 1 / sqrt(outdegree_i + 1) with `degree_residual`, else 1
        x_i <- Norm(x_i + FFN(x_i))

    The form for ogbg-code2 (SAT++) is `SAT(width=256, layers=4, heads=4, hops=3, expansion=4, activation="gelu",
    norm="layer", dropout=0.18, readout="cls")` with `ASTNodeEncoder`, which encodes depth, and `MagLapNet` as encoding.

    Costs per layer (multiply-adds): (4 + 2 expansion) N D^2, 2 P D for attention over P pairs, and for the extractor
    (3 / 2 + hops (3 + directions) / 4) N D^2, and E D^2 / 2 with edge features.

    Differs from the released code (BorgwardtLab/SAT; google-deepmind/digraph_transformer):

    * A hop of the extractor is ReLU(W h_i + sum over directions of W' mean_j ReLU(h_j + e_ij)) of width D / 2
      ("tightening" 2), all hops concatenated with the input and mapped to D. SAT takes any of PyG's layers (GCN, PNA)
      and a batch norm of the concatenation; SAT++ a network of jraph with sums and an MLP for messages.
    * The degree is the number of outgoing edges, as in SAT++; SAT has 1 / sqrt(1 + degree).
    * Attention weights have no dropout unless asked for; there is no separate symmetric form with Q = K.
    * The class token sees and is seen by every node, has no edges, and is not scaled by a degree.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.SAT(width=16, layers=2, heads=4, hops=2,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of node embeddings; even.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        hops: Hops of the structure extractor; 0 for none: a plain Transformer.
        bidirectional: Whether the extractor walks edges against their direction too, with weights of their own.
        expansion: Width of the feed-forward network in units of `width`.
        activation: Of the feed-forward network: `relu` or `gelu`.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout after attention, inside and after the feed-forward network.
        attention_dropout: Probability of dropout of attention weights.
        degree_residual: Whether attention's result is scaled by 1 / sqrt(outdegree + 1).
        readout: `cls`: a class token; `mean`, `sum`, `max` over nodes; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]` for the extractor, or None where edges carry nothing;
            not used with `hops=0`.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        pair_encodings: `PairBias` and `PairTerms` modules for `heads` heads.
        positions: `NodePositions` modules, which map queries, keys and values at each node.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` or 2 does not divide `width`, or an option is unknown.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "biases"
    pair_diagonals: ClassVar[bool] = False

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 6,
        heads: int = 8,
        hops: int = 3,
        bidirectional: bool = True,
        expansion: int = 2,
        activation: Activation = "relu",
        norm: Norm = "batch",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        degree_residual: bool = True,
        readout: SATReadout = "mean",
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
        hops = check_integer("hops", hops, least=0)
        if hops and width % 2:
            raise GraphPEValueError(f"width must be even for the structure extractor (got {width})")
        dropout, attention_dropout = check_probabilities(dropout=dropout, attention_dropout=attention_dropout)
        bidirectional, degree_residual = check_flags(bidirectional=bidirectional, degree_residual=degree_residual)
        check_choice("activation", activation, get_args(Activation))
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, get_args(SATReadout))
        self.width = width
        self.heads = heads
        self.hops = hops
        self.bidirectional = bidirectional
        self.expansion = expansion
        self.activation = activation
        self.norm = norm
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.degree_residual = degree_residual
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder if hops else None
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        check_positions(positions)
        self.pair_encodings = nn.ModuleList(pair_encodings)
        self.positions = nn.ModuleList(positions)
        self.token = nn.Parameter(torch.randn(width) * 0.02) if readout == "cls" else None
        self.layers = nn.ModuleList(
            SATLayer(
                width,
                heads,
                StructureExtractor(width, hops, bidirectional=bidirectional, edges=edge_encoder is not None)
                if hops
                else None,
                FeedForward(width, expansion * width, activation=activation, dropout=self.dropout),
                norm=norm,
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
            )
            for _ in range(layers)
        )
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

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
        members, edge_index, x, encodings = read_for_layers(self, batch)
        edge = embed_edges(batch, self.edge_encoder)
        extended = extend(members) if self.readout == "cls" else None
        pairs = all_pairs_of(batch, members, list(self.pair_encodings), extended=extended, positions=[*self.positions])
        if extended is not None and self.token is not None:
            x, encodings = extended.join(x, self.token), encodings.at(extended.real)
            edge_index = extended.real[edge_index]
        exact = torch.promote_types(x.dtype, torch.float32)
        ones = torch.ones(edge_index.shape[1], 1, dtype=exact, device=x.device)
        # Nodes have at least a degree of 1 here; a token has no edges.
        leaving, entering = (ones.new_zeros(x.shape[0], 1).index_add(0, end, ones) for end in edge_index)
        scale = (leaving + 1).rsqrt() if self.degree_residual else None
        around = Neighbourhood(edge_index, entering.clamp(min=1).reciprocal(), leaving.clamp(min=1).reciprocal())
        for number, layer in enumerate(self.layers):
            x = layer(encodings.join(x, number), edge, around, pairs, scale)
        return self.head(pool(x, members, self.readout, extended))

    def __repr__(self) -> str:
        names = ("width", "layers", "heads", "hops", "bidirectional", "expansion", "activation", "norm", "dropout")
        return call_text(self, (*names, "attention_dropout", "degree_residual", "readout"))


class SATLayer(nn.Module):
    """One layer: attention by structure, then a feed-forward network, each with its residual connection and norm after.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        extractor: What queries and keys are made of; None for node embeddings.
        feed_forward: The feed-forward network.
        norm: `batch` or `layer`.
        dropout: Probability of dropout after attention.
        attention_dropout: Probability of dropout of attention weights.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        extractor: StructureExtractor | None,
        feed_forward: FeedForward,
        *,
        norm: Norm,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.attention = MultiHeadAttention(width, heads, dropout=attention_dropout)
        self.dropout = nn.Dropout(dropout)
        self.attention_norm = build_norm(norm, width)
        self.feed_forward = feed_forward
        self.norm = build_norm(norm, width)

    def forward(
        self, x: Tensor, edge: Tensor | None, around: Neighbourhood, pairs: AllPairs, scale: Tensor | None
    ) -> Tensor:
        """Node embeddings `[N, D]` after the layer; `scale` `[N, 1]` is that of attention's result.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            around: The edges, with means over neighbours.
            pairs: All pairs of each graph, with their biases.
            scale: Factor of each node's attention, `[N, 1]`; None for 1.
        """
        structure = self.extractor(x, edge, around) if self.extractor is not None else None
        hidden = self.attention.attended(x, pairs, structure=structure)
        dropout = self.dropout.p if self.training else 0.0
        x = add_and_norm(self.attention_norm, x, hidden, self.attention.out, dropout, factor=scale)
        return self.feed_forward.and_norm(x, self.norm)
