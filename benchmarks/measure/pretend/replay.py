"""A step recorded on the pretended accelerator and replayed into the same memory, as a graph of CUDA's kernels is.

Recording refuses what CUDA refuses while it captures: waits for the device, and copies from the host. What a replay
does not do is what the host did: choices, numbers and shapes are those of the recorded step. So a step whose replay on
other numbers is not what the step itself gives cannot be captured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from graphpe.benchmarks.measure.pretend.events import Seen
from graphpe.benchmarks.measure.pretend.tensors import There

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
            CannotCaptureError: The host waits in it, or copies to the device.
        """
        before = [(tensor, tensor.detach().clone()) for tensor in self.kept()]
        random = torch.get_rng_state()
        first = len(self.seen.events)
        with _Recorder() as recorder:
            out = step()
        refused = [event for event in self.seen.events[first:] if event.kind in ("sync", "copy")]
        if refused:
            raise CannotCaptureError("; ".join(f"{event.op} at {event.where}" for event in refused[:5]))
        for tensor, value in before:
            tensor.detach().copy_(value)
        torch.set_rng_state(random)
        return partial(self._replay, recorder.calls, out)

    def _replay(self, calls: list[tuple[Any, Any, Any, Any]], out: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.replays += 1
        with torch.no_grad():
            for func, args, kwargs, result in calls:
                again = func(*args, **kwargs)
                for held, made in zip(tree_leaves(result), tree_leaves(again), strict=True):
                    if isinstance(held, There) and held is not made:
                        _write(held, made)
        return out


def _write(held: There, made: There) -> None:
    """What an operation made again, where it was; views are there already."""
    if held.here.untyped_storage().data_ptr() != made.here.untyped_storage().data_ptr():
        held.here.copy_(made.here)


class _Recorder(TorchDispatchMode):
    """Notes operations with what they gave."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, There) for leaf in tree_leaves((args, kwargs, out))):
            self.calls.append((func, args, kwargs or {}, out))
        return out
