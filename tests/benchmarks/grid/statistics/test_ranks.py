from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from graphpe.benchmarks.grid.statistics.ranks import (
    Ranking,
    critical_difference,
    friedman,
    mean_ranks,
    not_told_apart,
    ranking,
)

# Areas under the curve of four classifiers (C4.5, and with a tuned m, cf, or both) on 14 data sets: Demsar (2006),
# Statistical comparisons of classifiers over multiple data sets, table 6. Its mean ranks tell the two 0.975 apart.
DEMSAR = np.array(
    [
        *([0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967]),
        *([0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931]),
        *([0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875]),
        *([1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669]),
        *([0.972, 0.981, 0.9754, 0.9750], [0.957, 0.978, 0.946, 0.970]),
    ]
)


def test_the_example_of_demsar() -> None:
    ranks = mean_ranks(DEMSAR.tolist())
    assert ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, level=0.1) == pytest.approx(1.12, abs=0.005)
    # He does not correct for ties: chi2 = 9.28, F = 3.69 with 3 and 39 degrees of freedom.
    chi2 = 12 * 14 / (4 * 5) * (sum(rank**2 for rank in ranks) - 4 * 25 / 4)
    assert chi2 == pytest.approx(9.28, abs=0.005)
    assert 13 * chi2 / (14 * 3 - chi2) == pytest.approx(3.69, abs=0.005)
    found = friedman(DEMSAR)
    assert found.chi2 == pytest.approx(chi2, rel=0.15)  # with the correction
    assert found.chi2 > chi2
    assert found.p_value < 0.05


def test_critical_values_of_demsar() -> None:
    # Table 5: quantiles of the studentised range over sqrt 2.
    for columns, quantile in zip(
        range(2, 11), (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164), strict=True
    ):
        scale = math.sqrt(columns * (columns + 1) / 6)
        assert critical_difference(columns, 1) / scale == pytest.approx(quantile, abs=0.001)


@pytest.mark.parametrize("ties", [False, True])
def test_friedman_is_that_of_scipy(ties: bool) -> None:
    scores = np.random.default_rng().normal(size=(9, 5))
    scores = np.round(scores) if ties else scores
    found, expected = friedman(scores, draws=4_000), stats.friedmanchisquare(*scores.T)
    assert found.chi2 == pytest.approx(expected.statistic)
    assert found.f == pytest.approx(8 * expected.statistic / (9 * 4 - expected.statistic))
    assert found.p_asymptotic == pytest.approx(stats.f.sf(found.f, 4, 32))
    assert found.p_value == pytest.approx(found.p_asymptotic, abs=0.06)


def test_few_blocks_have_the_p_value_of_all_their_orders() -> None:
    agree = friedman(np.array([[3.0, 2.0, 1.0]] * 2))
    assert math.isinf(agree.f)
    assert agree.p_asymptotic == 0
    assert agree.p_value == pytest.approx(1 / 6, abs=0.01)
    scores = np.array([[4.0, 3.0, 2.0], [3.0, 4.0, 2.0], [4.0, 2.0, 3.0]])
    observed = np.square(stats.rankdata(-scores, axis=1).mean(0) - 2).sum()
    orders = [
        np.square(np.mean(each, axis=0) - 2).sum()
        for each in itertools.product(itertools.permutations((1, 2, 3)), repeat=3)
    ]
    assert friedman(scores).p_value == pytest.approx(np.mean(np.array(orders) >= observed - 1e-9), abs=0.015)
    assert friedman(np.ones((3, 4))).p_value == 1


def test_bars_join_the_largest_sets() -> None:
    assert not_told_apart([1.0, 1.4, 2.0, 3.5], 1.1) == [(0, 2)]
    assert not_told_apart([1.0, 2.0, 3.0], 1.5) == [(0, 1), (1, 2)]
    assert not_told_apart([1.0, 2.0, 3.0], 1.0) == []  # exactly the difference is told apart


def test_ranks_leave_out_what_is_missing() -> None:
    assert mean_ranks([[3.0, 1.0, 2.0], [1.0, 2.0, math.nan]]) == pytest.approx([1.5, 2.0, 2.0])
    assert mean_ranks([[1.0, 1.0]]) == [1.5, 1.5]


def test_a_ranking_is_of_what_is_complete() -> None:
    scores = {f"block {number}": {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0} for number in range(5)}
    del scores["block 4"]["a"], scores["block 4"]["b"]
    scores["block 0"]["d"] = math.nan
    found = ranking(scores)
    assert isinstance(found, Ranking)
    assert found.columns == ("a", "c", "b")
    assert found.ranks == (1.0, 2.0, 3.0)
    assert set(found.left_out) == {"block 4", "d"}
    assert found.blocks == tuple(f"block {number}" for number in range(4))
    assert found.groups == ((0, 1), (1, 2))  # the critical difference of four blocks is 1.66
    few = ranking({"one": {"a": 1.0, "b": 2.0, "c": 3.0}})
    assert isinstance(few, str)
    assert "3 columns have results in all of 1 blocks" in few
    assert isinstance(ranking({}), str)
