"""Linear attention: a kernel of queries and keys with finitely many features, O(N D C) instead of O(n^2 D).

Shape legend: N nodes, D channels, H heads, C = D / H; a block holds b graphs padded to n nodes. With phi >= 0,

    out_i = sum_j M_ij (phi(q_i) . phi(k_j)) v_j / sum_j M_ij (phi(q_i) . phi(k_j))

over the nodes j of i's graph. Without a mask (M = 1) the sums over j are taken once a graph. With one they are products
of M with fields on the nodes (Choromanski et al. 2022, arXiv:2107.07999): any M that has a fast product will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from graphpe.models.attention.padding import PaddedNodes
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.positions.node_positions import Placed, restore, transform
from graphpe.models.attention.shapes import check_attention

Feature = Literal["elu", "relu", "sigmoid"]


class Mask(Protocol):
    """A matrix M over the nodes of each graph, non-negative, of which only products are needed."""

    def apply(self, x: Tensor) -> Tensor:
        """M X for fields X `[N, columns]` on the nodes, `[N, columns]`; differentiable in X.

        Args:
            x: Fields on the nodes, `[N, columns]`.
        """
        ...


@dataclass(frozen=True, eq=False)
class PairMask:
    """The mask with entries `value` `[P]` at a set of pairs (row i = target, column j = source) and 0 elsewhere.

    The plain form of a mask, O(P columns) time and memory.

    Attributes:
        pairs: The set.
        value: Non-negative entries of M, `[P]`.
    """

    pairs: PairSet
    value: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """M X.

        Args:
            x: Fields on the nodes, `[N, columns]`.
        """
        rows = x.index_select(0, self.pairs.source) * self.value.to(x.dtype).unsqueeze(1)
        return torch.zeros_like(x, dtype=rows.dtype).index_add(0, self.pairs.target, rows)


def linear_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    nodes: PaddedNodes,
    *,
    heads: int,
    feature: Feature = "elu",
    mask: Mask | Sequence[Mask] | None = None,
    positions: Sequence[Placed] = (),
    x: Tensor | None = None,
) -> Tensor:
    """Kernel attention of each node over all nodes of its graph, `[N, D]`.

    Where the denominator is zero the result is (`relu` features can all vanish). Sums are taken in float32 or better.

    Positions map features in the numerator, not in the denominator, which could vanish or change its sign (Su et al.
    2021, eq. 19): the weights need not add up to 1.

    Args:
        query: `[N, D]`.
        key: `[N, D]`.
        value: `[N, D]`.
        nodes: The nodes of each graph in padded blocks; not used with a mask.
        heads: Number of heads; divides D.
        feature: phi: `elu`: elu(x) + 1 (Katharopoulos et al. 2020); `relu`; `sigmoid`.
        mask: M, or several, each for as many heads; None for 1. O(heads) products with C (C + 1) columns.
        positions: Maps of features, values and results.
        x: What queries and keys are made of, `[N, D]`, for positions that depend on it; None for the queries.

    Raises:
        GraphPEValueError: A shape is another.
    """
    x = query if x is None else x
    check_attention(query, key, value, nodes.place.numel() if mask is None else query.shape[0], heads)
    exact = torch.promote_types(query.dtype, torch.float32)
    dtype, value = query.dtype, value.to(exact)
    query, key = _features(query.to(exact), feature), _features(key.to(exact), feature)
    turned = transform(positions, query, key, value, x)
    if mask is not None:
        masks = list(mask) if isinstance(mask, Sequence) else [mask]
        out = _masked(query, key, *turned, masks, heads)
    elif not nodes.blocks:  # not one node
        out = value
    else:
        out = _unmasked(query, key, *turned, nodes, heads)
    return restore(positions, out).to(dtype)


def _features(x: Tensor, feature: Feature) -> Tensor:
    match feature:
        case "elu":
            return functional.elu(x) + 1
        case "relu":
            return x.relu()
        case "sigmoid":
            return x.sigmoid()


def _unmasked(
    query: Tensor, key: Tensor, turned_query: Tensor, turned_key: Tensor, value: Tensor, nodes: PaddedNodes, heads: int
) -> Tensor:
    fields = (query, key, turned_query, turned_key, value)
    outputs = []
    for block, *rows in zip(nodes.blocks, *(nodes.split(x) for x in fields), strict=True):
        q, k, tq, tk, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in rows)  # [b, H, n, C]
        real = (block.key_mask == 0).to(k.dtype).transpose(2, 3)  # [b, 1, n, 1]
        top = torch.matmul(tq, torch.matmul((tk * real).transpose(2, 3), v))
        total = torch.matmul(q, (k * real).sum(2).unsqueeze(-1))
        outputs.append((top / _without_zeros(total)).transpose(1, 2).flatten(2))
    return nodes.join(outputs)


def _masked(
    query: Tensor,
    key: Tensor,
    turned_query: Tensor,
    turned_key: Tensor,
    value: Tensor,
    masks: Sequence[Mask],
    heads: int,
) -> Tensor:
    nodes = query.shape[0]
    fields = (query, key, turned_query, turned_key, value)
    q, k, tq, tk, v = (x.view(nodes, heads, x.shape[1] // heads) for x in fields)
    inner, channels = tk.shape[2], v.shape[2]
    outputs = []
    for head in range(heads):  # one at a time: [N, C (C + 1)] is the memory it takes
        outer = (tk[:, head].unsqueeze(2) * v[:, head].unsqueeze(1)).flatten(1)  # [N, C' C]
        mask = masks[head * len(masks) // heads]
        sums = mask.apply(torch.cat([outer, k[:, head]], dim=1))
        top = (tq[:, head].unsqueeze(1) @ sums[:, : inner * channels].unflatten(1, (inner, channels))).squeeze(1)
        total = (q[:, head] * sums[:, inner * channels :]).sum(1, keepdim=True)
        outputs.append(top / _without_zeros(total))
    return torch.cat(outputs, dim=1)


def _without_zeros(total: Tensor) -> Tensor:
    return torch.where(total == 0, 1.0, total)
