"""The pretended accelerator sees what it should: one planted fault of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from graphpe.benchmarks.measure.pretend.accelerator import move, pretending, to_host
from graphpe.benchmarks.measure.pretend.cuda_kernels import has_cuda_kernel
from graphpe.benchmarks.measure.pretend.tensors import DEVICE


def test_operands_on_several_devices_are_an_error_and_scalars_are_not() -> None:
    with pretending() as seen:
        x = torch.zeros(3, device=DEVICE)
        assert (x + torch.tensor(2.0)).device == DEVICE
        for mixed in (
            lambda: x + torch.ones(3),
            lambda: torch.cat([x, torch.ones(3)]),
            lambda: x.index_add(0, torch.tensor([0]), torch.ones(1, device=DEVICE)),
        ):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        with pytest.raises(TypeError, match="can't convert"):
            x.numpy()
    assert len(seen.of("mixing")) == 3


@pytest.mark.parametrize(
    ("call", "op"),
    [
        (lambda x: x.sum().item(), "item"),
        (lambda x: bool((x > 0).any()), "item"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x[x > 0], "index"),
        (lambda x: x.tolist(), "copy to host"),
        (lambda x: x.cpu(), "copy to host"),
        (lambda x: torch.zeros(3).copy_(x), "copy to host"),
        (lambda x: x.long().unique(), "_unique2"),
        (lambda x: x[torch.tensor([0, 1])], "index"),
        (lambda x: torch.tensor([1.0], device=DEVICE), "blocking copy to device"),
        (lambda x: x.new_tensor([1.0, 2.0]), "blocking copy to device"),
        (lambda x: x.copy_(torch.zeros(3)), "blocking copy to device"),
        (lambda x: torch.repeat_interleave(x, torch.ones(3, dtype=torch.long, device=DEVICE)), "repeat_interleave"),
        (lambda x: torch.linalg.eigh(torch.eye(3, device=DEVICE)), "_linalg_eigh"),
        (lambda x: torch.bincount(x.long()), "bincount"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: torch.masked_select(x, x > 0), "masked_select"),
    ],
)
def test_what_waits(call: Callable[[Tensor], Any], op: str) -> None:
    with pretending() as seen:
        x = torch.arange(3.0, device=DEVICE)
        seen.events.clear()
        call(x)
    assert op in {event.op for event in seen.syncs}, seen.report()
    assert all("test_accelerator.py:" in event.where for event in seen.syncs)


def test_what_does_not_wait() -> None:
    with pretending() as seen:
        x = torch.arange(3.0, device=DEVICE)
        torch.where(x > 1, x, 0.0).cumsum(0).masked_fill(x > 1, 2.0)
        ones = torch.ones(3, dtype=torch.long).to(DEVICE, non_blocking=True)
        torch.repeat_interleave(x, ones, output_size=3)
        torch.linalg.cholesky_ex(torch.eye(3, device=DEVICE))
    assert not seen.syncs, seen.report()
    assert [event.op for event in seen.of("copy")] == ["copy to device"]


def test_numbers_gradients_and_views_are_those_of_the_cpu() -> None:
    weight, x = torch.randn(4, 3), torch.randn(5, 4)
    with pretending() as seen:
        there = move(weight).requires_grad_()
        y = move(x) @ there
        (y.relu() * y).sum().backward()
        z = torch.zeros(4, device=DEVICE)
        z[1:3] += 1
        z.view(2, 2)[1] = 5
    here = weight.clone().requires_grad_()
    y = x @ here
    (y.relu() * y).sum().backward()
    assert torch.equal(to_host(there.grad), here.grad)
    assert to_host(z).tolist() == [0, 1, 5, 5]
    assert seen.calls["mm"] == 2  # forward, and the gradient of one operand
    assert seen.bytes >= 4 * (5 * 4 + 4 * 3 + 5 * 3)


def test_atomic_sums_doubles_and_missing_kernels() -> None:
    with pretending() as seen:
        x = torch.zeros(30, device=DEVICE, dtype=torch.float64)
        index = torch.zeros(2, dtype=torch.long, device=DEVICE)
        x.index_add(0, index, torch.ones(2, device=DEVICE, dtype=torch.float64))
        with pytest.raises((RuntimeError, NotImplementedError)):  # of the CPU: it wants another layout
            torch.ops.aten.mkldnn_linear(torch.rand(2, 3, device=DEVICE), torch.rand(4, 3, device=DEVICE))
    assert {"nondeterministic", "float64", "no kernel"} <= {event.kind for event in seen.events}
    assert [event.op for event in seen.of("no kernel")] == ["mkldnn_linear."], seen.report()


def test_kernels_that_cuda_has() -> None:
    aten = torch.ops.aten
    for func in (aten.index_add.default, aten.mm.default, aten.add.Tensor, aten._cdist_forward.default):
        assert has_cuda_kernel(func) is True
    assert has_cuda_kernel(aten.mm.default, sparse=True) is True
    assert has_cuda_kernel(aten.mkldnn_linear.default) is False
    assert has_cuda_kernel(torch.ops.prim.device.default) is None
