"""relu(x W^T + b) through the kernel: values and gradients in float64."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from graphpe.models.layers.gpu.few_rows import MOST_ROWS
from graphpe.models.layers.gpu.linear_relu import linear_relu

from ...attention.gpu.conftest import DEVICE, check_gradients, error, moved


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (130, 11)])
@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_values_and_gradients(kind: torch.dtype, least: float, rows: int, width: int, launched: list[str]) -> None:
    linear = nn.Linear(5, width).to(DEVICE, kind)
    exactly = deepcopy(linear).double()
    x = torch.randn(rows, 5, device=DEVICE).to(kind).requires_grad_()
    given, exact = [x, *linear.parameters()], [x.detach().double().requires_grad_(), *exactly.parameters()]
    out, expected = linear_relu(x, linear), torch.relu(exactly(exact[0]))
    upstream = torch.randn_like(out)
    out.backward(upstream)
    expected.backward(upstream.double())

    def reference(rows: list[torch.Tensor]) -> list[torch.Tensor]:
        again = torch.relu(nn.functional.linear(*rows))
        return list(torch.autograd.grad(again, rows, upstream.double()))

    assert launched == ["_through"]
    assert error(out, expected) < least or not expected.any()
    check_gradients(given, exact, least, moved(reference, exact))


def test_many_rows_and_none_are_left_to_pytorch(launched: list[str]) -> None:
    linear = nn.Linear(1, 1).to(DEVICE)
    for rows in (0, MOST_ROWS + 1):
        linear_relu(torch.randn(rows, 1, device=DEVICE), linear).sum().backward()
    assert not launched
