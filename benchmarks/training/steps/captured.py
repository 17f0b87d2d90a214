"""Steps of training that are captured once for each shape of batches, and replayed on other numbers.

A step of a few hundred small kernels takes a GPU less time than the host needs to ask for them. Captured, they are one
request: the same kernels on the same memory. So a batch is copied into tensors that stay where they are, and what
changes from step to step without being a number in these (the learning rate, the seed of dropout) is on the device too.

The first step of a shape is made as any other, on these tensors; it also warms up what is lazy. The second one is
captured, and that and all later ones are replays. Batches without a shape are steps as any other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch_geometric.data import Batch

from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.to_pyg import ON_HOST
from graphpe.models.batches.nodes import PADDED_TO

Compute = Callable[[Batch], tuple[Tensor, ...]]
Step = Callable[[], tuple[Tensor, ...]]


class Engine(Protocol):
    """What captures and replays on a kind of device."""

    def warm_up(self, step: Step) -> tuple[Tensor, ...]:
        """Make a step so that it can be captured next time.

        Args:
            step: The step.
        """
        ...

    def capture(self, step: Step) -> Step:
        """Capture a step without making it: what replays it, and gives its results where they are then.

        Args:
            step: The step.
        """
        ...


class CudaGraphs:
    """Captures CUDA graphs, which share one pool of memory: one runs at a time, and what it gives is copied."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, step: Step) -> tuple[Tensor, ...]:
        """Make a step on the stream that captures.

        Args:
            step: The step.
        """
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            out = step()
        torch.cuda.current_stream().wait_stream(self._stream)
        return out

    def capture(self, step: Step) -> Step:
        """Capture a step.

        Args:
            step: The step.

        Raises:
            GraphPERuntimeError: CUDA cannot capture it.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                out = step()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            why = str(error).strip().partition("\n")[0]
            raise GraphPERuntimeError(f"a step cannot be captured ({why}): train with --no-graphs") from error

        def replay() -> tuple[Tensor, ...]:
            graph.replay()
            return out

        return replay


class EachTime:
    """Captures nothing: a replay makes the step again, on the tensors of its shape. For devices without such graphs."""

    def warm_up(self, step: Step) -> tuple[Tensor, ...]:
        """Make a step.

        Args:
            step: The step.
        """
        return step()

    def capture(self, step: Step) -> Step:
        """The step.

        Args:
            step: The step.
        """
        return step


@dataclass
class _Captured:
    """A shape.

    Attributes:
        batch: Its batch, whose tensors stay where they are.
        replay: What replays its step; None before it is captured.
    """

    batch: Batch
    replay: Step | None = None


class CapturedSteps:
    """Steps on padded batches, captured for each shape.

    Args:
        compute: A step on a batch, up to the optimizer's: results that are on the device. What it does may depend on
            numbers of the batch only on the device.
        optimizer: The optimizer, whose learning rate becomes a tensor on the device.
        engine: What captures.
        device: Where the batches are.
    """

    def __init__(self, compute: Compute, optimizer: Optimizer, engine: Engine, device: torch.device) -> None:
        self._compute, self._optimizer, self._engine = compute, optimizer, engine
        # CUDA's fused AdamW reads a float32; on others the host's float is to be met to the last bit.
        kind = torch.float32 if device.type == "cuda" else torch.float64
        self._rate = torch.zeros((), dtype=kind, device=device)
        self._shapes: dict[Hashable, _Captured] = {}

    def __call__(self, batch: Batch, rate: float) -> tuple[Tensor, ...]:
        """Make a step on a batch.

        Args:
            batch: The batch, padded or not.
            rate: The learning rate.

        Returns:
            What `compute` gives; the next step leaves it as it is.
        """
        self._rate.fill_(rate)
        for group in self._optimizer.param_groups:  # also after a checkpoint was loaded
            group["lr"] = self._rate
            group["capturable"] = self._rate.device.type == "cuda"
        if getattr(batch, PADDED_TO, None) is None:
            return self._compute(batch)
        shape = _shape_of(batch)
        known = self._shapes.get(shape)
        if known is None:
            known = self._shapes[shape] = _Captured(_resident(batch))
            return self._engine.warm_up(partial(self._compute, known.batch))
        _load(known.batch, batch)
        if known.replay is None:
            known.replay = self._engine.capture(partial(self._compute, known.batch))
        return tuple(value.clone() for value in known.replay())


def _tensors(batch: Batch) -> dict[str, Tensor]:
    return {key: value for key, value in batch.to_dict().items() if torch.is_tensor(value)}


def _shape_of(batch: Batch) -> Hashable:
    shapes = sorted((key, value.shape, str(value.dtype)) for key, value in _tensors(batch).items())
    return tuple(shapes), batch[PADDED_TO]


def _resident(batch: Batch) -> Batch:
    """A copy of a padded batch for all batches of its shape: without what the host knows of this one's graphs."""
    out = copy.copy(batch)
    store = vars(out.stores[0])
    for key in (ON_HOST, "_slice_dict", "_inc_dict", "_num_nodes"):
        store.pop(key, None)
    for key in ("max_size", "num_pairs"):
        store["_mapping"].pop(key, None)
    for key, value in _tensors(batch).items():
        out[key] = value.clone()
    return out


def _load(held: Batch, batch: Batch) -> None:
    """Copy a batch into the tensors of another one of its shape."""
    for key, value in _tensors(batch).items():
        held[key].copy_(value, non_blocking=True)
