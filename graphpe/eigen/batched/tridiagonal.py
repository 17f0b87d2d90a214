"""Eigenpairs of eight real symmetric tridiagonal matrices at once (see `graphpe.compiled.lanes`).

All arrays are of lanes: `diagonal` `[n]`, and `beside` `[n]`, whose element i stands at (i - 1, i); element 0 is not
read. A matrix smaller than n has zeros in `beside` and anything in `diagonal` after its own rows: its eigenpairs then
come out bit for bit as if it stood alone, since every operation on the rows after its own is exact or without effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphpe.compiled.jit import machine_code
from graphpe.compiled.lanes import (
    LANES,
    absolute,
    any_lane,
    both,
    full,
    load,
    multiply_add,
    select,
    square_root,
    store,
)

_EPS = 2.0**-53
# QL needs 1.7 sweeps per eigenvalue as a rule; LAPACK, too, gives up after 30.
_SWEEPS = 30
# Two steps of inverse iteration do from any start. Inside a cluster, where little is left of a vector without those
# before it, more help, and residuals stay larger.
_STEPS = 5
_RESIDUAL = 16 * _EPS
_RESIDUAL_AT_LAST = 1024 * _EPS
# Orthogonal to rounding after the second pass, if the first left no more than this.
_PARALLEL = 0.1


@machine_code
def eigenvalues(diagonal: Any, beside: Any, size: Any, n: int, values: Any, square: Any, scratch: Any) -> None:
    """All eigenvalues, ascending, to absolute accuracy: the square-root-free QL iteration of Pal, Walker and Kahan.

    O(n^2). What has not converged is nan.

    Args:
        diagonal: `[n]`.
        beside: `[n]`.
        size: `[LANES]` integers: rows of each matrix.
        n: Rows of the largest.
        values: `[n]`, written; large after the rows of a matrix.
        square: `[n + 1]`, overwritten.
        scratch: `[4]`, overwritten.
    """
    zero, one, two = full(0.0), full(1.0), full(2.0)
    norm = zero
    for i in range(n):
        here = absolute(load(beside, i)) if i > 0 else zero
        norm = select(norm < here, here, norm)
        store(square, i, here * here)
    store(square, n, zero)
    for lane in range(LANES):
        for i in range(size[lane], n):
            values[LANES * i + lane] = 0.0
        for i in range(size[lane]):
            values[LANES * i + lane] = diagonal[LANES * i + lane]
    for i in range(n):
        here = absolute(load(values, i))
        norm = select(norm < here, here, norm)
    store(scratch, 0, norm)
    for lane in range(LANES):
        for i in range(size[lane], n):
            values[LANES * i + lane] = 8.0 * scratch[lane] + 1.0
    negligible = full(_EPS) * norm
    negligible = negligible * negligible
    store(scratch, 0, negligible)

    at = np.zeros(LANES, np.int64)  # the first row that has not converged
    sweep = 0
    while True:
        lowest = n
        for lane in range(LANES):
            last = size[lane] - 1
            row = at[lane]
            while row < last and square[LANES * (row + 1) + lane] <= scratch[lane]:
                square[LANES * (row + 1) + lane] = 0.0
                row += 1
            at[lane] = row
            if row < last:
                lowest = min(lowest, row)
                scratch[LANES + lane] = values[LANES * row + lane]
                scratch[2 * LANES + lane] = values[LANES * (row + 1) + lane]
                scratch[3 * LANES + lane] = square[LANES * (row + 1) + lane]
            else:
                at[lane] = n
                scratch[LANES + lane], scratch[2 * LANES + lane], scratch[3 * LANES + lane] = 0.0, 1.0, 1.0
        if lowest == n:
            break
        if sweep == _SWEEPS * n:
            for lane in range(LANES):
                if at[lane] < n:
                    for i in range(n):
                        values[LANES * i + lane] = np.nan
            break
        sweep += 1
        # Wilkinson's shift.
        top, root = load(scratch, 1), square_root(load(scratch, 3))
        shift = (load(scratch, 2) - top) / (two * root)
        hypotenuse = square_root(multiply_add(shift, shift, one))
        shift = top - root / (shift + select(shift < zero, zero - hypotenuse, hypotenuse))
        for lane in range(LANES):
            scratch[LANES + lane] = at[lane]
        end = load(scratch, 1)

        cosine, sine = one, zero
        gamma = load(values, n - 1) - shift
        p = gamma * gamma
        row = n - 2
        while row >= lowest:
            here = full(float(row))
            active = end <= here
            off = load(square, row + 1)
            r = p + off
            above = load(square, row + 2)
            store(square, row + 2, select(active, sine * r, above))
            before = cosine
            nothing = r == zero
            r = select(nothing, one, r)
            cosine = select(nothing, one, p / r)
            sine = off / r
            alpha, old = load(values, row), gamma
            gamma = cosine * (alpha - shift) - sine * old
            store(values, row + 1, select(active, old + (alpha - gamma), load(values, row + 1)))
            degenerate = cosine == zero
            p = select(degenerate, before * off, gamma * gamma / select(degenerate, one, cosine))
            ends = end == here
            store(values, row, select(ends, shift + gamma, alpha))
            store(square, row + 1, select(ends, sine * p, off))
            row -= 1
    _sort(values, n)


@machine_code
def _sort(values: Any, n: int) -> None:
    """Bubbles: QL leaves the values almost in order."""
    for last in range(n - 1, 0, -1):
        high = load(values, 0)
        swapped = False
        for i in range(last):
            here = load(values, i + 1)
            wrong = here < high
            swapped |= any_lane(wrong)
            store(values, i, select(wrong, here, high))
            high = select(wrong, high, here)
        store(values, last, high)
        if not swapped:
            break


@machine_code
def eigenvectors(
    diagonal: Any, beside: Any, size: Any, wanted: Any, n: int, k: int, values: Any, vectors: Any, scratch: Any
) -> None:
    """The eigenvectors of the first k eigenvalues by inverse iteration, each orthogonal to all those before it.

    O(n k^2) and O(n k) divisions. A vector that has not converged is nan.

    Args:
        diagonal: `[n]`.
        beside: `[n]`.
        size: `[LANES]` integers: rows of each matrix.
        wanted: `[LANES]` integers: how many vectors of each matrix are wanted; later columns are not to be read.
        n: Rows of the largest matrix.
        k: The largest of `wanted`.
        values: `[n]`, ascending.
        vectors: `[k, n]`, written.
        scratch: `[7 n + k + 3]`, overwritten.
    """
    zero, one = full(0.0), full(1.0)
    x, y, inverse, first, second = 0, n, 2 * n, 3 * n, 4 * n
    multiplier, swaps, product, lane_numbers = 5 * n, 6 * n, 7 * n, 7 * n + k
    norm = zero
    for i in range(n):
        here = absolute(load(diagonal, i)) + absolute(load(beside, i) if i > 0 else zero)
        here = here + absolute(load(beside, i + 1) if i + 1 < n else zero)
        norm = select(norm < here, here, norm)
    smallest = full(_EPS) * norm
    smallest = select(smallest == zero, one, smallest)
    enough, enough_at_last = full(_RESIDUAL) * norm, full(_RESIDUAL_AT_LAST) * norm
    for lane in range(LANES):
        scratch[LANES * lane_numbers + lane] = size[lane]
        scratch[LANES * (lane_numbers + 1) + lane] = wanted[lane]
    rows, columns = load(scratch, lane_numbers), load(scratch, lane_numbers + 1)
    for j in range(k):
        value = load(values, j)
        _factorise(diagonal, beside, value, smallest, n, scratch)
        # The start is that of the column, whatever n: a linear congruential generator of 64 bits, of which the upper 53
        # make a number in [-1, 1).
        state = np.uint64(j) * np.uint64(0x9E3779B97F4A7C15)
        for i in range(n):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            number = full(float(state >> np.uint64(11)) * 2.0**-52 - 1.0)
            store(scratch, x + i, select(full(float(i)) < rows, number, zero))
        done = columns <= full(float(j))
        for step in range(_STEPS):
            # Forward elimination with the interchanges of the factors, then back substitution.
            current = load(scratch, x)
            for i in range(1, n):
                here, factor = load(scratch, x + i), load(scratch, multiplier + i)
                swap = load(scratch, swaps + i) == one
                upper, lower = select(swap, here, current), select(swap, current, here)
                store(scratch, y + i - 1, upper)
                current = lower - factor * upper
            after, after_next = current * load(scratch, inverse + n - 1), zero
            store(scratch, x + n - 1, after)
            for i in range(n - 2, -1, -1):
                here = load(scratch, y + i) - load(scratch, first + i) * after
                here = (here - load(scratch, second + i) * after_next) * load(scratch, inverse + i)
                store(scratch, x + i, here)
                after, after_next = here, after
            _normalise(scratch, x, n)
            _orthogonalise(scratch, x, product, vectors, j, n)
            _normalise(scratch, x, n)
            if step == 0:
                continue
            parallel = _orthogonalise(scratch, x, product, vectors, j, n)
            _normalise(scratch, x, n)
            residual, before, here = zero, zero, load(scratch, x)
            for i in range(n):
                following = load(scratch, x + i + 1) if i + 1 < n else zero
                change = (load(diagonal, i) - value) * here
                if i > 0:
                    change = multiply_add(load(beside, i), before, change)
                if i + 1 < n:
                    change = multiply_add(load(beside, i + 1), following, change)
                change = absolute(change)
                residual = select(change <= residual, residual, change)
                before, here = here, following
            for i in range(n):
                store(vectors, j * n + i, select(done, load(vectors, j * n + i), load(scratch, x + i)))
            good = both(residual <= (enough if step < 3 else enough_at_last), parallel <= full(_PARALLEL))
            done = select(good, one, select(done, one, zero)) == one
            if not any_lane(select(done, zero, one) == one):
                break
        else:
            for i in range(n):
                store(vectors, j * n + i, select(done, load(vectors, j * n + i), full(np.nan)))


@machine_code
def _factorise(diagonal: Any, beside: Any, value: Any, smallest: Any, n: int, scratch: Any) -> None:
    """LU factors of T - value I with partial pivoting; pivots below `smallest` are replaced by it.

    Where T falls apart to rounding it is taken apart, so that each part has an amplification of its own.
    """
    inverse, first, second, multiplier, swaps = 2 * n, 3 * n, 4 * n, 5 * n, 6 * n
    zero, one = full(0.0), full(1.0)
    pivot = load(diagonal, 0) - value
    left = load(beside, 1) if n > 1 else zero
    left = select(absolute(left) <= smallest, zero, left)
    right = left
    for i in range(1, n):
        middle = load(diagonal, i) - value
        far = load(beside, i + 1) if i + 1 < n else zero
        far = select(absolute(far) <= smallest, zero, far)
        swap = absolute(pivot) < absolute(left)
        chosen, other = select(swap, left, pivot), select(swap, pivot, left)
        chosen = select(absolute(chosen) < smallest, smallest, chosen)
        reciprocal = one / chosen
        factor = other * reciprocal
        upper, lower = select(swap, middle, right), select(swap, right, middle)
        store(scratch, inverse + i - 1, reciprocal)
        store(scratch, first + i - 1, upper)
        store(scratch, second + i - 1, select(swap, far, zero))
        store(scratch, multiplier + i, factor)
        store(scratch, swaps + i, select(swap, one, zero))
        pivot = lower - factor * upper
        right, left = select(swap, zero - factor * far, far), far
    store(scratch, inverse + n - 1, one / select(absolute(pivot) < smallest, smallest, pivot))


@machine_code
def _normalise(scratch: Any, x: int, n: int) -> None:
    """Scale to unit norm."""
    even, odd = full(0.0), full(0.0)
    for i in range(0, n - 1, 2):
        a, b = load(scratch, x + i), load(scratch, x + i + 1)
        even, odd = multiply_add(a, a, even), multiply_add(b, b, odd)
    if n % 2:
        a = load(scratch, x + n - 1)
        even = multiply_add(a, a, even)
    scale = full(1.0) / square_root(even + odd)
    for i in range(n):
        store(scratch, x + i, scale * load(scratch, x + i))


@machine_code
def _orthogonalise(scratch: Any, x: int, product: int, vectors: Any, j: int, n: int) -> Any:
    """Take the parts along the first j vectors off; the largest of their coefficients."""
    largest = full(0.0)
    for c in range(0, j - 3, 4):
        a, b, d, e = full(0.0), full(0.0), full(0.0), full(0.0)
        for i in range(n):
            here = load(scratch, x + i)
            a = multiply_add(load(vectors, c * n + i), here, a)
            b = multiply_add(load(vectors, (c + 1) * n + i), here, b)
            d = multiply_add(load(vectors, (c + 2) * n + i), here, d)
            e = multiply_add(load(vectors, (c + 3) * n + i), here, e)
        zero = full(0.0)
        for i in range(n):
            here = load(scratch, x + i)
            here = multiply_add(zero - a, load(vectors, c * n + i), here)
            here = multiply_add(zero - b, load(vectors, (c + 1) * n + i), here)
            here = multiply_add(zero - d, load(vectors, (c + 2) * n + i), here)
            here = multiply_add(zero - e, load(vectors, (c + 3) * n + i), here)
            store(scratch, x + i, here)
        largest = _larger(largest, _larger(_larger(a, b), _larger(d, e)))
    for c in range(j - j % 4, j):
        a = full(0.0)
        for i in range(n):
            a = multiply_add(load(vectors, c * n + i), load(scratch, x + i), a)
        for i in range(n):
            here = multiply_add(full(0.0) - a, load(vectors, c * n + i), load(scratch, x + i))
            store(scratch, x + i, here)
        largest = _larger(largest, a)
    return largest


@machine_code
def _larger(a: Any, b: Any) -> Any:
    """The larger modulus."""
    a, b = absolute(a), absolute(b)
    return select(b <= a, a, b)
