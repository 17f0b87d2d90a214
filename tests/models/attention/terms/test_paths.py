from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_networkx

from graphpe.models.attention.terms.paths import read_paths, sum_along
from graphpe.models.batches.nodes import node_to_graph


def mean_over_paths(graph: nx.DiGraph, value: np.ndarray, i: int, j: int, back: bool) -> float:
    paths = nx.all_shortest_paths(graph, j, i) if back else nx.all_shortest_paths(graph, i, j)
    return float(np.mean([sum(value[i, v] for v in path) for path in paths]))


def test_sums_are_means_over_all_shortest_paths() -> None:
    grid = torch.tensor(list(nx.grid_2d_graph(3, 3).edges)).view(-1, 4)
    grid = torch.stack([3 * grid[:, 0] + grid[:, 1], 3 * grid[:, 2] + grid[:, 3]])
    # Two edges beside each other, and a loop.
    edges = torch.cat([torch.randint(0, 8, (2, 14)), torch.tensor([[0, 0, 3], [1, 1, 3]])], 1)
    parts = [(grid, 9), (edges, 8), (edges[:, :0], 0), (edges[:, :0], 1)]
    batch = Batch.from_data_list([Data(edge_index=part, num_nodes=nodes) for part, nodes in parts])
    members = node_to_graph(batch)
    value = torch.randn(81 + 64 + 1, 2, dtype=torch.float64)
    for directed in (False, True):
        paths = read_paths(batch, members, "shortest", directed)
        found, row = sum_along(value, paths), 0
        for data in batch.to_data_list():
            graph, n = to_networkx(data, to_undirected=not directed), data.num_nodes
            own = value[row : row + n * n, 0].view(n, n).numpy()
            for i in range(n):
                for j in range(n):
                    joined = nx.has_path(graph, j, i)
                    assert bool(paths.joined[row + i * n + j]) == joined
                    expected = mean_over_paths(graph, own, i, j, directed) if joined else own[i, j]
                    assert abs(float(found[row + i * n + j, 0]) - expected) < 1e-6  # shares are float32
            row += n * n


def test_along_a_tree() -> None:
    ring = Data(edge_index=torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]]), num_nodes=5)
    paths = read_paths(ring, node_to_graph(ring), "tree", False)
    assert len(paths.pair) == 20  # of every pair one step before, of which there is one
    assert bool((paths.share == 1).all())
    hops = sum_along(torch.ones(25, 1), paths).view(5, 5) - 1
    assert sorted(hops.flatten().tolist()) == sorted(abs(i - j) for i in range(5) for j in range(5))


def test_gradients() -> None:
    data = Data(edge_index=torch.tensor([[0, 0, 1, 2, 3], [1, 2, 3, 3, 4]]), num_nodes=6)
    paths = read_paths(data, node_to_graph(data), "shortest", False)
    value = torch.randn(36, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sum_along(x, paths), (value,))


def test_exponentially_many_paths() -> None:
    """A chain of 60 squares has 2^60 shortest paths: shares of them are halves all the same."""
    squares = 60
    first = 3 * torch.arange(squares)
    edges = torch.cat([torch.stack([first + a, first + b]) for a, b in ((0, 1), (0, 2), (1, 3), (2, 3))], 1)
    data = Data(edge_index=edges, num_nodes=3 * squares + 1)
    paths = read_paths(data, node_to_graph(data), "shortest", True)
    hops = sum_along(torch.ones(data.num_nodes**2, 1, dtype=torch.float64), paths)[-data.num_nodes] - 1
    assert float(hops) == 2 * squares
