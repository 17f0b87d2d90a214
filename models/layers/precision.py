"""Models whose parameters are in half precision, as after `model.bfloat16()`, `model.half()` or `bf16-true`.

Products of matrices then run in the parameters' precision; softmax, norms, statistics, sums over nodes and what is read
from a batch stay in float32, as they do under `torch.autocast` with float32 parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

HALF = (torch.bfloat16, torch.float16)

Forward = TypeVar("Forward", bound=Callable[..., Any])


def exactly(x: Tensor) -> Tensor:
    """`x` in at least float32.

    Args:
        x: The tensor, of a floating dtype.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def in_half_precision(forward: Forward) -> Forward:
    """For the `forward` of a module that reads a batch: it runs under autocast where the parameters are half precision.

    Numbers that are kept in float32 meet the parameters of linear maps in all models. Autocast rounds them there, and
    only there. With parameters in float32 or float64 nothing changes.

    Args:
        forward: The method.
    """

    @wraps(forward)
    def run(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        first = next(self.parameters(), None)
        if first is None or first.dtype not in HALF:
            return forward(self, *args, **kwargs)
        with torch.autocast(first.device.type, dtype=first.dtype), _float32_by_default():
            return forward(self, *args, **kwargs)

    return run  # type: ignore[return-value]


@contextmanager
def _float32_by_default() -> Iterator[None]:
    """New tensors in float32: Lightning makes them half precision in a model's forward, counts and masks as well."""
    default = torch.get_default_dtype()
    if default not in HALF:
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(default)


class ExactBuffers(nn.Module):
    """A module whose own buffers stay in float32 where its parameters become half precision.

    Running statistics that grow by a few per cent would not grow at all in bfloat16, and constants would lose digits.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        before = {key: buffer for key, buffer in self._buffers.items() if buffer is not None}
        super()._apply(fn, recurse)
        for key, old in before.items():
            new = self._buffers[key]
            if new is not None and new.dtype in HALF and old.dtype not in HALF:
                self._buffers[key] = old.to(new.device)
        return self
