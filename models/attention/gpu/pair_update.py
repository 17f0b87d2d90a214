"""The relational transformer's update of pairs as Triton kernels: the formulas of `...attention.relational.update`.

P pairs, D channels, F and G hidden channels. Products of the pairs with A and B are PyTorch's, `[P, 2 F]`; a program
takes a block of pairs from there to z_ij, and nothing is kept but the arguments (with dropout, a byte for each number
that is added). The backward pass makes all of it again, and writes, of each pair, the gradients before both LN and y,
`[P, D]` each, and both hidden layers and their gradients; and, of each block, sums for the vectors' gradients. Those of
matrices are products of these, PyTorch's, as is what goes on from the first hidden layer to e_ij and e_ji; that of the
nodes' terms is summed along the pairs.

Every number is written by one program, in one order: results are the same every time. Hidden layers are narrow: their
channels are gone through one after the other, in float32, which is less work than reading the pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.attention.gpu.products import pair_product
from graphpe.models.attention.gpu.sums import sums_by_group
from graphpe.models.attention.pairs import PairSet

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def updated_pairs(
    pair: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    parameters: tuple[Tensor, ...],
    pairs: PairSet,
    epsilon: float,
    keep: Tensor | None = None,
    kept: float = 1.0,
) -> Tensor:
    """New vectors of the pairs, `[P, D]`; as PyTorch's LN, in float32 under autocast.

    Args:
        pair: Vectors e_ij of the pairs, `[P, D]`; float32 or half precision.
        source_term: s_j of each node, `[N, F]`, in the precision in which products are taken.
        target_term: t_i of each node, `[N, F]`.
        parameters: `PairWeights`, in this order.
        pairs: The pairs.
        epsilon: Added to variances.
        keep: Whether each number that the networks add stays, `[2, P, D]`; None for all.
        kept: What those are multiplied with that stay.
    """
    kind = torch.float32 if torch.is_autocast_enabled(pair.device.type) else pair.dtype
    mix = torch.cat(parameters[:2])  # A over B, [2 F, D]
    dropout = None if keep is None else keep.contiguous().view(torch.int8)
    options = pairs, epsilon, dropout, float(kept), kind
    return _PairUpdate.apply(pair, source_term, target_term, mix, *options, *parameters[2:])


class _PairUpdate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        pair: Tensor,
        source_term: Tensor,
        target_term: Tensor,
        mix: Tensor,
        pairs: PairSet,
        epsilon: float,
        keep: Tensor | None,
        kept: float,
        kind: torch.dtype,
        *parameters: Tensor,
    ) -> Tensor:
        pair, source_term, target_term = (x.contiguous() for x in (pair, source_term, target_term))
        parameters = tuple(x.contiguous() for x in parameters)
        out = torch.empty_like(pair, dtype=kind)
        options = _options(source_term, parameters, pair.shape[1])
        _forward(
            -(-pair.shape[0] // options["ROWS"]),
            *(pair, pair_product(pair, mix, source_term.dtype), pairs.reverse, pairs.source, pairs.target),
            *(source_term, target_term, *parameters, *_both(keep), kept, out, pair.shape[0], epsilon),
            **options,
        )
        ctx.save_for_backward(pair, source_term, target_term, mix, keep, *parameters)
        ctx.pairs, ctx.epsilon, ctx.kept = pairs, epsilon, kept
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        pair, source_term, target_term, mix, keep, *parameters = ctx.saved_tensors
        pairs: PairSet = ctx.pairs
        (count, width), narrow, narrower = pair.shape, source_term.shape[1], parameters[4].shape[0]
        options = _options(source_term, tuple(parameters), width)
        blocks = -(-count // options["ROWS"])
        # What is multiplied has the precision of the other products.
        before_1, before_2, between = source_term.new_empty(3, count, width)
        dropped_1 = before_1 if keep is None else torch.empty_like(before_1)
        hidden, grad_hidden = source_term.new_empty(2, count, narrow)
        other, grad_other = source_term.new_empty(2, count, narrower)
        sums = pair.new_empty(blocks, 6 * width + narrower, dtype=torch.float32)
        _backward(
            blocks,
            *(pair, pair_product(pair, mix, source_term.dtype), pairs.reverse, pairs.source, pairs.target),
            *(source_term, target_term, *parameters, *_both(keep), ctx.kept, grad_out.contiguous()),
            *(before_1, None if keep is None else dropped_1, before_2, between),
            *(hidden, grad_hidden, other, grad_other, sums, count, ctx.epsilon),
            **options,
        )
        bias_1, scale_1, shift_1, bias_2, scale_2, shift_2, bias = sums.sum(0).split([*[width] * 6, narrower])
        found = (
            *(dropped_1.t() @ hidden, bias_1, scale_1, shift_1),
            *(grad_other.t() @ between, bias, before_2.t() @ other, bias_2, scale_2, shift_2),
        )
        # What a pair's hidden layer gives to its reverse, seen from there.
        there = pairs.reverse.unsqueeze(1) >= 0
        mirrored = grad_hidden.index_select(0, pairs.reverse.clamp(min=0)) * there
        both = torch.cat([grad_hidden, mirrored], dim=1)  # [P, 2 F]
        return (
            torch.addmm(before_1, both, mix.to(both.dtype)).to(pair.dtype),
            sums_by_group(grad_hidden, *pairs.leaving, source_term.dtype),
            sums_by_group(grad_hidden, None, pairs.ptr, target_term.dtype),
            (both.t() @ pair.to(both.dtype)).to(mix.dtype),
            *(None, None, None, None, None),
            *(x.to(like.dtype) for x, like in zip(found, parameters, strict=True)),
        )


def _both(keep: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if keep is None else (keep[0], keep[1])


def _options(term: Tensor, parameters: tuple[Tensor, ...], width: int) -> dict[str, Any]:
    wide = power_of_two(width)
    # Eight numbers of a tensor with each thread.
    shape = {"D": width, "F": term.shape[1], "G": parameters[4].shape[0], "WIDE": wide}
    return {**shape, "ROWS": max(1, min(16, 1024 // wide)), "warps": 4, "stages": 1}


@Kernel
def _forward(
    pair_ptr: tl.tensor,
    mixed_ptr: tl.tensor,
    reverse_ptr: tl.tensor,
    source_ptr: tl.tensor,
    target_ptr: tl.tensor,
    s_ptr: tl.tensor,
    t_ptr: tl.tensor,
    w2_ptr: tl.tensor,
    b2_ptr: tl.tensor,
    scale1_ptr: tl.tensor,
    shift1_ptr: tl.tensor,
    w3_ptr: tl.tensor,
    b3_ptr: tl.tensor,
    w4_ptr: tl.tensor,
    b4_ptr: tl.tensor,
    scale2_ptr: tl.tensor,
    shift2_ptr: tl.tensor,
    keep1_ptr: tl.tensor,
    keep2_ptr: tl.tensor,
    kept: tl.tensor,
    out_ptr: tl.tensor,
    P: tl.tensor,
    epsilon: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    G: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    c = tl.arange(0, WIDE)
    wide = c < D
    p = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    real = p < P
    here = real[:, None] & wide[None, :]
    r = tl.load(reverse_ptr + p, mask=real, other=-1)
    j = tl.load(source_ptr + p, mask=real, other=0)
    i = tl.load(target_ptr + p, mask=real, other=0)
    # Both networks add what they make; `x` and `z` are what LN makes before its scale and shift.
    own = p[:, None] * D + c[None, :]
    x = tl.zeros([ROWS, WIDE], tl.float32) + tl.load(b2_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    for f in range(F):
        hidden = tl.load(mixed_ptr + p * (2 * F) + f, mask=real, other=0.0).to(tl.float32)
        hidden += tl.load(mixed_ptr + r * (2 * F) + F + f, mask=real & (r >= 0), other=0.0).to(tl.float32)
        hidden += tl.load(s_ptr + j * F + f, mask=real, other=0.0).to(tl.float32)
        hidden = tl.maximum(hidden + tl.load(t_ptr + i * F + f, mask=real, other=0.0).to(tl.float32), 0.0)
        x += hidden[:, None] * tl.load(w2_ptr + c * F + f, mask=wide, other=0.0).to(tl.float32)[None, :]
    if keep1_ptr is not None:
        x *= tl.load(keep1_ptr + own, mask=here, other=0).to(tl.float32) * kept
    x += tl.load(pair_ptr + own, mask=here, other=0.0).to(tl.float32)
    x = tl.where(wide[None, :], x - tl.sum(x, 1)[:, None] / D, 0.0)
    spread1 = 1.0 / tl.sqrt(tl.sum(x * x, 1) / D + epsilon)
    x *= spread1[:, None]
    scale1 = tl.load(scale1_ptr + c, mask=wide, other=0.0).to(tl.float32)
    y = x * scale1[None, :] + tl.load(shift1_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    z = tl.zeros([ROWS, WIDE], tl.float32) + tl.load(b4_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    for g in range(G):
        w3 = tl.load(w3_ptr + g * D + c, mask=wide, other=0.0).to(tl.float32)
        other = tl.maximum(tl.sum(y * w3[None, :], 1) + tl.load(b3_ptr + g).to(tl.float32), 0.0)
        z += other[:, None] * tl.load(w4_ptr + c * G + g, mask=wide, other=0.0).to(tl.float32)[None, :]
    if keep1_ptr is not None:
        z *= tl.load(keep2_ptr + own, mask=here, other=0).to(tl.float32) * kept
    z += y
    z = tl.where(wide[None, :], z - tl.sum(z, 1)[:, None] / D, 0.0)
    spread2 = 1.0 / tl.sqrt(tl.sum(z * z, 1) / D + epsilon)
    z *= spread2[:, None]
    z *= tl.load(scale2_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    z += tl.load(shift2_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    tl.store(out_ptr + own, z.to(out_ptr.dtype.element_ty), mask=here)


@Kernel
def _backward(
    pair_ptr: tl.tensor,
    mixed_ptr: tl.tensor,
    reverse_ptr: tl.tensor,
    source_ptr: tl.tensor,
    target_ptr: tl.tensor,
    s_ptr: tl.tensor,
    t_ptr: tl.tensor,
    w2_ptr: tl.tensor,
    b2_ptr: tl.tensor,
    scale1_ptr: tl.tensor,
    shift1_ptr: tl.tensor,
    w3_ptr: tl.tensor,
    b3_ptr: tl.tensor,
    w4_ptr: tl.tensor,
    b4_ptr: tl.tensor,
    scale2_ptr: tl.tensor,
    shift2_ptr: tl.tensor,
    keep1_ptr: tl.tensor,
    keep2_ptr: tl.tensor,
    kept: tl.tensor,
    grad_out_ptr: tl.tensor,
    before1_ptr: tl.tensor,
    dropped1_ptr: tl.tensor,
    before2_ptr: tl.tensor,
    between_ptr: tl.tensor,
    hidden_ptr: tl.tensor,
    grad_hidden_ptr: tl.tensor,
    other_ptr: tl.tensor,
    grad_other_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    P: tl.tensor,
    epsilon: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    G: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    c = tl.arange(0, WIDE)
    wide = c < D
    p = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    real = p < P
    here = real[:, None] & wide[None, :]
    r = tl.load(reverse_ptr + p, mask=real, other=-1)
    j = tl.load(source_ptr + p, mask=real, other=0)
    i = tl.load(target_ptr + p, mask=real, other=0)
    # Both networks add what they make; `x` and `z` are what LN makes before its scale and shift.
    own = p[:, None] * D + c[None, :]
    x = tl.zeros([ROWS, WIDE], tl.float32) + tl.load(b2_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    for f in range(F):
        hidden = tl.load(mixed_ptr + p * (2 * F) + f, mask=real, other=0.0).to(tl.float32)
        hidden += tl.load(mixed_ptr + r * (2 * F) + F + f, mask=real & (r >= 0), other=0.0).to(tl.float32)
        hidden += tl.load(s_ptr + j * F + f, mask=real, other=0.0).to(tl.float32)
        hidden = tl.maximum(hidden + tl.load(t_ptr + i * F + f, mask=real, other=0.0).to(tl.float32), 0.0)
        tl.store(hidden_ptr + p * F + f, hidden.to(hidden_ptr.dtype.element_ty), mask=real)
        x += hidden[:, None] * tl.load(w2_ptr + c * F + f, mask=wide, other=0.0).to(tl.float32)[None, :]
    if keep1_ptr is not None:
        x *= tl.load(keep1_ptr + own, mask=here, other=0).to(tl.float32) * kept
    x += tl.load(pair_ptr + own, mask=here, other=0.0).to(tl.float32)
    x = tl.where(wide[None, :], x - tl.sum(x, 1)[:, None] / D, 0.0)
    spread1 = 1.0 / tl.sqrt(tl.sum(x * x, 1) / D + epsilon)
    x *= spread1[:, None]
    scale1 = tl.load(scale1_ptr + c, mask=wide, other=0.0).to(tl.float32)
    y = x * scale1[None, :] + tl.load(shift1_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    z = tl.zeros([ROWS, WIDE], tl.float32) + tl.load(b4_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    for g in range(G):
        w3 = tl.load(w3_ptr + g * D + c, mask=wide, other=0.0).to(tl.float32)
        other = tl.maximum(tl.sum(y * w3[None, :], 1) + tl.load(b3_ptr + g).to(tl.float32), 0.0)
        tl.store(other_ptr + p * G + g, other.to(other_ptr.dtype.element_ty), mask=real)
        z += other[:, None] * tl.load(w4_ptr + c * G + g, mask=wide, other=0.0).to(tl.float32)[None, :]
    if keep1_ptr is not None:
        z *= tl.load(keep2_ptr + own, mask=here, other=0).to(tl.float32) * kept
    z += y
    z = tl.where(wide[None, :], z - tl.sum(z, 1)[:, None] / D, 0.0)
    spread2 = 1.0 / tl.sqrt(tl.sum(z * z, 1) / D + epsilon)
    z *= spread2[:, None]
    kind = between_ptr.dtype.element_ty
    tl.store(between_ptr + own, y.to(kind), mask=here)
    # Through the second LN and network; rows that are not there have no gradient.
    sums_ptr += tl.program_id(0).to(tl.int64) * (6 * D + G)
    grad = tl.load(grad_out_ptr + own, mask=here, other=0.0).to(tl.float32)
    tl.store(sums_ptr + 4 * D + c, tl.sum(grad * z, 0), mask=wide)
    tl.store(sums_ptr + 5 * D + c, tl.sum(grad, 0), mask=wide)
    grad *= tl.load(scale2_ptr + c, mask=wide, other=0.0).to(tl.float32)[None, :]
    grad -= tl.sum(grad, 1)[:, None] / D + z * (tl.sum(grad * z, 1) / D)[:, None]
    through = tl.where(here, grad * spread2[:, None], 0.0)
    grad = through
    if keep1_ptr is not None:
        grad *= tl.load(keep2_ptr + own, mask=here, other=0).to(tl.float32) * kept
    tl.store(sums_ptr + 3 * D + c, tl.sum(grad, 0), mask=wide)
    tl.store(before2_ptr + own, grad.to(kind), mask=here)
    for g in range(G):
        w3 = tl.load(w3_ptr + g * D + c, mask=wide, other=0.0).to(tl.float32)
        w4 = tl.load(w4_ptr + c * G + g, mask=wide, other=0.0).to(tl.float32)
        other = tl.sum(y * w3[None, :], 1) + tl.load(b3_ptr + g).to(tl.float32)
        grad_other = tl.where(other > 0, tl.sum(grad * w4[None, :], 1), 0.0)
        tl.store(grad_other_ptr + p * G + g, grad_other.to(grad_other_ptr.dtype.element_ty), mask=real)
        tl.store(sums_ptr + 6 * D + g, tl.sum(grad_other, 0))
        through += grad_other[:, None] * w3[None, :]
    # Through the first.
    tl.store(sums_ptr + D + c, tl.sum(through * x, 0), mask=wide)
    tl.store(sums_ptr + 2 * D + c, tl.sum(through, 0), mask=wide)
    through *= scale1[None, :]
    through -= tl.sum(through, 1)[:, None] / D + x * (tl.sum(through * x, 1) / D)[:, None]
    through = tl.where(here, through * spread1[:, None], 0.0)
    tl.store(before1_ptr + own, through.to(kind), mask=here)
    if keep1_ptr is not None:
        through *= tl.load(keep1_ptr + own, mask=here, other=0).to(tl.float32) * kept
        tl.store(dropped1_ptr + own, through.to(kind), mask=here)
    tl.store(sums_ptr + c, tl.sum(through, 0), mask=wide)
    for f in range(F):
        hidden = tl.load(mixed_ptr + p * (2 * F) + f, mask=real, other=0.0).to(tl.float32)
        hidden += tl.load(mixed_ptr + r * (2 * F) + F + f, mask=real & (r >= 0), other=0.0).to(tl.float32)
        hidden += tl.load(s_ptr + j * F + f, mask=real, other=0.0).to(tl.float32)
        hidden += tl.load(t_ptr + i * F + f, mask=real, other=0.0).to(tl.float32)
        w2 = tl.load(w2_ptr + c * F + f, mask=wide, other=0.0).to(tl.float32)
        grad_hidden = tl.where(hidden > 0, tl.sum(through * w2[None, :], 1), 0.0)
        tl.store(grad_hidden_ptr + p * F + f, grad_hidden.to(grad_hidden_ptr.dtype.element_ty), mask=real)
