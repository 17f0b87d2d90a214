"""Averages of weights over steps (Polyak and Juditsky 1992), which a run is judged by and keeps as its best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from graphpe.errors import GraphPERuntimeError


class AverageWeights:
    """An exponential moving average of a model's weights and running statistics: a <- d a + (1 - d) w after each step.

    It begins with the weights that the run begins with, and is in float32 or better. What is counted in integers is the
    model's own. As `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn(d)` and `use_buffers`, which begins
    with the weights after the first step.

    Args:
        model: The model.
        decay: d.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._own = {
            name: value.detach()
            for name, value in model.state_dict(keep_vars=True).items()
            if value.is_floating_point() or value.is_complex()
        }
        self._average = {
            name: value.to(torch.promote_types(value.dtype, torch.float32), copy=True)
            for name, value in self._own.items()
        }
        self._decay = decay

    @torch.no_grad()
    def update(self) -> None:
        """Count the weights of now in."""
        average = list(self._average.values())
        now = [own.to(mean.dtype) for own, mean in zip(self._own.values(), average, strict=True)]
        torch._foreach_lerp_(average, now, 1 - self._decay)

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """A time in which the model has the averages for its weights. Tensors stay where they are."""
        kept = {name: own.clone() for name, own in self._own.items()}
        self._copy(self._average)
        try:
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, own in self._own.items():
            own.copy_(values[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the names of the weights."""
        return dict(self._average)

    @torch.no_grad()
    def load_state_dict(self, values: object) -> None:
        """Take averages of a checkpoint.

        Args:
            values: What `state_dict` gave.

        Raises:
            GraphPERuntimeError: They are another model's.
        """
        shapes = {name: value.shape for name, value in self._average.items()}
        found = {name: value.shape for name, value in values.items()} if isinstance(values, dict) else None
        if not isinstance(values, dict) or found != shapes:
            raise GraphPERuntimeError("the averages of its weights are missing, or another model's; start a new run")
        for name, value in self._average.items():
            value.copy_(values[name])


def judged(average: AverageWeights | None) -> AbstractContextManager[None]:
    """A time in which the model has the weights that its run is judged by: averages, if there are any.

    Args:
        average: The average of its weights, if the run keeps one.
    """
    return nullcontext() if average is None else average.in_model()


def judged_weights(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a checkpoint that its run is judged by: averages, if there are any.

    Args:
        content: What it holds.
    """
    weights = dict(content["model"])
    for name, value in (content.get("average") or {}).items():
        weights[name] = value.to(weights[name].dtype)
    return weights
