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

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint as recomputed

from graphpe.compiled.kernel import KINDS, has_kernels
from graphpe.models.attention.gpu.relational import attend_along_pairs
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.recording import note_pairs, recording
from graphpe.models.attention.relational.arrays import Gradients, Kept, Layer, Upstream
from graphpe.models.attention.relational.kernels import LANES, backward_rows, forward_rows
from graphpe.models.attention.shapes import check_attention, check_shapes
from graphpe.models.attention.threads import (
    array,
    compiled_runs,
    flat,
    lanes_of,
    new_rows,
    pad_heads,
    parts_of,
    run_parts,
    unpad_heads,
)

_BOUND = 80.0  # exp(-80) is no part of a softmax in float64, and exp(80) no infinity in float32


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
    checkpoint: bool = False,
) -> Tensor:
    """The formulas of this module, one line each; the signature of `relational_attention`.

    Stores about eight `[P, D]` tensors for the backward pass; can be differentiated twice and traced by
    `torch.compile`.

    Args:
        query: Terms q_i of the nodes, `[N, D]`.
        key: Terms k_j, `[N, D]`.
        value: Terms v_j, `[N, D]`.
        pair: Vectors of the pairs, `[P, D]`.
        pair_query: E_q, `[D, D]`, as in a linear layer.
        pair_key: E_k.
        pair_value: E_v.
        pairs: The pairs.
        heads: Number of heads; divides D.
        checkpoint: Not read: autograd keeps what it needs.
    """
    (nodes, width), source, target = query.shape, pairs.source, pairs.target
    split = (heads, width // heads)
    weight = _weights(query, key, pair, pair_query, pair_key, pairs, heads)
    v = (value.index_select(0, source) + pair @ pair_value.t()).unflatten(1, split)  # [P, H, C]
    message = weight.unsqueeze(-1) * v
    return message.new_zeros(nodes, *split).index_add(0, target, message).flatten(1).to(query.dtype)


def _weights(
    query: Tensor, key: Tensor, pair: Tensor, pair_query: Tensor, pair_key: Tensor, pairs: PairSet, heads: int
) -> Tensor:
    """What the values of pairs are multiplied with, `[P, H]`."""
    (nodes, width), source, target = query.shape, pairs.source, pairs.target
    split = (heads, width // heads)
    q = (query.index_select(0, target) + pair @ pair_query.t()).unflatten(1, split)  # [P, H, C]
    k = (key.index_select(0, source) + pair @ pair_key.t()).unflatten(1, split)
    logit = (_exact(q) * _exact(k)).sum(-1) * split[1] ** -0.5  # [P, H]
    return _segment_softmax(logit, target, nodes)


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
    checkpoint: bool = False,
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
        checkpoint: Compute E_q e_ij and E_k e_ij again in the backward pass instead of keeping them. Where the
            compiled passes do not run (other devices, half precision), that is everything. On a GPU Triton's kernels
            always do, and the products of values, too.

    Raises:
        GraphPEValueError: A shape is another.
    """
    pairs.check()
    width = check_attention(query, key, value, pairs.num_nodes, heads)
    maps = {"pair_query": pair_query, "pair_key": pair_key, "pair_value": pair_value}
    check_shapes(pair=(pair, (pairs.num_pairs, width)), **{name: (x, (width, width)) for name, x in maps.items()})
    if recording():
        weight = _weights(query, key, pair, pair_query, pair_key, pairs, heads)
        note_pairs(pairs.source, pairs.target, weight, pairs.num_nodes)
    if has_kernels(pair.device) and query.dtype in KINDS and pair.dtype in KINDS:
        return attend_along_pairs(query, key, value, pair, pair_query, pair_key, pair_value, pairs, heads=heads)
    compiled = not torch.compiler.is_compiling() and compiled_runs(
        pair, query, key, value, pair_query, pair_key, pair_value
    )
    if torch.compiler.is_compiling() or not (compiled or checkpoint):
        attend = relational_attention_reference
        return attend(query, key, value, pair, pair_query, pair_key, pair_value, pairs, heads=heads)
    if compiled:
        stored = torch.is_grad_enabled() and not checkpoint
        return _RelationalAttention.apply(
            query, key, value, pair, pair_query, pair_key, pair_value, pairs, heads, stored
        )
    return recomputed(
        relational_attention_reference,
        *(query, key, value, pair, pair_query, pair_key, pair_value, pairs),
        heads=heads,
        use_reentrant=False,
        preserve_rng_state=False,
    )


class _RelationalAttention(torch.autograd.Function):
    """The compiled passes and what they need; see `relational_attention`."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pair: Tensor,
        pair_query: Tensor,
        pair_key: Tensor,
        pair_value: Tensor,
        pairs: PairSet,
        heads: int,
        stored: bool,
    ) -> Tensor:
        pair = pair.contiguous()
        (nodes, width), channels = query.shape, query.shape[1] // heads
        q, k, v = (pad_heads(x, heads).contiguous() for x in (query, key, value))
        maps = _maps(pair_query, pair_key, heads)
        number = array(pair).dtype.type
        mapped = new_rows(pairs.num_pairs if stored else 0, maps.shape[1], pair)
        weight = new_rows(pairs.num_pairs, heads, pair)
        message, gathered = torch.zeros_like(q), pair.new_zeros(nodes, heads, width)
        parts = parts_of(pairs.ptr)
        layer = _layer(pairs, pair, q, k, v, maps, channels)
        kept = Kept(stored, array(mapped), flat(weight))
        sums = flat(message), flat(gathered)

        def run(part: int) -> None:
            forward_rows(*parts[part], layer, number(_BOUND), kept, *sums, (0,) * LANES, lanes_of(width))

        run_parts(run, len(parts))
        out = torch.bmm(gathered.transpose(0, 1), pair_value.view(heads, channels, width).transpose(1, 2))  # [H, N, C]
        out = out.transpose(0, 1).reshape(nodes, width) + unpad_heads(message, heads, channels)
        ctx.save_for_backward(query, key, value, pair, pair_query, pair_key, pair_value, mapped, weight, out)
        ctx.pairs, ctx.heads, ctx.stored = pairs, heads, stored
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, pair, pair_query, pair_key, pair_value, mapped, weight, out = ctx.saved_tensors
        pairs, heads = ctx.pairs, ctx.heads
        (nodes, width), channels = query.shape, query.shape[1] // heads
        q, k, v, grad_message = (pad_heads(x, heads).contiguous() for x in (query, key, value, grad))
        maps = _maps(pair_query, pair_key, heads)
        by_head = grad.reshape(nodes, heads, channels)
        mean_slope = (by_head * out.view(nodes, heads, channels)).sum(-1)
        by_head = by_head.transpose(0, 1)  # [H, N, C]
        grad_gathered = torch.bmm(by_head, pair_value.view(heads, channels, width)).transpose(0, 1).contiguous()
        parts = parts_of(pairs.ptr)
        count = len(parts)
        gathered = torch.zeros_like(grad_gathered)
        grad_pair = new_rows(pairs.num_pairs, width, pair)
        grad_query = torch.zeros_like(q)
        grad_key, grad_value = (q.new_zeros(count, *q.shape) for _ in range(2))
        grad_maps = maps.new_zeros(count, *maps.shape)
        layer = _layer(pairs, pair, q, k, v, maps, channels)
        kept = Kept(ctx.stored, array(mapped), flat(weight))
        upstream = Upstream(flat(grad_message), flat(grad_gathered), flat(mean_slope))

        def run(part: int) -> None:
            gradients = Gradients(
                query=flat(grad_query),
                key=flat(grad_key[part]),
                value=flat(grad_value[part]),
                pair=array(grad_pair),
                maps=array(grad_maps[part]),
            )
            backward_rows(*parts[part], layer, kept, upstream, gradients, flat(gathered), (0,) * LANES, lanes_of(width))

        run_parts(run, count)
        grad_nodes = (unpad_heads(x, heads, channels) for x in (grad_query, grad_key.sum(0), grad_value.sum(0)))
        of_query, of_key = (unpad_heads(x, heads, channels).t() for x in grad_maps.sum(0).chunk(2, dim=1))
        of_value = torch.bmm(by_head.transpose(1, 2), gathered.transpose(0, 1)).view(width, width)
        return (*grad_nodes, grad_pair, of_query, of_key, of_value, None, None, None)


def _layer(
    pairs: PairSet, pair: Tensor, query: Tensor, key: Tensor, value: Tensor, maps: Tensor, channels: int
) -> Layer:
    rows = array(pair)
    scale = rows.dtype.type(channels**-0.5)
    return Layer(
        source=array(pairs.source),
        ptr=array(pairs.ptr),
        pair=rows,
        query=flat(query),
        key=flat(key),
        value=flat(value),
        maps=array(maps),
        scale=scale,
    )


def _maps(pair_query: Tensor, pair_key: Tensor, heads: int) -> Tensor:
    """The maps of a pair to its query and its key side by side, `[D, 2 H C]`."""
    return torch.cat([pad_heads(x.t(), heads) for x in (pair_query, pair_key)], dim=1)


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
