"""The loss over known targets through the kernels: values and gradients in float64."""

from __future__ import annotations

import math

import pytest
import torch

from graphpe.benchmarks.tasks.targets import target_loss
from graphpe.models.layers.gpu.ends import losses

from ....attention.gpu.conftest import DEVICE, error


def _written_out(loss: str, x: float, y: float) -> tuple[float, float]:
    """A loss and its slope."""
    if loss == "absolute":
        return abs(x - y), math.copysign(1, x - y) if x != y else 0.0
    if loss == "squared":
        return (x - y) ** 2, 2 * (x - y)
    p = 1 / (1 + math.exp(-x))
    return -(y * math.log(p) + (1 - y) * math.log(1 - p)), p - y


@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("loss", ["absolute", "squared", "binary"])
@pytest.mark.parametrize("shape", [(5, 1), (900, 2), (1, 1)])
def test_values_and_gradients(
    shape: tuple[int, int], loss: str, kind: torch.dtype, least: float, launched: list[str]
) -> None:
    output = torch.randn(shape, device=DEVICE).to(kind).requires_grad_()
    target = torch.randn(shape, device=DEVICE) if loss != "binary" else (torch.rand(shape, device=DEVICE) < 0.5).float()
    if target.numel() > 1:
        target[torch.rand(shape, device=DEVICE) < 0.3] = float("nan")
        target[0] = output.detach()[0].float() if loss != "binary" else 1.0
    found = target_loss(loss, output, target)
    (3 * found).backward()
    assert launched == ["_forward", "_backward"]
    pairs = list(zip(output.detach().double().flatten().tolist(), target.double().flatten().tolist(), strict=True))
    each = [_written_out(loss, x, y) if not math.isnan(y) else (0.0, 0.0) for x, y in pairs]
    known = sum(not math.isnan(y) for _, y in pairs)
    assert abs(float(found.detach()) - sum(value for value, _ in each) / known) < 1e-5
    assert output.grad is not None
    expected = 3 * torch.tensor([slope for _, slope in each], dtype=torch.float64).view(shape) / known
    assert error(output.grad.cpu(), expected) < least


def test_nothing_known_is_zero_and_other_cases_are_left_to_pytorch(launched: list[str]) -> None:
    output = torch.randn(4, 1, device=DEVICE, requires_grad=True)
    target = torch.full((4, 1), float("nan"), device=DEVICE)
    found = target_loss("absolute", output, target)
    found.backward()
    assert float(found.detach()) == 0
    assert not output.grad.any()
    assert not losses.loss_runs(output.double(), target)
    assert not losses.loss_runs(output, target.long())
    assert not losses.loss_runs(output[:0], target[:0])
    assert not losses.loss_runs(torch.zeros(losses._MOST + 1, 1), torch.zeros(losses._MOST + 1, 1))
    launched.clear()
    target_loss("classes", torch.randn(4, 3), torch.tensor([0, 1, 2, -1]))
    assert not launched
