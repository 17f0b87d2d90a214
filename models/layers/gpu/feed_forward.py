"""Two layers of a network, and a layer norm of a sum, in few kernels on a GPU, for what adds to a stream before a norm.

Batches of few rows, as in `graphpe.models.layers.gpu.residual`; elsewhere the modules are called one after the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from graphpe.models.layers.gpu.layer_norm import layer_normalized, layer_normalized_backward
from graphpe.models.layers.gpu.linear_relu import product_kind
from graphpe.models.layers.gpu.residual import ACTIVATIONS, dropped_of, few_rows
from graphpe.models.layers.gpu.two_layers import Activation, Between, two_layers, two_layers_backward
from graphpe.models.layers.gpu.weight_gradients import weight_gradients
from graphpe.models.layers.normalization import RowLayerNorm


def feed_forward(
    x: Tensor, expand: nn.Linear, contract: nn.Linear, *, activation: Activation = "relu", dropout: float = 0.0
) -> Tensor:
    """contract(dropout(relu(expand(x)))), `[..., M]`.

    Args:
        x: `[..., D]`.
        expand: From D to K columns, with a bias.
        contract: From K to M columns, with a bias.
        activation: `relu` or `gelu`.
        dropout: Probability of dropout of the K columns; 0 outside training.
    """
    if not few_rows(x, contract.weight):
        return contract(functional.dropout(ACTIVATIONS[activation](expand(x)), dropout, dropout > 0))
    parameters = (expand.weight, expand.bias, contract.weight, contract.bias)
    return _Layers.apply(x.flatten(0, -2), *parameters, activation, dropout).unflatten(0, x.shape[:-1])


def norm_of_sum(norm: RowLayerNorm, x: Tensor, update: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """norm(s) and s = x + update, `[N, D]`.

    Args:
        norm: The normalisation.
        x: `[N, D]`.
        update: `[N, D]`; None for nothing.
    """
    if not few_rows(x, norm.weight):
        x = x if update is None else x + update
        return norm(x), x
    return _NormOfSum.apply(x, update, norm.weight, norm.bias, norm)


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_1: Tensor,
        bias_1: Tensor,
        weight_2: Tensor,
        bias_2: Tensor,
        activation: Activation,
        dropout: float,
    ) -> Tensor:
        kind = product_kind(weight_2)
        rows, first, last = x.to(kind), (weight_1.to(kind), bias_1.to(kind)), (weight_2.to(kind), bias_2.to(kind))
        dropped = dropped_of(x, weight_1.shape[0], dropout)
        between, out = two_layers(rows, first, last, dropped, activation)
        ctx.save_for_backward(rows, weight_1, weight_2, *between)
        ctx.dropped, ctx.activation, ctx.kind = dropped, activation, x.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight_1, weight_2, hidden, before = ctx.saved_tensors
        grad = grad.to(hidden.dtype)
        maps = weight_1.to(hidden.dtype), weight_2.to(hidden.dtype)
        of_before, of_x = two_layers_backward(grad, Between(hidden, before), *maps, ctx.dropped, ctx.activation)
        first, last = weight_gradients((of_before, rows), (grad, hidden), dtype=weight_1.dtype)
        return of_x.to(ctx.kind), *first, *last, None, None


class _NormOfSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, update: Tensor | None, weight: Tensor, bias: Tensor, norm: RowLayerNorm
    ) -> tuple[Tensor, Tensor]:
        found = layer_normalized(norm, x, update)
        ctx.save_for_backward(found.total, found.moments, weight)
        ctx.kinds = x.dtype, None if update is None else update.dtype
        ctx.set_materialize_grads(False)
        return found.out, x if update is None else found.total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, more: Tensor | None) -> tuple[Tensor | None, ...]:
        total, moments, weight = ctx.saved_tensors
        kind, update_kind = ctx.kinds
        if grad is None:
            grad = torch.zeros_like(total)
        of_x, _, (of_weight, of_bias) = layer_normalized_backward(grad, total, moments, weight, more=more)
        of_update = None if update_kind is None else of_x.to(update_kind)
        return of_x.to(kind), of_update, of_weight, of_bias, None
