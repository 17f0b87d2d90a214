"""The map of normalised pairs as one of what they were normalised from, as Triton kernels.

    W (scale * z + shift) + b = W' z + b',      W' = W * scale (column by column),   b' = b + W shift

D columns, R rows of W. Forward a program takes a few rows, backward a few columns and all rows: nobody waits for sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.layers.gpu.few_rows import options, programs

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


class Map(NamedTuple):
    """W (scale * z + shift) + b.

    Attributes:
        weight: W, `[R, D]`.
        bias: b, `[R]`.
        scale: `[D]`, float32; None for 1.
        shift: `[D]`, float32; None for 0, where `scale` is None.
    """

    weight: Tensor
    bias: Tensor
    scale: Tensor | None
    shift: Tensor | None


def folded(map: Map, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """W' `[R, D]`, and b' `[R]` in float32.

    Args:
        map: The map.
        dtype: Of W'.
    """
    if map.scale is None:
        return map.weight.to(dtype), map.bias.float()
    rows, width = map.weight.shape
    weight = map.weight.new_empty(rows, width, dtype=dtype)
    bias = map.weight.new_empty(rows, dtype=torch.float32)
    wide = power_of_two(width)
    at_once = max(1, 512 // wide)
    shape = {"D": width, "WIDE": wide, "ROWS": at_once}
    _fold(
        -(-rows // at_once),
        *(map.weight.contiguous(), map.bias, map.scale, map.shift, weight, bias, rows),
        **{**shape, "warps": 2, "stages": 1},
    )
    return weight, bias


def unfolded(
    map: Map, grad_weight: Tensor, grad_bias: Tensor, grad_scale: Tensor | None, grad_shift: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of W, scale and shift; that of b is that of b'.

    Args:
        map: The map.
        grad_weight: Gradient of W', `[R, D]`.
        grad_bias: Gradient of b', `[R]`, float32.
        grad_scale: What else goes to the scale, `[D]`, float32; None for nothing.
        grad_shift: What else goes to the shift.
    """
    if map.scale is None:
        return grad_weight.to(map.weight.dtype), None, None
    rows, width = map.weight.shape
    of_weight, of_both = torch.empty_like(map.weight), map.scale.new_empty(2, width)
    _unfold(
        programs(width),
        *(map.weight.contiguous(), map.scale, map.shift, grad_weight, grad_bias, grad_scale, grad_shift),
        *(of_weight, of_both, rows),
        **options(width),
    )
    return of_weight, of_both[0], of_both[1]


@Kernel
def _fold(
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    shift_ptr: tl.tensor,
    new_weight_ptr: tl.tensor,
    new_bias_ptr: tl.tensor,
    R: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, WIDE)
    at = r[:, None] * D + c[None, :]
    here = (r < R)[:, None] & (c < D)[None, :]
    weight = tl.load(weight_ptr + at, mask=here, other=0.0).to(tl.float32)
    scale = tl.load(scale_ptr + c, mask=c < D, other=0.0)
    shift = tl.load(shift_ptr + c, mask=c < D, other=0.0)
    tl.store(new_weight_ptr + at, (weight * scale[None, :]).to(new_weight_ptr.dtype.element_ty), mask=here)
    bias = tl.load(bias_ptr + r, mask=r < R, other=0.0).to(tl.float32)
    tl.store(new_bias_ptr + r, bias + tl.sum(weight * shift[None, :], 1), mask=r < R)


@Kernel
def _unfold(
    weight_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    shift_ptr: tl.tensor,
    grad_weight_ptr: tl.tensor,
    grad_bias_ptr: tl.tensor,
    grad_scale_ptr: tl.tensor,
    grad_shift_ptr: tl.tensor,
    of_weight_ptr: tl.tensor,
    of_both_ptr: tl.tensor,
    R: tl.tensor,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    wide = c < D
    scale = tl.load(scale_ptr + c, mask=wide, other=0.0)
    shift = tl.load(shift_ptr + c, mask=wide, other=0.0)
    of_scale = tl.zeros([COLUMNS], tl.float32)
    of_shift = tl.zeros([COLUMNS], tl.float32)
    if grad_scale_ptr is not None:
        of_scale += tl.load(grad_scale_ptr + c, mask=wide, other=0.0)
        of_shift += tl.load(grad_shift_ptr + c, mask=wide, other=0.0)
    for r0 in range(0, R, ROWS):
        r = r0 + tl.arange(0, ROWS)
        at = r[:, None] * D + c[None, :]
        here = (r < R)[:, None] & wide[None, :]
        weight = tl.load(weight_ptr + at, mask=here, other=0.0).to(tl.float32)
        grad = tl.load(grad_weight_ptr + at, mask=here, other=0.0).to(tl.float32)
        of_bias = tl.load(grad_bias_ptr + r, mask=r < R, other=0.0)
        of_scale += tl.sum(grad * weight, 0)
        of_shift += tl.sum(of_bias[:, None] * weight, 0)
        grad = grad * scale[None, :] + of_bias[:, None] * shift[None, :]
        tl.store(of_weight_ptr + at, grad.to(of_weight_ptr.dtype.element_ty), mask=here)
    tl.store(of_both_ptr + c, of_scale, mask=wide)
    tl.store(of_both_ptr + D + c, of_shift, mask=wide)
