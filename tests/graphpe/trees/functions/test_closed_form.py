from __future__ import annotations

import numpy as np
import pytest
import torch

from graphpe import TreeIntegrator
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.trees import Cosine, Exponential, Gaussian, InversePower, Learnable, Polynomial, Rational, Sum, Table

D = torch.linspace(0, 12, 49, dtype=torch.float64)


def test_values() -> None:
    torch.testing.assert_close(Exponential(0.5)(D), torch.exp(-0.5 * D))
    torch.testing.assert_close(Polynomial([1.0, 2.0, 3.0])(D), 1 + 2 * D + 3 * D**2)
    torch.testing.assert_close(Cosine(2.0, 0.5)(D), torch.cos(2 * D + 0.5))
    torch.testing.assert_close(Gaussian(3.0)(D), torch.exp(-(D**2) / 18))
    torch.testing.assert_close(InversePower(2.0, 1.5)(D), (1 + D / 2) ** -1.5)
    torch.testing.assert_close(Rational([1.0, 1.0], [2.0, 0.0, 1.0])(D), (1 + D) / (2 + D**2))
    assert Table([3.0, 2.0, 1.0], unit=0.5)(torch.tensor([0.0, 0.5, 1.0, 1.5, 9.0])).tolist() == [3, 2, 1, 0, 0]
    both = 2.0 - Exponential(0.5) * 3.0 + (-Cosine(1.0))
    torch.testing.assert_close(both(D), 2 - 3 * torch.exp(-0.5 * D) - torch.cos(D))
    torch.testing.assert_close((1 + Cosine(1.0) - 0.5)(D), 0.5 + torch.cos(D))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8, 1e-11])
@pytest.mark.parametrize("longest", [0.0, 0.3, 40.0, 1e5])
def test_expansions_are_as_close_as_they_say(tolerance, longest) -> None:
    for f in (
        Gaussian(1.0, tolerance),
        Gaussian(50.0, tolerance),
        InversePower(1.0, 1.0, tolerance),
        InversePower(20.0, 4.0, tolerance),
        InversePower(0.5, 0.2, tolerance),
        Rational([2.0], [3.0, 1.0], tolerance),
        Rational([1.0], [1.0, 0.0, 1.0], tolerance),
        Rational([1.0], [1.0, -1.5, 1.0], tolerance),
    ):
        # Partial fractions of a pair of poles are larger than their sum.
        size = 3.0 if isinstance(f, Rational) else 1.0
        assert f.error(longest) <= size * tolerance


def test_repeated_poles_and_high_degrees() -> None:
    for f in (
        Rational([1.0, 3.0], [1.0, 2.0, 1.0]),
        Rational([1.0], [8.0, 12.0, 6.0, 1.0]),
        Rational([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 2.0, 0.0, 1.0]),
        Rational([1.0, 0.0, 2.0], [2.0]),
        Rational([0.0, 0.0, 0.0, 1.0], [1.0, 1.0]),
        Rational([1.0, 1.0], [1.0, 2.0, 0.0, 0.0]),
    ):
        scale = float(f(torch.linspace(0, 30, 100)).abs().max())
        assert f.error(30.0) <= 2e-7 * max(scale, 1.0)


@pytest.mark.parametrize("tolerance", [1e-8, 1e-11])
@pytest.mark.parametrize(
    ("numerator", "denominator"),
    [([1.0, 2.0], [1.0, 1.0]), ([1.0, 2.0, 1.0], [1.0, 1.0]), ([1.0], [1.0, 4.0, 6.0, 4.0])],
)
def test_denominators_whose_leading_coefficient_almost_vanishes(numerator, denominator, tolerance) -> None:
    """Either the sum is as close as it should be, or there is an error."""
    raised = []
    for last in (0.0, 1e-3, 1e-6, 1e-9, 1e-14, 1e-30, 1e-200, 1e-310):
        try:
            f = Rational(numerator, [*denominator, last], tolerance)
            error = f.error(30.0)
        except GraphPEValueError:
            raised.append(last)
            continue
        assert error <= 100 * tolerance * float(f(torch.linspace(0, 30, 100)).abs().max())
    assert 0.0 not in raised
    if len(numerator) > len(denominator):
        with pytest.raises(GraphPEValueError, match="cancel and leave an error"):
            Rational(numerator, [*denominator, 1e-14], tolerance).expand(30.0)


@pytest.mark.parametrize(
    "f",
    [
        Exponential(0.5),
        Polynomial([1.0, 2.0]),
        Cosine(0.5, 1.0),
        Table([1.0, 2.0], unit=0.5),
        Gaussian(2.0, tolerance=1e-5),
        InversePower(1.0, 2.0),
        Rational([1.0], [1.0, 2.0]),
        Exponential(1.0) * Cosine(2.0) + 1.0,
    ],
)
def test_repr_builds_the_function(f) -> None:
    from graphpe import trees

    again = eval(repr(f), vars(trees))
    assert repr(again) == repr(f)
    torch.testing.assert_close(again(D), f(D))


def test_learnable_parameters_are_new_leaves() -> None:
    fixed = Exponential(0.5) * Polynomial([1.0, 2.0]) + Gaussian(2.0)
    assert list(fixed.parameters()) == []
    f = Learnable(fixed)
    parameters = list(f.parameters())
    assert [p.shape for p in parameters] == [(), (2,), ()]
    assert all(p.is_leaf and p.requires_grad for p in parameters)
    torch.optim.SGD(parameters, lr=0.1)
    with torch.no_grad():
        parameters[0].add_(1.0)
    assert isinstance(fixed, Sum)
    torch.testing.assert_close(fixed(D), torch.exp(-0.5 * D) * (1 + 2 * D) + torch.exp(-(D**2) / 8))
    f(D).sum().backward()
    assert all(p.grad is not None for p in parameters)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Exponential("fast"), GraphPETypeError, "rate must be numbers"),
        (lambda: Exponential(float("nan")), GraphPEValueError, "rate must be finite"),
        (lambda: Exponential(torch.ones(2)), GraphPEValueError, "rate must be one number"),
        (lambda: Exponential(torch.tensor(1)), GraphPETypeError, "floating dtype"),
        (lambda: Polynomial([]), GraphPEValueError, "at least one number"),
        (lambda: Table([1.0], unit=0.0), GraphPEValueError, "unit must be positive"),
        (lambda: Table([1.0], unit="m"), GraphPETypeError, "unit must be a number"),
        (lambda: Gaussian(0.0), GraphPEValueError, "scale must be positive"),
        (lambda: Gaussian(1.0, tolerance=1e-20), GraphPEValueError, "tolerance must be from"),
        (lambda: Gaussian(1.0, tolerance=True), GraphPETypeError, "tolerance must be a number"),
        (lambda: InversePower(1.0, -1.0), GraphPEValueError, "power must be positive"),
        (lambda: Rational([1.0], [0.0]), GraphPEValueError, "denominator must not be zero"),
        (lambda: Rational([1.0], [-2.0, 1.0]), GraphPEValueError, "0 at the distance 2"),
        (lambda: Rational([1.0], [0.0, 1.0]), GraphPEValueError, "0 at the distance 0"),
        (lambda: Exponential(1.0) + "x", GraphPETypeError, "function of graphpe.trees"),
    ],
)
def test_wrong_parameters(build, error, message) -> None:
    with pytest.raises(error, match=message):
        build()


def test_error_of_exact_functions_is_zero() -> None:
    assert (Exponential(1.0) * Cosine(1.0)).error(1e6) == 0.0
    assert Cosine(3.0).error(10.0) == 0.0
    assert not (Exponential(1.0) * Gaussian(1.0)).exact
    assert np.isfinite((Exponential(1.0) * Gaussian(1.0)).error(1e6))


@pytest.mark.parametrize("turn", [Cosine(1.0), 0.5 * Cosine(1.0) + 1.0, Cosine(1.0) * Polynomial([0.5])])
def test_what_turns_often_declares_its_rounding(turn) -> None:
    """A distance of 1e9 is known to 1e-7."""
    assert 1e-8 < turn.error(1e9) < 1e-6


def test_distances_beyond_single_precision() -> None:
    length = torch.full((2,), 1e200, dtype=torch.float64)
    integrator, one = TreeIntegrator(torch.tensor([[0, 1], [1, 2]]), length, 3), torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(integrator.integrate(Exponential(0.5), one), one)  # far from all others
    for f in (Rational([1.0], [1.0, 1.0]), InversePower(1.0, 1.0), 1 + Gaussian(1.0)):
        with pytest.raises(GraphPEValueError, match=r"summed as exponentials.* these reach 2e\+200: rescale the"):
            integrator.integrate(f, one)
