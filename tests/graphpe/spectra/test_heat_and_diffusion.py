from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import scipy.linalg
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.heat_and_diffusion import (
    diffusion_coordinates,
    diffusion_kernel,
    diffusion_response,
    heat_kernel,
    heat_kernel_diagonal,
    heat_steps,
)

TIMES = [0.1, 1.0, 7.5]


def laplacian(graph: Data, normalization: str) -> np.ndarray:
    """By definition, edge by edge."""
    a = np.zeros((graph.num_nodes, graph.num_nodes))
    for e, (u, v) in enumerate(graph.edge_index.t().tolist()):
        a[u, v] = 1 if graph.edge_weight is None else a[u, v] + graph.edge_weight[e].item()
    s = np.maximum(a, a.T)
    degree = s.sum(1)
    if normalization == "comb":
        return np.diag(degree) - s
    occupied, safe = np.diag((degree > 0).astype(float)), np.where(degree > 0, degree, 1)
    if normalization == "rw":
        return occupied - s / safe[:, None]
    return occupied - s / np.sqrt(safe[:, None] * safe)


def blocks(values: torch.Tensor, packed: PackedGraphs) -> list[np.ndarray]:
    """One `[n, n, T]` for each graph."""
    values = values.view(packed.num_pairs, values.numel() // packed.num_pairs)
    parts = values.split(packed.sizes.square().tolist())
    return [
        part.unflatten(0, (n, n)).numpy() if n else np.zeros((0, 0, part.size(1)))
        for part, n in zip(parts, packed.sizes.tolist(), strict=True)
    ]


@pytest.fixture(params=[False, True])
def graphs(request, make_graphs) -> list[Data]:
    return make_graphs([0, 1, 2, 3, 9, 20, 1, 45], 5, weights=request.param)


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
def test_heat_kernels_are_exponentials(graphs, normalization):
    packed = PackedGraphs.from_data_list(graphs)
    kernel = heat_kernel(packed, TIMES, normalization)
    diagonal = heat_kernel_diagonal(packed, TIMES, normalization).split(packed.sizes.tolist())
    for got, own, graph in zip(blocks(kernel, packed), diagonal, graphs, strict=True):
        for t, time in enumerate(TIMES):
            if graph.num_nodes:
                expected = scipy.linalg.expm(-time * laplacian(graph, normalization))
                np.testing.assert_allclose(got[:, :, t], expected, atol=1e-12)
                np.testing.assert_allclose(own[:, t], np.diag(expected), atol=1e-12)
        if normalization != "sym":
            np.testing.assert_allclose(got.sum(1), 1, atol=1e-12)


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
def test_without_zero_modes_heat_dies_out(graphs, normalization):
    packed = PackedGraphs.from_data_list(graphs)
    whole = heat_kernel(packed, [0.7], normalization)
    stationary = heat_kernel(packed, [1e9], normalization)
    rest = heat_kernel(packed, [0.7], normalization, drop_zero_modes=True)
    torch.testing.assert_close(rest, whole - stationary, atol=1e-10, rtol=0)
    own = heat_kernel_diagonal(packed, [0.7], normalization, drop_zero_modes=True)
    expected = [np.diagonal(each[:, :, 0]) for each in blocks(rest, packed)]
    np.testing.assert_allclose(own[:, 0], np.concatenate(expected), atol=1e-12)


def test_diagonals_from_walks_and_from_the_spectrum_agree(graphs):
    packed = PackedGraphs.from_data_list(graphs)
    times = [0.3, 29.0]
    for drop in (False, True):
        from_walks = heat_kernel_diagonal(packed, times, "sym", drop)
        from_spectrum = heat_kernel_diagonal(packed, [*times, 31.0], "sym", drop)
        assert heat_steps(times, "sym") < 100
        assert heat_steps([*times, 31.0], "sym") is None
        torch.testing.assert_close(from_walks, from_spectrum[:, :2], atol=1e-12, rtol=0)


def test_components_are_apart():
    # Degrees 38 orders of magnitude apart do not turn rounding into heat.
    edges = torch.tensor([[0, 1, 3, 4], [1, 2, 4, 5]])
    graph = Data(edge_index=edges, edge_weight=torch.tensor([1e-38, 1e-38, 1e38, 1e38]), num_nodes=7)
    packed = PackedGraphs.from_data_list([graph])
    label = torch.tensor([0, 0, 0, 1, 1, 1, 2])
    apart = (label[:, None] != label).flatten()
    for normalization in ("sym", "comb", "rw"):
        kernel = heat_kernel(packed, TIMES, normalization)
        assert not kernel[apart].any()
        if normalization == "rw":
            np.testing.assert_allclose(kernel.view(7, 7, -1).sum(1), 1, atol=1e-12)
    assert not diffusion_kernel(packed, response("heat"))[apart].any()


def test_closed_forms():
    n, t = 9, 0.8
    complete = PackedGraphs.from_networkx([nx.complete_graph(n)])
    own = heat_kernel_diagonal(complete, [t], "comb")
    np.testing.assert_allclose(own[:, 0], 1 / n + (1 - 1 / n) * np.exp(-n * t), rtol=1e-12)
    torus = PackedGraphs.from_networkx([nx.cycle_graph(n)])
    waves = np.exp(-t * (1 - np.cos(2 * np.pi * np.arange(n) / n)))
    np.testing.assert_allclose(heat_kernel_diagonal(torus, [t], "sym")[:, 0], waves.mean(), rtol=1e-12)


RESPONSES = {
    "heat": lambda lap, t: scipy.linalg.expm(-1.3 * lap),
    "p-step": lambda lap, t: np.linalg.matrix_power(np.eye(len(lap)) - 0.4 * lap, 3),
    "ppr": lambda lap, t: 0.2 * np.linalg.inv(np.eye(len(lap)) - 0.8 * t),
}


def response(kernel: str):
    return diffusion_response(kernel, beta=1.3, steps=3, gamma=0.4, alpha=0.2)


@pytest.mark.parametrize("kernel", RESPONSES)
def test_diffusion_kernels_by_definition(graphs, kernel):
    packed = PackedGraphs.from_data_list(graphs)
    ours = diffusion_kernel(packed, response(kernel))
    for got, graph in zip(blocks(ours, packed), graphs, strict=True):
        if graph.num_nodes:
            lap = laplacian(graph, "sym")
            np.testing.assert_allclose(got[:, :, 0], RESPONSES[kernel](lap, np.eye(len(lap)) - lap), atol=1e-12)


@pytest.mark.parametrize("kernel", RESPONSES)
def test_coordinates_span_the_leading_eigenspaces(kernel):
    # A graph without repeated eigenvalues: the leading eigenvectors of K itself, its largest one left out.
    graph = nx.gnp_random_graph(24, 0.2, seed=3)
    graph = graph.subgraph(max(nx.connected_components(graph), key=len))
    packed = PackedGraphs.from_networkx([nx.convert_node_labels_to_integers(graph)])
    n, k = packed.num_nodes, 6
    matrix = diffusion_kernel(packed, response(kernel)).view(n, n).numpy()
    values, vectors = np.linalg.eigh(matrix)
    assert np.diff(values).min() > 1e-6
    values, vectors = values[::-1][1 : k + 1], vectors[:, ::-1][:, 1 : k + 1]
    ours = diffusion_coordinates(packed, k, response(kernel))
    np.testing.assert_allclose(ours.values[0], values, atol=1e-10)
    for j in range(k):
        mine, theirs = ours.vectors[:, j].numpy(), np.sqrt(values[j]) * vectors[:, j]
        np.testing.assert_allclose(mine * np.sign(mine @ theirs), theirs, atol=1e-8)


@pytest.mark.parametrize("kernel", RESPONSES)
def test_inner_products_are_the_kernel(graphs, kernel):
    packed = PackedGraphs.from_data_list(graphs)
    vectors, values, mask = diffusion_coordinates(packed, 45, response(kernel))
    assert (values[:, 1:] <= values[:, :-1] + 1e-12).all()
    assert not values[~mask].any()
    stationary = heat_kernel(packed, [1e9], "sym")[:, 0]
    whole = diffusion_kernel(packed, response(kernel))
    all_vectors = diffusion_coordinates(packed, 45, response(kernel), drop_zero_modes=False).vectors
    for found, expected in ((vectors, whole - stationary), (all_vectors, whole)):
        products = [found[a:b] @ found[a:b].t() for a, b in pairwise(packed.ptr.tolist())]
        torch.testing.assert_close(torch.cat([each.flatten() for each in products]), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("times", [[0.0], [1.0, -1.0], [float("nan")], [float("inf")]])
def test_wrong_times(times, make_graphs):
    packed = PackedGraphs.from_data_list(make_graphs([3], 0))
    for function in (heat_kernel, heat_kernel_diagonal):
        with pytest.raises(GraphPEValueError, match="times must be positive and finite"):
            function(packed, times)
        with pytest.raises(GraphPEValueError, match="times is empty"):
            function(packed, [])
        with pytest.raises(GraphPEValueError, match="normalization must be one of"):
            function(packed, [1.0], "none")


def test_wrong_weights():
    graph = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    packed = PackedGraphs.from_data_list([graph])
    for call in (
        lambda: heat_kernel(packed, [1.0]),
        lambda: heat_kernel_diagonal(packed, [1.0]),
        lambda: diffusion_kernel(packed, np.exp),
        lambda: diffusion_coordinates(packed, 2, np.exp),
    ):
        with pytest.raises(GraphPEValueError, match="edge_weight holds -1"):
            call()


def test_hubs_need_more_steps_than_there_is_memory_for_which_is_said_before_any_is_taken() -> None:
    star = PackedGraphs.from_networkx([nx.star_graph(60_000)])  # the largest degree is the rate of the walk
    with pytest.raises(
        GraphPEValueError, match=r"steps of heat on a graph of 60,001 nodes would take .* and \d+\.\d GB"
    ):
        heat_kernel_diagonal(star, (4.0,), "comb")
