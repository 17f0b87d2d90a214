"""A layer's last steps, norm(x + W h + b) and norm(x + W_2 relu(W_1 x + b_1) + b_2), in few kernels on a GPU.

There are products, and one kernel each way for what is between them (`graphpe.models.layers.gpu.batch_norm`,
`graphpe.models.layers.gpu.relu`): of batches of small graphs, whose steps wait for launches otherwise. That is so in
training, with batch normalisation and few rows; elsewhere the modules are called one after the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from graphpe.compiled.kernel import KINDS, has_kernels
from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.batches.real_rows import real_among
from graphpe.models.layers.gpu.batch_norm import normalized_sum, normalized_sum_backward
from graphpe.models.layers.gpu.few_rows import MOST_ROWS
from graphpe.models.layers.gpu.linear_relu import product_kind, product_relu
from graphpe.models.layers.gpu.relu import through_relu
from graphpe.models.layers.normalization import RowBatchNorm


def add_and_norm(
    norm: nn.Module, x: Tensor, hidden: Tensor, linear: nn.Linear, dropout: float = 0.0, other: Tensor | None = None
) -> Tensor:
    """norm(x + dropout(linear(hidden))) + other, `[N, D]`.

    Args:
        norm: The normalisation.
        x: `[N, D]`.
        hidden: `[N, K]`.
        linear: From K to D columns, with a bias.
        dropout: Probability of dropout; 0 outside training.
        other: What is added after the normalisation, `[N, D]`; None for nothing.
    """
    if not (isinstance(norm, RowBatchNorm) and _fused(norm, x, hidden, linear.weight)):
        out = norm(x + functional.dropout(linear(hidden), dropout, dropout > 0))
        return out if other is None else out + other
    parameters = (linear.weight, linear.bias, norm.weight, norm.bias)
    return _AddAndNorm.apply(x, hidden, other, *parameters, norm, product_kind(linear.weight), dropout)


def feed_forward_and_norm(
    norm: nn.Module,
    x: Tensor,
    expand: nn.Linear,
    contract: nn.Linear,
    *,
    inner_dropout: float = 0.0,
    dropout: float = 0.0,
) -> Tensor:
    """norm(x + dropout(contract(inner_dropout(relu(expand(x)))))), `[N, D]`.

    Args:
        norm: The normalisation.
        x: `[N, D]`.
        expand: From D to K columns, with a bias.
        contract: From K to D columns, with a bias.
        inner_dropout: Probability of dropout of the K columns; 0 outside training.
        dropout: Probability of dropout of what is added; 0 outside training.
    """
    if not (isinstance(norm, RowBatchNorm) and _fused(norm, x, contract.weight)):
        hidden = functional.dropout(torch.relu_(expand(x)), inner_dropout, inner_dropout > 0)
        return norm(x + functional.dropout(contract(hidden), dropout, dropout > 0))
    parameters = (expand.weight, expand.bias, contract.weight, contract.bias, norm.weight, norm.bias)
    return _FeedForwardAndNorm.apply(x, *parameters, norm, product_kind(contract.weight), inner_dropout, dropout)


def _fused(norm: RowBatchNorm, *rows: Tensor) -> bool:
    return (
        norm.training
        and norm.running_mean is not None
        and 2 <= rows[0].shape[0] <= MOST_ROWS
        and has_kernels(rows[0].device)
        and all(x.dtype in KINDS for x in rows)
    )


def _dropped(like: Tensor, probability: float) -> Dropped | None:
    if not probability:
        return None
    keep = torch.empty_like(like, dtype=torch.bool).bernoulli_(1 - probability)
    return Dropped(keep, 1 / (1 - probability) if probability < 1 else 0.0)


def _real(rows: int) -> Tensor | None:
    real = real_among(rows)
    return None if real is None else real.mask


class _AddAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        hidden: Tensor,
        other: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        norm: RowBatchNorm,
        kind: torch.dtype,
        dropout: float,
    ) -> Tensor:
        real, hidden = _real(len(x)), hidden.to(kind)
        with torch.autocast(x.device.type, enabled=False):
            product = functional.linear(hidden, weight.to(kind), bias.to(kind))
        dropped = _dropped(product, dropout)
        found = normalized_sum(norm, x, product, other, real, dropped)
        ctx.save_for_backward(hidden, weight, norm_weight, real, found.total, found.moments)
        ctx.dropped = dropped
        ctx.kinds = x.dtype, None if other is None else other.dtype
        return found.out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, norm_weight, real, total, moments = ctx.saved_tensors
        grad_x, above, (of_scale, of_shift, of_bias) = normalized_sum_backward(
            grad, total, moments, norm_weight, real, ctx.dropped
        )
        above = above.to(hidden.dtype)
        return (
            grad_x.to(ctx.kinds[0]),
            above @ weight.to(above.dtype),
            None if ctx.kinds[1] is None else grad.to(ctx.kinds[1]),
            (above.t() @ hidden).to(weight.dtype),
            *(of_bias, of_scale, of_shift, None, None, None),
        )


class _FeedForwardAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_1: Tensor,
        bias_1: Tensor,
        weight_2: Tensor,
        bias_2: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        norm: RowBatchNorm,
        kind: torch.dtype,
        inner_dropout: float,
        dropout: float,
    ) -> Tensor:
        real, rows = _real(len(x)), x.to(kind)
        hidden = product_relu(rows, weight_1.to(kind), bias_1.to(kind))
        hidden = functional.dropout(hidden, inner_dropout, inner_dropout > 0)
        with torch.autocast(x.device.type, enabled=False):
            product = functional.linear(hidden, weight_2.to(kind), bias_2.to(kind))
        dropped = _dropped(product, dropout)
        found = normalized_sum(norm, x, product, None, real, dropped)
        ctx.save_for_backward(rows, hidden, weight_1, weight_2, norm_weight, real, found.total, found.moments)
        ctx.dropped, ctx.kind = dropped, x.dtype
        ctx.kept = 1 / (1 - inner_dropout) if inner_dropout < 1 else 0.0
        return found.out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, hidden, weight_1, weight_2, norm_weight, real, total, moments = ctx.saved_tensors
        grad_total, above, (of_scale, of_shift, of_bias_2) = normalized_sum_backward(
            grad, total, moments, norm_weight, real, ctx.dropped
        )
        above = above.to(hidden.dtype)
        of_weight_2 = above.t() @ hidden
        grad_hidden, of_bias_1 = through_relu(above @ weight_2.to(above.dtype), hidden, weight_1.dtype, ctx.kept)
        if grad_total.dtype == weight_1.dtype == grad_hidden.dtype:  # nobody reads it after this
            grad_x = grad_total.addmm_(grad_hidden, weight_1)
        else:
            grad_x = grad_total + grad_hidden @ weight_1.to(above.dtype)
        of_weight_1 = grad_hidden.t() @ rows
        of = (of_weight_1.to(weight_1.dtype), of_bias_1, of_weight_2.to(weight_2.dtype), of_bias_2)
        return grad_x.to(ctx.kind), *of, of_scale, of_shift, *(None, None, None, None)
