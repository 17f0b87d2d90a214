"""How much an encoding changes, not only whether: differences from none in the task's own metric, with intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from graphpe.benchmarks.grid.results import Combination, base_of
from graphpe.benchmarks.grid.statistics.paired import interval
from graphpe.benchmarks.grid.statistics.ranks import mean_ranks


@dataclass(frozen=True)
class Effect:
    """What a column changes, against none in the same model, on one task.

    Attributes:
        task: The task.
        row: The column as tables name it.
        setup: The model, with its options; empty for the mean over all models that have both.
        metric: The metric that `difference` and the intervals are in.
        seeds: Seeds that both have.
        difference: Mean over these of the paired difference; positive is better, whichever way the metric goes.
        low: Lower end of its 95 % interval; nan for fewer than two seeds.
        high: Upper end.
        bootstrap: The ends by percentile-t, as a check; nan for fewer than four seeds.
        standardised: `standardised_difference`; for all models the median of theirs, since one that hardly varies over
            seeds has a huge one.
    """

    task: str
    row: str
    setup: str
    metric: str
    seeds: int
    difference: float
    low: float
    high: float
    bootstrap: tuple[float, float]
    standardised: float


@dataclass(frozen=True)
class OverallEffect:
    """What a column changes over several tasks, whose metrics have no common unit.

    Attributes:
        row: The column as tables name it.
        tasks: Tasks on which it can be compared.
        cells: Models of these; the same model counts once a task.
        better: In how many of them it is better than none, in the mean over seeds.
        gain: Mean over tasks of the mean over models of the relative gain. It is a share, at most 1 for metrics that
            are not negative, and the other way round where the columns are exchanged, so that no task outweighs the
            others.
        low: Lower end of its 95 % interval over tasks; nan for one task.
        high: Upper end.
    """

    row: str
    tasks: int
    cells: int
    better: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class RelativeGain:
    """What a column changes in one model on one task, as a share.

    Attributes:
        row: The column as tables name it.
        setup: The model, with its options.
        gain: The difference of the means over seeds from those of none, divided by the larger of the two; positive is
            better.
    """

    row: str
    setup: str
    gain: float


@dataclass(frozen=True)
class TuningEffect:
    """What the search of options gave one model and column: the setting that validation chose against the given one.

    Attributes:
        task: The task.
        encoding: The column.
        model: The model.
        seeds: Seeds that both have.
        untuned: Mean test metric of the options as they were given.
        tuned: That of the setting that validation chose among the drawn ones.
        difference: Mean paired difference over seeds; positive where tuning helps.
        low: Lower end of its 95 % interval.
        high: Upper end.
        drawn_from: Settings that were drawn.
    """

    task: str
    encoding: str
    model: str
    seeds: int
    untuned: float
    tuned: float
    difference: float
    low: float
    high: float
    drawn_from: int


def mean_interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences over seeds: Student's t; nan for fewer than two.

    Which interval holds its level for 3 to 10 seeds was simulated (`python -m graphpe.benchmarks.measure.intervals`,
    its table in `benchmarks/results/intervals.md`): of normal, heavy-tailed and skewed differences, and of seeds that
    sometimes fail, Student's holds the mean in 92 to 97 % for three seeds, 91 to 97 % for five and 88 to 96 % for ten.
    BCa holds it in 65 to 70 % for three seeds, 76 to 83 % for five, 80 to 89 % for ten; the percentile bootstrap
    likewise. Whatever resamples the mean without its spread stays between the smallest and the largest difference, and
    those hold the median in 1 - 2^(1 - n) of all cases: 75 % for three seeds. Percentile-t has no finite interval for
    three; for four and five it is twice and a third wider than Student's, and better by one to three points where
    differences are skewed, which those of two runs with one seed are least. It stands beside, in `effects.csv`
    (`bootstrap_t`).

    Args:
        differences: Of each seed, finite.
    """
    half = interval(differences)
    mean = float(np.mean(differences)) if len(differences) else math.nan
    return mean - half, mean + half


def bootstrap_t(
    differences: Sequence[float], *, level: float = 0.95, draws: int = 4_999, seed: int = 0
) -> tuple[float, float]:
    """The percentile-t bootstrap interval of a mean (Efron 1982): the mean's t-statistic has its own distribution.

    Resamples give t* = (mean* - mean) / (s* / sqrt n), whose quantiles stand where Student's stand in the usual
    interval. All n^n resamples for up to five numbers, else so many. Resamples of one number n times have no spread:
    with fewer than four numbers they are more than 2.5 % at each end, and the interval is nan.

    Args:
        differences: The numbers.
        level: The share of such intervals that should hold the mean.
        draws: Resamples.
        seed: Of their drawing.
    """
    values = np.asarray(differences, dtype=float)
    count = len(values)
    if count < 4 or np.ptp(values) == 0:
        return (float(values[0]),) * 2 if count >= 4 else (math.nan, math.nan)
    if count <= 5:
        places = np.array(list(itertools.product(range(count), repeat=count)))
    else:
        places = np.random.default_rng(seed).integers(0, count, (draws, count))
    resamples = (values - values.mean())[places]
    spread = resamples.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = resamples.mean(axis=1) / (spread / math.sqrt(count))
    statistic[np.isnan(statistic)] = 0.0  # one number n times, which is the mean
    tail = (1 - level) / 2
    low, high = np.quantile(statistic, [tail, 1 - tail], method="closest_observation")
    own = float(values.std(ddof=1)) / math.sqrt(count)
    return float(values.mean() - high * own), float(values.mean() - low * own)


def standardised_difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The difference of two means in units of the spread over seeds: Hedges' g of the average variance.

    g = J (mean_1 - mean_2) / sqrt((s_1^2 + s_2^2) / 2), with J = Gamma(f / 2) / (sqrt(f / 2) Gamma((f - 1) / 2)) for
    f = 2 (n - 1) degrees of freedom, which takes out the bias of few seeds (Hedges 1981; `d_av` in Cumming 2012).

    Not g of the paired differences, which is divided by their own spread: a seed is a label, and how much two runs
    share by it (the order of batches, not the weights of different encoders) differs from pair to pair, so that this
    unit would mean another thing in each row; and with three seeds it has two degrees of freedom, with which g has no
    finite variance.

    Args:
        ours: Of each seed that both have.
        theirs: The same seeds.

    Returns:
        nan for fewer than two seeds, or where neither has any spread.
    """
    count = len(ours)
    if count < 2:
        return math.nan
    first, second = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    unit = math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    if unit == 0 or not math.isfinite(unit):
        return math.nan
    freedom = 2 * (count - 1)
    unbiased = math.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    return unbiased * float(first.mean() - second.mean()) / unit


def partner_of(combination: Combination, combinations: Sequence[Combination]) -> Combination | None:
    """The same model without an encoding; None for that itself, and where there is none."""
    base = base_of(combinations)
    if combination.row == base:
        return None
    # Options that only the column of the encoding has are part of it.
    return next((each for each in combinations if each.row == base and each.setup == combination.setup), None)


def paired_scores(combination: Combination, other: Combination | None) -> dict[int, tuple[float, float]]:
    """By seed that both have: the two test metrics, the larger the better, where their difference is finite."""
    if other is None:
        return {}
    sign = 1 if combination.runs[0].maximize else -1
    mine, theirs = combination.by_seed, other.by_seed
    pairs = {seed: (sign * mine[seed], sign * theirs[seed]) for seed in mine if seed in theirs}
    return {seed: pair for seed, pair in pairs.items() if math.isfinite(pair[0] - pair[1])}


def differences_from_none(combination: Combination, combinations: Sequence[Combination]) -> list[float]:
    """How much better it is than the same model without an encoding, for each seed that both have."""
    pairs = paired_scores(combination, partner_of(combination, combinations))
    return [ours - theirs for ours, theirs in pairs.values()]


def cell_effects(combinations: Sequence[Combination]) -> list[Effect]:
    """The effect of each column in each model of one task; those that cannot be compared are left out."""
    found = []
    for each in combinations:
        pairs = paired_scores(each, partner_of(each, combinations))
        if pairs:
            differences = [ours - theirs for ours, theirs in pairs.values()]
            standardised = standardised_difference(*zip(*pairs.values(), strict=True))
            found.append(_effect(each, each.setup, differences, standardised))
    return found


def column_effects(combinations: Sequence[Combination]) -> list[Effect]:
    """The effect of each column in the mean over the models of one task, over the seeds that all of them have.

    Models are those of this grid, and not drawn from others: the interval says what other seeds would give.
    """
    found = []
    for row in dict.fromkeys(each.row for each in combinations):
        mine = [each for each in combinations if each.row == row]
        pairs = [both for each in mine if (both := paired_scores(each, partner_of(each, combinations)))]
        shared = [seed for seed in (pairs[0] if pairs else ()) if all(seed in each for each in pairs)]
        if not shared:
            continue
        by_seed = [float(np.mean([each[seed][0] - each[seed][1] for each in pairs])) for seed in shared]
        units = [standardised_difference(*zip(*each.values(), strict=True)) for each in pairs]
        known = [unit for unit in units if math.isfinite(unit)]
        found.append(_effect(mine[0], "", by_seed, float(np.median(known)) if known else math.nan))
    return found


def relative_gains(combinations: Sequence[Combination]) -> list[RelativeGain]:
    """The relative gain of each column in each model of one task; those that cannot be compared are left out."""
    found = []
    for each in combinations:
        if pairs := paired_scores(each, partner_of(each, combinations)):
            ours, theirs = np.mean(list(pairs.values()), axis=0).tolist()
            larger = max(abs(ours), abs(theirs))
            found.append(RelativeGain(each.row, each.setup, (ours - theirs) / larger if larger else 0.0))
    return found


def overall_effects(tasks: Sequence[Sequence[Combination]]) -> list[OverallEffect]:
    """The relative gain of each column over tasks, of columns that can be compared on two of them.

    Tasks are what is drawn: the interval over them says what other tasks like these would give, so that many seeds or
    models of few tasks do not narrow it.

    Args:
        tasks: The combinations of each task.
    """
    of_rows: dict[str, list[list[float]]] = {}
    for combinations in tasks:
        mine: dict[str, list[float]] = {}
        for each in relative_gains(combinations):
            mine.setdefault(each.row, []).append(each.gain)
        for row, gains in mine.items():
            of_rows.setdefault(row, []).append(gains)
    found = []
    for row, several in of_rows.items():
        if len(several) > 1:
            means = [float(np.mean(gains)) for gains in several]
            flat = [gain for gains in several for gain in gains]
            better = sum(gain > 0 for gain in flat)
            found.append(
                OverallEffect(row, len(several), len(flat), better, float(np.mean(means)), *mean_interval(means))
            )
    return found


def tuning_effects(combinations: Sequence[Combination]) -> list[TuningEffect]:
    """What tuning gave: where there are both, the drawn setting that was chosen against the given one."""
    given = {
        (each.task, each.encoding, each.model): each
        for each in combinations
        if not each.drawn and not each.chosen_from and not each.options
    }
    found = []
    for each in combinations:
        untuned = given.get((each.task, each.encoding, each.model))
        if not each.drawn or untuned is None:
            continue
        differences = [ours - theirs for ours, theirs in paired_scores(each, untuned).values()]
        mean = float(np.mean(differences)) if differences else math.nan
        means = untuned.mean(), each.mean()
        ends = mean_interval(differences)
        key = each.task, each.encoding, each.model
        found.append(TuningEffect(*key, len(differences), *means, mean, *ends, each.chosen_from))
    return found


@dataclass(frozen=True)
class ColumnRank:
    """What a column did on one task, over models and seeds.

    Attributes:
        row: The column as tables name it.
        rank: Mean rank over models, 1 for the best column.
        better: Models that it makes better than no encoding, in the mean over seeds.
        models: Models that have both.
    """

    row: str
    rank: float
    better: int
    models: int


def scores_of(combinations: Sequence[Combination]) -> dict[str, dict[str, float]]:
    """By setup and row: the mean test metric, the larger the better; what has no finite mean is left out."""
    found: dict[str, dict[str, float]] = {}
    for each in combinations:
        sign = 1 if each.runs[0].maximize else -1
        if math.isfinite(each.mean()):
            found.setdefault(each.setup, {})[each.row] = sign * each.mean()
    return found


def column_ranks(combinations: Sequence[Combination]) -> list[ColumnRank]:
    """The mean rank of each column over the models of one task."""
    rows = list(dict.fromkeys(each.row for each in combinations))
    scores = scores_of(combinations)
    ranks = mean_ranks([[of.get(row, math.nan) for row in rows] for of in scores.values()] or [[math.nan] * len(rows)])
    compared: Mapping[str, list[float]] = {row: [] for row in rows}
    for each in combinations:
        if differences := differences_from_none(each, combinations):
            compared[each.row].append(sum(differences))
    return [
        ColumnRank(row, rank, sum(total > 0 for total in compared[row]), len(compared[row]))
        for row, rank in zip(rows, ranks, strict=True)
    ]


def _effect(of: Combination, setup: str, differences: Sequence[float], standardised: float) -> Effect:
    mean = float(np.mean(differences))
    ends = mean_interval(differences)
    return Effect(
        of.task,
        of.row,
        setup,
        of.runs[0].metric,
        len(differences),
        mean,
        *ends,
        bootstrap_t(differences),
        standardised,
    )
