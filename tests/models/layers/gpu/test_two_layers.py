"""Two linear layers with a ReLU between them through the kernels: values and gradients in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.layers.gpu.two_layers import (
    MOST_COLUMNS,
    Activation,
    Between,
    two_layers,
    two_layers_backward,
)

from ...attention.gpu.conftest import DEVICE, error

_KINDS = [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)]


def _apart(
    value: Tensor, products: list[tuple[Tensor, Tensor]], added: Tensor | None = None, expected: Tensor | None = None
) -> float:
    """How much a value differs from a sum of products, or what is expected, relative to the sum without signs."""
    terms = [(a.double(), b.double()) for a, b in products]
    more = torch.zeros((), dtype=torch.float64) if added is None else added.double()
    size = sum((a.abs() @ b.abs() for a, b in terms), more.abs())
    total = sum((a @ b for a, b in terms), more) if expected is None else expected
    assert value.shape == total.shape
    return float((value.double() - total).norm() / size.norm().clamp(min=1e-30))


def _slope(activation: str, s: Tensor) -> Tensor:
    """The derivative at s."""
    if activation == "relu":
        return (s > 0).double()
    return torch.distributions.Normal(0.0, 1.0).cdf(s) + s * (-s * s / 2).exp() / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(("kind", "least"), _KINDS)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(
    ("rows", "width", "hidden", "out"),
    [(40, 9, 70, 5), (1, 1, 1, 1), (33, 16, 32, 16), (5, MOST_COLUMNS + 1, 3, 4), (0, 3, 4, 5)],
)
def test_values_and_gradients(
    rows: int,
    width: int,
    hidden: int,
    out: int,
    dropout: bool,
    activation: Activation,
    kind: torch.dtype,
    least: float,
    launched: list[str],
) -> None:
    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device=DEVICE).to(kind)

    x, grad, other = drawn(rows, width), drawn(rows, out), drawn(rows, width)
    first, last = (drawn(hidden, width), drawn(hidden)), (drawn(out, hidden), drawn(out))
    keep = torch.rand(rows, hidden, device=DEVICE) < 0.6
    dropped = Dropped(keep, 2.0) if dropout else None
    factor = keep.double() * 2.0 if dropout else torch.ones(1, device=DEVICE).double()
    between, result = two_layers(x, first, last, dropped, activation)
    s = x.double() @ first[0].double().t() + first[1].double()
    h = (s.clamp(min=0) if activation == "relu" else s * torch.distributions.Normal(0.0, 1.0).cdf(s)) * factor
    assert _apart(between.hidden, [(x, first[0].t())], first[1], expected=h) < least
    assert _apart(result, [(between.hidden, last[0].t())], last[1]) < least
    # On which side of the ReLU a number is, after rounding.
    at = s if activation == "gelu" else torch.where(between.hidden.double() > 0, 1.0, torch.where(factor > 0, -1.0, s))
    expected = (grad.double() @ last[0].double()) * factor * _slope(activation, at)
    for more in (None, other):
        added = None if more is None else more.clone()
        before, of_x = two_layers_backward(grad, between, first[0], last[0], dropped, activation, other=added)
        assert _apart(before, [(grad, last[0])], expected=expected) < least
        assert _apart(of_x, [(before, first[0])], more) < least
        assert of_x.dtype == before.dtype == kind
    assert bool(launched) == (width <= MOST_COLUMNS)
    assert not launched or launched == ["_forward", "_backward", "_backward"]


def test_what_else_x_has_may_be_in_another_precision(launched: list[str]) -> None:
    shapes = [(20, 4), (20, 6), (6, 8), (4, 6)]
    grad, between, first, last = (torch.randn(shape, device=DEVICE).bfloat16() for shape in shapes)
    other = torch.randn(20, 8, device=DEVICE)
    expected = ((grad.double() @ last.double()) * (between > 0)) @ first.double() + other
    _, of_x = two_layers_backward(grad, Between(between, None), first, last, other=other.clone())
    assert launched
    assert of_x.dtype == torch.float32
    assert error(of_x, expected) < 1e-2
