"""Two layers, and norms of sums, in few kernels: values and gradients of the modules in float64."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from graphpe.models.layers.gpu import feed_forward as module
from graphpe.models.layers.gpu import residual
from graphpe.models.layers.gpu.feed_forward import feed_forward, norm_of_sum
from graphpe.models.layers.gpu.few_rows import MOST_ROWS
from graphpe.models.layers.gpu.two_layers import Activation
from graphpe.models.layers.normalization import RowLayerNorm

from ...attention.gpu.conftest import DEVICE, check_gradients, error, moved

_KINDS = [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)]


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize(("kind", "least"), _KINDS)
@pytest.mark.parametrize("width", [6, 140])
def test_two_layers(width: int, activation: Activation, kind: torch.dtype, least: float, launched: list[str]) -> None:
    layers = nn.Sequential(nn.Linear(width, 9), nn.Identity(), nn.Linear(9, 4)).to(DEVICE, kind)
    exactly = deepcopy(layers).double()
    exactly[1] = nn.ReLU() if activation == "relu" else nn.GELU()
    x = torch.randn(30, width, device=DEVICE).to(kind).requires_grad_()
    exact = x.detach().double().requires_grad_()
    out, expected = feed_forward(x, layers[0], layers[2], activation=activation), exactly(exact)
    upstream = torch.randn_like(out)
    out.backward(upstream)
    expected.backward(upstream.double())

    def again(rows: list[Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad(exactly(rows[0]), rows, upstream.double()))

    assert launched == (["_forward", "_backward", "_products"] if width == 6 else ["_products"])
    assert error(out, expected) < least
    unsure = moved(again, [exact])[0]
    given = [x, *layers.parameters()]
    check_gradients(given, [exact, *exactly.parameters()], 4 * least, [unsure] * len(given))


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("reads", ["both", "norm", "sum"])
@pytest.mark.parametrize(("kind", "least"), _KINDS)
def test_norm_of_sum(kind: torch.dtype, least: float, reads: str, update: bool, launched: list[str]) -> None:
    norm = RowLayerNorm(7).to(DEVICE, kind)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    exactly = deepcopy(norm).double()
    rows = [torch.randn(30, 7, device=DEVICE).to(kind).requires_grad_() for _ in range(1 + update)]
    exact = [x.detach().double().requires_grad_() for x in rows]
    out, total = norm_of_sum(norm, *rows)
    summed = exact[0] + exact[1] if update else exact[0]
    expected = exactly(summed)
    upstream = [torch.randn_like(out) for _ in range(2)]
    pairs = [(out, expected, upstream[0]), (total, summed, upstream[1])]
    pairs = {"both": pairs, "norm": pairs[:1], "sum": pairs[1:]}[reads]
    torch.stack([(x * g).sum() for x, _, g in pairs]).sum().backward()
    torch.stack([(x * g.double()).sum() for _, x, g in pairs]).sum().backward()
    assert error(out, expected) < least
    assert error(total, summed) < least
    assert launched == ["_forward", "_backward"]
    check_gradients(rows, exact, least)


@pytest.mark.parametrize(("kind", "least"), _KINDS)
def test_a_norm_in_front_of_what_comes_next(kind: torch.dtype, least: float, launched: list[str]) -> None:
    parts = nn.ModuleList([RowLayerNorm(7), nn.Linear(5, 7)]).to(DEVICE, kind)
    exactly = deepcopy(parts).double()
    rows = [torch.randn(30, width, device=DEVICE).to(kind).requires_grad_() for width in (7, 5)]
    exact = [x.detach().double().requires_grad_() for x in rows]
    out, total = residual.add_before_norm(parts[0], *rows, parts[1])
    (out + total * total).sum().backward()
    summed = exact[0] + exactly[1](exact[1])
    (exactly[0](summed) + summed * summed).sum().backward()
    assert launched == ["_forward", "_backward", "_products"]
    assert error(out, exactly[0](summed)) < least
    assert error(total, summed) < least
    check_gradients([*rows, *parts.parameters()], [*exact, *exactly.parameters()], 2 * least)


def test_dropout_and_what_is_left_to_the_modules(launched: list[str]) -> None:
    first, last = nn.Linear(4, 16).to(DEVICE), nn.Linear(16, 3).to(DEVICE)
    x = torch.randn(9, 4, device=DEVICE)
    one, two = (feed_forward(x, first, last, dropout=0.5) for _ in range(2))
    assert not torch.equal(one, two)
    launched.clear()
    norm = RowLayerNorm(4).to(DEVICE)
    for rows in (torch.randn(MOST_ROWS + 1, 4, device=DEVICE), torch.randn(0, 4, device=DEVICE)):
        feed_forward(rows, first, last)
        norm_of_sum(norm, rows)
    norm_of_sum(norm.double(), x.double(), x.double())
    assert not launched
    assert module.few_rows(x)


def test_rows_in_blocks(launched: list[str]) -> None:
    first, last = nn.Linear(4, 16).to(DEVICE), nn.Linear(16, 3).to(DEVICE)
    x = torch.randn(5, 2, 4, device=DEVICE)
    out = feed_forward(x, first, last)
    assert launched == ["_forward"]
    torch.testing.assert_close(out, last(first(x).relu()), rtol=1e-4, atol=1e-5)
