"""Which 95 % interval of a mean holds its level over 3 to 10 seeds: how often it holds the mean, and how wide it is.

    python -m graphpe.benchmarks.measure.intervals --out benchmarks/results/intervals.md

Paired differences are drawn from distributions whose mean is known. BCa and percentile resample the mean alone,
percentile-t its t-statistic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from graphpe.benchmarks.grid.statistics.effects import bootstrap_t, mean_interval
from graphpe.benchmarks.measure.harness import Report, command, ending, parser

SEEDS = (3, 4, 5, 7, 10)
DRAWS = 1999
Draw = Callable[[np.random.Generator, int], np.ndarray]
KINDS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "difference of two exponentials (heavy tails)": (
        lambda rng, n: rng.exponential(size=n) - rng.exponential(size=n),
        0,
    ),
    "an exponential less a third of a normal (skewed)": (
        lambda rng, n: rng.exponential(size=n) - rng.normal(size=n) / 3,
        1.0,
    ),
    "normal, one in ten 5 deviations higher (some seeds fail)": (
        lambda rng, n: rng.normal(size=n) + 5 * (rng.random(n) < 0.1),
        0.5,
    ),
}
Interval = tuple[float, float]


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate, print the table, and write it where `--out` says."""
    reader = parser(str(__doc__), repeats=2000, threads=None, data=None)
    options = reader.parse_args(argv)
    report = Report(options.out)
    report.say(
        "# Intervals of a mean over few seeds",
        "",
        f"| differences | interval | {' | '.join(f'n = {count}' for count in SEEDS)} |",
        "|---" * (2 + len(SEEDS)) + "|",
    )
    for name, (draw, mean) in KINDS.items():
        rng = np.random.default_rng(options.seed)
        found = [simulate(draw, mean, count, options.repeats, rng) for count in SEEDS]
        for interval in found[0]:
            report.say(f"| {name} | {interval} | {' | '.join(each[interval] for each in found)} |")
    about = (
        f"Per cent of {options.repeats:,} intervals that hold the mean (95 is the level), and their median width in "
        "standard deviations of a normal difference. Percentile-t has no finite interval of three numbers."
    )
    report.say(*ending(about, command("intervals", argv)))


def simulate(draw: Draw, mean: float, count: int, repeats: int, rng: np.random.Generator) -> dict[str, str]:
    """How often each interval of `count` numbers holds their mean, and its median width, as text."""
    held: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for _ in range(repeats):
        values = draw(rng, count)
        for name, (low, high) in intervals(values, rng).items():
            held.setdefault(name, []).append(low <= mean <= high)
            widths.setdefault(name, []).append(high - low)
    return {
        name: f"{100 * np.mean(held[name]):.1f} ({np.median(widths[name]):.2f})"
        if math.isfinite(float(np.median(widths[name])))
        else "none"
        for name in held
    }


def intervals(values: np.ndarray, rng: np.random.Generator) -> dict[str, Interval]:
    """The intervals of one sample."""
    count = len(values)
    if count <= 4:
        places = np.array(list(itertools.product(range(count), repeat=count)))
    else:
        places = rng.integers(0, count, (DRAWS, count))
    means = values[places].mean(1)
    return {
        "Student's t": mean_interval(values.tolist()),
        "percentile-t": bootstrap_t(values.tolist(), draws=DRAWS),
        "BCa": _bca(values, means),
        "percentile": _ends(means, (0.025, 0.975)),
    }


def _bca(values: np.ndarray, means: np.ndarray) -> Interval:
    """Bias-corrected and accelerated (Efron 1987)."""
    mean, count = values.mean(), len(values)
    below = float((means < mean).mean() + (means == mean).mean() / 2)
    bias = stats.norm.ppf(min(max(below, 1e-6), 1 - 1e-6))
    without = (values.sum() - values) / (count - 1)
    apart = without.mean() - without
    acceleration = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5))
    moved = bias + stats.norm.ppf([0.025, 0.975])
    return _ends(means, stats.norm.cdf(bias + moved / (1 - acceleration * moved)))


def _ends(means: np.ndarray, shares: Sequence[float] | np.ndarray) -> Interval:
    low, high = np.quantile(means, shares)
    return float(low), float(high)


if __name__ == "__main__":
    main()
