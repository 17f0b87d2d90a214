"""GRIT's attention through the kernels: values and gradients of the formulas in float64."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel
from graphpe.models.attention.grit import attention
from graphpe.models.attention.grit.reference import Dropped, PairAttention, PairUpdate, grit_attention_reference

from .conftest import DEVICE, check_gradients, moved, pairs_of


def _loss(found: PairAttention, upstream: Sequence[Tensor]) -> Tensor:
    return torch.stack(
        [(x * g.to(x.dtype)).sum() for x, g in zip(found, upstream, strict=False) if x is not None]
    ).sum()


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("updated", [False, True])
@pytest.mark.parametrize(
    ("dtype", "least"), [(torch.float32, 3e-5), (torch.bfloat16, 0.15)]
)  # roots near zero amplify rounding
def test_values_and_gradients_are_those_of_the_reference(
    dtype: torch.dtype, least: float, updated: bool, dropout: bool, complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, heads, width = [3, 0, 1, 9], 2, 10
    pairs = pairs_of(sizes, complete)
    nodes, count = pairs.num_nodes, pairs.num_pairs
    shapes = [(count, width), *[(nodes, width)] * 3, (2 * width, width), (2 * width,), (width,)]
    shapes += [(width, width), (width,), (width,)] if updated else []
    rows = [(torch.randn(shape, device=DEVICE) / 2).to(dtype).requires_grad_() for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in rows]
    drops = [Dropped(torch.rand(count, columns, device=DEVICE) < 0.7, 1 / 0.7) for columns in (heads, width)]
    options = {"attention_dropout": drops[0], "feature_dropout": drops[1]} if dropout else {}
    launched: list[str] = []
    launch = Kernel.__call__
    monkeypatch.setattr(
        Kernel, "__call__", lambda self, *a, **c: [launched.append(self.function.__name__), launch(self, *a, **c)]
    )
    monkeypatch.setattr(attention, "has_kernels", lambda device: True)
    found, expected = (
        run(*x[:7], pairs, heads=heads, update=PairUpdate(*x[7:]) if updated else None, **options)
        for run, x in ((attention.grit_attention, rows), (grit_attention_reference, exact))
    )
    upstream = [torch.randn_like(x) for x in found if x is not None]
    _loss(found, upstream).backward()
    _loss(expected, upstream).backward()
    assert launched == ["_forward", "_backward_of_targets", "_backward_of_sources"]

    def reference(x: list[Tensor]) -> list[Tensor]:
        again = grit_attention_reference(
            *x[:7], pairs, heads=heads, update=PairUpdate(*x[7:]) if updated else None, **options
        )
        return [*(y.detach() for y in again[:3] if y is not None), *torch.autograd.grad(_loss(again, upstream), x)]

    unsure = moved(reference, exact)
    for value, exactly in zip(found[:3], expected[:3], strict=True):
        assert (value is None) == (exactly is None)
        if value is not None and exactly is not None:
            assert value.dtype == dtype
            assert float((value - exactly).detach().norm()) <= least * float(exactly.detach().norm()) + unsure.pop(0)
    check_gradients(rows, exact, least, unsure)
