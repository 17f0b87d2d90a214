from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.attention.terms import products
from graphpe.models.attention.terms.products import pair_products
from graphpe.models.batches.nodes import node_to_graph


def test_products_and_their_gradients(monkeypatch) -> None:
    monkeypatch.setitem(products._BLOCK_BYTES, "cpu", 5 * 6 * 8)  # five pairs at once
    data = Data(edge_index=torch.tensor([[0, 1, 2, 0], [1, 2, 0, 0]]), num_nodes=4)
    members = node_to_graph(data)
    q, k = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True).unbind()
    table = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    check(q, k, table, all_pairs(members, data.edge_index))
    check(q, k, table, edge_pairs(members, data.edge_index))


def check(q: Tensor, k: Tensor, table: Tensor, pairs: PairSet) -> None:
    relation = torch.randint(0, 3, (pairs.num_pairs,))
    found = pair_products(q, k, pairs, relation, table)
    torch.testing.assert_close(found, (q[pairs.target] * k[pairs.source] * table[relation]).sum(-1))
    torch.testing.assert_close(pair_products(q, k, pairs), (q[pairs.target] * k[pairs.source]).sum(-1))
    assert torch.autograd.gradcheck(lambda *x: pair_products(*x[:2], pairs, relation, x[2]), (q, k, table))
    assert torch.autograd.gradcheck(lambda *x: pair_products(*x, pairs), (q, k))
