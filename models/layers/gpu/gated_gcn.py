"""Gates and sums of GatedGCN as Triton kernels, one each way.

N nodes, E edges (j -> i), D columns; A, B, D and E of `GatedGCNLayer` are rows of the nodes, C e_ij rows of the edges:

    g_ij  = C_ij + D_i + E_j
    s_i   = sum_j sigmoid(g_ij) + 1e-6,    q_i = sum_j sigmoid(g_ij) B_j / s_i,    out_i = A_i + q_i

Forward, a program takes one node and goes over the edges that enter it. Backward, with G = d loss / d out, and T what
else goes to g,

    d g_ij = G_i / s_i (B_j - q_i) sigmoid'(g_ij) + T_ij
    d A_i  = G_i,   d D_i = sum_j d g_ij,   d B_j = sum_i sigmoid(g_ij) G_i / s_i,   d E_j = sum_i d g_ij

programs of targets write d g, d A and d D, and programs of sources d B and d E, which make d g again. Every number is
written by one program, in one order: results are the same every time. Sums are float32.
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


def gates_run(x: Tensor, edge: Tensor) -> bool:
    """Whether kernels make the gates of these.

    Args:
        x: Rows of nodes.
        edge: Rows of edges.
    """
    return has_kernels(x.device) and x.dtype in KINDS and edge.dtype in KINDS and x.numel() > 0


def gated_sums(maps: Tensor, edge: Tensor, pairs: Neighbours) -> tuple[Tensor, Tensor]:
    """A_i + q_i, `[N, D]`, in float32, and g, `[E, D]`.

    Args:
        maps: A, B, D and E side by side, `[N, 4 D]`; float32 or half precision.
        edge: C, `[E, D]`.
        pairs: The edges.
    """
    return _GatedSums.apply(maps, edge, pairs)


class _GatedSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, edge: Tensor, pairs: Neighbours) -> tuple[Tensor, Tensor]:
        maps, edge = maps.contiguous(), edge.contiguous()
        nodes, width = maps.shape[0], edge.shape[1]
        logit, out = torch.empty_like(edge), maps.new_empty(nodes, width, dtype=torch.float32)
        state = maps.new_empty(2, nodes, width, dtype=torch.float32)  # s and q
        programs, options = _options(nodes, width)
        entering = pairs.entering
        _forward(programs, maps, edge, entering.ptr, entering.other, pairs.order, logit, out, state, nodes, **options)
        ctx.save_for_backward(maps, logit, state)
        ctx.pairs = pairs
        ctx.set_materialize_grads(False)
        return out, logit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, more: Tensor | None) -> tuple[Tensor | None, ...]:
        maps, logit, state = ctx.saved_tensors
        nodes, width = state.shape[1:]
        grad = maps.new_zeros(nodes, width) if grad is None else grad.contiguous()
        entering, leaving, order = ctx.pairs.entering, ctx.pairs.leaving, ctx.pairs.order
        of_maps, of_edge = torch.empty_like(maps), torch.empty_like(logit)
        programs, options = _options(nodes, width)
        _backward(
            2 * programs,
            *(maps, logit, state, grad, None if more is None else more.contiguous()),
            *(entering.ptr, entering.other, order, leaving.ptr, leaving.other, leaving.place),
            *(of_maps, of_edge, nodes),
            **options,
        )
        return of_maps, of_edge, None


def _options(nodes: int, width: int) -> tuple[int, dict[str, Any]]:
    wide = min(128, power_of_two(width))
    parts = -(-width // wide)
    shape = {"D": width, "WIDE": wide, "PARTS": parts, "PAIRS": 4}
    return nodes * parts, {**shape, "warps": 1 if wide <= 64 else 2, "stages": 2}


@Kernel
def _forward(
    maps_ptr: tl.tensor,
    edge_ptr: tl.tensor,
    first_ptr: tl.tensor,
    source_ptr: tl.tensor,
    order_ptr: tl.tensor,
    logit_ptr: tl.tensor,
    out_ptr: tl.tensor,
    state_ptr: tl.tensor,
    N: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    i = (tl.program_id(0) // PARTS).to(tl.int64)
    c = tl.program_id(0) % PARTS * WIDE + tl.arange(0, WIDE)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    own = maps_ptr + i * (4 * D) + c
    to = tl.load(own + 2 * D, mask=c < D, other=0.0).to(tl.float32)
    total = tl.zeros([WIDE], tl.float32)
    sums = tl.zeros([WIDE], tl.float32)
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(source_ptr + p, mask=p < end, other=0)
        e = tl.load(order_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None] & (c < D)[None, :]
        at, node = e[:, None] * D + c[None, :], j[:, None] * (4 * D) + c[None, :]
        g = tl.load(edge_ptr + at, mask=there, other=0.0).to(tl.float32) + to[None, :]
        g += tl.load(maps_ptr + node + 3 * D, mask=there, other=0.0).to(tl.float32)
        stored = g.to(logit_ptr.dtype.element_ty)
        tl.store(logit_ptr + at, stored, mask=there)
        gate = tl.where(there, 1.0 / (1.0 + tl.exp(-stored.to(tl.float32))), 0.0)
        total += tl.sum(gate, 0)
        sums += tl.sum(gate * tl.load(maps_ptr + node + D, mask=there, other=0.0).to(tl.float32), 0)
    total += 1e-6
    share = sums / total
    at = i * D + c
    tl.store(state_ptr + at, total, mask=c < D)
    tl.store(state_ptr + N * D + at, share, mask=c < D)
    out = tl.load(own, mask=c < D, other=0.0).to(tl.float32) + share
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=c < D)


@Kernel
def _backward(
    maps_ptr: tl.tensor,
    logit_ptr: tl.tensor,
    state_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    more_ptr: tl.tensor,
    entering_ptr: tl.tensor,
    source_ptr: tl.tensor,
    order_ptr: tl.tensor,
    leaving_ptr: tl.tensor,
    target_ptr: tl.tensor,
    place_ptr: tl.tensor,
    of_maps_ptr: tl.tensor,
    of_edge_ptr: tl.tensor,
    N: tl.tensor,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    number = (tl.program_id(0) // PARTS).to(tl.int64)
    c = tl.program_id(0) % PARTS * WIDE + tl.arange(0, WIDE)
    kind = of_maps_ptr.dtype.element_ty
    of_logits = tl.zeros([WIDE], tl.float32)
    if number < N:
        i = number
        begin, end = tl.load(entering_ptr + i), tl.load(entering_ptr + i + 1)
        grad = tl.load(grad_ptr + i * D + c, mask=c < D, other=0.0).to(tl.float32)
        share = tl.load(state_ptr + N * D + i * D + c, mask=c < D, other=0.0)
        each = grad / tl.load(state_ptr + i * D + c, mask=c < D, other=1.0)
        for p0 in range(begin, end, PAIRS):
            p = p0 + tl.arange(0, PAIRS)
            j = tl.load(source_ptr + p, mask=p < end, other=0)
            e = tl.load(order_ptr + p, mask=p < end, other=0)
            there = (p < end)[:, None] & (c < D)[None, :]
            at = e[:, None] * D + c[None, :]
            gate = 1.0 / (1.0 + tl.exp(-tl.load(logit_ptr + at, mask=there, other=0.0).to(tl.float32)))
            value = tl.load(maps_ptr + j[:, None] * (4 * D) + D + c[None, :], mask=there, other=0.0).to(tl.float32)
            of_logit = each[None, :] * (value - share[None, :]) * gate * (1.0 - gate)
            if more_ptr is not None:
                of_logit += tl.load(more_ptr + at, mask=there, other=0.0).to(tl.float32)
            of_logits += tl.sum(tl.where(there, of_logit, 0.0), 0)
            tl.store(of_edge_ptr + at, of_logit.to(of_edge_ptr.dtype.element_ty), mask=there)
        own = of_maps_ptr + i * (4 * D) + c
        tl.store(own, grad.to(kind), mask=c < D)
        tl.store(own + 2 * D, of_logits.to(kind), mask=c < D)
    else:
        j = number - N
        begin, end = tl.load(leaving_ptr + j), tl.load(leaving_ptr + j + 1)
        value = tl.load(maps_ptr + j * (4 * D) + D + c, mask=c < D, other=0.0).to(tl.float32)
        of_value = tl.zeros([WIDE], tl.float32)
        for p0 in range(begin, end, PAIRS):
            p = p0 + tl.arange(0, PAIRS)
            i = tl.load(target_ptr + p, mask=p < end, other=0)
            e = tl.load(order_ptr + tl.load(place_ptr + p, mask=p < end, other=0), mask=p < end, other=0)
            there = (p < end)[:, None] & (c < D)[None, :]
            at, node = e[:, None] * D + c[None, :], i[:, None] * D + c[None, :]
            gate = 1.0 / (1.0 + tl.exp(-tl.load(logit_ptr + at, mask=there, other=0.0).to(tl.float32)))
            each = tl.load(grad_ptr + node, mask=there, other=0.0).to(tl.float32)
            each /= tl.load(state_ptr + node, mask=there, other=1.0)
            share = tl.load(state_ptr + N * D + node, mask=there, other=0.0)
            of_logit = each * (value[None, :] - share) * gate * (1.0 - gate)
            if more_ptr is not None:
                of_logit += tl.load(more_ptr + at, mask=there, other=0.0).to(tl.float32)
            of_logits += tl.sum(tl.where(there, of_logit, 0.0), 0)
            of_value += tl.sum(tl.where(there, gate * each, 0.0), 0)
        own = of_maps_ptr + j * (4 * D) + c
        tl.store(own + D, of_value.to(kind), mask=c < D)
        tl.store(own + 3 * D, of_logits.to(kind), mask=c < D)
