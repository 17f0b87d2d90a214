from __future__ import annotations

import math

import pytest

from graphpe.benchmarks.training.schedule import learning_rate, step_seed


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
