"""Layer normalisation of a sum over few rows as Triton kernels, one each way.

R rows, D columns. With s = a + factor * dropout(b) and x^ = (s - m) / sqrt(v + epsilon), m and v mean and biased
variance of each row of s,

    out = weight x^ + bias + other

Backward, with G = d loss / d out, g = weight G, and T what else goes to s,

    d s      = (g - mean(g) - x^ mean(g x^)) / sqrt(v + epsilon) + T
    d weight = sum over rows of G x^,      d bias = sum over rows of G

A program takes some rows; backward, others beside these take a few columns and go over all rows. Every number is
written by one program, in one order: results are the same every time. All is computed in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.layers.gpu.batch_norm import Normalized, masked, sum_of_rows
from graphpe.models.layers.gpu.few_rows import COLUMNS, programs
from graphpe.models.layers.normalization import RowLayerNorm

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

MOST_COLUMNS = 1024
"""That a program holds."""


def layer_normalized(
    norm: RowLayerNorm,
    a: Tensor,
    b: Tensor | None = None,
    other: Tensor | None = None,
    dropped: Dropped | None = None,
    factor: Tensor | None = None,
) -> Normalized:
    """norm(a + factor dropout(b)) + other, the sum s, and mean and inverse deviation of each row, `[2, R]`.

    Args:
        norm: The normalisation.
        a: Rows, `[R, D]`.
        b: Rows, `[R, D]`; None for none: s is a.
        other: Rows that are added after the normalisation, `[R, D]`; None for none.
        dropped: What dropout leaves of b, `[R, D]`; None for all.
        factor: Of each row of b, `[R, 1]`; None for 1.
    """
    a, (rows, width) = a.contiguous(), a.shape
    kind = a.dtype if b is None else torch.promote_types(a.dtype, b.dtype)
    total = a if b is None else a.new_empty(a.shape, dtype=kind)
    moments = a.new_empty(2, rows, dtype=torch.float32)
    out = torch.empty_like(a, dtype=kind if other is None else torch.promote_types(kind, other.dtype))
    at_once, shape = _shape(width)
    given = (None if x is None else x.contiguous() for x in (b, other, factor))
    _forward(
        -(-rows // at_once),
        *(a, *given, *masked(dropped), norm.weight, norm.bias, total, out, moments, rows, norm.eps),
        **shape,
    )
    return Normalized(out, total, moments)


def layer_normalized_backward(
    grad: Tensor,
    total: Tensor,
    moments: Tensor,
    weight: Tensor,
    *,
    more: Tensor | None = None,
    passed: Tensor | None = None,
    dropped: Dropped | None = None,
    factor: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a and b `[R, D]`, one or two; of weight and bias, `[2, D]`.

    Args:
        grad: That of the result, `[R, D]`.
        total: The sum s of the rows.
        moments: Mean and inverse deviation.
        weight: The normalisation's weight, `[D]`.
        more: What else goes to s, `[R, D]`; None for nothing.
        passed: What else goes to a, `[R, D]`; None for nothing.
        dropped: What dropout left of b; None for all.
        factor: Of each row of b, `[R, 1]`; None for 1.
    """
    rows, width = total.shape
    two = dropped is not None or passed is not None or factor is not None
    of_a, of_b = torch.empty_like(total), torch.empty_like(total) if two else None
    sums = weight.new_empty(2, width)
    at_once, shape = _shape(width)
    blocks = -(-rows // at_once)
    given = (None if x is None else x.contiguous() for x in (grad, total, moments, weight, more, passed, factor))
    _backward(
        blocks + programs(width),
        *(*given, *masked(dropped), of_a, of_b, sums, rows, blocks),
        **{**shape, "COLUMNS": COLUMNS, "SPAN": 128},
    )
    return of_a, of_a if of_b is None else of_b, sums


def _shape(width: int) -> tuple[int, dict[str, int]]:
    wide = power_of_two(width)
    rows = max(1, min(16, 1024 // wide))
    return rows, {"D": width, "WIDE": wide, "ROWS": rows, "warps": 4, "stages": 1}


@Kernel
def _forward(
    a_ptr: tl.tensor,
    b_ptr: tl.tensor,
    other_ptr: tl.tensor,
    factor_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    total_ptr: tl.tensor,
    out_ptr: tl.tensor,
    moments_ptr: tl.tensor,
    R: tl.tensor,
    epsilon: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    r, c = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDE)
    at = r[:, None].to(tl.int64) * D + c[None, :]
    here = (r < R)[:, None] & (c < D)[None, :]
    s = sum_of_rows(a_ptr, b_ptr, keep_ptr, kept, factor_ptr, at, here, r, R)
    if b_ptr is not None:
        stored = s.to(total_ptr.dtype.element_ty)
        tl.store(total_ptr + at, stored, mask=here)
        s = stored.to(tl.float32)  # what the backward pass finds
    mean = tl.sum(s, 1) / D
    apart = tl.where(here, s - mean[:, None], 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(apart * apart, 1) / D + epsilon)
    tl.store(moments_ptr + r, mean, mask=r < R)
    tl.store(moments_ptr + R + r, inverse, mask=r < R)
    out = apart * inverse[:, None] * tl.load(weight_ptr + c, mask=c < D, other=0.0).to(tl.float32)[None, :]
    out += tl.load(bias_ptr + c, mask=c < D, other=0.0).to(tl.float32)[None, :]
    if other_ptr is not None:
        out += tl.load(other_ptr + at, mask=here, other=0.0).to(tl.float32)
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=here)


@Kernel
def _backward(
    grad_ptr: tl.tensor,
    total_ptr: tl.tensor,
    moments_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    more_ptr: tl.tensor,
    passed_ptr: tl.tensor,
    factor_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    of_a_ptr: tl.tensor,
    of_b_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    R: tl.tensor,
    blocks: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SPAN: tl.constexpr,
) -> None:
    block = tl.program_id(0)
    if block >= blocks:
        column = (block - blocks) * COLUMNS + tl.arange(0, COLUMNS)
        of_weight = tl.zeros([COLUMNS], tl.float32)
        of_bias = tl.zeros([COLUMNS], tl.float32)
        for r0 in range(0, R, SPAN):
            row = r0 + tl.arange(0, SPAN)
            place = row[:, None].to(tl.int64) * D + column[None, :]
            there = (row < R)[:, None] & (column < D)[None, :]
            grads = tl.load(grad_ptr + place, mask=there, other=0.0).to(tl.float32)
            x = tl.load(total_ptr + place, mask=there, other=0.0).to(tl.float32)
            x -= tl.load(moments_ptr + row, mask=row < R, other=0.0)[:, None]
            x *= tl.load(moments_ptr + R + row, mask=row < R, other=0.0)[:, None]
            of_weight += tl.sum(grads * x, 0)
            of_bias += tl.sum(grads, 0)
        tl.store(sums_ptr + column, of_weight.to(sums_ptr.dtype.element_ty), mask=column < D)
        tl.store(sums_ptr + D + column, of_bias.to(sums_ptr.dtype.element_ty), mask=column < D)
        return
    r, c = block * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDE)
    at = r[:, None].to(tl.int64) * D + c[None, :]
    here = (r < R)[:, None] & (c < D)[None, :]
    mean = tl.load(moments_ptr + r, mask=r < R, other=0.0)
    inverse = tl.load(moments_ptr + R + r, mask=r < R, other=0.0)
    grad = tl.load(grad_ptr + at, mask=here, other=0.0).to(tl.float32)
    grad *= tl.load(weight_ptr + c, mask=c < D, other=0.0).to(tl.float32)[None, :]
    x = (tl.load(total_ptr + at, mask=here, other=0.0).to(tl.float32) - mean[:, None]) * inverse[:, None]
    through = tl.sum(grad, 1)[:, None] + x * tl.sum(tl.where(here, grad * x, 0.0), 1)[:, None]
    grad = (grad - through / D) * inverse[:, None]
    if more_ptr is not None:
        grad += tl.load(more_ptr + at, mask=here, other=0.0).to(tl.float32)
    of_a = grad
    if passed_ptr is not None:
        of_a = grad + tl.load(passed_ptr + at, mask=here, other=0.0).to(tl.float32)
    tl.store(of_a_ptr + at, of_a.to(of_a_ptr.dtype.element_ty), mask=here)
    if of_b_ptr is not None:
        if keep_ptr is not None:
            grad *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        if factor_ptr is not None:
            grad *= tl.load(factor_ptr + r, mask=r < R, other=0.0).to(tl.float32)[:, None]
        tl.store(of_b_ptr + at, grad.to(of_b_ptr.dtype.element_ty), mask=here)
