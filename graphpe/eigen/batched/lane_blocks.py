"""Blocks of eight vectors in the lanes of the vector registers: products, and keeping them orthonormal.

A block starts at an element of an array of lanes (see `graphpe.compiled.lanes`): entry j of its eight vectors is
element `at + parts j`, and the imaginary parts the next one. Matrices of eight rows and columns are complex, also for
real problems, so that one compiled function does for both; the loops over long vectors see the same memory as numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import machine_code
from graphpe.compiled.lanes import LANES, empty_lanes, full, load, multiply_add, spread, store
from graphpe.structure.adjacency import Floats, Ints

# Of a column's squared length: below, a block is taken to have lost a dimension.
_DEPENDENT = 1e-13


class Modes(NamedTuple):
    """Vectors of disjoint supports to which a space stays orthogonal, by position.

    Attributes:
        vector: `[n, parts]`: the entries of all of them.
        label: `[n]`: the support of each entry, numbered from 0, -1 for none.
        supports: How many there are.
    """

    vector: Floats
    label: Ints
    supports: int


class Small(NamedTuple):
    """Memory for matrices of eight rows and columns, in both forms.

    Attributes:
        matrices: `[4, 8, 8]`: the triangle R of the last block that was made orthonormal, its coefficients along the
            block before, and two that are overwritten.
        numbers: `[4, 8, 16]`: the same memory; imaginary parts of real problems stay 0.
        lanes: Rows as lanes, `[24]`, overwritten.
    """

    matrices: NDArray[np.complex128]
    numbers: Floats
    lanes: Floats


def small_matrices() -> Small:
    """Memory for matrices of eight rows and columns, not yet filled."""
    matrices = np.zeros((4, LANES, LANES), np.complex128)
    return Small(matrices, matrices.view(np.float64), empty_lanes(3 * LANES))


@machine_code
def orthonormalise(x: Floats, before: int, size: int, modes: Modes, sums: Floats, small: Small) -> bool:
    """Make a block orthonormal and orthogonal to the modes and to the blocks before it; False where it is dependent.

    Twice: at first only against the last two of the blocks before, along which nearly all is that Lanczos has to take
    off, then against all of them.

    Args:
        x: Lanes: the blocks, one after the other.
        before: How many there are before the one that is changed.
        size: Entries of a vector.
        modes: See `Modes`.
        sums: Lanes `[2 supports]`, overwritten.
        small: See `Small`; its first matrix is multiplied by R from the left, its second one is written, for the
            block times what the first one was.
    """
    parts = modes.vector.shape[1]
    block = parts * size
    new = before * block
    triangle, beside, product = small.matrices[0], small.matrices[1], small.matrices[2]
    beside[:] = 0
    for sweep in range(2):
        for a in range(max(0, before - 2) if sweep == 0 else 0, before):
            gram(x, a * block, new, size, parts, small.lanes, small.numbers[2])
            accumulate(x, a * block, new, size, parts, -1.0, small.lanes, small.numbers[2])
            if a == before - 1:
                _add_product(product, triangle, beside)
        if not whiten(x, new, size, modes, sums, small):
            return False
    return True


@machine_code
def whiten(x: Floats, at: int, size: int, modes: Modes, sums: Floats, small: Small) -> bool:
    """Make a block orthogonal to the modes and orthonormal, up to the square of its condition; False beyond that.

    The arguments as in `orthonormalise`; the first of the small matrices is multiplied by R from the left.

    Args:
        x: Lanes: the blocks, one after the other.
        at: Where the block begins.
        size: Entries of a vector.
        modes: See `Modes`.
        sums: Lanes `[2 supports]`, overwritten.
        small: See `Small`.
    """
    parts = modes.vector.shape[1]
    _project(x, at, modes.vector, modes.label, sums)
    gram(x, at, at, size, parts, small.lanes, small.numbers[2])
    if not _invert(small.matrices[2], small.matrices[3]):
        return False
    _combine(x, at, size, parts, small.lanes, small.numbers[3])
    _multiply_upper(small.matrices[2], small.matrices[0])
    return True


@machine_code
def _project(x: Floats, at: int, mode: Floats, label: Ints, sums: Floats) -> None:
    """Take the parts along the modes off the block."""
    if len(sums) == 0:
        return
    parts = mode.shape[1]
    zero = full(0.0)
    for e in range(len(sums) // LANES):
        store(sums, e, zero)
    # As a rule a long run of entries belongs to the same mode.
    current, sum_re, sum_im = -1, zero, zero
    for j in range(len(label)):
        if label[j] < 0:
            continue
        if label[j] != current:
            if current >= 0:
                store(sums, 2 * current, sum_re)
                store(sums, 2 * current + 1, sum_im)
            current = label[j]
            sum_re, sum_im = load(sums, 2 * current), load(sums, 2 * current + 1)
        if parts == 1:
            sum_re = multiply_add(full(mode[j, 0]), load(x, at + j), sum_re)
        else:
            re, im, x_re, x_im = full(mode[j, 0]), full(mode[j, 1]), load(x, at + 2 * j), load(x, at + 2 * j + 1)
            sum_re = multiply_add(re, x_re, multiply_add(im, x_im, sum_re))
            sum_im = multiply_add(re, x_im, sum_im - im * x_re)
    if current >= 0:
        store(sums, 2 * current, sum_re)
        store(sums, 2 * current + 1, sum_im)
    for j in range(len(label)):
        if label[j] < 0:
            continue
        s_re, s_im = load(sums, 2 * label[j]), load(sums, 2 * label[j] + 1)
        if parts == 1:
            store(x, at + j, multiply_add(full(-mode[j, 0]), s_re, load(x, at + j)))
        else:
            re, im = full(-mode[j, 0]), full(-mode[j, 1])
            store(x, at + 2 * j, multiply_add(re, s_re, load(x, at + 2 * j) - im * s_im))
            store(x, at + 2 * j + 1, multiply_add(re, s_im, multiply_add(im, s_re, load(x, at + 2 * j + 1))))


@machine_code
def gram(x: Floats, a: int, b: int, size: int, parts: int, lanes: Floats, out: Floats) -> None:
    """The product A^H B of the blocks at a and b.

    Args:
        x: Lanes: the blocks, one after the other.
        a: Where A begins.
        b: Where B begins.
        size: Entries of a vector.
        parts: Numbers of an entry: 1 real, or 2.
        lanes: Lanes, overwritten.
        out: The product, `[8, 16]`, written.
    """
    zero = full(0.0)
    for r in range(0, LANES, 4):
        re_0, re_1, re_2, re_3 = zero, zero, zero, zero
        im_0, im_1, im_2, im_3 = zero, zero, zero, zero
        if parts == 1:
            for j in range(size):
                at, b_re = LANES * (a + j) + r, load(x, b + j)
                re_0 = multiply_add(spread(x, at), b_re, re_0)
                re_1 = multiply_add(spread(x, at + 1), b_re, re_1)
                re_2 = multiply_add(spread(x, at + 2), b_re, re_2)
                re_3 = multiply_add(spread(x, at + 3), b_re, re_3)
        else:
            for j in range(size):
                at, b_re, b_im = LANES * (a + 2 * j) + r, load(x, b + 2 * j), load(x, b + 2 * j + 1)
                minus = zero - b_re
                a_re, a_im = spread(x, at), spread(x, at + LANES)
                re_0 = multiply_add(a_re, b_re, multiply_add(a_im, b_im, re_0))
                im_0 = multiply_add(a_re, b_im, multiply_add(a_im, minus, im_0))
                a_re, a_im = spread(x, at + 1), spread(x, at + LANES + 1)
                re_1 = multiply_add(a_re, b_re, multiply_add(a_im, b_im, re_1))
                im_1 = multiply_add(a_re, b_im, multiply_add(a_im, minus, im_1))
                a_re, a_im = spread(x, at + 2), spread(x, at + LANES + 2)
                re_2 = multiply_add(a_re, b_re, multiply_add(a_im, b_im, re_2))
                im_2 = multiply_add(a_re, b_im, multiply_add(a_im, minus, im_2))
                a_re, a_im = spread(x, at + 3), spread(x, at + LANES + 3)
                re_3 = multiply_add(a_re, b_re, multiply_add(a_im, b_im, re_3))
                im_3 = multiply_add(a_re, b_im, multiply_add(a_im, minus, im_3))
        store(lanes, 0, re_0)
        store(lanes, 1, re_1)
        store(lanes, 2, re_2)
        store(lanes, 3, re_3)
        store(lanes, 4, im_0)
        store(lanes, 5, im_1)
        store(lanes, 6, im_2)
        store(lanes, 7, im_3)
        for i in range(4):
            for m in range(LANES):
                for part in range(parts):
                    out[r + i, 2 * m + part] = lanes[LANES * (4 * part + i) + m]


@machine_code
def _as_lanes(h: Floats, sign: float, parts: int, lanes: Floats) -> None:
    """Rows of a small matrix as lanes: real parts, imaginary parts, and these with the other sign."""
    for r in range(LANES):
        for m in range(LANES):
            for part in range(parts):
                number = sign * h[r, 2 * m + part]
                lanes[LANES * (LANES * part + r) + m] = number
                lanes[LANES * (2 * LANES + r) + m] = -number  # the imaginary part comes last


@machine_code
def accumulate(x: Floats, a: int, b: int, size: int, parts: int, sign: float, lanes: Floats, h: Floats) -> None:
    """B <- B + sign A h for the blocks at a and b, with h `[8, 16]`.

    Args:
        x: Lanes: the blocks, one after the other.
        a: Where A begins.
        b: Where B begins, which is changed.
        size: Entries of a vector.
        parts: Numbers of an entry: 1 real, or 2.
        sign: 1 or -1.
        lanes: Lanes, overwritten.
        h: The matrix h, `[8, 16]`.
    """
    _as_lanes(h, sign, parts, lanes)
    for r in range(0, LANES, 4):
        r_0, r_1, r_2, r_3 = load(lanes, r), load(lanes, r + 1), load(lanes, r + 2), load(lanes, r + 3)
        if parts == 1:
            for j in range(size):
                at, re = LANES * (a + j) + r, load(x, b + j)
                re = multiply_add(spread(x, at), r_0, re)
                re = multiply_add(spread(x, at + 1), r_1, re)
                re = multiply_add(spread(x, at + 2), r_2, re)
                re = multiply_add(spread(x, at + 3), r_3, re)
                store(x, b + j, re)
        else:
            i_0, i_1 = load(lanes, LANES + r), load(lanes, LANES + r + 1)
            i_2, i_3 = load(lanes, LANES + r + 2), load(lanes, LANES + r + 3)
            m_0, m_1 = load(lanes, 2 * LANES + r), load(lanes, 2 * LANES + r + 1)
            m_2, m_3 = load(lanes, 2 * LANES + r + 2), load(lanes, 2 * LANES + r + 3)
            for j in range(size):
                at, re, im = LANES * (a + 2 * j) + r, load(x, b + 2 * j), load(x, b + 2 * j + 1)
                a_re, a_im = spread(x, at), spread(x, at + LANES)
                re = multiply_add(a_re, r_0, multiply_add(a_im, m_0, re))
                im = multiply_add(a_re, i_0, multiply_add(a_im, r_0, im))
                a_re, a_im = spread(x, at + 1), spread(x, at + LANES + 1)
                re = multiply_add(a_re, r_1, multiply_add(a_im, m_1, re))
                im = multiply_add(a_re, i_1, multiply_add(a_im, r_1, im))
                a_re, a_im = spread(x, at + 2), spread(x, at + LANES + 2)
                re = multiply_add(a_re, r_2, multiply_add(a_im, m_2, re))
                im = multiply_add(a_re, i_2, multiply_add(a_im, r_2, im))
                a_re, a_im = spread(x, at + 3), spread(x, at + LANES + 3)
                re = multiply_add(a_re, r_3, multiply_add(a_im, m_3, re))
                im = multiply_add(a_re, i_3, multiply_add(a_im, r_3, im))
                store(x, b + 2 * j, re)
                store(x, b + 2 * j + 1, im)


@machine_code
def _combine(x: Floats, b: int, size: int, parts: int, lanes: Floats, h: Floats) -> None:
    """B <- B h for the block at b."""
    _as_lanes(h, 1.0, parts, lanes)
    zero = full(0.0)
    for j in range(size):
        at = LANES * (b + parts * j)
        re, im = zero, zero
        if parts == 1:
            for r in range(LANES):
                re = multiply_add(spread(x, at + r), load(lanes, r), re)
        else:
            for r in range(LANES):
                b_re, b_im, h_re = spread(x, at + r), spread(x, at + LANES + r), load(lanes, r)
                re = multiply_add(b_re, h_re, multiply_add(b_im, load(lanes, 2 * LANES + r), re))
                im = multiply_add(b_re, load(lanes, LANES + r), multiply_add(b_im, h_re, im))
            store(x, b + 2 * j + 1, im)
        store(x, b + parts * j, re)


@machine_code
def set_identity(h: NDArray[Any]) -> None:
    """Ones on the diagonal, zeros elsewhere.

    Args:
        h: A square matrix, overwritten.
    """
    h[:] = 0
    for i in range(LANES):
        h[i, i] = 1


@machine_code
def _add_product(h: NDArray[Any], upper: NDArray[Any], out: NDArray[Any]) -> None:
    """Add h times an upper triangle."""
    for i in range(LANES):
        for p in range(LANES):
            for m in range(p, LANES):
                out[i, m] += h[i, p] * upper[p, m]


@machine_code
def _multiply_upper(left: NDArray[Any], right: NDArray[Any]) -> None:
    """Right <- left right, both upper triangles."""
    for i in range(LANES):
        for m in range(LANES):
            entry = left[i, i] * 0
            for p in range(i, m + 1):
                entry += left[i, p] * right[p, m]
            right[i, m] = entry


@machine_code
def _invert(gram: NDArray[Any], inverse: NDArray[Any]) -> bool:
    """The Cholesky factor R of gram = R^H R, in place, and its inverse; False where gram is singular to rounding."""
    for i in range(LANES):
        whole = gram[i, i].real
        rest = whole
        for p in range(i):
            rest -= gram[p, i].real ** 2 + gram[p, i].imag ** 2
        if not rest > _DEPENDENT * whole:
            return False
        gram[i, i] = np.sqrt(rest)
        inverse[i, i] = 1 / np.sqrt(rest)
        for m in range(i + 1, LANES):
            entry = gram[i, m]
            for p in range(i):
                entry -= np.conj(gram[p, i]) * gram[p, m]
            gram[i, m] = entry * inverse[i, i].real
        for m in range(i):
            gram[i, m] = 0
    for m in range(LANES):
        for i in range(m + 1, LANES):
            inverse[i, m] = 0
        for i in range(m - 1, -1, -1):
            entry = gram[i, i] * 0
            for p in range(i + 1, m + 1):
                entry -= gram[i, p] * inverse[p, m]
            inverse[i, m] = entry * inverse[i, i].real
    return True
