"""Clamped softmax attention over a list of directed edges (Dwivedi & Bresson 2020, arXiv:2012.09699, eqs. 8-12).

Shape legend: N nodes, E edges, D channels, H heads, C = D / H channels a head. Edge (j -> i) carries a message from j
to i.

    score_ij  = (k_j * q_i) / sqrt(C) [* edge_ij]          element-wise, [E, D]
    weight_ij = exp(clamp(sum over a head's channels of score_ij, -5, 5))      [E, H]
    out_i     = sum_j weight_ij v_j / sum_j weight_ij       [N, D]; zero where no edge ends in i

The clamp bounds every exponential by exp(5), so no maximum is subtracted. Exponentials and sums over edges are taken in
float32 (float64 for float64 input) whatever the input's precision: bfloat16 and float16 autocast are safe.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import KINDS
from graphpe.models.attention.gpu.edges import EdgeOrder, sorted_edge_attention
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.neighbours.sums import MANY_PAIRS, products_along, sums_along, totals_along
from graphpe.models.attention.recording import note_pairs, recording
from graphpe.models.attention.shapes import check_attention, check_shapes

CLAMP = 5.0

# Bytes of one [rows, D] block that the fast path works on. On a CPU a few of them fit the second-level cache; measured
# flat from 0.5 to 2 MB, slower outside. On a GPU blocks only bound the memory of long pair lists.
_BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 26}


def edge_attention_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_index: Tensor,
    edge: Tensor | None = None,
    *,
    heads: int,
    return_scores: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """The formulas of this module, one line each. Same signature and result as `edge_attention`.

    Keeps about six `[E, D]` tensors for the backward pass; can be differentiated twice and traced by `torch.compile`.

    Args:
        query: Queries, `[N, D]`.
        key: Keys, `[N, D]`.
        value: Values, `[N, D]`.
        edge_index: Edges (source, target), `[2, E]`.
        edge: Factor of each edge's score, `[E, D]`; None for 1.
        heads: Number of heads; divides D.
        return_scores: Whether the second result is the scores `[E, D]`, else None.
    """
    source, target = edge_index[0], edge_index[1]
    (nodes, width), edges = query.shape, source.numel()
    channels = width // heads
    exact = torch.promote_types(query.dtype, torch.float32)

    score = _scores(query, key, edge_index, edge, heads)  # [E, D]
    weight = score.view(edges, heads, channels).sum(-1).clamp(-CLAMP, CLAMP).exp()  # [E, H]
    total = weight.new_zeros(nodes, heads).index_add(0, target, weight)  # [N, H]
    message = value.index_select(0, source).to(exact).view(edges, heads, channels) * weight.unsqueeze(-1)  # [E, H, C]
    out = message.new_zeros(nodes, width).index_add(0, target, message.view(edges, width))  # [N, D]
    out = out.view(nodes, heads, channels) / _without_zeros(total).unsqueeze(-1)
    return out.view(nodes, width).to(query.dtype), score.to(query.dtype) if return_scores else None


def edge_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_index: Tensor | Neighbours | EdgeOrder,
    edge: Tensor | None = None,
    *,
    heads: int,
    return_scores: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of each node over the edges that end in it.

    Edges may come in any order; parallel edges are separate messages; a node in which no edge ends receives zero.
    Works through the edges in blocks that stay in cache and recomputes gathered rows in the backward pass, so that
    beyond `edge` and the returned scores nothing of size `[E, D]` is stored. Costs O(E D) time, O(E H + N D) memory.
    Many edges without factors are gone through node by node instead, in the order in which `Neighbours` sorts them.

    Under `torch.compile` the reference is traced instead: the compiler fuses it itself.

    Args:
        query: `[N, D]`.
        key: `[N, D]`.
        value: `[N, D]`.
        edge_index: Edges (source, target), `[2, E]`, or the same as `Neighbours`, which layers share; in both orders
            (`edges_for`) for the kernels of a GPU.
        edge: Factor of each edge's score, `[E, D]`; None for 1.
        heads: Number of heads; divides D.
        return_scores: Whether the second result is the scores `[E, D]` (before the sum over a head's channels and
            the clamp), else None.

    Raises:
        GraphPEValueError: A shape is another.
    """
    order = edge_index if isinstance(edge_index, EdgeOrder) else None
    edge_index = edge_index.edge_index if isinstance(edge_index, EdgeOrder) else edge_index
    width = check_attention(query, key, value, query.shape[0], heads)
    pairs = edge_index if isinstance(edge_index, Neighbours) else Neighbours(edge_index, query.shape[0])
    edge_index = pairs.edge_index
    check_shapes(edge_index=(edge_index, (2, edge_index.shape[-1])), edge=(edge, (edge_index.shape[-1], width)))
    if torch.compiler.is_compiling():
        return edge_attention_reference(query, key, value, edge_index, edge, heads=heads, return_scores=return_scores)
    if recording():
        weight = (
            _scores(query, key, edge_index, edge, heads).unflatten(1, (heads, -1)).sum(-1).clamp(-CLAMP, CLAMP).exp()
        )
        total = weight.new_zeros(query.shape[0], heads).index_add(0, edge_index[1], weight)
        note_pairs(edge_index[0], edge_index[1], weight / total.index_select(0, edge_index[1]), query.shape[0])
    if order is not None and query.dtype in KINDS:
        return sorted_edge_attention(query, key, value, order, edge, heads=heads, return_scores=return_scores)
    if edge is None and not return_scores and query.device.type == "cpu" and pairs.num_pairs >= MANY_PAIRS:
        return _NodeByNode.apply(query, key, value, pairs, heads), None
    return _EdgeAttention.apply(query, key, value, edge_index, edge, heads, return_scores)


def _scores(query: Tensor, key: Tensor, edge_index: Tensor, edge: Tensor | None, heads: int) -> Tensor:
    """The scores of the edges, channel by channel, `[E, D]`."""
    exact, channels = torch.promote_types(query.dtype, torch.float32), query.shape[1] // heads
    source, target = edge_index[0], edge_index[1]
    score = query.index_select(0, target).to(exact) * key.index_select(0, source).to(exact) * channels**-0.5
    return score if edge is None else score * edge


class _EdgeAttention(torch.autograd.Function):
    """`edge_attention` with the backward pass written out; see there."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        edge_index: Tensor,
        edge: Tensor | None,
        heads: int,
        return_scores: bool,
    ) -> tuple[Tensor, Tensor | None]:
        source, target = edge_index[0].contiguous(), edge_index[1].contiguous()
        (nodes, width), edges, channels = query.shape, source.numel(), query.shape[1] // heads
        q, k, v = _exact(query) * channels**-0.5, _exact(key), _exact(value)
        logits = q.new_empty(edges, heads)
        out = q.new_zeros(nodes, width)
        total = q.new_zeros(nodes, heads)
        scores = query.new_empty(edges, width) if return_scores else None

        step, blocks = _blocks(edges, q, 2)
        for start in range(0, edges, step):
            part = slice(start, start + step)
            i, j = target[part], source[part]
            rows = i.numel()
            a, b = (block[:rows] for block in blocks)
            torch.index_select(q, 0, i, out=a)
            torch.index_select(k, 0, j, out=b)
            a.mul_(b)
            if edge is not None:
                a.mul_(edge[part])
            if scores is not None:
                scores[part] = a
            weight = _head_sums(a, logits[part]).clamp_(-CLAMP, CLAMP).exp()
            torch.index_select(v, 0, j, out=b)
            b.view(rows, heads, channels).mul_(weight.unsqueeze(-1))
            out.index_add_(0, i, b)
            total.index_add_(0, i, weight)
        total = _without_zeros(total)
        out.view(nodes, heads, channels).div_(total.unsqueeze(-1))

        ctx.save_for_backward(query, key, value, source, target, edge, logits, total, out)
        ctx.heads = heads
        return out.to(query.dtype), scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, grad_scores: Tensor | None) -> tuple[Tensor | None, ...]:
        query, key, value, source, target, edge, logits, total, out = ctx.saved_tensors
        heads: int = ctx.heads
        (nodes, width), edges, channels = query.shape, source.numel(), query.shape[1] // heads
        scale = channels**-0.5
        q, k, v = _exact(query) * scale, _exact(key), _exact(value)

        # out = num / total: gradient of num, and of total up to its sign.
        grad_num = grad_out.to(q.dtype).reshape(nodes, heads, channels) / total.unsqueeze(-1)
        grad_total = (grad_num * out.view(nodes, heads, channels)).sum(-1)  # [N, H]
        grad_num = grad_num.view(nodes, width)

        grad_q, grad_k, grad_v = (q.new_zeros(nodes, width) for _ in range(3))
        grad_edge = torch.empty_like(edge) if edge is not None else None
        step, blocks = _blocks(edges, q, 4)
        for start in range(0, edges, step):
            part = slice(start, start + step)
            i, j, logit = target[part], source[part], logits[part]
            rows = i.numel()
            a, b, c, d = (block[:rows] for block in blocks)
            a_heads, b_heads, c_heads = (x.view(rows, heads, channels) for x in (a, b, c))
            weight = logit.exp()

            torch.index_select(grad_num, 0, i, out=a)
            torch.index_select(v, 0, j, out=b)
            b.mul_(a)
            grad_logit = _head_sums(b, torch.empty_like(logit))
            grad_logit.sub_(grad_total.index_select(0, i)).mul_(weight).masked_fill_(logit.abs() >= CLAMP, 0)
            a_heads.mul_(weight.unsqueeze(-1))
            grad_v.index_add_(0, j, a)

            # score = a * b * edge. Its gradient is that of the logit for every channel of the head, and what came
            # through the returned scores; `grad_score` is then turned into the gradient of a * b.
            torch.index_select(q, 0, i, out=a)
            torch.index_select(k, 0, j, out=b)
            grad_score = grad_logit.unsqueeze(-1)  # [rows, H, 1]
            if grad_scores is not None:
                torch.add(grad_scores[part].reshape(rows, heads, channels), grad_score, out=c_heads)
                grad_score = c_heads
            if edge is not None and grad_edge is not None:
                torch.mul(a, b, out=d)
                d.view(rows, heads, channels).mul_(grad_score)
                grad_edge[part] = d
                torch.mul(edge[part].reshape(rows, heads, channels), grad_score, out=c_heads)
                grad_score = c_heads
            a_heads.mul_(grad_score)
            b_heads.mul_(grad_score)
            grad_k.index_add_(0, j, a)
            grad_q.index_add_(0, i, b)
        return (
            (grad_q * scale).to(query.dtype),
            grad_k.to(key.dtype),
            grad_v.to(value.dtype),
            None,
            grad_edge,
            None,
            None,
        )


class _NodeByNode(torch.autograd.Function):
    """`edge_attention` of many edges without factors, on a CPU: each node's edges one after the other.

    Kept for the backward pass are queries, keys, values, the result, and `[E, H]` logits.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, pairs: Neighbours, heads: int) -> Tensor:
        q, k, v = (_exact(x).contiguous() for x in (query, key, value))
        logits = products_along(q, k, pairs, heads).mul_((q.shape[1] // heads) ** -0.5)
        weight = _weight(logits)
        total = _without_zeros(totals_along(weight, pairs, pairs.entering))
        out = sums_along(weight, v, pairs, pairs.entering)
        out.unflatten(1, (heads, -1)).div_(total.unsqueeze(-1))
        ctx.save_for_backward(q, k, v, logits, total, out)
        ctx.pairs, ctx.dtypes = pairs, (query.dtype, key.dtype, value.dtype)
        return out.to(query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, logits, total, out = ctx.saved_tensors
        pairs, heads = ctx.pairs, logits.shape[1]
        # out = num / total: gradient of num, and of total up to its sign.
        grad_num = grad_out.to(q.dtype).unflatten(1, (heads, -1)) / total.unsqueeze(-1)
        grad_total = (grad_num * out.unflatten(1, (heads, -1))).sum(-1)  # [N, H]
        grad_num = grad_num.flatten(1)
        weight = _weight(logits)
        grad_v = sums_along(weight, grad_num, pairs, pairs.leaving)
        grad_logit = products_along(grad_num, v, pairs, heads)
        grad_logit.sub_(grad_total.index_select(0, pairs.entering.own)).mul_(weight)
        grad_logit.masked_fill_(logits.abs() >= CLAMP, 0).mul_((q.shape[1] // heads) ** -0.5)
        grad_q = sums_along(grad_logit, k, pairs, pairs.entering)
        grad_k = sums_along(grad_logit, q, pairs, pairs.leaving)
        return *(grad.to(dtype) for grad, dtype in zip((grad_q, grad_k, grad_v), ctx.dtypes, strict=True)), None, None


def _weight(logits: Tensor) -> Tensor:
    return logits.clamp(-CLAMP, CLAMP).exp_()


def _exact(x: Tensor) -> Tensor:
    """`x` in at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _head_sums(x: Tensor, out: Tensor) -> Tensor:
    """Sums over each head's channels, from `[rows, D]` into `out` `[rows, H]`; a product with ones beats `sum`."""
    channels = x.shape[1] // out.shape[1]
    torch.mv(x.view(-1, channels), x.new_ones(channels), out=out.view(-1))
    return out


def _without_zeros(total: Tensor) -> Tensor:
    """Sums of weights with 1 for the empty sum: each weight is at least exp(-5), so only empty sums are zero."""
    return torch.where(total == 0, torch.ones_like(total), total)


def _blocks(edges: int, like: Tensor, count: int) -> tuple[int, list[Tensor]]:
    """Rows of a block and `count` buffers of that many rows (fewer if there are fewer edges)."""
    width = like.shape[1]
    step = max(1, _BLOCK_BYTES.get(like.device.type, 1 << 26) // max(1, width * like.element_size()))
    return step, [like.new_empty(min(step, edges), width) for _ in range(count)]
