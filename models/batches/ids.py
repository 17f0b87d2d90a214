"""Ids that index tables of embeddings, checked where looking at them costs no wait for a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError


def check_ids(ids: Tensor, sizes: Sequence[int], name: str) -> None:
    """Reject ids outside their column's table: columns share one table, where such an id is another column's row.

    Only on the CPU: elsewhere the host would have to wait for the device at every step.

    Args:
        ids: Integers `[rows, columns]`.
        sizes: Ids of each column: 0 ... size - 1.
        name: What the ids are, for the message.

    Raises:
        GraphPEValueError: If an id is out of range.
    """
    if ids.device.type != "cpu" or not ids.numel() or torch.compiler.is_compiling():
        return
    low, high = ids.aminmax(dim=0)
    size = torch.tensor(sizes)
    outside = (low < 0) | (high >= size)
    if not outside.any():
        return
    column = int(outside.nonzero()[0, 0])
    column_ids = ids[:, column]
    row = int(((column_ids < 0) | (column_ids >= size[column])).nonzero()[0, 0])
    raise GraphPEValueError(
        f"{name}[{row}, {column}] is {int(column_ids[row])}, but the model's table for column {column} has ids from "
        f"0 to {sizes[column] - 1}: correct the id, or build the encoder with more"
    )
