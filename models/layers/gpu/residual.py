"""A layer's last steps, norm(x + W h + b) and norm(x + W_2 relu(W_1 x + b_1) + b_2), in few kernels on a GPU.

There are products and one kernel each way for what is between them: the normalisation
(`graphpe.models.layers.gpu.batch_norm`, `graphpe.models.layers.gpu.layer_norm`), both layers of a narrow network
(`graphpe.models.layers.gpu.two_layers`), and the gradients of weights (`graphpe.models.layers.gpu.weight_gradients`).
That is for batches of small graphs, whose steps wait for launches otherwise: with few rows, and batch normalisation in
training; elsewhere the modules are called one after the other.
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
from graphpe.models.layers.gpu.batch_norm import Normalized, normalized_sum, normalized_sum_backward
from graphpe.models.layers.gpu.few_rows import MOST_ROWS
from graphpe.models.layers.gpu.layer_norm import MOST_COLUMNS, layer_normalized, layer_normalized_backward
from graphpe.models.layers.gpu.linear_relu import linear_relu, product_kind
from graphpe.models.layers.gpu.two_layers import Activation, Between, two_layers, two_layers_backward
from graphpe.models.layers.gpu.weight_gradients import weight_gradients
from graphpe.models.layers.normalization import RowBatchNorm, RowLayerNorm

ACTIVATIONS = {"relu": torch.relu_, "gelu": functional.gelu}
"""By name; that of a ReLU writes over what it is given, a product that nobody else reads."""


def add_and_norm(
    norm: nn.Module,
    x: Tensor,
    hidden: Tensor,
    linear: nn.Linear,
    dropout: float = 0.0,
    other: Tensor | None = None,
    factor: Tensor | None = None,
) -> Tensor:
    """norm(x + factor dropout(linear(hidden))) + other, `[N, D]`.

    Args:
        norm: The normalisation.
        x: `[N, D]`.
        hidden: `[N, K]`.
        linear: From K to D columns, with a bias.
        dropout: Probability of dropout; 0 outside training.
        other: What is added after the normalisation, `[N, D]`; None for nothing.
        factor: Of each row that is added to x, `[N, 1]`; no gradient. None for 1.
    """
    if not _fused(norm, x, hidden, linear.weight):
        update = functional.dropout(linear(hidden), dropout, dropout > 0)
        out = norm(x + (update if factor is None else update * factor.to(update.dtype)))
        return out if other is None else out + other
    return _AddAndNorm.apply(x, hidden, other, factor, *_parameters(norm, linear), norm, dropout)[0]


def add_before_norm(
    norm: nn.Module, x: Tensor, hidden: Tensor, linear: nn.Linear, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """norm(s) and s = x + dropout(linear(hidden)), `[N, D]`: a layer norm in front of what comes next.

    Args:
        norm: The normalisation.
        x: `[N, D]`.
        hidden: `[N, K]`.
        linear: From K to D columns, with a bias.
        dropout: Probability of dropout; 0 outside training.
    """
    if not (isinstance(norm, RowLayerNorm) and _fused(norm, x, hidden, linear.weight)):
        x = x + functional.dropout(linear(hidden), dropout, dropout > 0)
        return norm(x), x
    return _AddAndNorm.apply(x, hidden, None, None, *_parameters(norm, linear), norm, dropout)


def feed_forward_and_norm(
    norm: nn.Module,
    x: Tensor,
    expand: nn.Linear,
    contract: nn.Linear,
    *,
    inner_dropout: float = 0.0,
    dropout: float = 0.0,
    activation: Activation = "relu",
) -> Tensor:
    """norm(x + dropout(contract(inner_dropout(relu(expand(x)))))), `[N, D]`.

    Args:
        norm: The normalisation.
        x: `[N, D]`.
        expand: From D to K columns, with a bias.
        contract: From K to D columns, with a bias.
        inner_dropout: Probability of dropout of the K columns; 0 outside training.
        dropout: Probability of dropout of what is added; 0 outside training.
        activation: `relu` or `gelu`.
    """
    if not _fused(norm, x, contract.weight):
        hidden = functional.dropout(ACTIVATIONS[activation](expand(x)), inner_dropout, inner_dropout > 0)
        return norm(x + functional.dropout(contract(hidden), dropout, dropout > 0))
    return _LayersAndNorm.apply(
        x, None, expand.weight, expand.bias, *_parameters(norm, contract), norm, activation, inner_dropout, dropout
    )[0]


def map_and_norm(
    norm: nn.Module, x: Tensor, sums: Tensor, first: nn.Linear, last: nn.Linear, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """norm(x + dropout(last(relu(first(sums))))), `[N, D]`, and x for whoever reads it after this.

    Args:
        norm: The normalisation.
        x: `[N, D]`.
        sums: `[N, C]`.
        first: From C to K columns, with a bias.
        last: From K to D columns, with a bias.
        dropout: Probability of dropout of what is added; 0 outside training.
    """
    if not _fused(norm, x, sums, last.weight):
        return norm(x + functional.dropout(last(linear_relu(sums, first)), dropout, dropout > 0)), x
    return _LayersAndNorm.apply(x, sums, first.weight, first.bias, *_parameters(norm, last), norm, "relu", 0.0, dropout)


def norm_and_add(
    norm: nn.Module,
    update: Tensor,
    given: Tensor | None,
    *,
    activation: Activation | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """`given + dropout(activation(norm(update)))`, `[N, D]`: the last steps of a convolution.

    Args:
        norm: The normalisation.
        update: `[N, D]`.
        given: What that is added to, `[N, D]`; None for nothing.
        activation: `relu` or `gelu`; None for none.
        dropout: Probability of dropout; 0 outside training.
    """
    rows = (update,) if given is None else (update, given)
    if isinstance(norm, RowBatchNorm) and activation != "gelu" and _fused(norm, *rows):
        return _NormAndAdd.apply(update, given, norm.weight, norm.bias, norm, activation == "relu", dropout)
    update = norm(update)
    if activation is not None:
        update = functional.relu(update) if activation == "relu" else functional.gelu(update)
    update = functional.dropout(update, dropout, dropout > 0)
    return update if given is None else given + update


def few_rows(*rows: Tensor) -> bool:
    """Whether kernels take these; the number of rows is that of the first.

    Args:
        *rows: Rows, and weights beside them.
    """
    if not has_kernels(rows[0].device):  # before numbers, which are symbols for `torch.compile`
        return False
    width = rows[0].shape[-1]
    count = rows[0].numel() // max(width, 1)
    return 0 < count <= MOST_ROWS and width <= MOST_COLUMNS and all(x.dtype in KINDS for x in rows)


def _fused(norm: nn.Module, *rows: Tensor) -> bool:
    if isinstance(norm, RowBatchNorm):
        return norm.training and norm.running_mean is not None and few_rows(*rows) and len(rows[0]) >= 2
    return isinstance(norm, RowLayerNorm) and few_rows(*rows)


def _parameters(norm: nn.Module, linear: nn.Linear) -> tuple[Any, ...]:
    return linear.weight, linear.bias, norm.weight, norm.bias


def dropped_of(x: Tensor, columns: int, probability: float) -> Dropped | None:
    """What dropout leaves of `columns` columns beside the rows of x; None for all.

    Args:
        x: `[N, D]`.
        columns: Their number.
        probability: Of dropout.
    """
    if not probability:
        return None
    keep = torch.empty(len(x), columns, dtype=torch.bool, device=x.device).bernoulli_(1 - probability)
    return Dropped(keep, 1 / (1 - probability) if probability < 1 else 0.0)


def _normalized(
    norm: nn.Module, x: Tensor, added: Tensor, other: Tensor | None, dropped: Dropped | None, factor: Tensor | None
) -> tuple[Normalized, Tensor | None]:
    """The normalised sum, and which rows are real, for batch normalisation."""
    if isinstance(norm, RowLayerNorm):
        return layer_normalized(norm, x, added, other, dropped, factor), None
    assert isinstance(norm, RowBatchNorm)
    real = real_among(len(x))
    mask = None if real is None else real.mask
    return normalized_sum(norm, x, added, other, mask, dropped, factor), mask


def _normalized_backward(
    ctx: Any, grad: Tensor, saved: tuple[Tensor, ...], more: Tensor | None, passed: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, of what was added to it, and of the normalisation's weight and bias."""
    total, moments, weight, real, factor = saved
    options = {"dropped": ctx.dropped, "passed": passed, "factor": factor}
    if ctx.of_rows:
        return layer_normalized_backward(grad, total, moments, weight, more=more, **options)
    assert more is None, "nobody is given the sum before batch normalisation"
    return normalized_sum_backward(grad, total, moments, weight, real, **options)


class _AddAndNorm(torch.autograd.Function):
    """norm(s) + other and s = x + factor * (W hidden + b)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        hidden: Tensor,
        other: Tensor | None,
        factor: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        norm: nn.Module,
        dropout: float,
    ) -> tuple[Tensor, Tensor]:
        kind = product_kind(weight)
        hidden_kind, hidden = hidden.dtype, hidden.to(kind)
        with torch.autocast(x.device.type, enabled=False):
            product = functional.linear(hidden, weight.to(kind), bias.to(kind))
        ctx.dropped, ctx.of_rows = dropped_of(x, product.shape[1], dropout), isinstance(norm, RowLayerNorm)
        found, real = _normalized(norm, x, product, other, ctx.dropped, factor)
        ctx.save_for_backward(hidden, weight, found.total, found.moments, norm_weight, real, factor)
        ctx.kinds = x.dtype, hidden_kind, None if other is None else other.dtype
        ctx.set_materialize_grads(False)
        return found.out, found.total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, more: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, *saved = ctx.saved_tensors
        if grad is None:
            grad = torch.zeros_like(saved[0])
        of_x, above, (of_scale, of_shift) = _normalized_backward(ctx, grad, saved, more, None)
        above = above.to(hidden.dtype)
        ((of_weight, of_bias),) = weight_gradients((above, hidden), dtype=weight.dtype)
        kind, hidden_kind, other_kind = ctx.kinds
        of_other = None if other_kind is None else grad.to(other_kind)
        of_hidden = (above @ weight.to(above.dtype)).to(hidden_kind)
        return of_x.to(kind), of_hidden, of_other, None, of_weight, of_bias, of_scale, of_shift, None, None


class _LayersAndNorm(torch.autograd.Function):
    """norm(x + two layers of y), and x. Without y, of x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor | None,
        weight_1: Tensor,
        bias_1: Tensor,
        weight_2: Tensor,
        bias_2: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        norm: nn.Module,
        activation: Activation,
        inner_dropout: float,
        dropout: float,
    ) -> tuple[Tensor, Tensor]:
        kind = product_kind(weight_2)
        rows = (x if y is None else y).to(kind)
        first, last = (weight_1.to(kind), bias_1.to(kind)), (weight_2.to(kind), bias_2.to(kind))
        inner = dropped_of(x, weight_1.shape[0], inner_dropout)
        between, product = two_layers(rows, first, last, inner, activation)
        ctx.dropped, ctx.of_rows = dropped_of(x, product.shape[1], dropout), isinstance(norm, RowLayerNorm)
        found, real = _normalized(norm, x, product, None, ctx.dropped, None)
        arrays = (rows, weight_1, weight_2, *between, found.total, found.moments, norm_weight, real, None)
        ctx.save_for_backward(*arrays)
        ctx.kinds, ctx.inner, ctx.activation = (x.dtype, None if y is None else y.dtype), inner, activation
        ctx.set_materialize_grads(False)
        return found.out, x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, passed: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return passed, *[None] * 11
        rows, weight_1, weight_2, hidden, before, *saved = ctx.saved_tensors
        of_x, above, (of_scale, of_shift) = _normalized_backward(ctx, grad, saved, None, passed)
        above, kind, own = above.to(hidden.dtype), hidden.dtype, ctx.kinds[1] is None
        of_before, of_rows = two_layers_backward(
            above,
            Between(hidden, before),
            *(weight_1.to(kind), weight_2.to(kind), ctx.inner, ctx.activation),
            other=of_x if own else None,  # nobody reads it after this
        )
        first, last = weight_gradients((of_before, rows), (above, hidden), dtype=weight_1.dtype)
        of_x, of_y = (of_rows, None) if own else (of_x, of_rows.to(ctx.kinds[1]))
        return of_x.to(ctx.kinds[0]), of_y, *first, *last, of_scale, of_shift, *(None, None, None, None)


class _NormAndAdd(torch.autograd.Function):
    """The sum `given + dropout(relu(norm(a)))`."""

    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        given: Tensor | None,
        norm_weight: Tensor,
        norm_bias: Tensor,
        norm: RowBatchNorm,
        relu: bool,
        dropout: float,
    ) -> Tensor:
        real = real_among(len(a))
        mask = None if real is None else real.mask
        ctx.dropped, ctx.relu = dropped_of(a, a.shape[1], dropout), relu
        found = normalized_sum(norm, a, None, given, mask, ctx.dropped, relu=relu)
        ctx.save_for_backward(found.total, found.moments, norm_weight, norm_bias, mask)
        ctx.kind = None if given is None else given.dtype
        return found.out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        total, moments, weight, bias, real = ctx.saved_tensors
        of_a, _, (of_scale, of_shift) = normalized_sum_backward(
            grad, total, moments, weight, real, ctx.dropped, last=bias, relu=ctx.relu
        )
        return of_a, None if ctx.kind is None else grad.to(ctx.kind), of_scale, of_shift, None, None, None
