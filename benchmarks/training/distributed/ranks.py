"""What several devices do as one: decisions that the first makes, and what happens when one of them is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from graphpe.errors import GraphPERuntimeError

Value = TypeVar("Value")

_LOST = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|TCPStore|process group", re.IGNORECASE)


class LostContact(GraphPERuntimeError):
    """Another process of the run has ended: it, not this one, knows why."""


def agree(fabric: Fabric, decide: Callable[[], Value]) -> Value:
    """What `decide` returns on the first device, on all of them.

    Clocks, file systems and last bits of numbers differ between processes: what is read from them is read once.
    """
    value = decide() if fabric.is_global_zero else None
    return value if fabric.world_size == 1 else fabric.broadcast(value)  # type: ignore[return-value]


def gather(fabric: Fabric, value: Tensor) -> list[Tensor]:
    """A tensor, of the same shape on all devices, from each of them."""
    if fabric.world_size == 1:
        return [value]
    parts = [torch.empty_like(value) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(parts, value.contiguous())
    return parts


@contextmanager
def contact(fabric: Fabric) -> Iterator[None]:
    """Turn what torch raises when another process of the group has ended into `LostContact`."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, torch.distributed.DistError) or _LOST.search(str(error))
        if fabric.world_size == 1 or isinstance(error, GraphPERuntimeError) or not lost:
            raise
        raise LostContact(
            f"process {fabric.global_rank + 1} of {fabric.world_size} lost contact with another one, which has ended: "
            "see what that one said; `graphpe train --resume` goes on from the last checkpoint"
        ) from None
