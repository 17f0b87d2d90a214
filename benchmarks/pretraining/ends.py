"""The two ends of a model that predicts encodings: random features of nodes, and heads for nodes and for pairs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import PairSet
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.encoders.learned.fixed_normals import mixed, shifted
from graphpe.models.layers.heads import PairHead

RANDOM_CHANNELS = 20
"""Random features of a node, as GPSE has them."""

HIDDEN = 64
"""Units of the hidden layer over pairs."""

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # SplitMix64's increment as a signed word


class RandomNodes(nn.Module):
    """A linear map of random features, standard normal numbers: all that is known of a node is where it is.

    In training they are drawn anew at every step. Otherwise they are functions of `seed`, of the number of a node in
    its graph and of the column, so that they depend on nothing else in a batch, and two calls agree.

    Args:
        width: Width of the embeddings.
        channels: Random features of a node.
    """

    def __init__(self, width: int, channels: int = RANDOM_CHANNELS) -> None:
        super().__init__()
        self.seed = 0
        self.linear = nn.Linear(channels, width)

    def forward(self, batch: Data) -> Tensor:
        """Node embeddings `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
        """
        weight = self.linear.weight
        members, channels = node_to_graph(batch), self.linear.in_features
        if self.training:
            return self.linear(torch.randn(members.num_nodes, channels, dtype=weight.dtype, device=weight.device))
        place = torch.arange(members.num_nodes, device=weight.device) - members.ptr[members.graph]
        column = torch.arange(channels, device=weight.device)
        return self.linear(normal_numbers(place[:, None] * channels + column, self.seed).to(weight.dtype))


def normal_numbers(counter: Tensor, seed: int) -> Tensor:
    """Numbers that are as good as independent and standard normal, each a function of its counter and a seed.

    Args:
        counter: Integers.
        seed: Of all of them.
    """
    start = (seed * 0x9E3779B97F4A7C15) & (2**62 - 1)
    word = mixed((counter + start) * _GOLDEN)
    uniform = (shifted(word, 41).float() + 0.5) / 2**23  # exactly, and neither 0 nor 1
    return torch.erfinv(2 * uniform - 1) * 2**0.5


class Parts(NamedTuple):
    """What heads give.

    Attributes:
        nodes: Predictions for nodes, `[N, columns]`.
        ends: What predictions for pairs are made of: terms of the hidden layer `[N, HIDDEN]` of each node as the first
            and as the second of a pair, and weight `[columns, HIDDEN]` and bias `[columns]` of the layer after it; None
            where there are none, or `pairs`.
        pairs: Predictions for all pairs, `[sum n^2, columns]`; None where they come from vectors of nodes.
        hidden: Of inputs that training hides at some nodes, by their keys: where, `[N]`; only there they are asked
            about. None where there are none.
    """

    nodes: Tensor
    ends: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    pairs: Tensor | None = None
    hidden: dict[str, Tensor] | None = None


class EncodingHead(nn.Module):
    """Heads over vectors of nodes x: an MLP for nodes, and one for pairs.

    Of a pair (u, v) it predicts W relu(A h_u + B h_v) + b with h = relu(T x).

    Args:
        width: Width of the model's vectors.
        columns: Numbers of a node; 0 for none.
        pair_columns: Numbers of a pair; 0 for none.
    """

    def __init__(self, width: int, columns: int, pair_columns: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.nodes = nn.Linear(width, columns) if columns else None
        self.pairs = nn.Linear(width, 2 * HIDDEN) if pair_columns else None
        self.out = nn.Linear(HIDDEN, pair_columns) if pair_columns else None

    def forward(self, x: Tensor) -> Parts:
        """Predictions for nodes, and parts of those for pairs.

        Args:
            x: Vectors of nodes, `[N, width]`.
        """
        hidden = self.trunk(x)
        nodes = hidden[:, :0] if self.nodes is None else self.nodes(hidden)
        if self.pairs is None or self.out is None:
            return Parts(nodes)
        left, right = self.pairs(hidden).chunk(2, dim=1)
        # Copies: among several devices, torch takes parameters that are an output themselves for unused.
        return Parts(nodes, (left, right, self.out.weight.clone(), self.out.bias.clone()))


class PairEncodingHead(PairHead):
    """Heads for a model with vectors of pairs: an MLP for nodes, and one for pairs.

    Args:
        width: Width of the model's vectors.
        columns: Numbers of a node; 0 for none.
        pair_columns: Numbers of a pair.
    """

    def __init__(self, width: int, columns: int, pair_columns: int) -> None:
        super().__init__()
        self.nodes = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, columns)) if columns else None
        self.pairs = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, pair_columns))

    def forward(self, x: Tensor, pair: Tensor, pairs: PairSet) -> Parts:
        """Predictions for nodes and for all pairs.

        Args:
            x: Vectors of nodes, `[N, width]`.
            pair: Vectors of pairs, `[P, width]`.
            pairs: Which pairs these are.

        Raises:
            GraphPEValueError: If they are not all pairs of each graph.
        """
        if not pairs.complete:
            raise GraphPEValueError(
                "encodings of pairs need all pairs of nodes: give attention='full', or pair_output=False"
            )
        return Parts(x[:, :0] if self.nodes is None else self.nodes(x), pairs=self.pairs(pair))
