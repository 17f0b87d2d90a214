from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData

from graphpe.errors import GraphPETypeError
from graphpe.models.layers.nodes import node_to_graph


def test_batch(make_batch) -> None:
    members = node_to_graph(make_batch([3, 0, 2]))
    assert members.graph.tolist() == [0, 0, 0, 2, 2]
    assert members.sizes.tolist() == [3, 0, 2]
    assert members.num_graphs == 3
    assert members.max_size == 3


def test_data_is_one_graph() -> None:
    members = node_to_graph(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=4))
    assert members.graph.tolist() == [0, 0, 0, 0]
    assert members.ptr.tolist() == [0, 4]
    assert (members.max_size, members.num_pairs) == (4, 16)


def test_batch_vector_without_ptr(make_batch) -> None:
    batch = make_batch([2, 3])
    del batch.ptr
    assert node_to_graph(batch).ptr.tolist() == [0, 2, 5]


def test_max_size_that_pyg_collated_is_not_used() -> None:
    graph = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=2, max_size=2)
    assert node_to_graph(Batch.from_data_list([graph, graph])).max_size is None


def test_hetero_data_is_refused() -> None:
    with pytest.raises(GraphPETypeError, match="to_homogeneous"):
        node_to_graph(HeteroData())
