from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.heat_and_diffusion import diffusion_coordinates, diffusion_kernel, diffusion_response
from graphpe.transforms.diffusion_pe import DiffusionPE

KERNELS = ["heat", "p-step", "ppr"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_values(random_graph, kernel):
    graphs = [random_graph(seed, weighted=True) for seed in range(9)]
    packed = PackedGraphs.from_data_list(graphs)
    response = diffusion_response(kernel, 0.7, 4, 0.3, 0.2)
    options = {"kernel": kernel, "beta": 0.7, "steps": 4, "gamma": 0.3, "alpha": 0.2}
    node, pair = DiffusionPE(5, sign="none", **options), DiffusionPE(level="pair", **options)
    expected = diffusion_coordinates(packed, 5, response)
    out = node(packed)
    assert torch.equal(out.node["diffusion_pe"], expected.vectors.float())
    assert torch.equal(out.graph["diffusion_pe_eigenvalues"], expected.values.float())
    assert torch.equal(out.graph["diffusion_pe_mask"], expected.mask)
    values = pair(packed).pair["diffusion_pe"]
    assert torch.equal(values, diffusion_kernel(packed, response)[:, None].float())
    assert (node.columns, pair.columns) == (5, values.shape[1]) == (5, 1)
    assert node.keys + node.graph_keys == ["diffusion_pe", "diffusion_pe_eigenvalues", "diffusion_pe_mask"]
    assert (node.pair_keys, pair.pair_keys) == ([], ["diffusion_pe"])
    assert pair.keys == pair.graph_keys == []
    batch = pair(Batch.from_data_list(graphs)).diffusion_pe
    torch.testing.assert_close(batch, torch.cat([pair(graph).diffusion_pe for graph in graphs]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_lowest_frequencies_come_first(kernel):
    # On a path the slowest wave crosses zero once.
    path = Data(edge_index=torch.stack([torch.arange(19), torch.arange(1, 20)]), num_nodes=20)
    out = DiffusionPE(3, kernel=kernel, sign="canonical")(path).diffusion_pe
    crossings = (out[1:].sign() != out[:-1].sign()).sum(0)
    assert crossings.tolist() == [1, 2, 3]
    values = DiffusionPE(19, kernel=kernel)(path).diffusion_pe_eigenvalues[0]
    assert (values.diff() <= 1e-7).all()
    squares = DiffusionPE(19, kernel=kernel)(path).diffusion_pe.square().sum(0)
    torch.testing.assert_close(squares, values, atol=1e-6, rtol=1e-5)


def test_signs(random_graph):
    graph = random_graph(6)
    fixed = DiffusionPE(3, sign="canonical")
    assert torch.equal(fixed(graph).diffusion_pe, fixed(graph).diffusion_pe)
    random, again = DiffusionPE(3, seed=4), DiffusionPE(3, seed=4)
    draws = [random(graph).diffusion_pe for _ in range(8)]
    assert any(not torch.equal(draw, draws[0]) for draw in draws)
    assert all(torch.equal(draw, again(graph).diffusion_pe) for draw in draws)
    twin = copy.deepcopy(random)
    assert torch.equal(random(graph).diffusion_pe, twin(graph).diffusion_pe)


def test_compose(random_graph):
    graph = random_graph(3)
    both = T.Compose([DiffusionPE(4, sign="canonical"), DiffusionPE(level="pair", attr_name="pair_pe")])
    out = both(graph)
    n = graph.num_nodes
    torch.testing.assert_close(out.pair_pe, DiffusionPE(level="pair")(graph).diffusion_pe)
    alone = DiffusionPE(4)(graph)
    torch.testing.assert_close(out.diffusion_pe_eigenvalues, alone.diffusion_pe_eigenvalues)
    assert out.diffusion_pe.shape == (n, 4)


@pytest.mark.parametrize("weights", [[1e-38, 1e38], [1e38, 1e38], [1e-45, 1.0]])
@pytest.mark.parametrize("kernel", KERNELS)
def test_extreme_weights(weights, kernel):
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor(weights), num_nodes=4)
    assert DiffusionPE(3, kernel=kernel)(graph).diffusion_pe.isfinite().all()
    assert DiffusionPE(level="pair", kernel=kernel)(graph).diffusion_pe.isfinite().all()


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: DiffusionPE(), GraphPEValueError, "level 'node' takes k, got k=None"),
        (lambda: DiffusionPE(3, level="pair"), GraphPEValueError, "level 'pair' takes no k, got k=3"),
        (lambda: DiffusionPE(3, level="graph"), GraphPEValueError, "level must be one of 'node', 'pair', got 'graph'"),
        (lambda: DiffusionPE(0), GraphPEValueError, "k must be from 1 to 4096, got 0"),
        (lambda: DiffusionPE(3, kernel="gdc"), GraphPEValueError, "kernel must be one of 'heat', 'p-step', 'ppr'"),
        (lambda: DiffusionPE(3, beta=0), GraphPEValueError, r"beta must be positive and finite, got 0\.0"),
        (lambda: DiffusionPE(3, beta="1"), GraphPETypeError, "beta must be a number, got '1'"),
        (lambda: DiffusionPE(3, steps=0), GraphPEValueError, "steps must be from 1 to 4096, got 0"),
        (lambda: DiffusionPE(3, steps=1.0), GraphPETypeError, r"steps must be an integer, got 1\.0"),
        (lambda: DiffusionPE(3, gamma=0.6), GraphPEValueError, r"gamma must be above 0 and at most 0\.5, got 0\.6"),
        (lambda: DiffusionPE(3, alpha=float("nan")), GraphPEValueError, "alpha must be finite, got nan"),
        (lambda: DiffusionPE(3, sign="flip"), GraphPEValueError, "sign must be one of"),
        (lambda: DiffusionPE(3, seed=-1), GraphPEValueError, "seed must be from 0"),
        (lambda: DiffusionPE(3, attr_name="y"), GraphPEValueError, "'y' is not a free name"),
    ],
)
def test_parameters_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_repr():
    text = (
        "DiffusionPE(k=None, kernel='ppr', level='pair', beta=1.0, steps=3, gamma=0.5, alpha=0.15, "
        "drop_zero_modes=True, sign='random', seed=0, attr_name='diffusion_pe')"
    )
    assert repr(DiffusionPE(kernel="ppr", level="pair")) == text
    assert repr(eval(text)) == text
