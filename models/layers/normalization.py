"""Normalisation of node or edge rows."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from graphpe.models.batches.real_rows import real_among
from graphpe.models.layers.precision import HALF, ExactBuffers, exactly

Norm = Literal["batch", "layer"]
NormOrNone = Literal["batch", "layer", "none"]


ALIKE = 1e-5
"""Rows whose deviation in a channel is at most this share of the numbers there, or of 1, are alike: it is rounding, or
the 1e-6 that keeps a mean over no neighbours finite. Normalised, it would grow 316-fold with every layer."""

GROUP = 8
"""Channels whose numbers count together for that: sums that cancel in one of them are rounded as those of the others
are. As many as a program of the kernels has."""


class RowBatchNorm(ExactBuffers, nn.BatchNorm1d):
    """Batch normalisation over rows, defined for any number of them.

    In training, torch raises for a single row, which has no variance; a batch of one node, or of one edge, is such a
    case. Fewer than two rows are normalised with the running statistics here, which stay as they are. Where all rows
    are alike (`ALIKE`) the result is the bias, in training and, for channels that never varied in training, in
    evaluation: torch divides rounding by sqrt(eps). Their gradient is that of rows with a variance of 1, so that what
    will tell rows apart (an encoding whose map starts at zero) is learnt, and none grows 316-fold. Statistics are in
    float32 for parameters in half precision, and of the real rows in a padded batch.

    Args:
        width: Number of channels.
        own_scales: Whether each channel has a scale of its own, as raw encodings have.
    """

    def __init__(self, width: int, *, own_scales: bool = False) -> None:
        super().__init__(width)
        self.group = 1 if own_scales else GROUP

    def forward(self, x: Tensor) -> Tensor:
        """From `[rows, width]` to `[rows, width]`.

        Args:
            x: Rows, `[rows, width]`.
        """
        real = real_among(x.shape[0]) if self.training else None
        if real is not None:
            mean, variance = real.statistics(x.detach())
            return self._by_statistics(x, mean, variance, real.share(mean.dtype), real.correction)
        # Branches, and no comparison: for `torch.compile` the number is a symbol.
        if not self.training or x.shape[0] < 2:
            return self._of_running(x)
        if torch.compiler.is_compiling() or not x.is_cpu:
            rows = x.detach().to(torch.promote_types(x.dtype, torch.float32))
            variance, mean = torch.var_mean(rows, 0, correction=0)
            return self._by_statistics(x, mean, variance, *self._of_all(rows))
        return self._of_this_batch(x)

    def _of_this_batch(self, x: Tensor) -> Tensor:
        """On a CPU, where a pass for statistics alone costs more than all the rest."""
        rows, weight, bias = self._exact(x)
        assert self.running_mean is not None
        # With a momentum of 1, torch leaves the statistics of the batch there.
        mean, variance = torch.zeros(2, rows.shape[1], dtype=self.running_mean.dtype).unbind(0)
        out = functional.batch_norm(rows, mean, variance, weight, bias, True, 1.0, self.eps)
        # Those of torch's are off by some 1e-5 of the mean: enough to say when to look.
        if bool(variance.amin() <= 1e-6 * torch.addcmul(variance, mean, mean).amax().clamp(min=1)):
            exact = rows.detach().to(torch.promote_types(rows.dtype, torch.float32))
            mean_of_all = exact.mean(0)
            variance_of_all = (exact - mean_of_all).square().mean(0)
            if bool(alike(mean_of_all, variance_of_all, self.group).any()):
                return self._by_statistics(x, mean_of_all, variance_of_all, *self._of_all(exact))
        self.count(mean, variance, 1.0)
        return out.to(x.dtype)

    def _exact(self, x: Tensor) -> tuple[Tensor, ...]:
        """Rows, weight and bias, in float32 for parameters in half precision."""
        parts = (x, self.weight, self.bias)
        return tuple(map(exactly, parts)) if self.weight.dtype in HALF else parts

    @staticmethod
    def _of_all(rows: Tensor) -> tuple[Tensor, float]:
        """The share of each row in a mean, `[1, R]`, and R / (R - 1)."""
        count = rows.shape[0]
        return rows.new_full((1, count), 1 / count), count / (count - 1)

    def _of_running(self, x: Tensor) -> Tensor:
        rows, weight, bias = self._exact(x)
        weight = torch.where(self.never_varied(), 0.0, weight)
        out = functional.batch_norm(rows, self.running_mean, self.running_var, weight, bias, False, 0.0, self.eps)
        return out.to(x.dtype)

    def never_varied(self) -> Tensor:
        """Which channels had no variance in any batch of training, `[D]`: what is left is the 1 of the start."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        start = (1 - self.used_momentum) ** self.num_batches_tracked
        trained = self.num_batches_tracked > 0
        # The 1 of the start is there to rounding.
        return alike(self.running_mean, self.running_var - start * 1.00001, self.group) & trained

    @property
    def used_momentum(self) -> float:
        """What a batch moves the running statistics by."""
        return 0.1 if self.momentum is None else self.momentum

    def _by_statistics(
        self, x: Tensor, mean: Tensor, variance: Tensor, share: Tensor, correction: Tensor | float
    ) -> Tensor:
        """Rows by their mean and biased variance, which are counted."""
        self.count(mean, variance, correction)
        rows, weight, bias = (exactly(part) for part in (x, self.weight, self.bias))
        return _NormalizedRows.apply(rows, weight, bias, mean, variance, share, self.eps, self.group).to(x.dtype)

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


def alike(mean: Tensor, variance: Tensor, group: int) -> Tensor:
    """In which channels all rows are alike, `[D]`: `ALIKE`.

    Args:
        mean: `[D]`.
        variance: `[D]`.
        group: How many adjacent channels are of one scale.
    """
    width, level = len(mean), torch.addcmul(variance, mean, mean)
    if group > 1:
        level = functional.pad(level, (0, -width % group)).view(-1, group).mean(1).clamp(min=1)
        level = level.repeat_interleave(group, output_size=len(level) * group)[:width]
    return variance <= ALIKE**2 * level


class _NormalizedRows(torch.autograd.Function):
    """Batch normalisation by statistics that are known, whose gradient goes to the real rows alone.

    Rows that are alike are their mean here, with a variance of 1. Dummy rows have gradients of zero above, so that sums
    over all rows are those over the real ones.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        share: Tensor,
        eps: float,
        group: int,
    ) -> Tensor:
        same = alike(mean, variance, group)
        x, variance = torch.where(same, mean.to(x.dtype), x), torch.where(same, 1.0, variance)
        ctx.save_for_backward(x, weight, mean, variance, share)
        ctx.eps = eps
        out = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        return torch.where(same, bias, out)

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
        return grad_x, grad_weight, grad_bias, *(None, None, None, None, None)


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
