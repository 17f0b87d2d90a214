"""GPS: Rampasek et al., "Recipe for a General, Powerful, Scalable Graph Transformer" (NeurIPS 2022, arXiv:2205.12454).

Design choices: in every layer messages along edges and attention over all nodes work side by side on the same input;
both results are normalised with their residual connections and added; a feed-forward network follows. Encodings are
added once to the node embeddings.

Shape legend: N nodes, E edges, B graphs, D width, H heads; P ordered pairs of nodes of one graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_probabilities
from graphpe.compiled.kernel import has_kernels
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.positions.node_positions import NodePositions, check_positions, structure_of
from graphpe.models.attention.softmax.rotary import RotaryAttention
from graphpe.models.attention.softmax.tree_mask import TreeAttention, TreeNodes, tree_nodes
from graphpe.models.attention.terms.attention_free import AttentionFree
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.layers.convolutions import GatedGCNLayer, GINELayer, Local, build_local
from graphpe.models.layers.gpu.projections import projected, stacked
from graphpe.models.layers.gpu.residual import add_and_norm, map_and_norm
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.multi_head import AllPairs, FeedForward, MultiHeadAttention, all_pairs_of
from graphpe.models.layers.normalization import Norm, build_norm
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.stem import EncodingsIn, embed_edges, encoding_norms, read_for_layers
from graphpe.models.layers.text import call_text

GPSAttention = Literal["softmax", "linear", "rotary", "tree", "aft", "none"]


class GPS(nn.Module):
    """GPS layers: local message passing plus global attention (Rampasek et al. 2022).

        l, e <- Local(x, e)                                  with its residual connection
        x <- Norm(l) + Norm(x + MHA(x))
        x <- Norm(x + FFN(x))                                hidden width 2 D

    Local layers: `GatedGCN` (with an edge stream), `GINE`, `GCN`, `GAT`, or from Python a function of the width that
    makes any PyG layer called with x, `edge_index` and, if it has that argument, `edge_attr` (`repr` is a literal for
    names only). Attention: `softmax` over all pairs with biases of pairs where there are pair encodings (`PairBias`
    and `PairTerms` modules, shared by the layers); `linear` (kernel elu + 1, O(N)); `rotary`: softmax with
    queries and keys rotated by the coordinates `batch[rotary_key]`; `tree`: linear attention within each connected
    component, weighted by learned functions of distances along trees of shortest paths (`TreeAttention`, O(N) on the
    CPU); `aft`: weights of biases of pairs times weights of keys, without products of queries and keys
    (`AttentionFree`, models/attention/terms/attention_free.py).

    Published configurations: molhiv `GPS(heads=4)` with 16 steps of random walks: 54,656 parameters a layer, 558,625 in
    all; ZINC `GPS(heads=4, local="GINE")`: 41,920 a layer, 423,717 in all.

    Costs per layer (multiply-adds): 4 N D^2 for projections, 4 N D^2 for the feed-forward network, 2 P D for softmax
    attention; GatedGCN 4 N D^2 + E D^2, GINE 2 N D^2.

    Differs from the released code (rampasek/GraphGPS):

    * Encodings are added to node embeddings of the full width instead of concatenated to narrower ones.
    * Without attention or without a local layer there is one branch, and with `layer` normalisation it is that of each
      node (released: over all nodes of a graph).
    * GCN has edge features, where there are any (released: none); GAT no self-loops.
    * Linear attention has the kernel elu(x) + 1 instead of Performer's random features.
    * The last GatedGCN layer's edge update, which nothing reads, is not computed; batch normalisation of fewer than two
      rows uses the running statistics.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> encoding = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> head = torch.nn.Linear(16, 1)
        >>> model = M.GPS(width=16, layers=2, heads=4,
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[encoding], head=head)
        >>> model(Batch.from_data_list([data, data])).shape
        torch.Size([2, 1])

    Args:
        width: Width D of node and edge embeddings.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        local: `GatedGCN`, `GINE`, `GCN`, `GAT`, `none`, or a function from the width to a PyG layer.
        attention: `softmax`, `linear`, `rotary`, `tree`, `aft` or `none`.
        norm: `batch` or `layer` normalisation.
        dropout: Probability of dropout of both branches and inside the feed-forward network.
        attention_dropout: Probability of dropout of attention weights (of softmax).
        rotary_key: Name of the coordinates in the batch for `rotary`.
        rotary_channels: Their number.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        encodings_in: `first`: encodings are added to the node embeddings, once; `every_layer`: to the input of each
            layer, after a LayerNorm of its own (LaPE: `graphpe.models.layers.stem.LayerEncodings`).
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]` for the local layers, or None where edges carry
            nothing (a GatedGCN then starts every edge from one learned vector); not used with `local="none"`.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        pair_encodings: `PairBias` modules for `heads` heads, for `softmax`, `rotary` and `aft` attention, and
            `PairTerms` modules, for the first two.
        positions: `NodePositions` modules, which map queries, keys and values at each node.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, an option is unknown, there is
            neither a local layer nor attention, or there are pair encodings for an attention that takes none.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "biases"
    pair_diagonals: ClassVar[bool] = False

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 10,
        heads: int = 4,
        local: Local | Callable[[int], nn.Module] = "GatedGCN",
        attention: GPSAttention = "softmax",
        norm: Norm = "batch",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        rotary_key: str = "spectral_coordinates",
        rotary_channels: int = 8,
        readout: Readout = "mean",
        encodings_in: EncodingsIn = "first",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        pair_encodings: Sequence[nn.Module] = (),
        positions: Sequence[NodePositions] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, layers, heads, rotary_channels = check_counts(
            width=width, layers=layers, heads=heads, rotary_channels=rotary_channels
        )
        check_divides(heads, width)
        dropout, attention_dropout = check_probabilities(dropout=dropout, attention_dropout=attention_dropout)
        if isinstance(local, str) or not callable(local):
            check_choice("local", local, get_args(Local))
        check_choice("attention", attention, get_args(GPSAttention))
        check_choice("norm", norm, get_args(Norm))
        check_choice("readout", readout, READOUTS)
        if not isinstance(rotary_key, str):
            raise GraphPEValueError(f"rotary_key must be a string (got {rotary_key!r})")
        if local == "none" and attention == "none":
            raise GraphPEValueError("local='none' and attention='none' leave nothing in a layer: choose one")
        if pair_encodings and attention in ("linear", "tree", "none"):
            raise GraphPEValueError(f"attention={attention!r} takes no pair encodings: use 'softmax' or 'rotary'")
        if attention == "aft" and (positions or any(isinstance(each, PairTerms) for each in pair_encodings)):
            raise GraphPEValueError("attention='aft' has no queries that meet keys: give it PairBias modules alone")
        check_positions(positions, attention=attention != "none", linear=attention in ("linear", "tree"))
        self.width = width
        self.heads = heads
        self.local = local
        self.attention = attention
        self.norm = norm
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.rotary_key = rotary_key
        self.rotary_channels = rotary_channels
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder if local != "none" else None
        self.encodings = nn.ModuleList(encodings)
        self.encodings_in: EncodingsIn = encodings_in
        self.pair_encodings = nn.ModuleList(pair_encodings)
        self.positions = nn.ModuleList(positions)
        plain = local == "GatedGCN" and edge_encoder is None
        self.plain_edge = nn.Parameter(torch.randn(width)) if plain else None
        rotary = attention == "rotary"
        self.rotary = RotaryAttention(rotary_key, rotary_channels, width, heads) if rotary else None
        stack = [
            GPSLayer(
                width,
                heads,
                build_local(local, width, heads=heads, edges=edge_encoder is not None, norm=norm, dropout=self.dropout),
                attention=attention,
                norm=norm,
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
            )
            for _ in range(layers)
        ]
        if isinstance(stack[-1].local, GatedGCNLayer):
            stack[-1].local.skip_edge_update()
        self.layers = nn.ModuleList(stack)
        self.encoding_norms = encoding_norms(encodings_in, encodings, width, layers)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["padded", "linear", "trees", "edges"]:
        """What attention runs over: all pairs in padded blocks, sums over nodes or along trees, or edges only."""
        layouts: dict[str, Literal["linear", "trees", "edges"]]
        layouts = {"linear": "linear", "tree": "trees", "none": "edges"}
        return layouts.get(self.attention, "padded")

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph.

        False if only to those of its connected component (`tree`), or if only messages along edges pass.
        """
        return self.attention not in ("tree", "none")

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder, a pair encoding or rotary attention reads; the
                message says what to add.
        """
        members, edge_index, x, encodings = read_for_layers(self, batch)
        edge = embed_edges(batch, self.edge_encoder, self.plain_edge)
        pairs: AllPairs | TreeNodes | None = None
        positions = [*self.positions] + ([] if self.rotary is None else [self.rotary])
        if self.attention == "tree":
            pairs = tree_nodes(batch, members, "shortest", positions)
        elif self.attention != "none":
            pairs = all_pairs_of(batch, members, list(self.pair_encodings), positions=positions)
        edges = Neighbours(edge_index, x.shape[0])
        projections = self._projections() if has_kernels(x.device) else [None] * len(self.layers)
        for number, (layer, projection) in enumerate(zip(self.layers, projections, strict=True)):
            x, edge = layer(encodings.join(x, number), edge, edges, pairs, projection)
        return self.head(pool(x, members, self.readout))

    def _projections(self) -> list[tuple[Tensor, Tensor] | None]:
        """The maps to queries, keys and values of each layer as one, weight and bias; None without."""
        layers = [layer.attention for layer in self.layers if isinstance(layer.attention, MultiHeadAttention)]
        if len(layers) < len(self.layers):
            return [None] * len(self.layers)
        weights = stacked([(layer.query_key.weight, layer.value.weight) for layer in layers])
        biases = stacked([(layer.query_key.bias, layer.value.bias) for layer in layers])
        return list(zip(weights, biases, strict=True))

    def __repr__(self) -> str:
        names = ("width", "layers", "heads", "local", "attention", "norm", "dropout", "attention_dropout")
        return call_text(self, (*names, "rotary_key", "rotary_channels", "readout"))


class GPSLayer(nn.Module):
    """One layer: a local layer and attention side by side, then a feed-forward network.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        local: The local layer, or None.
        attention: Kind of attention.
        norm: `batch` or `layer`.
        dropout: Probability of dropout.
        attention_dropout: Probability of dropout of attention weights.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        local: nn.Module | None,
        *,
        attention: GPSAttention,
        norm: Norm,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.local = local
        self.local_norm = build_norm(norm, width) if local is not None else None
        self.attention: MultiHeadAttention | TreeAttention | AttentionFree | None = None
        self.attention_norm: nn.Module | None = None
        if attention != "none":
            if attention == "tree":
                self.attention = TreeAttention(width, heads)
            elif attention == "aft":
                self.attention = AttentionFree(width, heads, dropout=attention_dropout)
            else:
                self.attention = MultiHeadAttention(
                    width, heads, dropout=attention_dropout, linear=attention == "linear"
                )
            self.attention_norm = build_norm(norm, width)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = FeedForward(width, 2 * width, dropout=dropout)
        self.norm = build_norm(norm, width)

    def forward(
        self,
        x: Tensor,
        edge: Tensor | None,
        edges: Neighbours,
        pairs: AllPairs | TreeNodes | None,
        projection: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Node and edge embeddings after the layer.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`; None where edges carry nothing.
            edges: The edges.
            pairs: What the attention runs over: pairs, or trees; None without attention.
            projection: The maps to queries, keys and values as one, weight and bias; None for the layer's own.
        """
        if has_kernels(x.device):
            return self._in_few_kernels(x, edge, edges, pairs, projection)
        branches = []
        if self.local is not None and self.local_norm is not None:
            message, edge = self.local(x, edge, edges)
            if not isinstance(self.local, GatedGCNLayer):  # its residual connection is inside
                message = x + self.dropout(message)
            branches.append(self.local_norm(message))
        if self.attention is not None and self.attention_norm is not None and pairs is not None:
            branches.append(self.attention_norm(x + self.dropout(self.attention(x, pairs))))
        x = branches[0] + branches[1] if len(branches) == 2 else branches[0]
        return self.norm(x + self.feed_forward(x)), edge

    def _in_few_kernels(
        self,
        x: Tensor,
        edge: Tensor | None,
        edges: Neighbours,
        pairs: AllPairs | TreeNodes | None,
        projection: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The same on a GPU, whose steps wait for launches: by parts of modules, which are not called themselves."""
        dropout = self.dropout.p if self.training else 0.0
        local = None
        if self.local is not None and self.local_norm is not None:
            if isinstance(self.local, GatedGCNLayer):  # its residual connection is inside
                message, edge = self.local(x, edge, edges)
                local = self.local_norm(message)
            elif isinstance(self.local, GINELayer):
                sums, x, edge = self.local.sums(x, edge, edges)
                local, x = map_and_norm(self.local_norm, x, sums, *self.local.maps, dropout)
            else:
                message, edge = self.local(x, edge, edges)
                local = self.local_norm(x + self.dropout(message))
        if isinstance(self.attention, MultiHeadAttention) and self.attention_norm is not None:
            assert isinstance(pairs, AllPairs), "trees are for TreeAttention"
            if projection is None or structure_of(pairs.positions, x) is not x:
                hidden = self.attention.attended(x, pairs)
            else:
                mapped, x = projected(x, *projection)
                query, key, value = mapped.chunk(3, dim=1)
                hidden = self.attention.attend(query, key, value, pairs, x)
            x = add_and_norm(self.attention_norm, x, hidden, self.attention.out, dropout, other=local)
        elif self.attention is not None and self.attention_norm is not None:
            attended = self.attention_norm(x + self.dropout(self.attention(x, pairs)))
            x = attended if local is None else local + attended
        elif local is not None:
            x = local
        return self.feed_forward.and_norm(x, self.norm), edge
