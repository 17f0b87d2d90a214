"""Ragged rows: which rows of a flat tensor belong to chosen segments of it, and copying them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]
# Row numbers: an array for tensors on the CPU, a tensor for those on another device.
Rows = Ints | Tensor


class Segments(NamedTuple):
    """Segments picked from a flat tensor and put one after another.

    Attributes:
        ptr: `[S + 1]`: where each segment begins among the picked rows.
        sizes: `[S]` rows of each segment.
        shift: `[S]`: how much later each segment stands in the flat tensor than among the picked rows.
    """

    ptr: Ints
    sizes: Ints
    shift: Ints

    @classmethod
    def pick(cls, ptr: Ints, ids: Ints) -> Segments:
        """Segments `ids` of a flat tensor whose segments begin at `ptr`.

        Args:
            ptr: First row of each segment and, last, the number of rows.
            ids: Numbers of the segments that are picked.
        """
        starts = ptr[ids]
        sizes = ptr[ids + 1] - starts
        new_ptr = np.zeros(len(ids) + 1, dtype=np.int64)
        sizes.cumsum(out=new_ptr[1:])
        return cls(new_ptr, sizes, starts - new_ptr[:-1])

    def rows(self, device: torch.device) -> Rows:
        """Where each picked row stands in the flat tensor, for `take`.

        Args:
            device: Where the result is put.
        """
        if device.type == "cpu":
            rows = self.shift.repeat(self.sizes)
            rows += np.arange(len(rows))
            return rows
        return spread(self.shift, self.sizes, device).add_(torch.arange(int(self.ptr[-1]), device=device))


def spread(values: Ints, sizes: Ints, device: torch.device) -> Tensor:
    """`values[i]`, once for every row of a segment of `sizes[i]` rows.

    Args:
        values: A number for each segment.
        sizes: Rows of each segment.
        device: Where the result is put.
    """
    if device.type == "cpu":
        return torch.from_numpy(values.repeat(sizes))
    both = torch.from_numpy(np.stack([values, sizes])).to(device, non_blocking=True)
    # The output size is known here, so that the device need not be asked for it.
    return torch.repeat_interleave(both[0], both[1], output_size=int(sizes.sum()))


def take(value: Tensor, rows: Rows, dim: int = 0) -> Tensor:
    """The rows of a tensor along `dim`, copied.

    NumPy's `take` is what runs on the CPU wherever it can: on a batch of molecules it costs half of torch's
    `index_select`, along the second dimension (edge ids) a quarter.

    Args:
        value: The tensor.
        rows: Which rows: ids, or a slice.
        dim: The dimension of rows.
    """
    if isinstance(rows, np.ndarray):
        try:
            source = value.numpy()
        except (TypeError, RuntimeError):  # bfloat16, which NumPy lacks; tensors that require a gradient
            source = None
        # NumPy would first copy all of an array that is not laid out in order.
        if source is not None and source.flags.c_contiguous and source.flags.aligned:
            return torch.from_numpy(source.take(rows, dim))
        rows = torch.from_numpy(rows)
    return value.index_select(dim, rows)
