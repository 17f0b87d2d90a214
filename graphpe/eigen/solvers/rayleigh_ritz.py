"""The best eigenpairs that a subspace holds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Ritz(NamedTuple):
    """Approximate eigenpairs.

    Attributes:
        values: `[m]` real, ascending.
        vectors: `[n, m]`, orthonormal.
        residuals: `[m]`: |A v - theta v|.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor


def rayleigh_ritz(basis: Tensor, image: Tensor) -> Ritz:
    """Eigenpairs of an operator within the span of a basis.

    Args:
        basis: `[n, m]`, orthonormal.
        image: `[n, m]`: the operator times the basis.
    """
    projected = basis.mH @ image
    values, rotation = torch.linalg.eigh((projected + projected.mH) / 2)
    vectors = basis @ rotation
    residual = (image @ rotation).addcmul_(vectors, values.to(vectors.dtype), value=-1)
    return Ritz(values, vectors, torch.linalg.vector_norm(residual, dim=0))
