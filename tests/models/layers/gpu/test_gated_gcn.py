"""Gates and sums of GatedGCN through the kernels: values and gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.layers.convolutions import GatedGCNLayer
from graphpe.models.layers.gpu import gated_gcn

from ...attention.gpu.conftest import DEVICE, check_gradients, error


def _written_out(maps: Tensor, edge: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """Node by node."""
    own, value, to, of = maps.chunk(4, dim=1)
    source, target = edge_index
    logit = edge + to[target] + of[source]
    rows = []
    for i in range(len(maps)):
        gates = torch.sigmoid(logit[target == i])
        rows.append(own[i] + (gates * value[source[target == i]]).sum(0) / (gates.sum(0) + 1e-6))
    return torch.stack(rows), logit


@pytest.mark.parametrize("reads", ["both", "nodes", "edges"])
@pytest.mark.parametrize(("nodes", "edges", "width"), [(7, 40, 5), (1, 1, 1), (4, 0, 8), (3, 20, 150)])
@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_values_and_gradients(
    kind: torch.dtype, least: float, nodes: int, edges: int, width: int, reads: str, launched: list[str]
) -> None:
    # Parallel edges and loops; nothing ends or begins in the last node.
    edge_index = torch.randint(0, max(nodes - 1, 1), (2, edges), device=DEVICE)
    shapes = (nodes, 4 * width), (edges, width)
    given = [torch.randn(shape, device=DEVICE).to(kind).requires_grad_() for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in given]
    found = gated_gcn.gated_sums(*given, Neighbours(edge_index, nodes))
    expected = _written_out(*exact, edge_index)
    assert [value.dtype for value in found] == [torch.float32, kind]
    for value, reference in zip(found, expected, strict=True):
        assert error(value, reference) < least
    upstream = [torch.randn_like(x) for x in found]
    asked = {"both": (0, 1), "nodes": (0,), "edges": (1,)}[reads]
    torch.autograd.backward([found[n] for n in asked], [upstream[n] for n in asked])
    torch.autograd.backward([expected[n] for n in asked], [upstream[n].double() for n in asked])
    assert launched == ["_forward", "_backward"]
    check_gradients(given, exact, least)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_layer_is_that_without_kernels(norm: str, launched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    layer, edge_index = GatedGCNLayer(6, norm=norm).to(DEVICE), torch.randint(0, 9, (2, 30), device=DEVICE)
    rows = [torch.randn(n, 6, device=DEVICE, requires_grad=True) for n in (9, 30)]
    asked = [*rows, *layer.parameters()]

    def step() -> list[Tensor]:
        x, edge = layer(*rows, Neighbours(edge_index, 9))
        return [x, edge, *torch.autograd.grad(x.square().sum() + edge.pow(3).sum(), asked)]

    found = step()
    assert launched
    launched.clear()
    monkeypatch.undo()
    for value, expected in zip(found, step(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
    assert not launched
    assert isinstance(layer.edge_norm, nn.Module)
