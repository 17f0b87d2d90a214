"""Clamped attention along edges as Triton kernels: the formulas of `graphpe.models.attention.clamped.edge_list`.

N nodes, E edges, D channels, H heads, C = D / H. A program takes one node and goes over the edges that end in it, all
heads at once; the clamp bounds exponentials, so that no maximum is needed. Backward, programs of targets write the
gradients of queries and of factors of edges, and, [E, H] each, weights and gradients of logits; from these, programs of
sources take the gradients of keys and values, over the edges that begin in a node. Both orders are made once a batch.

Every number is written by one program, in one order: results are the same every time. All is computed in float32, and
the output is kept in it for the backward pass, as in `graphpe.models.attention.gpu.softmax`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, has_kernels, power_of_two
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.shapes import check_attention, check_shapes


@dataclass(frozen=True, eq=False)
class EdgeOrder:
    """Edges, and the orders by target and by source, in which equal ones stay as they are.

    Attributes:
        edge_index: Edges (source, target), `[2, E]`.
        by_target: Numbers of the edges, sorted by target, `[E]`.
        target_ptr: Where those begin that end in each node and, last, E: `[N + 1]`.
        by_source: Numbers of the edges, sorted by source, `[E]`.
        source_ptr: Where those begin that begin in each node and, last, E: `[N + 1]`.
    """

    edge_index: Tensor
    by_target: Tensor
    target_ptr: Tensor
    by_source: Tensor
    source_ptr: Tensor


if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def edges_for(edge_index: Tensor, nodes: int) -> Tensor | EdgeOrder:
    """The edges in both orders where kernels run, else as they are: what `edge_attention` takes, once a batch.

    Args:
        edge_index: Edges (source, target), `[2, E]`.
        nodes: Number N of nodes.
    """
    return edge_order(edge_index, nodes) if has_kernels(edge_index.device) else edge_index


def pairs_for(pairs: PairSet) -> Tensor | EdgeOrder:
    """All pairs of each graph as edges, as `edges_for`; nothing is sorted.

    Args:
        pairs: All pairs of each graph.
    """
    edge_index = torch.stack([pairs.source, pairs.target])
    if not has_kernels(edge_index.device):
        return edge_index
    number = torch.arange(pairs.num_pairs, device=edge_index.device)
    return EdgeOrder(edge_index, number, pairs.ptr, pairs.reverse, pairs.ptr)


def edge_order(edge_index: Tensor, nodes: int) -> EdgeOrder:
    """The edges in both orders. O(E log E) time; nothing waits for a device.

    Args:
        edge_index: Edges (source, target), `[2, E]`.
        nodes: Number N of nodes.
    """
    edge_index = edge_index.contiguous()
    orders = []
    for ends in edge_index:
        # A device stops here at what is no node: kernels would read what they find.
        count = ends.new_zeros(nodes).index_add(0, ends, torch.ones_like(ends))
        orders += [ends.argsort(stable=True), torch.cat([count.new_zeros(1), count.cumsum(0)])]
    by_source, source_ptr, by_target, target_ptr = orders
    return EdgeOrder(edge_index, by_target, target_ptr, by_source, source_ptr)


def sorted_edge_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    order: EdgeOrder,
    edge: Tensor | None = None,
    *,
    heads: int,
    return_scores: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of each node over the edges that end in it. Result as of `edge_attention`.

    Args:
        query: `[N, D]`; float32 or half precision.
        key: `[N, D]`.
        value: `[N, D]`.
        order: The edges.
        edge: Factor of each edge's score, `[E, D]`; None for 1.
        heads: Number of heads; divides D.
        return_scores: Whether the second result is the scores `[E, D]`, else None.

    Raises:
        GraphPEValueError: A shape is another.
    """
    width = check_attention(query, key, value, order.target_ptr.numel() - 1, heads)
    check_shapes(edge=(edge, (order.by_target.numel(), width)))
    return _EdgeAttention.apply(query, key, value, edge, order, heads, return_scores)


class _EdgeAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        edge: Tensor | None,
        order: EdgeOrder,
        heads: int,
        return_scores: bool,
    ) -> tuple[Tensor, Tensor | None]:
        (nodes, width), edges = query.shape, order.by_target.numel()
        query, key, value = (x if x.stride(1) == 1 else x.contiguous() for x in (query, key, value))
        edge = None if edge is None else edge.contiguous()
        out = query.new_empty(nodes, width)
        exact = None if out.dtype == torch.float32 else out.new_empty(out.shape, dtype=torch.float32)
        total = query.new_empty(nodes, heads, dtype=torch.float32)
        scores = query.new_empty(edges, width) if return_scores else None
        _forward(
            nodes,
            *(query, key, value, edge, out, exact, total, scores, order.edge_index[0]),
            *(order.by_target, order.target_ptr, query.stride(0), key.stride(0), value.stride(0)),
            **_options(query, heads, edges),
        )
        ctx.save_for_backward(query, key, value, edge, out if exact is None else exact, total)
        ctx.order, ctx.heads = order, heads
        ctx.set_materialize_grads(False)
        return out, scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor | None, grad_scores: Tensor | None) -> tuple[Tensor | None, ...]:
        query, key, value, edge, out, total = ctx.saved_tensors
        order: EdgeOrder = ctx.order
        nodes, edges = query.shape[0], order.by_target.numel()
        grad_out = torch.zeros_like(value) if grad_out is None else grad_out.contiguous()
        grad_scores = None if grad_scores is None else grad_scores.contiguous()
        grad_query, grad_key, grad_value = (x.new_empty(x.shape) for x in (query, key, value))
        grad_edge = torch.empty_like(edge) if edge is not None and ctx.needs_input_grad[3] else None
        weight, grad_logit = total.new_empty(2, edges, ctx.heads)
        options, strides = _options(query, ctx.heads, edges), (query.stride(0), key.stride(0), value.stride(0))
        source, target = order.edge_index
        _backward_of_targets(
            nodes,
            *(query, key, value, edge, out, total, grad_out, grad_scores, grad_query, grad_edge),
            *(weight, grad_logit, source, order.by_target, order.target_ptr, *strides),
            **options,
        )
        _backward_of_sources(
            nodes,
            *(query, edge, total, grad_out, grad_scores, weight, grad_logit, grad_key, grad_value),
            *(target, order.by_source, order.source_ptr, strides[0]),
            **options,
        )
        return grad_query, grad_key, grad_value, grad_edge, None, None, None


def _options(query: Tensor, heads: int, edges: int) -> dict[str, Any]:
    nodes, channels = query.shape[0], query.shape[1] // heads
    shape = {"H": heads, "C": channels, "HEADS": power_of_two(heads), "WIDE": power_of_two(channels)}
    wide = shape["HEADS"] * shape["WIDE"]
    # As many edges at once as nodes have, so that 16 numbers or fewer of a tensor are with each thread.
    most = 16 if wide <= 32 else 8 if wide <= 512 else 4
    at_once = min(most, power_of_two(edges // max(nodes, 1) + 1, 2))
    warps = 1 if at_once * wide <= 512 else 2 if at_once * wide <= 1024 else 4
    return {**shape, "EDGES": at_once, "warps": warps, "stages": 2}


@Kernel
def _forward(
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    out_ptr: tl.tensor,
    exact_ptr: tl.tensor,
    total_ptr: tl.tensor,
    score_ptr: tl.tensor,
    source_ptr: tl.tensor,
    order_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    WIDE: tl.constexpr,
    EDGES: tl.constexpr,
) -> None:
    i = tl.program_id(0).to(tl.int64)
    h, c = tl.arange(0, HEADS), tl.arange(0, WIDE)
    at = h[:, None] * C + c[None, :]
    real = (h < H)[:, None] & (c < C)[None, :]
    q = tl.load(q_ptr + i * q_stride + at, mask=real, other=0.0).to(tl.float32) * C**-0.5
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    sums = tl.zeros([HEADS, WIDE], tl.float32)
    total = tl.zeros([HEADS], tl.float32)
    for p0 in range(begin, end, EDGES):
        p = p0 + tl.arange(0, EDGES)
        e = tl.load(order_ptr + p, mask=p < end, other=0)
        j = tl.load(source_ptr + e, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        own = e[:, None, None] * (H * C) + at[None, :, :]
        k = tl.load(k_ptr + j[:, None, None] * k_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        v = tl.load(v_ptr + j[:, None, None] * v_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        score = q[None, :, :] * k
        if edge_ptr is not None:
            score *= tl.load(edge_ptr + own, mask=there, other=0.0).to(tl.float32)
        if score_ptr is not None:
            tl.store(score_ptr + own, score.to(score_ptr.dtype.element_ty), mask=there)
        logit = tl.minimum(tl.maximum(tl.sum(score, 2), -5.0), 5.0)
        weight = tl.where((p < end)[:, None], tl.exp(logit), 0.0)
        sums += tl.sum(weight[:, :, None] * v, 0)
        total += tl.sum(weight, 0)
    # No weight is below exp(-5): a sum is zero if no edge ends here.
    total = tl.where(total == 0, 1.0, total)
    tl.store(total_ptr + i * H + h, total, mask=h < H)
    out = sums / total[:, None]
    tl.store(out_ptr + i * (H * C) + at, out.to(out_ptr.dtype.element_ty), mask=real)
    if exact_ptr is not None:
        tl.store(exact_ptr + i * (H * C) + at, out, mask=real)


@Kernel
def _backward_of_targets(
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    out_ptr: tl.tensor,
    total_ptr: tl.tensor,
    grad_out_ptr: tl.tensor,
    grad_score_ptr: tl.tensor,
    grad_q_ptr: tl.tensor,
    grad_edge_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    grad_logit_ptr: tl.tensor,
    source_ptr: tl.tensor,
    order_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    WIDE: tl.constexpr,
    EDGES: tl.constexpr,
) -> None:
    i = tl.program_id(0).to(tl.int64)
    h, c = tl.arange(0, HEADS), tl.arange(0, WIDE)
    at = h[:, None] * C + c[None, :]
    real = (h < H)[:, None] & (c < C)[None, :]
    q = tl.load(q_ptr + i * q_stride + at, mask=real, other=0.0).to(tl.float32) * C**-0.5
    total = tl.load(total_ptr + i * H + h, mask=h < H, other=1.0)
    # out = sums / total: the gradient of the sums, and that of total up to its sign.
    g = tl.load(grad_out_ptr + i * (H * C) + at, mask=real, other=0.0).to(tl.float32) / total[:, None]
    out = tl.load(out_ptr + i * (H * C) + at, mask=real, other=0.0).to(tl.float32)
    grad_total = tl.sum(g * out, 1)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    grad_q = tl.zeros([HEADS, WIDE], tl.float32)
    for p0 in range(begin, end, EDGES):
        p = p0 + tl.arange(0, EDGES)
        e = tl.load(order_ptr + p, mask=p < end, other=0)
        j = tl.load(source_ptr + e, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        own = e[:, None, None] * (H * C) + at[None, :, :]
        k = tl.load(k_ptr + j[:, None, None] * k_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        v = tl.load(v_ptr + j[:, None, None] * v_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        product = q[None, :, :] * k
        score = product
        if edge_ptr is not None:
            edge = tl.load(edge_ptr + own, mask=there, other=0.0).to(tl.float32)
            score = product * edge
        logit = tl.sum(score, 2)
        weight = tl.exp(tl.minimum(tl.maximum(logit, -5.0), 5.0))
        grad_logit = weight * (tl.sum(g[None, :, :] * v, 2) - grad_total[None, :])
        grad_logit = tl.where((logit > -5.0) & (logit < 5.0), grad_logit, 0.0)
        per_head = e[:, None] * H + h[None, :]
        kept = (p < end)[:, None] & (h < H)[None, :]
        tl.store(weight_ptr + per_head, weight, mask=kept)
        tl.store(grad_logit_ptr + per_head, grad_logit, mask=kept)
        grad_score = tl.broadcast_to(grad_logit[:, :, None], [EDGES, HEADS, WIDE])
        if grad_score_ptr is not None:
            grad_score += tl.load(grad_score_ptr + own, mask=there, other=0.0).to(tl.float32)
        if grad_edge_ptr is not None:
            tl.store(grad_edge_ptr + own, (grad_score * product).to(grad_edge_ptr.dtype.element_ty), mask=there)
        if edge_ptr is not None:
            grad_score *= edge
        grad_q += tl.sum(tl.where(there, grad_score * k, 0.0), 0)
    tl.store(grad_q_ptr + i * (H * C) + at, (grad_q * C**-0.5).to(grad_q_ptr.dtype.element_ty), mask=real)


@Kernel
def _backward_of_sources(
    q_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    total_ptr: tl.tensor,
    grad_out_ptr: tl.tensor,
    grad_score_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    grad_logit_ptr: tl.tensor,
    grad_k_ptr: tl.tensor,
    grad_v_ptr: tl.tensor,
    target_ptr: tl.tensor,
    order_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    WIDE: tl.constexpr,
    EDGES: tl.constexpr,
) -> None:
    j = tl.program_id(0).to(tl.int64)
    h, c = tl.arange(0, HEADS), tl.arange(0, WIDE)
    at = h[:, None] * C + c[None, :]
    real = (h < H)[:, None] & (c < C)[None, :]
    begin, end = tl.load(first_ptr + j), tl.load(first_ptr + j + 1)
    grad_k = tl.zeros([HEADS, WIDE], tl.float32)
    grad_v = tl.zeros([HEADS, WIDE], tl.float32)
    for p0 in range(begin, end, EDGES):
        p = p0 + tl.arange(0, EDGES)
        e = tl.load(order_ptr + p, mask=p < end, other=0)
        i = tl.load(target_ptr + e, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        own = e[:, None, None] * (H * C) + at[None, :, :]
        kept = (p < end)[:, None] & (h < H)[None, :]
        per_head = e[:, None] * H + h[None, :]
        # Zero where there is no edge: nothing is added.
        weight = tl.load(weight_ptr + per_head, mask=kept, other=0.0)
        grad_logit = tl.load(grad_logit_ptr + per_head, mask=kept, other=0.0)
        weight /= tl.load(total_ptr + i[:, None] * H + h[None, :], mask=kept, other=1.0)
        g = tl.load(grad_out_ptr + i[:, None, None] * (H * C) + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        grad_v += tl.sum(weight[:, :, None] * g, 0)
        q = tl.load(q_ptr + i[:, None, None] * q_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        grad_score = tl.broadcast_to(grad_logit[:, :, None], [EDGES, HEADS, WIDE])
        if grad_score_ptr is not None:
            grad_score += tl.load(grad_score_ptr + own, mask=there, other=0.0).to(tl.float32)
        if edge_ptr is not None:
            grad_score *= tl.load(edge_ptr + own, mask=there, other=0.0).to(tl.float32)
        grad_k += tl.sum(grad_score * q, 0)
    tl.store(grad_k_ptr + j * (H * C) + at, (grad_k * C**-0.5).to(grad_k_ptr.dtype.element_ty), mask=real)
    tl.store(grad_v_ptr + j * (H * C) + at, grad_v.to(grad_v_ptr.dtype.element_ty), mask=real)
