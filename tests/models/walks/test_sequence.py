from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, silu
from torch_geometric.data import Data

from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.walks.batch_walks import BatchWalks, HostStructure, WalkPlan
from graphpe.models.walks.sequence import build_sequence, linear_recurrence

WIDTH = 6


def some_walks() -> BatchWalks:
    """Walks of many lengths: a directed tree, whose leaves are sinks."""
    heads = torch.arange(1, 30)
    data = Data(edge_index=torch.stack([(heads - 1) // 2, heads]), num_nodes=31)
    members = node_to_graph(data)
    walks = HostStructure(data, members, data.edge_index).walks(WalkPlan(9, 3, backtracking=True), 7)
    assert len(set(lengths(walks))) > 3
    return walks


def lengths(walks: BatchWalks) -> list[int]:
    return walks.as_sequences(torch.ones(len(walks.node), 1)).sum((1, 2)).long().tolist()


def built(name: str) -> nn.Module:
    module = build_sequence(name, WIDTH, kernel=3, heads=3, norm="layer", dropout=0.0).double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.6)
    return module


def by_hand(name: str, module: nn.Module, x: Tensor) -> Tensor:
    """One walk `[T, D]`, from the formulas."""
    steps = len(x)
    if name == "conv":
        weight, bias = module.along.weight, module.along.bias
        found = torch.stack(
            [
                bias + sum(weight[:, 0, k] * x[t + k - 1] for k in range(3) if 0 <= t + k - 1 < steps)
                for t in range(steps)
            ]
        )
        return module.across(module.norm(found).relu()).relu()
    if name == "recurrent":
        both = []
        for linear, order in ((module.ahead, range(steps)), (module.behind, reversed(range(steps)))):
            state, states = torch.zeros(WIDTH).double(), [torch.zeros(0)] * steps
            for t in order:
                gate, value, shown = linear(x[t]).chunk(3)
                gate = 1 / (1 + torch.exp(-gate))
                state = (1 - gate) * state + gate * value
                states[t] = silu(shown) * state
            both.append(torch.stack(states))
        return module.out(torch.cat(both, 1)) / 2
    query, key, value = module.query_key_value(x).view(steps, 3, 3, 2).unbind(1)  # 3 heads of 2 channels
    out = torch.zeros(steps, 3, 2).double()
    for head in range(3):
        logits = torch.zeros(steps, steps).double()
        for i in range(steps):
            for j in range(steps):  # rotations by t: the product depends on i - j alone
                q, k = torch.view_as_complex(query[i, head]), torch.view_as_complex(key[j, head])
                turned = q * torch.exp(1j * torch.tensor(float(i - j), dtype=torch.float64))
                logits[i, j] = (turned * k.conj()).real / math.sqrt(2)
        out[:, head] = logits.softmax(1) @ value[:, head]
    x = layer_norm(x + module.out(out.flatten(1)), (WIDTH,), module.attention_norm.weight, module.attention_norm.bias)
    hidden = gelu(x @ module.feed_forward.expand.weight.T + module.feed_forward.expand.bias)
    hidden = hidden @ module.feed_forward.contract.weight.T + module.feed_forward.contract.bias
    return layer_norm(x + hidden, (WIDTH,), module.norm.weight, module.norm.bias)


@pytest.mark.parametrize("name", ["conv", "recurrent", "attention"])
def test_each_walk_by_itself_from_the_formulas(name: str) -> None:
    module, walks = built(name), some_walks()
    rows = torch.randn(len(walks.node), WIDTH).double()
    expected = torch.cat([by_hand(name, module, part) for part in rows.split(lengths(walks))])
    torch.testing.assert_close(module(rows, walks), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 13])
def test_a_recurrence_in_few_rounds(steps: int) -> None:
    kept, new = torch.rand(2, 3, steps, 4).double()
    state, expected = torch.zeros(3, 4).double(), []
    for t in range(steps):
        state = kept[:, t] * state + new[:, t]
        expected.append(state)
    torch.testing.assert_close(linear_recurrence(kept, new), torch.stack(expected, 1))


@pytest.mark.parametrize("name", ["conv", "recurrent", "attention"])
def test_gradients_and_half_precision(name: str) -> None:
    module, walks = built(name), some_walks()
    rows = torch.randn(len(walks.node), WIDTH).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module(x, walks)[:5], rows)
    with torch.autocast("cpu", torch.bfloat16):
        low = module.float()(rows.detach().float(), walks)
    exact = module(rows.detach().float(), walks)
    assert float((low.float() - exact).norm() / exact.norm()) < 0.1
