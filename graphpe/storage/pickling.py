"""Tensors and graphs as plain arrays of bytes, on their way between processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.format import as_bytes


class Frozen(NamedTuple):
    """A tensor as an array of bytes, for pickling without torch's shared memory."""

    content: NDArray[np.uint8]
    dtype: torch.dtype
    shape: tuple[int, ...]


FrozenGraphs = dict[str, dict[str, Frozen]]
"""Values by room and key; edges, weights and pointers are in the room `structure`."""


def freeze(values: dict[str, Tensor]) -> dict[str, Frozen]:
    """Tensors as arrays of bytes."""
    return {key: Frozen(as_bytes(value), value.dtype, tuple(value.shape)) for key, value in values.items()}


def thaw(values: dict[str, Frozen]) -> dict[str, Tensor]:
    """Tensors from arrays of bytes."""
    return {
        key: torch.from_numpy(content if content.flags.writeable else content.copy()).view(dtype).reshape(shape)
        for key, (content, dtype, shape) in values.items()
    }


def freeze_graphs(graphs: PackedGraphs) -> FrozenGraphs:
    """Graphs without Python objects as arrays of bytes."""
    structure = {"edge_index": graphs.edge_index, "ptr": graphs.ptr, "edge_ptr": graphs.edge_ptr}
    if graphs.edge_weight is not None:
        structure["edge_weight"] = graphs.edge_weight
    rooms = {room: freeze(getattr(graphs, room)) for room in ("node", "edge", "graph", "pair")}
    return {"structure": freeze(structure), **rooms}


def thaw_graphs(frozen: FrozenGraphs) -> PackedGraphs:
    """Graphs from `freeze_graphs`."""
    content = {room: thaw(values) for room, values in frozen.items()}
    structure = {"edge_weight": None, **content.pop("structure")}
    return PackedGraphs._trusted(**structure, **content, objects={})
