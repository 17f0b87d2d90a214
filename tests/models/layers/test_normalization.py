from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.models.batches.real_rows import REAL, real_rows_of
from graphpe.models.layers.normalization import RowBatchNorm, build_norm


def test_is_batch_norm_from_two_rows_on() -> None:
    ours, theirs = RowBatchNorm(4), nn.BatchNorm1d(4)
    for rows in (2, 50):
        x = torch.randn(rows, 4)
        torch.testing.assert_close(ours(x), theirs(x))
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_use_the_running_statistics(rows: int) -> None:
    norm = RowBatchNorm(4)
    norm(torch.randn(30, 4) + 5)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.randn(rows, 4, requires_grad=True)
    out = norm(x)
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name])
    norm.eval()
    torch.testing.assert_close(out, norm(x))
    out.sum().backward()
    assert bool(x.grad.isfinite().all())


def test_build_norm() -> None:
    assert isinstance(build_norm("batch", 3), nn.BatchNorm1d)
    assert isinstance(build_norm("layer", 3), nn.LayerNorm)


def _alike(rows: int = 40) -> Tensor:
    """Rows of which columns 0 and 1 are alike, but for rounding in the second, and the last two vary."""
    x = torch.randn(rows, 4) + 3
    x[:, :2] = 7 + torch.tensor([0, 1e-6]) * torch.randn(rows, 2)
    return x


@pytest.mark.parametrize("padded", [False, True])
def test_rows_that_are_alike_become_the_bias(padded: bool) -> None:
    norm, exact = RowBatchNorm(4), nn.BatchNorm1d(4)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    exact.load_state_dict(norm.state_dict())
    x = _alike().requires_grad_()
    given = torch.cat([x, torch.zeros(5, 4)]) if padded else x
    mask = (torch.arange(len(given)) < len(x)).float()
    with real_rows_of(Data(**{REAL["node"]: mask})) if padded else nullcontext():
        out = norm(given)[: len(x)]
    assert torch.equal(out[:, :2], norm.bias[:2].expand(40, 2))
    torch.testing.assert_close(out[:, 2:], exact(x)[:, 2:])
    weights = torch.randn(40, 4)
    (out * weights).sum().backward()
    centred = norm.weight * (weights - weights.mean(0))  # that of a variance of 1
    torch.testing.assert_close(x.grad[:, :2], centred.detach()[:, :2], rtol=1e-4, atol=1e-5)
    assert not norm.weight.grad[:2].any()
    torch.testing.assert_close(norm.bias.grad, weights.sum(0))
    (exact(x.detach()) * weights).sum().backward()
    torch.testing.assert_close(norm.weight.grad[2:], exact.weight.grad[2:])


@pytest.mark.parametrize("batches", [1, 20, 400])
def test_channels_that_never_varied_are_the_bias_in_evaluation(batches: int) -> None:
    """torch gives 316 times the drift of a mean there."""
    norm = RowBatchNorm(4)
    nn.init.normal_(norm.bias)
    for batch in range(batches):
        norm(_alike() * (1 + 0.1 * batch / batches))
    norm.eval()
    x = _alike()
    out = norm(x)
    assert torch.equal(out[:, :2], norm.bias[:2].expand(40, 2))
    inverse = (norm.running_var + norm.eps).rsqrt()
    torch.testing.assert_close(out[:, 2:], ((x - norm.running_mean) * inverse + norm.bias)[:, 2:])


def test_channels_that_vary_little_are_normalised() -> None:
    """A deviation of a thousandth of the mean is no rounding."""
    norm, theirs = RowBatchNorm(3), nn.BatchNorm1d(3)
    for _ in range(30):
        x = 2 + 2e-3 * torch.randn(50, 3)
        torch.testing.assert_close(norm(x), theirs(x))
    torch.testing.assert_close(norm.eval()(x), theirs.eval()(x))


def test_untrained_statistics_are_used_as_they_are() -> None:
    x = torch.randn(5, 3)
    torch.testing.assert_close(RowBatchNorm(3).eval()(x), nn.BatchNorm1d(3).eval()(x))


def test_scales_of_their_own() -> None:
    """Sums that cancel are rounded as large as what they are sums of; raw encodings have scales of their own."""
    x = torch.randn(40, 9)
    x[:, 3] *= 1e-6
    assert RowBatchNorm(9, own_scales=True)(x)[:, 3].std() > 1e-4
    out = RowBatchNorm(9)(x)
    assert not out[:, 3].any()
    torch.testing.assert_close(out[:, :3], nn.BatchNorm1d(9)(x)[:, :3])
    x[:, 3], x[:, 8] = 0, torch.randn(40) * 1e-3  # of another group
    torch.testing.assert_close(RowBatchNorm(9)(x), nn.BatchNorm1d(9)(x))
