from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from graphpe.benchmarks.grid.statistics import paired
from graphpe.benchmarks.grid.statistics.paired import holm, paired_t, sign_flips


def test_paired_t_is_the_paired_test_of_scipy() -> None:
    first, second = np.random.default_rng().normal(size=(2, 6))
    assert paired_t(first - second) == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert math.isnan(paired_t([0.3]))
    assert math.isnan(paired_t([]))
    assert paired_t([0.0, 0.0]) == 1.0
    assert paired_t([0.1, 0.1]) == 0.0


def test_sign_flips_count_every_pattern() -> None:
    values = np.random.default_rng().normal(0.5, 1, size=7)
    patterns = [abs(np.dot(signs, values)) for signs in itertools.product((-1, 1), repeat=7)]
    expected = np.mean([total >= abs(values.sum()) - 1e-12 for total in patterns])
    assert sign_flips([values]) == pytest.approx(expected)
    assert sign_flips([[0.0, 0.0], [0.3]]) == 1.0  # one that is not zero: either sign is as far
    assert sign_flips([[1.0, 1.0, 1.0], [0.01, 0.01, 0.01]]) == pytest.approx(2 / 2**6)  # scales do not matter
    assert sign_flips([[0.0, 0.0]]) == 1.0
    assert math.isnan(sign_flips([]))
    assert math.isnan(sign_flips([[0.1], []]))


@pytest.mark.parametrize("sizes", [(2,), (3, 4), (1, 5, 2), (12,)])
def test_sign_flips_of_several_blocks_are_those_of_their_scaled_values(
    sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(sum(sizes))
    blocks = [np.round(rng.normal(0.4, 10.0**place, size=size), 1) + 0.1 for place, size in enumerate(sizes)]
    values = np.concatenate([block / np.sqrt(np.mean(block**2)) for block in blocks])
    totals = np.array([abs(np.dot(signs, values)) for signs in itertools.product((-1, 1), repeat=len(values))])
    expected = np.mean(totals >= abs(values.sum()) - 1e-9)  # ties count
    assert sign_flips(blocks) == expected
    monkeypatch.setattr(paired, "_MOST_COUNTED", 1)
    if len(values) == 12:
        drawn = sign_flips(blocks, draws=4_000)
        assert drawn == sign_flips(blocks, draws=4_000)
        assert drawn == pytest.approx(expected, abs=0.04)


def test_thirty_pairs_have_the_p_value_of_all_their_patterns() -> None:
    # Of 30 differences that are all alike, those patterns are as far in which at most k signs differ: a binomial.
    assert sign_flips([[0.2] * 15, [3.0] * 15]) == pytest.approx(2 / 2**30, rel=1e-12)
    signs = [1.0] * 25 + [-1.0] * 5
    assert sign_flips([signs]) == pytest.approx(stats.binomtest(5, 30).pvalue, rel=1e-12)
    shifted = np.random.default_rng().normal(0.3, 1, size=36)
    assert sign_flips([shifted]) == pytest.approx(sign_flips([-shifted[::-1] * 7]), rel=1e-6)
    assert abs(sign_flips([shifted]) - paired_t(shifted)) < 0.05


def test_no_effect_is_seldom_significant() -> None:
    rng = np.random.default_rng(0)
    found = [sign_flips(rng.normal(size=(3, 3)).tolist()) < 0.05 for _ in range(400)]
    assert np.mean(found) < 0.08


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.01, math.nan, 0.03]) == pytest.approx([0.02, math.nan, 0.03], nan_ok=True)
    assert holm([]) == []
