"""Does an encoding help? Paired tests against the column without one, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

_MOST_COUNTED = 36  # pairs: the sums of half of them are two arrays of 262,144
_TIE = 1e-9  # by which a pattern's sum is as far as the one that was seen, for each value of root mean square 1


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
    the root of its mean square. Up to 36 pairs every sign pattern counts, above so many patterns are drawn. For fewer
    than two pairs it is nan. Time and memory O(2^(pairs / 2)): tenths of a second for 36.

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
    least = abs(float(values.sum())) - _TIE * len(values)
    if len(values) <= _MOST_COUNTED:
        return _share_beyond(values, least)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (draws, len(values)))
    return (1 + int((np.abs(signs @ values) >= least).sum())) / (1 + draws)  # the one that was seen among them


def _share_beyond(values: np.ndarray, least: float) -> float:
    """The share of sign patterns whose sum is at least so far from 0: each half's sums, and of one those that reach."""
    if least <= 0:
        return 1.0
    halves = values[::2], values[1::2]  # of one scale each, since sorted
    first, second = (np.sort(_sums(half)) for half in halves)
    reached = len(second) - np.searchsorted(second, least - first)
    return 2 * int(reached.sum()) / 2 ** len(values)


def _sums(values: np.ndarray) -> np.ndarray:
    found = np.zeros(1)
    for value in values:
        found = np.concatenate((found + value, found - value))
    return found


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
