"""What can be built at all: numbers of layers, and memory for weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from graphpe.benchmarks.console.memory import first_line, memory_limit
from graphpe.errors import GraphPEError, GraphPEValueError

MOST_LAYERS = 1024
"""Of a model or an encoder; each takes time to build, whatever its width."""

_BYTES_A_WEIGHT = 16  # float32: itself, its gradient, and two moments


def bounded(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments whose numbers of layers can be built.

    Raises:
        GraphPEValueError: One of them is more than `MOST_LAYERS`.
    """
    for key, value in arguments.items():
        if key.endswith("layers") and isinstance(value, int) and value > MOST_LAYERS:
            raise GraphPEValueError(f"{name} cannot be built: {key} is {value}; it must be at most {MOST_LAYERS}")
    return arguments


def check_memory(text: str, build: Callable[[], nn.Module]) -> None:
    """Refuse a module before it takes memory: without values, its weights are only counted.

    Raises:
        GraphPEValueError: There is no memory for its weights, their gradients and two moments of those.
    """
    with memory_errors(text), torch.device("meta"):
        weights = sum(weight.numel() for weight in build().parameters())
    needed, limit = _BYTES_A_WEIGHT * weights, memory_limit()
    if limit is not None and needed > limit:
        raise GraphPEValueError(
            f"{text} cannot be built: training its {weights:,} parameters takes {needed / 1e9:,.1f} GB, and there are "
            f"{limit / 1e9:,.1f} GB of memory"
        )


@contextmanager
def memory_errors(model: str) -> Iterator[None]:
    """What torch raises for sizes that it cannot take, or has no memory for, as one line."""
    try:
        yield
    except GraphPEError:
        raise
    except (MemoryError, RuntimeError, OverflowError, TypeError) as error:  # torch's allocator raises RuntimeError
        raise GraphPEValueError(f"{model} cannot be built ({first_line(error)})") from None
