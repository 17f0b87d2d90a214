"""Relational attention: queries, keys and values of a pair come from its nodes and from its own vector.

Shape legend: N nodes, P pairs, D channels, H heads, C = D / H. For every pair (j -> i) and head

    q_ij = q_i + E_q e_ij,  k_ij = k_j + E_k e_ij,  v_ij = v_j + E_v e_ij
    weight_ij = softmax over the pairs (j -> i) of q_ij k_ij / sqrt(C)
    out_i = sum over the pairs (j -> i) of weight_ij v_ij,

zero where no pair ends in i (Diao & Loynd 2023). Biases of pairs' maps are added to the nodes' terms by
the caller: q_i = W_q n_i + b_q + b_Eq, and so on; that is exact, since weights sum to 1.

The values' map is taken out of the sum, out_i = sum weight_ij v_j + E_v sum weight_ij e_ij: the sum has H D numbers a
node, and the product of every pair with E_v, a third of all, is gone. The other two cannot be avoided in this way:
q_ij k_ij has the term e_ij^T E_q^T E_k e_ij, of rank C in each head, and D products with e_ij is what it costs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from graphpe.models.attention.pairs import PairSet


def relational_attention_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pair: Tensor,
    pair_query: Tensor,
    pair_key: Tensor,
    pair_value: Tensor,
    pairs: PairSet,
    *,
    heads: int,
) -> Tensor:
    """The formulas of this module, one line each; the signature of `relational_attention`.

    Stores about eight `[P, D]` tensors for the backward pass; can be differentiated twice and traced by
    `torch.compile`.
    """
    (nodes, width), source, target = query.shape, pairs.source, pairs.target
    split = (heads, width // heads)
    q = (query.index_select(0, target) + pair @ pair_query.t()).unflatten(1, split)  # [P, H, C]
    k = (key.index_select(0, source) + pair @ pair_key.t()).unflatten(1, split)
    v = (value.index_select(0, source) + pair @ pair_value.t()).unflatten(1, split)
    logit = (_exact(q) * _exact(k)).sum(-1) * split[1] ** -0.5  # [P, H]
    weight = _segment_softmax(logit, target, nodes)
    message = weight.unsqueeze(-1) * v
    return message.new_zeros(nodes, *split).index_add(0, target, message).flatten(1).to(query.dtype)


def relational_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pair: Tensor,
    pair_query: Tensor,
    pair_key: Tensor,
    pair_value: Tensor,
    pairs: PairSet,
    *,
    heads: int,
) -> Tensor:
    """Relational attention of each node over the pairs that end in it, `[N, D]`.

    Args:
        query: q_i of each node, `[N, D]`.
        key: k_j, `[N, D]`.
        value: v_j, `[N, D]`.
        pair: Vectors e_ij of the pairs, `[P, D]`.
        pair_query: E_q, `[D, D]` (out, in).
        pair_key: E_k.
        pair_value: E_v.
        pairs: The pairs.
        heads: Number of heads; divides D.
    """
    if torch.compiler.is_compiling():
        attend = relational_attention_reference
        return attend(query, key, value, pair, pair_query, pair_key, pair_value, pairs, heads=heads)
    return checkpoint(
        relational_attention_reference,
        *(query, key, value, pair, pair_query, pair_key, pair_value, pairs),
        heads=heads,
        use_reentrant=False,
        preserve_rng_state=False,
    )


def _segment_softmax(logit: Tensor, target: Tensor, nodes: int) -> Tensor:
    """Softmax over the pairs that end in one node, `[P, H]`."""
    place = target.unsqueeze(1).expand_as(logit)
    top = logit.new_zeros(nodes, logit.shape[1])
    top = top.scatter_reduce(0, place, logit.detach(), "amax", include_self=False)
    weight = (logit - top.index_select(0, target)).exp()
    total = weight.new_zeros(nodes, weight.shape[1]).index_add(0, target, weight)
    return weight / total.index_select(0, target)


def _exact(x: Tensor) -> Tensor:
    """`x` in at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
