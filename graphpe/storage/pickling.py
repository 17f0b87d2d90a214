"""Tensors and graphs as plain arrays of bytes, on their way between processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.format import as_bytes


class Serialized(NamedTuple):
    """A tensor as an array of bytes, for pickling without torch's shared memory."""

    content: NDArray[np.uint8]
    dtype: torch.dtype
    shape: tuple[int, ...]


SerializedGraphs = dict[str, dict[str, Serialized]]
"""Values by level and key; edges, weights and pointers are in the level `structure`."""


def serialize(values: dict[str, Tensor]) -> dict[str, Serialized]:
    """Tensors as arrays of bytes.

    Args:
        values: Tensors by name.
    """
    return {key: Serialized(as_bytes(value), value.dtype, tuple(value.shape)) for key, value in values.items()}


def deserialize(values: dict[str, Serialized]) -> dict[str, Tensor]:
    """Tensors from arrays of bytes.

    Args:
        values: What `serialize` gave.
    """
    return {
        key: torch.from_numpy(content if content.flags.writeable else content.copy()).view(dtype).reshape(shape)
        for key, (content, dtype, shape) in values.items()
    }


def serialize_graphs(graphs: PackedGraphs) -> SerializedGraphs:
    """Graphs without Python objects as arrays of bytes.

    Args:
        graphs: The graphs.
    """
    structure = {"edge_index": graphs.edge_index, "ptr": graphs.ptr, "edge_ptr": graphs.edge_ptr}
    if graphs.edge_weight is not None:
        structure["edge_weight"] = graphs.edge_weight
    levels = {level: serialize(getattr(graphs, level)) for level in ("node", "edge", "graph", "pair")}
    return {"structure": serialize(structure), **levels}


def deserialize_graphs(frozen: SerializedGraphs) -> PackedGraphs:
    """Graphs from `serialize_graphs`.

    Args:
        frozen: What `serialize_graphs` gave.
    """
    content = {level: deserialize(values) for level, values in frozen.items()}
    structure = {"edge_weight": None, **content.pop("structure")}
    return PackedGraphs.trusted(**structure, **content, objects={})
