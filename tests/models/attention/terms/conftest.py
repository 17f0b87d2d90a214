"""Attention over a path graph, and the same by the formulas of sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

import graphpe.transforms as T
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.layers.multi_head import MultiHeadAttention, all_pairs_of

WIDTH, HEADS = 8, 2
C = WIDTH // HEADS


def path(nodes: int) -> Data:
    """Tokens of a sequence, an edge from each to the next, with directed hops."""
    place = torch.arange(nodes)
    data = Data(edge_index=torch.stack([place[:-1], place[1:]]), num_nodes=nodes)
    data.x = torch.randn(nodes, WIDTH, dtype=torch.float64)
    return T.ShortestPathPE(undirected=False)(data)


class Layer:
    """One layer over a path graph, its queries, keys and values `[H, n, C]`, and attention of given logits."""

    def __init__(self, data: Data, terms: Sequence[nn.Module] = (), positions: Sequence[nn.Module] = ()) -> None:
        self.layer = MultiHeadAttention(WIDTH, HEADS).double()
        self.data, self.n = data, data.num_nodes
        for module in (*terms, *positions):
            module.double()
            for parameter in module.parameters():
                nn.init.normal_(parameter)
            if hasattr(module, "apart"):  # tokens that no path leads from are not seen
                nn.init.constant_(module.apart, -torch.inf)
        query, key = self.layer.query_key(data.x).chunk(2, 1)
        self.q, self.k, self.v = (self.by_head(x) for x in (query, key, self.layer.value(data.x)))
        self.offset = torch.arange(self.n) - torch.arange(self.n)[:, None]  # j - i
        self.found = self.layer(data.x, all_pairs_of(data, node_to_graph(data), list(terms), positions=list(positions)))

    def by_head(self, x: Tensor) -> Tensor:
        return x.view(self.n, HEADS, C).transpose(0, 1)

    def expect(self, logit: Tensor, values: Callable[[Tensor], Tensor] | None = None) -> None:
        """Compare with softmax(logit) v; `values` adds what a weight `[H, n, n]` brings beside v."""
        weight = torch.softmax(logit, -1)
        out = weight @ self.v if values is None else weight @ self.v + values(weight)
        torch.testing.assert_close(self.found, self.layer.out(out.transpose(0, 1).reshape(self.n, WIDTH)))


@pytest.fixture
def sequence() -> type[Layer]:
    return Layer


@pytest.fixture
def make_path() -> Callable[[int], Data]:
    return path


def graphs() -> Batch:
    """Directed multigraphs with loops, parallel edges, several components; one node; none at all."""
    out = []
    for nodes in (7, 1, 0, 12):
        edges = torch.randint(0, max(nodes - 1, 1), (2, 2 * nodes))  # the last node of several has no edge
        data = Data(edge_index=edges, edge_attr=torch.randint(0, 3, (2 * nodes,)), num_nodes=nodes)
        data.x = torch.randn(nodes, 16, dtype=torch.float64)
        out.append(T.RandomWalkPE(3)(T.ShortestPathPE(undirected=False)(data)))
    return Batch.from_data_list(out)


@pytest.fixture
def batch() -> Batch:
    return graphs()
