"""A model of nodes as one of links: vectors of nodes, then a score for each pair that a batch asks for."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.structure.plan import Plan
from graphpe.transforms.base import LinkEncoding

Score = Literal["dot", "hadamard"]

_SCALE = (
    1e4  # probabilities of one in a thousand and of one in a million are told apart; hops and resistances still fit
)


class LinkModel(nn.Module):
    """Scores of pairs `batch.edge_label_index` `[2, P]`: `[P, 1]`.

    With h the vectors of nodes and f the encodings of the pair (`batch.pair_features` `[P, C]`, after a batch norm; or
    nothing), the score of (i, j) is

    * `dot`: h_i . h_j + MLP(f);
    * `hadamard`: MLP([h_i * h_j, f]), of one hidden layer.

    Other attributes are those of the model of nodes.

    Args:
        model: The model of nodes, whose head gives vectors of `width`.
        width: Their width.
        score: How a pair is scored.
        channels: C.
    """

    def __init__(self, model: nn.Module, width: int, score: Score, channels: int) -> None:
        super().__init__()
        self.model, self.score_name, self.channels = model, score, channels
        self.feature_norm = nn.BatchNorm1d(channels) if channels else None
        inside = channels if score == "dot" else width + channels
        self.pair_mlp = nn.Sequential(nn.Linear(inside, width), nn.ReLU(), nn.Linear(width, 1)) if inside else None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, batch: Batch) -> Tensor:
        return self.score(self.model(batch), batch.edge_label_index, batch.get("pair_features"))

    def score(self, vectors: Tensor, pairs: Tensor, features: Tensor | None) -> Tensor:
        """Scores of pairs from vectors of nodes.

        Args:
            vectors: `[N, width]`.
            pairs: `[2, P]`.
            features: `[P, C]`, or None without encodings of pairs.
        """
        product = vectors[pairs[0]] * vectors[pairs[1]]
        normal = None if self.feature_norm is None else self.feature_norm(features).to(product.dtype)
        if self.score_name == "dot":
            inside = product.sum(dim=1, keepdim=True)
            return inside if normal is None or self.pair_mlp is None else inside + self.pair_mlp(normal)
        assert self.pair_mlp is not None
        return self.pair_mlp(product if normal is None else torch.cat([product, normal], dim=1))

    def __repr__(self) -> str:
        return f"LinkModel(score={self.score_name!r}, channels={self.channels}, model={self.model!r})"


def feature_channels(encodings: list[LinkEncoding]) -> int:
    """Columns of `pair_features`.

    Args:
        encodings: Encodings of chosen pairs.
    """
    return sum(each.columns if each.vocabulary is None else each.columns * each.vocabulary for each in encodings)


def pair_features(encodings: list[LinkEncoding], plan: Plan, pairs: Tensor) -> Tensor:
    """What a model reads of encodings of pairs: one-hot integers, and asinh(10^4 x) of numbers; `[P, C]` float32.

    Args:
        encodings: Encodings of chosen pairs.
        plan: The graph, and the work that its batches share.
        pairs: `[2, P]`.
    """
    columns = []
    for each in encodings:
        values = each.encode_pairs(plan, pairs)
        if each.vocabulary is None:
            columns.append(torch.asinh(_SCALE * values.double()).float())
        else:
            columns.append(functional.one_hot(values.long(), each.vocabulary).flatten(1).float())
    return torch.cat(columns, dim=1)
