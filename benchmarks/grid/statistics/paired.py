"""Does an encoding help? Paired tests against the column without one, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


def paired_t(differences: Sequence[float]) -> float:
    """Two-sided p-value that paired differences have mean zero (Student's t); nan for fewer than two.

    Differences that are all equal have no spread to compare with: 1 if they are zero, else 0.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2:
        return math.nan
    if np.ptp(values) == 0:
        return 1.0 if values[0] == 0 else 0.0
    return float(stats.ttest_1samp(values / np.abs(values).max(), 0.0).pvalue)  # squares of huge ones would overflow


def interval(values: Sequence[float], level: float = 0.95) -> float:
    """Half the width of the interval in which Student's t has the mean of numbers; nan for fewer than two.

    Args:
        values: The numbers.
        level: The share of such intervals that hold the mean, if the numbers are normal.
    """
    if len(values) < 2:
        return math.nan
    spread = float(np.std(np.asarray(values, dtype=float), ddof=1))
    return float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * spread / math.sqrt(len(values))


def sign_flips(differences: Sequence[Sequence[float]], *, draws: int = 20_000, seed: int = 0) -> float:
    """Two-sided p-value of a permutation test: each pair could as well have stood the other way round.

    Differences of one block (a model) are on one scale, which may differ from that of another: each block is divided by
    the root of its mean square. Every sign pattern is tried where there are at most `draws`, else so many are drawn.
    For fewer than two pairs it is nan.

    Args:
        differences: Paired differences of each block.
        draws: Patterns to draw.
        seed: Of the drawing.
    """
    if sum(map(len, differences)) < 2:
        return math.nan
    scaled = [np.asarray(block, dtype=float) for block in differences if len(block)]
    scaled = [block / scale for block in scaled if (scale := math.hypot(*block) / math.sqrt(len(block))) > 0]
    if not scaled:
        return 1.0
    values = np.sort(np.concatenate(scaled))  # drawn patterns are those of the numbers, whatever order models have
    if len(values) < 2:  # one difference is as far from zero with either sign
        return 1.0
    test = stats.permutation_test(
        (values,),
        lambda flipped, axis: np.abs(flipped.sum(axis=axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        alternative="greater",
        random_state=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): the chance of any false positive stays below the level.

    Where there was nothing to test, nan stays nan and does not count.
    """
    values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    corrected = np.full(len(values), np.nan)
    largest = 0.0
    for rank, index in enumerate(known[np.argsort(values[known])]):
        largest = max(largest, min(1.0, (len(known) - rank) * values[index]))
        corrected[index] = largest
    return corrected.tolist()
