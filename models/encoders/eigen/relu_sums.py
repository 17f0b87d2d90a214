"""Sums over the columns of relu(A B^T) without keeping the product: a readable reference and a fast path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def relu_sums(left: Tensor, right: Tensor) -> Tensor:
    """sum_j relu(left_i . right_j) for each row i, `[b, r]`: as `relu_sums_reference`, in pieces.

    On a CPU a piece of the product stays in cache. The backward pass computes the pieces again, so that nothing of the
    product's size is kept. Second derivatives are not available. Under `torch.compile` it is the reference. To be
    called outside of autocast, with both factors in one precision.

    Args:
        left: `[b, r, R]`.
        right: `[b, n, R]`.
    """
    if torch.compiler.is_compiling():
        return relu_sums_reference(left, right)
    return _ReluSums.apply(left, right)


def relu_sums_reference(left: Tensor, right: Tensor) -> Tensor:
    """The same as `relu_sums`; keeps the product, b r n numbers, for the backward pass.

    Args:
        left: `[b, r, R]`.
        right: `[b, n, R]`.
    """
    return torch.bmm(left, right.transpose(1, 2)).relu().sum(2)


class _ReluSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        out = left.new_empty(left.shape[:2])
        for graphs, rows in _pieces(left, right):
            product = torch.bmm(left[graphs, rows], right[graphs].transpose(1, 2))
            torch.sum(product.relu_(), 2, out=out[graphs, rows])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        grad_left, grad_right = torch.empty_like(left), torch.zeros_like(right)
        with torch.autocast(left.device.type, enabled=False):  # a backward pass may run inside of autocast
            for graphs, rows in _pieces(left, right):
                a, b, g = left[graphs, rows], right[graphs], grad[graphs, rows].unsqueeze(2)
                on = torch.bmm(a, b.transpose(1, 2)).gt_(0)  # the derivative of ReLU
                torch.mul(torch.bmm(on, b), g, out=grad_left[graphs, rows])
                grad_right[graphs].baddbmm_(on.transpose(1, 2), a * g)
        return grad_left, grad_right


def _pieces(left: Tensor, right: Tensor) -> Iterator[tuple[slice, slice]]:
    """Slices of graphs and rows whose product has about as many numbers as a cache holds; any number on a GPU."""
    limit = 1 << 18 if left.device.type == "cpu" else 1 << 26
    count, length, n = left.shape[0], left.shape[1], max(right.shape[1], 1)
    graphs = max(limit // max(length * n, 1), 1)
    rows = max(limit // n, 1) if graphs == 1 else max(length, 1)
    for first in range(0, count, graphs):
        for row in range(0, length, rows):
            yield slice(first, first + graphs), slice(row, row + rows)
