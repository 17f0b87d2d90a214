"""Ranks of columns over many tasks: do they differ at all (Friedman), and which are not told apart (Nemenyi)?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

LEAST_BLOCKS = 2
LEAST_COLUMNS = 3


@dataclass(frozen=True)
class Friedman:
    """Whether columns differ in rank over blocks.

    Attributes:
        chi2: Friedman's statistic, corrected for ties.
        f: That of Iman and Davenport, F with `k - 1` and `(k - 1)(N - 1)` degrees of freedom; infinite where all blocks
            agree.
        p_asymptotic: The p-value of `f` by the F distribution.
        p_value: That of the same statistic by permutations within blocks, which holds for few blocks, too.
    """

    chi2: float
    f: float
    p_asymptotic: float
    p_value: float


@dataclass(frozen=True)
class Ranking:
    """Columns by their mean rank over blocks.

    Attributes:
        columns: The best first.
        ranks: Their mean ranks, 1 for a column that is the best in every block.
        blocks: What they were ranked in: a task and a model each.
        left_out: Columns, and blocks, that were left out since not every column has a result in every block.
        friedman: Whether they differ.
        critical_difference: Of mean ranks, by Nemenyi at 5 %: smaller differences are not told from chance.
        groups: Places (first and last, from 0) of the largest sets of neighbours that are not told apart.
    """

    columns: tuple[str, ...]
    ranks: tuple[float, ...]
    blocks: tuple[str, ...]
    left_out: tuple[str, ...]
    friedman: Friedman
    critical_difference: float
    groups: tuple[tuple[int, int], ...]


def mean_ranks(scores: Sequence[Sequence[float]]) -> list[float]:
    """Mean rank of each column over rows, 1 for the largest score; nan scores get no rank, ties the mean of theirs."""
    return pd.DataFrame(scores, dtype=float).rank(axis=1, ascending=False).mean().tolist()


def friedman(scores: np.ndarray, *, draws: int = 20_000, seed: int = 0) -> Friedman:
    """Do columns differ in rank by more than chance?

    With mean ranks R_j of k columns over N blocks, chi2 = 12 N / (k (k + 1)) sum_j (R_j - (k + 1) / 2)^2, divided by
    the share of ranks that is left of ties (Friedman 1937), and F = (N - 1) chi2 / (N (k - 1) - chi2) (Iman &
    Davenport 1980), which is less conservative. F's distribution is that of many blocks: two blocks that agree on three
    columns happen once in six by chance, and F calls that p = 0. So `p_value` is the share of permutations within
    blocks whose statistic is as large, the one that was seen among them. Time O(draws N k).

    Args:
        scores: `[N, k]`, the larger the better, all finite.
        draws: Permutations.
        seed: Of their drawing.
    """
    blocks, columns = scores.shape
    ranks = stats.rankdata(-scores, axis=1)
    centred = ranks - (columns + 1) / 2
    spread = float((centred**2).sum())  # N k (k^2 - 1) / 12 without ties
    if spread == 0:  # all equal in every block
        return Friedman(0.0, 0.0, 1.0, 1.0)

    def statistic(of: np.ndarray) -> np.ndarray:
        return blocks * (columns - 1) * (of.mean(-2) ** 2).sum(-1) * blocks / spread

    chi2 = float(statistic(centred))
    left = blocks * (columns - 1) - chi2
    freedom = columns - 1, (columns - 1) * (blocks - 1)
    f = (blocks - 1) * chi2 / left if left > 1e-9 * chi2 else math.inf
    rng = np.random.default_rng(seed)
    centred = np.sort(centred, axis=1)  # what is drawn hangs on no order of blocks and columns
    centred = centred[np.lexsort(centred.T)]
    as_large, done = 1, 1
    while done <= draws:
        some = min(max(1, (1 << 20) // centred.size), draws - done + 1)
        drawn = rng.permuted(np.broadcast_to(centred, (some, *centred.shape)), axis=2)
        as_large += int((statistic(drawn) >= chi2 * (1 - 1e-9)).sum())
        done += some
    return Friedman(chi2, f, float(stats.f.sf(f, *freedom)), as_large / done)


def critical_difference(columns: int, blocks: int, *, level: float = 0.05) -> float:
    """By how much the mean ranks of two columns must differ, all pairs of columns compared at once (Nemenyi 1963).

    q sqrt(k (k + 1) / (6 N)), q the quantile of the studentised range of k means with infinitely many degrees of
    freedom, divided by sqrt 2 (Demsar 2006, table 5).

    Args:
        columns: Their number k.
        blocks: Their number N.
        level: Chance that any pair of equal columns differs by so much.
    """
    quantile = float(stats.studentized_range.ppf(1 - level, columns, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(columns * (columns + 1) / (6 * blocks))


def not_told_apart(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """First and last place of the largest sets of neighbours whose ranks differ by less than a difference.

    Args:
        ranks: Mean ranks, ascending.
        difference: The critical one.
    """
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(place for place, other in enumerate(ranks) if other - rank < difference)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def ranking(scores: Mapping[str, Mapping[str, float]]) -> Ranking | str:
    """Columns ranked over blocks, or one line that says why they cannot be.

    Every column needs a result in every block. Where some are missing, the column or block with the largest share of
    them is left out until none is.

    Args:
        scores: By block and column, the larger the better; what is not finite is missing.
    """
    frame = pd.DataFrame.from_dict({block: dict(row) for block, row in scores.items()}, orient="index", dtype=float)
    frame = frame.where(np.isfinite(frame))
    left_out: list[str] = []
    while frame.size and (missing := frame.isna()).to_numpy().any():
        of_columns, of_blocks = missing.mean(axis=0), missing.mean(axis=1)
        columns_first = of_columns.max() >= of_blocks.max()
        name = (of_columns if columns_first else of_blocks).idxmax()
        left_out.append(str(name))
        frame = frame.drop(columns=name) if columns_first else frame.drop(index=name)
    blocks, columns = frame.shape
    if blocks < LEAST_BLOCKS or columns < LEAST_COLUMNS:
        return (
            f"no ranking over tasks: {columns} columns have results in all of {blocks} blocks (a task and a model "
            f"each), and it needs at least {LEAST_COLUMNS} columns and {LEAST_BLOCKS} blocks"
        )
    values = frame.to_numpy()
    mean = stats.rankdata(-values, axis=1).mean(0)
    order = np.argsort(mean, kind="stable")
    difference = critical_difference(columns, blocks)
    ranks = [float(mean[place]) for place in order]
    return Ranking(
        tuple(str(frame.columns[place]) for place in order),
        tuple(ranks),
        tuple(map(str, frame.index)),
        tuple(left_out),
        friedman(values),
        difference,
        tuple(not_told_apart(ranks, difference)),
    )
