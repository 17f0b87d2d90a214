from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from graphpe.benchmarks.expressivity.paired_test import (
    FLOOR,
    LEAST_DIFFERENCE,
    OUTPUTS,
    RENUMBERINGS,
    THRESHOLD,
    statistic,
    told_apart,
)


def drawn(pairs: int, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.randn(2, pairs, RENUMBERINGS, OUTPUTS, dtype=torch.float64)
    return first + shift, second


def test_the_threshold_is_a_quantile() -> None:
    # T^2 = (q - 1) d / (q - d) F(d, q - d), and q = 2 d.
    assert stats.f.ppf(0.95, OUTPUTS, RENUMBERINGS - OUTPUTS) * (RENUMBERINGS - 1) == pytest.approx(THRESHOLD, abs=0.01)


def test_the_statistic_is_that_of_hotelling() -> None:
    first, second = drawn(5, shift=0.3)
    for found, x, y in zip(statistic(first, second), first.numpy(), second.numpy(), strict=True):
        difference = x - y
        mean, covariance = difference.mean(0), np.cov(difference.T)
        assert float(found) == pytest.approx(mean @ np.linalg.inv(covariance) @ mean, rel=1e-6)


def test_times_q_it_has_its_distribution() -> None:
    values = RENUMBERINGS * statistic(*drawn(4_000)).numpy()
    f = values * (RENUMBERINGS - OUTPUTS) / ((RENUMBERINGS - 1) * OUTPUTS)
    assert stats.kstest(f, stats.f(OUTPUTS, RENUMBERINGS - OUTPUTS).cdf).pvalue > 1e-5
    assert not told_apart(*drawn(4_000)).any()  # without q: no false alarm in thousands


def test_differences_that_are_decided() -> None:
    first = torch.randn(1, 1, OUTPUTS, dtype=torch.float64).expand(3, RENUMBERINGS, -1)
    size = float(first.square().mean().sqrt())
    step = torch.zeros(3, 1, OUTPUTS, dtype=torch.float64)
    step[:, 0, 0] = torch.tensor([0.0, 0.9, 1.1]) * LEAST_DIFFERENCE * size
    assert told_apart(first, first + step).tolist() == [False, False, True]
    # Rounding that has a mean of its own in each of two graphs.
    noise = 1e-15 * (1 + torch.randn_like(first))
    assert not told_apart(first, first + noise).any()
    assert float(statistic(first, first)[0]) == 0


def test_sizes_do_not_matter() -> None:
    first, second = drawn(3, shift=0.5)
    for scale in (1e-20, 1e12):
        assert torch.allclose(statistic(scale * first, scale * second), statistic(first, second), rtol=1e-9)
    nothing = torch.zeros_like(first)
    assert statistic(nothing, nothing).tolist() == [0, 0, 0]
    assert FLOOR > 1e-8
