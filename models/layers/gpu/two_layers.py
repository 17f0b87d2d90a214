"""Two linear layers with a ReLU or GELU between them, as one Triton kernel each way.

    s = x V^T + a,    h = dropout(relu(s)) or dropout(gelu(s)),    y = h W^T + b

R rows, D columns of x, K of h, M of y. A program takes some rows, and goes over the K columns in parts: what is between
the two products is written for the backward pass, and not read again. Backward, with G = d loss / d y,

    d s = dropout(G W) times the slope at s
    d x = d s V + what else x has

Products are taken in the precision of the rows, sums are float32. Narrow layers only: a program holds D and M columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from graphpe.compiled.kernel import Kernel, dot_options, power_of_two
from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.layers.gpu.batch_norm import masked
from graphpe.models.layers.gpu.linear_relu import product_relu

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

Activation = Literal["relu", "gelu"]

MOST_COLUMNS = 128
"""Of x and y: with more, what a program holds does not fit into registers."""


class Between(NamedTuple):
    """What is between the layers.

    Attributes:
        hidden: h, with dropout, `[R, K]`.
        before: s, `[R, K]`; None for a ReLU, which does not need it.
    """

    hidden: Tensor
    before: Tensor | None


def two_layers(
    x: Tensor,
    first: tuple[Tensor, Tensor],
    last: tuple[Tensor, Tensor],
    dropped: Dropped | None = None,
    activation: Activation = "relu",
) -> tuple[Between, Tensor]:
    """What is between the layers, and y `[R, M]`. All of one dtype; without a gradient.

    Args:
        x: `[R, D]`.
        first: V `[K, D]` and a `[K]`.
        last: W `[M, K]` and b `[M]`.
        dropped: What dropout leaves of h, `[R, K]`; None for all.
        activation: `relu` or `gelu`.
    """
    (rows, width), (out, size) = x.shape, last[0].shape
    if max(width, out) > MOST_COLUMNS:
        return _products(x, first, last, dropped, activation)
    hidden, result = x.new_empty(rows, size), x.new_empty(rows, out)
    before = torch.empty_like(hidden) if activation == "gelu" else None
    programs, options = _options(x, width, out, size)
    _forward(
        programs,
        *(x.contiguous(), *(y.contiguous() for y in (*first, *last)), *masked(dropped)),
        *(before, hidden, result, rows),
        **options,
    )
    return Between(hidden, before), result


def _products(
    x: Tensor,
    first: tuple[Tensor, Tensor],
    last: tuple[Tensor, Tensor],
    dropped: Dropped | None,
    activation: Activation,
) -> tuple[Between, Tensor]:
    with torch.autocast(x.device.type, enabled=False):
        before = functional.linear(x, *first) if activation == "gelu" else None
        hidden = product_relu(x, *first) if before is None else functional.gelu(before)
        hidden = hidden if dropped is None else dropped.apply(hidden)
        return Between(hidden, before), functional.linear(hidden, *last)


def two_layers_backward(
    grad: Tensor,
    between: Between,
    first: Tensor,
    last: Tensor,
    dropped: Dropped | None = None,
    activation: Activation = "relu",
    *,
    other: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gradients of s `[R, K]`, and of x, `[R, D]`, in the dtype of `other` where that is given.

    Args:
        grad: Gradient of y, `[R, M]`, in the dtype of h.
        between: What is between the layers.
        first: V, `[K, D]`, in the dtype of h.
        last: W, `[M, K]`, in the dtype of h.
        dropped: What dropout left of h; None for all.
        activation: `relu` or `gelu`.
        other: What else x has, `[R, D]`; may be written over. None for nothing.
    """
    (rows, size), width, out = between.hidden.shape, first.shape[1], last.shape[0]
    if max(width, out) > MOST_COLUMNS:
        of_hidden = grad @ last
        of_hidden = of_hidden if dropped is None else dropped.apply(of_hidden)
        if between.before is None:
            of_before = torch.ops.aten.threshold_backward(of_hidden, between.hidden, 0)
        else:
            of_before = torch.ops.aten.gelu_backward(of_hidden, between.before)
        if other is None:
            return of_before, of_before @ first
        same = other.dtype == first.dtype
        return of_before, other.addmm_(of_before, first) if same else other + of_before @ first
    of_before = torch.empty_like(between.hidden)
    of_x = torch.empty(rows, width, dtype=grad.dtype if other is None else other.dtype, device=grad.device)
    programs, options = _options(grad, width, out, size)
    given = (None if x is None else x.contiguous() for x in (grad, *between, first, last, other))
    _backward(programs, *(*given, *masked(dropped), of_before, of_x, rows), **options)
    return of_before, of_x


def _options(like: Tensor, width: int, out: int, hidden: int) -> tuple[int, dict[str, Any]]:
    shape = {"D": width, "K": hidden, "M": out, "WIDE": power_of_two(width, 16), "OUT": power_of_two(out, 16)}
    shape |= {"ROWS": 16, "PART": min(32, power_of_two(hidden, 16))}
    return -(-like.shape[0] // 16), {**shape, **dot_options(like), "warps": 4, "stages": 2}


@Kernel
def _forward(
    x_ptr: tl.tensor,
    first_ptr: tl.tensor,
    first_bias_ptr: tl.tensor,
    last_ptr: tl.tensor,
    last_bias_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    before_ptr: tl.tensor,
    hidden_ptr: tl.tensor,
    out_ptr: tl.tensor,
    R: tl.tensor,
    D: tl.constexpr,
    K: tl.constexpr,
    M: tl.constexpr,
    WIDE: tl.constexpr,
    OUT: tl.constexpr,
    ROWS: tl.constexpr,
    PART: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    d, m = tl.arange(0, WIDE), tl.arange(0, OUT)
    x = tl.load(x_ptr + r[:, None] * D + d[None, :], mask=(r < R)[:, None] & (d < D)[None, :], other=0.0).to(KIND)
    total = tl.zeros([ROWS, OUT], tl.float32)
    total += tl.load(last_bias_ptr + m, mask=m < M, other=0.0).to(tl.float32)[None, :]
    for k0 in range(0, K, PART):
        k = k0 + tl.arange(0, PART)
        real = (k < K)[:, None]
        first = tl.load(first_ptr + k[:, None] * D + d[None, :], mask=real & (d < D)[None, :], other=0.0).to(KIND)
        s = tl.dot(x, tl.trans(first), input_precision=PRECISION)
        s += tl.load(first_bias_ptr + k, mask=k < K, other=0.0).to(tl.float32)[None, :]
        at, here = r[:, None] * K + k[None, :], (r < R)[:, None] & (k < K)[None, :]
        if before_ptr is not None:
            tl.store(before_ptr + at, s.to(before_ptr.dtype.element_ty), mask=here)
            s *= 0.5 + 0.5 * tl.erf(s * 0.5**0.5)
        else:
            s = tl.maximum(s, 0.0)
        if keep_ptr is not None:
            s *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        stored = s.to(hidden_ptr.dtype.element_ty)
        tl.store(hidden_ptr + at, stored, mask=here)
        last = tl.load(last_ptr + m[None, :] * K + k[:, None], mask=real & (m < M)[None, :], other=0.0).to(KIND)
        total += tl.dot(stored.to(KIND), last, input_precision=PRECISION)
    here = (r < R)[:, None] & (m < M)[None, :]
    tl.store(out_ptr + r[:, None] * M + m[None, :], total.to(out_ptr.dtype.element_ty), mask=here)


@Kernel
def _backward(
    grad_ptr: tl.tensor,
    hidden_ptr: tl.tensor,
    before_ptr: tl.tensor,
    first_ptr: tl.tensor,
    last_ptr: tl.tensor,
    other_ptr: tl.tensor,
    keep_ptr: tl.tensor,
    kept: tl.tensor,
    of_before_ptr: tl.tensor,
    of_x_ptr: tl.tensor,
    R: tl.tensor,
    D: tl.constexpr,
    K: tl.constexpr,
    M: tl.constexpr,
    WIDE: tl.constexpr,
    OUT: tl.constexpr,
    ROWS: tl.constexpr,
    PART: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    d, m = tl.arange(0, WIDE), tl.arange(0, OUT)
    grad = tl.load(grad_ptr + r[:, None] * M + m[None, :], mask=(r < R)[:, None] & (m < M)[None, :], other=0.0)
    grad = grad.to(KIND)
    total = tl.zeros([ROWS, WIDE], tl.float32)
    own, wide = r[:, None] * D + d[None, :], (r < R)[:, None] & (d < D)[None, :]
    if other_ptr is not None:
        total += tl.load(other_ptr + own, mask=wide, other=0.0).to(tl.float32)
    for k0 in range(0, K, PART):
        k = k0 + tl.arange(0, PART)
        last = tl.load(last_ptr + m[:, None] * K + k[None, :], mask=(m < M)[:, None] & (k < K)[None, :], other=0.0).to(
            KIND
        )
        s = tl.dot(grad, last, input_precision=PRECISION)
        at, here = r[:, None] * K + k[None, :], (r < R)[:, None] & (k < K)[None, :]
        if keep_ptr is not None:
            s *= tl.load(keep_ptr + at, mask=here, other=0).to(tl.float32) * kept
        if before_ptr is not None:
            at_s = tl.load(before_ptr + at, mask=here, other=0.0).to(tl.float32)
            normal = tl.exp(-0.5 * at_s * at_s) * 0.3989422804014327
            s *= 0.5 + 0.5 * tl.erf(at_s * 0.5**0.5) + at_s * normal
        else:
            s = tl.where(tl.load(hidden_ptr + at, mask=here, other=0.0).to(tl.float32) > 0, s, 0.0)
        stored = s.to(of_before_ptr.dtype.element_ty)
        tl.store(of_before_ptr + at, stored, mask=here)
        first = tl.load(
            first_ptr + k[:, None] * D + d[None, :], mask=(k < K)[:, None] & (d < D)[None, :], other=0.0
        ).to(KIND)
        total += tl.dot(stored.to(KIND), first, input_precision=PRECISION)
    tl.store(of_x_ptr + own, total.to(of_x_ptr.dtype.element_ty), mask=wide)
