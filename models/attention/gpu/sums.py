"""Sums of rows by groups as a Triton kernel: each sum by one program, in one order, where `index_add` adds atomically.

N groups, R rows, W columns. A program takes one group and up to 256 columns and goes over the group's rows. Sums are
float32, whatever the rows are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel, power_of_two

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

_COLUMNS = 256  # of a program


def sums_by_group(rows: Tensor, order: Tensor | None, ptr: Tensor, dtype: torch.dtype) -> Tensor:
    """The sum of each group's rows, `[N, W]`; zero for one without rows. Without a gradient.

    Args:
        rows: `[R, W]`; columns are neighbours in memory, rows need not be.
        order: Numbers of the rows, group by group; None where rows stand in this order.
        ptr: Where each group begins in `order` and, last, its length, `[N + 1]`.
        dtype: Of the result.
    """
    groups, width = ptr.numel() - 1, rows.shape[1]
    rows = rows if rows.stride(1) == 1 else rows.contiguous()
    out = rows.new_empty(groups, width, dtype=dtype)
    wide = min(_COLUMNS, power_of_two(width))
    parts = -(-width // wide)
    _sums(
        groups * parts,
        *(rows, order, ptr, out, rows.stride(0)),
        **{"W": width, "WIDE": wide, "PARTS": parts, "ROWS": max(4, 512 // wide), "warps": 2, "stages": 2},
    )
    return out


@Kernel
def _sums(
    rows_ptr: tl.tensor,
    order_ptr: tl.tensor,
    first_ptr: tl.tensor,
    out_ptr: tl.tensor,
    stride: tl.tensor,
    W: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    i = (tl.program_id(0) // PARTS).to(tl.int64)
    c = tl.program_id(0) % PARTS * WIDE + tl.arange(0, WIDE)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    total = tl.zeros([WIDE], tl.float32)
    for r0 in range(begin, end, ROWS):
        r = r0 + tl.arange(0, ROWS)
        if order_ptr is not None:
            row = tl.load(order_ptr + r, mask=r < end, other=0)
        else:
            row = r
        there = (r < end)[:, None] & (c < W)[None, :]
        total += tl.sum(tl.load(rows_ptr + row[:, None] * stride + c[None, :], mask=there, other=0.0).to(tl.float32), 0)
    tl.store(out_ptr + i * W + c, total.to(out_ptr.dtype.element_ty), mask=c < W)
