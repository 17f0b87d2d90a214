"""What is certain of eigenpairs, whoever found them: how accurate each is, and that none is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_choice
from graphpe.eigen.factors.superlu import by_columns, negative_pivots
from graphpe.eigen.fill import estimate_fill, is_fill_worth_it
from graphpe.eigen.operators.base import MatrixOperator, as_operator
from graphpe.eigen.operators.bounds import spectral_bounds
from graphpe.eigen.operators.problem import Which
from graphpe.errors import EigenError, GraphPETypeError, GraphPEValueError
from graphpe.limits import check_seconds
from graphpe.structure.laplacian import Floats

# Up to here the whole spectrum is computed.
_DENSE = 1500
# In units of the norm: eigenvalues closer than this, or than the residuals, count as one. The first is taken for which
# counts are accurate enough.
_MARGINS = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
# Where the next eigenvalue is sought first, in units of the norm, and to which part of its distance it is found.
_FIRST, _SHARP = 1e-3, 1.05


@dataclass(frozen=True)
class Certificate:
    """What is certain of k eigenpairs.

    Attributes:
        residuals: `[k]`: |A v - lambda v|, measured in double precision. A has an eigenvalue within it of lambda.
        gaps: `[k]`: distance of each value to the nearest other eigenvalue of A, of the whole spectrum: a lower bound,
            0 where none is certain, infinite where there is no other. The sine of the angle between v and an
            eigenvector is at most residual / gap. Of a repeated eigenvalue the gap is 0: only the span of its vectors
            is decided.
        missed: How many eigenvalues before the last one are not among the values; 0 certifies that none is missing.
        cut: How many copies of the last eigenvalue are not among the values: above 0, k cuts its eigenspace.
    """

    residuals: Tensor
    gaps: Tensor
    missed: int
    cut: int


def certify(operator: Any, values: Tensor, vectors: Tensor, which: Which = "smallest") -> Certificate:
    """Measure eigenpairs that are said to be the k smallest or largest of a Hermitian operator.

    Residuals are measured with a product, and eigenvalues counted by inertia (Sylvester): A - sigma I has as many
    negative eigenvalues as its factors L D L^H have negative pivots. A count before the last value says whether any is
    missing, one behind it whether it has more copies, and some more find the next eigenvalue, to 5 % of its distance.
    Of up to 1500 rows the whole spectrum is computed, O(n^3), and gaps are exact to rounding and residuals. The error
    of factors is measured, too (by products with random vectors). Eigenvalues that are closer than it, than the
    residuals, or than 1e-12 of the norm, count as copies.

    Eigenvectors that `graphpe.eigsh` was told to leave out (`deflate`) have to be among those here.

    Example:
        >>> ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
        >>> operator = graphpe.laplacian(ring, 40)
        >>> found = graphpe.eigsh(operator, k=4)  # the eigenvalues are 0, then pairs: the fourth has a copy
        >>> certificate = graphpe.certify(operator, found.values, found.vectors)
        >>> certificate.missed, certificate.cut, [round(gap, 4) for gap in certificate.gaps.tolist()]
        (0, 1, [0.0123, 0.0, 0.0, 0.0])

    Args:
        operator: A Hermitian matrix on the CPU, in any form that `graphpe.eigsh` takes.
        values: `[k]`: ascending for `"smallest"`, descending for `"largest"`.
        vectors: `[n, k]`: orthonormal.
        which: Which end of the spectrum they are said to be.

    Raises:
        GraphPETypeError: The operator has no entries or is not on the CPU; values or vectors are no tensors.
        GraphPEValueError: The operator is not Hermitian; values or vectors are of another shape, not finite, not in
            order or not orthonormal; or factors would take too long (`graphpe.limits`).
        EigenError: Factors are too inaccurate to count by.

    References:
        Parlett: The Symmetric Eigenvalue Problem. SIAM 1998, sections 3.3 (inertia), 11.5 and 11.7 (residuals, gaps).
    """
    check_choice("which", which, get_args(Which))
    operator = as_operator(operator)
    if not isinstance(operator, MatrixOperator) or operator.device.type != "cpu":
        raise GraphPETypeError("certify counts by factors: it needs a matrix with entries, on the CPU")
    _check_pairs(values, vectors, operator.shape[0])
    sign, unit = (1.0 if which == "smallest" else -1.0), operator.unit
    level = sign * values.numpy(force=True).astype(np.float64) / unit
    if (np.diff(level) < 0).any():
        raise GraphPEValueError(f"values must be {'a' if sign > 0 else 'de'}scending where which={which!r}")
    spectrum = _Spectrum(sign * by_columns(operator.matrix), spectral_bounds(operator, 0).norm)
    block = vectors.numpy(force=True).astype(spectrum.matrix.dtype)
    residual = np.linalg.norm(spectrum.matrix @ block - block * level, axis=0)
    for share in _MARGINS:
        margin = max(share * spectrum.norm, 2 * float(np.linalg.norm(residual)))
        try:
            missed, cut, gaps = _count(spectrum, level, residual, margin)
        except EigenError:
            if share == _MARGINS[-1]:
                raise
        else:
            break
    return Certificate(torch.from_numpy(unit * residual), torch.from_numpy(unit * gaps), missed, cut)


def _count(spectrum: _Spectrum, level: Floats, residual: Floats, margin: float) -> tuple[int, int, Floats]:
    """What is missed, what is cut, and the gaps, where eigenvalues closer than `margin` are told apart by nobody."""
    first = len(level) - 1  # of the copies of the last value
    while first and level[first] - level[first - 1] <= 2 * margin:
        first -= 1
    missed = spectrum.below(level[first] - margin, margin) - first
    count = spectrum.below(level[-1] + margin, margin)
    cut = count - missed - len(level)
    if missed:
        return missed, cut, np.zeros(len(level))
    return missed, cut, _gaps(level, residual, level[-1] if cut else spectrum.after(level[-1], margin, count))


def _check_pairs(values: Any, vectors: Any, size: int) -> None:
    if not isinstance(values, Tensor) or not isinstance(vectors, Tensor):
        raise GraphPETypeError(
            f"values and vectors must be tensors, got {type(values).__name__} and {type(vectors).__name__}"
        )
    if values.dim() != 1 or values.is_complex() or not len(values) or vectors.shape != (size, len(values)):
        raise GraphPEValueError(
            f"values must be real, [k] with k >= 1, and vectors [{size}, k], got {list(values.shape)} and "
            f"{list(vectors.shape)}"
        )
    if not bool(values.isfinite().all() & vectors.abs().isfinite().all()):
        raise GraphPEValueError("values or vectors hold nan or inf: they must be finite")
    eye = torch.eye(len(values), dtype=vectors.dtype, device=vectors.device)
    if not float((vectors.mH @ vectors - eye).abs().max()) <= torch.finfo(vectors.dtype).eps ** 0.5:
        raise GraphPEValueError("vectors must be orthonormal: two of one direction would count as two eigenvectors")


def _gaps(level: Floats, residual: Floats, after: float) -> Floats:
    """Distances to the nearest neighbours, which are within their residuals of where they are said to be."""
    below = np.concatenate([[np.inf], np.diff(level) - residual[:-1]])
    above = np.concatenate([np.diff(level) - residual[1:], [after - level[-1]]])
    return np.maximum(np.minimum(below, above), 0.0)


class _Spectrum:
    """How many eigenvalues of a matrix are below a shift: of all that there are, or by factors.

    Args:
        matrix: The matrix, Hermitian, SciPy CSC.
        norm: An upper bound of its norm.
    """

    def __init__(self, matrix: Any, norm: float) -> None:
        self.matrix, self.norm, self.size = matrix, norm, matrix.shape[0]
        self.values = np.linalg.eigvalsh(matrix.toarray()) if self.size <= _DENSE else None
        structure = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
        if self.values is None and is_fill_worth_it(*structure):
            front = estimate_fill(*structure).front
            check_seconds("certify", self.size, 2e-8 * front**3, 16.0 * front**2)

    def below(self, shift: float, margin: float) -> int:
        """Eigenvalues below a shift; those within half a margin of it may be counted or not.

        Args:
            shift: The shift.
            margin: Twice the error that is allowed.

        Raises:
            EigenError: The error of the factors is larger.
        """
        if self.values is not None:
            return int(np.searchsorted(self.values, shift))
        found = negative_pivots(self.matrix, shift)
        if found is None or not found[1] <= margin / 2:
            raise EigenError(
                f"certify cannot count the eigenvalues below {shift:.6g}: the error of the factors of A - {shift:.6g} "
                f"I is {'not known' if found is None else f'{found[1]:.1e}'}, that allowed {margin / 2:.1e}"
            )
        return found[0]

    def after(self, last: float, margin: float, count: int) -> float:
        """The next eigenvalue, or what is before it by at most 5 % of its distance; infinite if there is none.

        Args:
            last: The value from which its distance is meant.
            margin: What is closer is no next one.
            count: Eigenvalues below `last + margin`.
        """
        if count == self.size:
            return np.inf
        if self.values is not None:
            return float(self.values[count])
        near, far = margin, max(_FIRST * self.norm, 2 * margin)
        while self.below(last + far, margin) == count:
            near, far = far, 4 * far
        while far > _SHARP * near:
            middle = float(np.sqrt(near * far))
            near, far = (near, middle) if self.below(last + middle, margin) > count else (middle, far)
        return last + max(near - margin / 2, 0.0)
