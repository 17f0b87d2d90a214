"""Lowest eigenpairs of one sparse positive semi-definite matrix by Lanczos on its shifted inverse.

The matrix minus a small negative shift is positive definite, so that it is factored without pivoting in an order that
keeps fill low. Of a sparse graph with little fill (syntax trees with token edges, roads, meshes) this takes a
millisecond where a dense decomposition takes many; of an expander the factors fill up.

Lanczos may miss a copy of a repeated eigenvalue. The result is checked by inertia (Sylvester): the signs of the pivots
of A - mu I count the eigenvalues below mu. What does not check out is not returned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from graphpe.adjacency import Floats, Ints
from graphpe.compiled import compiled
from graphpe.eigen.block_lanczos import Krylov, begin, extend
from graphpe.eigen.lanes import LANES
from graphpe.eigen.ldl import SparseRows, Structure, eliminate, factorise

# In units of the spectrum's upper end. The shift is far below the eigenvalues that matter (they converge the faster,
# the closer it is), and far above rounding; the margin of the inertia check separates eigenvalues that are worth
# telling apart.
_SHIFT = 1e-3
_MARGIN = 1e-7
_RESIDUAL = 1e-9
_SKEW = 1e-12
# Rounding errors of factors grow with their entries; up to here they are below the margin.
_GROWTH = 1e7
# L may have this share of a full matrix; with more, dense solvers are quicker.
_FILL = 1 / 8
_CONVERGED = 1e-11
_BLOCKS, _MORE_BLOCKS, _MOST_BLOCKS = 6, 2, 16


def lowest_by_shift_invert(
    matrix: SparseRows, k: int, mode: NDArray[Any], support: Ints, top: float
) -> tuple[Floats, NDArray[Any]] | None:
    """The k lowest eigenpairs in the complement of known ones, smallest first.

    O(fill) time and memory for the factors, O(n m) memory and O(n m^2) time for a basis of m = 50 to 150 vectors (more,
    if k is large). The start vectors are fixed: the result is the same every time.

    Args:
        matrix: Hermitian positive semi-definite `[n, n]`, real or complex, diagonal included.
        k: Number of eigenpairs; k + c < n.
        mode: `[n]`: the entries of all known eigenvectors of eigenvalue 0, which have disjoint supports and unit norm.
        support: `[n]`: which of them a row belongs to: any integers.
        top: An upper bound of the spectrum.

    Returns:
        Values `[k]` and orthonormal vectors `[n, k]`; None where they could not be found and verified.
    """
    size = len(mode)
    structure = eliminate(matrix, int(_FILL * size * size))
    if structure is None:
        return None
    label, count = _labels(mode, support)
    vectors = _ritz_vectors(matrix, structure, k, mode[structure.order], label[structure.order], count, top)
    if vectors is None:
        return None
    # The space is accurate; within it the inverse tells close eigenvalues apart less well than the matrix itself.
    values, rotation = np.linalg.eigh(vectors.conj().T @ _multiply(*matrix, vectors))
    vectors = vectors @ rotation
    residual = np.abs(_multiply(*matrix, vectors) - vectors * values).max()
    skew = np.abs(vectors.conj().T @ vectors - np.eye(k)).max()
    if not (residual <= _RESIDUAL * top and skew <= _SKEW) or not _complete(matrix, structure, values, count, top):
        return None
    return values, vectors


def _ritz_vectors(
    matrix: SparseRows, structure: Structure, k: int, mode: NDArray[Any], label: Ints, count: int, top: float
) -> NDArray[Any] | None:
    """Approximate eigenvectors `[n, k]`, as good as the factors allow; mode and label by position."""
    factors = factorise(matrix, structure, -_SHIFT * top)
    if not (factors.pivot > 0).all():
        return None
    size, is_complex = len(mode), np.iscomplexobj(matrix.data)
    parts = 2 if is_complex else 1
    # Nothing is left to find when the blocks span the complement of what is known.
    most = min(_MOST_BLOCKS + k // 2, (size - count) // LANES)
    blocks = min(_BLOCKS + (k + 3) // 4, most)
    if LANES * blocks < k:
        return None
    krylov = begin(size, parts, most)
    flat = np.ascontiguousarray(mode.astype(matrix.data.dtype)).view(np.float64).reshape(size, parts)
    done = 0
    while True:
        done = extend(krylov, structure, factors, flat, label, done, blocks)
        side = LANES * done
        if side < k:
            return None
        projected = krylov.projected[:side, :side]
        values, small = scipy.linalg.eigh(
            projected if is_complex else projected.real, subset_by_index=[side - k, side - 1], check_finite=False
        )
        values, small = values[::-1], small[:, ::-1]
        residual = np.linalg.norm(krylov.last @ small[-LANES:], axis=0)
        if (residual <= _CONVERGED * values).all():
            return _lift(krylov, structure, small, parts)
        if done < blocks or blocks == most:
            return None
        blocks = min(blocks + _MORE_BLOCKS, most)
        krylov.projected[side : side + LANES, side - LANES : side] = krylov.last


def _lift(krylov: Krylov, structure: Structure, small: NDArray[Any], parts: int) -> NDArray[Any]:
    """The basis times a small matrix, by row of the matrix."""
    size = len(structure.order)
    blocks = len(small) // LANES
    by_block = krylov.basis[: LANES * parts * size * blocks].reshape(blocks, size * parts, LANES)
    basis = by_block.transpose(1, 0, 2).reshape(size * parts, -1)
    if parts == 1:
        by_position = basis @ small
    else:
        real, imaginary = (basis @ np.ascontiguousarray(part) for part in (small.real, small.imag))
        by_position = (real[::2] - imaginary[1::2]) + 1j * (real[1::2] + imaginary[::2])
    return by_position[structure.place]


def _labels(mode: NDArray[Any], support: Ints) -> tuple[Ints, int]:
    """Supports numbered from 0, -1 where the mode is zero, and how many there are."""
    present = np.flatnonzero(mode)
    label = np.full(len(mode), -1)
    names, label[present] = np.unique(support[present], return_inverse=True)
    return label, len(names)


def _complete(matrix: SparseRows, structure: Structure, values: Floats, known: int, top: float) -> bool:
    """Whether no eigenvalue clearly below the largest of `values` is missing."""
    level = values[-1] - _MARGIN * top
    if level <= _MARGIN * top:  # too close to the known modes to tell them apart
        return False
    factors = factorise(matrix, structure, level)
    if not factors.growth <= _GROWTH * top:
        return False
    below = int(np.count_nonzero(factors.pivot < 0))
    return below == known + int(np.count_nonzero(values < level))


@compiled
def _multiply(indptr: Ints, indices: Ints, data: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """The matrix times `[n, k]`."""
    out = np.zeros(x.shape, x.dtype)
    for i in range(len(indptr) - 1):
        for e in range(indptr[i], indptr[i + 1]):
            for c in range(x.shape[1]):
                out[i, c] += data[e] * x[indices[e], c]
    return out
