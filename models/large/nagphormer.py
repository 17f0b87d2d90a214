"""NAGphormer: Chen et al., "A Tokenized Graph Transformer for Node Classification in Large Graphs" (ICLR 2023).

arXiv:2206.04910.

Design choices: a node is a sequence of tokens, features summed over its hops 0 to K, which a transform computes once
for the whole graph; a transformer runs over each node's tokens alone, so that any nodes make a batch.

Shape legend: N nodes, B graphs, S = K + 1 tokens, D width, H heads, C = D / H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.neighbours.sums import neighbour_sums
from graphpe.models.encoders.hop_tokens import HopTokens
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.models.layers.multi_head import FeedForward
from graphpe.models.layers.normalization import RowLayerNorm
from graphpe.models.layers.precision import exactly, in_half_precision
from graphpe.models.layers.stem import add_edges, read_nodes
from graphpe.models.layers.text import call_text


class NAGphormer(nn.Module):
    """A transformer over the hops around each node (Chen et al. 2023).

        t_k = E X_k + [k = 0] x,    X_k = A^k X               with a `HopTokens` over `T.HopFeatures`
        t_k = A^k x                                           without                              (k = 0 ... K)
        t <- t + MHA(LayerNorm(t)),   t <- t + FFN(LayerNorm(t))           `layers` times, hidden width 2 D, GELU
        t <- LayerNorm(t)
        out = t_0 + sum_{k > 0} a_k t_k,    a = softmax_k(w . [t_0, t_k])

    x is the sum of node embeddings and encodings, A = D^-1/2 (S + I) D^-1/2 with S the symmetrised edges. With a
    `HopTokens` among the `encodings` (from the command line: with `--encodings "HopFeatures(3, features={'x': 7})"`) no
    step reads an edge, and sampled nodes have the tokens that they have in the whole graph. Without one A^k is applied
    to the embeddings in every step, along the batch's edges as they are directed there; on an undirected graph, and
    where embeddings are linear in the features, that is the same. Edge features enter x as the mean over the edges that
    end in a node.

    The published configuration for PubMed is `NAGphormer(width=512, hops=7, dropout=0.1, attention_dropout=0.1)` over
    features and 15 eigenvectors, `Compose([LaplacianPE(15), HopFeatures(7, features={"x": 500,
    "laplacian_eigenvector_pe": 15})])`. A layer has 8 D^2 + 11 D parameters, the readout 2 D + 1 and a norm of 2 D.

    Costs per layer (multiply-adds): 8 N S D^2 and 2 N S^2 D; memory O(N S D). The tokens of a dataset take 4 N S F
    bytes.

    Differs from the released code (JHL-HUST/NAGphormer):

    * The node's own token has a map of its own beside that of all tokens: the node encoder's, which takes categories.
    * Tokens are made by `T.HopFeatures`, from edges as everywhere in this library (released: from DGL's).
    * The last two layers, with a ReLU between them and half the width, are the task's head.
    * Weights are initialised as everywhere in this library (released: normal with 0.02 / sqrt(layers), biases zero).

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.HopFeatures(2, features={"x": 3})(data)
        >>> tokens, head = M.HopTokens("hop_features", hops=2, channels=3, width=16), torch.nn.Linear(16, 2)
        >>> model = M.NAGphormer(width=16, hops=2, heads=4, readout="none",
        ...     node_encoder=M.LinearNodes(3, 16), encodings=[tokens], head=head)
        >>> model(data).shape
        torch.Size([5, 2])

    Args:
        width: Width D of the tokens.
        hops: Number K of hops.
        layers: Number of layers.
        heads: Number of attention heads; divides `width`.
        dropout: Probability of dropout of both branches and inside the feed-forward network.
        attention_dropout: Probability of dropout of attention weights.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings, and at most one `HopTokens`.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPEValueError: If a number is out of range, `heads` does not divide `width`, an option is unknown, or there
            is more than one `HopTokens`.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        hops: int = 3,
        layers: int = 1,
        heads: int = 8,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        readout: Readout = "mean",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, hops, layers, heads = check_counts(width=width, hops=hops, layers=layers, heads=heads)
        check_divides(heads, width)
        dropout, attention_dropout = check_probabilities(dropout=dropout, attention_dropout=attention_dropout)
        check_choice("readout", readout, READOUTS)
        self.width = width
        self.hops = hops
        self.heads = heads
        self.dropout = float(dropout)
        self.attention_dropout = float(attention_dropout)
        self.readout = readout

        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        tokens = [encoding for encoding in encodings if isinstance(encoding, HopTokens)]
        if len(tokens) > 1 or any(each.hops != hops for each in tokens):
            raise GraphPEValueError(
                f"NAGphormer(hops={hops}) takes the tokens of one HopFeatures of as many hops, got hops="
                f"{[each.hops for each in tokens]}: give both the same, and all features to one HopFeatures"
            )
        self.layers = nn.ModuleList(
            TokenLayer(width, heads, self.dropout, self.attention_dropout) for _ in range(layers)
        )
        self.norm = RowLayerNorm(width)
        self.weigh = nn.Linear(2 * width, 1)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> Literal["hops"]:
        """What attention runs over: the hops around each node."""
        return "hops"

    @property
    def attends_to_all_pairs(self) -> bool:
        """False: a node sees its hops only."""
        return False

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The head's output for a `Batch`, or for a `Data` as a batch of one graph.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.

        Raises:
            GraphPEValueError: If the batch lacks what an encoder reads; the message says what to add.
        """
        encoder = next((each for each in self.encodings if isinstance(each, HopTokens)), None)
        members, edge_index, x = read_nodes(self, batch, without=encoder)
        x = add_edges(x, batch, self.edge_encoder, edge_index)
        if encoder is None:
            tokens = hop_rows(x, edge_index, self.hops)
        else:
            tokens = members.sort(encoder(batch))
            tokens = torch.cat([(tokens[:, 0] + x).unsqueeze(1), tokens[:, 1:].to(x.dtype)], dim=1)
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = self.norm(tokens)
        own, around = tokens[:, :1], tokens[:, 1:]
        share = exactly(self.weigh(torch.cat([own.expand_as(around), around], dim=2))).softmax(1)  # [N, K, 1]
        return self.head(pool(own.squeeze(1) + (share * around).sum(1), members, self.readout))

    def __repr__(self) -> str:
        return call_text(self, ("width", "hops", "layers", "heads", "dropout", "attention_dropout", "readout"))


class TokenLayer(nn.Module):
    """Attention between the tokens of each node, and a feed-forward network, each with a residual connection.

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        dropout: Probability of dropout of both branches.
        attention_dropout: Probability of dropout of attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = RowLayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.attention_dropout = nn.Dropout(attention_dropout)
        self.norm = RowLayerNorm(width)
        self.feed_forward = FeedForward(width, 2 * width, activation="gelu", dropout=dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """The tokens `[N, S, D]` after the layer.

        Args:
            tokens: The tokens of each node, `[N, S, D]`.
        """
        mapped = self.query_key_value(self.attention_norm(tokens))
        query, key, value = mapped.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [N, H, S, C] each
        logit = exactly(query @ key.transpose(2, 3)) * query.shape[-1] ** -0.5
        weight = self.attention_dropout(logit.softmax(-1)).to(value.dtype)  # [N, H, S, S]
        message = (weight @ value).transpose(1, 2).flatten(2)
        tokens = tokens + self.dropout(self.out(message))
        return tokens + self.feed_forward(self.norm(tokens))


def hop_rows(x: Tensor, edge_index: Tensor, hops: int) -> Tensor:
    """A^k x for k = 0 ... K, `[N, K + 1, D]`, in float32 or better; A = D^-1/2 (S + I) D^-1/2, D the row sums of S + I.

    Args:
        x: Rows of the nodes, `[N, D]`.
        edge_index: The edges (source, target) that S has, `[2, E]`.
        hops: K.
    """
    pairs, x = Neighbours(edge_index, x.shape[0], itself=True), exactly(x)
    scale = pairs.degree.to(x.dtype).rsqrt().unsqueeze(1)
    rows = [x]
    for _ in range(hops):
        rows.append(neighbour_sums(None, rows[-1] * scale, pairs) * scale)
    return torch.stack(rows, dim=1)
