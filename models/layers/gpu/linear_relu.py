"""relu(x W^T + b) on a GPU as the product whose end it is; backward, one kernel beside the two products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import KINDS, has_kernels
from graphpe.models.layers.gpu.few_rows import MOST_ROWS
from graphpe.models.layers.gpu.relu import through_relu


def linear_relu(x: Tensor, linear: nn.Linear) -> Tensor:
    """relu(linear(x)), `[R, K]`.

    Args:
        x: `[R, D]`.
        linear: From D to K columns, with a bias.
    """
    fused = has_kernels(x.device) and 0 < x.shape[0] <= MOST_ROWS and {x.dtype, linear.weight.dtype} <= set(KINDS)
    if not fused:
        return torch.relu(linear(x))
    return _LinearReLU.apply(x, linear.weight, linear.bias, product_kind(linear.weight))


def product_kind(weight: Tensor) -> torch.dtype:
    """In which precision products are taken, also in the backward pass, which does not see autocast.

    Args:
        weight: A factor.
    """
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def product_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(x W^T + b), all of one dtype; the ReLU costs no kernel. Without a gradient.

    Args:
        x: `[R, D]`.
        weight: W, `[K, D]`.
        bias: b, `[K]`.
    """
    with torch.autocast(x.device.type, enabled=False):
        return torch._addmm_activation(bias, x, weight.t())  # noqa: SLF001  (PyTorch has no other door to it)


class _LinearReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, kind: torch.dtype) -> Tensor:
        rows = x.to(kind)
        out = product_relu(rows, weight.to(kind), bias.to(kind))
        ctx.save_for_backward(rows, weight, out)
        ctx.kind = x.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, out = ctx.saved_tensors
        before, of_bias = through_relu(grad, out, weight.dtype)
        of_x = (before @ weight.to(before.dtype)).to(ctx.kind) if ctx.needs_input_grad[0] else None
        return of_x, (before.t() @ rows).to(weight.dtype), of_bias, None
