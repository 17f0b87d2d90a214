"""Sums and means of graphs through the kernels: values and gradients in float64."""

from __future__ import annotations

import pytest
import torch

from graphpe.models.layers.heads import pool

from ....attention.gpu.conftest import DEVICE, error, members_of


@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("readout", ["sum", "mean"])
@pytest.mark.parametrize(("sizes", "width"), [([3, 0, 40, 1], 5), ([1], 1), ([7, 9], 150)])
def test_values_and_gradients(
    sizes: list[int], width: int, readout: str, kind: torch.dtype, least: float, launched: list[str]
) -> None:
    members = members_of(sizes)
    x = torch.randn(sum(sizes), width, device=DEVICE).to(kind).requires_grad_()
    exact = x.detach().double().requires_grad_()
    out = pool(x, members, readout)
    upstream = torch.randn_like(out)
    out.backward(upstream)
    assert launched == ["_forward", "_backward"]
    parts = exact.split(sizes)
    each = [part.sum(0) if readout == "sum" or not len(part) else part.mean(0) for part in parts]
    torch.stack(each).backward(upstream.double())
    assert out.dtype == torch.float32
    assert error(out, torch.stack(each)) < least
    assert x.grad is not None
    assert x.grad.dtype == kind
    assert error(x.grad, exact.grad) < least


def test_one_graph_of_expanded_numbers_and_what_is_left_to_pytorch(launched: list[str]) -> None:
    x = torch.randn(4, 3, device=DEVICE)
    members = members_of([4])
    members = type(members)(members.graph[:1].expand(4), members.ptr, 4, 16)
    x.requires_grad_()
    pool(x, members, "mean").sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 0.25))
    launched.clear()
    pool(x.double(), members, "mean")
    pool(x, members, "max")
    pool(x[:0], members_of([0]), "sum")
    assert not launched
