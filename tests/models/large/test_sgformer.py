from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError
from graphpe.models.attention.padding import padded_nodes
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.large.sgformer import SGFormer, simple_attention
from graphpe.models.layers.inputs import LinearNodes

WIDTH = 8


def graph(nodes: int, edges: int = 15) -> Data:
    return Data(
        x=torch.randn(nodes, 3, dtype=torch.double),
        edge_index=torch.randint(0, max(nodes, 1), (2, edges * (nodes > 0))),
    )


def by_matrices(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Equations 3 to 5 of the paper with the n x n matrix of one graph."""
    n = len(q)
    shares = (q / q.norm()) @ (k / k.norm()).t() / n
    total = 1 + shares.sum(1, keepdim=True)
    return (v + shares @ v) / total


@pytest.mark.parametrize("sizes", [[7], [5, 2, 0, 9, 3]])
def test_attention_equals_the_paper(sizes: list[int]) -> None:
    batch = Batch.from_data_list([graph(n) for n in sizes])
    q, k, v = torch.randn(3, sum(sizes), WIDTH, dtype=torch.double).requires_grad_()
    found = simple_attention(q, k, v, padded_nodes(node_to_graph(batch)))
    parts = zip(*(x.split(sizes) for x in (q, k, v)), strict=True)
    expected = torch.cat([by_matrices(*rows) for rows in parts])
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        *(torch.autograd.grad(out.square().sum(), [q, k, v]) for out in (found, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_one_node_attends_to_itself() -> None:
    """Its fraction is 0 / 0 where query and key are opposite."""
    q, v = torch.randn(2, 1, WIDTH).requires_grad_()
    out = simple_attention(q, -q, v, padded_nodes(node_to_graph(Data(num_nodes=1, x=q))))
    torch.testing.assert_close(out, v)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(out.sum(), [q, v], allow_unused=False))


def test_queries_of_zero() -> None:
    q = torch.zeros(3, WIDTH, requires_grad=True)
    v = torch.randn(3, WIDTH)
    out = simple_attention(q, q, v, padded_nodes(node_to_graph(Data(num_nodes=3, x=v))))
    torch.testing.assert_close(out, v)
    (grad,) = torch.autograd.grad(out.sum(), [q])
    assert bool(grad.isfinite().all())


def test_equals_its_equations() -> None:
    data = graph(9)
    model = SGFormer(
        width=WIDTH, layers=2, local_layers=2, alpha=0.7, graph_weight=0.4, readout="none",
        node_encoder=LinearNodes(3, WIDTH),
    ).double().eval()  # fmt: skip
    x = model.node_encoder(data)
    z = model.attention_norm(x).relu()
    for layer in model.layers:
        attended = by_matrices(*layer.query_key_value(z).chunk(3, dim=1))
        z = layer.norm(0.7 * attended + 0.3 * z)
    matrix = torch.eye(9, dtype=torch.double)
    matrix.index_put_((data.edge_index[1], data.edge_index[0]), torch.ones(1, dtype=torch.double), accumulate=True)
    degree = matrix.sum(1)
    matrix = matrix / degree.sqrt().outer(degree.sqrt())
    g = model.local_norm(x).relu()
    for layer in model.local_layers:
        g = g + layer.norm(matrix @ g @ layer.conv.linear.weight.t() + layer.conv.bias).relu()
    torch.testing.assert_close(model(data), 0.4 * g + 0.6 * z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5}, "alpha must be from 0 to 1, got 1.5"),
        ({"graph_weight": -0.1}, "graph_weight must be from 0 to 1"),
        ({"graph_weight": "half"}, "graph_weight must be a number"),
        ({"local_layers": 0}, "local_layers must be from 1"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        SGFormer(**{"width": WIDTH, **options}, node_encoder=nn.Identity())
