"""Normalisation of node or edge rows."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Norm = Literal["batch", "layer"]


class RowBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over rows, defined for any number of them.

    In training, torch raises for a single row, which has no variance; a batch of one node, or of one edge, is such a
    case. Fewer than two rows are normalised with the running statistics here, which stay as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """From `[rows, width]` to `[rows, width]`."""
        if self.training and x.shape[0] < 2:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def build_norm(norm: Norm, width: int) -> nn.Module:
    """A normalisation layer by name."""
    return RowBatchNorm(width) if norm == "batch" else nn.LayerNorm(width)
