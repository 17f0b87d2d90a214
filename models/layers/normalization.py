"""Normalisation of node or edge rows."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from graphpe.models.batches.real_rows import RealRows, real_among
from graphpe.models.layers.precision import HALF, ExactBuffers, exactly

Norm = Literal["batch", "layer"]
NormOrNone = Literal["batch", "layer", "none"]


class RowBatchNorm(ExactBuffers, nn.BatchNorm1d):
    """Batch normalisation over rows, defined for any number of them.

    In training, torch raises for a single row, which has no variance; a batch of one node, or of one edge, is such a
    case. Fewer than two rows are normalised with the running statistics here, which stay as they are. Statistics are in
    float32 for parameters in half precision, and of the real rows in a padded batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """From `[rows, width]` to `[rows, width]`.

        Args:
            x: Rows, `[rows, width]`.
        """
        real = real_among(x.shape[0]) if self.training else None
        if real is not None:
            return self._of_real_rows(x, real)
        training = self.training
        if training and x.shape[0] < 2:  # a branch, and no comparison: for `torch.compile` the number is a symbol
            training = False
        half = self.weight.dtype in HALF
        if not half and training == self.training:
            return super().forward(x)
        if training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        rows, weight, bias = (exactly(part) if half else part for part in (x, self.weight, self.bias))
        momentum = 0.1 if self.momentum is None else self.momentum
        statistics = (self.running_mean, self.running_var)
        return functional.batch_norm(rows, *statistics, weight, bias, training, momentum, self.eps).to(x.dtype)

    def _of_real_rows(self, x: Tensor, real: RealRows) -> Tensor:
        rows, weight, bias = (exactly(part) for part in (x, self.weight, self.bias))
        mean, variance = real.statistics(rows.detach())
        self.count(mean, variance, real.correction)
        return _NormalizedRows.apply(rows, weight, bias, mean, variance, real.share(rows.dtype), self.eps).to(x.dtype)

    @torch.no_grad()
    def count(self, mean: Tensor, variance: Tensor, correction: Tensor | float) -> None:
        """Count rows with this mean and biased variance in the running statistics.

        Args:
            mean: `[D]`.
            variance: `[D]`.
            correction: R / (R - 1) for R rows.
        """
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * correction).to(self.running_var.dtype), momentum)


class _NormalizedRows(torch.autograd.Function):
    """Batch normalisation by the statistics of real rows, whose gradient goes to the real rows alone.

    Dummy rows have gradients of zero above, so that sums over all rows are those over the real ones.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, share: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, share)
        ctx.eps = eps
        return functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, share = ctx.saved_tensors
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        # What the mean and the variance pass on: w s (sum g + x^ sum g x^) / R for x^ = (x - mean) s.
        inverse = torch.rsqrt(variance + ctx.eps)
        scale = weight * inverse
        slope = scale * inverse * grad_weight
        through = torch.addcmul(scale * grad_bias - mean * slope, x, slope)
        grad_x = torch.addcmul(grad_x, share.t(), through, value=-1)
        return grad_x, grad_weight, grad_bias, None, None, None, None


class RowLayerNorm(nn.LayerNorm):
    """Layer normalisation; in float32 for parameters in half precision, whatever the rows are in."""

    def forward(self, x: Tensor) -> Tensor:
        """From `[..., width]` to `[..., width]`.

        Args:
            x: Rows, `[..., width]`.
        """
        if self.weight.dtype not in HALF:
            return super().forward(x)
        weight, bias = exactly(self.weight), exactly(self.bias)
        return functional.layer_norm(exactly(x), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


def build_norm(norm: NormOrNone, width: int) -> nn.Module:
    """A normalisation layer by name.

    Args:
        norm: `batch`, `layer`, or `none` for rows as they are.
        width: Width of the rows.
    """
    if norm == "none":
        return nn.Identity()
    return RowBatchNorm(width) if norm == "batch" else RowLayerNorm(width)
