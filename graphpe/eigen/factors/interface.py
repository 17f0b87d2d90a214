"""What solvers ask of sparse factors."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Factors(Protocol):
    """Factors of A - shift I for a Hermitian matrix A in double precision, of one shift at a time.

    Attributes:
        dtype: float64 or complex128: of A and of all blocks.
        device: Where A and all blocks are.
        entries: Of the last factors.
        counts_cheaply: Whether factors for one more shift, to count eigenvalues by, cost less than some tens of solves.
    """

    dtype: torch.dtype
    device: torch.device
    entries: int
    counts_cheaply: bool

    def factor(self, shift: float) -> int | None:
        """Factor A - shift I, in place of what was factored before.

        Args:
            shift: The shift.

        Returns:
            How many eigenvalues of A are below the shift, or None where the factors do not say.
        """
        ...

    def solve(self, block: Tensor) -> Tensor:
        """(A - shift I)^-1 times a block `[n, m]`; not finite where A - shift I is singular.

        Args:
            block: The block, `[n, m]`.
        """
        ...

    def matmul(self, block: Tensor) -> Tensor:
        """A times a block `[n, m]`.

        Args:
            block: The block, `[n, m]`.
        """
        ...


def in_double(values: Tensor) -> Tensor:
    """A tensor of any layout in double precision.

    Args:
        values: The tensor.
    """
    return values.detach().to(torch.complex128 if values.is_complex() else torch.float64)
