from __future__ import annotations

import pytest
import torch

import graphpe.models as M
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.layers.multi_head import all_pairs_of


def test_is_aft_full_on_a_sequence(make_path) -> None:
    data, n = make_path(9), 9
    data.shortest_path = (torch.arange(n) - torch.arange(n)[:, None]).abs().view(-1, 1)
    layer = M.AttentionFree(8, 2).double()
    bias = PairBias("shortest_path", 2, size=5).double()
    torch.nn.init.normal_(bias.add.function.table.weight)
    members = node_to_graph(data)
    query, key, value = layer.query_key_value(data.x).chunk(3, 1)
    for biases in ([], [bias]):
        found = layer(data.x, all_pairs_of(data, members, biases))
        w = (
            bias.add.function.table.weight[data.shortest_path.view(n, n).clamp(max=4)]
            if biases
            else torch.zeros(n, n, 2)
        )
        w = w.repeat_interleave(4, dim=2)  # one number for all channels of a head
        weight = torch.exp(key.unsqueeze(0) + w)  # query, key, channel
        expected = torch.sigmoid(query) * (weight * value).sum(1) / weight.sum(1)
        torch.testing.assert_close(found, layer.out(expected))


def test_large_keys_and_a_batch_of_graphs(batch) -> None:
    bias = PairBias("shortest_path", 4)
    torch.nn.init.normal_(bias.add.function.table.weight)
    model = M.GPS(width=16, layers=2, heads=4, attention="aft", local="none", norm="layer",
                  node_encoder=M.LinearNodes(16, 16), pair_encodings=[bias]).double()  # fmt: skip
    with torch.no_grad():
        model.layers[0].attention.query_key_value.weight.mul_(1e3)
    out = model(batch)
    alone = torch.cat([model(data) for data in batch.to_data_list() if data.num_nodes])
    torch.testing.assert_close(out[[0, 1, 3]], alone)
    out.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_takes_biases_alone() -> None:
    parts = {"width": 8, "heads": 2, "attention": "aft", "node_encoder": M.LinearNodes(8, 8)}
    for more in ({"positions": [M.LogLength(2, 8)]}, {"pair_encodings": [M.PathCounts(2, 8)]}):
        with pytest.raises(GraphPEValueError, match="PairBias modules alone"):
            M.GPS(**parts, **more)
