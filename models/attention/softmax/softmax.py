"""Softmax attention with biases of pairs, over all pairs of each graph or over any set of pairs.

Shape legend: N nodes, P pairs, D channels, H heads, C = D / H. For every pair (j -> i) and head

    logit_ij  = q_i k_j / sqrt(C) + add_ij
    weight_ij = exp(logit_ij) / sum over the pairs (l -> i) of exp(logit_il)
    out_i     = sum over the pairs (j -> i) of weight_ij multiply_ij (v_j + table[relation_ij]),

zero where no pair ends in i. Factors come after the softmax and weights are not normalised again (URPE). Dropout is of
the weights, factors included. What relations add to values is found from the sums of weights over the pairs of a node
of each relation, `[N, R, H]`.

Four paths, one meaning: over all pairs in padded blocks by `scaled_dot_product_attention`, biases included; over all
pairs with factors or values of relations, which PyTorch's kernels do not know, by the same products written out; over
all pairs on a GPU by Triton kernels, without padding, where numbers of relations and biases of low rank are read as
they are and never become rows of pairs (`graphpe.models.attention.gpu.softmax`); over any other set of
pairs (edges, for instance), and on a GPU with values of relations, along the list, in O(P D) time, with nothing of size
`[P, D]` stored for the backward pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from graphpe.compiled.kernel import KINDS
from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.gpu.ragged import RaggedNodes
from graphpe.models.attention.gpu.softmax import ragged_softmax
from graphpe.models.attention.padding import PaddedNodes
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.recording import note_blocks, note_pairs, recording
from graphpe.models.attention.shapes import check_attention, check_shapes, check_wide_attention
from graphpe.models.attention.softmax.padded_factors import PaddedFactors
from graphpe.models.attention.softmax.relation_values import (
    check_table,
    relations_of_block,
    with_relations,
    with_wider_values,
)

# Bytes of one [rows, D] block of the list path, as in `graphpe.models.attention.clamped.edge_list`.
_BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 26}


def softmax_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pairs: PairSet | PaddedNodes | RaggedNodes,
    factors: PairFactors | PaddedFactors | None = None,
    *,
    heads: int,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of each node over the pairs that end in it, `[N, D]`.

    Logits are divided by the root of C, the channels of a *value*: queries and keys may be wider than values, as what
    is appended to them for a bias of low rank (`left` and `right` of the factors) makes them.

    Args:
        query: `[N, D']`.
        key: `[N, D']`.
        value: `[N, D]`.
        pairs: A set of pairs, or all pairs of each graph as padded nodes, or as blocks of nodes for a GPU.
        factors: Biases and factors of the pairs: `PaddedFactors` for padded nodes, else `PairFactors`.
        heads: Number of heads; divides D and D'.
        dropout: Probability of dropout of weights; 0 outside training.

    Raises:
        GraphPEValueError: A shape is another.
    """
    left, right = (None, None) if factors is None else (factors.left, factors.right)
    if isinstance(pairs, RaggedNodes) and _in_kernels(query, factors):
        left = right = None  # they stay what they are
    if query.shape != value.shape or left is not None:
        nodes = pairs.members.num_nodes if isinstance(pairs, RaggedNodes) else _number_of_nodes(pairs)
        width = check_wide_attention(query, key, value, nodes, heads)
        if left is not None and factors is not None:
            factors = replace(factors, left=None, right=None)
        # Half precision would round distances, which are differences of large numbers.
        with torch.autocast(query.device.type, enabled=left is None and torch.is_autocast_enabled(query.device.type)):
            wide = _equally_wide(query, key, value, left, right, heads)
            more = (wide[2].shape[1] - width) // heads
            out = softmax_attention(*wide, pairs, with_wider_values(factors, more), heads=heads, dropout=dropout)
        return out.unflatten(1, (heads, -1))[..., : width // heads].flatten(1).to(value.dtype)
    if isinstance(pairs, RaggedNodes):
        assert not isinstance(factors, PaddedFactors), "factors of blocks for a GPU are rows"
        return _ragged_attention(query, key, value, pairs, factors, heads, dropout)
    nodes = _number_of_nodes(pairs)
    check_attention(query, key, value, nodes, heads)
    if isinstance(pairs, PairSet):
        pairs.check()
    if isinstance(pairs, PaddedNodes):
        assert not isinstance(factors, PairFactors), "factors of padded nodes are padded: use pad_factors"
        return _padded_attention(query, key, value, pairs, factors, heads, dropout)
    assert not isinstance(factors, PaddedFactors), "factors of a set of pairs are rows, not blocks"
    factors = None if factors is None else factors.with_rows()
    add, multiply = (None, None) if factors is None else (factors.add, factors.multiply)
    check_shapes(add=(add, (pairs.num_pairs, heads)), multiply=(multiply, (pairs.num_pairs, heads)))
    if recording():
        weight = _weights(query, key, pairs, factors, heads, query.shape[1] // heads)
        note_pairs(pairs.source, pairs.target, weight, nodes)
    if torch.compiler.is_compiling():
        return softmax_attention_reference(query, key, value, pairs, factors, heads=heads, dropout=dropout)
    if dropout:
        multiply = _dropped(multiply, (pairs.num_pairs, heads), query, dropout)
    out, weight = _ListAttention.apply(query, key, value, pairs.source, pairs.target, add, multiply, heads)
    return with_relations(out, weight, pairs, factors)


def _number_of_nodes(pairs: PairSet | PaddedNodes) -> int:
    return pairs.place.numel() if isinstance(pairs, PaddedNodes) else pairs.num_nodes


def _equally_wide(
    query: Tensor, key: Tensor, value: Tensor, left: Tensor | None, right: Tensor | None, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of one width with the same result: kernels take nothing else. Zeros fill the rest."""
    nodes, channels = value.shape[0], value.shape[1] // heads
    q, k, v = (x.view(nodes, heads, x.shape[1] // heads) for x in (query, key, value))
    dtype = value.dtype
    if left is not None and right is not None:
        check_shapes(left=(left, (nodes, heads, left.shape[-1])), right=(right, left.shape))
        dtype = torch.promote_types(left.dtype, dtype)
        q, k = torch.cat([q.to(dtype), left * channels**0.5], 2), torch.cat([k.to(dtype), right], 2)
    wide = max(q.shape[2], channels)
    wide += -wide % 8  # what kernels like
    q = q * (wide / channels) ** 0.5  # which they will divide by
    q, k, v = (functional.pad(x, (0, wide - x.shape[2])).flatten(1).to(dtype) for x in (q, k, v))
    return q, k, v


def softmax_attention_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pairs: PairSet,
    factors: PairFactors | None = None,
    *,
    heads: int,
    dropout: float = 0.0,
) -> Tensor:
    """The formulas of this module over a set of pairs, one line each: stores about four `[P, D]` tensors.

    Args:
        query: Queries, `[N, D']`.
        key: Keys, `[N, D']`.
        value: Values, `[N, D]`.
        pairs: A set of pairs.
        factors: Biases and factors of the pairs.
        heads: Number of heads; divides D and D'.
        dropout: Probability of dropout of weights; 0 outside training.
    """
    (nodes, width), source, target = value.shape, pairs.source, pairs.target
    channels = width // heads
    weight = _weights(query, key, pairs, factors, heads, channels)
    weight = functional.dropout(weight, dropout, dropout > 0)
    v = _exact(value).view(nodes, heads, channels)
    message = v.index_select(0, source) * weight.unsqueeze(-1)  # [P, H, C]
    out = message.new_zeros(nodes, heads, channels).index_add(0, target, message)
    return with_relations(out.view(nodes, width), weight, pairs, factors).to(query.dtype)


def _weights(
    query: Tensor, key: Tensor, pairs: PairSet, factors: PairFactors | None, heads: int, channels: int
) -> Tensor:
    """What the values of pairs are multiplied with, `[P, H]`; `channels`: those of a value."""
    nodes, source, target = query.shape[0], pairs.source, pairs.target
    factors = PairFactors() if factors is None else factors.with_rows()
    q, k = (_exact(x).view(nodes, heads, query.shape[1] // heads) for x in (query, key))
    logit = (q.index_select(0, target) * k.index_select(0, source)).sum(-1) * channels**-0.5  # [P, H]
    if factors.left is not None and factors.right is not None:
        logit = logit + (factors.left.index_select(0, target) * factors.right.index_select(0, source)).sum(-1)
    if factors.add is not None:
        logit = logit + factors.add
    weight = _segment_softmax(logit, target, nodes)
    return weight if factors.multiply is None else weight * factors.multiply


def _ragged_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    nodes: RaggedNodes,
    factors: PairFactors | None,
    heads: int,
    dropout: float,
) -> Tensor:
    if not _in_kernels(query, factors):
        return softmax_attention(query, key, value, nodes.pairs, factors, heads=heads, dropout=dropout)
    if recording():
        weight = _weights(query, key, nodes.pairs, factors, heads, query.shape[1] // heads)
        note_pairs(nodes.pairs.source, nodes.pairs.target, weight, query.shape[0])
    if dropout:
        factors = PairFactors() if factors is None else factors
        count = nodes.members.num_pairs if nodes.members.num_pairs is not None else nodes.pairs.num_pairs
        factors = replace(factors, multiply=_dropped(factors.multiply, (count, heads), query, dropout))
    return ragged_softmax(query, key, value, nodes, factors and factors.with_rows(1), heads=heads)


def _in_kernels(query: Tensor, factors: PairFactors | PaddedFactors | None) -> bool:
    """Whether Triton's kernels know all that pairs do."""
    return query.dtype in KINDS and (factors is None or not factors.values)


def _dropped(multiply: Tensor | None, shape: tuple[int, int], like: Tensor, dropout: float) -> Tensor:
    """Factors of pairs after dropout, `[P, H]`."""
    kept = functional.dropout(torch.ones(shape, dtype=_exact(like[:0]).dtype, device=like.device), dropout)
    return kept if multiply is None else multiply * kept


def _padded_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    nodes: PaddedNodes,
    factors: PaddedFactors | None,
    heads: int,
    dropout: float,
) -> Tensor:
    if not nodes.blocks:  # not one node
        return value
    add = None if factors is None else factors.add
    multiply = None if factors is None else factors.multiply
    values = () if factors is None else factors.values
    for _, table in values:
        check_table(table, heads, value.shape[1] // heads)
    for name, blocks in (("add", add), ("multiply", multiply)):
        for block, given in zip(nodes.blocks, blocks or (), strict=False):
            check_shapes(**{name: (given, (block.graphs, heads, block.size, block.size))})
    outputs, noted = [], []
    for index, (block, *rows) in enumerate(
        zip(nodes.blocks, nodes.split(query), nodes.split(key), nodes.split(value), strict=True)
    ):
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in rows)  # [b, H, n, C]
        bias = (block.key_mask if add is None else add[index]).to(q.dtype)
        if recording():
            logit = _exact(torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(2, 3))) + bias
            noted.append(torch.softmax(logit, -1) * (1.0 if multiply is None else multiply[index]))
        if multiply is None and not values:
            out = functional.scaled_dot_product_attention(q, k, v, bias, dropout)
        else:
            logit = _exact(torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(2, 3))) + bias
            weight = torch.softmax(logit, -1) if multiply is None else torch.softmax(logit, -1) * multiply[index]
            weight = functional.dropout(weight, dropout, dropout > 0)
            out = torch.matmul(weight.to(v.dtype), v)
            for relation, table in values:
                out = out + relations_of_block(weight, relation[index], table).to(out.dtype)
        outputs.append(out.transpose(1, 2).flatten(2))
    if recording():
        note_blocks(noted, nodes.node, nodes.place)
    return nodes.join(outputs)


class _ListAttention(torch.autograd.Function):
    """Attention along a list of pairs; gathered rows are recomputed in the backward pass, which is written out.

    Also gives what values of pairs are multiplied with, `[P, H]`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        source: Tensor,
        target: Tensor,
        add: Tensor | None,
        multiply: Tensor | None,
        heads: int,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        (nodes, width), pairs, channels = query.shape, source.numel(), query.shape[1] // heads
        q, k, v = (_exact(x) for x in (query, key, value))
        parts, (first, second) = _parts(pairs, q)
        logit = q.new_empty(pairs, heads)
        for part in parts:
            a, b = _gather(q, target[part], first), _gather(k, source[part], second)
            _head_sums(a.mul_(b), logit[part])
        logit *= channels**-0.5
        if add is not None:
            logit += add
        weight = _segment_softmax(logit, target, nodes)
        factor = weight if multiply is None else weight * multiply
        out = q.new_zeros(nodes, width)
        for part in parts:
            a = _gather(v, source[part], first)
            a.view(-1, heads, channels).mul_(factor[part].unsqueeze(-1))
            out.index_add_(0, target[part], a)
        ctx.save_for_backward(query, key, value, source, target, add, multiply, weight)
        ctx.heads = heads
        return out.to(query.dtype), factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor | None, grad_of_factor: Tensor | None) -> tuple[Tensor | None, ...]:
        query, key, value, source, target, add, multiply, weight = ctx.saved_tensors
        grad_out = torch.zeros_like(value) if grad_out is None else grad_out
        heads: int = ctx.heads
        pairs, channels = source.numel(), query.shape[1] // heads
        q, k, v, g = (_exact(x).contiguous() for x in (query, key, value, grad_out))
        factor = weight if multiply is None else weight * multiply
        grad_q, grad_k, grad_v = (torch.zeros_like(x) for x in (q, k, v))
        parts, (first, second) = _parts(pairs, q)
        grad_factor = torch.empty_like(weight)
        for part in parts:
            i, j = target[part], source[part]
            a, b = _gather(g, i, first), _gather(v, j, second)
            _head_sums(b.mul_(a), grad_factor[part])
            a.view(-1, heads, channels).mul_(factor[part].unsqueeze(-1))
            grad_v.index_add_(0, j, a)
        if grad_of_factor is not None:
            grad_factor += grad_of_factor
        grad_weight = grad_factor if multiply is None else grad_factor * multiply
        # Softmax: w (g - sum of w g over the pairs of a query).
        grad_logit = weight * grad_weight
        mean = weight.new_zeros(q.shape[0], heads).index_add_(0, target, grad_logit)
        grad_logit = grad_logit.addcmul(weight, mean.index_select(0, target), value=-1)
        for part in parts:
            i, j, rows = target[part], source[part], (grad_logit[part] * channels**-0.5).unsqueeze(-1)
            a, b = _gather(k, j, first), _gather(q, i, second)
            for x in (a, b):
                x.view(-1, heads, channels).mul_(rows)
            grad_q.index_add_(0, i, a)
            grad_k.index_add_(0, j, b)
        return (
            grad_q.to(query.dtype),
            grad_k.to(key.dtype),
            grad_v.to(value.dtype),
            None,
            None,
            None if add is None else grad_logit.to(add.dtype),
            None if multiply is None else (grad_factor * weight).to(multiply.dtype),
            None,
        )


def _segment_softmax(logit: Tensor, target: Tensor, nodes: int) -> Tensor:
    """Softmax over the pairs that end in one node, `[P, H]`."""
    place = target.unsqueeze(1).expand_as(logit)
    top = logit.new_full((nodes, logit.shape[1]), -torch.inf).scatter_reduce(0, place, logit.detach(), "amax")
    weight = (logit - top.index_select(0, target)).exp()
    total = weight.new_zeros(nodes, weight.shape[1]).index_add(0, target, weight)
    return weight / total.index_select(0, target)


def _gather(x: Tensor, index: Tensor, block: Tensor) -> Tensor:
    """Rows of `x`, written to the start of `block`: fresh memory for every block of rows costs more than the gather."""
    out = block[: index.numel()]
    return torch.index_select(x, 0, index, out=out)


def _head_sums(x: Tensor, out: Tensor) -> None:
    """Sums over each head's channels, from `[rows, D]` into `[rows, H]`; a product with ones beats `sum`."""
    channels = x.shape[1] // out.shape[1]
    torch.mv(x.view(-1, channels), x.new_ones(channels), out=out.view(-1))


def _exact(x: Tensor) -> Tensor:
    """`x` in at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _parts(pairs: int, like: Tensor) -> tuple[list[slice], Tensor]:
    """The list in blocks of rows that stay in cache, and room for two such blocks `[2, rows, D]`."""
    size = _BLOCK_BYTES.get(like.device.type, 1 << 26)
    step = max(1, min(pairs, size // max(like.shape[1] * like.element_size(), 1)))
    return [slice(start, start + step) for start in range(0, pairs, step)], like.new_empty(2, step, like.shape[1])
