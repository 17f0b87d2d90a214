"""Adaptive gradient clipping: Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021.

What changes a unit is at most a share of the unit's own weights. A unit is what feeds one output: a row of a matrix, a
column of a table of embeddings, a vector of biases or scales as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

LEAST_NORM = 1e-3
"""Weights of a smaller norm count as this, so that those that start at zero can leave it."""

_TINY = 1e-6


class Units(NamedTuple):
    """A weight, and over which dimensions the norm of its units is.

    Attributes:
        weight: The weight.
        over: Dimensions.
    """

    weight: nn.Parameter
    over: tuple[int, ...]


def units_of(model: nn.Module) -> list[Units]:
    """The units of all weights of a model that are trained.

    Args:
        model: The model.
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}

    def over(weight: Tensor) -> tuple[int, ...]:
        if weight.squeeze().dim() < 2:
            return tuple(range(weight.dim()))
        return (0,) if id(weight) in tables else tuple(range(1, weight.dim()))

    return [Units(weight, over(weight)) for weight in model.parameters() if weight.requires_grad]


@torch.no_grad()
def clip_gradients(units: Sequence[Units], most: float) -> None:
    """Scale gradients of units down, in place: g <- g min(1, most max(|w|, 0.001) / |g|).

    Args:
        units: The units.
        most: Largest norm of a unit's gradient, as a share of that of its weights.
    """
    for weight, over in units:
        if weight.grad is not None:
            weight.grad.mul_(_factor(weight.grad, weight, over, most))


class UpdateClipping:
    """Scales down what a step of an optimizer changes, in the same way: |w - w_before| <= most max(|w_before|, 0.001).

    Args:
        units: The units.
        most: Largest norm of a unit's change, as a share of that of its weights before.
    """

    def __init__(self, units: Sequence[Units], most: float) -> None:
        self._units, self._most = units, most
        self._before = [torch.empty_like(weight, requires_grad=False) for weight, _ in units]

    @torch.no_grad()
    def before(self) -> None:
        """Keep the weights, before a step."""
        for (weight, _), kept in zip(self._units, self._before, strict=True):
            kept.copy_(weight)

    @torch.no_grad()
    def after(self) -> None:
        """Scale the change, after the step."""
        for (weight, over), before in zip(self._units, self._before, strict=True):
            change = weight - before
            weight.copy_(before + change * _factor(change, before, over, self._most))


def _factor(change: Tensor, weight: Tensor, over: tuple[int, ...], most: float) -> Tensor:
    """What units are scaled by, at most 1."""
    allowed = most * _norm(weight, over).clamp(min=LEAST_NORM)
    return (allowed / _norm(change, over).clamp(min=_TINY)).clamp(max=1).to(change.dtype)


def _norm(values: Tensor, over: tuple[int, ...]) -> Tensor:
    return torch.linalg.vector_norm(values, dim=over or None, keepdim=True, dtype=torch.float32)
