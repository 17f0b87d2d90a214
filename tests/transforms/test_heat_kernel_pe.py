from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra import laplacian_eigenpairs as spectral
from graphpe.spectra.heat_and_diffusion import heat_kernel, heat_kernel_diagonal
from graphpe.transforms.heat_kernel_pe import HeatKernelPE


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
@pytest.mark.parametrize("drop", [False, True])
def test_values(random_graph, normalization, drop):
    graphs = [random_graph(seed, weighted=True) for seed in range(9)]
    packed = PackedGraphs.from_data_list(graphs)
    node = HeatKernelPE([0.5, 2], normalization=normalization, drop_zero_modes=drop)
    pair = HeatKernelPE([0.5, 2], level="pair", normalization=normalization, drop_zero_modes=drop)
    own, kernel = node(packed).node["heat_kernel_pe"], pair(packed).pair["heat_kernel_pe"]
    assert own.dtype == kernel.dtype == torch.float32
    assert own.shape == (packed.num_nodes, node.columns)
    assert kernel.shape == (packed.num_pairs, pair.columns)
    assert torch.equal(own, heat_kernel_diagonal(packed, [0.5, 2], normalization, drop).float())
    assert torch.equal(kernel, heat_kernel(packed, [0.5, 2], normalization, drop).float())
    assert (node.keys, node.pair_keys) == (["heat_kernel_pe"], [])
    assert (pair.keys, pair.pair_keys) == ([], ["heat_kernel_pe"])
    batch = Batch.from_data_list(graphs)
    for transform in (node, pair):
        singles = [transform(graph).heat_kernel_pe for graph in graphs]
        torch.testing.assert_close(transform(batch).heat_kernel_pe, torch.cat(singles), atol=1e-6, rtol=1e-5)


def test_values_of_the_released_code(random_graph):
    # HKdiagSE: sum of exp(-t lambda) phi^2 over the eigenvalues of D - A above 1e-8.
    graph = random_graph(5, undirected=True)
    n = graph.num_nodes
    a = np.zeros((n, n))
    a[tuple(graph.edge_index.numpy())] = 1
    values, vectors = np.linalg.eigh(np.diag(a.sum(1)) - a)
    times = np.arange(1, 6)
    kept = values > 1e-8
    expected = (vectors[:, kept] ** 2) @ np.exp(-values[kept, None] * times)
    ours = HeatKernelPE(times.tolist(), normalization="comb", drop_zero_modes=True)(graph).heat_kernel_pe
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_compose_decomposes_once(random_graph, monkeypatch):
    solved = []
    for name in ("all_eigenpairs", "lowest_eigenpairs"):
        real = getattr(spectral, name)
        monkeypatch.setattr(spectral, name, lambda *args, real=real, **kw: solved.append(1) or real(*args, **kw))
    graph = random_graph(3)
    both = T.Compose([HeatKernelPE([1.0]), T.LaplacianPE(3), HeatKernelPE([2.0], level="pair", attr_name="pair_pe")])
    out = both(graph)
    assert len(solved) == 1
    torch.testing.assert_close(out.pair_pe, HeatKernelPE([2.0], level="pair")(graph).heat_kernel_pe)


@pytest.mark.parametrize("weights", [[1e-38, 1e38], [1e38, 1e38], [1e-45, 1.0]])
@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
def test_extreme_weights(weights, normalization):
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor(weights), num_nodes=4)
    for level in ("node", "pair"):
        out = HeatKernelPE([1e-3, 1e30], level=level, normalization=normalization)(graph).heat_kernel_pe
        assert ((out >= 0) & (out <= 1)).all()


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: HeatKernelPE(3.0), GraphPETypeError, r"times must be a list of numbers, got 3\.0"),
        (lambda: HeatKernelPE("12"), GraphPETypeError, "times must be a list of numbers, got '12'"),
        (lambda: HeatKernelPE([]), GraphPEValueError, "times is empty"),
        (lambda: HeatKernelPE([1, "2"]), GraphPETypeError, "times must be a number, got '2'"),
        (lambda: HeatKernelPE([True]), GraphPETypeError, "times must be a number, got True"),
        (lambda: HeatKernelPE([0.0]), GraphPEValueError, "times must be positive and finite"),
        (lambda: HeatKernelPE(range(1, 5000)), GraphPEValueError, "the number of times must be from 1 to 4096"),
        (lambda: HeatKernelPE([1], level="edge"), GraphPEValueError, "level must be one of 'node', 'pair', got 'edge'"),
        (lambda: HeatKernelPE([1], normalization=None), GraphPEValueError, "normalization must be one of"),
        (lambda: HeatKernelPE([1], drop_zero_modes=1), GraphPETypeError, "drop_zero_modes must be True or False"),
        (lambda: HeatKernelPE([1], attr_name="y"), GraphPEValueError, "'y' is not a free name"),
    ],
)
def test_parameters_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_repr():
    text = (
        "HeatKernelPE(times=(1.0, 0.5), level='node', normalization='sym', drop_zero_modes=False, "
        "estimate=None, seed=0, attr_name='heat_kernel_pe')"
    )
    assert repr(HeatKernelPE([1, np.float64(0.5)])) == text
    assert repr(eval(text)) == text
