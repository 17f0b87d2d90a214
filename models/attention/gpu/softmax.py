"""Softmax attention over all pairs of each graph as Triton kernels: the formulas of `softmax.softmax`.

N nodes, P pairs, D channels, H heads, C = D / H. A program takes one head and one block of nodes of one graph, as
queries, and goes over the keys of the graph in blocks of the same size; maximum and sum of the softmax are corrected
as it goes (Milakov & Gimelshein 2018, Dao et al. 2022), so that weights are never written. With G = d loss / d out,

    l_i    = log sum_j exp(logit_ij)                     kept, [N, H]
    delta_i = sum_c G_ic out_ic = sum_j weight_ij multiply_ij (G_i v_j)
    d multiply_ij = weight_ij (G_i v_j)
    d add_ij = weight_ij (multiply_ij (G_i v_j) - delta_i)
    d q_i  = sum_j d add_ij k_j / sqrt(C)                programs over queries, which write d add and d multiply, too
    d k_j  = sum_i d add_ij q_i / sqrt(C)                programs over keys
    d v_j  = sum_i weight_ij multiply_ij G_i

Every number is written by one program, in one order: results are the same every time. Memory beyond what is returned
is O(N H). Factors of float32 are multiplied as `torch.set_float32_matmul_precision` says, those of half precision as
they are; sums are float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, dot_options, power_of_two
from graphpe.models.attention.biases.pair_bias import PairFactors
from graphpe.models.attention.gpu.ragged import RaggedNodes
from graphpe.models.attention.shapes import check_attention, check_shapes


def ragged_softmax(
    query: Tensor, key: Tensor, value: Tensor, nodes: RaggedNodes, factors: PairFactors | None = None, *, heads: int
) -> Tensor:
    """Attention of each node over all nodes of its graph, `[N, D]`.

    A node all of whose logits are -inf receives zero.

    Args:
        query: `[N, D]`; float32 or half precision.
        key: `[N, D]`.
        value: `[N, D]`.
        nodes: The nodes in blocks.
        factors: Biases and factors of all pairs, `[P, H]`.
        heads: Number of heads; divides D.

    Raises:
        GraphPEValueError: A shape is another.
    """
    check_attention(query, key, value, nodes.members.num_nodes, heads)
    add, multiply = (None, None) if factors is None else (factors.add, factors.multiply)
    rows = next((x.shape[0] for x in (add, multiply) if x is not None), 0)
    rows = rows if nodes.members.num_pairs is None else nodes.members.num_pairs
    check_shapes(add=(add, (rows, heads)), multiply=(multiply, (rows, heads)))
    if not query.shape[0]:
        return value
    key, value = key.to(query.dtype), value.to(query.dtype)
    return _RaggedSoftmax.apply(query, key, value, add, multiply, nodes, heads)


if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


class _RaggedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        add: Tensor | None,
        multiply: Tensor | None,
        nodes: RaggedNodes,
        heads: int,
    ) -> Tensor:
        query, key, value = (x if x.stride(1) == 1 else x.contiguous() for x in (query, key, value))
        add, multiply = (None if x is None else x.contiguous() for x in (add, multiply))
        out = query.new_empty(query.shape)
        log_sum = query.new_empty(query.shape[0], heads, dtype=torch.float32)
        _forward(
            nodes.blocks * heads,
            *(query, key, value, add, multiply, out, log_sum, *_where(nodes)),
            *(query.stride(0), key.stride(0), value.stride(0)),
            **_options(query, nodes, heads),
        )
        ctx.save_for_backward(query, key, value, add, multiply, out, log_sum)
        ctx.nodes, ctx.heads = nodes, heads
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, add, multiply, out, log_sum = ctx.saved_tensors
        nodes: RaggedNodes = ctx.nodes
        grad_out = grad_out.contiguous()
        # New ones without the strides of what came, which may be parts of wider rows.
        grad_query, grad_key, grad_value = (x.new_empty(x.shape) for x in (query, key, value))
        asked = ctx.needs_input_grad
        grad_add = torch.empty_like(add) if add is not None and asked[3] else None
        grad_multiply = torch.empty_like(multiply) if multiply is not None and asked[4] else None
        delta = torch.empty_like(log_sum)
        options, strides = _options(query, nodes, ctx.heads), (query.stride(0), key.stride(0), value.stride(0))
        _backward_of_queries(
            nodes.blocks * ctx.heads,
            *(query, key, value, add, multiply, out, grad_out, log_sum, delta),
            *(grad_query, grad_add, grad_multiply, *_where(nodes), *strides),
            **options,
        )
        _backward_of_keys(
            nodes.blocks * ctx.heads,
            *(query, key, value, add, multiply, grad_out, log_sum, delta),
            *(grad_key, grad_value, *_where(nodes), *strides),
            **options,
        )
        return grad_query, grad_key, grad_value, grad_add, grad_multiply, None, None


def _where(nodes: RaggedNodes) -> tuple[Tensor, ...]:
    return nodes.members.ptr, nodes.pair_ptr, nodes.graph, nodes.first


def _options(query: Tensor, nodes: RaggedNodes, heads: int) -> dict[str, Any]:
    channels = query.shape[1] // heads
    # Products of matrices have at least 16 rows and columns.
    shape = {"H": heads, "C": channels, "WIDE": power_of_two(channels, 16), "SIZE": nodes.size}
    return {**shape, **dot_options(query), "warps": nodes.size // 8, "stages": 2}


@Kernel
def _forward(
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    add_ptr: tl.tensor,
    multiply_ptr: tl.tensor,
    out_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    node_ptr: tl.tensor,
    pair_ptr: tl.tensor,
    graph_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    WIDE: tl.constexpr,
    SIZE: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    # The heads of a block are neighbours: they read the same sectors of the pairs' rows.
    block, h = tl.program_id(0) // H, tl.program_id(0) % H
    graph = tl.load(graph_ptr + block)
    start, pair = tl.load(node_ptr + graph), tl.load(pair_ptr + graph)
    n = (tl.load(node_ptr + graph + 1) - start).to(tl.int32)
    low = ((block - tl.load(first_ptr + graph)) * SIZE).to(tl.int32)
    if low >= n:
        return
    # Large offsets once a program: numbers within a graph, or within a block of its pairs, have 32 bits.
    q_ptr += start * q_stride + h * C
    k_ptr += start * k_stride + h * C
    v_ptr += start * v_stride + h * C
    first = (pair + low.to(tl.int64) * n) * H + h
    c, r = tl.arange(0, WIDE), tl.arange(0, SIZE)
    i = low + r
    here = (i < n)[:, None] & (c < C)[None, :]
    q = tl.load(q_ptr + i[:, None] * q_stride + c[None, :], mask=here, other=0.0).to(KIND)
    top = tl.full([SIZE], float("-inf"), tl.float32)
    total = tl.zeros([SIZE], tl.float32)
    sums = tl.zeros([SIZE, WIDE], tl.float32)
    for j0 in range(0, n, SIZE):
        j = j0 + r
        there = (j < n)[:, None] & (c < C)[None, :]
        k = tl.load(k_ptr + j[:, None] * k_stride + c[None, :], mask=there, other=0.0).to(KIND)
        v = tl.load(v_ptr + j[:, None] * v_stride + c[None, :], mask=there, other=0.0).to(KIND)
        at = (r[:, None] * n + j[None, :]) * H
        real = (i < n)[:, None] & (j < n)[None, :]
        logit = tl.dot(q, tl.trans(k), input_precision=PRECISION) * C**-0.5
        if add_ptr is not None:
            logit += tl.load(add_ptr + first + at, mask=real, other=0.0).to(tl.float32)
        logit = tl.where((j < n)[None, :], logit, float("-inf"))
        higher = tl.maximum(top, tl.max(logit, 1))
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        weight = tl.exp(logit - shift[:, None])
        fade = tl.exp(top - shift)
        total = total * fade + tl.sum(weight, 1)
        if multiply_ptr is not None:
            weight *= tl.load(multiply_ptr + first + at, mask=real, other=0.0).to(tl.float32)
        sums = sums * fade[:, None] + tl.dot(weight.to(KIND), v, input_precision=PRECISION)
        top = higher
    empty = total == 0
    total = tl.where(empty, 1.0, total)
    out = (sums / total[:, None]).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + start * (H * C) + h * C + i[:, None] * (H * C) + c[None, :], out, mask=here)
    # Infinite where no key has weight: exp(logit - l) is zero there.
    log_sum = tl.where(empty, float("inf"), top + tl.log(total))
    tl.store(log_sum_ptr + start * H + h + i * H, log_sum, mask=i < n)


@Kernel
def _backward_of_queries(
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    add_ptr: tl.tensor,
    multiply_ptr: tl.tensor,
    out_ptr: tl.tensor,
    grad_out_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    grad_q_ptr: tl.tensor,
    grad_add_ptr: tl.tensor,
    grad_multiply_ptr: tl.tensor,
    node_ptr: tl.tensor,
    pair_ptr: tl.tensor,
    graph_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    WIDE: tl.constexpr,
    SIZE: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    block, h = tl.program_id(0) // H, tl.program_id(0) % H
    graph = tl.load(graph_ptr + block)
    start, pair = tl.load(node_ptr + graph), tl.load(pair_ptr + graph)
    n = (tl.load(node_ptr + graph + 1) - start).to(tl.int32)
    low = ((block - tl.load(first_ptr + graph)) * SIZE).to(tl.int32)
    if low >= n:
        return
    # Large offsets once a program: numbers within a graph, or within a block of its pairs, have 32 bits.
    q_ptr += start * q_stride + h * C
    k_ptr += start * k_stride + h * C
    v_ptr += start * v_stride + h * C
    first = (pair + low.to(tl.int64) * n) * H + h
    c, r = tl.arange(0, WIDE), tl.arange(0, SIZE)
    i = low + r
    here = (i < n)[:, None] & (c < C)[None, :]
    own = i[:, None] * (H * C) + c[None, :]
    out_ptr += start * (H * C) + h * C
    grad_out_ptr += start * (H * C) + h * C
    grad_q_ptr += start * (H * C) + h * C
    q = tl.load(q_ptr + i[:, None] * q_stride + c[None, :], mask=here, other=0.0).to(KIND)
    g = tl.load(grad_out_ptr + own, mask=here, other=0.0)
    out = tl.load(out_ptr + own, mask=here, other=0.0)
    delta = tl.sum(g.to(tl.float32) * out.to(tl.float32), 1)
    tl.store(delta_ptr + start * H + h + i * H, delta, mask=i < n)
    g = g.to(KIND)
    log_sum = tl.load(log_sum_ptr + start * H + h + i * H, mask=i < n, other=0.0)
    grad_q = tl.zeros([SIZE, WIDE], tl.float32)
    for j0 in range(0, n, SIZE):
        j = j0 + r
        there = (j < n)[:, None] & (c < C)[None, :]
        k = tl.load(k_ptr + j[:, None] * k_stride + c[None, :], mask=there, other=0.0).to(KIND)
        v = tl.load(v_ptr + j[:, None] * v_stride + c[None, :], mask=there, other=0.0).to(KIND)
        at = (r[:, None] * n + j[None, :]) * H
        real = (i < n)[:, None] & (j < n)[None, :]
        logit = tl.dot(q, tl.trans(k), input_precision=PRECISION) * C**-0.5
        if add_ptr is not None:
            logit += tl.load(add_ptr + first + at, mask=real, other=0.0).to(tl.float32)
        weight = tl.where(real, tl.exp(logit - log_sum[:, None]), 0.0)
        grad = tl.dot(g, tl.trans(v), input_precision=PRECISION)
        if grad_multiply_ptr is not None:
            tl.store(grad_multiply_ptr + first + at, (weight * grad).to(grad_multiply_ptr.dtype.element_ty), mask=real)
        if multiply_ptr is not None:
            grad *= tl.load(multiply_ptr + first + at, mask=real, other=0.0).to(tl.float32)
        grad = weight * (grad - delta[:, None])
        if grad_add_ptr is not None:
            tl.store(grad_add_ptr + first + at, grad.to(grad_add_ptr.dtype.element_ty), mask=real)
        grad_q += tl.dot(grad.to(KIND), k, input_precision=PRECISION)
    tl.store(grad_q_ptr + own, (grad_q * C**-0.5).to(grad_q_ptr.dtype.element_ty), mask=here)


@Kernel
def _backward_of_keys(
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    add_ptr: tl.tensor,
    multiply_ptr: tl.tensor,
    grad_out_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    grad_k_ptr: tl.tensor,
    grad_v_ptr: tl.tensor,
    node_ptr: tl.tensor,
    pair_ptr: tl.tensor,
    graph_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    WIDE: tl.constexpr,
    SIZE: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    block, h = tl.program_id(0) // H, tl.program_id(0) % H
    graph = tl.load(graph_ptr + block)
    start, pair = tl.load(node_ptr + graph), tl.load(pair_ptr + graph)
    n = (tl.load(node_ptr + graph + 1) - start).to(tl.int32)
    low = ((block - tl.load(first_ptr + graph)) * SIZE).to(tl.int32)
    if low >= n:
        return
    q_ptr += start * q_stride + h * C
    k_ptr += start * k_stride + h * C
    v_ptr += start * v_stride + h * C
    grad_out_ptr += start * (H * C) + h * C
    grad_k_ptr += start * (H * C) + h * C
    grad_v_ptr += start * (H * C) + h * C
    first = pair * H + h
    c, r = tl.arange(0, WIDE), tl.arange(0, SIZE)
    j = low + r
    there = (j < n)[:, None] & (c < C)[None, :]
    k = tl.load(k_ptr + j[:, None] * k_stride + c[None, :], mask=there, other=0.0).to(KIND)
    v = tl.load(v_ptr + j[:, None] * v_stride + c[None, :], mask=there, other=0.0).to(KIND)
    grad_k = tl.zeros([SIZE, WIDE], tl.float32)
    grad_v = tl.zeros([SIZE, WIDE], tl.float32)
    for i0 in range(0, n, SIZE):
        i = i0 + r
        here = (i < n)[:, None] & (c < C)[None, :]
        own = i[:, None] * (H * C) + c[None, :]
        q = tl.load(q_ptr + i[:, None] * q_stride + c[None, :], mask=here, other=0.0).to(KIND)
        g = tl.load(grad_out_ptr + own, mask=here, other=0.0).to(KIND)
        log_sum = tl.load(log_sum_ptr + start * H + h + i * H, mask=i < n, other=0.0)
        delta = tl.load(delta_ptr + start * H + h + i * H, mask=i < n, other=0.0)
        # Keys down, queries across.
        at = (r[None, :] * n + j[:, None]) * H
        real = (j < n)[:, None] & (i < n)[None, :]
        logit = tl.dot(k, tl.trans(q), input_precision=PRECISION) * C**-0.5
        if add_ptr is not None:
            logit += tl.load(add_ptr + first + at, mask=real, other=0.0).to(tl.float32)
        weight = tl.where(real, tl.exp(logit - log_sum[None, :]), 0.0)
        grad = tl.dot(v, tl.trans(g), input_precision=PRECISION)
        factor = weight
        if multiply_ptr is not None:
            multiply = tl.load(multiply_ptr + first + at, mask=real, other=0.0).to(tl.float32)
            factor *= multiply
            grad *= multiply
        grad = weight * (grad - delta[None, :])
        grad_v += tl.dot(factor.to(KIND), g, input_precision=PRECISION)
        grad_k += tl.dot(grad.to(KIND), q, input_precision=PRECISION)
        first += SIZE * H * n.to(tl.int64)
    own = j[:, None] * (H * C) + c[None, :]
    tl.store(grad_k_ptr + own, (grad_k * C**-0.5).to(grad_k_ptr.dtype.element_ty), mask=there)
    tl.store(grad_v_ptr + own, grad_v.to(grad_v_ptr.dtype.element_ty), mask=there)
