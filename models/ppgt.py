"""PPGT of Ma et al., "Plain Transformers Can be Powerful Graph Learners" (TMLR 2026, arXiv:2504.12588).

Design choices: a plain transformer, pre-norm, in which three parts are other than usual. Attention compares queries and
keys by their distance, so that lengths count; normalisation (AdaRMSN) can keep lengths; a stem of small networks makes
vectors of pairs from random walk probabilities, once, which every layer reads as a bias and as a factor of weights.

Shape legend: N nodes, B graphs, D width, H heads, C = D / H, P ordered pairs (j -> i) of nodes of one graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_integer, check_probabilities
from graphpe.compiled.kernel import has_kernels
from graphpe.models.attention.biases.pair_bias import PairFactors
from graphpe.models.attention.gpu.ragged import RaggedNodes, ragged_nodes
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.attention.pairs import PairSet, all_pairs
from graphpe.models.attention.softmax.padded_factors import PaddedFactors, pad_factors, rows_of_blocks
from graphpe.models.attention.softmax.softmax import softmax_attention
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.encoders.pair_encoding import PairMLP, diagonal_rows
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text

EPSILON = 1e-6


class PPGT(nn.Module):
    """Powerful plain graph transformer (Ma et al. 2026).

    The stem: x_i is the node's embedding + W_1 p_ii + w_2 log(1 + d_i) + w_3 log(1 + n), each with a bias, for the
    pair encoding p, d_i edges that leave i, in a graph of n nodes. e_ij is the embedding of the edge j -> i (parallel
    edges are summed, zero where there is none) + `PairMLP`(p_ij), then `stem_layers` times e <- e + FFN(AdaRMSN(e)),
    and AdaRMSN. Then, with S_h and T_h linear maps to a number of each head,

        logit_ij = (q_i k_j - |k_j|^2 / 2) / sqrt(C) + S_h e_ij         as -|q_i - k_j|^2 / (2 sqrt(C)) + S_h e_ij
        m_i      = sum_j Dropout(softmax_j(logit_ij) (1 + T_h e_ij)) v_j
        x_i     <- x_i + DropPath(O m_i),   q, k, v of AdaRMSN(x)
        x_i     <- x_i + DropPath(FFN(AdaRMSN(x_i)))                             GELU, hidden width `expansion` D

    and AdaRMSN at the end. AdaRMSN(x) = x / RMS(x) * RMS(alpha x + beta), which begins as plain RMS normalisation,
    alpha = 0 and beta = 1, and for alpha = 1, beta = 0 is x itself. DropPath leaves out what a layer adds, of whole
    graphs.

    The released ZINC configuration is `PPGT()` with `RelativeRandomWalkPE(walk_length=25)`, `CategoricalNodes(64, 21)`,
    `CategoricalEdges(64, 4)`, sum readout and `MLPReadout(64, 1, halve=False, activation="gelu")`: 493,185 parameters,
    34,512 a layer.

    Costs of a layer, in multiply-adds forward: 2 (D + D H) P for pairs and (4 + 2 `expansion`) D^2 N for nodes; of the
    stem 2 `expansion` D^2 P a layer of it. Vectors of pairs are made once, [P, D]; layers keep 2 H numbers a pair.

    Differs from the released code (LiamMa/PPGT):

    * q_i k_j is divided by sqrt(C), as |k_j|^2 is: released, only the latter is, and logits are no distances.
    * Biases of linear maps start at zero and matrices from a normal distribution of deviation 0.02, cut at two of these
      (released: those of the first maps of the stem are uniform, He et al. 2015).
    * Pairs are indexed [query, key]; `RelativeRandomWalkPE` is over edges that leave a node, and so is d_i.
    * No options that none of its configurations changes: gates, layer scale, window attention, class attention,
      norms of queries and keys. Further encodings of pairs are added to e_ij.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RelativeRandomWalkPE(walk_length=4)(data)
        >>> encoding = M.PairMLP("rrwp", 4, 16, node_width=16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.PPGT(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), pair_encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of the vectors of nodes and pairs.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        stem_layers: Networks that pairs go through before the layers.
        expansion: Hidden width of feed-forward networks, as a multiple of D.
        dropout: Probability of dropout inside feed-forward networks of nodes.
        attention_dropout: Probability of dropout of weights.
        drop_path: Probability that what a layer adds to a graph's nodes is left out.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`; None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        pair_encodings: Modules from a batch and a set of pairs to `[P, width]` (`PairMLP`, `PairLinear`,
            `PairEmbedding`); with `node_width=width` they also give each node features of the pair (i, i).
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or an option is unknown.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "features"
    pair_diagonals: ClassVar[bool] = True
    pair_module: ClassVar[type] = PairMLP
    default_encodings: ClassVar[tuple[str, ...]] = ("RelativeRandomWalkPE(walk_length=25)",)

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 12,
        heads: int = 8,
        stem_layers: int = 2,
        expansion: int = 2,
        dropout: float = 0.0,
        attention_dropout: float = 0.2,
        drop_path: float = 0.1,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        pair_encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads, expansion = check_counts(width=width, layers=layers, heads=heads, expansion=expansion)
        stem_layers = check_integer("stem_layers", stem_layers, least=0)
        check_divides(heads, width)
        dropout, attention_dropout, drop_path = check_probabilities(
            dropout=dropout, attention_dropout=attention_dropout, drop_path=drop_path
        )
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.heads = heads
        self.stem_layers = stem_layers
        self.expansion = expansion
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.drop_path = float(drop_path)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.pair_encodings = nn.ModuleList(pair_encodings)
        plain = edge_encoder is None and not self.pair_encodings
        self.plain_pair = nn.Parameter(torch.randn(width)) if plain else None
        self.of_degree = nn.Linear(1, width)
        self.of_size = nn.Linear(1, width)
        self.stem = nn.ModuleList(_Network(width, expansion, 0.0) for _ in range(stem_layers))
        self.pair_norm = AdaptiveRMSNorm(width)
        rates = (self.dropout, self.attention_dropout, self.drop_path)
        self.layers = nn.ModuleList(PPGTLayer(width, heads, expansion, *rates) for _ in range(layers))
        self.norm = AdaptiveRMSNorm(width)
        for module in (self.of_degree, self.of_size, self.stem, self.layers):
            module.apply(_initialise)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["padded"]:
        """What attention runs over: all pairs in padded blocks."""
        return "padded"

    @property
    def attends_to_all_pairs(self) -> bool:
        """True."""
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
        pairs = all_pairs(members, edge_index)
        x = self._with_stem(x, batch, members, edge_index)
        nodes = ragged_nodes(members) if has_kernels(x.device) else padded_nodes(members)
        place = Pairs(self._pairs(batch, members, pairs), pairs, nodes)
        for number, layer in enumerate(self.layers):
            x = layer(encodings.join(x, number), place, members)
        return self.head(pool(self.norm(x), members, self.readout))

    def _with_stem(self, x: Tensor, batch: Data, members: NodeToGraph, edge_index: Tensor) -> Tensor:
        """Node embeddings with what the structure says of each node, `[N, D]`."""
        kind = self.of_degree.weight.dtype
        degree = exactly(self.of_degree.weight).new_zeros(members.num_nodes, 1)
        degree = degree.index_add(0, edge_index[0], degree.new_ones(edge_index.shape[1], 1))
        size = members.sizes.index_select(0, members.graph).unsqueeze(1).to(degree.dtype)
        x = x + self.of_degree(torch.log1p(degree).to(kind)) + self.of_size(torch.log1p(size).to(kind))
        if self.pair_encodings:
            diagonal = diagonal_rows(members)
            for encoding in self.pair_encodings:
                of_nodes: Any = encoding.nodes
                own = of_nodes(batch, diagonal)
                x = x if own is None else x + own
        return x

    def _pairs(self, batch: Data, members: NodeToGraph, pairs: PairSet) -> Tensor:
        """Vectors of pairs after the stem, `[P, D]`."""
        if self.pair_encodings:
            members.check_in_order()
        parts = [encoding(batch, pairs) for encoding in self.pair_encodings]
        edge = embed_edges(batch, self.edge_encoder)
        if edge is not None:
            parts.append(pairs.scatter(edge))
        if self.plain_pair is not None:
            parts.append(self.plain_pair.expand(pairs.num_pairs, -1))
        rows = parts[0]
        for part in parts[1:]:
            rows = rows + part
        for network in self.stem:
            rows = rows + network(rows)
        return self.pair_norm(rows)

    def __repr__(self) -> str:
        names = ("width", "layers", "heads", "stem_layers", "expansion", "dropout", "attention_dropout", "drop_path")
        return call_text(self, (*names, "readout"))


class Pairs:
    """All pairs of a batch and their vectors, in the blocks that attention takes.

    Args:
        vectors: `[P, D]`.
        pairs: The pairs.
        nodes: The nodes in blocks.
    """

    def __init__(self, vectors: Tensor, pairs: PairSet, nodes: PaddedNodes | RaggedNodes) -> None:
        self.vectors, self.nodes, self._pairs = vectors, nodes, pairs
        self._rows = None if isinstance(nodes, RaggedNodes) else rows_of_blocks(pairs, nodes)

    def placed(self, factors: PairFactors) -> PairFactors | PaddedFactors:
        """What a layer does to pairs, in the same blocks.

        Args:
            factors: Of the pairs, `[P, H]`.
        """
        if isinstance(self.nodes, RaggedNodes):
            return factors
        return pad_factors(factors, self._pairs, self.nodes, self._rows)


class PPGTLayer(nn.Module):
    """One layer of PPGT; see there.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        expansion: Hidden width of the feed-forward network, as a multiple of D.
        dropout: Probability of dropout inside it.
        attention_dropout: Probability of dropout of weights.
        drop_path: Probability that what is added to a graph's nodes is left out.
    """

    def __init__(
        self, width: int, heads: int, expansion: int, dropout: float, attention_dropout: float, drop_path: float
    ) -> None:
        super().__init__()
        self.heads, self.attention_dropout, self.drop_path = heads, attention_dropout, drop_path
        self.attention_norm = AdaptiveRMSNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.pair = nn.Linear(width, 2 * heads)  # S over T
        self.out = nn.Linear(width, width)
        self.network = _Network(width, expansion, dropout)

    def forward(self, x: Tensor, pairs: Pairs, members: NodeToGraph) -> Tensor:
        """Vectors of nodes after the layer, `[N, D]`.

        Args:
            x: `[N, D]`.
            pairs: All pairs and their vectors.
            members: The partition of the nodes into graphs.
        """
        x = x + self._some_graphs(self.out(self._attended(self.attention_norm(x), pairs)), members)
        return x + self._some_graphs(self.network(x), members)

    def _attended(self, x: Tensor, pairs: Pairs) -> Tensor:
        query, key, value = self.query_key_value(x).chunk(3, dim=1)
        add, gate = exactly(self.pair(pairs.vectors)).chunk(2, dim=1)
        by_head = exactly(key).unflatten(1, (self.heads, -1))  # [N, H, C]
        square = by_head.square().sum(2, keepdim=True) * (-0.5 * by_head.shape[2] ** -0.5)
        # What depends on the key alone is a bias of rank one: nothing of the size of the pairs.
        factors = pairs.placed(PairFactors(add, 1 + gate, torch.ones_like(square), square))
        dropout = self.attention_dropout if self.training else 0.0
        return softmax_attention(query, key, value, pairs.nodes, factors, heads=self.heads, dropout=dropout)

    def _some_graphs(self, update: Tensor, members: NodeToGraph) -> Tensor:
        """What is added, of the graphs that stay."""
        if not self.drop_path or not self.training:
            return update
        kept = functional.dropout(torch.ones(members.num_graphs, 1, device=update.device), self.drop_path)
        return update * kept.index_select(0, members.graph).to(update.dtype)


class AdaptiveRMSNorm(nn.Module):
    """x / RMS(x) * RMS(alpha x + beta), in float32 or better.

    Args:
        width: Width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.beta = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """From `[..., D]` to `[..., D]`.

        Args:
            x: Rows.
        """
        rows = exactly(x)
        length = (rows * self.alpha + self.beta).square().mean(-1, keepdim=True) + EPSILON
        return (rows * (length / (rows.square().mean(-1, keepdim=True) + EPSILON)).sqrt()).to(x.dtype)


class _Network(nn.Module):
    """FFN(AdaRMSN(x)), with GELU."""

    def __init__(self, width: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm = AdaptiveRMSNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(self.dropout(functional.gelu(self.expand(self.norm(x)))))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
        nn.init.zeros_(module.bias)
