"""The backward pass of a ReLU and of the vector added before it as one Triton kernel, for few rows.

R rows, D columns. A program takes a few columns and goes over all rows: sums are by one program, in one order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel
from graphpe.models.layers.gpu.few_rows import options, programs

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def through_relu(grad: Tensor, out: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """From the gradient of max(s + b, 0), those of s, `[R, D]`, and b, `[D]`.

    Args:
        grad: Gradient of the result, `[R, D]`.
        out: The result, `[R, D]`, contiguous.
        dtype: Of b.
    """
    rows, width = grad.shape
    before, sums = torch.empty_like(out), grad.new_empty(width, dtype=dtype)
    _through(programs(width), grad.contiguous(), out, before, sums, rows, **options(width))
    return before, sums


@Kernel
def _through(
    grad_ptr: tl.tensor,
    out_ptr: tl.tensor,
    before_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    R: tl.tensor,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros([COLUMNS], tl.float32)
    for r0 in range(0, R, ROWS):
        r = r0 + tl.arange(0, ROWS)
        at = r[:, None].to(tl.int64) * D + c[None, :]
        here = (r < R)[:, None] & (c < D)[None, :]
        out = tl.load(out_ptr + at, mask=here, other=0.0).to(tl.float32)
        grad = tl.where(out > 0, tl.load(grad_ptr + at, mask=here, other=0.0).to(tl.float32), 0.0)
        total += tl.sum(grad, 0)
        tl.store(before_ptr + at, grad.to(before_ptr.dtype.element_ty), mask=here)
    tl.store(sums_ptr + c, total.to(sums_ptr.dtype.element_ty), mask=c < D)
