"""What architectures begin with: the sum of embeddings in the order of graphs, and edges with or without an encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models.layers.stem import embed_edges, read_nodes

# Nodes of two graphs, mixed.
BATCH = Data(
    x=torch.tensor([[1.0], [2.0], [3.0]]),
    edge_attr=torch.tensor([[5.0]]),
    edge_index=torch.tensor([[0], [2]]),
    batch=torch.tensor([1, 0, 1]),
)


class Reads(nn.Module):
    def __init__(self, key: str, rows: int | None = None) -> None:
        super().__init__()
        self.key = key
        self.rows = rows

    def forward(self, batch: Data) -> Tensor:
        return batch[self.key][: self.rows]


class Model(nn.Module):
    def __init__(self, *encodings: nn.Module) -> None:
        super().__init__()
        self.node_encoder = Reads("x")
        self.encodings = nn.ModuleList(encodings)


def test_nodes_and_edges_in_the_order_of_graphs() -> None:
    members, edge_index, x = read_nodes(Model(Reads("x"), Reads("x")), BATCH)
    assert members.graph.tolist() == [0, 1, 1]
    assert edge_index.tolist() == [[1], [2]]
    assert x.tolist() == [[6.0], [3.0], [9.0]]


def test_rows_are_counted() -> None:
    with pytest.raises(GraphPEValueError, match=r"encoding Reads gave \[2, 1\] for 3 nodes"):
        read_nodes(Model(Reads("x", rows=2)), BATCH)
    with pytest.raises(GraphPEValueError, match=r"edge_encoder Reads gave \[0, 1\] for 1 edges"):
        embed_edges(BATCH, Reads("edge_attr", rows=0))


def test_edges_without_an_encoder() -> None:
    plain = torch.tensor([7.0, 8.0])
    assert embed_edges(BATCH, None) is None
    assert embed_edges(BATCH, None, plain).tolist() == [[7.0, 8.0]]
    assert embed_edges(BATCH, Reads("edge_attr"), plain).tolist() == [[5.0]]
