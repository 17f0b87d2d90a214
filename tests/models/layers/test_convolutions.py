from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.layers.convolutions import CustomLayer, GatedGCNLayer, GATLayer, GCNLayer, GINELayer, build_local

WIDTH = 6


def graph(nodes: int = 7, edges: int = 15):
    """Random parallel edges, self-loops and at least one node without any."""
    edge_index = torch.randint(0, nodes - 1, (2, edges))
    return (
        torch.randn(nodes, WIDTH, dtype=torch.float64),
        torch.randn(edges, WIDTH, dtype=torch.float64),
        edge_index,
    )


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_gated_gcn_is_its_equations(norm) -> None:
    x, edge, edge_index = graph()
    layer = GatedGCNLayer(WIDTH, norm=norm).double()
    a, b, d, e = zip(layer.node_maps.weight.split(WIDTH), layer.node_maps.bias.split(WIDTH), strict=True)
    source, target = edge_index
    gate = torch.stack([
        layer.edge_map(edge[n]) + d[0] @ x[i] + d[1] + e[0] @ x[j] + e[1]
        for n, (j, i) in enumerate(zip(source, target, strict=True))
    ])  # fmt: skip
    rows = []
    for i in range(len(x)):
        top, total = torch.zeros(WIDTH, dtype=x.dtype), torch.zeros(WIDTH, dtype=x.dtype)
        for n in (target == i).nonzero().flatten().tolist():
            sigma = 1 / (1 + torch.exp(-gate[n]))
            top, total = top + sigma * (b[0] @ x[source[n]] + b[1]), total + sigma
        rows.append(a[0] @ x[i] + a[1] + top / (total + 1e-6))
    expected = x + layer.node_norm(torch.stack(rows)).clamp(min=0), edge + layer.edge_norm(gate).clamp(min=0)
    for ours, theirs in zip(layer(x, edge, Neighbours(edge_index, len(x))), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    layer.skip_edge_update()
    same, untouched = layer(x, edge, Neighbours(edge_index, len(x)))
    torch.testing.assert_close(same, expected[0])
    assert untouched is edge


def test_gcn_without_features_is_that_of_pyg() -> None:
    x, _, edge_index = graph()
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]  # PyG has one self-loop a node, ours one more
    layer = GCNLayer(WIDTH).double()
    nn.init.normal_(layer.bias)
    theirs = GCNConv(WIDTH, WIDTH).double()
    theirs.lin.load_state_dict(layer.linear.state_dict())
    theirs.bias.data = layer.bias.data
    torch.testing.assert_close(layer(x, None, Neighbours(edge_index, len(x)))[0], theirs(x, edge_index))


def test_gcn_with_features_is_its_equation() -> None:
    x, edge, edge_index = graph()
    layer = GCNLayer(WIDTH).double()
    nn.init.normal_(layer.bias)
    degree = torch.tensor([1.0 + int((edge_index[1] == i).sum()) for i in range(len(x))], dtype=torch.float64)
    mapped = x @ layer.linear.weight.t()
    expected = mapped / degree.unsqueeze(1) + layer.bias
    for n, (j, i) in enumerate(edge_index.t().tolist()):
        expected[i] = expected[i] + (mapped[j] + edge[n]).clamp(min=0) / (degree[i] * degree[j]).sqrt()
    torch.testing.assert_close(layer(x, edge, Neighbours(edge_index, len(x)))[0], expected)


def test_gine_is_its_equation() -> None:
    x, edge, edge_index = graph()
    layer = GINELayer(WIDTH).double()
    for features in (edge, None):
        sums = x.clone()
        for n, (j, i) in enumerate(edge_index.t().tolist()):
            sums[i] = sums[i] + (x[j] + (0 if features is None else features[n])).clamp(min=0)
        torch.testing.assert_close(layer(x, features, Neighbours(edge_index, len(x)))[0], layer.conv.nn(sums))


def test_gat_ignores_autocast() -> None:
    x, edge, edge_index = graph()
    layer = GATLayer(WIDTH, 2, True)
    exact = layer(x.float(), edge.float(), Neighbours(edge_index, len(x)))[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x.float(), edge.float(), Neighbours(edge_index, len(x)))[0], exact)


def test_layers_by_name() -> None:
    def made(local):
        return build_local(local, WIDTH, heads=2, edges=True, norm="batch", dropout=0.0)

    kinds = {"GatedGCN": GatedGCNLayer, "GINE": GINELayer, "GCN": GCNLayer, "GAT": GATLayer}
    assert all(type(made(name)) is kind for name, kind in kinds.items())
    assert made("none") is None
    assert type(made(lambda width: nn.Linear(width, width))) is CustomLayer
