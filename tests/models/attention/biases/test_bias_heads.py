"""Each head against its formula, written out pair by pair with Python's math."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from graphpe.models.attention.biases.bias_heads import (
    AlibiHead,
    FireHead,
    GaussianHead,
    KerpleLogHead,
    KerplePowerHead,
    MLPHead,
    PathHead,
    T5Head,
    TableHead,
)

HEADS = 3


def shaken(head: nn.Module) -> nn.Module:
    """Parameters as after some training, in float64."""
    head = head.double()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    return head


def distances(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def dense(mlp: nn.Sequential, x: list[float], activation) -> list[float]:
    first, _, last = mlp
    hidden = [
        activation(sum(w * v for w, v in zip(row, x, strict=True)) + b)
        for row, b in zip(first.weight.tolist(), first.bias.tolist(), strict=True)
    ]
    return [
        sum(w * v for w, v in zip(row, hidden, strict=True)) + b
        for row, b in zip(last.weight.tolist(), last.bias.tolist(), strict=True)
    ]


def gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def test_table() -> None:
    head = shaken(TableHead(HEADS, 4))
    table = head.table.weight
    expected = torch.stack([table[0], table[1], table[2], table[3], table[3]])
    torch.testing.assert_close(head(distances([0, 1.4, 2, 3, 900])), expected)


@pytest.mark.parametrize(("size", "far"), [(8, 20.0), (32, 128.0), (5, 9.5)])
def test_t5(size: int, far: float) -> None:
    head = shaken(T5Head(HEADS, size, far))
    values = [0, 0.5, 1, 2, 3, 4, 5.9, 7, 8, 11, 16, 19, 20, 31, 63, 64, 127, 128, 10_000]
    exact = size // 2
    for value, row in zip(values, head(distances(values)), strict=True):
        d = math.floor(value)
        bucket = d if d < exact else exact + int(math.log(d / exact) / math.log(far / exact) * (size - exact) + 1e-9)
        torch.testing.assert_close(row, head.table.weight[min(bucket, size - 1)])


def test_t5_reaches_every_range_and_is_monotone() -> None:
    head = T5Head(1, 16, 100)
    head.table.weight.data = torch.arange(16.0).unsqueeze(1)
    found = head(torch.arange(200.0).unsqueeze(1)).flatten()
    assert bool((found.diff() >= 0).all())
    assert found.unique().tolist() == list(range(16))
    assert found[100:].unique().tolist() == [15]


def test_alibi() -> None:
    values = [0.0, 1.0, 2.5]
    expected = [[-(2 ** (-8 * h / 4)) * d for h in range(1, 5)] for d in values]
    torch.testing.assert_close(AlibiHead(4)(distances(values)), torch.tensor(expected, dtype=torch.float64))


def test_kerple_log() -> None:
    head = shaken(KerpleLogHead(HEADS))
    r1, r2 = ([math.log1p(math.exp(x)) for x in raw.tolist()] for raw in (head.raw_scale, head.raw_rate))
    values = [0.0, 0.3, 1.0, 40.0]
    expected = [[-a * math.log(1 + b * d) for a, b in zip(r1, r2, strict=True)] for d in values]
    torch.testing.assert_close(head(distances(values)), torch.tensor(expected, dtype=torch.float64))


def test_kerple_power() -> None:
    head = shaken(KerplePowerHead(HEADS))
    r1 = [math.log1p(math.exp(x)) for x in head.raw_scale.tolist()]
    r2 = [2 / (1 + math.exp(-x)) for x in head.raw_power.tolist()]
    values = [0.0, 0.3, 1.0, 40.0]
    expected = [[-a * d**b for a, b in zip(r1, r2, strict=True)] for d in values]
    out = head(distances(values))
    torch.testing.assert_close(out, torch.tensor(expected, dtype=torch.float64))
    out.sum().backward()
    assert bool(head.raw_power.grad.isfinite().all())  # at D = 0 too


def test_kerple_starts_at_one() -> None:
    torch.testing.assert_close(KerpleLogHead(2)(torch.tensor([[3.0]])), torch.full((1, 2), -math.log(4)))
    torch.testing.assert_close(KerplePowerHead(2)(torch.tensor([[3.0]])), torch.full((1, 2), -3.0))


def test_fire() -> None:
    head = shaken(FireHead(HEADS, 7))
    c, threshold = (math.log1p(math.exp(float(x.detach()))) for x in (head.raw_rate, head.raw_threshold))
    values, reach = [0.0, 0.5, 2.0, 9.0], [0.0, 0.6, 12.0, 9.0]
    expected = []
    for d, e in zip(values, reach, strict=True):
        x = math.log(c * d + 1) / math.log(c * max(threshold, e) + 1)
        expected.append(dense(head.mlp, [x], lambda v: max(v, 0.0)))
    torch.testing.assert_close(head(distances(values), distances(reach)), torch.tensor(expected, dtype=torch.float64))


def test_gaussian() -> None:
    head = shaken(GaussianHead(HEADS, 6))
    values, expected = [0.0, 0.7, 2.0], []
    for d in values:
        basis = []
        for mean, raw in zip(head.mean.tolist(), head.raw_deviation.tolist(), strict=True):
            s = abs(raw) + 0.01
            basis.append(math.exp(-0.5 * ((d - mean) / s) ** 2) / (math.sqrt(2 * math.pi) * s))
        expected.append(dense(head.mlp, basis, gelu))
    torch.testing.assert_close(head(distances(values)), torch.tensor(expected, dtype=torch.float64))


def test_mlp() -> None:
    head = shaken(MLPHead(HEADS, 4, 5))
    values = torch.randn(3, 4, dtype=torch.float64)
    expected = [dense(head.mlp, row, gelu) for row in values.tolist()]
    torch.testing.assert_close(head(values), torch.tensor(expected, dtype=torch.float64))


def test_path_is_the_mean_over_steps() -> None:
    """Graphormer, eq. 7: paths of 2, 1 and 0 steps over 3 types."""
    head = shaken(PathHead(HEADS, 6))
    paths = [[0, 2], [1], []]
    value = torch.zeros(3, 2, 3, dtype=torch.float64)
    for row, path in enumerate(paths):
        for step, kind in enumerate(path):
            value[row, step, kind] = 1
    weight = head.linear.weight.view(HEADS, 2, 3)
    expected = [sum((weight[:, t, c] for t, c in enumerate(p)), torch.zeros(HEADS)) / max(len(p), 1) for p in paths]
    torch.testing.assert_close(head(value.flatten(1)), torch.stack(expected).double())


@pytest.mark.parametrize(
    "head", [TableHead(2, 4), T5Head(2, 8, 20), GaussianHead(2, 8), MLPHead(2, 1, 4), PathHead(2, 1)]
)
def test_learned_functions_start_at_zero(head: nn.Module) -> None:
    assert torch.equal(head(torch.rand(5, 1) * 5), torch.zeros(5, 2))
