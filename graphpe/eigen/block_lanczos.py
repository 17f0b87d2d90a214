"""Block Lanczos with eight vectors at a time, on the inverse of a factored sparse matrix, cubed.

The vectors of a block stand in the lanes of the vector registers (see `graphpe.eigen.lanes`): a solve with the factors
treats eight right-hand sides at the price of one, and an eigenvalue of up to eight copies is found with all of them.
Every block is made orthogonal to all those before it, twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.adjacency import Floats, Ints
from graphpe.compiled import compiled
from graphpe.eigen.lanes import LANES, empty_lanes, full, load, multiply_add, spread, store
from graphpe.eigen.ldl import Factors, Structure, solve_lanes

# Of a column's squared length: below, a block is taken to have lost a dimension.
_DEPENDENT = 1e-13
# Solving costs little beside keeping a basis orthogonal: a power of the inverse separates more per block. Rounding
# grows with that power of the ratio of the wanted eigenvalues.
_POWER = 3


class Krylov(NamedTuple):
    """The state of an iteration.

    Attributes:
        basis: Lanes: block t, position j is element `parts (t n + j)`, and its imaginary part the next one.
        projected: `[8 s, 8 s]` complex: the cube of the inverse in that basis; of it the lower triangle.
        last: `[8, 8]` complex: the next block below it.
    """

    basis: Floats
    projected: NDArray[np.complex128]
    last: NDArray[np.complex128]


def begin(size: int, parts: int, blocks: int) -> Krylov:
    """Room for an iteration of at most `blocks` blocks."""
    side = LANES * blocks
    basis = empty_lanes(parts * size * (blocks + 1))
    return Krylov(basis, np.zeros((side, side), dtype=complex), np.zeros((LANES, LANES), dtype=complex))


def extend(
    krylov: Krylov, structure: Structure, factors: Factors, mode: Floats, label: Ints, first: int, blocks: int
) -> int:
    """Go on from `first` to `blocks` blocks; how many there are then: fewer where the space is exhausted.

    Args:
        krylov: The state, changed.
        structure: Of the factors.
        factors: Of the matrix whose inverse is meant.
        mode: `[n, parts]` by position: vectors of disjoint supports to which the space stays orthogonal.
        label: `[n]` by position: the support of each entry, -1 for none.
        first: Blocks that are done.
        blocks: Blocks that are wanted.
    """
    parts = mode.shape[1]
    lower = factors.lower.view(np.float64).reshape(len(factors.lower), parts)
    return int(_extend(*krylov, structure.start, structure.rows, lower, factors.pivot, mode, label, first, blocks))


@compiled
def _extend(
    basis: Floats,
    projected: NDArray[np.complex128],
    last: NDArray[np.complex128],
    start: Ints,
    rows: Ints,
    lower: Floats,
    pivot: Floats,
    mode: Floats,
    label: Ints,
    first: int,
    blocks: int,
) -> int:
    size, parts = len(pivot), mode.shape[1]
    block = parts * size
    supports = 0
    for j in range(size):
        supports = max(supports, label[j] + 1)
    sums, small = empty_lanes(2 * supports + 1), empty_lanes(2 * LANES)
    product, triangle = np.zeros((LANES, LANES), np.complex128), np.zeros((LANES, LANES), np.complex128)
    if first == 0:
        state = np.uint64(size)
        for e in range(LANES * block):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            basis[e] = float(state >> np.uint64(11)) * 2.0**-52 - 1.0
        head = first * block  # 0; a literal would be compiled apart
        _project(basis, head, mode, label, sums)
        for _ in range(2):
            _gram(basis, head, head, size, parts, small, product)
            if not _invert(product, triangle):
                return first
            _combine(basis, head, size, parts, small, triangle)
    t = first
    while True:
        # The next block, t + 1; the blocks up to t are done.
        new = (t + 1) * block
        for e in range(block):
            store(basis, new + e, load(basis, t * block + e))
        for _ in range(_POWER):
            solve_lanes(start, rows, lower, pivot, parts, basis, new)
            _project(basis, new, mode, label, sums)
        _set_identity(last)
        for _ in range(2):
            for a in range(t + 1):
                _gram(basis, a * block, new, size, parts, small, product)
                _subtract(basis, a * block, new, size, parts, small, product)
                if a == t:
                    _add_product(product, last, projected, LANES * t)
            _project(basis, new, mode, label, sums)
            _gram(basis, new, new, size, parts, small, product)
            if not _invert(product, triangle):
                for i in range(LANES):
                    for m in range(LANES):
                        last[i, m] = 0
                return t + 1
            _combine(basis, new, size, parts, small, triangle)
            _multiply_upper(product, last)
        t += 1
        if t == blocks:
            return t
        for i in range(LANES):
            for m in range(LANES):
                projected[LANES * t + i, LANES * (t - 1) + m] = last[i, m]


@compiled
def _project(x: Floats, at: int, mode: Floats, label: Ints, sums: Floats) -> None:
    """Take the parts along the modes off the block."""
    parts = mode.shape[1]
    zero = full(0.0)
    for e in range(len(sums) // LANES):
        store(sums, e, zero)
    for j in range(len(label)):
        if label[j] < 0:
            continue
        to = 2 * label[j]
        if parts == 1:
            store(sums, to, multiply_add(full(mode[j, 0]), load(x, at + j), load(sums, to)))
        else:
            re, im, x_re, x_im = full(mode[j, 0]), full(mode[j, 1]), load(x, at + 2 * j), load(x, at + 2 * j + 1)
            store(sums, to, multiply_add(re, x_re, multiply_add(im, x_im, load(sums, to))))
            store(sums, to + 1, multiply_add(re, x_im, load(sums, to + 1) - im * x_re))
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


@compiled
def _gram(x: Floats, a: int, b: int, size: int, parts: int, small: Floats, out: NDArray[np.complex128]) -> None:
    """The product A^H B of the blocks at a and b."""
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
        store(small, 0, re_0)
        store(small, 1, re_1)
        store(small, 2, re_2)
        store(small, 3, re_3)
        store(small, 4, im_0)
        store(small, 5, im_1)
        store(small, 6, im_2)
        store(small, 7, im_3)
        for i in range(4):
            for m in range(LANES):
                out[r + i, m] = complex(small[LANES * i + m], small[LANES * (4 + i) + m])


@compiled
def _as_lanes(h: NDArray[np.complex128], small: Floats) -> None:
    """Rows of a small matrix as lanes: real parts first, then imaginary parts."""
    for r in range(LANES):
        for m in range(LANES):
            small[LANES * r + m] = h[r, m].real
            small[LANES * (LANES + r) + m] = h[r, m].imag


@compiled
def _subtract(x: Floats, a: int, b: int, size: int, parts: int, small: Floats, h: NDArray[np.complex128]) -> None:
    """B <- B - A h for the blocks at a and b."""
    _as_lanes(h, small)
    zero = full(0.0)
    for r in range(0, LANES, 4):
        r_0, r_1, r_2, r_3 = load(small, r), load(small, r + 1), load(small, r + 2), load(small, r + 3)
        if parts == 1:
            for j in range(size):
                at, re = LANES * (a + j) + r, load(x, b + j)
                re = multiply_add(zero - spread(x, at), r_0, re)
                re = multiply_add(zero - spread(x, at + 1), r_1, re)
                re = multiply_add(zero - spread(x, at + 2), r_2, re)
                re = multiply_add(zero - spread(x, at + 3), r_3, re)
                store(x, b + j, re)
        else:
            i_0, i_1 = load(small, LANES + r), load(small, LANES + r + 1)
            i_2, i_3 = load(small, LANES + r + 2), load(small, LANES + r + 3)
            for j in range(size):
                at, re, im = LANES * (a + 2 * j) + r, load(x, b + 2 * j), load(x, b + 2 * j + 1)
                a_re, minus = zero - spread(x, at), spread(x, at + LANES)
                a_im = zero - minus
                re = multiply_add(a_re, r_0, multiply_add(minus, i_0, re))
                im = multiply_add(a_re, i_0, multiply_add(a_im, r_0, im))
                a_re, a_im, minus = (
                    zero - spread(x, at + 1),
                    zero - spread(x, at + LANES + 1),
                    spread(x, at + LANES + 1),
                )
                re = multiply_add(a_re, r_1, multiply_add(minus, i_1, re))
                im = multiply_add(a_re, i_1, multiply_add(a_im, r_1, im))
                a_re, a_im, minus = (
                    zero - spread(x, at + 2),
                    zero - spread(x, at + LANES + 2),
                    spread(x, at + LANES + 2),
                )
                re = multiply_add(a_re, r_2, multiply_add(minus, i_2, re))
                im = multiply_add(a_re, i_2, multiply_add(a_im, r_2, im))
                a_re, a_im, minus = (
                    zero - spread(x, at + 3),
                    zero - spread(x, at + LANES + 3),
                    spread(x, at + LANES + 3),
                )
                re = multiply_add(a_re, r_3, multiply_add(minus, i_3, re))
                im = multiply_add(a_re, i_3, multiply_add(a_im, r_3, im))
                store(x, b + 2 * j, re)
                store(x, b + 2 * j + 1, im)


@compiled
def _combine(x: Floats, b: int, size: int, parts: int, small: Floats, h: NDArray[np.complex128]) -> None:
    """B <- B h for the block at b."""
    _as_lanes(h, small)
    zero = full(0.0)
    for j in range(size):
        at = LANES * (b + parts * j)
        re, im = zero, zero
        if parts == 1:
            for r in range(LANES):
                re = multiply_add(spread(x, at + r), load(small, r), re)
        else:
            for r in range(LANES):
                b_re, b_im, minus = spread(x, at + r), spread(x, at + LANES + r), zero - spread(x, at + LANES + r)
                h_re, h_im = load(small, r), load(small, LANES + r)
                re = multiply_add(b_re, h_re, multiply_add(minus, h_im, re))
                im = multiply_add(b_re, h_im, multiply_add(b_im, h_re, im))
            store(x, b + 2 * j + 1, im)
        store(x, b + parts * j, re)


@compiled
def _set_identity(h: NDArray[np.complex128]) -> None:
    for i in range(LANES):
        for m in range(LANES):
            h[i, m] = 1 if i == m else 0


@compiled
def _add_product(
    h: NDArray[np.complex128], upper: NDArray[np.complex128], out: NDArray[np.complex128], at: int
) -> None:
    """Add h times an upper triangle to the diagonal block at (at, at)."""
    for i in range(LANES):
        for m in range(LANES):
            for p in range(m + 1):
                out[at + i, at + m] += h[i, p] * upper[p, m]


@compiled
def _multiply_upper(left: NDArray[np.complex128], right: NDArray[np.complex128]) -> None:
    """Right <- left right, both upper triangles."""
    for i in range(LANES):
        for m in range(LANES):
            entry = 0j
            for p in range(i, m + 1):
                entry += left[i, p] * right[p, m]
            right[i, m] = entry


@compiled
def _invert(gram: NDArray[np.complex128], inverse: NDArray[np.complex128]) -> bool:
    """The Cholesky factor R of gram = R^H R, in place, and its inverse; False where gram is singular to rounding."""
    for i in range(LANES):
        whole = gram[i, i].real
        rest = whole
        for p in range(i):
            rest -= gram[p, i].real ** 2 + gram[p, i].imag ** 2
        if not rest > _DEPENDENT * whole:
            return False
        gram[i, i] = np.sqrt(rest)
        for m in range(i + 1, LANES):
            entry = gram[i, m]
            for p in range(i):
                entry -= np.conj(gram[p, i]) * gram[p, m]
            gram[i, m] = entry / gram[i, i].real
        for m in range(i):
            gram[i, m] = 0
    for m in range(LANES):
        for i in range(m + 1, LANES):
            inverse[i, m] = 0
        inverse[m, m] = 1 / gram[m, m].real
        for i in range(m - 1, -1, -1):
            entry = 0j
            for p in range(i + 1, m + 1):
                entry -= gram[i, p] * inverse[p, m]
            inverse[i, m] = entry / gram[i, i].real
    return True
