"""Relational attention as Triton kernels: the formulas of `graphpe.models.attention.relational.attention`.

N nodes, P pairs, D channels, H heads, C = D / H. The product of the pairs with the three maps is PyTorch's, `[P, 3 D]`,
made for the forward pass and again for the backward pass: of pairs nothing is kept but their vectors, of nodes the
output in float32 and the logarithm of each softmax's sum, `[N, H]`. A program takes one node and goes over the pairs
that end in it, all heads at once; maximum and sum of the softmax are corrected as it goes. Backward, with
G = d loss / d out,

    delta_i   = sum_c G_ic out_ic
    d logit_p = weight_p (G_i v_p - delta_i)
    d q_p = d logit_p k_p / sqrt(C),  d k_p = d logit_p q_p / sqrt(C),  d v_p = weight_p G_i

are written as rows of pairs, `[P, 3 D]`: the gradient of the product, from which PyTorch takes those of pairs and maps.
Those of a node's query are sums over the pairs that end in it, those of its key and value over those that begin there.

Every number is written by one program, in one order: results are the same every time. All but the product is float32;
delta is of the output before it is rounded to half precision, as in `graphpe.models.attention.gpu.softmax`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.attention.gpu.products import pair_product
from graphpe.models.attention.gpu.sums import sums_by_group
from graphpe.models.attention.pairs import PairSet

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def attend_along_pairs(
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
    """Relational attention of each node over the pairs that end in it, `[N, D]`; arguments as `relational_attention`.

    Args:
        query: q_i of each node, `[N, D]`; float32 or half precision, in which the product is taken.
        key: k_j, `[N, D]`.
        value: v_j, `[N, D]`.
        pair: Vectors of the pairs, `[P, D]`.
        pair_query: E_q, `[D, D]` (out, in).
        pair_key: E_k.
        pair_value: E_v.
        pairs: The pairs.
        heads: Number of heads; divides D.
    """
    maps = torch.cat([pair_query, pair_key, pair_value])
    return _RelationalAttention.apply(query, key, value, pair, maps, pairs, heads)


class _RelationalAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, pair: Tensor, maps: Tensor, pairs: PairSet, heads: int
    ) -> Tensor:
        query, key, value = (x if x.stride(1) == 1 else x.contiguous() for x in (query, key, value))
        out = query.new_empty(query.shape)
        exact = None if out.dtype == torch.float32 else out.new_empty(out.shape, dtype=torch.float32)
        log_sum = query.new_empty(query.shape[0], heads, dtype=torch.float32)
        _forward(
            pairs.num_nodes,
            *(pair_product(pair, maps, query.dtype), query, key, value, out, exact, log_sum, pairs.source, pairs.ptr),
            *(query.stride(0), key.stride(0), value.stride(0)),
            **_options(query, heads),
        )
        ctx.save_for_backward(query, key, value, pair, maps, out if exact is None else exact, log_sum)
        ctx.pairs, ctx.heads = pairs, heads
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, pair, maps, out, log_sum = ctx.saved_tensors
        pairs: PairSet = ctx.pairs
        width = query.shape[1]
        product = pair_product(pair, maps, query.dtype)
        grad_product = torch.empty_like(product)
        grad_query = query.new_empty(query.shape)
        _backward(
            pairs.num_nodes,
            *(product, query, key, value, out, log_sum, grad_out.contiguous(), grad_query, grad_product),
            *(pairs.source, pairs.ptr, query.stride(0), key.stride(0), value.stride(0)),
            **_options(query, ctx.heads),
        )
        del product
        both = sums_by_group(grad_product[:, width:], *pairs.leaving, key.dtype)
        grad_pair = (grad_product @ maps.to(query.dtype)).to(pair.dtype) if ctx.needs_input_grad[3] else None
        grad_maps = (grad_product.t() @ pair.to(query.dtype)).to(maps.dtype) if ctx.needs_input_grad[4] else None
        return grad_query, both[:, :width], both[:, width:].to(value.dtype), grad_pair, grad_maps, None, None


def _options(query: Tensor, heads: int) -> dict[str, Any]:
    channels = query.shape[1] // heads
    shape = {"H": heads, "C": channels, "HEADS": power_of_two(heads), "WIDE": power_of_two(channels)}
    wide = shape["HEADS"] * shape["WIDE"]
    return {
        **shape,
        "PAIRS": 16 if wide <= 32 else 8 if wide <= 128 else 4,
        "warps": 2 if wide <= 128 else 4,
        "stages": 2,
    }


@Kernel
def _forward(
    product_ptr: tl.tensor,
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    out_ptr: tl.tensor,
    exact_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    source_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    WIDE: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    i = tl.program_id(0).to(tl.int64)
    h, c = tl.arange(0, HEADS), tl.arange(0, WIDE)
    at = h[:, None] * C + c[None, :]
    real = (h < H)[:, None] & (c < C)[None, :]
    q = tl.load(q_ptr + i * q_stride + at, mask=real, other=0.0).to(tl.float32)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    top = tl.full([HEADS], float("-inf"), tl.float32)
    total = tl.zeros([HEADS], tl.float32)
    sums = tl.zeros([HEADS, WIDE], tl.float32)
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(source_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        own = p[:, None, None] * (3 * H * C) + at[None, :, :]
        a = q[None, :, :] + tl.load(product_ptr + own, mask=there, other=0.0).to(tl.float32)
        b = tl.load(product_ptr + own + H * C, mask=there, other=0.0).to(tl.float32)
        b += tl.load(k_ptr + j[:, None, None] * k_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        v = tl.load(product_ptr + own + 2 * H * C, mask=there, other=0.0).to(tl.float32)
        v += tl.load(v_ptr + j[:, None, None] * v_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        logit = tl.where((p < end)[:, None], tl.sum(a * b, 2) * C**-0.5, float("-inf"))
        higher = tl.maximum(top, tl.max(logit, 0))  # finite: a turn has a pair
        weight = tl.exp(logit - higher[None, :])
        fade = tl.exp(top - higher)
        total = total * fade + tl.sum(weight, 0)
        sums = sums * fade[:, None] + tl.sum(weight[:, :, None] * v, 0)
        top = higher
    # No pair ends here: nothing is summed.
    empty = total == 0
    total = tl.where(empty, 1.0, total)
    tl.store(log_sum_ptr + i * H + h, tl.where(empty, 0.0, top + tl.log(total)), mask=h < H)
    out = sums / total[:, None]
    tl.store(out_ptr + i * (H * C) + at, out.to(out_ptr.dtype.element_ty), mask=real)
    if exact_ptr is not None:
        tl.store(exact_ptr + i * (H * C) + at, out, mask=real)


@Kernel
def _backward(
    product_ptr: tl.tensor,
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    out_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    grad_out_ptr: tl.tensor,
    grad_q_ptr: tl.tensor,
    grad_product_ptr: tl.tensor,
    source_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    WIDE: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    i = tl.program_id(0).to(tl.int64)
    h, c = tl.arange(0, HEADS), tl.arange(0, WIDE)
    at = h[:, None] * C + c[None, :]
    real = (h < H)[:, None] & (c < C)[None, :]
    q = tl.load(q_ptr + i * q_stride + at, mask=real, other=0.0).to(tl.float32)
    g = tl.load(grad_out_ptr + i * (H * C) + at, mask=real, other=0.0).to(tl.float32)
    delta = tl.sum(g * tl.load(out_ptr + i * (H * C) + at, mask=real, other=0.0).to(tl.float32), 1)
    log_sum = tl.load(log_sum_ptr + i * H + h, mask=h < H, other=0.0)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    grad_q = tl.zeros([HEADS, WIDE], tl.float32)
    kind = grad_product_ptr.dtype.element_ty
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(source_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        own = p[:, None, None] * (3 * H * C) + at[None, :, :]
        a = q[None, :, :] + tl.load(product_ptr + own, mask=there, other=0.0).to(tl.float32)
        b = tl.load(product_ptr + own + H * C, mask=there, other=0.0).to(tl.float32)
        b += tl.load(k_ptr + j[:, None, None] * k_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        v = tl.load(product_ptr + own + 2 * H * C, mask=there, other=0.0).to(tl.float32)
        v += tl.load(v_ptr + j[:, None, None] * v_stride + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        weight = tl.exp(tl.sum(a * b, 2) * C**-0.5 - log_sum[None, :])
        weight = tl.where((p < end)[:, None], weight, 0.0)
        grad_logit = weight * (tl.sum(g[None, :, :] * v, 2) - delta[None, :]) * C**-0.5
        of_q = grad_logit[:, :, None] * b
        grad_q += tl.sum(of_q, 0)
        tl.store(grad_product_ptr + own, of_q.to(kind), mask=there)
        tl.store(grad_product_ptr + own + H * C, (grad_logit[:, :, None] * a).to(kind), mask=there)
        tl.store(grad_product_ptr + own + 2 * H * C, (weight[:, :, None] * g[None, :, :]).to(kind), mask=there)
    tl.store(grad_q_ptr + i * (H * C) + at, grad_q.to(grad_q_ptr.dtype.element_ty), mask=real)
