from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPETypeError, GraphPEValueError
from graphpe.models import PEARLEncoding
from graphpe.models.encoders.learned.fixed_normals import fixed_normals


def random_graph(size: int) -> Data:
    return Data(edge_index=torch.randint(size, (2, 2 * size)) if size else torch.zeros(2, 0).long(), num_nodes=size)


def encoder(**options: object) -> PEARLEncoding:
    module = PEARLEncoding(5, **{"hidden": 32, "layers": 2, "samples": 3, **options}).double().eval()
    nn.init.normal_(module.out.weight)
    nn.init.normal_(module.out.bias)
    return module


def by_hand(module: PEARLEncoding, edge_index: Tensor, features: np.ndarray) -> np.ndarray:
    """The formula with a dense matrix of edges, one column of features after the other."""
    size = features.shape[0]
    into = np.zeros((size, size))
    np.add.at(into, (edge_index[1].numpy(), edge_index[0].numpy()), 1)

    def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
        return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()

    total = np.zeros((size, module.hidden))
    for column in features.T:
        x = column[:, None]
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
    return linear(module.out, total / features.shape[1])


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("features", ["random", "basis"])
def test_it_is_the_mean_over_features_of_one_network(features: str, directed: bool) -> None:
    module, graph = encoder(features=features, directed=directed, seed=9), random_graph(6)
    given = np.eye(6) if features == "basis" else fixed_normals(torch.arange(6), 3, 9).double().numpy()
    expected = torch.from_numpy(by_hand(module, graph.edge_index, given))
    torch.testing.assert_close(module(graph), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("features", ["random", "basis"])
def test_in_evaluation_a_graph_has_one_encoding_alone_or_in_a_batch(features: str) -> None:
    module = encoder(features=features)
    graphs = [random_graph(size) for size in (5, 0, 1, 8, 2)]
    alone = torch.cat([module(graph) for graph in graphs])
    batch = Batch.from_data_list(graphs)
    state = torch.get_rng_state()
    torch.testing.assert_close(module(batch), alone, rtol=1e-9, atol=1e-9)
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn
    assert module(Batch.from_data_list([random_graph(0)])).shape == (0, 5)
    # Nodes that do not stand in the order of their graphs: the odd ones behind the even ones, in order within each.
    mixed = torch.tensor([*range(0, 16, 2), *range(1, 16, 2)])
    within = torch.cat([mixed[batch.batch[mixed] == graph] for graph in range(5)])
    moved = Data(edge_index=mixed.argsort()[batch.edge_index], batch=batch.batch[mixed], num_nodes=16)
    sorted_graphs = Data(edge_index=within.argsort()[batch.edge_index], batch=batch.batch, num_nodes=16)
    found = torch.empty(16, 5, dtype=torch.float64)
    found[within] = module(sorted_graphs)
    torch.testing.assert_close(module(moved), found[mixed], rtol=1e-9, atol=1e-9)


def test_basis_features_are_exactly_equivariant() -> None:
    module, graph = encoder(features="basis", directed=True), random_graph(9)
    order = torch.randperm(9)
    moved = Data(edge_index=order.argsort()[graph.edge_index], num_nodes=9)
    for training in (False, True):
        module.train(training)
        torch.testing.assert_close(module(moved), module(graph)[order], rtol=1e-9, atol=1e-9)


def test_random_features_are_equivariant_in_expectation_and_tell_more_than_neighbours() -> None:
    """Two triangles and a hexagon: colour refinement gives all nodes one colour, walks of random features do not."""
    ring = [(i, (i + 1) % 6) for i in range(6)]
    triangles = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]
    both = [Data(edge_index=torch.tensor([*e, *[(v, u) for u, v in e]]).T, num_nodes=6) for e in (ring, triangles)]
    module = encoder(samples=4000, layers=3)
    hexagon, pair = module(both[0]).detach(), module(both[1]).detach()
    spread = max(float((each - each.mean(0)).abs().max()) for each in (hexagon, pair))
    exact = encoder(features="basis", layers=3)
    exact.load_state_dict(module.state_dict())
    apart = exact(both[0])[0] - exact(both[1])[0]
    assert apart.abs().max() > 1e-6  # so do unit vectors
    assert spread < 0.5  # all nodes of either are alike: what is left is the error of the mean
    few = encoder(samples=10, layers=3)
    few.load_state_dict(module.state_dict())
    wide = float((few(both[0]) - few(both[0]).mean(0)).detach().abs().max())
    assert spread < wide


def test_training_draws_afresh_from_torchs_generator() -> None:
    module, graph = encoder().train(), random_graph(6)
    state = torch.get_rng_state()
    first, second = module(graph), module(graph)
    assert not torch.allclose(first, second)
    torch.set_rng_state(state)
    assert torch.equal(module(graph), first)
    assert torch.equal(module(graph), second)
    assert not torch.allclose(encoder(seed=1)(graph), encoder(seed=2)(graph))


def test_it_starts_at_zero_and_gradients_are_right() -> None:
    module, graph = PEARLEncoding(5), random_graph(6)
    out = module(graph)
    assert torch.equal(out, torch.zeros(6, 5))
    (out + 1).square().sum().backward()
    assert module.out.weight.grad.abs().sum() > 0
    torch.manual_seed(4)  # a kink of a ReLU at hand is no error
    module, graph = encoder(features="basis", hidden=3), random_graph(6)
    nn.init.normal_(module.network.rounds[0].expand.bias)
    weights = dict(module.named_parameters())

    def of(*values: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(weights, values, strict=True)), (graph,))

    assert torch.autograd.gradcheck(of, tuple(weights.values()))


def test_half_precision() -> None:
    for features in ("random", "basis"):
        module = encoder(features=features).float()
        with torch.autocast("cpu", torch.bfloat16):
            assert module(random_graph(6)).isfinite().all()
        assert module.bfloat16().train()(random_graph(6)).isfinite().all()


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match="features must be one of 'random', 'basis', got 'ones'"):
        PEARLEncoding(5, features="ones")
    for bad in ({"samples": 0}, {"hidden": 2.0}, {"layers": 0}, {"seed": -1}):
        with pytest.raises(GraphPEError, match=next(iter(bad))):
            PEARLEncoding(5, **bad)
    with pytest.raises(GraphPETypeError, match="directed must be True or False"):
        PEARLEncoding(5, directed=1)
    with pytest.raises(GraphPEValueError, match="edge_index holds node 7, but the batch has 3 nodes"):
        encoder()(Data(edge_index=torch.tensor([[0], [7]]), num_nodes=3))
    with pytest.raises(GraphPEValueError, match="batch has no edge_index"):
        encoder()(Data(num_nodes=3))
    text = "PEARLEncoding(features='basis', samples=3, hidden=32, layers=2, directed=False, seed=0)"
    assert repr(encoder(features="basis")) == text
