from __future__ import annotations

import numpy as np
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling.neighbors import NeighborSampler
from graphpe.sampling.subgraph import Induced, cut_out


def encoded_graph() -> PackedGraphs:
    nodes, edges = 12, 40
    data = Data(
        edge_index=torch.randint(0, nodes, (2, edges)),
        edge_attr=torch.randn(edges, 2),
        edge_weight=torch.rand(edges),
        x=torch.randn(nodes, 3),
        y=torch.arange(nodes),
    )
    data = T.Compose([T.LaplacianPE(3), T.ShortestPathPE(4)])(data)
    return PackedGraphs.from_data(data)


def test_values_of_all_levels_travel() -> None:
    graph = encoded_graph()
    part = NeighborSampler(graph, (3, 2)).sample(np.array([5, 2, 9]), np.random.default_rng(0))
    cut = cut_out(graph, part)
    assert cut.node["y"][:3].flatten().tolist() == [5, 2, 9]
    nodes = torch.from_numpy(part.nodes)
    for key, value in graph.node.items():
        assert torch.equal(cut.node[key], value[nodes])
    edges = torch.from_numpy(part.edges)
    assert torch.equal(cut.edge["edge_attr"], graph.edge["edge_attr"][edges])
    assert graph.edge_weight is not None
    assert torch.equal(cut.edge_weight, graph.edge_weight[edges])  # type: ignore[arg-type]
    n, m = graph.num_nodes, cut.num_nodes
    (key,) = graph.pair
    square = graph.pair[key].reshape(n, n, -1)
    assert torch.equal(cut.pair[key].reshape(m, m, -1), square[nodes][:, nodes])
    assert torch.equal(cut.graph["laplacian_eigenvalues"], graph.graph["laplacian_eigenvalues"])


def test_induced_parts_are_those_of_pyg() -> None:
    graph = encoded_graph()
    data = Data(edge_index=graph.edge_index, num_nodes=12, number=torch.arange(40))
    induced = Induced(graph)
    for count in (0, 1, 5, 12):
        nodes = np.sort(np.random.default_rng(count).permutation(12)[:count])
        theirs = data.subgraph(torch.from_numpy(nodes))
        part = induced.on(nodes)
        order = np.argsort(part.edges)
        assert part.edges[order].tolist() == theirs.number.tolist()
        assert np.array_equal(part.edge_index[:, order], theirs.edge_index.numpy())
