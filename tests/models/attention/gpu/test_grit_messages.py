"""Messages that are mapped and scaled by degrees through the kernels: values and gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphpe.models.attention.gpu.grit_messages import degree_scaled

from .conftest import DEVICE, check_gradients, error


def _reference(m: Tensor, n: Tensor, maps: Tensor, theta: Tensor, degree: Tensor) -> Tensor:
    mapped = torch.einsum("nhc,hcd->nhd", n.unflatten(1, maps.shape[:2]), maps).flatten(1)
    return (m + mapped) * (theta[0] + theta[1] * degree)


@pytest.mark.parametrize(("nodes", "heads", "channels"), [(1, 1, 1), (130, 3, 5), (9, 2, 32), (0, 2, 4)])
@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_values_and_gradients(kind: torch.dtype, least: float, nodes: int, heads: int, channels: int) -> None:
    width = heads * channels
    shapes = [(nodes, width), (nodes, width), (heads, channels, channels), (2, width)]
    given = [torch.randn(shape, device=DEVICE).to(kind).requires_grad_() for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in given]
    degree = torch.rand(nodes, 1, device=DEVICE)
    found, expected = degree_scaled(*given, degree), _reference(*exact, degree.double())
    upstream = torch.randn_like(found)
    found.backward(upstream)
    expected.backward(upstream.double())
    assert found.dtype == kind
    assert error(found, expected) < least
    check_gradients(given, exact, least)
