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
    values = np.concatenate(scaled)
    observed = abs(values.sum())
    if 2 ** len(values) <= draws:
        bits = (np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ values) >= observed - 1e-12))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(values)))
    return float((1 + np.sum(np.abs(signs @ values) >= observed - 1e-12)) / (draws + 1))


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


def mean_ranks(scores: Sequence[Sequence[float]]) -> list[float]:
    """Mean rank of each column over rows, 1 for the largest score; nan scores get no rank, ties the mean of theirs."""
    rows = []
    for row in np.asarray(scores, dtype=float):
        known = ~np.isnan(row)
        ranks = np.full(len(row), np.nan)
        ranks[known] = stats.rankdata(-row[known])
        rows.append(ranks)
    table = np.array(rows).reshape(len(rows), -1)
    return [float(np.mean(column[~np.isnan(column)])) if (~np.isnan(column)).any() else np.nan for column in table.T]
