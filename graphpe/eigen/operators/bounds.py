"""Bounds of a spectrum: Gershgorin's circles where entries are known, some Lanczos steps where they are not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphpe.eigen.operators.base import MatrixOperator, Operator

_STEPS = 12
_RANK = 100


class Bounds(NamedTuple):
    """What is known of the ends of a spectrum.

    Attributes:
        low: Below all of it.
        high: Above all of it.
        least: Not below its lower end.
        greatest: Not above its upper end.
    """

    low: float
    high: float
    least: float
    greatest: float

    @property
    def norm(self) -> float:
        """An upper bound of the operator's norm; 1 for the zero operator, by which one may divide."""
        return max(abs(self.low), abs(self.high)) or 1.0


def spectral_bounds(operator: Operator, seed: int) -> Bounds:
    """Bounds of the spectrum.

    Each end is the extreme Ritz value of a few Lanczos steps, moved out by the norm of the last residual, which is a
    bound but for start vectors that miss the extreme eigenvectors; where the entries are known, the bound by
    Gershgorin's circles is taken if it is closer. `_STEPS` products.

    Args:
        operator: The operator, Hermitian.
        seed: Seed of the start vector.

    References:
        Zhou, Li: Bounding the spectrum of large Hermitian matrices. Linear Algebra and its Applications 435 (2011).
    """
    least, greatest, margin = _by_lanczos(operator, seed)
    low, high = least - margin, greatest + margin
    if isinstance(operator, MatrixOperator):
        lower, upper = _by_circles(operator.matrix)
        low, high = max(low, lower), min(high, upper)
    return Bounds(low, high, least, greatest)


def _by_circles(matrix: Tensor) -> tuple[float, float]:
    """Every eigenvalue is within the sum of a row's other entries of its diagonal entry."""
    if matrix.layout == torch.sparse_csr:
        pointers, values, column = matrix.crow_indices(), matrix.values().clone(), matrix.col_indices()
        number = torch.arange(len(pointers) - 1, device=matrix.device)
        row = torch.repeat_interleave(number, pointers.diff(), output_size=len(column))
        on_diagonal = row == column
        zero = torch.zeros(len(pointers) - 1, dtype=values.real.dtype, device=matrix.device)
        diagonal = zero.index_add(0, row, torch.where(on_diagonal, values.real, 0))
        radius = zero.index_add(0, row, torch.where(on_diagonal, 0, values.abs()))
    else:
        diagonal = matrix.diagonal().real
        radius = matrix.abs().sum(1) - diagonal.abs()
    low, high = torch.stack([(diagonal - radius).min(), (diagonal + radius).max()]).tolist()
    return low, high


def _by_lanczos(operator: Operator, seed: int) -> tuple[float, float, float]:
    """The extreme Ritz values, and the norm of the last residual."""
    size = operator.shape[0]
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if operator.dtype in (torch.float64, torch.complex128) else torch.float32
    vector = torch.randn(size, 1, generator=generator, dtype=real).to(operator.device, operator.dtype)
    vector = vector / torch.linalg.vector_norm(vector)
    steps, rank = min(_STEPS, size), _RANK * torch.finfo(operator.dtype).eps
    rows = torch.zeros(steps, size, dtype=operator.dtype, device=operator.device)
    numbers = []
    for j in range(steps):
        rows[j] = vector[:, 0]
        image = operator.matmul(vector)
        before = rows[: j + 1]
        parts = before.conj() @ image
        image = torch.addmm(image, before.T, parts, alpha=-1)
        image = torch.addmm(image, before.T, before.conj() @ image, alpha=-1)
        length = torch.linalg.vector_norm(image)
        numbers += [parts[j, 0].real, length]
        vector = image / length.clamp(min=torch.finfo(real).tiny)
    # The host waits once. A step that leaves nothing but rounding is the last; what comes after it means nothing.
    projected, beta = np.zeros((steps, steps)), 0.0
    for j, (alpha, beta) in enumerate(torch.stack(numbers).view(-1, 2).tolist()):
        projected[j, j] = alpha
        if j + 1 == steps or beta <= rank * np.abs(projected).max():
            steps = j + 1
            break
        projected[j, j + 1] = projected[j + 1, j] = beta
    ritz = np.linalg.eigvalsh(projected[:steps, :steps])
    return float(ritz[0]), float(ritz[-1]), beta
