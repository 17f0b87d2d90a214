from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch_geometric.data import Batch

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import all_pairs, edge_pairs
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.encoders import PairEmbedding, PairLinear

SIZES = [3, 0, 1, 5]


@pytest.fixture(name="batch")
def batch_fixture(make_batch: Callable[..., Batch]) -> Batch:
    batch = make_batch(SIZES)
    pairs = sum(n * n for n in SIZES)
    batch.rrwp = torch.randn(pairs, 4)
    batch.shortest_path = torch.randint(0, 5, (pairs, 1))
    return batch


@pytest.mark.parametrize("module", [PairLinear("rrwp", 4, 6, 2), PairEmbedding("shortest_path", 1, 5, 6, 2)])
def test_a_part_of_the_pairs_gets_what_it_gets_among_all(batch: Batch, module: torch.nn.Module) -> None:
    members = node_to_graph(batch)
    complete, edges = all_pairs(members, batch.edge_index), edge_pairs(members, batch.edge_index)
    features = module(batch, complete)
    assert features.shape == (35, 6)
    torch.testing.assert_close(module(batch, edges), features[edges.row])
    diagonal = (complete.source == complete.target).nonzero().squeeze(1)
    assert module.nodes(batch, diagonal).shape == (9, 2)


def test_values_are_what_the_formulas_say(batch: Batch) -> None:
    pairs = all_pairs(node_to_graph(batch), batch.edge_index)
    linear, embedding = PairLinear("rrwp", 4, 6), PairEmbedding("shortest_path", 1, 5, 6)
    torch.testing.assert_close(linear(batch, pairs), batch.rrwp @ linear.linear.weight.t())
    assert torch.equal(embedding(batch, pairs), embedding.table.weight[batch.shortest_path[:, 0]])
    assert linear.nodes(batch, torch.arange(2)) is None
    assert embedding.nodes(batch, torch.arange(2)) is None


def test_columns_of_integers_have_tables_of_their_own(batch: Batch) -> None:
    batch.path_types = torch.randint(0, 3, (35, 2))
    module = PairEmbedding("path_types", 2, 3, 6)
    first, second = module.table.weight.view(2, 3, 6)
    expected = first[batch.path_types[:, 0]] + second[batch.path_types[:, 1]]
    torch.testing.assert_close(module(batch, all_pairs(node_to_graph(batch), batch.edge_index)), expected)


def test_errors_name_what_to_do(batch: Batch) -> None:
    pairs = all_pairs(node_to_graph(batch), batch.edge_index)
    with pytest.raises(GraphPEValueError, match=r"T\.RelativeRandomWalkPE\(walk_length=5\)"):
        PairLinear("rrwp", 5, 6)(batch, pairs)
    del batch.rrwp
    with pytest.raises(GraphPEValueError, match=r"no `rrwp`: add T\.RelativeRandomWalkPE\(walk_length=4\)"):
        PairLinear("rrwp", 4, 6)(batch, pairs)
    with pytest.raises(GraphPEValueError, match="must be from 1 on"):
        PairLinear("rrwp", 0, 6)
    with pytest.raises(GraphPEValueError, match="must be from 1 on"):
        PairEmbedding("shortest_path", 1, 5, 6, 0)
    batch.shortest_path = batch.shortest_path.float()
    with pytest.raises(GraphPEValueError, match="use PairLinear"):
        PairEmbedding("shortest_path", 1, 5, 6)(batch, pairs)
