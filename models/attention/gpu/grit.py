"""GRIT's attention over sets of pairs as Triton kernels: the formulas of `grit.reference`.

N nodes, P pairs, D channels, H heads, C = D / H. The products with z are PyTorch's, as is the one with f: what is
between them is here, one read of `scale` and `bias` and one write of f `[P, D]`, with nothing else of size P D. A
program takes one node and goes over the pairs that end in it, all heads at once. Backward, programs of targets write
gradients of queries, of scale and bias and, `[P, H]`, the weights; programs of sources those of keys and values, and
some more beside them the sums over nodes that are the gradients of vectors.

Every number is written by one program, in one order: results are the same every time. All is computed in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.attention.gpu.grit_fold import Map, folded, unfolded
from graphpe.models.attention.gpu.grit_update import updated_pairs
from graphpe.models.attention.gpu.products import pair_product
from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.attention.pairs import PairSet
from graphpe.models.layers.gpu.few_rows import COLUMNS, programs
from graphpe.models.layers.normalization import RowBatchNorm

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


class Rows(NamedTuple):
    """Rows of pairs, scale * value + shift.

    Attributes:
        value: `[P, D]`; float32 or half precision.
        scale: `[D]`, float32; None for 1.
        shift: `[D]`, float32; None for 0, where `scale` is None.
    """

    value: Tensor
    scale: Tensor | None
    shift: Tensor | None


class Update(NamedTuple):
    """How rows are updated.

    Attributes:
        linear: From the features f to what is added.
        norm: The normalisation of the sum.
        real: 1 for real pairs, 0 for others, `[P]`; None if all are.
        batch: Whether it has the statistics of the pairs, of which there are two or more; else the running ones.
        dropout: Dropout of f, `[P, D]`; None for none.
    """

    linear: nn.Linear
    norm: RowBatchNorm
    real: Tensor | None
    batch: bool
    dropout: Dropped | None


def attended_pairs(
    rows: Rows,
    weight: Tensor,
    bias: Tensor,
    query_key_value: Tensor,
    query_bias: Tensor,
    score: Tensor,
    pairs: PairSet,
    *,
    heads: int,
    dropout: Dropped | None = None,
    update: Update | None = None,
) -> tuple[Tensor, Tensor, Rows | None]:
    """The sums m and n of values and of features `[N, D]`, in float32, and the new rows of the pairs.

    Args:
        rows: Rows of the pairs.
        weight: W_s over W_f, `[2 D, D]`.
        bias: b_s and b_f, `[2 D]`.
        query_key_value: Queries without their bias, keys and values, `[N, 3 D]`; float32 or half precision, in which
            all products are taken.
        query_bias: Bias of the queries, `[D]`.
        score: The vectors A of all heads, `[D]`.
        pairs: The pairs.
        heads: Number of heads; divides D.
        dropout: Dropout of weights, `[P, H]`; None for none.
        update: How rows are updated; None for not at all.
    """
    keep, kept = (None, 1.0) if dropout is None else (dropout.keep, dropout.scale)
    tensors = (*rows, weight, bias, query_key_value, query_bias, score)
    feature, message, edge_message, z, scale, shift = _PairFeatures.apply(*tensors, pairs, heads, keep, kept)
    if update is None:
        return message, edge_message, None
    if update.dropout is not None:
        feature = update.dropout.apply(feature)
    # From the rows as they were passed on: their gradients meet in one place, where others are added to them.
    options = update.linear, update.norm, update.real
    new = updated_pairs(feature, z, scale, shift, *options, batch=update.batch)
    return message, edge_message, Rows(*new)


class _PairFeatures(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        query_key_value: Tensor,
        query_bias: Tensor,
        score: Tensor,
        pairs: PairSet,
        heads: int,
        keep: Tensor | None,
        kept: float,
    ) -> tuple[Tensor | None, ...]:
        query_key_value = query_key_value.contiguous()
        keep = None if keep is None else keep.contiguous().view(torch.int8)
        kind, (nodes, width) = query_key_value.dtype, (query_key_value.shape[0], score.numel())
        map_, map_bias = folded(Map(weight, bias, scale, shift), kind)
        both = pair_product(z, map_, kind)
        feature = both.new_empty(pairs.num_pairs, width)
        message, edge_message = (both.new_empty(nodes, width, dtype=torch.float32) for _ in range(2))
        total = both.new_empty(nodes, heads, dtype=torch.float32)
        _forward(
            nodes,
            *(both, map_bias, query_key_value, query_bias, score, keep, float(kept)),
            *(feature, message, edge_message, total, pairs.source, pairs.ptr),
            **_options(width, heads),
        )
        ctx.save_for_backward(
            *(z, scale, shift, weight, bias, map_, map_bias, both, query_key_value, query_bias, score, keep),
            *(feature, message, edge_message, total),
        )
        ctx.pairs, ctx.heads, ctx.kept = pairs, heads, float(kept)
        ctx.set_materialize_grads(False)
        return feature, message, edge_message, z, scale, shift

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        grad_feature: Tensor | None,
        grad_message: Tensor | None,
        grad_edge: Tensor | None,
        passed_z: Tensor | None,
        passed_scale: Tensor | None,
        passed_shift: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        z, scale, shift, weight, bias, map_, map_bias, both, query_key_value, query_bias, score, keep, *rest = (
            ctx.saved_tensors
        )
        feature, message, edge_message, total = rest
        pairs: PairSet = ctx.pairs
        grad_feature = None if grad_feature is None else grad_feature.contiguous()
        grad_message, grad_edge = (
            torch.zeros_like(message) if x is None else x.contiguous() for x in (grad_message, grad_edge)
        )
        grad_both, grad_nodes = torch.empty_like(both), torch.empty_like(query_key_value)
        nodes, width = message.shape
        weights = total.new_empty(pairs.num_pairs, ctx.heads)
        sums = total.new_empty(nodes, 4 * width)  # of each node, for vectors
        options = _options(width, ctx.heads)
        _backward_of_targets(
            nodes,
            *(
                both,
                map_bias,
                query_key_value,
                query_bias,
                score,
                keep,
                ctx.kept,
                feature,
                message,
                edge_message,
                total,
            ),
            *(grad_feature, grad_message, grad_edge, grad_both, grad_nodes, sums, weights, pairs.source, pairs.ptr),
            **options,
        )
        total_sums = sums.new_empty(4 * width)
        _backward_of_sources(
            nodes + programs(4 * width),
            *(both, map_bias, query_key_value, query_bias, grad_both, grad_message, weights, grad_nodes),
            *(pairs.target, *pairs.leaving, sums, total_sums, nodes),
            **{**options, "COLUMNS": COLUMNS},
        )
        of_query, of_score, of_bias = total_sums.split([width, width, 2 * width])
        of_map = grad_both.t() @ z.to(both.dtype)
        of_weight, of_scale, of_shift = unfolded(
            Map(weight, bias, scale, shift), of_map, of_bias, passed_scale, passed_shift
        )
        of_z = None
        if ctx.needs_input_grad[0]:
            if passed_z is not None and passed_z.dtype == map_.dtype:  # nobody else has it
                of_z = passed_z.addmm_(grad_both, map_)
            else:
                product = (grad_both @ map_).to(z.dtype)
                of_z = product if passed_z is None else passed_z + product
        of_vectors = of_bias.to(bias.dtype), grad_nodes, of_query.to(query_bias.dtype), of_score.to(score.dtype)
        return of_z, of_scale, of_shift, of_weight, *of_vectors, None, None, None, None


def _options(width: int, heads: int) -> dict[str, Any]:
    channels = width // heads
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
    bias_ptr: tl.tensor,
    node_ptr: tl.tensor,
    q_bias_ptr: tl.tensor,
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
    q = tl.load(node_ptr + i * (3 * H * C) + at, mask=real, other=0.0).to(tl.float32)
    q += tl.load(q_bias_ptr + at, mask=real, other=0.0).to(tl.float32)
    scale_bias = tl.load(bias_ptr + at, mask=real, other=0.0)
    feature_bias = tl.load(bias_ptr + H * C + at, mask=real, other=0.0)
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
        node = j[:, None, None] * (3 * H * C) + at[None, :, :]
        scale = tl.load(both_ptr + both, mask=there, other=0.0).to(tl.float32) + scale_bias[None, :, :]
        bias = tl.load(both_ptr + both + H * C, mask=there, other=0.0).to(tl.float32) + feature_bias[None, :, :]
        k = tl.load(node_ptr + node + H * C, mask=there, other=0.0).to(tl.float32)
        v = tl.load(node_ptr + node + 2 * H * C, mask=there, other=0.0).to(tl.float32)
        x = (q[None, :, :] + k) * scale
        root = tl.sqrt(tl.abs(x))
        f = tl.maximum(tl.where(x < 0, -root, root) + bias, 0.0)
        stored = f.to(feature_ptr.dtype.element_ty)
        tl.store(feature_ptr + p[:, None, None] * (H * C) + at[None, :, :], stored, mask=there)
        f = stored.to(tl.float32)  # what the backward pass finds
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
    bias_ptr: tl.tensor,
    node_ptr: tl.tensor,
    q_bias_ptr: tl.tensor,
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
    grad_node_ptr: tl.tensor,
    sums_ptr: tl.tensor,
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
    q = tl.load(node_ptr + i * (3 * H * C) + at, mask=real, other=0.0).to(tl.float32)
    q += tl.load(q_bias_ptr + at, mask=real, other=0.0).to(tl.float32)
    scale_bias = tl.load(bias_ptr + at, mask=real, other=0.0)
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
    grad_scale = tl.zeros([HEADS, WIDE], tl.float32)
    grad_bias = tl.zeros([HEADS, WIDE], tl.float32)
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(source_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None, None] & real[None, :, :]
        both = p[:, None, None] * (2 * H * C) + at[None, :, :]
        row = p[:, None, None] * (H * C) + at[None, :, :]
        node = j[:, None, None] * (3 * H * C) + at[None, :, :]
        scale = tl.load(both_ptr + both, mask=there, other=0.0).to(tl.float32) + scale_bias[None, :, :]
        f = tl.load(feature_ptr + row, mask=there, other=0.0).to(tl.float32)
        k = tl.load(node_ptr + node + H * C, mask=there, other=0.0).to(tl.float32)
        v = tl.load(node_ptr + node + 2 * H * C, mask=there, other=0.0).to(tl.float32)
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
        grad_scale += tl.sum(grad_x * joint, 0)
        grad_bias += tl.sum(grad, 0)
    tl.store(grad_node_ptr + i * (3 * H * C) + at, grad_q.to(grad_node_ptr.dtype.element_ty), mask=real)
    sums_ptr += i * (4 * H * C)
    tl.store(sums_ptr + at, grad_q, mask=real)
    tl.store(sums_ptr + H * C + at, grad_a, mask=real)
    tl.store(sums_ptr + 2 * H * C + at, grad_scale, mask=real)
    tl.store(sums_ptr + 3 * H * C + at, grad_bias, mask=real)


@Kernel
def _backward_of_sources(
    both_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    node_ptr: tl.tensor,
    q_bias_ptr: tl.tensor,
    grad_both_ptr: tl.tensor,
    grad_message_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    grad_node_ptr: tl.tensor,
    target_ptr: tl.tensor,
    order_ptr: tl.tensor,
    first_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    total_ptr: tl.tensor,
    N: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    WIDE: tl.constexpr,
    PAIRS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    j = tl.program_id(0).to(tl.int64)
    if j >= N:  # programs beyond the nodes join what those of targets have written for vectors
        column = (j - N) * COLUMNS + tl.arange(0, COLUMNS)
        joined = tl.zeros([COLUMNS], tl.float32)
        for i0 in range(0, N, 64):
            r = i0 + tl.arange(0, 64)
            there = (r < N)[:, None] & (column < 4 * H * C)[None, :]
            joined += tl.sum(tl.load(sums_ptr + r[:, None] * (4 * H * C) + column[None, :], mask=there, other=0.0), 0)
        tl.store(total_ptr + column, joined, mask=column < 4 * H * C)
        return
    h, c = tl.arange(0, HEADS), tl.arange(0, WIDE)
    at = h[:, None] * C + c[None, :]
    real = (h < H)[:, None] & (c < C)[None, :]
    own = j * (3 * H * C) + at
    k = tl.load(node_ptr + own + H * C, mask=real, other=0.0).to(tl.float32)
    k += tl.load(q_bias_ptr + at, mask=real, other=0.0).to(tl.float32)  # of q_i + k_j
    scale_bias = tl.load(bias_ptr + at, mask=real, other=0.0)
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
        scale = tl.load(both_ptr + both, mask=there, other=0.0).to(tl.float32) + scale_bias[None, :, :]
        grad = tl.load(grad_both_ptr + both + H * C, mask=there, other=0.0).to(tl.float32)
        query = i[:, None, None] * (3 * H * C) + at[None, :, :]
        x = (tl.load(node_ptr + query, mask=there, other=0.0).to(tl.float32) + k[None, :, :]) * scale
        grad_x = grad * tl.where(x == 0, 0.0, 0.5 / tl.sqrt(tl.maximum(tl.abs(x), 1e-6)))
        grad_k += tl.sum(grad_x * scale, 0)
        kept = (r < end)[:, None] & (h < H)[None, :]
        weight = tl.load(weight_ptr + p[:, None] * H + h[None, :], mask=kept, other=0.0)
        gm = tl.load(grad_message_ptr + node, mask=there, other=0.0).to(tl.float32)
        grad_v += tl.sum(weight[:, :, None] * gm, 0)
    kind = grad_node_ptr.dtype.element_ty
    tl.store(grad_node_ptr + own + H * C, grad_k.to(kind), mask=real)
    tl.store(grad_node_ptr + own + 2 * H * C, grad_v.to(kind), mask=real)
