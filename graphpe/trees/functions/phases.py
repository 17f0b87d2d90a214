"""exp(lambda w) with the phase of a complex lambda exact to rounding, however many turns it has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPLIT = 2.0**27 + 1  # halves the digits of a double
_LARGE = 1e3  # phases below lose no more than 1e-13


def exponential(exponent: Any, length: NDArray[np.float64]) -> NDArray[Any]:
    """exp(exponent length), broadcast.

    The product of a frequency and a length is rounded to 1e-16 of itself, 1e-7 of a radian at 1e9 radians; what that
    takes off is found (Dekker's product) and turned by, too.

    Args:
        exponent: Exponents, complex or real.
        length: Distances, at least 0.
    """
    exponent = np.asarray(exponent)
    with np.errstate(over="ignore"):  # who integrates it says so
        out = np.exp(exponent * length)
    if np.iscomplexobj(out):
        phase = exponent.imag * length
        if np.abs(phase).max(initial=0) > _LARGE:
            with np.errstate(over="ignore", invalid="ignore"):
                rest = _lost(exponent.imag, length, phase)
            out *= np.exp(1j * np.where(np.isfinite(rest), rest, 0))
    return out


def _lost(a: NDArray[np.float64], b: NDArray[np.float64], product: NDArray[np.float64]) -> NDArray[np.float64]:
    """What rounding took off a product."""
    a_high, b_high = (x * _SPLIT - (x * _SPLIT - x) for x in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
