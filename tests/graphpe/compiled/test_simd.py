from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import (
    exponential,
    greatest,
    larger,
    least,
    load,
    minus,
    plus,
    positive,
    prefetch,
    signed_root,
    signed_root_slope,
    smaller,
    spread,
    store,
    times,
    total,
    where_positive,
)


@machine_code
def _every_function(x: Any, y: Any, out: Any, sums: Any, bound: Any, smallest: Any, length: Any) -> None:
    for at in range(0, len(x), len(length)):
        prefetch(x, at + 1_000_000)
        a, b = load(x, at, length), load(y, at, length)
        store(out[0], at, plus(a, b))
        store(out[1], at, minus(a, b))
        store(out[2], at, times(a, b))
        store(out[3], at, positive(a))
        store(out[4], at, where_positive(a, b))
        store(out[5], at, signed_root(a))
        store(out[6], at, signed_root_slope(a, smallest))
        store(out[7], at, exponential(a, bound))
        store(out[8], at, spread(x[at], length))
        sums[at] = total(a)


@pytest.mark.parametrize("number", [np.float32, np.float64])
@pytest.mark.parametrize("length", [1, 3, 8, 13])
def test_each_function(number: Any, length: int) -> None:
    x, y = (4 * np.random.default_rng(0).standard_normal((2, 40 * length))).astype(number)
    x[:4] = 0, 1e-9, -1e-9, -0.0
    out, sums = np.empty((9, len(x)), number), np.zeros(len(x), number)
    _every_function(x, y, tuple(out), sums, number(5), number(1e-6), (0,) * length)
    t = x.astype(np.float64)
    with np.errstate(divide="ignore"):
        slope = np.where(t == 0, 0, 0.5 / np.sqrt(np.maximum(np.abs(t), 1e-6)))
    expected = [
        x + y,
        x - y,
        x * y,
        np.maximum(x, 0),
        np.where(x > 0, y, 0),
        np.sign(t) * np.sqrt(np.abs(t)),
        slope,
        np.exp(np.clip(t, -5, 5)),
        np.repeat(x[::length], length),
    ]
    precision = 8 * np.finfo(number).eps
    for found, right in zip(out, expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=precision, atol=0)
    np.testing.assert_allclose(sums[::length], t.reshape(-1, length).sum(1), rtol=0, atol=100 * precision)


def test_what_is_not_a_number_stays() -> None:
    x = np.array([np.nan, 1.0, -1.0])
    out = np.empty((9, 3))
    _every_function(x, np.ones(3), tuple(out), np.zeros(3), 5.0, 1e-6, (0,) * 3)
    for row in out[[0, 3, 4, 5, 7]]:
        assert np.isfinite(row[1:]).all()
    assert np.isnan(out[[0, 3, 5, 7], 0]).all()
    assert out[4, 0] == 1.0


@machine_code
def _extremes(x: Any, y: Any, out: Any, length: Any) -> None:
    a, b = load(x, 0, length), load(y, 0, length)
    store(out[0], 0, smaller(a, b))
    store(out[1], 0, larger(a, b))
    out[2][0], out[2][1] = least(a), greatest(a)


@pytest.mark.parametrize("number", [np.float32, np.float64])
@pytest.mark.parametrize("length", [2, 8, 13, 32])
def test_extremes(number: Any, length: int) -> None:
    x, y = np.random.default_rng().standard_normal((2, length)).astype(number)
    out = np.zeros((3, length), number)
    _extremes(x, y, tuple(out), (0,) * length)
    np.testing.assert_array_equal(out[:2], [np.minimum(x, y), np.maximum(x, y)])
    np.testing.assert_array_equal(out[2, :2], [x.min(), x.max()])
