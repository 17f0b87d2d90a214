from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import degree

from graphpe import transforms as T
from graphpe.errors import GraphPEValueError


def test_against_pyg(random_graph):
    graphs = [random_graph(seed, undirected=True) for seed in range(8)]
    batch = Batch.from_data_list(graphs)
    out = T.DegreePE()(batch).degree_pe
    for column, end in ((0, 1), (1, 0)):
        assert torch.equal(out[:, column], degree(batch.edge_index[end], batch.num_nodes))


def test_weights_and_parallel_edges():
    edges = torch.tensor([[0, 0, 1, 2], [1, 1, 1, 2]])
    plain = Data(edge_index=edges, num_nodes=3)
    weighted = Data(edge_index=edges, num_nodes=3, edge_weight=torch.tensor([0.5, 2.0, 3.0, 0.0]))
    assert T.DegreePE()(plain).degree_pe.tolist() == [[0, 1], [2, 1], [1, 1]]
    assert T.DegreePE()(weighted).degree_pe.tolist() == [[0, 2.5], [5.5, 3], [0, 0]]
    counts = T.DegreePE(max_degree=1)(weighted).degree_pe
    assert counts.dtype == torch.int64
    assert counts.tolist() == [[0, 1], [1, 1], [0, 0]]


def test_huge_weights_are_refused():
    weight = torch.tensor([3e38, 3e38])
    with pytest.raises(GraphPEValueError, match=r"graph 0: degree_pe reaches 6e\+38"):
        T.DegreePE()(Data(edge_index=torch.tensor([[0, 1], [2, 2]]), num_nodes=3, edge_weight=weight))


def test_the_largest_degree_may_stand_without_its_name() -> None:
    assert repr(T.DegreePE(8)) == repr(T.DegreePE(max_degree=8))
