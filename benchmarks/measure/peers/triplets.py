"""Triangular attention as published: weights and values of all triplets written out, over padded graphs.

Written from the formulas of Bergen et al. (2021) in the two ways in which released codes compute them, to compare speed
and values with.

B graphs, N nodes of the largest, D = width, H heads, C = D / H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TriangularAttention(nn.Module):
    """Triangular attention between its linear maps, without biases: queries, keys, two factors of values, result.

        a_ilj = softmax_l(q_il k_lj / sqrt(C)),    out_ij = O [sum_l a_ilj (u_il * v_lj)]

    Args:
        width: D.
        heads: H.
        products: Multiply broadcast arrays and sum, for `torch.compile` to join, instead of einsum.
    """

    def __init__(self, width: int, heads: int, *, products: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.products = products
        self.query, self.key, self.left, self.right, self.out = (nn.Linear(width, width, bias=False) for _ in range(5))

    def forward(self, pairs: Tensor, mask: Tensor) -> Tensor:
        """New pairs `[B, N, N, D]`.

        Args:
            pairs: `[B, N, N, D]`.
            mask: `[B, N]`, True for nodes, False for padding.
        """
        maps = (self.query, self.key, self.left, self.right)
        q, k, u, v = (linear(pairs).unflatten(-1, (self.heads, -1)) for linear in maps)  # [B, N, N, H, C]
        if self.products:
            logit = (q.unsqueeze(3) * k.unsqueeze(1)).sum(-1)
        else:
            logit = torch.einsum("bilhc,bljhc->biljh", q, k)
        logit = (logit / q.shape[-1] ** 0.5).masked_fill(~mask[:, None, :, None, None], -1e9)
        weight = logit.softmax(dim=2)  # [B, N, N, N, H]
        if self.products:
            message = (weight.unsqueeze(-1) * (u.unsqueeze(3) * v.unsqueeze(1))).sum(2)
        else:
            value = torch.einsum("bilhc,bljhc->biljhc", u, v)
            message = torch.einsum("biljh,biljhc->bijhc", weight, value)
        return self.out(message.flatten(3))
