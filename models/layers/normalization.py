"""Normalisation of node or edge rows."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from graphpe.models.layers.precision import HALF, ExactBuffers, exactly

Norm = Literal["batch", "layer"]


class RowBatchNorm(ExactBuffers, nn.BatchNorm1d):
    """Batch normalisation over rows, defined for any number of them.

    In training, torch raises for a single row, which has no variance; a batch of one node, or of one edge, is such a
    case. Fewer than two rows are normalised with the running statistics here, which stay as they are. Statistics are in
    float32 for parameters in half precision.
    """

    def forward(self, x: Tensor) -> Tensor:
        """From `[rows, width]` to `[rows, width]`.

        Args:
            x: Rows, `[rows, width]`.
        """
        training = self.training and x.shape[0] >= 2
        half = self.weight.dtype in HALF
        if not half and training == self.training:
            return super().forward(x)
        if training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        rows, weight, bias = (exactly(part) if half else part for part in (x, self.weight, self.bias))
        momentum = 0.1 if self.momentum is None else self.momentum
        statistics = (self.running_mean, self.running_var)
        return functional.batch_norm(rows, *statistics, weight, bias, training, momentum, self.eps).to(x.dtype)


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


def build_norm(norm: Norm, width: int) -> nn.Module:
    """A normalisation layer by name.

    Args:
        norm: `batch` or `layer`.
        width: Width of the rows.
    """
    return RowBatchNorm(width) if norm == "batch" else RowLayerNorm(width)
