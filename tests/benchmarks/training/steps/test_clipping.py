from __future__ import annotations

import pytest
import torch
from torch import nn

from graphpe.benchmarks.training.steps.clipping import UpdateClipping, clip_gradients, units_of


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.linear = nn.Linear(3, 4)
        self.one = nn.Linear(4, 1)
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.stack = nn.Parameter(torch.randn(2, 3, 4))
        self.fixed = nn.Parameter(torch.ones(3), requires_grad=False)
        nn.init.zeros_(self.linear.bias)


def pieces(name: str, values: torch.Tensor) -> list[torch.Tensor]:
    """Views of the units of a weight: columns of a table, what has one first index, or all of it."""
    if name == "table.weight":
        return list(values.unbind(1))
    if name in ("linear.weight", "stack"):
        return list(values.unbind(0))
    return [values]


def by_hand(change: dict[str, torch.Tensor], weights: dict[str, torch.Tensor], most: float) -> dict[str, torch.Tensor]:
    found = {name: value.clone() for name, value in change.items()}
    for name, value in found.items():
        for unit, weight in zip(pieces(name, value), pieces(name, weights[name]), strict=True):
            size, own = float(unit.square().sum().sqrt()), max(float(weight.square().sum().sqrt()), 1e-3)
            if size > most * own:
                unit *= most * own / size
    return found


@pytest.mark.parametrize("most", [0.05, 1.0])
def test_gradients_of_units(most: float) -> None:
    model = Model()
    weights = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    given = {name: torch.randn_like(weight) for name, weight in weights.items()}
    given["one.weight"] *= 1e-4  # small enough to stay
    for name, weight in model.named_parameters():
        weight.grad = given[name].clone() if name in given and name != "scale" else None
    clip_gradients(units_of(model), most)
    expected = by_hand(given, weights, most)
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            torch.testing.assert_close(weight.grad, expected[name])
    assert torch.equal(model.one.weight.grad, given["one.weight"])  # type: ignore[arg-type]
    assert not torch.equal(model.linear.bias.grad, given["linear.bias"])  # type: ignore[arg-type]


def test_what_an_optimizer_changes() -> None:
    model = Model()
    units = units_of(model)
    start = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    given = {name: torch.randn_like(weight) for name, weight in start.items()}
    clipping = UpdateClipping(units, 0.1)
    clipping.before()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_(given.get(name, torch.zeros(())))
    clipping.after()
    expected = by_hand(given, start, 0.1)
    for name, weight in model.named_parameters():
        if name in start:
            torch.testing.assert_close(weight.detach() - start[name], expected[name], atol=1e-6, rtol=1e-5)
    assert torch.equal(model.fixed, torch.ones(3))
