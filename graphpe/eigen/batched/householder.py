"""Householder tridiagonalisation of eight Hermitian matrices at once (see `graphpe.compiled.lanes`), and the way back.

With H_i = I - tau_i v_i v_i^H, where v_i has entries in rows 0 to i - 1 and v_i[i - 1] = 1,

    Q^H A Q = D T D^H,    Q = H_{n-1} ... H_1

T is real and tridiagonal, D a diagonal of phases (I for real matrices). Of A the lower triangle is kept, row after row:
(i, j) is element i (i + 1) / 2 + j. Row i is overwritten by v_i (conjugated). Each step updates what is left of the
matrix and multiplies it by the next vector in one pass over the memory.

A matrix smaller than n has zeros in the rows after its own: they give tau = 0 and change nothing, not even a bit.

References:
    Martin, Reinsch, Wilkinson: Householder's tridiagonalization of a symmetric matrix. Numer. Math. 11, 1968.
"""

from __future__ import annotations

from typing import Any

from graphpe.compiled.jit import machine_code
from graphpe.compiled.lanes import full, load, multiply_add, select, square_root, store

# Squares of norms below this are inaccurate or zero; the matrix is of norm 1.
_NOTHING = 1e-280


@machine_code
def tridiagonalise(a: Any, n: int, diagonal: Any, beside: Any, tau: Any, scratch: Any) -> None:
    """Real symmetric matrices. 4/3 n^3 flops.

    Args:
        a: `[n (n + 1) / 2]`; overwritten by the v.
        n: Rows.
        diagonal: `[n]`, written: of T.
        beside: `[n]`, written: element i is (i - 1, i) of T.
        tau: `[n]`, written.
        scratch: `[4 n]`, overwritten.
    """
    zero, one, half = full(0.0), full(1.0), full(0.5)
    p, w, old, new = 0, n, 2 * n, 3 * n  # old, w: the update of A that is still to be made, A - old w^T - w old^T
    for i in range(n):
        store(scratch, w + i, zero)
        store(scratch, old + i, zero)
    store(diagonal, 0, load(a, 0))
    for i in range(n - 1, 0, -1):
        row = i * (i + 1) // 2
        square = zero
        old_i, w_i = load(scratch, old + i), load(scratch, w + i)
        for c in range(i):
            x = load(a, row + c)
            x = x - old_i * load(scratch, w + c) - w_i * load(scratch, old + c)
            store(scratch, new + c, x)
            square = multiply_add(x, x, square)
        x = load(a, row + i)
        store(diagonal, i, x - old_i * w_i - w_i * old_i)
        alpha = load(scratch, new + i - 1)
        if i == 1:
            store(beside, 1, alpha)
            store(tau, 1, zero)
            x = load(a, 0)
            x_old, x_w = load(scratch, old), load(scratch, w)
            store(diagonal, 0, x - x_old * x_w - x_w * x_old)
            store(a, row, zero)
            break
        nothing = square < full(_NOTHING)
        norm = square_root(square)
        signed = select(alpha < zero, zero - norm, norm)
        pivot = alpha + signed
        store(beside, i, select(nothing, zero, zero - signed))
        scale = select(nothing, zero, one / select(nothing, one, pivot))
        factor = select(nothing, zero, pivot / select(nothing, one, signed))
        store(tau, i, factor)
        for c in range(i):
            x = scale * load(scratch, new + c)
            store(scratch, new + c, x)
            store(a, row + c, x)
        store(scratch, new + i - 1, select(nothing, zero, one))
        store(a, row + i - 1, select(nothing, zero, one))

        # A <- A - old w^T - w old^T and p = A new, two rows at a time.
        for r in range(0, i - 1, 2):
            upper = r * (r + 1) // 2
            lower = upper + r + 1
            old_0, w_0, new_0 = load(scratch, old + r), load(scratch, w + r), load(scratch, new + r)
            old_1, w_1, new_1 = load(scratch, old + r + 1), load(scratch, w + r + 1), load(scratch, new + r + 1)
            old_0, w_0, old_1, w_1 = zero - old_0, zero - w_0, zero - old_1, zero - w_1
            sum_0, sum_1 = zero, zero
            for c in range(r):
                w_c, old_c, new_c = load(scratch, w + c), load(scratch, old + c), load(scratch, new + c)
                x_0 = multiply_add(old_0, w_c, multiply_add(w_0, old_c, load(a, upper + c)))
                x_1 = multiply_add(old_1, w_c, multiply_add(w_1, old_c, load(a, lower + c)))
                store(a, upper + c, x_0)
                store(a, lower + c, x_1)
                sum_0, sum_1 = multiply_add(x_0, new_c, sum_0), multiply_add(x_1, new_c, sum_1)
                store(scratch, p + c, multiply_add(x_1, new_1, multiply_add(x_0, new_0, load(scratch, p + c))))
            w_c, old_c = load(scratch, w + r), load(scratch, old + r)
            x_0 = multiply_add(old_0, w_c, multiply_add(w_0, old_c, load(a, upper + r)))
            x_1 = multiply_add(old_1, w_c, multiply_add(w_1, old_c, load(a, lower + r)))
            store(a, upper + r, x_0)
            store(a, lower + r, x_1)
            sum_0 = multiply_add(x_1, new_1, multiply_add(x_0, new_0, sum_0))
            sum_1 = multiply_add(x_1, new_0, sum_1)
            w_c, old_c = load(scratch, w + r + 1), load(scratch, old + r + 1)
            x_1 = multiply_add(old_1, w_c, multiply_add(w_1, old_c, load(a, lower + r + 1)))
            store(a, lower + r + 1, x_1)
            store(scratch, p + r, sum_0)
            store(scratch, p + r + 1, multiply_add(x_1, new_1, sum_1))
        if i % 2:
            r = i - 1
            upper = r * (r + 1) // 2
            old_0, w_0, new_0 = load(scratch, old + r), load(scratch, w + r), load(scratch, new + r)
            old_0, w_0 = zero - old_0, zero - w_0
            sum_0 = zero
            for c in range(r):
                w_c, old_c = load(scratch, w + c), load(scratch, old + c)
                x_0 = multiply_add(old_0, w_c, multiply_add(w_0, old_c, load(a, upper + c)))
                store(a, upper + c, x_0)
                sum_0 = multiply_add(x_0, load(scratch, new + c), sum_0)
                store(scratch, p + c, multiply_add(x_0, new_0, load(scratch, p + c)))
            w_c, old_c = load(scratch, w + r), load(scratch, old + r)
            x_0 = multiply_add(old_0, w_c, multiply_add(w_0, old_c, load(a, upper + r)))
            store(a, upper + r, x_0)
            store(scratch, p + r, multiply_add(x_0, new_0, sum_0))

        # w = tau p - (tau^2 / 2) (new^T p) new
        inner = zero
        for c in range(i):
            inner = multiply_add(load(scratch, new + c), load(scratch, p + c), inner)
        inner = zero - half * factor * factor * inner
        for c in range(i):
            x = load(scratch, new + c)
            store(scratch, w + c, multiply_add(inner, x, factor * load(scratch, p + c)))
        old, new = new, old


@machine_code
def back_transform(a: Any, n: int, tau: Any, k: int, vectors: Any) -> None:
    """Q times the k vectors `[k, n]`, in place: 4 k n^2 / 2 flops; `a` and `tau` as `tridiagonalise` leaves them.

    Args:
        a: The reflections, as lanes.
        n: Rows n of each matrix.
        tau: Factors of the reflections, as lanes.
        k: Number of vectors.
        vectors: The vectors, as lanes, `[k, n]`.
    """
    zero = full(0.0)
    for i in range(2, n):
        row = i * (i + 1) // 2
        factor = zero - load(tau, i)
        for j in range(0, k - 3, 4):
            z_0, z_1, z_2, z_3 = j * n, (j + 1) * n, (j + 2) * n, (j + 3) * n
            s_0, s_1, s_2, s_3 = zero, zero, zero, zero
            for c in range(i):
                v = load(a, row + c)
                s_0 = multiply_add(v, load(vectors, z_0 + c), s_0)
                s_1 = multiply_add(v, load(vectors, z_1 + c), s_1)
                s_2 = multiply_add(v, load(vectors, z_2 + c), s_2)
                s_3 = multiply_add(v, load(vectors, z_3 + c), s_3)
            s_0, s_1, s_2, s_3 = factor * s_0, factor * s_1, factor * s_2, factor * s_3
            for c in range(i):
                v = load(a, row + c)
                store(vectors, z_0 + c, multiply_add(s_0, v, load(vectors, z_0 + c)))
                store(vectors, z_1 + c, multiply_add(s_1, v, load(vectors, z_1 + c)))
                store(vectors, z_2 + c, multiply_add(s_2, v, load(vectors, z_2 + c)))
                store(vectors, z_3 + c, multiply_add(s_3, v, load(vectors, z_3 + c)))
        for j in range(k - k % 4, k):
            z_0 = j * n
            s_0 = zero
            for c in range(i):
                s_0 = multiply_add(load(a, row + c), load(vectors, z_0 + c), s_0)
            s_0 = factor * s_0
            for c in range(i):
                store(vectors, z_0 + c, multiply_add(s_0, load(a, row + c), load(vectors, z_0 + c)))


@machine_code
def tridiagonalise_complex(a: Any, n: int, diagonal: Any, beside: Any, tau: Any, phase: Any, scratch: Any) -> None:
    """Complex Hermitian matrices: real and imaginary part of entry e are elements 2 e and 2 e + 1. 16/3 n^3 flops.

    Args:
        a: `[n (n + 1)]`; overwritten by the conjugates of the v.
        n: Rows.
        diagonal: `[n]`, written: of T.
        beside: `[n]`, written: element i is (i - 1, i) of T.
        tau: `[n]`, written.
        phase: `[2 n]`, written: the diagonal of D.
        scratch: `[8 n]`, overwritten.
    """
    zero, one, half = full(0.0), full(1.0), full(0.5)
    p, w, old, new = 0, 2 * n, 4 * n, 6 * n
    for i in range(2 * n):
        store(scratch, w + i, zero)
        store(scratch, old + i, zero)
    store(diagonal, 0, load(a, 0))
    store(phase, 2 * n - 2, one)
    store(phase, 2 * n - 1, zero)
    for i in range(n - 1, 0, -1):
        row = i * (i + 1)
        square = zero
        for c in range(0, 2 * i, 2):
            re, im = _updated(a, row + c, scratch, old + 2 * i, w + 2 * i, old + c, w + c)
            store(scratch, new + c, re)
            store(scratch, new + c + 1, zero - im)
            square = multiply_add(re, re, multiply_add(im, im, square))
        re, im = _updated(a, row + 2 * i, scratch, old + 2 * i, w + 2 * i, old + 2 * i, w + 2 * i)
        store(diagonal, i, re)

        # T[i - 1, i] is -norm times the phase of alpha, of a row of one entry alpha itself.
        last = new + 2 * i - 2
        alpha_re, alpha_im = load(scratch, last), load(scratch, last + 1)
        modulus = multiply_add(alpha_re, alpha_re, alpha_im * alpha_im)
        none = modulus < full(_NOTHING)
        modulus = select(none, zero, square_root(modulus))
        unit_re = select(none, one, alpha_re / select(none, one, modulus))
        unit_im = select(none, zero, alpha_im / select(none, one, modulus))
        nothing = square < full(_NOTHING)
        norm = select(nothing, zero, square_root(square))
        store(beside, i, norm)
        turn_re, turn_im = unit_re, unit_im
        if i > 1:
            turn_re, turn_im = zero - unit_re, zero - unit_im
        turn_re, turn_im = select(nothing, one, turn_re), select(nothing, zero, turn_im)
        d_re, d_im = load(phase, 2 * i), load(phase, 2 * i + 1)
        store(phase, 2 * i - 2, turn_re * d_re - turn_im * d_im)
        store(phase, 2 * i - 1, turn_re * d_im + turn_im * d_re)
        if i == 1:
            re, im = _updated(a, 0, scratch, old, w, old, w)
            store(diagonal, 0, re)
            store(tau, 1, zero)
            break
        pivot = modulus + norm
        scale = select(nothing, zero, one / select(nothing, one, pivot))
        factor = select(nothing, zero, pivot / select(nothing, one, norm))
        store(tau, i, factor)
        scale_re, scale_im = scale * unit_re, zero - scale * unit_im
        for c in range(0, 2 * i, 2):
            re, im = load(scratch, new + c), load(scratch, new + c + 1)
            re, im = scale_re * re - scale_im * im, scale_re * im + scale_im * re
            if c == 2 * i - 2:
                re, im = select(nothing, zero, one), zero
            store(scratch, new + c, re)
            store(scratch, new + c + 1, im)
            store(a, row + c, re)
            store(a, row + c + 1, zero - im)

        # A <- A - old w^H - w old^H and p = A new.
        for r in range(0, 2 * i, 2):
            at = r // 2 * (r // 2 + 1)
            new_re, new_im = load(scratch, new + r), load(scratch, new + r + 1)
            old_re, old_im = zero - load(scratch, old + r), zero - load(scratch, old + r + 1)
            w_re, w_im = zero - load(scratch, w + r), zero - load(scratch, w + r + 1)
            other_old_re, other_w_re = zero - old_re, zero - w_re
            sum_re, sum_im = zero, zero
            for c in range(0, r, 2):
                re, im = load(a, at + c), load(a, at + c + 1)
                c_re, c_im = load(scratch, w + c), load(scratch, w + c + 1)
                re = multiply_add(old_re, c_re, multiply_add(old_im, c_im, re))
                im = multiply_add(old_im, c_re, multiply_add(other_old_re, c_im, im))
                c_re, c_im = load(scratch, old + c), load(scratch, old + c + 1)
                re = multiply_add(w_re, c_re, multiply_add(w_im, c_im, re))
                im = multiply_add(w_im, c_re, multiply_add(other_w_re, c_im, im))
                store(a, at + c, re)
                store(a, at + c + 1, im)
                c_re, c_im = load(scratch, new + c), load(scratch, new + c + 1)
                minus = zero - im
                sum_re = multiply_add(re, c_re, multiply_add(minus, c_im, sum_re))
                sum_im = multiply_add(re, c_im, multiply_add(im, c_re, sum_im))
                p_re, p_im = load(scratch, p + c), load(scratch, p + c + 1)
                store(scratch, p + c, multiply_add(re, new_re, multiply_add(im, new_im, p_re)))
                store(scratch, p + c + 1, multiply_add(re, new_im, multiply_add(minus, new_re, p_im)))
            re, im = _updated(a, at + r, scratch, old + r, w + r, old + r, w + r)
            store(a, at + r, re)
            store(scratch, p + r, multiply_add(re, new_re, sum_re))
            store(scratch, p + r + 1, multiply_add(re, new_im, sum_im))

        # w = tau p - (tau^2 / 2) (new^H p) new, where new^H p is real
        inner = zero
        for c in range(2 * i):
            inner = multiply_add(load(scratch, new + c), load(scratch, p + c), inner)
        inner = zero - half * factor * factor * inner
        for c in range(2 * i):
            x = load(scratch, new + c)
            store(scratch, w + c, multiply_add(inner, x, factor * load(scratch, p + c)))
        old, new = new, old


@machine_code
def _updated(a: Any, entry: int, scratch: Any, old_r: int, w_r: int, old_c: int, w_c: int) -> Any:
    """Real and imaginary part of a - old_r conj(w_c) - w_r conj(old_c)."""
    re, im = load(a, entry), load(a, entry + 1)
    x_re, x_im, y_re, y_im = load(scratch, old_r), load(scratch, old_r + 1), load(scratch, w_c), load(scratch, w_c + 1)
    re, im = re - (x_re * y_re + x_im * y_im), im - (x_im * y_re - x_re * y_im)
    x_re, x_im, y_re, y_im = load(scratch, w_r), load(scratch, w_r + 1), load(scratch, old_c), load(scratch, old_c + 1)
    return re - (x_re * y_re + x_im * y_im), im - (x_im * y_re - x_re * y_im)


@machine_code
def back_transform_complex(a: Any, n: int, tau: Any, phase: Any, k: int, real: Any, vectors: Any) -> None:
    """Q D times the k real vectors `[k, n]`, into `vectors` `[k, 2 n]`; 16 k n^2 / 2 flops.

    Args:
        a: The reflections, as lanes.
        n: Rows n of each matrix.
        tau: Factors of the reflections, as lanes.
        phase: The diagonal D, as lanes.
        k: Number of vectors.
        real: The real vectors, as lanes, `[k, n]`.
        vectors: The result, as lanes, `[k, 2 n]`.
    """
    zero = full(0.0)
    for j in range(k):
        for i in range(n):
            x = load(real, j * n + i)
            store(vectors, 2 * (j * n + i), x * load(phase, 2 * i))
            store(vectors, 2 * (j * n + i) + 1, x * load(phase, 2 * i + 1))
    for i in range(2, n):
        row = i * (i + 1)
        factor = zero - load(tau, i)
        for j in range(0, k - 1, 2):
            y, z = 2 * j * n, 2 * (j + 1) * n
            y_re, y_im, z_re, z_im = zero, zero, zero, zero
            for c in range(0, 2 * i, 2):
                re, im = load(a, row + c), load(a, row + c + 1)  # of v^H
                minus = zero - im
                x_re, x_im = load(vectors, y + c), load(vectors, y + c + 1)
                y_re = multiply_add(re, x_re, multiply_add(minus, x_im, y_re))
                y_im = multiply_add(re, x_im, multiply_add(im, x_re, y_im))
                x_re, x_im = load(vectors, z + c), load(vectors, z + c + 1)
                z_re = multiply_add(re, x_re, multiply_add(minus, x_im, z_re))
                z_im = multiply_add(re, x_im, multiply_add(im, x_re, z_im))
            y_re, y_im, z_re, z_im = factor * y_re, factor * y_im, factor * z_re, factor * z_im
            for c in range(0, 2 * i, 2):
                re, im = load(a, row + c), load(a, row + c + 1)
                minus = zero - im
                x_re, x_im = load(vectors, y + c), load(vectors, y + c + 1)
                store(vectors, y + c, multiply_add(re, y_re, multiply_add(im, y_im, x_re)))
                store(vectors, y + c + 1, multiply_add(re, y_im, multiply_add(minus, y_re, x_im)))
                x_re, x_im = load(vectors, z + c), load(vectors, z + c + 1)
                store(vectors, z + c, multiply_add(re, z_re, multiply_add(im, z_im, x_re)))
                store(vectors, z + c + 1, multiply_add(re, z_im, multiply_add(minus, z_re, x_im)))
        if k % 2:
            y = 2 * (k - 1) * n
            y_re, y_im = zero, zero
            for c in range(0, 2 * i, 2):
                re, im = load(a, row + c), load(a, row + c + 1)
                x_re, x_im = load(vectors, y + c), load(vectors, y + c + 1)
                y_re = multiply_add(re, x_re, multiply_add(zero - im, x_im, y_re))
                y_im = multiply_add(re, x_im, multiply_add(im, x_re, y_im))
            y_re, y_im = factor * y_re, factor * y_im
            for c in range(0, 2 * i, 2):
                re, im = load(a, row + c), load(a, row + c + 1)
                x_re, x_im = load(vectors, y + c), load(vectors, y + c + 1)
                store(vectors, y + c, multiply_add(re, y_re, multiply_add(im, y_im, x_re)))
                store(vectors, y + c + 1, multiply_add(re, y_im, multiply_add(zero - im, y_re, x_im)))
