"""Relative encodings of published models as one-liners over any distance on a graph."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.attention.pairs import PairSet
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import in_half_precision


def graphormer_bias(heads: int, max_distance: int, key: str = "shortest_path") -> PairBias:
    """The spatial bias b_h[hops] of Graphormer (Ying et al. 2021, eq. 6), for `ShortestPathPE(max_distance)`.

    Args:
        heads: Number of attention heads.
        max_distance: Largest number of hops with a bias of its own.
        key: Name of the hops in the batch.
    """
    return PairBias(key, heads, head="table", size=max_distance + 1, unreachable=max_distance + 1)


def graphormer_gd_bias(
    heads: int, max_distance: int, hops: str = "shortest_path", resistance: str = "resistance"
) -> list[PairBias]:
    """phi_2 * softmax(. + phi_1) of hops and resistances (Zhang et al. 2023, GD-WL): both modes of two encodings.

    phi_1 is the sum of a table and of Gaussians; phi_2 is the product of two such functions, each 1 at the start.

    Args:
        heads: Number of attention heads.
        max_distance: Largest number of hops with a bias of its own.
        hops: Name of the hops in the batch.
        resistance: Name of the resistances in the batch.
    """
    return [
        PairBias(hops, heads, head="table", mode="both", size=max_distance + 1, unreachable=max_distance + 1),
        PairBias(resistance, heads, head="gaussian", mode="both"),
    ]


def t5_bias(heads: int, key: str = "shortest_path", size: int = 32, max_distance: float = 128.0) -> PairBias:
    """A number for each logarithmic range of distances (Raffel et al. 2020).

    Args:
        heads: Number of attention heads.
        key: Name of the distances in the batch.
        size: Number of ranges.
        max_distance: Distance from which on there is one range.
    """
    return PairBias(key, heads, head="t5", size=size, max_distance=max_distance)


def alibi_bias(heads: int, key: str = "shortest_path") -> PairBias:
    """-2^(-8h/H) D (Press et al. 2022).

    Args:
        heads: Number of attention heads.
        key: Name of the distances D in the batch.
    """
    return PairBias(key, heads, head="alibi")


def kerple_bias(heads: int, key: str = "resistance", kind: Literal["log", "power"] = "log") -> PairBias:
    """-r_1 log(1 + r_2 D) or -r_1 D^r_2 (Chi et al. 2022).

    Args:
        heads: Number of attention heads.
        key: Name of the distances D in the batch.
        kind: `log` for the first formula, `power` for the second.
    """
    if kind not in ("log", "power"):
        raise GraphPEValueError(f"kind must be 'log' or 'power' (got {kind!r})")
    return PairBias(key, heads, head="kerple_log" if kind == "log" else "kerple_power")


def fire_bias(heads: int, key: str = "shortest_path", size: int = 32) -> PairBias:
    """MLP(log(c D + 1) / log(c max(L, D_i) + 1)) (Li et al. 2024).

    Args:
        heads: Number of attention heads.
        key: Name of the distances D in the batch.
        size: Hidden width of the MLP.
    """
    return PairBias(key, heads, head="fire", size=size)


def urpe_bias(heads: int, max_distance: int, key: str = "shortest_path") -> PairBias:
    """A learned factor of the weights after the softmax, 1 at the start (Luo et al. 2022).

    Args:
        heads: Number of attention heads.
        max_distance: Largest number of hops with a factor of its own.
        key: Name of the hops in the batch.
    """
    return PairBias(key, heads, mode="multiply", size=max_distance + 1, unreachable=max_distance + 1)


class RelationKeys(nn.Module):
    """Relation-aware attention: a learned key for each clipped distance (Shaw et al. 2018, eq. 4).

        logit_ij = q_i (k_j + a[min(D_ij, max_distance)]) / sqrt(C)

    A pair without a path (a negative or infinite distance, or one above `max_distance` where the encoding says so) has
    a key of its own. The keys are shared by the heads, as in the paper. Products q_i a[r] are taken once for each node
    and relation, O(N D R) time and O(N H R) memory, and then looked up: nothing of size `[P, D]` is stored. What it
    returns is added to the logits, so that attention still goes through PyTorch's kernels.

    There are no values a^V of relations: the paper found that they change nothing (table 3), and they would need the
    weights of all pairs.

    Args:
        key: Name of the distance in the batch.
        heads: Number of heads H; divides `width`.
        width: Width D of the queries.
        max_distance: Largest distance with a key of its own.
        unreachable: Smallest value that means that there is no path.

    Raises:
        GraphPEValueError: If a number is out of range; in `forward` if the batch has no such encoding.
    """

    def __init__(
        self, key: str, heads: int, width: int, max_distance: int, *, unreachable: float | None = None
    ) -> None:
        super().__init__()
        if min(heads, width) < 1 or max_distance < 0 or width % heads:
            raise GraphPEValueError(
                f"RelationKeys needs heads that divide width and max_distance >= 0 "
                f"(got heads={heads}, width={width}, max_distance={max_distance})"
            )
        self.key = key
        self.heads = heads
        self.max_distance = max_distance
        self.unreachable = unreachable
        self.keys = nn.Parameter(torch.zeros(max_distance + 2, width // heads))

    @in_half_precision
    def forward(self, batch: Data, pairs: PairSet, query: Tensor) -> Tensor:
        """From queries `[N, D]` to what is added to the logits of the pairs, `[P, H]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the relation under `key`.
            pairs: The pairs of the attention.
            query: Queries, `[N, D]`.
        """
        value = pairs.take(read_encoding(batch, self.key, 1, level="pair", rows=pairs.total)).squeeze(1).double()
        far = float("inf") if self.unreachable is None else self.unreachable
        reachable = (value >= 0) & (value < far)
        relation = torch.where(reachable, value.round().clamp(max=self.max_distance), self.max_distance + 1).long()
        channels = self.keys.shape[1]
        product = query.view(-1, self.heads, channels) @ self.keys.t() * channels**-0.5  # [N, H, R]
        product = product.transpose(1, 2).reshape(-1, self.heads)  # row: node, relation
        return product.index_select(0, pairs.target * self.keys.shape[0] + relation)
