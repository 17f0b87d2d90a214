"""Linear maps as one product whose input is passed on: values and gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from graphpe.models.layers.gpu.projections import projected, stacked

from ...attention.gpu.conftest import DEVICE, check_gradients, error


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("read", ["both", "product", "input"])
@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_values_and_gradients(kind: torch.dtype, least: float, read: str, biased: bool, launched: list[str]) -> None:
    shapes = [(9, 4), (6, 4), (6,)][: 3 if biased else 2]
    given = [torch.randn(shape, device=DEVICE).to(kind).requires_grad_() for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in given]
    product, passed = projected(*given)
    expected = functional.linear(*exact)
    upstream = torch.randn_like(product)
    total, reference = [], []
    if read != "input":
        total.append((product * upstream).sum())
        reference.append((expected * upstream.double()).sum())
    if read != "product":
        total.append(passed.square().sum())
        reference.append(exact[0].square().sum())
    torch.stack(total).sum().backward()
    torch.stack(reference).sum().backward()
    asked = [(x, y) for x, y in zip(given, exact, strict=True) if y.grad is not None]
    assert error(product, expected) < least
    check_gradients([x for x, _ in asked], [y for _, y in asked], least)


def test_stacked_parameters_are_those_of_each_layer() -> None:
    layers = [[torch.randn(rows, 3, requires_grad=True) for rows in (2, 5)] for _ in range(3)]
    found = stacked(layers)
    for one, parts in zip(found, layers, strict=True):
        assert torch.equal(one, torch.cat(parts))
    (found[1] * torch.arange(7.0).unsqueeze(1)).sum().backward()
    assert layers[1][1].grad is not None
    assert layers[1][1].grad[:, 0].tolist() == [2, 3, 4, 5, 6]
