"""Numbers of relations: the same attention as with rows of pairs, on every path."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

import graphpe.models as M
import graphpe.transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models.attention import all_pairs, edge_pairs, pad_factors, padded_nodes
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.attention.biases.pair_factors import PairFactors, RelationBias, combine
from graphpe.models.attention.softmax.softmax import softmax_attention, softmax_attention_reference
from graphpe.models.batches.nodes import node_to_graph

HEADS, RELATIONS = 2, 5


def _graphs() -> Batch:
    graphs = [Data(edge_index=torch.randint(0, n, (2, n)), num_nodes=n) for n in (4, 1, 9)]
    return Batch.from_data_list([T.ShortestPathPE(max_distance=3)(graph) for graph in graphs])


@pytest.mark.parametrize("path", ["padded", "list", "edges", "reference"])
def test_every_path(path: str) -> None:
    batch = _graphs()
    members = node_to_graph(batch)
    pairs = (edge_pairs if path == "edges" else all_pairs)(members, batch.edge_index)
    rows = torch.randn(3, 14, HEADS * 4, dtype=torch.float64, requires_grad=True)
    tables = torch.randn(3, RELATIONS, HEADS, dtype=torch.float64, requires_grad=True)
    kinds = torch.randint(0, RELATIONS, (2, pairs.num_pairs), dtype=torch.int32)
    known = RelationBias(kinds[0], tables[0], tables[1]), RelationBias(kinds[1], multiply=tables[2])
    one, other = kinds.long()
    dense = PairFactors(tables[0][one], tables[1][one] * tables[2][other])
    expected = softmax_attention_reference(*rows, pairs, dense, heads=HEADS)
    factors = combine([PairFactors(relations=known[:1]), PairFactors(relations=known[1:])])
    assert factors.with_rows(2) is factors
    assert factors.with_rows(1).relations == known[:1]
    if path == "padded":
        nodes = padded_nodes(members)
        found = softmax_attention(*rows, nodes, pad_factors(factors, pairs, nodes), heads=HEADS)
    else:
        function = softmax_attention_reference if path == "reference" else softmax_attention
        found = function(*rows, pairs, factors, heads=HEADS)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(x.sin().sum(), (rows, tables), retain_graph=True) for x in (found, expected))
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize(("head", "mode"), [*product(("table", "t5"), ("add", "multiply", "both"))])
@pytest.mark.parametrize("randomized", [0, 12])
def test_a_bias_as_numbers_of_relations(head: str, mode: str, randomized: int) -> None:
    batch = _graphs()
    members = node_to_graph(batch)
    bias = PairBias("shortest_path", HEADS, head=head, mode=mode, size=6, unreachable=4, randomized=randomized).eval()
    for parameter in bias.parameters():
        nn.init.normal_(parameter)
    for pairs in (all_pairs(members, batch.edge_index), edge_pairs(members, batch.edge_index)):
        expected, found = bias(batch, pairs), bias.of_relations(batch, pairs)
        assert found.add is None
        assert found.multiply is None
        rows = found.with_rows()
        for x, y in ((rows.add, expected.add), (rows.multiply, expected.multiply)):
            assert (x is None) == (y is None)
            if x is not None and y is not None:
                assert torch.equal(x, y)


def test_what_has_no_table_says_so() -> None:
    batch = _graphs()
    bias = PairBias("shortest_path", HEADS, head="alibi")
    assert not bias.of_few
    with pytest.raises(GraphPEValueError, match="no table of numbers"):
        bias.of_relations(batch, all_pairs(node_to_graph(batch), batch.edge_index))
    with pytest.raises(GraphPEValueError, match="heads"):
        combine([M.PairFactors(torch.zeros(4, 2)), M.PairFactors(torch.zeros(4, 3))])
