from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.distances.edge_paths import edge_path_frequencies
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

KINDS = (3, 2)


def by_listing(graph: Data, steps: int, undirected: bool) -> torch.Tensor:
    """All shortest paths, one by one."""
    n, edges = graph.num_nodes, graph.edge_index.t().tolist()
    weight = [1.0] * len(edges) if graph.edge_weight is None else graph.edge_weight.tolist()
    walkable: dict[tuple[int, int], list[int]] = {}
    for e, (u, v) in enumerate(edges):
        if weight[e]:
            for pair in {(u, v), (v, u)} if undirected else {(u, v)}:
                walkable.setdefault(pair, []).append(e)
    simple = nx.DiGraph(walkable.keys())
    simple.add_nodes_from(range(n))
    out = torch.zeros(n, n, steps, sum(KINDS), dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            if i == j or not nx.has_path(simple, i, j):
                continue
            paths = list(nx.all_shortest_paths(simple, i, j))
            for path in paths:
                for t, pair in enumerate(list(pairwise(path))[:steps]):
                    for e in walkable[pair]:
                        first, second = graph.types[e].tolist()
                        share = 1 / len(paths) / len(walkable[pair])
                        out[i, j, t, first] += share
                        out[i, j, t, KINDS[0] + second] += share
    return out.flatten(2).flatten(0, 1)


@pytest.fixture(params=[False, True])
def graphs(request, make_graphs) -> list[Data]:
    graphs = make_graphs([0, 1, 2, 5, 9, 16, 24], 4, weights=request.param)
    rng = np.random.default_rng(0)
    for graph in graphs:
        m = graph.num_edges
        graph.types = torch.from_numpy(np.stack([rng.integers(0, size, m) for size in KINDS], axis=1))
        if graph.edge_weight is not None:
            graph.edge_weight = (graph.edge_weight > 0.2).double()
    return graphs


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_frequencies_by_listing_all_paths(graphs, undirected, steps):
    packed = PackedGraphs.from_data_list(graphs, levels={"types": "edge"})
    ours = edge_path_frequencies(packed, packed.edge["types"], KINDS, steps, undirected)
    expected = torch.cat([by_listing(graph, steps, undirected) for graph in graphs])
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, expected.float(), atol=1e-6, rtol=1e-6)


def test_every_step_is_a_distribution(graphs):
    packed = PackedGraphs.from_data_list(graphs, levels={"types": "edge"})
    ours = edge_path_frequencies(packed, packed.edge["types"], KINDS, 30).view(packed.num_pairs, 30, -1)
    totals = ours[:, :, : KINDS[0]].sum(2)
    assert ((totals < 1e-6) | ((totals - 1).abs() < 1e-5)).all()
    torch.testing.assert_close(ours[:, :, KINDS[0] :].sum(2), totals)


def test_grid_paths_are_binomial():
    # From one corner of a grid, horizontal (0) and vertical (1) steps are exchangeable.
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(4, 3))
    edges = torch.tensor(list(grid.edges)).t()
    types = (edges[1] - edges[0] == 3).long()
    packed = PackedGraphs.from_data_list([Data(edge_index=edges, num_nodes=12)])
    ours = edge_path_frequencies(packed, types, [2], 5).view(12, 12, 5, 2)
    torch.testing.assert_close(ours[0, 11], torch.tensor([[2 / 5, 3 / 5]]).expand(5, 2))


def test_more_paths_than_a_float_can_count():
    width, layers = 6, 420
    u, v = np.meshgrid(np.arange(width), np.arange(width))
    hop = np.stack([u.ravel(), v.ravel() + width])
    edges = torch.from_numpy(np.concatenate([hop + layer * width for layer in range(layers - 1)], axis=1))
    n = width * layers
    packed = PackedGraphs.from_data_list([Data(edge_index=edges, num_nodes=n)])
    ours = edge_path_frequencies(packed, torch.zeros(edges.shape[1], dtype=torch.int64), [1], 1, undirected=False)
    layer = torch.arange(n) // width
    torch.testing.assert_close(ours.view(n, n), (layer[:, None] < layer).float())


@pytest.mark.parametrize(
    ("types", "error", "message"),
    [
        (torch.zeros(2), GraphPETypeError, "types of edges must be integers, got torch.float32"),
        (torch.zeros(2, 3).long(), GraphPEValueError, r"are \[2, 3\], but num_types \(3, 2\) needs \[2, 2\]"),
        (torch.zeros(2).long(), GraphPEValueError, r"are \[2\], but num_types"),
        (torch.tensor([[0, 0], [1, 2]]), GraphPEValueError, "column 1 of the types of edges holds 2, but has 2 types"),
        (torch.tensor([[0, 0], [-1, 1]]), GraphPEValueError, "column 0 of the types of edges holds -1"),
    ],
)
def test_wrong_types(types, error, message):
    packed = PackedGraphs.from_data_list([Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)])
    with pytest.raises(error, match=message):
        edge_path_frequencies(packed, types, KINDS, 2)


def test_wrong_weights():
    graph = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight holds -1"):
        edge_path_frequencies(PackedGraphs.from_data_list([graph]), torch.tensor([0]), [1], 2)
