from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graphpe.benchmarks.training.schedule import learning_rate, plateau_reductions, step_seed


def test_warm_up_is_linear_and_ends_at_the_peak() -> None:
    rates = [learning_rate(step, peak=2.0, warmup_steps=4, total_steps=100) for step in range(4)]
    assert rates == [0.5, 1.0, 1.5, 2.0]


def test_cosine_falls_from_the_peak_to_zero() -> None:
    def rate(step: int) -> float:
        return learning_rate(step, peak=1.0, warmup_steps=10, total_steps=110)

    assert rate(10) == 1.0
    assert rate(60) == pytest.approx(0.5)
    assert rate(35) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert rate(110) == pytest.approx(0.0, abs=1e-12)
    assert all(rate(step) > rate(step + 1) for step in range(10, 110))


def test_a_run_shorter_than_its_warm_up() -> None:
    assert learning_rate(2, peak=3.0, warmup_steps=100, total_steps=3) == 3.0


def test_each_step_and_rank_has_a_seed_of_its_own() -> None:
    seeds = {
        step_seed(seed, epoch, step, rank) for seed in (0, 1) for epoch in (0, 1) for step in (0, 1) for rank in (0, 1)
    }
    assert len(seeds) == 16
    assert step_seed(5, 6, 7, 8) == step_seed(5, 6, 7, 8)


def test_a_line_and_a_constant() -> None:
    options = {"peak": 2.0, "warmup_steps": 2, "total_steps": 10}
    line = [learning_rate(step, schedule="linear", **options) for step in range(11)]
    np.testing.assert_allclose(line, [1.0, 2.0, *np.linspace(2, 0, 9)])
    assert [learning_rate(step, schedule="constant", **options) for step in (0, 1, 5, 10)] == [1, 2, 2, 2]


@pytest.mark.parametrize(("patience", "factor", "least"), [(0, 0.5, 0.0), (2, 0.3, 0.01), (5, 0.9, 0.6)])
def test_plateaus_are_those_of_torch(patience: int, factor: float, least: float) -> None:
    rng = np.random.default_rng()
    losses = (np.exp(-np.arange(60) / 20) + 0.2 * rng.random(60)).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    options = {"factor": factor, "patience": patience, "min_lr": least}
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)  # type: ignore[arg-type]
    for number, loss in enumerate(losses, 1):
        scheduler.step(loss)
        reductions = plateau_reductions(losses[:number], patience)
        rate = learning_rate(100, schedule="plateau", peak=1.0, least=least, warmup_steps=0, total_steps=200,
                             reductions=reductions, plateau_factor=factor)  # fmt: skip
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], abs=2e-8)  # torch stops below steps of 1e-8


@pytest.mark.parametrize(("length", "factor"), [(7, 1), (1, 1), (5, 2), (3, 3), (200, 2)])
@pytest.mark.parametrize("least", [0.0, 0.2])
def test_restarts_are_those_of_torch(length: int, factor: int, least: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, length, factor, eta_min=least)
    for step in range(120):
        rate = learning_rate(step + 4, schedule="cosine_restarts", peak=2.0, least=least, warmup_steps=4,
                             total_steps=124, restart_steps=length, restart_factor=factor)  # fmt: skip
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_what_a_rate_falls_to_is_that_of_torch(schedule: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedulers = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30, eta_min=0.5),
        "linear": lambda: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.25, total_iters=30),
    }
    scheduler = schedulers[schedule]()
    for step in range(31):
        rate = learning_rate(step, schedule=schedule, peak=2.0, least=0.5, warmup_steps=0, total_steps=30)  # type: ignore[arg-type]
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
