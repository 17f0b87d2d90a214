from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from graphpe.benchmarks.grid.statistics.power import detectable, deviation_interval, power_of_paired_t


@pytest.mark.parametrize(("seeds", "effect", "level"), [(3, 4.0, 0.05), (5, 1.5, 0.05), (10, 2.0, 0.001)])
def test_power_is_that_of_its_integral(seeds: int, effect: float, level: float) -> None:
    # Given the estimated deviation s, the mean must pass t s / sqrt n; chi-square of s integrated out.
    threshold, freedom = stats.t.isf(level / 2, seeds - 1), seeds - 1

    def given(square: float) -> float:
        needed = threshold * math.sqrt(square / freedom) - math.sqrt(seeds) * effect
        return float(stats.norm.sf(needed) * stats.chi2.pdf(square, freedom))

    expected, _ = integrate.quad(given, 0, np.inf)
    assert power_of_paired_t(effect, 1.0, seeds, level=level) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("seeds", "comparisons"), [(3, 1), (5, 4), (10, 20)])
def test_the_detectable_difference_is_found_four_times_in_five(seeds: int, comparisons: int) -> None:
    deviation, runs = 0.3, 40_000
    least = detectable(deviation, seeds, comparisons=comparisons)
    draws = np.random.default_rng().normal(least, deviation, size=(runs, seeds))
    p_values = stats.ttest_1samp(draws, 0.0, axis=1).pvalue
    assert np.mean(p_values < 0.05 / comparisons) == pytest.approx(0.8, abs=0.02)


def test_more_seeds_detect_less_and_more_comparisons_need_more() -> None:
    least = [detectable(1.0, seeds, comparisons=10) for seeds in (3, 5, 10, 20)]
    assert least == sorted(least, reverse=True)
    # Of many seeds it is that of normal numbers: (z_alpha + z_power) / sqrt n.
    normal = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) / math.sqrt(1000)
    assert detectable(1.0, 1000, comparisons=1) == pytest.approx(normal, rel=0.002)
    assert detectable(1.0, 3, comparisons=200) > 2 * detectable(1.0, 3, comparisons=20)
    assert detectable(0.0, 3, comparisons=5) == 0


def test_a_deviation_lies_in_its_interval() -> None:
    draws = np.random.default_rng().normal(0, 2.0, size=(20_000, 6)).std(axis=1, ddof=1)
    ends = np.array([deviation_interval(float(each), 5) for each in draws[:4000]])
    assert np.mean((ends[:, 0] <= 2) & (ends[:, 1] >= 2)) == pytest.approx(0.95, abs=0.02)
