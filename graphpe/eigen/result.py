"""What an eigensolve over many graphs returns."""

from __future__ import annotations

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
