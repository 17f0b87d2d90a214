from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPETypeError, GraphPEValueError
from graphpe.models import LinearNodes, RandomIdentifiers
from graphpe.models.encoders.learned.fixed_normals import fixed_normals


def random_graph(size: int) -> Data:
    edges = torch.randint(size, (2, 2 * size)) if size else torch.zeros(2, 0).long()
    return Data(x=torch.randn(size, 3).double(), edge_index=edges, num_nodes=size)


def encoder(**options: object) -> RandomIdentifiers:
    given = {"hidden": 16, "layers": 2, "samples": 3, "channels": 4, **options}
    module = RandomIdentifiers(LinearNodes(3, 5), 5, **given).double().eval()
    nn.init.normal_(module.out.weight)
    nn.init.normal_(module.out.bias)
    return module


def by_hand(module: RandomIdentifiers, graph: Data, identifiers: np.ndarray) -> np.ndarray:
    """The formula with a dense matrix of edges, one draw `[N, channels]` after the other."""
    size = graph.num_nodes
    into = np.zeros((size, size))
    np.add.at(into, (graph.edge_index[1].numpy(), graph.edge_index[0].numpy()), 1)

    def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
        return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()

    total = np.zeros((size, module.hidden))
    features = module.nodes(graph).detach().numpy()
    for draw in identifiers:
        x = np.concatenate([features, draw], axis=1)
        for number, layer in enumerate(module.network.rounds):
            x = np.maximum(x, 0) if number else x
            sums = (1 + float(layer.eps.detach())) * x + into @ x
            if module.directed:
                sums = np.concatenate([sums, into.T @ x], axis=1)
            hidden = linear(layer.expand, sums)
            normal = (hidden - hidden.mean(1, keepdims=True)) / np.sqrt(hidden.var(1, keepdims=True) + 1e-5)
            normal = normal * layer.norm.weight.detach().numpy() + layer.norm.bias.detach().numpy()
            x = linear(layer.contract, np.maximum(normal, 0))
        total += np.maximum(x, 0)
    return linear(module.out, total / len(identifiers))


@pytest.mark.parametrize("directed", [False, True])
def test_it_is_the_mean_over_draws_of_one_network(directed: bool) -> None:
    module, graph = encoder(directed=directed, seed=9), random_graph(6)
    identifiers = fixed_normals(torch.arange(6), 12, 9).double().numpy().reshape(6, 3, 4).transpose(1, 0, 2)
    expected = torch.from_numpy(by_hand(module, graph, identifiers))
    torch.testing.assert_close(module(graph), expected, rtol=1e-9, atol=1e-9)


def test_in_training_there_is_one_new_draw_from_torchs_generator() -> None:
    module, graph = encoder().train(), random_graph(6)
    state = torch.get_rng_state()
    first, second = module(graph), module(graph)
    assert not torch.allclose(first, second)
    torch.set_rng_state(state)
    drawn = torch.randn(6, 4, dtype=torch.float64).numpy()
    torch.testing.assert_close(first, torch.from_numpy(by_hand(module, graph, drawn[None])), rtol=1e-9, atol=1e-9)
    torch.set_rng_state(state)
    assert torch.equal(module(graph), first)
    assert torch.equal(module(graph), second)


def test_in_evaluation_a_graph_has_one_encoding_alone_or_in_a_batch() -> None:
    module = encoder()
    graphs = [random_graph(size) for size in (5, 0, 1, 8, 2)]
    alone = torch.cat([module(graph) for graph in graphs])
    batch, state = Batch.from_data_list(graphs), torch.get_rng_state()
    torch.testing.assert_close(module(batch), alone, rtol=1e-9, atol=1e-9)
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn
    assert module(Batch.from_data_list([random_graph(0)])).shape == (0, 5)
    assert not torch.allclose(encoder(seed=1)(graphs[3]), encoder(seed=2)(graphs[3]))
    # Nodes that do not stand in the order of their graphs, in order within each.
    mixed = torch.tensor([0, 5, 1, 6, 2, 7, 3, 8, 4, 9, 10, 11, 12, 14, 13, 15])
    moved = Data(x=batch.x[mixed], edge_index=mixed.argsort()[batch.edge_index], batch=batch.batch[mixed])
    torch.testing.assert_close(module(moved), alone[mixed], rtol=1e-9, atol=1e-9)


def test_its_mean_is_equivariant_in_expectation() -> None:
    graph, order = random_graph(7), torch.randperm(7)
    moved = Data(x=graph.x[order], edge_index=order.argsort()[graph.edge_index], num_nodes=7)
    module = encoder()

    def off(samples: int) -> float:
        module.samples, found = samples, []
        for seed in range(4):
            module.seed = seed
            found.append((module(moved) - module(graph)[order]).square().mean().detach())
        return float(torch.stack(found).mean().sqrt())

    few, many = off(20), off(8000)
    assert few / 60 < many < few / 6  # the 20th


def test_it_tells_triangles_from_a_hexagon_and_each_node_from_itself() -> None:
    """Colour refinement gives all nodes of both one colour; identifiers come back to where they were."""
    ring = [(i, (i + 1) % 6) for i in range(6)]
    triangles = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]

    def graph(edges: list[tuple[int, int]]) -> Data:
        return Data(x=torch.ones(6, 3).double(), edge_index=torch.tensor([*edges, *[(v, u) for u, v in edges]]).T)

    module = encoder(samples=4000, layers=3)
    hexagon, pair = (module(graph(edges)).detach() for edges in (ring, triangles))
    error = max(float((each - each.mean(0)).abs().max()) for each in (hexagon, pair))
    assert float((hexagon.mean(0) - pair.mean(0)).abs().max()) > error / 2  # means of six, whose error is less


def test_it_starts_at_zero_and_gradients_are_right() -> None:
    module, graph = RandomIdentifiers(LinearNodes(3, 5), 5).double(), random_graph(6)
    out = module(graph)
    assert torch.equal(out, torch.zeros(6, 5).double())
    (out + 1).square().sum().backward()
    assert module.out.weight.grad.abs().sum() > 0
    torch.manual_seed(4)  # a kink of a ReLU at hand is no error
    module, graph = encoder(hidden=3, samples=2), random_graph(5)
    weights = dict(module.named_parameters())

    def of(*values: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(weights, values, strict=True)), (graph,))

    assert torch.autograd.gradcheck(of, tuple(weights.values()))


def test_half_precision() -> None:
    module, graph = encoder().float(), random_graph(6)
    graph.x = graph.x.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert module(graph).isfinite().all()
    assert module.bfloat16().train()(graph).isfinite().all()


def test_errors() -> None:
    for bad in ({"samples": 0}, {"channels": 0}, {"hidden": 2.0}, {"layers": 0}, {"seed": -1}):
        with pytest.raises(GraphPEError, match=next(iter(bad))):
            encoder(**bad)
    with pytest.raises(GraphPETypeError, match="directed must be True or False"):
        encoder(directed=1)
    with pytest.raises(GraphPEValueError, match="batch has no edge_index"):
        encoder()(Data(x=torch.randn(3, 3).double()))
    assert repr(encoder()) == "RandomIdentifiers(channels=4, samples=3, hidden=16, layers=2, directed=False, seed=0)"
