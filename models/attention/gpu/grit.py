"""GRIT's attention over sets of pairs as Triton kernels: the formulas of `grit.reference`.

N nodes, P pairs, D channels, H heads, C = D / H. The products with z are PyTorch's, as is the one with f: what is
between them is here, one read of `scale` and `bias` and one write of f `[P, D]`, with nothing else of size P D. A
program takes one node and goes over the pairs that end in it, all heads at once. Backward, programs of targets write
gradients of queries, of scale and bias and, `[P, H]`, the weights; programs of sources those of keys and values.

Every number is written by one program, in one order: results are the same every time. All is computed in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.attention.pairs import PairSet

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def pair_features(
    scale_bias: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score: Tensor,
    pairs: PairSet,
    *,
    heads: int,
    keep: Tensor | None = None,
    kept: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Features f of pairs `[P, D]`, and the sums m and n of values and of features `[N, D]`.

    Args:
        scale_bias: W_s z + b_s and W_f z + b_f, `[P, 2 D]`; float32 or half precision.
        query: `[N, D]`.
        key: `[N, D]`.
        value: `[N, D]`.
        score: The vectors A of all heads, `[D]`.
        pairs: The pairs.
        heads: Number of heads; divides D.
        keep: Whether each weight stays, `[P, H]`; None for all.
        kept: What those are multiplied with that stay.
    """
    return _PairFeatures.apply(scale_bias, query, key, value, score, pairs, heads, keep, kept)


class _PairFeatures(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        scale_bias: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        score: Tensor,
        pairs: PairSet,
        heads: int,
        keep: Tensor | None,
        kept: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        scale_bias, query, key, value = (x.contiguous() for x in (scale_bias, query, key, value))
        keep = None if keep is None else keep.contiguous().view(torch.int8)
        feature = scale_bias.new_empty(pairs.num_pairs, query.shape[1])
        message, edge_message = torch.empty_like(query), torch.empty_like(query)
        total = query.new_empty(pairs.num_nodes, heads, dtype=torch.float32)
        _forward(
            pairs.num_nodes,
            *(scale_bias, query, key, value, score, keep, float(kept), feature, message, edge_message, total),
            *(pairs.source, pairs.ptr),
            **_options(query, heads),
        )
        ctx.save_for_backward(scale_bias, query, key, value, score, keep, feature, message, edge_message, total)
        ctx.pairs, ctx.heads, ctx.kept = pairs, heads, float(kept)
        ctx.set_materialize_grads(False)
        return feature, message, edge_message

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_feature: Tensor | None, grad_message: Tensor | None, grad_edge: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        scale_bias, query, key, value, score, keep, feature, message, edge_message, total = ctx.saved_tensors
        pairs: PairSet = ctx.pairs
        grad_feature = None if grad_feature is None else grad_feature.contiguous()
        grad_message, grad_edge = (
            torch.zeros_like(query) if x is None else x.contiguous() for x in (grad_message, grad_edge)
        )
        grad_both, grad_query, grad_key, grad_value = (torch.empty_like(x) for x in (scale_bias, query, key, value))
        weight = total.new_empty(pairs.num_pairs, ctx.heads)
        grad_score = total.new_empty(query.shape)  # of each node
        options = _options(query, ctx.heads)
        _backward_of_targets(
            pairs.num_nodes,
            *(scale_bias, query, key, value, score, keep, ctx.kept, feature, message, edge_message, total),
            *(grad_feature, grad_message, grad_edge, grad_both, grad_query, grad_score, weight),
            *(pairs.source, pairs.ptr),
            **options,
        )
        _backward_of_sources(
            pairs.num_nodes,
            *(scale_bias, query, key, grad_both, grad_message, weight, grad_key, grad_value),
            *(pairs.target, *pairs.leaving),
            **options,
        )
        grads = (grad_both, grad_query, grad_key, grad_value, grad_score.sum(0).to(score.dtype))
        return *grads, None, None, None, None


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
    both_ptr: tl.tensor,
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    a_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    feature_ptr: tl.tensor,
    message_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    total_ptr: tl.tensor,
    source_ptr: tl.tensor,
    first_ptr: tl.tensor,
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
    q = tl.load(q_ptr + i * (H * C) + at, mask=real, other=0.0).to(tl.float32)
    a = tl.load(a_ptr + at, mask=real, other=0.0).to(tl.float32)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    values = tl.zeros([HEADS, WIDE], tl.float32)
    features = tl.zeros([HEADS, WIDE], tl.float32)
    total = tl.zeros([HEADS], tl.float32)
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(source_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        both = p[:, None, None] * (2 * H * C) + at[None, :, :]
        scale = tl.load(both_ptr + both, mask=there, other=0.0).to(tl.float32)
        bias = tl.load(both_ptr + both + H * C, mask=there, other=0.0).to(tl.float32)
        k = tl.load(k_ptr + j[:, None, None] * (H * C) + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        v = tl.load(v_ptr + j[:, None, None] * (H * C) + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        x = (q[None, :, :] + k) * scale
        root = tl.sqrt(tl.abs(x))
        f = tl.maximum(tl.where(x < 0, -root, root) + bias, 0.0)
        tl.store(
            feature_ptr + p[:, None, None] * (H * C) + at[None, :, :], f.to(feature_ptr.dtype.element_ty), mask=there
        )
        logit = tl.minimum(tl.maximum(tl.sum(f * a[None, :, :], 2), -5.0), 5.0)
        weight = tl.where((p < end)[:, None], tl.exp(logit), 0.0)
        total += tl.sum(weight, 0)
        if keep_ptr is not None:
            stays = (p < end)[:, None] & (h < H)[None, :]
            weight *= tl.load(keep_ptr + p[:, None] * H + h[None, :], mask=stays, other=0).to(tl.float32) * kept
        values += tl.sum(weight[:, :, None] * v, 0)
        features += tl.sum(weight[:, :, None] * f, 0)
    total = tl.where(total == 0, 1.0, total)
    tl.store(total_ptr + i * H + h, total, mask=h < H)
    own = i * (H * C) + at
    tl.store(message_ptr + own, (values / total[:, None]).to(message_ptr.dtype.element_ty), mask=real)
    tl.store(edge_ptr + own, (features / total[:, None]).to(edge_ptr.dtype.element_ty), mask=real)


@Kernel
def _backward_of_targets(
    both_ptr: tl.tensor,
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    a_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    feature_ptr: tl.tensor,
    message_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    total_ptr: tl.tensor,
    grad_feature_ptr: tl.tensor,
    grad_message_ptr: tl.tensor,
    grad_edge_ptr: tl.tensor,
    grad_both_ptr: tl.tensor,
    grad_q_ptr: tl.tensor,
    grad_a_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    source_ptr: tl.tensor,
    first_ptr: tl.tensor,
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
    own = i * (H * C) + at
    q = tl.load(q_ptr + own, mask=real, other=0.0).to(tl.float32)
    a = tl.load(a_ptr + at, mask=real, other=0.0).to(tl.float32)
    gm = tl.load(grad_message_ptr + own, mask=real, other=0.0).to(tl.float32)
    gn = tl.load(grad_edge_ptr + own, mask=real, other=0.0).to(tl.float32)
    m = tl.load(message_ptr + own, mask=real, other=0.0).to(tl.float32)
    n = tl.load(edge_ptr + own, mask=real, other=0.0).to(tl.float32)
    delta = tl.sum(gm * m + gn * n, 1)
    total = tl.load(total_ptr + i * H + h, mask=h < H, other=1.0)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    grad_q = tl.zeros([HEADS, WIDE], tl.float32)
    grad_a = tl.zeros([HEADS, WIDE], tl.float32)
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(source_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        both = p[:, None, None] * (2 * H * C) + at[None, :, :]
        row = p[:, None, None] * (H * C) + at[None, :, :]
        scale = tl.load(both_ptr + both, mask=there, other=0.0).to(tl.float32)
        f = tl.load(feature_ptr + row, mask=there, other=0.0).to(tl.float32)
        k = tl.load(k_ptr + j[:, None, None] * (H * C) + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        v = tl.load(v_ptr + j[:, None, None] * (H * C) + at[None, :, :], mask=there, other=0.0).to(tl.float32)
        logit = tl.sum(f * a[None, :, :], 2)
        stays = (p < end)[:, None] & (h < H)[None, :]
        weight = tl.exp(tl.minimum(tl.maximum(logit, -5.0), 5.0)) / total[None, :]
        dropped = weight
        grad_weight = tl.sum(gm[None, :, :] * v + gn[None, :, :] * f, 2)
        if keep_ptr is not None:
            keep = tl.load(keep_ptr + p[:, None] * H + h[None, :], mask=stays, other=0).to(tl.float32) * kept
            dropped = weight * keep
            grad_weight *= keep
        tl.store(weight_ptr + p[:, None] * H + h[None, :], dropped, mask=stays)
        grad_logit = weight * (grad_weight - delta[None, :])
        grad_logit = tl.where((logit > -5.0) & (logit < 5.0) & stays, grad_logit, 0.0)
        grad_a += tl.sum(grad_logit[:, :, None] * f, 0)
        grad = grad_logit[:, :, None] * a[None, :, :] + dropped[:, :, None] * gn[None, :, :]
        if grad_feature_ptr is not None:
            grad += tl.load(grad_feature_ptr + row, mask=there, other=0.0).to(tl.float32)
        grad = tl.where(there & (f > 0), grad, 0.0)
        joint = q[None, :, :] + k
        x = joint * scale
        # The derivative of the signed root: bounded, and 0 at 0.
        grad_x = grad * tl.where(x == 0, 0.0, 0.5 / tl.sqrt(tl.maximum(tl.abs(x), 1e-6)))
        kind = grad_both_ptr.dtype.element_ty
        tl.store(grad_both_ptr + both, (grad_x * joint).to(kind), mask=there)
        tl.store(grad_both_ptr + both + H * C, grad.to(kind), mask=there)
        grad_q += tl.sum(grad_x * scale, 0)
    tl.store(grad_q_ptr + own, grad_q.to(grad_q_ptr.dtype.element_ty), mask=real)
    tl.store(grad_a_ptr + own, grad_a, mask=real)


@Kernel
def _backward_of_sources(
    both_ptr: tl.tensor,
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    grad_both_ptr: tl.tensor,
    grad_message_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    grad_k_ptr: tl.tensor,
    grad_v_ptr: tl.tensor,
    target_ptr: tl.tensor,
    order_ptr: tl.tensor,
    first_ptr: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    WIDE: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    j = tl.program_id(0).to(tl.int64)
    h, c = tl.arange(0, HEADS), tl.arange(0, WIDE)
    at = h[:, None] * C + c[None, :]
    real = (h < H)[:, None] & (c < C)[None, :]
    own = j * (H * C) + at
    k = tl.load(k_ptr + own, mask=real, other=0.0).to(tl.float32)
    begin, end = tl.load(first_ptr + j), tl.load(first_ptr + j + 1)
    grad_k = tl.zeros([HEADS, WIDE], tl.float32)
    grad_v = tl.zeros([HEADS, WIDE], tl.float32)
    for p0 in range(begin, end, PAIRS):
        r = p0 + tl.arange(0, PAIRS)
        p = tl.load(order_ptr + r, mask=r < end, other=0)
        i = tl.load(target_ptr + p, mask=r < end, other=0)
        there = (r < end)[:, None, None] & real[None, :, :]
        both = p[:, None, None] * (2 * H * C) + at[None, :, :]
        node = i[:, None, None] * (H * C) + at[None, :, :]
        scale = tl.load(both_ptr + both, mask=there, other=0.0).to(tl.float32)
        grad = tl.load(grad_both_ptr + both + H * C, mask=there, other=0.0).to(tl.float32)
        x = (tl.load(q_ptr + node, mask=there, other=0.0).to(tl.float32) + k[None, :, :]) * scale
        grad_x = grad * tl.where(x == 0, 0.0, 0.5 / tl.sqrt(tl.maximum(tl.abs(x), 1e-6)))
        grad_k += tl.sum(grad_x * scale, 0)
        kept = (r < end)[:, None] & (h < H)[None, :]
        weight = tl.load(weight_ptr + p[:, None] * H + h[None, :], mask=kept, other=0.0)
        gm = tl.load(grad_message_ptr + node, mask=there, other=0.0).to(tl.float32)
        grad_v += tl.sum(weight[:, :, None] * gm, 0)
    tl.store(grad_k_ptr + own, grad_k.to(grad_k_ptr.dtype.element_ty), mask=real)
    tl.store(grad_v_ptr + own, grad_v.to(grad_v_ptr.dtype.element_ty), mask=real)
