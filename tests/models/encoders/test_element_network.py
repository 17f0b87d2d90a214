from __future__ import annotations

import pytest
import torch

from graphpe.errors import GraphPEValueError
from graphpe.models.encoders.element_network import ElementNetwork


def test_a_round_is_gin() -> None:
    from torch_geometric.nn import GINConv

    network = ElementNetwork("gin", 2, 8, 3, 1, directed=False)
    layer = network.rounds[0]
    torch.nn.init.normal_(layer.eps)
    oracle = GINConv(torch.nn.Sequential(layer.expand, layer.norm, torch.nn.ReLU(), layer.contract), train_eps=True)
    oracle.eps = layer.eps
    x, edges = torch.randn(6, 4, 2), torch.randint(0, 6, (2, 15))
    expected = torch.stack([oracle(x[:, k], edges) for k in range(4)], dim=1)
    torch.testing.assert_close(network(x, edges), expected)


def test_directed_messages_tell_the_direction() -> None:
    x, edges = torch.randn(3, 1, 2), torch.tensor([[0, 1], [1, 2]])
    network = ElementNetwork("gin", 2, 8, 3, 2, directed=True)
    assert not torch.allclose(network(x, edges), network(x, edges.flip(0)))
    last = network(x, edges)[0].clone()
    x[2] += 1  # two hops against the edges
    assert not torch.allclose(network(x, edges)[0], last)


@pytest.mark.parametrize("phi", ["gin", "mlp"])
def test_over_signs(phi: str) -> None:
    network = ElementNetwork(phi, 3, 8, 5, 2, directed=False)
    x, edges = torch.randn(4, 2, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])
    negative = x * torch.tensor([-1.0, -1.0, 1.0])
    out = network.over_signs(x, 2, edges)
    torch.testing.assert_close(out, network(x, edges) + network(negative, edges))
    torch.testing.assert_close(network.over_signs(negative, 2, edges), out)


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match="needs an edge_index, or use phi='mlp'"):
        ElementNetwork("gin", 1, 2, 3, 1, directed=False)(torch.zeros(1, 1, 1), None)
