"""Eigenvectors from a Krylov space: lifted, polished, rotated and measured, eight vectors at a time.

Compiled steps around two small eigenproblems; see `graphpe.eigen.batched.sparse`, which calls them, and
`graphpe.eigen.batched.lane_blocks` for blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import machine_code
from graphpe.compiled.lanes import LANES, empty_lanes, full, load, multiply_add, store
from graphpe.eigen.batched.lane_blocks import Modes, Small, accumulate, gram, orthonormalise, set_identity
from graphpe.eigen.batched.ldl import Inverse, solve_lanes
from graphpe.structure.adjacency import Floats, Ints

# Solves after lifting: each takes off what convergence and rounding left, by the ratio of wanted to unwanted.
_SOLVES = 5


@machine_code
def polish(
    x: Floats,
    first: int,
    coefficients: NDArray[Any],
    small: Small,
    inverse: Inverse,
    modes: Modes,
    place: Ints,
    indptr: Ints,
    indices: Ints,
    data: Floats,
    out: NDArray[Any],
) -> bool:
    """Lift vectors out of a Krylov space, apply the inverse, and project the matrix; False where they are dependent.

    Args:
        x: Lanes: the basis, as many blocks as `coefficients` has rows, at 0.
        first: Where the orthonormal vectors are written, block after block; as much again is overwritten.
        coefficients: `[8 blocks, 8 b]`.
        small: See `Small`; overwritten.
        inverse: The inverse that was meant.
        modes: See `Modes`.
        place: As in `Structure`.
        indptr: This and the next two: the matrix; see `SparseRows`.
        indices: See there.
        data: `[entries, parts]`.
        out: `[8 b, 8 b]`: the projected matrix, written.
    """
    size, parts = modes.vector.shape
    block = parts * size
    blocks = coefficients.shape[1] // LANES
    sums, here, basis = empty_lanes(2 * modes.supports), x[LANES * first :], first - first  # a literal 0 compiles apart
    for b in range(blocks):
        new = first + b * block
        _lift(x, basis, new, size, parts, coefficients, b, small)
        for _ in range(_SOLVES):
            solve_lanes(inverse, x, new)
        set_identity(small.matrices[0])
        if not orthonormalise(here, b, size, modes, sums, small):
            return False
    image = first + blocks * block
    for b in range(blocks):
        _apply(indptr, indices, data, place, parts, x, first + b * block, image)
        for a in range(b + 1):
            gram(x, first + a * block, image, size, parts, small.lanes, small.numbers[2])
            for i in range(LANES):
                for m in range(LANES):
                    out[LANES * a + i, LANES * b + m] = small.matrices[2, i, m]
                    out[LANES * b + m, LANES * a + i] = np.conj(small.matrices[2, i, m])
    return True


@machine_code
def rotate(
    x: Floats,
    first: int,
    rotation: NDArray[Any],
    values: Floats,
    small: Small,
    place: Ints,
    indptr: Ints,
    indices: Ints,
    data: Floats,
    vectors: Floats,
) -> tuple[float, float]:
    """Write the vectors of `polish` times a unitary matrix; the largest entry of their residuals and of X^H X - I.

    Args:
        x: Lanes, as `polish` leaves them.
        first: As there.
        rotation: `[8 b, 8 b]`.
        values: `[k]`, k <= 8 b.
        small: See `Small`; overwritten.
        place: As in `Structure`.
        indptr: This and the next two: the matrix; see `SparseRows`.
        indices: See there.
        data: `[entries, parts]`.
        vectors: `[n, k, parts]`, written: the first k columns, by row of the matrix.
    """
    size, k, parts = vectors.shape
    block = parts * size
    blocks = len(rotation) // LANES
    turned = first + blocks * block
    for b in range(blocks):
        _lift(x, first, turned + b * block, size, parts, rotation, b, small)
    residual, skew = 0.0, 0.0
    for b in range(blocks):
        columns = min(LANES, k - LANES * b)
        # The first block is not needed any more.
        _apply(indptr, indices, data, place, parts, x, turned + b * block, first)
        for i in range(size):
            at = parts * place[i]
            for part in range(parts):
                for m in range(columns):
                    entry = x[LANES * (turned + b * block + at + part) + m]
                    vectors[i, LANES * b + m, part] = entry
                    wrong = abs(x[LANES * (first + at + part) + m] - entry * values[LANES * b + m])
                    if not wrong <= residual:
                        residual = wrong
        for a in range(b + 1):
            gram(x, turned + a * block, turned + b * block, size, parts, small.lanes, small.numbers[2])
            for i in range(LANES):
                for m in range(columns):
                    wrong = abs(small.matrices[2, i, m] - (1 if a == b and i == m else 0))
                    if not wrong <= skew:
                        skew = wrong
    return residual, skew


@machine_code
def _lift(
    x: Floats, source: int, target: int, size: int, parts: int, coefficients: NDArray[Any], b: int, small: Small
) -> None:
    """The blocks at `source`, one after the other, times the eight columns b of a matrix."""
    block, zero = parts * size, full(0.0)
    for e in range(block):
        store(x, target + e, zero)
    for t in range(len(coefficients) // LANES):
        for i in range(LANES):
            for m in range(LANES):
                small.matrices[2, i, m] = coefficients[LANES * t + i, LANES * b + m]
        accumulate(x, source + t * block, target, size, parts, 1.0, small.lanes, small.numbers[2])


@machine_code
def _apply(
    indptr: Ints, indices: Ints, data: Floats, place: Ints, parts: int, x: Floats, source: int, target: int
) -> None:
    """The matrix times a block; rows and columns of the matrix are at their positions."""
    zero = full(0.0)
    for u in range(len(place)):
        re, im = zero, zero
        for e in range(indptr[u], indptr[u + 1]):
            at = source + parts * place[indices[e]]
            if parts == 1:
                re = multiply_add(full(data[e, 0]), load(x, at), re)
            else:
                a_re, a_im, x_re, x_im = full(data[e, 0]), full(data[e, 1]), load(x, at), load(x, at + 1)
                re = multiply_add(a_re, x_re, re - a_im * x_im)
                im = multiply_add(a_re, x_im, multiply_add(a_im, x_re, im))
        to = target + parts * place[u]
        store(x, to, re)
        if parts == 2:
            store(x, to + 1, im)
