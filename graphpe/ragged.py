"""Ragged selection: which rows of a flat tensor belong to chosen graphs, and buckets of graphs of similar size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError

Ints = NDArray[np.int64]
Index = Tensor | NDArray[Any] | slice | Sequence[int]
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
        """Segments `ids` of a flat tensor whose segments begin at `ptr`."""
        starts = ptr[ids]
        sizes = ptr[ids + 1] - starts
        new_ptr = np.zeros(len(ids) + 1, dtype=np.int64)
        sizes.cumsum(out=new_ptr[1:])
        return cls(new_ptr, sizes, starts - new_ptr[:-1])

    def spread(self, values: Ints, device: torch.device) -> Tensor:
        """`values[i]`, once for every row of segment i."""
        if device.type == "cpu":
            return torch.from_numpy(values.repeat(self.sizes))
        pair = torch.from_numpy(np.stack([values, self.sizes])).to(device, non_blocking=True)
        # The output size is known here, so that the device need not be asked for it.
        return torch.repeat_interleave(pair[0], pair[1], output_size=int(self.ptr[-1]))

    def rows(self, device: torch.device) -> Rows:
        """Where each picked row stands in the flat tensor, for `take`."""
        if device.type == "cpu":
            rows = self.shift.repeat(self.sizes)
            rows += np.arange(len(rows))
            return rows
        return self.spread(self.shift, device).add_(torch.arange(int(self.ptr[-1]), device=device))


def take(value: Tensor, rows: Rows, dim: int = 0) -> Tensor:
    """The rows of a tensor along `dim`, copied.

    NumPy's `take` is what runs on the CPU wherever it can: on a batch of molecules it costs half of torch's
    `index_select`, along the second dimension (edge ids) a quarter.
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


def as_ids(index: Index, num_graphs: int) -> Ints:
    """An index over graphs as non-negative int64 ids.

    Raises:
        GraphPETypeError: The index is of another type, or of another dtype.
        GraphPEValueError: An id is out of range, or a mask is not one entry per graph.
    """
    if isinstance(index, slice):
        return np.arange(*index.indices(num_graphs), dtype=np.int64)
    if isinstance(index, Tensor):
        index = index.numpy(force=True)
    elif not isinstance(index, np.ndarray):
        if not isinstance(index, Sequence) or isinstance(index, str):
            raise GraphPETypeError(f"graphs are selected by ids, a mask or a slice, got {type(index).__name__}")
        index = np.asarray(index) if len(index) else np.zeros(0, dtype=np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iub":
        raise GraphPETypeError(
            f"an index over graphs is 1-dimensional, of integers or bools, got {index.dtype} {list(index.shape)}"
        )
    if index.dtype.kind == "b":
        if len(index) != num_graphs:
            raise GraphPEValueError(f"a mask over {num_graphs} graphs has {num_graphs} entries, got {len(index)}")
        return np.flatnonzero(index)
    ids = index.astype(np.int64, copy=False)
    if len(ids):
        lowest, highest = ids.min(), ids.max()
        if lowest < -num_graphs or highest >= num_graphs:
            wrong = lowest if lowest < -num_graphs else highest
            raise GraphPEValueError(f"there is no graph {wrong}: ids of {num_graphs} graphs end with {num_graphs - 1}")
        if lowest < 0:
            ids = np.where(ids < 0, ids + num_graphs, ids)
    return ids


def size_buckets(sizes: Ints, *, ratio: float, max_graphs: int | None, max_pairs: int | None) -> list[Tensor]:
    """Ids of graphs of similar size; see `PackedGraphs.buckets`."""
    if not ratio >= 1:
        raise GraphPEValueError(f"ratio must be at least 1, got {ratio}")
    for name, limit in (("max_graphs", max_graphs), ("max_pairs", max_pairs)):
        if limit is not None and limit < 1:
            raise GraphPEValueError(f"{name} must be positive, got {limit}")
    order = np.argsort(sizes, kind="stable")
    ordered = sizes[order]
    buckets: list[Tensor] = []
    start = 0
    while start < len(ordered):  # once a bucket, not once a graph
        stop = int(np.searchsorted(ordered, ordered[start] * ratio, side="right"))
        if max_graphs is not None:
            stop = min(stop, start + max_graphs)
        if max_pairs is not None:
            # Graphs are in order of size: the padded stack of the first c of them has c * (size of the c-th)^2 entries.
            padded = np.arange(1, stop - start + 1) * ordered[start:stop] ** 2
            stop = start + max(1, int(np.searchsorted(padded, max_pairs, side="right")))
        buckets.append(torch.from_numpy(order[start:stop]))
        start = stop
    return buckets
