"""The mean loss over targets that are known, NaN where they are not, as Triton kernels, one each way.

With outputs x and targets y: |x - y|, (x - y)^2 or, for labels, max(x, 0) - x y + log(1 + exp(-|x|)). One program goes
over all numbers forward, which are few; all is in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import KINDS, Kernel, has_kernels

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

NumbersLoss = Literal["absolute", "squared", "binary"]

_MOST = 1 << 15
"""Numbers that one program goes over in less time than kernels of their own take."""


def loss_runs(output: Tensor, target: Tensor) -> bool:
    """Whether kernels make the loss of these.

    Args:
        output: `[R, T]`.
        target: As many numbers.
    """
    if not has_kernels(output.device) or output.dtype not in KINDS or target.dtype not in KINDS:
        return False
    return target.numel() == output.numel() and 0 < output.numel() <= _MOST


def mean_loss(loss: NumbersLoss, output: Tensor, target: Tensor) -> Tensor:
    """The mean over known targets, a number in float32; 0 where none is known.

    Args:
        loss: Its name.
        output: `[R, T]`; float32 or half precision.
        target: As many numbers; NaN where they are not known. No gradient.
    """
    return _MeanLoss.apply(output, target, loss)


class _MeanLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor, loss: str) -> Tensor:
        output, target = output.contiguous(), target.contiguous()
        mean, share = output.new_empty((), dtype=torch.float32), output.new_empty((), dtype=torch.float32)
        ctx.options = {"LOSS": loss, "SIZE": 1024, "warps": 4, "stages": 1}
        _forward(1, output, target, mean, share, output.numel(), **ctx.options)
        ctx.save_for_backward(output, target, share)
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        output, target, share = ctx.saved_tensors
        of_output, size = torch.empty_like(output), output.numel()
        _backward(-(-size // 1024), output, target, share, grad, of_output, size, **ctx.options)
        return of_output, None, None


@Kernel
def _forward(
    output_ptr: tl.tensor,
    target_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    share_ptr: tl.tensor,
    N: tl.tensor,
    LOSS: tl.constexpr,
    SIZE: tl.constexpr,
) -> None:
    total = tl.zeros([SIZE], tl.float32)
    count = tl.zeros([SIZE], tl.float32)
    for r0 in range(0, N, SIZE):
        r = r0 + tl.arange(0, SIZE)
        x = tl.load(output_ptr + r, mask=r < N, other=0.0).to(tl.float32)
        y = tl.load(target_ptr + r, mask=r < N, other=float("nan")).to(tl.float32)
        known = y == y
        y = tl.where(known, y, 0.0)
        if LOSS == "absolute":
            each = tl.abs(x - y)
        elif LOSS == "squared":
            each = (x - y) * (x - y)
        else:
            each = tl.maximum(x, 0.0) - x * y + tl.log(1.0 + tl.exp(-tl.abs(x)))
        total += tl.where(known, each, 0.0)
        count += known.to(tl.float32)
    share = 1.0 / tl.maximum(tl.sum(count, 0), 1.0)
    tl.store(share_ptr, share)
    tl.store(mean_ptr, tl.sum(total, 0) * share)


@Kernel
def _backward(
    output_ptr: tl.tensor,
    target_ptr: tl.tensor,
    share_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    of_output_ptr: tl.tensor,
    N: tl.tensor,
    LOSS: tl.constexpr,
    SIZE: tl.constexpr,
) -> None:
    r = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    x = tl.load(output_ptr + r, mask=r < N, other=0.0).to(tl.float32)
    y = tl.load(target_ptr + r, mask=r < N, other=float("nan")).to(tl.float32)
    known = y == y
    y = tl.where(known, y, 0.0)
    if LOSS == "absolute":
        slope = tl.where(x > y, 1.0, 0.0) - tl.where(x < y, 1.0, 0.0)
    elif LOSS == "squared":
        slope = 2.0 * (x - y)
    else:
        slope = 1.0 / (1.0 + tl.exp(-x)) - y
    slope = tl.where(known, slope * tl.load(share_ptr) * tl.load(grad_ptr).to(tl.float32), 0.0)
    tl.store(of_output_ptr + r, slope.to(of_output_ptr.dtype.element_ty), mask=r < N)
