"""A step recorded on the pretended accelerator and replayed into the same memory, as a graph of CUDA's kernels is.

Recording refuses what CUDA refuses while it captures: waits for the device, copies from the host, and questions for the
state of its generator. What a replay
does not do is what the host did: choices, numbers and shapes are those of the recorded step. So a step whose replay on
other numbers is not what the step itself gives cannot be captured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from graphpe.benchmarks.measure.pretend.events import Seen
from graphpe.benchmarks.measure.pretend.tensors import DEVICE, There

Step = Callable[[], tuple[Tensor, ...]]


class CannotCaptureError(RuntimeError):
    """What a step does cannot be captured."""


class Recorded:
    """Captures by recording operations, for `graphpe.benchmarks.training.steps.captured.CapturedSteps`.

    Unlike CUDA's, a recording makes the step: what it changes is put back.

    Args:
        seen: What happens on the device.
        kept: Tensors that a step changes: weights, buffers, the optimizer's state.
    """

    def __init__(self, seen: Seen, kept: Callable[[], list[Tensor]]) -> None:
        self.seen, self.kept = seen, kept
        self.replays = 0

    def warm_up(self, step: Step) -> tuple[Tensor, ...]:
        """Make a step.

        Args:
            step: The step.
        """
        return step()

    def capture(self, step: Step) -> Step:
        """Record a step.

        Args:
            step: The step.

        Raises:
            CannotCaptureError: The host waits in it, copies to the device, or asks for its generator's state.
        """
        before = [(tensor, tensor.detach().clone()) for tensor in self.kept()]
        random = torch.get_rng_state()
        first = len(self.seen.events)
        with _Recorder() as recorder, patch.object(torch.get_device_module(DEVICE), "get_rng_state", _refused):
            out = step()
        refused = [event for event in self.seen.events[first:] if event.kind in ("sync", "copy")]
        if refused:
            raise CannotCaptureError("; ".join(f"{event.op} at {event.where}" for event in refused[:5]))
        for tensor, value in before:
            tensor.detach().copy_(value)
        torch.set_rng_state(random)
        return partial(self._replay, recorder.calls, out)

    def _replay(self, calls: list[_Call], out: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.replays += 1
        with torch.no_grad():
            for call in calls:
                again = call.func(*call.args, **call.kwargs)
                for held, made in zip(call.made, tree_leaves(again), strict=True):
                    # Views, and what was written to, are there already.
                    if held is not None and _memory(held) != _memory(made.here):
                        held.copy_(made.here)
        return out


def _refused(device: Any = None) -> Tensor:
    raise CannotCaptureError("the state of the device's generator is asked for")


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


class _Call(NamedTuple):
    """An operation, and the numbers that it gave on the device, as they lay then."""

    func: Any
    args: Any
    kwargs: Any
    made: list[Tensor | None]


class _Recorder(TorchDispatchMode):
    """Notes operations with what they gave."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        there = any(isinstance(leaf, There) for leaf in tree_leaves((args, kwargs, out)))
        if there and torch.Tag.inplace_view not in func.tags:  # which changes a shape, and no number
            made = [leaf.here.detach() if isinstance(leaf, There) else None for leaf in tree_leaves(out)]
            self.calls.append(_Call(func, args, kwargs or {}, made))
        return out
