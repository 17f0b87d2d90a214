"""Gradients of weights and biases through the kernel: products in float64."""

from __future__ import annotations

import pytest
import torch

from graphpe.models.layers.gpu import weight_gradients as weights

from ...attention.gpu.conftest import DEVICE, error


@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("shapes", [[(5, 3)], [(40, 33)], [(64, 32), (32, 64)], [(1, 1), (70, 9)], [(70, 9), (3, 40)]])
@pytest.mark.parametrize("rows", [1, 33, 100])
def test_of_one_layer_and_of_two(
    rows: int, shapes: list[tuple[int, int]], kind: torch.dtype, least: float, launched: list[str]
) -> None:
    layers = [tuple(torch.randn(rows, n, device=DEVICE).to(kind) for n in shape) for shape in shapes]
    found = weights.weight_gradients(*layers, dtype=torch.float32)
    assert launched == ["_products"]
    for (grad, x), (weight, bias) in zip(layers, found, strict=True):
        assert weight.dtype == bias.dtype == torch.float32
        assert error(weight, grad.double().t() @ x.double()) < least
        assert error(bias, grad.double().sum(0)) < least


def test_no_rows_are_zeros_and_many_are_products_of_their_own(
    launched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ((weight, bias),) = weights.weight_gradients((torch.empty(0, 3), torch.empty(0, 2)), dtype=torch.float32)
    assert not weight.any()
    assert not bias.any()
    grad, x = torch.randn(50, 3), torch.randn(50, 2)
    ((weight, bias),) = weights.weight_gradients((grad, x), dtype=torch.float32)
    assert launched == ["_products"] * 2
    monkeypatch.setattr(weights, "MOST_ROWS", 49)
    ((other, other_bias),) = weights.weight_gradients((grad, x), dtype=torch.float32)
    assert launched == ["_products"] * 2
    torch.testing.assert_close(weight, other)
    torch.testing.assert_close(bias, other_bias)
