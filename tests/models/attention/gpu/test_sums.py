"""Sums of rows by groups, beside those of float64."""

from __future__ import annotations

import pytest
import torch

from graphpe.models.attention.gpu.sums import sums_by_group

from .conftest import DEVICE, error


@pytest.mark.parametrize("width", [1, 5, 300])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sums_are_those_of_float64(width: int, ordered: bool, dtype: torch.dtype) -> None:
    sizes = torch.tensor([3, 0, 1, 200, 0], device=DEVICE)
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    group = torch.arange(5, device=DEVICE).repeat_interleave(sizes)
    rows = torch.randn(204, 2 * width, device=DEVICE).to(dtype)[:, width:]  # parts of wider rows
    order = torch.randperm(204, device=DEVICE) if ordered else None
    listed = rows if order is None else rows[order]
    expected = torch.zeros(5, width, dtype=torch.double, device=DEVICE).index_add(0, group, listed.double())
    found = sums_by_group(rows, order, ptr, torch.float32)
    assert found.dtype == torch.float32
    assert error(found, expected) < 1e-6
    assert not found[1].any()
    assert torch.equal(found, sums_by_group(rows, order, ptr, torch.float32))


def test_no_groups_and_no_rows() -> None:
    ptr = torch.zeros(1, dtype=torch.long, device=DEVICE)
    rows = torch.zeros(0, 4, device=DEVICE)
    assert sums_by_group(rows, None, ptr, rows.dtype).shape == (0, 4)
    assert not sums_by_group(rows, None, ptr.repeat(3), rows.dtype).any()
