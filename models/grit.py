"""GRIT of Ma et al., "Graph Inductive Biases in Transformers without Message Passing" (ICML 2023, arXiv:2305.17589).

Design choices: no message passing; what a layer knows of the graph is in the vectors of pairs, which start from
relative random walk probabilities (RRWP) and are updated by every layer; scores are vectors; degrees come back in
after attention. Batch normalisation after addition (post-norm), over real pairs only: nothing is padded. Normalised
pairs are not written out: normalisation is a linear map of what came before, and goes into the next layer's.

Shape legend: N nodes, B graphs, D width, H heads, C = D / H, P pairs (j -> i): all ordered pairs of nodes of each graph
(`attention="full"`), or the edges and each node with itself (`attention="sparse"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_flags, check_probabilities
from graphpe.compiled.kernel import KINDS, has_kernels
from graphpe.models.attention.gpu.grit import Rows, Update, attended_pairs
from graphpe.models.attention.gpu.grit_messages import MOST_CHANNELS, degree_scaled
from graphpe.models.attention.grit.attention import grit_attention
from graphpe.models.attention.grit.reference import Dropped, PairUpdate, features_and_weights
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.attention.recording import note_pairs, recording
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.batches.on_host import joined_pairs
from graphpe.models.batches.real_rows import RealRows, real_among
from graphpe.models.encoders.pair_encoding import diagonal_rows
from graphpe.models.layers.gpu.few_rows import MOST_ROWS
from graphpe.models.layers.gpu.projections import projected, stacked
from graphpe.models.layers.gpu.residual import add_and_norm, feed_forward_and_norm
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.normalization import RowBatchNorm
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text

Attention = Literal["full", "sparse"]


class GRIT(nn.Module):
    """Graph inductive bias transformer (Ma et al., ICML 2023).

    With the RRWP p_ij of each pair, x_i starts as the node's embedding + W_1 p_ii, and e_ij as the embedding of the
    edge j -> i (parallel edges are summed; zero where there is none) + W_2 p_ij. A layer, for every pair and head:

        s_ij  = rho((Q x_i + K x_j) * E_s e_ij) + E_f e_ij          rho(t) = sign(t) sqrt(|t|)
        f_ij  = relu(s_ij)
        a_ij  = softmax_j(clamp(A . f_ij, -5, 5))                   with dropout
        m_i   = sum_j a_ij (V x_j + R f_ij)                         with dropout
        h_i   = BN(x_i + O_h(theta_1 * m_i + theta_2 * log(1 + d_i) m_i)),   x_i <- BN(h_i + W_4 relu(W_3 h_i))
        e_ij <- BN(e_ij + O_e f_ij)

    d_i is the number of edges that leave node i, the degree that RRWP's random walk divides by. The published
    configurations are, with `PairLinear("rrwp", K, D, node_width=D)` as the one pair encoding,

        ZINC      width 64, 10 layers, 8 heads, attention dropout 0.2, K = 21, `CategoricalNodes(64, 21)`,
                  `CategoricalEdges(64, 4)`, sum readout, `MLPReadout(64, 1)`: 473,473 parameters
        MNIST     width 52, 3 layers, 4 heads, attention dropout 0.5, K = 18, linear embeddings of 3 and 1 features,
                  mean readout, a head of three linear layers 52, 52, 10: 102,138 parameters
        CIFAR10   as MNIST, with 5 node features and a head of two linear layers 52, 10: 99,486 parameters

    `attention="sparse"` is the same layer over fewer pairs.

    Costs of a layer, in multiply-adds forward: 3 D^2 P for pairs and 8 D^2 N for nodes; two to three times that
    backward. Kept for the backward pass are 3 D + H numbers a pair (D + H with `checkpoint`), of which the pairs'
    vectors are D; see `graphpe.models.attention.grit.attention`. A training step with one graph of 1,000 nodes (10
    layers, width 64, float32) was measured to take 8.4 GiB, 3.8 GiB with `checkpoint`.

    Differs from the released code (LiamMa/GRIT):

    * Pairs and their encodings are indexed [query, key] everywhere. The released code changed the order of RRWP in
      August 2025; checkpoints and forks from before have the transposed one, which is another model wherever degrees
      differ.
    * The derivative of rho is 1 / (2 sqrt(max(|t|, 1e-6))): at most 500. The released one grows without bound as t goes
      to 0 (5e5 at 1e-12). At t = 0 both are 0, elsewhere they agree. Roots, exponentials and statistics are in float32
      under autocast.
    * `attention="sparse"` is this layer over the edges and each node with itself. The layer of that name in forks
      (Benchmarking-PEs) adds one number a head to the value, not R f_ij.
    * The options that the released layer takes and ignores (`signed_sqrt`, `sqrt_relu`, `scaled_attn`, `no_qk`), and
      those that no published configuration changes (`deg_scaler`, `edge_enhance`, `update_e`, `bn_momentum`,
      `norm_e`, `O_e`, `rezero`), do not exist. An unknown argument is an error.
    * The last layer's pairs are updated by nothing that is read: they are not computed, O_e and its normalisation exist
      so that counts agree, but require no gradient.
    * Nothing is added to the denominator of the softmax (1e-16 there). Fewer than two rows are normalised with running
      statistics instead of failing.
    * Parallel edges count as many in d_i; weights of edges do not enter it.
    * Without an `edge_encoder` and without pair encodings all pairs start from one learned vector.
    * Q, K and V are one product, and so are E_s and E_f, whose rows are not interleaved by head.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RelativeRandomWalkPE(walk_length=4)(data)
        >>> encoding = M.PairLinear("rrwp", 4, 16, node_width=16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GRIT(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), pair_encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of the vectors of nodes and pairs.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        attention: `full`: every node attends to all nodes of its graph; `sparse`: to itself and to the sources of the
            edges that end in it.
        dropout: Probability of dropout on messages, on f_ij before O_e and inside the feed-forward network.
        attention_dropout: Probability of dropout on a_ij.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        checkpoint: Keep less memory for the backward pass and compute more in it: up to a tenth more time.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`; None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        pair_encodings: Modules from a batch and a set of pairs to `[P, width]` (`PairLinear`, `PairEmbedding`); with
            `node_width=width` they also give each node features of the pair (i, i).
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, or an option is unknown.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "features"
    pair_diagonals: ClassVar[bool] = True
    default_encodings: ClassVar[tuple[str, ...]] = ("RelativeRandomWalkPE(walk_length=21)",)

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 10,
        heads: int = 8,
        attention: Attention = "full",
        dropout: float = 0.0,
        attention_dropout: float = 0.2,
        readout: Readout = "mean",
        checkpoint: bool = False,
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        pair_encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads = check_counts(width=width, layers=layers, heads=heads)
        check_divides(heads, width)
        dropout, attention_dropout = check_probabilities(dropout=dropout, attention_dropout=attention_dropout)
        (checkpoint,) = check_flags(checkpoint=checkpoint)
        check_choice("attention", attention, get_args(Attention))
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.pair_width = width
        self.heads = heads
        self.attention = attention
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.readout = readout
        self.checkpoint = checkpoint

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.pair_encodings = nn.ModuleList(pair_encodings)
        plain = edge_encoder is None and not self.pair_encodings
        self.plain_pair = nn.Parameter(torch.randn(width)) if plain else None
        stack = [
            GRITLayer(width, heads, dropout=dropout, attention_dropout=attention_dropout, checkpoint=checkpoint)
            for _ in range(layers)
        ]
        stack[-1].skip_pair_update()
        self.layers = nn.ModuleList(stack)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["all pairs", "edges and self-pairs"]:
        """The pairs that every layer runs over."""
        return "all pairs" if self.attention == "full" else "edges and self-pairs"

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph; False if only along edges."""
        return self.attention == "full"

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        pairs = (
            all_pairs(members, edge_index)
            if self.attention == "full"
            else edge_pairs(members, edge_index, joined=joined_pairs(batch))
        )
        rows = PairRows(self._pairs(batch, members, pairs))
        x = self._add_self_pairs(x, batch, members, pairs)
        degree = torch.zeros(members.graph.numel(), 1, device=x.device)
        degree = degree.index_add(0, edge_index[0], degree.new_ones(edge_index.shape[1], 1))
        log_degree = torch.log1p(degree).to(x.dtype)
        layers: list[Any] = list(self.layers)
        weights: Sequence[Tensor | None] = [None] * len(layers)
        if has_kernels(x.device):  # where each of them is a kernel, and so is each draw of dropout
            weights = stacked([(layer.query.weight, layer.key.weight, layer.value.weight) for layer in layers])
        kept = self._kept_weights(pairs, x)
        for number, (layer, weight, keep) in enumerate(zip(layers, weights, kept, strict=True)):
            x, rows = layer(encodings.join(x, number), rows, pairs, log_degree, weight, keep)
        return self.head(pool(x, members, self.readout))

    def _kept_weights(self, pairs: PairSet, x: Tensor) -> Sequence[Tensor | None]:
        """Whether each weight of each layer stays, `[P, H]`: drawn at once on a GPU; else None."""
        layers, probability = len(self.layers), self.attention_dropout if self.training else 0.0
        if not probability or not has_kernels(x.device):
            return [None] * layers
        keep = torch.empty(layers, pairs.num_pairs, self.heads, dtype=torch.bool, device=x.device)
        return keep.bernoulli_(1 - probability).unbind()

    def _add_self_pairs(self, x: Tensor, batch: Data, members: NodeToGraph, pairs: PairSet) -> Tensor:
        """W_1 p_ii of each pair encoding, added to the nodes' vectors `[N, D]`."""
        if not self.pair_encodings:
            return x
        diagonal = diagonal_rows(members) if pairs.itself is None else pairs.itself
        for encoding in self.pair_encodings:
            of_nodes: Any = encoding.nodes
            own = of_nodes(batch, diagonal)
            x = x if own is None else x + own
        return x

    def _pairs(self, batch: Data, members: NodeToGraph, pairs: PairSet) -> Tensor:
        if self.plain_pair is not None:
            return self.plain_pair.expand(pairs.num_pairs, self.width)
        if self.pair_encodings:
            members.check_in_order()
        parts = [encoding(batch, pairs) for encoding in self.pair_encodings]
        edge = embed_edges(batch, self.edge_encoder)
        if edge is not None:
            parts.append(pairs.scatter(edge))
        rows = parts[0]
        for part in parts[1:]:
            rows = rows + part
        return rows

    def __repr__(self) -> str:
        names = ["width", "layers", "heads", "attention", "dropout", "attention_dropout", "readout", "checkpoint"]
        return call_text(self, names)


@dataclass(frozen=True)
class PairRows:
    """Vectors of pairs, as scale * value + shift.

    Attributes:
        value: `[P, D]`.
        scale: `[D]`; None for 1.
        shift: `[D]`; None for 0.
    """

    value: Tensor
    scale: Tensor | None = None
    shift: Tensor | None = None

    def written_out(self) -> Tensor:
        """The vectors, `[P, D]`."""
        if self.scale is None or self.shift is None:
            return self.value
        return (self.value * self.scale + self.shift).to(self.value.dtype)


class GRITLayer(nn.Module):
    """One layer of GRIT; see there.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        dropout: Probability of dropout on messages, f_ij and in the feed-forward network.
        attention_dropout: Probability of dropout on weights.
        checkpoint: Whether to compute products of pairs again in the backward pass.
    """

    def __init__(
        self, width: int, heads: int, *, dropout: float = 0.0, attention_dropout: float = 0.0, checkpoint: bool = False
    ) -> None:
        super().__init__()
        channels = width // heads
        self.heads = heads
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.checkpoint = checkpoint
        self.updates_pairs = True
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.pair = nn.Linear(width, 2 * width)  # E_s over E_f
        self.score = nn.Parameter(torch.empty(heads, channels))  # A
        self.pair_value = nn.Parameter(torch.empty(heads, channels, channels))  # R, from f to the message
        self.degree_scale = nn.Parameter(torch.empty(2, width))  # theta
        self.node_out = nn.Linear(width, width)
        self.pair_out = nn.Linear(width, width)
        self.node_norm_1 = RowBatchNorm(width)
        self.pair_norm = PairBatchNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(2 * width, width)
        self.node_norm_2 = RowBatchNorm(width)
        for linear in (self.query, self.key, self.value, self.pair):
            nn.init.xavier_normal_(linear.weight)
        # The released code calls xavier_normal_ on tensors of three dimensions; these are the deviations it gets.
        nn.init.normal_(self.score, std=(2 / (heads + channels)) ** 0.5)
        nn.init.normal_(self.pair_value, std=(2 / (width + channels**2)) ** 0.5)
        nn.init.normal_(self.degree_scale, std=(2 / (2 * width + 2)) ** 0.5)

    def skip_pair_update(self) -> None:
        """Leave pairs as they are: nothing reads them after this layer. Its parameters stay, without gradients."""
        self.updates_pairs = False
        self.pair_out.requires_grad_(False)
        self.pair_norm.requires_grad_(False)

    def forward(
        self,
        x: Tensor,
        rows: PairRows,
        pairs: PairSet,
        log_degree: Tensor,
        weight: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, PairRows]:
        """Vectors of nodes and pairs after the layer.

        Args:
            x: `[N, D]`.
            rows: Of P pairs.
            pairs: The pairs.
            log_degree: log(1 + d_i), `[N, 1]`.
            weight: Q over K over V, `[3 D, D]`, where they are joined for all layers; None where they are not.
            keep: Whether each weight of attention stays, `[P, H]`; None where that is not yet drawn.
        """
        if weight is None:
            weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        mapped, x = projected(x, weight)
        kinds = {mapped.dtype, rows.value.dtype}
        kernels = has_kernels(x.device) and kinds <= set(KINDS) and not self.checkpoint
        attend = self.attend_by_kernels if kernels else self._attend
        message, edge_message, rows = attend(mapped, rows, pairs, keep)
        drop = self.dropout if self.training else 0.0
        if kernels and not drop and self.pair_value.shape[1] <= MOST_CHANNELS and len(x) <= MOST_ROWS:
            message = degree_scaled(message, edge_message, self.pair_value, self.degree_scale, log_degree)
        else:
            by_head = edge_message.view(x.shape[0], *self.score.shape).transpose(0, 1)  # [H, N, C]
            message = message + torch.bmm(by_head, self.pair_value).transpose(0, 1).flatten(1)
            message = self._drop(message)
            plain, by_degree = self.degree_scale.unbind(0)
            message = message * (plain + by_degree * log_degree)
        x = add_and_norm(self.node_norm_1, x, message, self.node_out)
        return feed_forward_and_norm(self.node_norm_2, x, self.expand, self.contract, inner_dropout=drop), rows

    def _attend(
        self, mapped: Tensor, rows: PairRows, pairs: PairSet, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor, PairRows]:
        """The sums m and n `[N, D]`, and the rows of the pairs after the layer, from Q x, K x and V x `[N, 3 D]`."""
        query, key, value = mapped.chunk(3, dim=1)
        pair_weight: Tensor = self.pair.weight
        pair_bias: Tensor = self.pair.bias
        scale, shift = rows.scale, rows.shift
        if scale is not None and shift is not None:  # of rows that are not written out
            shifted_bias = torch.addmv(exactly(pair_bias), exactly(pair_weight), shift)
            pair_weight, pair_bias = pair_weight * scale, shifted_bias
        update = None
        if self.updates_pairs:
            bias = self.pair_out.bias
            update = PairUpdate(
                self.pair_out.weight,
                torch.ones_like(bias) if scale is None else scale,
                bias if shift is None else bias + shift,
            )
        found = grit_attention(
            rows.value,
            query + self.query.bias,
            key,
            value,
            pair_weight,
            pair_bias,
            self.score.flatten(),
            pairs,
            heads=self.heads,
            update=update,
            attention_dropout=self._dropped_weights(pairs, mapped, keep),
            feature_dropout=self._dropped(rows.value.shape, self.dropout, mapped.device)
            if update is not None
            else None,
            checkpoint=self.checkpoint,
        )
        if found.out is not None and found.mean is not None and found.variance is not None:
            real = real_among(pairs.num_pairs) if self.training else None
            mean, variance = (found.mean, found.variance) if real is None else real.statistics(found.out)
            scale, shift = self.pair_norm.linear_map(mean, variance, pairs.num_pairs, real)
            rows = PairRows(found.out, scale, shift)
        return found.message, found.edge_message, rows

    def attend_by_kernels(
        self, mapped: Tensor, rows: PairRows, pairs: PairSet, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor, PairRows]:
        """The sums m and n `[N, D]`, and the rows of the pairs after the layer, on a GPU.

        Args:
            mapped: Q x, K x and V x, `[N, 3 D]`.
            rows: Of P pairs.
            pairs: The pairs.
            keep: Whether each weight stays, `[P, H]`; None where that is not yet drawn.
        """
        score = self.score.flatten()
        if recording():
            query, key, _ = mapped.chunk(3, dim=1)
            given = (rows.written_out(), query + self.query.bias, key, self.pair.weight, self.pair.bias, score)
            note_pairs(pairs.source, pairs.target, features_and_weights(*given, pairs, self.heads)[1], pairs.num_nodes)
        dropout = self._dropped_weights(pairs, mapped, keep)
        update = None
        if self.updates_pairs:
            real = real_among(pairs.num_pairs) if self.training else None
            update = Update(
                self.pair_out,
                self.pair_norm,
                None if real is None else real.mask,
                self.training and pairs.num_pairs > 1,
                self._dropped(rows.value.shape, self.dropout, mapped.device),
            )
        message, edge_message, found = attended_pairs(
            Rows(rows.value, rows.scale, rows.shift),
            *(self.pair.weight, self.pair.bias, mapped, self.query.bias, score, pairs),
            heads=self.heads,
            dropout=dropout,
            update=update,
        )
        return message, edge_message, rows if found is None else PairRows(*found)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x

    def _dropped_weights(self, pairs: PairSet, mapped: Tensor, keep: Tensor | None) -> Dropped | None:
        if keep is not None:
            return Dropped(keep, 1 / (1 - self.attention_dropout))
        return self._dropped((pairs.num_pairs, self.heads), self.attention_dropout, mapped.device)

    def _dropped(self, shape: Sequence[int], probability: float, device: torch.device) -> Dropped | None:
        if not self.training or not probability:
            return None
        keep = torch.empty(*shape, dtype=torch.bool, device=device).bernoulli_(1 - probability)
        return Dropped(keep, 1 / (1 - probability))


class PairBatchNorm(RowBatchNorm):
    """`RowBatchNorm` as the linear map that it is, from statistics that are known."""

    def linear_map(
        self, mean: Tensor, variance: Tensor, rows: int, real: RealRows | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scale and shift `[D]` of rows with this mean and (biased) variance; counts them in the running statistics.

        Args:
            mean: Mean of the rows, `[D]`.
            variance: Their biased variance, `[D]`.
            rows: Their number.
            real: Which of them are real, in a padded batch.
        """
        if self.training and rows > 1:
            self.count(mean, variance, rows / (rows - 1) if real is None else real.correction)
        else:
            assert self.running_mean is not None
            assert self.running_var is not None
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return scale, self.bias - mean * scale
