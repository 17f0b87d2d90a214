"""Batches that are padded to a shape: which of their rows are real, for statistics over rows.

Dummy graphs fill a padded batch up. Attention, messages and pooling never leave a graph, and targets of dummy graphs
are unknown: only statistics over all rows of a batch, those of batch normalisation, have to know which rows are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPERuntimeError

REAL = {"node": "real_n", "edge": "real_e", "pair": "real_p"}
"""Where a padded batch keeps, for each level, which rows are real: 1 or 0."""


@dataclass(frozen=True, eq=False)
class RealRows:
    """Which rows of a level are real.

    Attributes:
        mask: 1 for real rows, of which there are at least two, 0 for others, `[R]`.
    """

    mask: Tensor
    _known: dict[Any, Tensor] = field(default_factory=dict, init=False)

    # Kept in a dict: `torch.compile` does not read `cached_property`, which takes a lock.

    def share(self, dtype: torch.dtype) -> Tensor:
        """The share of each row in a mean over the real ones, `[1, R]`. Computed once.

        Args:
            dtype: Its dtype.
        """
        if dtype not in self._known:
            mask = self.mask.to(dtype)
            self._known[dtype] = (mask / mask.sum()).unsqueeze(0)
        return self._known[dtype]

    @property
    def correction(self) -> Tensor:
        """N / (n - 1) for n real rows: from a biased variance to an unbiased one. Computed once."""
        if "correction" not in self._known:
            count = self.mask.sum()
            self._known["correction"] = count / (count - 1)
        return self._known["correction"]

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of the real rows, `[D]`, in at least float32.

        Args:
            x: Rows, `[R, D]`.
        """
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        share = self.share(x.dtype)
        mean = share @ x
        return mean.squeeze(0), (share @ (x - mean).square()).squeeze(0)


_levels: list[tuple[RealRows, ...]] = [()]
"""Of the batch under way. No `ContextVar`, which `torch.compile` does not read: steps are made by one thread."""


@contextmanager
def real_rows_of(batch: Data) -> Iterator[None]:
    """A time in which statistics over rows are those of the real rows of a batch, if it is padded.

    Args:
        batch: The batch.
    """
    found = [getattr(batch, key, None) for key in REAL.values()]
    _levels.append(tuple(RealRows(mask) for mask in found if isinstance(mask, Tensor)))
    try:
        yield
    finally:
        _levels.pop()


def real_among(rows: int) -> RealRows | None:
    """Which of so many rows are real: nodes, edges or pairs, of which a padded batch has different numbers.

    None within no padded batch.

    Args:
        rows: Their number.

    Raises:
        GraphPERuntimeError: The padded batch has nothing of that number.
    """
    levels = _levels[-1]
    for level in levels:
        if len(level.mask) == rows:
            return level
    if not levels:
        return None
    known = ", ".join(str(len(level.mask)) for level in levels)
    raise GraphPERuntimeError(
        f"normalisation over {rows} rows of a padded batch, whose nodes, edges and pairs are {known}: which rows are "
        "real is not known; train this model with --no-graphs"
    )
