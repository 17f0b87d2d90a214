from __future__ import annotations

import pytest
import torch
from torch import nn

from graphpe.errors import GraphPEValueError
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.layers.heads import MLPReadout, SubtokenHead, pool


@pytest.mark.parametrize("sizes", [[3, 0, 1, 5], [0], [4]])
def test_pool_equals_a_loop_over_graphs(make_batch, sizes: list[int]) -> None:
    members = node_to_graph(make_batch(sizes))
    x = torch.randn(sum(sizes), 4) - 3  # negative maxima: a maximum with 0 would show
    for readout, function in (("sum", lambda v: v.sum(0)), ("mean", lambda v: v.mean(0)), ("max", lambda v: v.amax(0))):
        expected = torch.stack([function(part) if len(part) else torch.zeros(4) for part in x.split(sizes)])
        torch.testing.assert_close(pool(x, members, readout), expected)
    assert pool(x, members, "none") is x


def test_pool_of_low_precision_sums_in_float32(make_batch) -> None:
    members = node_to_graph(make_batch([3000]))
    out = pool(torch.full((3000, 1), 1.0, dtype=torch.bfloat16), members, "sum")
    assert out.item() == 3000


def test_mlp_readout_has_the_published_layers() -> None:
    head = MLPReadout(64, 1)
    assert sum(p.numel() for p in head.parameters()) == 2625
    weights = [(layer.weight, layer.bias) for layer in (*head.hidden, head.out)]
    x = torch.randn(3, 64)
    y = x
    for i, (weight, bias) in enumerate(weights):
        y = y @ weight.t() + bias
        y = y.clamp(min=0) if i < 2 else y
    torch.testing.assert_close(head(x), y)
    assert [tuple(weight.shape) for weight, _ in weights] == [(32, 64), (16, 32), (1, 16)]


def test_mlp_readout_with_gelu_and_dropout_is_the_head_of_graphgps() -> None:
    head = MLPReadout(8, 3, hidden_layers=2, halve=False, dropout=0.3, activation="gelu")
    published = nn.Sequential(
        *(part for layer in head.hidden for part in (nn.Dropout(0.3), layer, nn.GELU())), nn.Dropout(0.3), head.out
    )
    x = torch.randn(5, 8)
    for train in (True, False):
        head.train(train), published.train(train)
        torch.manual_seed(train)
        expected = published(x)
        torch.manual_seed(train)
        torch.testing.assert_close(head(x), expected)
    with pytest.raises(GraphPEValueError, match="activation must be one of 'relu', 'gelu'"):
        MLPReadout(8, 3, activation="tanh")  # type: ignore[arg-type]


def test_mlp_readout_refuses_what_it_cannot_halve() -> None:
    with pytest.raises(GraphPEValueError, match="multiple of 4"):
        MLPReadout(66, 1)
    with pytest.raises(GraphPEValueError, match="out"):
        MLPReadout(64, 0)
    assert MLPReadout(5, 2, hidden_layers=0)(torch.randn(1, 5)).shape == (1, 2)


def test_subtoken_head_is_one_classifier_a_position() -> None:
    head = SubtokenHead(8, classes=7, positions=3)
    x = torch.randn(2, 8)
    weight, bias = head.linear.weight.view(3, 7, 8), head.linear.bias.view(3, 7)
    expected = torch.stack([x @ weight[p].t() + bias[p] for p in range(3)], dim=1)
    torch.testing.assert_close(head(x), expected)
    assert SubtokenHead(4).linear.out_features == 5 * 5002
    with pytest.raises(GraphPEValueError, match="must be from 1 on"):
        SubtokenHead(4, classes=0)


def test_positions_of_a_name_share_a_classifier() -> None:
    head = SubtokenHead(8, classes=7, positions=3, shared=True)
    torch.nn.init.normal_(head.bias)
    x = torch.randn(2, 8)
    maps, offsets = head.linear.weight.view(3, 8, 8), head.linear.bias.view(3, 8)
    rows = [(x @ maps[p].t() + offsets[p]) @ head.classifier.weight.t() + head.bias[p] for p in range(3)]
    torch.testing.assert_close(head(x), torch.stack(rows, dim=1))
    assert sum(p.numel() for p in head.parameters()) == 3 * 8 * 8 + 3 * 8 + 7 * 8 + 3 * 7


def test_a_classifier_takes_the_vectors_of_words() -> None:
    words = torch.nn.Embedding(9, 8)
    head = SubtokenHead(8, classes=7, positions=3, shared=True)
    head.tie(words)
    x = torch.randn(2, 8)
    expected = head.linear(x).view(2, 3, 8) @ (head.factor * words.weight[:7]).t() + head.bias
    torch.testing.assert_close(head(x), expected)
    head(x).sum().backward()
    assert (words.weight.grad[:7] != 0).any()
    assert (words.weight.grad[7:] == 0).all()
    assert any(parameter is words.weight for parameter in head.parameters())
    with pytest.raises(GraphPEValueError, match="shared=True"):
        SubtokenHead(8, classes=7, positions=3).tie(words)
    for wrong in (torch.nn.Embedding(6, 8), torch.nn.Embedding(9, 4)):
        with pytest.raises(GraphPEValueError, match="cannot be tied"):
            head.tie(wrong)


@pytest.mark.parametrize("width", [8, 12, 40])
def test_of_few_units_half_are_alive(width: int) -> None:
    """For every input, all of one sign or not; wide layers are drawn as ever."""
    head = MLPReadout(width, 1)
    alive = []
    for layer in head.hidden:
        layer.register_forward_hook(lambda module, inputs, output: alive.append((output > 0).float().mean(1)))
    for x in (torch.randn(50, width), 100 * torch.rand(50, width), -torch.rand(50, width)):
        head(x)
    for layer, each in zip(list(head.hidden) * 3, alive, strict=True):
        if layer.out_features < 16:
            assert (each >= (layer.out_features // 2) / layer.out_features - 1e-6).all()
    assert torch.unique(head.hidden[0].weight.abs(), dim=0).shape[0] == (width // 2 if width == 40 else width // 4)


@pytest.mark.parametrize("width", [8, 12, 36])
def test_few_units_answer_on_both_sides_of_the_bias(width: int) -> None:
    """At every start; a width of 8 ends in two units, whose weights had one sign in half of the starts."""
    for _ in range(20):
        weight = MLPReadout(width, 3).out.weight
        assert (weight > 0).any(1).all()
        assert (weight < 0).any(1).all()
