from __future__ import annotations

import pytest
import torch

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.regression import RootSquaredErrors
from graphpe.files.ogb import evaluator
from graphpe.graphs.packed import PackedGraphs


def data_of(target: torch.Tensor, names: tuple[str, ...] = ()) -> RootSquaredErrors:
    zero = torch.zeros(len(target) + 1, dtype=torch.long)
    graphs = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), zero, zero, graph={"y": target})
    adapter = GraphAdapter((1,), (), target.shape[1], "squared", target_names=names)
    return RootSquaredErrors(graphs, {"train": torch.arange(len(target))}, adapter, "")


def test_targets_are_averaged_as_ogb_does() -> None:
    target = torch.randn(30, 3) * torch.tensor([1.0, 1e3, 1e-3])
    guess = target + torch.randn(30, 3) * torch.tensor([0.5, 10.0, 1e-4])
    data = data_of(target, ("size", "mass", "charge"))
    ids = torch.randperm(30)[:20]
    official = evaluator("ogbg-molesol")._eval_rmse(target[ids].double().numpy(), guess[ids].double().numpy())
    assert data.evaluate(guess[ids], ids) == pytest.approx(official["rmse"], rel=1e-12)
    each = data.target_scores(guess[ids], ids)
    errors = (guess[ids].double() - target[ids].double()).square().mean(0).sqrt()
    assert each == pytest.approx(dict(zip(("size", "mass", "charge"), errors.tolist(), strict=True)), rel=1e-12)
    assert [*data_of(target).target_scores(guess, torch.arange(30))] == ["target 0", "target 1", "target 2"]
    assert data_of(target[:, :1]).target_scores(guess[:, :1], torch.arange(30)) == {}


def test_the_best_constant_of_several_targets() -> None:
    data = data_of(torch.randn(40, 2) * torch.tensor([1.0, 50.0]) + 7)
    best, _ = data.constant_baseline(torch.arange(40))
    mean = data.graphs.graph["y"].mean(0)
    for shift in ([0.1, 0.0], [-0.1, 0.0], [0.0, 0.1], [0.0, -0.1]):
        constant = (mean + torch.tensor(shift)).expand(40, 2)
        assert best < data.evaluate(constant, torch.arange(40))
