"""The sums of GINE as Triton kernels, one each way: (1 + epsilon) x_i + sum_j relu(x_j + e_ij).

N nodes, E edges (j -> i), D columns. A program takes one node and up to 128 columns: forward it goes over the edges
that enter the node, backward over those that leave it, of which it writes the gradients, too. Nothing of the size E D
is stored forward; every number is written by one program, in one order: results are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import KINDS, Kernel, has_kernels, power_of_two
from graphpe.models.attention.neighbours.neighbours import Neighbours

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def gine_runs(x: Tensor, edge: Tensor) -> bool:
    """Whether kernels make the sums of these.

    Args:
        x: Rows of nodes.
        edge: Rows of edges.
    """
    return has_kernels(x.device) and x.dtype in KINDS and edge.dtype in KINDS


def gine_sums(x: Tensor, edge: Tensor, epsilon: Tensor, pairs: Neighbours) -> tuple[Tensor, Tensor, Tensor]:
    """(1 + epsilon) x_i + sum_j relu(x_j + e_ij), `[N, D]`, and x and e for whoever reads them after this.

    The gradients of what is passed on are added to others where these are written.

    Args:
        x: Rows of nodes, `[N, D]`; float32 or half precision.
        edge: Rows of edges, `[E, D]`.
        epsilon: A number, `[1]`; no gradient.
        pairs: The edges.
    """
    return _Sums.apply(x, edge, epsilon, pairs)


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edge: Tensor, epsilon: Tensor, pairs: Neighbours) -> tuple[Tensor, ...]:
        given = x, edge
        x, edge = x.contiguous(), edge.contiguous()
        out = torch.empty_like(x, dtype=torch.promote_types(x.dtype, edge.dtype))
        programs, options = _options(x)
        _forward(programs, x, edge, epsilon, pairs.entering.ptr, pairs.entering.other, pairs.order, out, **options)
        ctx.save_for_backward(x, edge, epsilon)
        ctx.pairs = pairs
        ctx.set_materialize_grads(False)
        return out, *given

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor | None, passed_x: Tensor | None, passed_edge: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if grad is None:
            return passed_x, passed_edge, None, None
        x, edge, epsilon = ctx.saved_tensors
        passed = (None if more is None else more.contiguous() for more in (passed_x, passed_edge))
        side, order = ctx.pairs.leaving, ctx.pairs.order
        grad_x, grad_edge = torch.empty_like(x), torch.empty_like(edge)
        programs, options = _options(x)
        arrays = (x, edge, epsilon, side.ptr, side.other, side.place, order)
        _backward(programs, *arrays, grad.contiguous(), *passed, grad_x, grad_edge, **options)
        return grad_x, grad_edge, None, None


def _options(x: Tensor) -> tuple[int, dict[str, Any]]:
    nodes, width = x.shape
    wide = min(128, power_of_two(width))
    parts = -(-width // wide)
    shape = {"D": width, "WIDE": wide, "PARTS": parts, "PAIRS": 4}
    return nodes * parts, {**shape, "warps": 1 if wide <= 64 else 2, "stages": 2}


@Kernel
def _forward(
    x_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    epsilon_ptr: tl.tensor,
    first_ptr: tl.tensor,
    source_ptr: tl.tensor,
    order_ptr: tl.tensor,
    out_ptr: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    i = (tl.program_id(0) // PARTS).to(tl.int64)
    c = tl.program_id(0) % PARTS * WIDE + tl.arange(0, WIDE)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    own = tl.load(x_ptr + i * D + c, mask=c < D, other=0.0).to(tl.float32)
    total = own * (1.0 + tl.load(epsilon_ptr).to(tl.float32))
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(source_ptr + p, mask=p < end, other=0)
        e = tl.load(order_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None] & (c < D)[None, :]
        message = tl.load(x_ptr + j[:, None] * D + c[None, :], mask=there, other=0.0).to(tl.float32)
        message += tl.load(edge_ptr + e[:, None] * D + c[None, :], mask=there, other=0.0).to(tl.float32)
        total += tl.sum(tl.maximum(message, 0.0), 0)
    tl.store(out_ptr + i * D + c, total.to(out_ptr.dtype.element_ty), mask=c < D)


@Kernel
def _backward(
    x_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    epsilon_ptr: tl.tensor,
    first_ptr: tl.tensor,
    target_ptr: tl.tensor,
    place_ptr: tl.tensor,
    order_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    passed_x_ptr: tl.tensor,
    passed_edge_ptr: tl.tensor,
    grad_x_ptr: tl.tensor,
    grad_edge_ptr: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    j = (tl.program_id(0) // PARTS).to(tl.int64)
    c = tl.program_id(0) % PARTS * WIDE + tl.arange(0, WIDE)
    begin, end = tl.load(first_ptr + j), tl.load(first_ptr + j + 1)
    x = tl.load(x_ptr + j * D + c, mask=c < D, other=0.0).to(tl.float32)
    own = tl.load(grad_ptr + j * D + c, mask=c < D, other=0.0).to(tl.float32)
    total = own * (1.0 + tl.load(epsilon_ptr).to(tl.float32))
    if passed_x_ptr is not None:
        total += tl.load(passed_x_ptr + j * D + c, mask=c < D, other=0.0).to(tl.float32)
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        i = tl.load(target_ptr + p, mask=p < end, other=0)
        place = tl.load(place_ptr + p, mask=p < end, other=0)
        e = tl.load(order_ptr + place, mask=p < end, other=0)
        there = (p < end)[:, None] & (c < D)[None, :]
        message = x[None, :] + tl.load(edge_ptr + e[:, None] * D + c[None, :], mask=there, other=0.0).to(tl.float32)
        grad = tl.load(grad_ptr + i[:, None] * D + c[None, :], mask=there, other=0.0).to(tl.float32)
        grad = tl.where(message > 0, grad, 0.0)
        total += tl.sum(grad, 0)
        if passed_edge_ptr is not None:
            grad += tl.load(passed_edge_ptr + e[:, None] * D + c[None, :], mask=there, other=0.0).to(tl.float32)
        tl.store(grad_edge_ptr + e[:, None] * D + c[None, :], grad.to(grad_edge_ptr.dtype.element_ty), mask=there)
    tl.store(grad_x_ptr + j * D + c, total.to(grad_x_ptr.dtype.element_ty), mask=c < D)
