from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from graphpe.benchmarks.measure.peers.relational import (
    Relational,
    RelationalAttention,
    RelationalLayer,
    pad_nodes,
    pad_pairs,
)


def test_parameters_of_a_layer() -> None:
    layer = RelationalLayer(64, 8, node_hidden=32, edge_hidden_1=16, edge_hidden_2=8)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 40_120


def test_values_of_the_released_layer(golden: Path) -> None:
    with np.load(golden / "relational_layer.npz") as file:
        values = {key.removeprefix("param:rt_aggr/"): torch.from_numpy(file[key]) for key in file.files}
    layer = RelationalLayer(16, 4, node_hidden=24, edge_hidden_1=12, edge_hidden_2=8)
    attention = layer.attention
    sides = (attention.node_query, attention.node_key, attention.node_value)
    sides += (attention.pair_query, attention.pair_key, attention.pair_value)
    places: dict[str, nn.Module] = {}
    for number, linear in enumerate(sides):
        places["rt_attention_layer/linear" + (f"_{number}" if number else "")] = linear
    linears = (layer.out, layer.node_1, layer.node_2, layer.edge_1, layer.edge_2, layer.edge_3, layer.edge_4)
    for number, linear in enumerate(linears):
        places["linear" + (f"_{number}" if number else "")] = linear
    norms = (layer.node_norm_1, layer.node_norm_2, layer.edge_norm_1, layer.edge_norm_2)
    for number, norm in enumerate(norms):
        places["layer_norm" + (f"_{number}" if number else "")] = norm
    with torch.no_grad():
        for name, module in places.items():
            weight, bias = ("scale", "offset") if isinstance(module, nn.LayerNorm) else ("w", "b")
            module.weight.copy_(values[f"{name}/{weight}"].t())
            module.bias.copy_(values[f"{name}/{bias}"])
    nodes, pairs = layer(values["nodes"], values["pairs"], torch.ones(2, 6, dtype=torch.bool))
    torch.testing.assert_close(nodes, values["nodes_out"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pairs, values["pairs_out"], atol=1e-5, rtol=1e-5)


def test_attention_is_what_the_formulas_say_for_each_pair() -> None:
    attention = RelationalAttention(6, 2).double()
    nodes, pairs = torch.randn(1, 3, 6, dtype=torch.double), torch.randn(1, 3, 3, 6, dtype=torch.double)
    out = attention(nodes, pairs, torch.tensor([[True, True, False]]))[0]
    query, key, value = attention.node_query, attention.node_key, attention.node_value
    for i in range(3):
        for part in (slice(0, 3), slice(3, 6)):
            q = [(query(nodes[0, i]) + attention.pair_query(pairs[0, i, j]))[part] for j in range(2)]
            k = [(key(nodes[0, j]) + attention.pair_key(pairs[0, i, j]))[part] for j in range(2)]
            v = [(value(nodes[0, j]) + attention.pair_value(pairs[0, i, j]))[part] for j in range(2)]
            weight = torch.stack([a @ b / 3**0.5 for a, b in zip(q, k, strict=True)]).softmax(0)
            torch.testing.assert_close(out[i, part], weight[0] * v[0] + weight[1] * v[1])


def test_padding_puts_rows_where_they_belong() -> None:
    ptr = torch.tensor([0, 2, 2, 3])
    nodes, mask = pad_nodes(torch.tensor([1, 2, 3]), ptr)
    assert nodes.tolist() == [[1, 2], [0, 0], [3, 0]]
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
    assert pad_pairs(torch.arange(1, 6), ptr).tolist() == [[[1, 2], [3, 4]], [[0, 0], [0, 0]], [[5, 0], [0, 0]]]


def test_gradients_reach_every_parameter_and_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = Relational(3, width=8, heads=2, layers=2)
    node_type, features = torch.randint(0, 9, (5,)), torch.rand(13, 3)
    ptr = torch.tensor([0, 2, 5])
    nodes, mask = pad_nodes(node_type, ptr)
    out = model(nodes, pad_pairs(features, ptr), mask)
    out.sum().backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert all(name.startswith(("layers.1.edge_",)) for name in unused)  # pairs that no layer reads
    assert len(unused) == 12
    alone = model(node_type[None, :2], features[None, :4].view(1, 2, 2, 3), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(alone, out[:1])
