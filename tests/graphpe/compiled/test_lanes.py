from __future__ import annotations

import numpy as np

from graphpe.compiled.jit import machine_code
from graphpe.compiled.lanes import (
    LANES,
    absolute,
    any_lane,
    both,
    empty_lanes,
    full,
    load,
    multiply_add,
    select,
    spread,
    square_root,
    store,
)


@machine_code
def every_operation(a, b, out):
    x, y = load(a, 1), load(b, 0)
    store(out, 0, x + y)
    store(out, 1, x - y)
    store(out, 2, x * y)
    store(out, 3, x / y)
    store(out, 4, multiply_add(x, y, full(2.0)))
    store(out, 5, square_root(absolute(x)))
    store(out, 6, select(x < y, x, y))
    store(out, 7, select(both(x <= y, full(0.0) <= x), x, full(7.0)))
    store(out, 8, spread(a, LANES + 3))
    return any_lane(x == y), any_lane(x == x)


def test_every_operation():
    rng = np.random.default_rng(0)
    a, b, out = empty_lanes(2), empty_lanes(1), empty_lanes(9)
    assert all(array.ctypes.data % 64 == 0 for array in (a, b, out))
    a[:], b[:] = rng.standard_normal(2 * LANES), rng.standard_normal(LANES)
    x, y = a[LANES:], b
    assert every_operation(a, b, out) == (False, True)
    expected = [
        x + y, x - y, x * y, x / y, x * y + 2, np.sqrt(np.abs(x)), np.minimum(x, y),
        np.where((x <= y) & (x >= 0), x, 7), np.full(LANES, x[3]),
    ]  # fmt: skip
    np.testing.assert_allclose(out.reshape(9, LANES), expected, rtol=1e-15, atol=1e-15)
    b[2] = x[2]
    assert every_operation(a, b, out) == (True, True)
