"""What a grid can find out: the smallest difference that so many seeds detect, before any of them runs."""

from __future__ import annotations

import math

from scipy import optimize, stats


def power_of_paired_t(difference: float, deviation: float, seeds: int, *, level: float) -> float:
    """Chance that a two-sided paired t-test finds a mean difference, and its direction right.

    The statistic is noncentral t with `seeds - 1` degrees of freedom and noncentrality sqrt(n) difference / deviation;
    it must pass the quantile of Student's t at `level / 2`.

    Args:
        difference: The true mean of the paired differences, positive.
        deviation: Their standard deviation.
        seeds: Their number n, at least 2.
        level: Of the test.
    """
    threshold = float(stats.t.isf(level / 2, seeds - 1))
    return float(stats.nct.sf(threshold, seeds - 1, math.sqrt(seeds) * difference / deviation))


def detectable(deviation: float, seeds: int, *, comparisons: int, level: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a paired t-test over seeds finds with this power, corrected by Holm's method.

    Holm asks level / m of the smallest of m p-values, and less of the next ones: a difference that is found at level /
    m is found whatever the other comparisons give. So this is exact where no other column differs, and cautious where
    others do.

    Args:
        deviation: Standard deviation of the paired differences.
        seeds: Number of seeds, at least 2.
        comparisons: Number m of p-values that are corrected together.
        level: Chance of any false positive among them.
        power: Chance to find it.
    """
    if deviation == 0:
        return 0.0
    of_one = level / max(comparisons, 1)

    def missing(effect: float) -> float:
        return power_of_paired_t(effect, 1.0, seeds, level=of_one) - power

    high = 1.0
    while missing(high) < 0:
        high *= 2
    return deviation * float(optimize.brentq(missing, 0.0, high, xtol=1e-9))


def deviation_interval(deviation: float, freedom: int, *, level: float = 0.95) -> tuple[float, float]:
    """Between what a standard deviation lies that was estimated from normal numbers.

    Args:
        deviation: The estimate.
        freedom: Its degrees of freedom, at least 1.
        level: Share of such intervals that hold it.
    """
    low, high = stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], freedom)
    return deviation * math.sqrt(freedom / low), deviation * math.sqrt(freedom / high)
