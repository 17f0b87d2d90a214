"""Linear maps of the same rows as one product, whose input is passed on: gradients meet in the backward product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from graphpe.compiled.kernel import has_kernels
from graphpe.models.layers.gpu.linear_relu import product_kind
from graphpe.models.layers.gpu.weight_gradients import weight_gradients


def stacked(parameters: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The parameters of each layer, one over the other; all layers' are joined, and their gradients parted, at once.

    Args:
        parameters: Of each layer, tensors of the same shapes.
    """
    rows = [sum(x.shape[0] for x in layer) for layer in parameters]
    return list(torch.cat([x for layer in parameters for x in layer]).split(rows))


def projected(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """X W^T + b, `[N, K]`, and x for whoever reads it after this.

    On a GPU the gradient of what is passed on is where that of the product is added, in place: what reads it must lead
    to the loss, or depend on the product.

    Args:
        x: `[N, D]`.
        weight: W, `[K, D]`.
        bias: b, `[K]`; None for none.
    """
    if not has_kernels(x.device):
        return functional.linear(x, weight, bias), x
    return _Projected.apply(x, weight, bias, product_kind(weight))


class _Projected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        rows = x.to(kind)
        with torch.autocast(x.device.type, enabled=False):
            out = functional.linear(rows, weight.to(kind), None if bias is None else bias.to(kind))
        ctx.save_for_backward(rows, weight)
        ctx.kinds = x.dtype, None if bias is None else bias.dtype
        ctx.set_materialize_grads(False)
        return out, x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, passed: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return passed, None, None, None
        rows, weight = ctx.saved_tensors
        kind, bias_kind = ctx.kinds
        if passed is not None and passed.dtype == weight.dtype == grad.dtype and passed.is_contiguous():
            of_x = passed.addmm_(grad, weight)  # nobody reads it after this
        else:
            product = (grad @ weight.to(grad.dtype)).to(kind)
            of_x = product if passed is None else passed + product
        if bias_kind is None:
            return of_x, (grad.t() @ rows).to(weight.dtype), None, None
        ((of_weight, of_bias),) = weight_gradients((grad, rows), dtype=weight.dtype)
        return of_x, of_weight, of_bias.to(bias_kind), None
