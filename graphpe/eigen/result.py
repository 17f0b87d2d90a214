"""What eigensolvers return: over many graphs, and for one operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Eigenpairs(NamedTuple):
    """The lowest eigenpairs of each of B graphs with N nodes in total; the eigenvalues of a graph ascend.

    Attributes:
        vectors: `[N, k]` float64 or complex128: column j, rows of graph b, is eigenvector j of graph b, of unit norm.
        values: `[B, k]` float64.
        mask: `[B, k]` bool: False where graph b has no j-th eigenpair; the column and the eigenvalue are zero there.
    """

    vectors: Tensor
    values: Tensor
    mask: Tensor


@dataclass(frozen=True)
class EigenResult:
    """Eigenpairs of one operator, and how they were found.

    Attributes:
        values: `[k]` real: ascending ("smallest") or descending ("largest").
        vectors: `[n, k]` orthonormal, in the operator's dtype and on its device.
        residuals: `[k]`: |A v - lambda v| of each pair, measured.
        converged: `[k]` bool: residual at most `tol` times the operator's norm.
        solver: The solver, as the call that builds it, and why it was chosen where that was automatic.
        iterations: Outer iterations.
        matvecs: Products of the operator with a vector.
        seconds: Wall time.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    converged: Tensor
    solver: str
    iterations: int
    matvecs: int
    seconds: float
