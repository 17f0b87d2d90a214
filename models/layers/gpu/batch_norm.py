"""Batch normalisation of a sum over few rows as Triton kernels, one each way: `graphpe.models.layers.normalization`.

R rows, D columns, n of the rows real. A program takes a few columns and goes over all rows twice, so that nobody waits
for anybody's statistics; what is read again comes from the cache. Forward, with s = a + factor * dropout(b),

    m, v = mean and biased variance of the real rows of s         joined tile by tile (Chan et al. 1983), in float32
    out  = weight (s - m) / sqrt(v + epsilon) + bias + other      alike (`ALIKE`): x^ = 0, v = 1

and the running statistics move. Without b, what is added to `other` is dropout(relu(...)) of the normalised rows, or of
the same without relu. Backward, with x^ = (s - m) / sqrt(v + epsilon) and G = d loss / d (normalised rows),

    d weight = sum G x^,    d bias = sum G,    d other = G
    d s      = weight / sqrt(v + epsilon) (G - (sum G + x^ sum G x^) / n)       for real rows

of which b has what dropout and factor leave. G is d loss / d out, times what relu and dropout leave of it. Rows that
are not real have G = 0. Every number is written by one program, in one order: results are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel, Part
from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.layers.gpu.few_rows import options, programs
from graphpe.models.layers.normalization import ALIKE, RowBatchNorm

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


class Normalized(NamedTuple):
    """What a normalisation makes.

    Attributes:
        out: Its result, `[R, D]`.
        total: The sum s of the rows, `[R, D]`.
        moments: Mean, inverse deviation and whether rows vary (1 or 0), `[3, D]`.
    """

    out: Tensor
    total: Tensor
    moments: Tensor


def normalized_sum(
    norm: RowBatchNorm,
    a: Tensor,
    b: Tensor | None,
    other: Tensor | None,
    real: Tensor | None,
    dropped: Dropped | None = None,
    factor: Tensor | None = None,
    *,
    relu: bool = False,
) -> Normalized:
    """norm(a + factor dropout(b)) + other, or dropout(relu(norm(a))) + other; in training: the running statistics move.

    Args:
        norm: The normalisation, with running statistics.
        a: Rows, `[R, D]`; at least two of the rows are real.
        b: Rows, `[R, D]`; None for none.
        other: Rows that are added after the normalisation, `[R, D]`; None for none.
        real: 1 for real rows, 0 for others, `[R]`; None if all are.
        dropped: What dropout leaves, `[R, D]`, of b or, without b, of the normalised rows; None for all.
        factor: Of each row of b, `[R, 1]`; None for 1.
        relu: Whether normalised rows go through it; without b.
    """
    a, b = a.contiguous(), None if b is None else b.contiguous()
    (rows, width), kind = a.shape, a.dtype if b is None else torch.promote_types(a.dtype, b.dtype)
    total = a if b is None else a.new_empty(a.shape, dtype=kind)
    moments = a.new_empty(3, width, dtype=torch.float32)
    out = torch.empty_like(total, dtype=kind if other is None else torch.promote_types(kind, other.dtype))
    _forward(
        programs(width),
        *(a, b, *masked(dropped), *(None if x is None else x.contiguous() for x in (factor, other)), real),
        *(norm.weight, norm.bias),
        *(norm.running_mean, norm.running_var, norm.num_batches_tracked, total, out, moments),
        *(rows, norm.used_momentum, norm.eps, ALIKE),
        **{"RELU": relu, **options(width)},
    )
    return Normalized(out, total, moments)


def normalized_sum_backward(
    grad: Tensor,
    total: Tensor,
    moments: Tensor,
    weight: Tensor,
    real: Tensor | None,
    dropped: Dropped | None = None,
    passed: Tensor | None = None,
    factor: Tensor | None = None,
    *,
    last: Tensor | None = None,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a and b `[R, D]`, one or two; of weight and bias, `[2, D]`.

    Args:
        grad: That of the result, `[R, D]`.
        total: The sum s of the rows.
        moments: Mean, inverse deviation and whether rows vary.
        weight: The normalisation's weight, `[D]`.
        real: 1 for real rows, 0 for others, `[R]`; None if all are.
        dropped: What dropout left of b; None for all.
        passed: What else goes to a, `[R, D]`; None for nothing.
        factor: Of each row of b, `[R, 1]`; None for 1.
        last: The normalisation's bias, `[D]`, where there was no b; None where there was.
        relu: Whether normalised rows went through it.
    """
    rows, width = total.shape
    alone = last is not None or (dropped is None and passed is None and factor is None)
    of_b = None if alone else torch.empty_like(total)
    grad_total, sums = torch.empty_like(total), weight.new_empty(2, width)
    _backward(
        programs(width),
        *(grad.contiguous(), total, moments, weight, last, real, *masked(dropped)),
        *(None if x is None else x.contiguous() for x in (passed, factor)),
        *(grad_total, of_b, sums, rows),
        **{"RELU": relu, **options(width)},
    )
    return grad_total, grad_total if of_b is None else of_b, sums


def masked(dropped: Dropped | None) -> tuple[Tensor | None, float]:
    """What dropout leaves, as kernels read it: whether each number stays, and what it is multiplied with then.

    Args:
        dropped: The same; None for all.
    """
    return (None, 1.0) if dropped is None else (dropped.keep.view(torch.int8), dropped.scale)


@Part
def sum_of_rows(
    a_ptr: tl.tensor,
    b_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    factor_ptr: tl.tensor,
    at: tl.tensor,
    here: tl.tensor,
    r: tl.tensor,
    R: tl.tensor,
) -> tl.tensor:
    """The rows r of a + factor * dropout(b), or of a where there is no b, in float32; zero where nothing is."""
    s = tl.load(a_ptr + at, mask=here, other=0.0).to(tl.float32)
    if b_ptr is not None:
        b = tl.load(b_ptr + at, mask=here, other=0.0).to(tl.float32)
        if keep_ptr is not None:
            b *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        if factor_ptr is not None:
            b *= tl.load(factor_ptr + r, mask=r < R, other=0.0).to(tl.float32)[:, None]
        s += b
    return s


@Kernel
def _forward(
    a_ptr: tl.tensor,
    b_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    factor_ptr: tl.tensor,
    other_ptr: tl.tensor,
    real_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_variance_ptr: tl.tensor,
    batches_ptr: tl.tensor,
    total_ptr: tl.tensor,
    out_ptr: tl.tensor,
    moments_ptr: tl.tensor,
    R: tl.tensor,
    momentum: tl.tensor,
    epsilon: tl.tensor,
    alike: tl.tensor,
    RELU: tl.constexpr,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    wide = c < D
    count = 0.0
    mean = tl.zeros([COLUMNS], tl.float32)
    squares = tl.zeros([COLUMNS], tl.float32)
    for r0 in range(0, R, ROWS):
        r = r0 + tl.arange(0, ROWS)
        at = r[:, None].to(tl.int64) * D + c[None, :]
        here = (r < R)[:, None] & wide[None, :]
        s = sum_of_rows(a_ptr, b_ptr, keep_ptr, kept, factor_ptr, at, here, r, R)
        if b_ptr is not None:
            tl.store(total_ptr + at, s.to(total_ptr.dtype.element_ty), mask=here)
        share = (r < R).to(tl.float32)
        if real_ptr is not None:
            share = tl.load(real_ptr + r, mask=r < R, other=0).to(tl.float32)
        more = tl.sum(share, 0)
        own = tl.sum(s * share[:, None], 0) / tl.maximum(more, 1.0)
        apart = (s - own[None, :]) * share[:, None]
        joined = tl.maximum(count + more, 1.0)
        squares += tl.sum(apart * apart, 0) + (own - mean) * (own - mean) * (count * more / joined)
        mean += (own - mean) * (more / joined)
        count += more
    variance = squares / count
    level = tl.sum(tl.where(wide, variance + mean * mean, 0.0), 0) / COLUMNS
    varies = (variance > alike * alike * tl.maximum(level, 1.0)).to(tl.float32)
    inverse = 1.0 / tl.sqrt(tl.where(varies > 0, variance, 1.0) + epsilon)
    tl.store(moments_ptr + c, mean, mask=wide)
    tl.store(moments_ptr + D + c, inverse, mask=wide)
    tl.store(moments_ptr + 2 * D + c, varies, mask=wide)
    before = tl.load(running_mean_ptr + c, mask=wide, other=0.0)
    tl.store(running_mean_ptr + c, before + momentum * (mean - before), mask=wide)
    before = tl.load(running_variance_ptr + c, mask=wide, other=0.0)
    tl.store(running_variance_ptr + c, before + momentum * (squares / (count - 1.0) - before), mask=wide)
    if tl.program_id(0) == 0:
        tl.store(batches_ptr, tl.load(batches_ptr) + 1)
    scale = tl.load(weight_ptr + c, mask=wide, other=0.0).to(tl.float32) * inverse
    shift = tl.load(bias_ptr + c, mask=wide, other=0.0).to(tl.float32)
    for r0 in range(0, R, ROWS):
        r = r0 + tl.arange(0, ROWS)
        at = r[:, None].to(tl.int64) * D + c[None, :]
        here = (r < R)[:, None] & wide[None, :]
        s = sum_of_rows(a_ptr, b_ptr, keep_ptr, kept, factor_ptr, at, here, r, R)
        out = (s - mean[None, :]) * (scale * varies)[None, :] + shift[None, :]
        if RELU:
            out = tl.maximum(out, 0.0)
        if b_ptr is None and keep_ptr is not None:
            out *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        if other_ptr is not None:
            out += tl.load(other_ptr + at, mask=here, other=0.0).to(tl.float32)
        tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=here)


@Kernel
def _backward(
    grad_ptr: tl.tensor,
    total_ptr: tl.tensor,
    moments_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    last_ptr: tl.tensor,
    real_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    passed_ptr: tl.tensor,
    factor_ptr: tl.tensor,
    grad_total_ptr: tl.tensor,
    of_b_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    R: tl.tensor,
    RELU: tl.constexpr,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    wide = c < D
    mean = tl.load(moments_ptr + c, mask=wide, other=0.0)
    inverse = tl.load(moments_ptr + D + c, mask=wide, other=0.0)
    varies = tl.load(moments_ptr + 2 * D + c, mask=wide, other=0.0)
    scale = tl.load(weight_ptr + c, mask=wide, other=0.0).to(tl.float32) * inverse
    last = mean  # of nobody's use where there is no ReLU
    if RELU:
        last = tl.load(last_ptr + c, mask=wide, other=0.0).to(tl.float32)
    count = 0.0
    of_bias = tl.zeros([COLUMNS], tl.float32)
    of_weight = tl.zeros([COLUMNS], tl.float32)
    for r0 in range(0, R, ROWS):
        r = r0 + tl.arange(0, ROWS)
        at = r[:, None].to(tl.int64) * D + c[None, :]
        here = (r < R)[:, None] & wide[None, :]
        g = tl.load(grad_ptr + at, mask=here, other=0.0).to(tl.float32)
        x = (tl.load(total_ptr + at, mask=here, other=0.0).to(tl.float32) - mean[None, :]) * varies[None, :]
        if RELU:
            g = tl.where(x * scale[None, :] + last[None, :] > 0, g, 0.0)
        if last_ptr is not None and keep_ptr is not None:
            g *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        of_bias += tl.sum(g, 0)
        of_weight += tl.sum(g * x, 0)
        share = (r < R).to(tl.float32)
        if real_ptr is not None:
            share = tl.load(real_ptr + r, mask=r < R, other=0).to(tl.float32)
        count += tl.sum(share, 0)
    of_weight *= inverse
    kind = sums_ptr.dtype.element_ty
    tl.store(sums_ptr + c, of_weight.to(kind), mask=wide)
    tl.store(sums_ptr + D + c, of_bias.to(kind), mask=wide)
    for r0 in range(0, R, ROWS):
        r = r0 + tl.arange(0, ROWS)
        at = r[:, None].to(tl.int64) * D + c[None, :]
        here = (r < R)[:, None] & wide[None, :]
        g = tl.load(grad_ptr + at, mask=here, other=0.0).to(tl.float32)
        x = (tl.load(total_ptr + at, mask=here, other=0.0).to(tl.float32) - mean[None, :]) * varies[None, :]
        if RELU:
            g = tl.where(x * scale[None, :] + last[None, :] > 0, g, 0.0)
        if last_ptr is not None and keep_ptr is not None:
            g *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        x *= inverse[None, :]
        share = (r < R).to(tl.float32)
        if real_ptr is not None:
            share = tl.load(real_ptr + r, mask=r < R, other=0).to(tl.float32)
        g -= (share / count)[:, None] * (of_bias[None, :] + x * of_weight[None, :])
        g = tl.where(here, g * scale[None, :], 0.0)
        of_a = g
        if passed_ptr is not None:
            of_a += tl.load(passed_ptr + at, mask=here, other=0.0).to(tl.float32)
        tl.store(grad_total_ptr + at, of_a.to(grad_total_ptr.dtype.element_ty), mask=here)
        if last_ptr is None and keep_ptr is not None:
            g *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        if factor_ptr is not None:
            g *= tl.load(factor_ptr + r, mask=r < R, other=0.0).to(tl.float32)[:, None]
        if of_b_ptr is not None:
            tl.store(of_b_ptr + at, g.to(of_b_ptr.dtype.element_ty), mask=here)
