"""The best eigenpairs that a subspace holds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_ON_HOST = 256  # rows up to which a device's solver, which is waited for as well, is slower than LAPACK


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
    values, rotation = projected_pairs((projected + projected.mH) / 2)
    vectors = basis @ rotation
    residual = (image @ rotation).addcmul_(vectors, values.to(vectors.dtype), value=-1)
    return Ritz(values, vectors, torch.linalg.vector_norm(residual, dim=0))


def projected_pairs(matrix: Tensor, uplo: str = "L") -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and orthonormal eigenvectors of a small Hermitian matrix, where the matrix is.

    Never in complex64, for which solvers of devices have returned vectors that are not orthonormal. A matrix on a
    device is solved in double precision, a small one by LAPACK: one wait, where the device's solver has one, too.

    Args:
        matrix: `[m, m]`.
        uplo: Which of its triangles is read, as `torch.linalg.eigh`.
    """
    dtype, device = matrix.dtype, matrix.device
    if device.type != "cpu" and len(matrix) <= _ON_HOST:
        matrix = matrix.cpu()
    if dtype == torch.complex64 or device.type != "cpu":
        matrix = matrix.to(torch.complex128 if dtype.is_complex else torch.float64)
    values, vectors = torch.linalg.eigh(matrix, UPLO=uplo)
    # From memory of the host that is not pinned, a copy of this size is taken before the call returns.
    return (
        values.to(dtype.to_real()).to(device, non_blocking=True),
        vectors.to(dtype).to(device, non_blocking=True),
    )
