from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.models.attention.biases.named_biases import graphormer_bias
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.layers.multi_head import FeedForward, MultiHeadAttention, all_pairs_of


def batch_of(*sizes: int) -> Batch:
    return Batch.from_data_list([
        Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=n, shortest_path=torch.zeros(n * n, 1).long())
        for n in sizes
    ])  # fmt: skip


def test_is_the_attention_of_torch() -> None:
    batch = batch_of(5, 1, 7)
    attention = MultiHeadAttention(8, 2)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([attention.query_key.weight, attention.value.weight])
    theirs.in_proj_bias.data = torch.cat([attention.query_key.bias, attention.value.bias])
    theirs.out_proj.load_state_dict(attention.out.state_dict())
    x = torch.randn(13, 8)
    expected = torch.cat([theirs(part[None], part[None], part[None])[0][0] for part in x.split([5, 1, 7])])
    found = attention(x, all_pairs_of(batch, node_to_graph(batch)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in attention.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_without_biases_pairs_are_not_listed() -> None:
    assert all_pairs_of(batch_of(3, 2), node_to_graph(batch_of(3, 2))).factors is None
    size = 50_000  # 2.5 billion pairs
    data = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=size)
    assert all_pairs_of(data, node_to_graph(data)).nodes.node.numel() == size


def test_biases_are_made_once() -> None:
    batch = batch_of(3, 2)
    pairs = all_pairs_of(batch, node_to_graph(batch), [graphormer_bias(2, 3)])
    assert pairs.factors is not None
    assert [tuple(block.shape) for block in pairs.factors.add] == [(1, 2, 2, 2), (1, 2, 3, 3)]


def test_dropout_is_of_training_only() -> None:
    batch = batch_of(6)
    attention = MultiHeadAttention(8, 2, dropout=0.5)
    pairs, x = all_pairs_of(batch, node_to_graph(batch)), torch.randn(6, 8)
    assert not torch.equal(attention(x, pairs), attention(x, pairs))
    attention.eval()
    assert torch.equal(attention(x, pairs), attention(x, pairs))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_feed_forward(activation: str) -> None:
    block, x = FeedForward(4, 9, activation=activation), torch.randn(3, 4)
    function = torch.relu if activation == "relu" else torch.nn.functional.gelu
    torch.testing.assert_close(block(x), block.contract(function(block.expand(x))))
