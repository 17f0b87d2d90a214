"""Layer normalisation of sums through the kernels: values and gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.layers.gpu.layer_norm import layer_normalized, layer_normalized_backward
from graphpe.models.layers.normalization import RowLayerNorm

from ...attention.gpu.conftest import DEVICE, error


@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("parts", ["", "b", "b other dropped", "b factor more", "b dropped factor more passed other"])
@pytest.mark.parametrize(("rows", "width"), [(40, 9), (1, 2), (300, 64), (3, 300)])
def test_values_and_gradients(
    rows: int, width: int, parts: str, kind: torch.dtype, least: float, launched: list[str]
) -> None:
    def drawn(name: str) -> Tensor | None:
        return torch.randn(rows, width, device=DEVICE).to(kind) if not name or name in parts.split() else None

    norm = RowLayerNorm(width).to(DEVICE, kind)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    a, b, other, more, passed, grad = (drawn(name) for name in ("", "b", "other", "more", "passed", ""))
    keep = torch.rand(rows, width, device=DEVICE) < 0.6
    dropped = Dropped(keep, 2.0) if "dropped" in parts else None
    factor = torch.rand(rows, 1, device=DEVICE) if "factor" in parts else None
    assert a is not None
    assert grad is not None
    found = layer_normalized(norm, a, b, other, dropped, factor)
    of_a, of_b, sums = layer_normalized_backward(
        grad, found.total, found.moments, norm.weight, more=more, passed=passed, dropped=dropped, factor=factor
    )
    assert launched == ["_forward", "_backward"]
    exact = [
        None if x is None else x.double().requires_grad_() for x in (a, b, norm.weight.detach(), norm.bias.detach())
    ]
    total = exact[0]
    if exact[1] is not None:
        total = total + exact[1] * (2.0 * keep if dropped else 1.0) * (1.0 if factor is None else factor.double())
    # The kernel's sum is rounded, and so is what is normalised.
    rounded = total + (found.total.double() - total).detach()
    out = nn.functional.layer_norm(rounded, (width,), exact[2], exact[3], norm.eps)
    expected = out if other is None else out + other.double()
    loss = (out * grad.double()).sum()
    loss = loss if more is None else loss + (total * more.double()).sum()
    loss = loss if passed is None else loss + (exact[0] * passed.double()).sum()
    loss.backward()
    assert found.out.dtype == of_a.dtype == kind
    assert error(found.total, total) < least
    assert error(found.out, expected) < least
    pairs = [(of_a, exact[0]), (of_b, exact[1]), (sums[0], exact[2]), (sums[1], exact[3])]
    floor = float(found.moments[1].max() * grad.norm())  # what is subtracted from each other
    for value, reference in pairs:
        if reference is not None:
            assert float((value.double() - reference.grad).norm()) < least * (float(reference.grad.norm()) + floor)
