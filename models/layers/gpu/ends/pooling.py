"""Sums and means of the nodes of each graph as Triton kernels, one each way.

N nodes in the order of their graphs, B graphs, D columns. Forward, a program takes a graph and up to 128 columns and
goes over its nodes; backward, it takes some nodes. Sums are float32, each by one program, in one order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import KINDS, Kernel, has_kernels, power_of_two

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def pooling_runs(x: Tensor) -> bool:
    """Whether kernels pool these rows.

    Args:
        x: `[N, D]`.
    """
    return has_kernels(x.device) and x.dtype in KINDS and x.numel() > 0


def pooled(x: Tensor, ptr: Tensor, graph: Tensor, *, mean: bool) -> Tensor:
    """The sum or the mean of each graph's rows, `[B, D]`, in float32; zero for a graph without nodes.

    Args:
        x: `[N, D]`; float32 or half precision.
        ptr: First row of each graph and, last, N: `[B + 1]`.
        graph: Graph of each row, `[N]`.
        mean: Whether to divide by the number of rows.
    """
    return _Pooled.apply(x, ptr, graph, mean)


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ptr: Tensor, graph: Tensor, mean: bool) -> Tensor:
        x, graph, (graphs, width) = x.contiguous(), graph.contiguous(), (len(ptr) - 1, x.shape[1])
        out = x.new_empty(graphs, width, dtype=torch.float32)
        wide = min(128, power_of_two(width))
        parts = -(-width // wide)
        shape = {"D": width, "WIDE": wide, "PARTS": parts, "ROWS": max(4, 512 // wide), "MEAN": mean}
        _forward(graphs * parts, x, ptr, out, **shape, warps=4, stages=2)
        ctx.save_for_backward(ptr, graph)
        ctx.mean, ctx.kind = mean, x.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        ptr, graph = ctx.saved_tensors
        rows, width = len(graph), grad.shape[1]
        of_x = grad.new_empty(rows, width, dtype=ctx.kind)
        wide = power_of_two(width)
        at_once = max(1, min(16, 1024 // wide))
        shape = {"D": width, "WIDE": wide, "ROWS": at_once, "MEAN": ctx.mean}
        _backward(-(-rows // at_once), grad.contiguous(), ptr, graph, of_x, rows, **shape, warps=4, stages=1)
        return of_x, None, None, None


@Kernel
def _forward(
    x_ptr: tl.tensor,
    first_ptr: tl.tensor,
    out_ptr: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    ROWS: tl.constexpr,
    MEAN: tl.constexpr,
) -> None:
    g = (tl.program_id(0) // PARTS).to(tl.int64)
    c = tl.program_id(0) % PARTS * WIDE + tl.arange(0, WIDE)
    begin, end = tl.load(first_ptr + g), tl.load(first_ptr + g + 1)
    total = tl.zeros([WIDE], tl.float32)
    for r0 in range(begin, end, ROWS):
        r = r0 + tl.arange(0, ROWS)
        there = (r < end)[:, None] & (c < D)[None, :]
        total += tl.sum(tl.load(x_ptr + r[:, None] * D + c[None, :], mask=there, other=0.0).to(tl.float32), 0)
    if MEAN:
        total /= tl.maximum(end - begin, 1).to(tl.float32)
    tl.store(out_ptr + g * D + c, total, mask=c < D)


@Kernel
def _backward(
    grad_ptr: tl.tensor,
    first_ptr: tl.tensor,
    graph_ptr: tl.tensor,
    of_x_ptr: tl.tensor,
    N: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    MEAN: tl.constexpr,
) -> None:
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, WIDE)
    g = tl.load(graph_ptr + r, mask=r < N, other=0)
    here = (r < N)[:, None] & (c < D)[None, :]
    grad = tl.load(grad_ptr + g[:, None] * D + c[None, :], mask=here, other=0.0).to(tl.float32)
    if MEAN:
        size = tl.load(first_ptr + g + 1, mask=r < N, other=1) - tl.load(first_ptr + g, mask=r < N, other=0)
        grad /= tl.maximum(size, 1).to(tl.float32)[:, None]
    tl.store(of_x_ptr + r[:, None] * D + c[None, :], grad.to(of_x_ptr.dtype.element_ty), mask=here)
