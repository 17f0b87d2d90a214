"""Batches that are padded to a shape: which of their rows are real, for statistics over rows.

Dummy graphs fill a padded batch up. Attention, messages and pooling never leave a graph, and targets of dummy graphs
are unknown: only statistics over all rows of a batch, those of batch normalisation, have to know which rows are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPERuntimeError

SHARES = {"node": "share_n", "edge": "share_e", "pair": "share_p"}
"""Where a padded batch keeps, for each level, the share of each row in a mean over real rows: 1 / their number or 0."""


@dataclass(frozen=True, eq=False)
class Share:
    """The share of each row in a mean over real rows.

    Attributes:
        row: `[1, R]`: 1 / number of real rows, or 0 for dummy rows.
    """

    row: Tensor

    @cached_property
    def correction(self) -> Tensor:
        """R / (R - 1) for R real rows, at least two: from a biased variance to an unbiased one."""
        return (1 - self.row.amax()).reciprocal()

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of the real rows, `[D]`, in at least float32.

        Args:
            x: Rows, `[R, D]`.
        """
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        row = self.row.to(x.dtype)
        mean = row @ x
        return mean.squeeze(0), (row @ (x - mean).square()).squeeze(0)


_shares: ContextVar[tuple[Share, ...]] = ContextVar("shares", default=())


@contextmanager
def real_rows_of(batch: Data) -> Iterator[None]:
    """A time in which statistics over rows are those of the real rows of a batch, if it is padded.

    Args:
        batch: The batch.
    """
    found = [getattr(batch, key, None) for key in SHARES.values()]
    before = _shares.set(tuple(Share(row.unsqueeze(0)) for row in found if isinstance(row, Tensor)))
    try:
        yield
    finally:
        _shares.reset(before)


def share_of_rows(rows: int) -> Share | None:
    """The shares of so many rows: nodes, edges or pairs, of which a padded batch has different numbers.

    None within no padded batch.

    Args:
        rows: Their number.

    Raises:
        GraphPERuntimeError: The padded batch has nothing of that number.
    """
    shares = _shares.get()
    if not shares:
        return None
    for share in shares:
        if share.row.shape[1] == rows:
            return share
    known = ", ".join(str(share.row.shape[1]) for share in shares)
    raise GraphPERuntimeError(
        f"normalisation over {rows} rows of a padded batch, whose nodes, edges and pairs are {known}: which rows are "
        "real is not known; train this model with --no-graphs"
    )
