"""The sums of GINE through the kernels: values and gradients of PyG's layer in float64."""

from __future__ import annotations

import pytest
import torch

from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.layers.convolutions import GINELayer
from graphpe.models.layers.gpu.gine import gine_sums

from ...attention.gpu.conftest import DEVICE, check_gradients, error, moved


@pytest.mark.parametrize(("nodes", "edges", "width"), [(7, 40, 5), (1, 1, 1), (4, 0, 8), (3, 20, 150)])
@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_values_and_gradients_are_those_of_pyg(
    kind: torch.dtype, least: float, nodes: int, edges: int, width: int, launched: list[str]
) -> None:
    # Parallel edges and loops; nothing ends or begins in the last node.
    edge_index = torch.randint(0, max(nodes - 1, 1), (2, edges), device=DEVICE)
    rows = [torch.randn(n, width, device=DEVICE).to(kind).requires_grad_() for n in (nodes, edges)]
    exact = [x.detach().double().requires_grad_() for x in rows]
    layer = GINELayer(width).to(DEVICE).double()
    layer.conv.nn = torch.nn.Identity()
    layer.conv.eps.fill_(0.3)
    found, x, edge = gine_sums(*rows, layer.conv.eps.to(kind), Neighbours(edge_index, nodes))
    layer.conv.eps.fill_(float(layer.conv.eps.to(kind)))
    expected = layer.conv(exact[0], edge_index, exact[1])
    upstream = torch.randn_like(found)
    # What is passed on is read once more.
    torch.autograd.backward([found, x, edge], [upstream, x.detach(), edge.detach()])
    expected.backward(upstream.double())
    for value in exact:
        value.grad += value.detach()

    def reference(x: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(torch.autograd.grad(layer.conv(x[0], edge_index, x[1]), x, upstream.double()))

    assert launched == ["_forward", "_backward"]
    assert found.dtype == kind
    assert error(found, expected) < least
    check_gradients(rows, exact, least, moved(reference, exact))
