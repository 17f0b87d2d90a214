from __future__ import annotations

import torch
from torch_geometric.data import Batch, Data

from graphpe.transforms.compose import Compose
from graphpe.transforms.depth_pe import DepthPE
from graphpe.transforms.reachability_pe import ReachabilityPE
from graphpe.transforms.shortest_path_pe import ShortestPathPE


def test_agrees_with_distances(random_graph):
    batch = Batch.from_data_list([random_graph(seed) for seed in range(20)])
    transform = ReachabilityPE()
    out = Compose([transform, ShortestPathPE(undirected=False), DepthPE()])(batch)
    assert out.reachability.shape == (int(batch.ptr.diff().square().sum()), transform.columns)
    assert out.reachability.dtype == torch.int64
    assert torch.equal(out.reachability, (out.shortest_path >= 0).long())
    assert torch.equal(out.reachability, transform(batch).reachability)
    assert transform.vocabulary == 2


def test_reversal_transposes(random_graph):
    graph = random_graph(6)
    n = graph.num_nodes
    ahead, back = (
        ReachabilityPE()(Data(edge_index=edges, num_nodes=n)).reachability.view(n, n)
        for edges in (graph.edge_index, graph.edge_index.flip(0))
    )
    assert torch.equal(ahead, back.t())
    assert not torch.equal(ahead, back)
