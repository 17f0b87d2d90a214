from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

from graphpe.errors import GraphPEError
from graphpe.models.attention.neighbours import sums
from graphpe.models.large.classic_gnn import ClassicGNN
from graphpe.models.layers.inputs import LinearEdges, LinearNodes

WIDTH = 8


def graph(nodes: int = 9, edges: int = 20) -> Data:
    """Parallel edges, self-loops and isolated nodes among them."""
    return Data(
        x=torch.randn(nodes, 3, dtype=torch.double),
        edge_index=torch.randint(0, nodes - 1, (2, edges)),
        edge_attr=torch.randn(edges, 2, dtype=torch.double),
    )


def dense(data: Data, itself: bool) -> Tensor:
    """Number of edges j -> i at [i, j], in float64."""
    out = torch.zeros(data.num_nodes, data.num_nodes, dtype=torch.double)
    out.index_put_((data.edge_index[1], data.edge_index[0]), torch.ones(1, dtype=torch.double), accumulate=True)
    return out + torch.eye(data.num_nodes, dtype=torch.double) * itself


def gcn(conv: nn.Module, x: Tensor, matrix: Tensor) -> Tensor:
    degree = matrix.sum(1)
    return (matrix / degree.sqrt().outer(degree.sqrt())) @ (x @ conv.linear.weight.t()) + conv.bias


def sage(conv: nn.Module, x: Tensor, matrix: Tensor) -> Tensor:
    mean = matrix / matrix.sum(1, keepdim=True) @ x
    return mean @ conv.of_neighbours.weight.t() + conv.of_neighbours.bias + x @ conv.own.weight.t()


def gat(conv: nn.Module, x: Tensor, matrix: Tensor) -> Tensor:
    mapped = (x @ conv.linear.weight.t()).chunk(len(conv.source), dim=1)
    out = []
    for rows, source, target in zip(mapped, conv.source, conv.target, strict=True):
        logit = nn.functional.leaky_relu((rows @ target)[:, None] + (rows @ source)[None], 0.2)
        weight = logit.exp() * matrix  # parallel edges are several messages
        out.append(weight / weight.sum(1, keepdim=True) @ rows)
    return torch.cat(out, dim=1)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("options", [{}, {"norm": "layer", "jumping": True}, {"norm": "none", "residual": False}])
@pytest.mark.parametrize(("conv", "formula"), [("GCN", gcn), ("SAGE", sage), ("GAT", gat)])
def test_equals_dense_matrices(monkeypatch: pytest.MonkeyPatch, conv: str, formula, options, many: bool) -> None:
    """With the equations of the docstring over matrices of all pairs; `many`: by the compiled passes."""
    if many:
        monkeypatch.setattr(sums, "MANY_PAIRS", 1)
    data = graph()
    model = ClassicGNN(
        conv=conv, width=WIDTH, layers=3, heads=2, readout="none", node_encoder=LinearNodes(3, WIDTH), **options
    )
    model = model.double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
    x = model.node_encoder(data)
    results = []
    for layer in model.layers:
        update = formula(layer.conv, x, dense(data, True))
        x = layer.norm(update + (layer.residual(x) if model.residual else 0)).relu()
        results.append(x)
    torch.testing.assert_close(model(data), sum(results) if model.jumping else x)


def test_edges_are_means_at_the_nodes() -> None:
    data = graph()
    edge_encoder = LinearEdges(2, WIDTH)
    model = ClassicGNN(
        width=WIDTH, layers=1, readout="none", node_encoder=LinearNodes(3, WIDTH), edge_encoder=edge_encoder
    )
    model = model.double().eval()
    with_edges = model(data)
    edge = edge_encoder(data)
    means = [edge[data.edge_index[1] == node].mean(0).nan_to_num() for node in range(data.num_nodes)]
    x = model.node_encoder(data) + torch.stack(means)
    (layer,) = model.layers
    torch.testing.assert_close(with_edges, layer.norm(gcn(layer.conv, x, dense(data, True)) + layer.residual(x)).relu())


@pytest.mark.parametrize(("conv", "pyg"), [("GCN", GCNConv), ("SAGE", SAGEConv), ("GAT", GATConv)])
def test_matrices_begin_as_those_of_pyg(conv: str, pyg: type[nn.Module]) -> None:
    model = ClassicGNN(conv=conv, width=64, layers=1, node_encoder=nn.Identity())
    ours, theirs = (
        {tuple(p.shape): float(p.detach().std()) for p in module.parameters() if p.numel() == 64 * 64}
        for module in (model.layers[0].conv, pyg(64, 64))
    )
    assert ours == pytest.approx(theirs, rel=0.05)


def test_published_size() -> None:
    model = ClassicGNN(conv="GCN", width=64, layers=12, node_encoder=LinearNodes(7, 64), head=nn.Linear(64, 2))
    assert sum(p.numel() for p in model.layers[0].parameters()) == 8448
    assert sum(p.numel() for p in model.parameters()) == 102_018


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conv": "GIN"}, "conv must be one of 'GCN', 'SAGE', 'GAT'"),
        ({"conv": "GAT", "heads": 3}, "multiple of heads"),
        ({"norm": "graph"}, "norm must be one of 'batch', 'layer', 'none'"),
        ({"residual": 1}, "residual must be True or False"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        ClassicGNN(**{"width": WIDTH, **options}, node_encoder=nn.Identity())
