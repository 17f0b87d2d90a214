from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models import ConditionalEncoding, LinearNodes


def random_graph(size: int) -> Data:
    edges = torch.randint(size, (2, 2 * size)) if size else torch.zeros(2, 0).long()
    return Data(x=torch.randn(size, 3), edge_index=edges, num_nodes=size)


def encoder(**options: object) -> ConditionalEncoding:
    module = ConditionalEncoding(LinearNodes(3, 4), 4, **{"hidden": 32, **options}).double().eval()
    nn.init.normal_(module.out.weight)
    return module


def test_it_is_messages_between_embeddings_of_the_features() -> None:
    module, graph = encoder(layers=1), random_graph(5)
    layer, size = module.network.rounds[0], 5
    into = np.zeros((size, size))
    np.add.at(into, (graph.edge_index[1].numpy(), graph.edge_index[0].numpy()), 1)

    def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
        return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()

    h = linear(module.nodes.linear, graph.x.double().numpy())
    hidden = linear(layer.expand, (1 + float(layer.eps.detach())) * h + into @ h)
    normal = (hidden - hidden.mean(1, keepdims=True)) / np.sqrt(hidden.var(1, keepdims=True) + 1e-5)
    expected = linear(module.out, np.maximum(linear(layer.contract, np.maximum(normal, 0)), 0))
    torch.testing.assert_close(module(graph), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)


def test_it_is_equivariant_and_a_batch_is_its_graphs() -> None:
    module = encoder(directed=True)
    graphs = [random_graph(size) for size in (4, 0, 1, 6)]
    alone = torch.cat([module(graph) for graph in graphs])
    batch = Batch.from_data_list(graphs)
    torch.testing.assert_close(module(batch), alone, rtol=1e-6, atol=1e-6)
    order = torch.randperm(11)
    moved = Data(x=batch.x[order], edge_index=order.argsort()[batch.edge_index], batch=batch.batch[order])
    torch.testing.assert_close(module(moved), alone[order], rtol=1e-6, atol=1e-6)


def test_it_reaches_as_far_as_it_has_rounds() -> None:
    module = encoder(layers=2)
    path = Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
    other = path.clone()
    other.x = torch.cat([path.x[:1] + 1, path.x[1:]])
    changed = (module(path) - module(other)).abs().sum(1) > 1e-9
    assert changed.tolist() == [True, True, True, False]


def test_it_starts_at_zero_and_learns() -> None:
    module, graph = ConditionalEncoding(LinearNodes(3, 4), 4), random_graph(5)
    out = module(graph)
    assert torch.equal(out, torch.zeros(5, 4))
    (out + 1).square().sum().backward()
    assert module.out.weight.grad.abs().sum() > 0
    assert module.bfloat16()(graph).isfinite().all()


def test_errors() -> None:
    for bad in ({"hidden": 0}, {"layers": 1.5}, {"directed": None}):
        with pytest.raises(GraphPEError, match=next(iter(bad))):
            ConditionalEncoding(LinearNodes(3, 4), 4, **bad)
    with pytest.raises(GraphPEValueError, match="batch has no edge_index"):
        encoder()(Data(x=torch.randn(2, 3)))
    assert repr(encoder()) == "ConditionalEncoding(hidden=32, layers=2, directed=False)"
