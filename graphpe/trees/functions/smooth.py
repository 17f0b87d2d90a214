"""Functions that sums of exponentials approximate, with the error that they state.

A row of exponents and coefficients is as good on every tree: each is a term of a two-pass sum.

* 1 / (x + c)^m = 1 / (m - 1)! int_0^inf s^(m-1) exp(-c s) exp(-s x) ds, with s = exp(u - i phi / 2) for c = |c| exp(i
  phi): the trapezoid rule in u converges exponentially, at a rate that |phi| < pi sets, relatively to |x + c|^-m.
* exp(-x^2 / (2 s^2)) = exp(-eta x) sum_m c_m exp(2 pi i m x / P): the Fourier series of its product with exp(eta x),
  periodic with period P, whose copies exp(-eta x) damps where x >= 0 (Poisson's sum).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_number
from graphpe.errors import GraphPEValueError
from graphpe.trees.functions.closed_form import (
    Expansion,
    Parameter,
    Parameters,
    Term,
    TreeFunction,
    distances_up_to,
    scalar,
    vector,
)

Complexes = NDArray[np.complex128]

_TOLERANCE = 1e-8
_NEAR = 0.01  # of the distance of the nearest pole: trees of that diameter take the power series
_FLAT = 0.1  # exponentials whose exponent stays below this are summed as a Taylor series


class Gaussian(TreeFunction):
    """exp(-d^2 / (2 scale^2)), to a stated error at all distances: about 10 complex terms for 1e-8.

    Args:
        scale: Positive.
        tolerance: The largest error, from 1e-12 to 0.1.
    """

    def __init__(self, scale: Parameter, tolerance: float = _TOLERANCE) -> None:
        self.scale, self.tolerance = scalar("scale", scale), check_tolerance(tolerance)
        _check_positive("scale", self.scale)

    def __call__(self, distance: Tensor) -> Tensor:
        """exp(-d^2 / (2 scale^2))."""
        return torch.exp(-0.5 * (distance.double() / self.scale.to(distance.device).double()) ** 2)

    @property
    def exact(self) -> bool:
        return False

    def expand(self, longest: float) -> Expansion:
        """A Fourier series of a damped copy."""
        exponents, coefficients = (_to(self.scale, part) for part in _damped_series(self.tolerance))
        return _expansion(exponents / self.scale.double(), coefficients, longest, self.tolerance)

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("scale", self.scale)]

    def __repr__(self) -> str:
        return f"Gaussian({self.scale.tolist()!r}, tolerance={self.tolerance!r})"


class InversePower(TreeFunction):
    """(1 + d / scale)^-power, to a stated relative error: a completely monotone function by decaying exponentials.

    About 35 terms for 1e-8, 20 for 1e-5; their number grows slowly with the power and with the logarithm of the largest
    distance.

    Args:
        scale: Positive.
        power: Positive.
        tolerance: The largest error, from 1e-12 to 0.1, relative to f(0) = 1.
    """

    def __init__(self, scale: Parameter, power: Parameter = 1.0, tolerance: float = _TOLERANCE) -> None:
        self.scale, self.power, self.tolerance = (
            scalar("scale", scale),
            scalar("power", power),
            check_tolerance(tolerance),
        )
        _check_positive("scale", self.scale)
        _check_positive("power", self.power)

    def __call__(self, distance: Tensor) -> Tensor:
        """(1 + d / scale)^-power."""
        scale, power = (value.to(distance.device).double() for value in (self.scale, self.power))
        return (1 + distance.double() / scale) ** -power

    @property
    def exact(self) -> bool:
        return False

    def expand(self, longest: float) -> Expansion:
        """The trapezoid rule for Euler's integral."""
        scale, power = self.scale.double(), self.power.double()
        nodes, step = _trapezoid(longest / float(scale.detach()), float(power.detach()), 0.0, self.tolerance)
        points = torch.from_numpy(nodes).to(scale.device)
        weights = step * torch.exp(power * points - torch.exp(points) - torch.lgamma(power))
        return _expansion(-torch.exp(points) / scale, weights, longest, self.tolerance)

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("scale", self.scale), ("power", self.power)]

    def __repr__(self) -> str:
        return f"InversePower({self.scale.tolist()!r}, {self.power.tolist()!r}, tolerance={self.tolerance!r})"


class Rational(TreeFunction):
    """(p_0 + p_1 d + ...) / (q_0 + q_1 d + ...) without poles at d >= 0, to a stated error.

    A polynomial (where the numerator's degree is as large) and partial fractions: about 35 real terms for 1e-8 for a
    pole on the negative axis, about 70 complex ones for a pair at right angles to it, more the closer to the positive
    axis it is.

    Gradients of the coefficients are sums over the derivatives of f, rational functions of twice the poles, to the same
    tolerance; learning a denominator doubles the number of terms.

    Args:
        numerator: `[K]`, the constant first.
        denominator: `[L]`, the constant first; without zeros at d >= 0.
        tolerance: The largest error, from 1e-12 to 0.1, relative to the sum of the partial
            fractions' absolute values at d = 0.

    Raises:
        GraphPEValueError: The denominator is 0 at a distance; or, when it is integrated, the parts are so much larger
            than f (as where the leading coefficient of the denominator almost vanishes and the numerator's degree is as
            large) that the error is more than 100 times the tolerance, relative to the largest |f|, or that of the
            derivative by a learned coefficient more than its square root.
    """

    def __init__(self, numerator: Parameters, denominator: Parameters, tolerance: float = _TOLERANCE) -> None:
        self.numerator, self.denominator = vector("numerator", numerator), vector("denominator", denominator)
        self.tolerance = check_tolerance(tolerance)
        self._poles()  # raises for those at distances

    def __call__(self, distance: Tensor) -> Tensor:
        top, bottom = (_horner(part, distance.double()) for part in (self.numerator, self.denominator))
        return top / bottom

    @property
    def exact(self) -> bool:
        return False

    def expand(self, longest: float) -> Expansion:
        """The polynomial, and the exponentials of each pole.

        The derivative by a coefficient of the numerator is d^k / Q(d), that by one of the denominator
        -P(d) d^k / Q(d)^2: rational functions of the same poles, the latter twice each, so that coefficients of the
        same exponentials express them.
        """
        top, bottom = self._coefficients()
        poles = self._poles()
        learns, twice = self.numerator.requires_grad, self.denominator.requires_grad
        basis = _Basis.of(poles, 2 if twice else 1, longest, self.tolerance)
        quotients = [(top, bottom, 1)]
        if learns:
            quotients += [(_power(k), bottom, 1) for k in range(len(top))]
        if twice:
            square = np.convolve(bottom, bottom)
            quotients += [(-np.convolve(top, _power(k)), square, 2) for k in range(len(self.denominator))]
        nearest = min((abs(pole) for pole, _ in poles), default=math.inf)
        if longest <= _NEAR * nearest:
            degree = max(len(top), len(self.denominator)) + math.ceil(-17 / math.log10(max(longest / nearest, 1e-17)))
            rows = [(basis.exponents[:0], _series(above, below, degree)) for above, below, _ in quotients]
            basis = _Basis(basis.exponents[:0], {})
        else:
            rows = [basis.express(above, below, poles, multiple) for above, below, multiple in quotients]
        weights = np.stack([weight for weight, _ in rows])
        degree = max(len(polynomial) for _, polynomial in rows)
        polynomials = np.stack([np.pad(polynomial, (0, degree - len(polynomial))) for _, polynomial in rows])
        self._check(basis, weights, polynomials, longest, nearest)
        like = self.numerator
        parts = [(like, learns), (self.denominator.to(like.device), twice)]
        change = [(part - part.detach()).double() for part, wanted in parts if wanted]
        coefficients = _linear(weights, change, like)
        terms = _expansion(_to(like, basis.exponents), coefficients, longest, self.tolerance).terms
        if degree:
            whole = _linear(polynomials, change, like)
            terms.append(Term(whole.new_zeros(()), whole))
        return Expansion(terms, [])

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        """Numerator and denominator."""
        return [("numerator", self.numerator), ("denominator", self.denominator)]

    def __repr__(self) -> str:
        parts = f"{self.numerator.tolist()!r}, {self.denominator.tolist()!r}"
        return f"Rational({parts}, tolerance={self.tolerance!r})"

    def _coefficients(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Numerator and denominator, the constant first, without zeros at the denominator's end."""
        top, bottom = (part.detach().double().numpy(force=True) for part in (self.numerator, self.denominator))
        bottom = np.trim_zeros(bottom, "b")
        if len(bottom) == 0:
            raise GraphPEValueError("denominator must not be zero")
        return top, bottom

    def _poles(self) -> list[tuple[complex, int]]:
        """Each pole (of a conjugate pair one) and how often it comes."""
        top, bottom = self._coefficients()
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                poles = [(z, n) for z, n in _clusters(np.roots(bottom[::-1]).astype(np.complex128)) if z.imag >= 0]
                _divide(top, bottom, poles)
        except (np.linalg.LinAlgError, OverflowError):
            raise GraphPEValueError(
                f"the leading coefficient {bottom[-1]:.3g} of the denominator almost vanishes: leave it out"
            ) from None
        for pole, _ in poles:
            if pole.real >= 0 and abs(pole.imag) <= 1e-9 * abs(pole):
                raise GraphPEValueError(f"denominator is 0 at the distance {pole.real:.6g}: f has a pole there")
        return poles

    def _check(
        self, basis: _Basis, weights: Complexes, polynomials: NDArray[np.float64], longest: float, nearest: float
    ) -> None:
        """Raise where parts cancel and leave rounding: of f, and of its derivatives by learned coefficients."""
        top, bottom = self._coefficients()
        near = distances_up_to(min(longest, 10 * nearest), 256)  # where f and its derivatives are largest
        distance = torch.cat([near, distances_up_to(longest, 256)]).numpy()
        powers = distance[:, None] ** np.arange(polynomials.shape[1])
        found = (np.exp(distance[:, None] * basis.exponents) @ weights.T).real + powers @ polynomials.T
        below = np.polyval(bottom[::-1], distance)
        exact = [np.polyval(top[::-1], distance) / below]
        if self.numerator.requires_grad:
            exact += [distance**k / below for k in range(len(top))]
        if self.denominator.requires_grad:
            exact += [-exact[0] * distance**k / below for k in range(len(self.denominator))]
        value = np.stack(exact, axis=1)
        error, largest = np.abs(found - value).max(axis=0), np.abs(value).max(axis=0)
        allowed = np.full(len(error), self.tolerance**0.5)
        allowed[0] = 100 * self.tolerance
        wrong = ~(error <= allowed * largest)
        if wrong.any():
            i = int(wrong.argmax())
            parts = f"the parts of {self!r}" if i == 0 else f"the parts of a derivative of {self!r} by a coefficient"
            raise GraphPEValueError(
                f"{parts} cancel and leave an error of {error[i]:.2g} for values up to {largest[i]:.2g}: leave out "
                "leading coefficients of the denominator that almost vanish, or give a larger tolerance"
            )


class _Basis(NamedTuple):
    """Exponentials that express the powers (x - pole)^-order of all poles.

    Attributes:
        exponents: `[R]`.
        parts: Of each pole and order, the exponentials and their coefficients.
    """

    exponents: Complexes
    parts: dict[tuple[int, int], tuple[slice, Complexes]]

    @classmethod
    def of(cls, poles: Sequence[tuple[complex, int]], multiple: int, longest: float, tolerance: float) -> _Basis:
        """Of orders up to `multiple` times how often a pole comes, for distances up to `longest`."""
        exponents, parts, at = [np.zeros(0, np.complex128)], {}, 0
        for i, (pole, count) in enumerate(poles):
            for order in range(1, multiple * count + 1):
                rates, heights = _inverse_power(-pole, order, longest, tolerance)
                exponents.append(-rates)
                parts[i, order] = slice(at, at + len(rates)), heights
                at += len(rates)
        return cls(np.concatenate(exponents), parts)

    def express(
        self,
        top: NDArray[np.float64],
        bottom: NDArray[np.float64],
        poles: Sequence[tuple[complex, int]],
        multiple: int,
    ) -> tuple[Complexes, NDArray[np.float64]]:
        """Coefficients of the exponentials, and the polynomial part, of a quotient (both the constant first)."""
        polynomial, fractions = _divide(top, bottom, [(pole, multiple * count) for pole, count in poles])
        weights = np.zeros(len(self.exponents), np.complex128)
        for i, residues in enumerate(fractions):
            for order, residue in enumerate(residues, start=1):
                place, heights = self.parts[i, order]
                weights[place] = residue * heights
        return weights, polynomial


def check_tolerance(tolerance: float) -> float:
    """A tolerance that the expansions reach, 1e-12 to 0.1, as Python's number.

    Args:
        tolerance: The argument.

    Raises:
        GraphPETypeError: It is not a number.
        GraphPEValueError: It is out of range.
    """
    return check_number("tolerance", tolerance, least=1e-12, most=0.1)


def _check_positive(name: str, value: Tensor) -> None:
    if value.device.type == "cpu" and float(value.detach()) <= 0:
        raise GraphPEValueError(f"{name} must be positive, got {float(value.detach())}")


def _damped_series(tolerance: float) -> tuple[Complexes, Complexes]:
    """Exponents and coefficients with |exp(-x^2 / 2) - Re sum_m c_m exp(e_m x)| <= tolerance for x >= 0."""
    depth = math.log(4.0 / tolerance)
    # Copies at x - k P come damped by exp(-eta k P), the one at x + P grown by exp(eta P): eta P = depth, and
    # P^2 / 2 - eta P = depth.
    period = 2.0 * math.sqrt(depth)
    damping = depth / period
    step = 2.0 * math.pi / period
    count = math.ceil(math.sqrt(2.0 * depth + damping**2 + 2.0 * math.log(4.0 + depth)) / step)
    m = np.arange(count + 1, dtype=np.float64)
    coefficient = step / math.sqrt(2.0 * math.pi) * np.exp(-0.5 * (m * step + 1j * damping) ** 2)
    exponents: Complexes = (-damping + 1j * step * m).astype(np.complex128)
    return exponents, np.where(m > 0, 2.0, 1.0) * coefficient


def _trapezoid(longest: float, power: float, angle: float, tolerance: float) -> tuple[NDArray[np.float64], float]:
    """Points u and step for int exp(power u - c exp(u)) exp(-exp(u) x) du, |c| = 1, angle |arg c| / 2, x <= longest."""
    depth = math.log(8.0 / tolerance)
    width = 0.5 * math.pi - angle  # of the strip in which the integrand is analytic
    # The rule's error is |Gamma(power + 2 pi i / step)| exp(2 pi angle / step) / Gamma(power), by Stirling's formula:
    frequency = depth / width
    for _ in range(20):
        frequency = (depth + (power - 0.5) * math.log(frequency) - math.lgamma(power)) / width
        frequency = max(frequency, 1.0)
    step = 2.0 * math.pi / frequency
    low = -(depth + max(-math.lgamma(power + 1.0), 0.0)) / power - math.log(1.0 + longest)
    high = math.log((depth + power * math.log(1.0 + depth + power)) / math.cos(angle)) + 0.5
    return np.arange(math.floor(low / step), math.ceil(high / step) + 1).astype(np.float64) * step, step


def _inverse_power(c: complex, order: int, longest: float, tolerance: float) -> tuple[Complexes, Complexes]:
    """Rates s and weights with (x + c)^-order = sum weight exp(-s x) for 0 <= x <= longest."""
    size, angle = abs(c), np.angle(c)
    points, step = _trapezoid(longest / size, float(order), abs(angle) / 2, tolerance)
    rates = np.exp(points - 0.5j * angle) / size
    return rates, step * rates**order * np.exp(-rates * c) / math.factorial(order - 1)


def _expansion(exponents: Tensor, coefficients: Tensor, longest: float, tolerance: float) -> Expansion:
    """Re sum_r coefficients_r exp(exponents_r d); exponentials that are nearly flat are one polynomial together."""
    flat = exponents.detach().abs() * longest <= _FLAT
    terms = []
    if bool(flat.any()):
        degree = next(k for k in range(1, 20) if _FLAT**k / math.factorial(k) <= 0.1 * tolerance)
        k = torch.arange(degree, device=exponents.device)
        factorial = torch.tensor([math.factorial(i) for i in range(degree)], dtype=torch.float64, device=k.device)
        series = (coefficients[flat] * exponents[flat] ** k.unsqueeze(1)).sum(1) / factorial
        series = series.real if series.is_complex() else series
        terms.append(Term(series.new_zeros(()), series))
    for exponent, coefficient in zip(exponents[~flat], coefficients[~flat], strict=True):
        if exponent.is_complex() and not exponent.requires_grad and exponent.imag == 0:
            exponent, coefficient = exponent.real, coefficient.real
        terms.append(Term(exponent, coefficient.reshape(1)))
    return Expansion(terms, [])


def _divide(
    top: NDArray[np.float64], bottom: NDArray[np.float64], poles: Sequence[tuple[complex, int]]
) -> tuple[NDArray[np.float64], list[list[complex]]]:
    """The polynomial part, and the residues by order of each pole (of a conjugate pair one, doubled)."""
    long = len(top) >= len(bottom)
    quotient, rest = np.zeros(0), top[::-1]
    if long:
        quotient, rest = (part.astype(np.float64) for part in np.polydiv(top[::-1], bottom[::-1]))
    fractions: list[list[complex]] = [
        [(2.0 if pole.imag > 0 else 1.0) * residue for residue in _residues(rest, bottom, pole, count)]
        for pole, count in poles
    ]
    return quotient[::-1].copy(), fractions


def _series(top: NDArray[np.float64], bottom: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The first coefficients of the power series of a quotient (both the constant first)."""
    rest = np.pad(top, (0, max(count - len(top), 0)))[:count].copy()
    out = np.zeros(count)
    for i in range(count):
        out[i] = rest[i] / bottom[0]
        reach = min(len(bottom), count - i)
        rest[i : i + reach] -= out[i] * bottom[:reach]
    return out


def _power(k: int) -> NDArray[np.float64]:
    """The coefficients of x^k, the constant first."""
    return np.eye(k + 1)[k]


def _linear(rows: NDArray[Any], change: list[Tensor], like: Tensor) -> Tensor:
    """The first row, with the others as derivatives by what changes (whose values are 0), on the device of `like`."""
    first, others = (torch.from_numpy(part.copy()).to(like.device) for part in (rows[0], rows[1:].T))
    if not change:
        return first
    by = torch.cat(change)
    if first.is_complex():
        return first + torch.complex(others.real @ by, others.imag @ by)
    return first + others @ by


def _clusters(roots: Complexes) -> list[tuple[complex, int]]:
    """Different roots and how often each comes; those that rounding cannot tell apart are one."""
    out: list[list[complex]] = []
    for root in sorted(roots, key=lambda z: (z.real, z.imag)):
        near = (c for c in out if abs(root - np.mean(c)) <= 1e-4 * max(abs(root), 1e-300))
        cluster = next(near, None)
        if cluster is None:
            out.append([root])
        else:
            cluster.append(root)
    means = [(complex(np.mean(cluster)), len(cluster)) for cluster in out]
    return [(complex(z.real, 0.0) if abs(z.imag) <= 1e-9 * abs(z) else z, count) for z, count in means]


def _residues(top: NDArray[np.float64], bottom: NDArray[np.float64], pole: complex, count: int) -> list[complex]:
    """The coefficients of (x - pole)^-1, ..., (x - pole)^-count; `top` has the largest power first, `bottom` last."""
    numerator, denominator = _taylor(top[::-1], pole, count), _taylor(bottom, pole, 2 * count)[count:]
    series: list[complex] = []
    for k in range(count):
        known = sum(denominator[k - i] * series[i] for i in range(k))
        series.append((numerator[k] - known) / denominator[0])
    return series[::-1]


def _taylor(coefficients: NDArray[np.float64], at: complex, count: int) -> list[complex]:
    """The first coefficients of a polynomial (the constant first) in powers of x - at."""
    return [
        sum((c * math.comb(k, i) * at ** (k - i) for k, c in enumerate(coefficients) if k >= i), 0j)
        for i in range(count)
    ]


def _horner(coefficients: Tensor, x: Tensor) -> Tensor:
    value = torch.zeros_like(x)
    for coefficient in coefficients.to(x.device).double().flip(0):
        value = value * x + coefficient
    return value


def _to(like: Tensor, values: Complexes) -> Tensor:
    return torch.from_numpy(values).to(like.device)
