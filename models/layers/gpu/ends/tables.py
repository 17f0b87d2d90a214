"""Sums of rows of an embedding table, one of each column of ids, as Triton kernels, one each way.

N rows of C ids, a table `[V, D]` in which column c has the rows from offset_c on. Forward, a program takes some rows;
backward, it takes one row of the table and goes over the ids of its column, so that every number is written by one
program, in one order: results are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import KINDS, Kernel, has_kernels, power_of_two

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

_MOST = 1 << 24
"""Ids that programs look at backward, each row of the table at all of its column: beyond, sorting is faster."""


def sums_run(ids: Tensor, table: Tensor) -> bool:
    """Whether kernels make the sums of these.

    Args:
        ids: `[N, C]`.
        table: `[V, D]`.
    """
    if not has_kernels(table.device) or table.dtype not in KINDS:
        return False
    return ids.numel() > 0 and ids.shape[0] * table.shape[0] <= _MOST


def table_sums(ids: Tensor, offset: Tensor, table: Tensor) -> Tensor:
    """sum_c table[ids[n, c] + offset_c], `[N, D]`. An id that is no row of the table gives NaN.

    Args:
        ids: int64, `[N, C]`.
        offset: First row of each column, ascending from 0, `[C]`.
        table: `[V, D]`; float32 or half precision.
    """
    return _TableSums.apply(ids, offset, table)


class _TableSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, offset: Tensor, table: Tensor) -> Tensor:
        ids, table, width = ids.contiguous(), table.contiguous(), table.shape[1]
        out = table.new_empty(len(ids), width)
        shape = _shape(ids, table)
        _forward(-(-len(ids) // shape["ROWS"]), ids, offset, table, out, len(ids), len(table), **shape)
        ctx.save_for_backward(ids, offset)
        ctx.rows = len(table)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        ids, offset = ctx.saved_tensors
        of_table = grad.new_empty(ctx.rows, grad.shape[1])
        shape = {**_shape(ids, of_table), "ROWS": 128, "COLUMNS": power_of_two(ids.shape[1])}
        _backward(ctx.rows, ids, offset, grad.contiguous(), of_table, len(ids), **shape)
        return None, None, of_table


def _shape(ids: Tensor, table: Tensor) -> dict[str, Any]:
    width = power_of_two(table.shape[1])
    rows = max(1, min(8, 1024 // width))
    return {"C": ids.shape[1], "D": table.shape[1], "WIDE": width, "ROWS": rows, "warps": 4, "stages": 2}


@Kernel
def _forward(
    ids_ptr: tl.tensor,
    offset_ptr: tl.tensor,
    table_ptr: tl.tensor,
    out_ptr: tl.tensor,
    N: tl.tensor,
    V: tl.tensor,
    C: tl.constexpr,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, WIDE)
    here = (r < N)[:, None] & (d < D)[None, :]
    total = tl.zeros([ROWS, WIDE], tl.float32)
    for c in range(C):
        row = tl.load(ids_ptr + r * C + c, mask=r < N, other=0) + tl.load(offset_ptr + c)
        known = (row >= 0) & (row < V)
        value = tl.load(table_ptr + row[:, None] * D + d[None, :], mask=here & known[:, None], other=float("nan"))
        total += value.to(tl.float32)
    tl.store(out_ptr + r[:, None] * D + d[None, :], total.to(out_ptr.dtype.element_ty), mask=here)


@Kernel
def _backward(
    ids_ptr: tl.tensor,
    offset_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    of_table_ptr: tl.tensor,
    N: tl.tensor,
    C: tl.constexpr,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    v = tl.program_id(0).to(tl.int64)
    d, c = tl.arange(0, WIDE), tl.arange(0, COLUMNS)
    first = tl.load(offset_ptr + c, mask=c < C, other=0)
    column = tl.sum(((first <= v) & (c < C)).to(tl.int32), 0) - 1
    wanted = v - tl.load(offset_ptr + column)
    total = tl.zeros([WIDE], tl.float32)
    for r0 in range(0, N, ROWS):
        r = r0 + tl.arange(0, ROWS)
        hit = (tl.load(ids_ptr + r.to(tl.int64) * C + column, mask=r < N, other=-1) == wanted) & (r < N)
        if tl.sum(hit.to(tl.int32), 0) > 0:
            at = r[:, None].to(tl.int64) * D + d[None, :]
            grad = tl.load(grad_ptr + at, mask=hit[:, None] & (d < D)[None, :], other=0.0)
            total += tl.sum(grad.to(tl.float32), 0)
    tl.store(of_table_ptr + v * D + d, total.to(of_table_ptr.dtype.element_ty), mask=d < D)
