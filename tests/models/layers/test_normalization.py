from __future__ import annotations

import pytest
import torch
from torch import nn

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
