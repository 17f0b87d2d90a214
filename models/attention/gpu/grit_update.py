"""GRIT's update of pairs and its normalisation, which is left as a linear map, as Triton kernels.

P pairs, D columns, n of the pairs real. With z as it was before its own normalisation, scale * z + shift,

    out    = scale * z + shift + b + W f                         the product is PyTorch's
    scale' = w / sqrt(v + epsilon),  shift' = u - m scale'       m and v: mean and biased variance of out

or running statistics instead of m and v. Programs of some pairs each write out and their share of the statistics, and
programs of some columns each join these, tile by tile (Chan et al. 1983). Backward, with gradients A of scale', B of
shift' and G of out,

    d w = (A - m B) / sqrt(v + epsilon),  d u = B
    d out = G + (-scale' B - (A - m B) w (out - m) / (v + epsilon)^(3/2)) / n        for real pairs

from which follow d z = scale * d out, and the sums over pairs for scale, shift and b; those of W and f are products.
Every number is written by one program, in one order: results are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.layers.gpu.few_rows import options, programs
from graphpe.models.layers.normalization import RowBatchNorm

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def updated_pairs(
    feature: Tensor,
    z: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    linear: nn.Linear,
    norm: RowBatchNorm,
    real: Tensor | None,
    *,
    batch: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The new pairs `[P, D]`, and the scale and shift `[D]`, in float32, that normalise them.

    Args:
        feature: f of the pairs, `[P, D]`, in the precision in which it is multiplied.
        z: The pairs before their normalisation, `[P, D]`.
        scale: That of their normalisation, `[D]`, float32; None for 1.
        shift: That of their normalisation, `[D]`; None for 0, where `scale` is None.
        linear: W and b.
        norm: w, u, and running statistics, which move.
        real: 1 for real pairs, 0 for others, `[P]`; None if all are.
        batch: Whether statistics are those of the pairs, of which there are two or more; else the running ones.
    """
    parameters = (linear.weight, linear.bias, norm.weight, norm.bias)
    return _Update.apply(feature, z, scale, shift, *parameters, norm, real, batch)


class _Update(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        feature: Tensor,
        z: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        norm: RowBatchNorm,
        real: Tensor | None,
        batch: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        z, (count, width) = z.contiguous(), z.shape
        with torch.autocast(z.device.type, enabled=False):
            product = feature @ weight.to(feature.dtype).t()
        blocks, shape = _blocks(count, width)
        out, shares = torch.empty_like(z), z.new_empty(blocks, 3, width, dtype=torch.float32)
        _rows(blocks, z, scale, shift, bias, product, real, out, shares, count, **shape)
        maps, moments = shares.new_empty(2, width), shares.new_empty(3, width)
        _join(
            programs(width),
            *(shares, norm_weight, norm_bias, norm.running_mean, norm.running_var, norm.num_batches_tracked),
            *(maps, moments, blocks, norm.used_momentum, norm.eps),
            **{"BATCH": batch, **options(width)},
        )
        ctx.save_for_backward(feature, z, scale, weight, norm_weight, real, out, moments)
        ctx.batch, ctx.kinds = batch, (bias.dtype, norm_bias.dtype)
        return out, maps[0], maps[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, grad_scale: Tensor, grad_shift: Tensor) -> tuple[Tensor | None, ...]:
        feature, z, scale, weight, norm_weight, real, out, moments = ctx.saved_tensors
        count, width = z.shape
        blocks, shape = _blocks(count, width)
        above, grad_z = torch.empty_like(feature), torch.empty_like(z)
        shares, of_norm = moments.new_empty(blocks, 2, width), norm_weight.new_empty(2, width)
        _rows_backward(
            blocks,
            *(grad_out.contiguous(), grad_scale.contiguous(), grad_shift.contiguous(), z, scale, out, real, moments),
            *(norm_weight, above, grad_z, shares, of_norm, count),
            **{"BATCH": ctx.batch, **shape},
        )
        sums = shares.sum(0)
        bias_kind, norm_bias_kind = ctx.kinds
        return (
            above @ weight.to(above.dtype),
            grad_z,
            None if scale is None else sums[0],
            None if scale is None else sums[1],
            (above.t() @ feature).to(weight.dtype),
            sums[1].to(bias_kind),  # another tensor than the shift's, of the same numbers: one that is two is copied
            of_norm[0],
            of_norm[1].to(norm_bias_kind),
            *(None, None, None),
        )


def _blocks(count: int, width: int) -> tuple[int, dict[str, Any]]:
    wide = power_of_two(width)
    rows = max(1, min(64, 4096 // wide))
    return max(1, -(-count // rows)), {"D": width, "WIDE": wide, "ROWS": rows, "warps": 4, "stages": 1}


@Kernel
def _rows(
    z_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    shift_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    product_ptr: tl.tensor,
    real_ptr: tl.tensor,
    out_ptr: tl.tensor,
    shares_ptr: tl.tensor,
    P: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    p = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, WIDE)
    at = p[:, None] * D + c[None, :]
    here = (p < P)[:, None] & (c < D)[None, :]
    out = tl.load(z_ptr + at, mask=here, other=0.0).to(tl.float32)
    shift = tl.load(bias_ptr + c, mask=c < D, other=0.0).to(tl.float32)
    if scale_ptr is not None:
        out *= tl.load(scale_ptr + c, mask=c < D, other=0.0)[None, :]
        shift += tl.load(shift_ptr + c, mask=c < D, other=0.0)
    out += shift[None, :] + tl.load(product_ptr + at, mask=here, other=0.0).to(tl.float32)
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=here)
    share = (p < P).to(tl.float32)
    if real_ptr is not None:
        share = tl.load(real_ptr + p, mask=p < P, other=0).to(tl.float32)
    count = tl.sum(share, 0)
    mean = tl.sum(out * share[:, None], 0) / tl.maximum(count, 1.0)
    apart = (out - mean[None, :]) * share[:, None]
    shares_ptr += tl.program_id(0).to(tl.int64) * (3 * D)
    tl.store(shares_ptr + c, tl.zeros([WIDE], tl.float32) + count, mask=c < D)
    tl.store(shares_ptr + D + c, mean, mask=c < D)
    tl.store(shares_ptr + 2 * D + c, tl.sum(apart * apart, 0), mask=c < D)


@Kernel
def _join(
    shares_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_variance_ptr: tl.tensor,
    batches_ptr: tl.tensor,
    maps_ptr: tl.tensor,
    moments_ptr: tl.tensor,
    B: tl.tensor,
    momentum: tl.tensor,
    epsilon: tl.tensor,
    BATCH: tl.constexpr,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    wide = c < D
    mean = tl.load(running_mean_ptr + c, mask=wide, other=0.0)
    variance = tl.load(running_variance_ptr + c, mask=wide, other=0.0)
    count = tl.full([COLUMNS], 1.0, tl.float32)
    if BATCH:
        old_mean, old_variance = mean, variance
        mean = tl.zeros([COLUMNS], tl.float32)
        squares = tl.zeros([COLUMNS], tl.float32)
        count = tl.zeros([COLUMNS], tl.float32)
        for b0 in range(0, B, ROWS):
            b = b0 + tl.arange(0, ROWS)
            at = b[:, None] * (3 * D) + c[None, :]
            here = (b < B)[:, None] & wide[None, :]
            more = tl.load(shares_ptr + at, mask=here, other=0.0)
            means = tl.load(shares_ptr + at + D, mask=here, other=0.0)
            number = tl.sum(more, 0)
            own = tl.sum(more * means, 0) / tl.maximum(number, 1.0)
            apart = means - own[None, :]
            inside = tl.sum(tl.load(shares_ptr + at + 2 * D, mask=here, other=0.0) + more * apart * apart, 0)
            joined = tl.maximum(count + number, 1.0)
            squares += inside + (own - mean) * (own - mean) * (count * number / joined)
            mean += (own - mean) * (number / joined)
            count += number
        variance = squares / tl.maximum(count, 1.0)  # more, but in columns that are not there
        tl.store(running_mean_ptr + c, old_mean + momentum * (mean - old_mean), mask=wide)
        unbiased = squares / tl.maximum(count - 1.0, 1.0)
        tl.store(running_variance_ptr + c, old_variance + momentum * (unbiased - old_variance), mask=wide)
        if tl.program_id(0) == 0:
            tl.store(batches_ptr, tl.load(batches_ptr) + 1)
    inverse = 1.0 / tl.sqrt(variance + epsilon)
    scale = tl.load(weight_ptr + c, mask=wide, other=0.0).to(tl.float32) * inverse
    shift = tl.load(bias_ptr + c, mask=wide, other=0.0).to(tl.float32) - mean * scale
    tl.store(maps_ptr + c, scale, mask=wide)
    tl.store(maps_ptr + D + c, shift, mask=wide)
    tl.store(moments_ptr + c, mean, mask=wide)
    tl.store(moments_ptr + D + c, inverse, mask=wide)
    tl.store(moments_ptr + 2 * D + c, count, mask=wide)


@Kernel
def _rows_backward(
    grad_out_ptr: tl.tensor,
    grad_scale_ptr: tl.tensor,
    grad_shift_ptr: tl.tensor,
    z_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    out_ptr: tl.tensor,
    real_ptr: tl.tensor,
    moments_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    above_ptr: tl.tensor,
    grad_z_ptr: tl.tensor,
    shares_ptr: tl.tensor,
    of_norm_ptr: tl.tensor,
    P: tl.tensor,
    BATCH: tl.constexpr,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    p = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, WIDE)
    wide = c < D
    at = p[:, None] * D + c[None, :]
    here = (p < P)[:, None] & wide[None, :]
    mean = tl.load(moments_ptr + c, mask=wide, other=0.0)
    inverse = tl.load(moments_ptr + D + c, mask=wide, other=0.0)
    of_shift = tl.load(grad_shift_ptr + c, mask=wide, other=0.0)
    of_scale = tl.load(grad_scale_ptr + c, mask=wide, other=0.0) - mean * of_shift
    if tl.program_id(0) == 0:
        kind = of_norm_ptr.dtype.element_ty
        tl.store(of_norm_ptr + c, (of_scale * inverse).to(kind), mask=wide)
        tl.store(of_norm_ptr + D + c, of_shift.to(kind), mask=wide)
    grad = tl.load(grad_out_ptr + at, mask=here, other=0.0).to(tl.float32)
    if BATCH:
        new_scale = tl.load(weight_ptr + c, mask=wide, other=0.0).to(tl.float32) * inverse
        number = tl.load(moments_ptr + 2 * D + c, mask=wide, other=1.0)
        level = -new_scale * of_shift / number
        slope = -of_scale * new_scale * inverse * inverse / number
        through = tl.load(out_ptr + at, mask=here, other=0.0).to(tl.float32) - mean[None, :]
        through = level[None, :] + slope[None, :] * through
        if real_ptr is not None:
            through *= tl.load(real_ptr + p, mask=p < P, other=0).to(tl.float32)[:, None]
        grad += tl.where(here, through, 0.0)
    tl.store(above_ptr + at, grad.to(above_ptr.dtype.element_ty), mask=here)
    shares_ptr += tl.program_id(0).to(tl.int64) * (2 * D)
    tl.store(shares_ptr + D + c, tl.sum(grad, 0), mask=wide)
    if scale_ptr is not None:
        z = tl.load(z_ptr + at, mask=here, other=0.0).to(tl.float32)
        tl.store(shares_ptr + c, tl.sum(grad * z, 0), mask=wide)
        grad *= tl.load(scale_ptr + c, mask=wide, other=0.0)[None, :]
    tl.store(grad_z_ptr + at, grad.to(grad_z_ptr.dtype.element_ty), mask=here)
