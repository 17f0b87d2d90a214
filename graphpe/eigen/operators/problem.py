"""What a solver gets and gives: the two ends of every solver in this folder.

A solver is a frozen dataclass of its parameters with one method, `solve(problem) -> Found`. It works on the device and
in the dtype of the operator, and draws randomness from the problem's seed alone. It may return too early; `eigsh`
measures the residuals and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from graphpe.eigen.operators.base import Operator
from graphpe.eigen.operators.bounds import Bounds

Which = Literal["smallest", "largest"]


class Found(NamedTuple):
    """What a solver found.

    Attributes:
        values: `[k]` real, in the problem's order: ascending for "smallest", descending for "largest".
        vectors: `[n, k]`, orthonormal.
        iterations: Outer iterations, in the solver's own sense; 0 for direct solvers.
        matvecs: Products of the operator with one vector (a block of m counts m).
        note: What a caller should know, or "".
        is_complete: Whether the solver made sure that no eigenpair below the k-th is missing; else `eigsh` looks.
    """

    values: Tensor
    vectors: Tensor
    iterations: int
    matvecs: int
    note: str = ""
    is_complete: bool = False


@dataclass(frozen=True)
class Problem:
    """k extreme eigenpairs of a Hermitian operator, in the complement of known eigenvectors.

    Attributes:
        operator: The operator, `[n, n]`.
        k: Number of eigenpairs, 1 <= k <= n - c.
        which: Which end of the spectrum.
        tol: An eigenpair is converged when |A v - lambda v| <= tol * norm.
        norm: An upper bound, or a good estimate from above, of the operator's norm.
        max_iterations: Outer iterations at most.
        seed: Of all randomness.
        start: `[n, m]`: vectors to start from, or None.
        known: `[n, c]` orthonormal eigenvectors to leave out (dense, or sparse with few entries a row), or None.
        bounds: Of the operator's spectrum, where they are known.
    """

    operator: Operator
    k: int
    which: Which
    tol: float
    norm: float
    max_iterations: int
    seed: int
    start: Tensor | None = None
    known: Tensor | None = None
    bounds: Bounds | None = None

    @property
    def size(self) -> int:
        """Rows of the operator."""
        return self.operator.shape[0]

    @property
    def num_known(self) -> int:
        """Eigenvectors that are known beforehand."""
        return 0 if self.known is None else self.known.shape[1]

    def without_known(self, block: Tensor) -> Tensor:
        """The block minus its part in the span of the known eigenvectors.

        Args:
            block: The block, `[n, m]`.
        """
        if self.known is None:
            return block
        return block - self.known @ (self.known.mH @ block)

    def random(self, columns: int, stream: int = 0) -> Tensor:
        """A standard normal block `[n, columns]` on the operator's device, the same on every device.

        Args:
            columns: Columns m of the block.
            stream: Which of the problem's streams of random numbers.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + stream)
        real = torch.float64 if self.operator.dtype in (torch.float64, torch.complex128) else torch.float32
        block = torch.randn(self.size, columns, generator=generator, dtype=real)
        if self.operator.dtype.is_complex:
            block = torch.complex(block, torch.randn(self.size, columns, generator=generator, dtype=real))
        return block.to(self.operator.device)


class Solver(Protocol):
    """How to solve a `Problem`; see the module's text."""

    def solve(self, problem: Problem) -> Found:
        """Find the eigenpairs.

        Args:
            problem: The operator and the eigenpairs that are wanted of it.
        """
        ...
