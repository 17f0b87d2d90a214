"""What GRIT makes of the sums of attention, as Triton kernels: (m_i + R n_i) * (theta_1 + theta_2 log(1 + d_i)).

N nodes, H heads of C channels, D = H C. R is a matrix for each head. Forward, a program takes a head and some nodes;
backward, a head and all nodes, so that the gradients of R and theta are sums of one program, in one order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, power_of_two

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

MOST_CHANNELS = 32
"""Of a head: a block of nodes has C^2 numbers each."""


def degree_scaled(message: Tensor, edge_message: Tensor, maps: Tensor, theta: Tensor, log_degree: Tensor) -> Tensor:
    """(m_i + R n_i) * (theta_1 + theta_2 log(1 + d_i)), `[N, D]`.

    Args:
        message: m, `[N, D]`; float32 or half precision.
        edge_message: n, `[N, D]`.
        maps: R of each head, `[H, C, C]` (in, out), C at most `MOST_CHANNELS`.
        theta: `[2, D]`.
        log_degree: log(1 + d), `[N, 1]`; no gradient.
    """
    return _DegreeScaled.apply(message, edge_message, maps, theta, log_degree)


class _DegreeScaled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, message: Tensor, edge_message: Tensor, maps: Tensor, theta: Tensor, log_degree: Tensor
    ) -> Tensor:
        message, edge_message, maps, theta = (x.contiguous() for x in (message, edge_message, maps, theta))
        out, shape = torch.empty_like(message), _shape(maps)
        parts = -(-message.shape[0] // shape["NODES"])
        given = (message, edge_message, maps, theta, log_degree)
        _forward(parts * maps.shape[0], *given, out, message.shape[0], **shape)
        ctx.save_for_backward(*given)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.saved_tensors
        of = tuple(torch.empty_like(x) for x in given[:4])
        _backward(given[2].shape[0], *given, grad.contiguous(), *of, grad.shape[0], **_shape(given[2]))
        return *of, None


def _shape(maps: Tensor) -> dict[str, Any]:
    heads, channels = maps.shape[:2]
    wide = power_of_two(channels)
    return {"H": heads, "C": channels, "WIDE": wide, "NODES": max(1, min(64, 4096 // wide**2)), "warps": 4, "stages": 1}


@Kernel
def _forward(
    message_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    maps_ptr: tl.tensor,
    theta_ptr: tl.tensor,
    degree_ptr: tl.tensor,
    out_ptr: tl.tensor,
    N: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    WIDE: tl.constexpr,
    NODES: tl.constexpr,
) -> None:
    h = tl.program_id(0) % H
    i = (tl.program_id(0) // H).to(tl.int64) * NODES + tl.arange(0, NODES)
    c = tl.arange(0, WIDE)
    real = c < C
    here = (i < N)[:, None] & real[None, :]
    at = i[:, None] * (H * C) + h * C + c[None, :]
    maps = tl.load(
        maps_ptr + h * C * C + c[:, None] * C + c[None, :], mask=real[:, None] & real[None, :], other=0.0
    ).to(tl.float32)
    n = tl.load(edge_ptr + at, mask=here, other=0.0).to(tl.float32)
    out = tl.load(message_ptr + at, mask=here, other=0.0).to(tl.float32)
    out += tl.sum(n[:, :, None] * maps[None, :, :], 1)
    plain = tl.load(theta_ptr + h * C + c, mask=real, other=0.0).to(tl.float32)
    by_degree = tl.load(theta_ptr + H * C + h * C + c, mask=real, other=0.0).to(tl.float32)
    degree = tl.load(degree_ptr + i, mask=i < N, other=0.0).to(tl.float32)
    out *= plain[None, :] + by_degree[None, :] * degree[:, None]
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=here)


@Kernel
def _backward(
    message_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    maps_ptr: tl.tensor,
    theta_ptr: tl.tensor,
    degree_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    of_message_ptr: tl.tensor,
    of_edge_ptr: tl.tensor,
    of_maps_ptr: tl.tensor,
    of_theta_ptr: tl.tensor,
    N: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    WIDE: tl.constexpr,
    NODES: tl.constexpr,
) -> None:
    h = tl.program_id(0)
    c = tl.arange(0, WIDE)
    real = c < C
    square = real[:, None] & real[None, :]
    place = h * C * C + c[:, None] * C + c[None, :]
    maps = tl.load(maps_ptr + place, mask=square, other=0.0).to(tl.float32)
    plain = tl.load(theta_ptr + h * C + c, mask=real, other=0.0).to(tl.float32)
    by_degree = tl.load(theta_ptr + H * C + h * C + c, mask=real, other=0.0).to(tl.float32)
    of_maps = tl.zeros([WIDE, WIDE], tl.float32)
    of_plain = tl.zeros([WIDE], tl.float32)
    of_degree = tl.zeros([WIDE], tl.float32)
    for i0 in range(0, N, NODES):
        i = i0 + tl.arange(0, NODES)
        here = (i < N)[:, None] & real[None, :]
        at = i[:, None].to(tl.int64) * (H * C) + h * C + c[None, :]
        n = tl.load(edge_ptr + at, mask=here, other=0.0).to(tl.float32)
        message = tl.load(message_ptr + at, mask=here, other=0.0).to(tl.float32)
        message += tl.sum(n[:, :, None] * maps[None, :, :], 1)
        grad = tl.load(grad_ptr + at, mask=here, other=0.0).to(tl.float32)
        degree = tl.load(degree_ptr + i, mask=i < N, other=0.0).to(tl.float32)
        of_plain += tl.sum(grad * message, 0)
        of_degree += tl.sum(grad * message * degree[:, None], 0)
        grad *= plain[None, :] + by_degree[None, :] * degree[:, None]
        tl.store(of_message_ptr + at, grad.to(of_message_ptr.dtype.element_ty), mask=here)
        of_edge = tl.sum(grad[:, None, :] * maps[None, :, :], 2)
        tl.store(of_edge_ptr + at, of_edge.to(of_edge_ptr.dtype.element_ty), mask=here)
        of_maps += tl.sum(n[:, :, None] * grad[:, None, :], 0)
    kind = of_theta_ptr.dtype.element_ty
    tl.store(of_theta_ptr + h * C + c, of_plain.to(kind), mask=real)
    tl.store(of_theta_ptr + H * C + h * C + c, of_degree.to(kind), mask=real)
    tl.store(of_maps_ptr + place, of_maps.to(of_maps_ptr.dtype.element_ty), mask=square)
