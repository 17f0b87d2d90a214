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


ALIKE = 1e-5
"""Rows whose deviation in a channel is at most this share of its mean are alike there: the rest is rounding, or the
1e-6 that keeps a mean over no neighbours finite. Normalised, it would grow 316-fold with every layer."""


class RowBatchNorm(ExactBuffers, nn.BatchNorm1d):
    """Batch normalisation over rows, defined for any number of them.

    In training, torch raises for a single row, which has no variance; a batch of one node, or of one edge, is such a
    case. Fewer than two rows are normalised with the running statistics here, which stay as they are. Where all rows
    are alike (`ALIKE`) the result is the bias, in training and, for channels that never varied in training, in
    evaluation: torch divides rounding by sqrt(eps). Statistics are in float32 for parameters in half precision, and of
    the real rows in a padded batch.
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
        rows, weight, bias = (exactly(part) if half else part for part in (x, self.weight, self.bias))
        out = self._of_this_batch(rows, weight, bias) if training else self._of_running(rows, weight, bias)
        return out.to(x.dtype) if half else out

    def _of_this_batch(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if not rows.is_cpu:
            variance, mean = torch.var_mean(rows.detach(), 0, correction=0)
            weight = torch.where(alike(mean, variance), 0.0, weight)
            statistics = (self.running_mean, self.running_var)
            self.num_batches_tracked.add_(1)
            return functional.batch_norm(rows, *statistics, weight, bias, True, self.used_momentum, self.eps)
        # On a CPU that is a slow pass. With a momentum of 1, torch leaves the statistics of the batch there.
        mean, variance = torch.zeros(2, rows.shape[1], dtype=self.running_mean.dtype).unbind(0)
        out = functional.batch_norm(rows, mean, variance, weight, bias, True, 1.0, self.eps)
        self.count(mean, variance, 1.0)
        same = alike(mean, variance)
        if torch.compiler.is_compiling() or bool(same.any()):
            out = torch.where(same, bias.to(out.dtype), out)
        return out

    def _of_running(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_var
        weight = torch.where(self.never_varied(), 0.0, weight)
        return functional.batch_norm(rows, mean, variance, weight, bias, False, 0.0, self.eps)

    def never_varied(self) -> Tensor:
        """Which channels had no variance in any batch of training, `[D]`: what is left is the 1 of the start."""
        assert self.running_mean is not None
        assert self.running_var is not None
        start = (1 - self.used_momentum) ** self.num_batches_tracked
        trained = self.num_batches_tracked > 0
        return (self.running_var <= start * 1.00001 + (ALIKE * self.running_mean).square()) & trained

    @property
    def used_momentum(self) -> float:
        """What a batch moves the running statistics by."""
        return 0.1 if self.momentum is None else self.momentum

    def _of_real_rows(self, x: Tensor, real: RealRows) -> Tensor:
        rows, weight, bias = (exactly(part) for part in (x, self.weight, self.bias))
        mean, variance = real.statistics(rows.detach())
        self.count(mean, variance, real.correction)
        weight = torch.where(alike(mean, variance), 0.0, weight)
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
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.used_momentum)
        if not isinstance(correction, float) or correction != 1.0:
            variance = variance * correction
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.used_momentum)


def alike(mean: Tensor, variance: Tensor) -> Tensor:
    """In which channels all rows are alike, `[D]`: `ALIKE`.

    Args:
        mean: `[D]`.
        variance: `[D]`.
    """
    return torch.addcmul(variance, mean, mean, value=-(ALIKE**2)) <= 0


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
