from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from graphpe.benchmarks.grid.results import Combination, Run, combine
from graphpe.benchmarks.grid.statistics.effects import (
    bootstrap_t,
    cell_effects,
    column_effects,
    mean_interval,
    overall_effects,
    standardised_difference,
    tuning_effects,
)

RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)


def combinations(values: dict[tuple[str, str], list[float]], **options: object) -> list[Combination]:
    made = [
        replace(RUN, encoding=encoding, model=model, seed=seed, test=value, **options)  # type: ignore[arg-type]
        for (encoding, model), tests in values.items()
        for seed, value in enumerate(tests)
    ]
    return combine(made, [])


def test_an_effect_is_paired_and_positive_where_it_helps() -> None:
    none, ours = [0.5, 0.6, 0.8, 0.55], [0.4, 0.45, 0.5, 0.5]
    (effect,) = cell_effects(combinations({("none", "GINE"): none, ("good", "GINE"): ours}))
    differences = np.subtract(none, ours)  # less is better
    low, high = stats.t.interval(0.95, 3, loc=differences.mean(), scale=stats.sem(differences))
    assert (effect.row, effect.setup, effect.metric, effect.seeds) == ("good", "GINE", "MAE", 4)
    assert effect.difference == pytest.approx(differences.mean())
    assert (effect.low, effect.high) == pytest.approx((low, high))
    assert effect.standardised > 0
    (other,) = cell_effects(combinations({("none", "GINE"): none, ("good", "GINE"): ours}, maximize=True))
    assert other.difference == pytest.approx(-effect.difference)


def test_seeds_that_only_one_has_have_no_part() -> None:
    found = combinations({("none", "GINE"): [0.5, 0.6, 0.9], ("good", "GINE"): [0.4, math.nan, 0.8, 0.1]})
    (effect,) = cell_effects(found)
    assert effect.seeds == 2
    assert effect.difference == pytest.approx(0.1)
    assert cell_effects(combinations({("good", "GINE"): [0.4]})) == []


def test_the_mean_over_models_is_over_seeds() -> None:
    found = combinations(
        {
            **{("none", "GINE"): [1.0, 2.0, 3.0], ("none", "GPS"): [5.0, 6.0, 7.0]},
            **{("good", "GINE"): [0.5, 1.0, 2.0], ("good", "GPS"): [5.0, 5.5, 8.0]},
        }
    )
    (effect,) = column_effects(found)
    by_seed = [(0.5 + 0.0) / 2, (1.0 + 0.5) / 2, (1.0 - 1.0) / 2]
    assert effect.setup == ""
    assert effect.difference == pytest.approx(np.mean(by_seed))
    assert (effect.low, effect.high) == pytest.approx(mean_interval(by_seed))


def test_hedges_g_by_hand() -> None:
    ours, theirs = [0.9, 0.8, 0.7], [0.5, 0.6, 0.4]
    unit = math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 2)
    # J of four degrees of freedom: Gamma(2) / (sqrt 2 Gamma(1.5)) = 0.7979; Hedges' approximation 1 - 3 / (4 f - 1).
    assert standardised_difference(ours, theirs) == pytest.approx(0.797885 * 0.3 / unit, rel=1e-5)
    assert math.isnan(standardised_difference([0.5], [0.4]))
    assert math.isnan(standardised_difference([0.5, 0.5], [0.4, 0.4]))


def test_g_has_no_bias() -> None:
    rng = np.random.default_rng()
    ours, theirs = rng.normal(1.5, 1.0, size=(4000, 4)), rng.normal(0.0, 1.0, size=(4000, 4))
    found = [standardised_difference(a, b) for a, b in zip(ours.tolist(), theirs.tolist(), strict=True)]
    assert np.mean(found) == pytest.approx(1.5, abs=0.08)


def test_percentile_t_goes_through_all_resamples() -> None:
    values = np.array([0.1, 0.5, 0.45, 0.9])
    drawn = np.array(list(itertools.product(values, repeat=4)))
    with np.errstate(divide="ignore"):
        t = np.sort((drawn.mean(1) - values.mean()) / (drawn.std(1, ddof=1) / 2))
    low, high = bootstrap_t(values.tolist())
    own = values.std(ddof=1) / 2
    assert any(low == pytest.approx(values.mean() - each * own) for each in t[-9:-4])  # the 97.5 % of 256
    assert any(high == pytest.approx(values.mean() - each * own) for each in t[4:9])
    assert all(map(math.isnan, bootstrap_t([0.1, 0.2, 0.4])))
    assert bootstrap_t([0.3] * 5) == pytest.approx((0.3, 0.3))


def test_intervals_of_normal_differences_hold_their_level() -> None:
    rng = np.random.default_rng()
    for count in (3, 5):
        held = [low <= 1 <= high for low, high in map(mean_interval, rng.normal(1.0, 2.0, size=(3000, count)).tolist())]
        assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    assert all(map(math.isnan, mean_interval([0.4])))


def test_over_tasks_no_scale_outweighs_another() -> None:
    first = combinations({("none", "GINE"): [1.0, 1.0], ("good", "GINE"): [0.5, 0.5], ("odd", "GINE"): [1.0, 1.0]})
    second = combinations(
        {("none", "GINE"): [1000.0, 1000.0], ("good", "GINE"): [2000.0, 2000.0]}, maximize=True, task="other"
    )
    (effect,) = overall_effects([first, second])
    assert (effect.row, effect.tasks, effect.cells, effect.better) == ("good", 2, 2, 2)
    assert effect.gain == pytest.approx(0.5)  # half the error, twice the score
    assert (effect.low, effect.high) == pytest.approx((0.5, 0.5))
    assert overall_effects([first]) == []


def test_tuned_against_untuned() -> None:
    given = combinations({("none", "GINE"): [0.5, 0.6, 0.7]})
    (drawn,) = combinations({("none", "GINE"): [0.4, 0.4, 0.4]}, options={"clip": 0.5}, drawn=True)
    (effect,) = tuning_effects([*given, replace(drawn, chosen_from=8)])
    assert (effect.untuned, effect.tuned, effect.seeds, effect.drawn_from) == (
        pytest.approx(0.6),
        pytest.approx(0.4),
        3,
        8,
    )
    assert effect.difference == pytest.approx(0.2)
    assert tuning_effects([replace(drawn, chosen_from=8)]) == []
