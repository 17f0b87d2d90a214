"""The learning rate and the seed of every step, as functions of where the run is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphpe.benchmarks.training.config import Schedule

LEAST_RATE = 1e-6
"""A run on a plateau ends below this rate, as those of Dwivedi and Bresson (2021)."""

_BETTER = 1 - 1e-4  # as `torch.optim.lr_scheduler.ReduceLROnPlateau`


def learning_rate(
    step: int,
    *,
    schedule: Schedule = "cosine",
    peak: float,
    least: float = 0.0,
    warmup_steps: int,
    total_steps: int,
    restart_steps: int = 1000,
    restart_factor: int = 1,
    reductions: int = 0,
    plateau_factor: float = 0.5,
) -> float:
    """Linear warm-up, then as the schedule says.

    The first of `warmup_steps` steps uses `peak / warmup_steps`, not zero: no step is spent on nothing.

    Args:
        step: Steps already made.
        peak: The largest rate.
        least: What it falls to, `eta_min` or `min_lr` of torch's schedulers.
        warmup_steps: Length of the warm-up; cut to the run's length where it is longer.
        total_steps: Steps of the whole run.
        schedule: What follows the warm-up.
        restart_steps: Steps of the first cosine of `cosine_restarts`.
        restart_factor: How many times longer each cosine is than the one before.
        reductions: How often a plateau was met so far.
        plateau_factor: What each plateau multiplies the rate by.
    """
    warmup_steps = min(warmup_steps, total_steps)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant":
        return peak
    if schedule == "plateau":
        return max(peak * plateau_factor**reductions, least)
    if schedule == "cosine_restarts":
        progress = _since_restart(step - warmup_steps, restart_steps, restart_factor)
    else:
        progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
    share = 1.0 - progress if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return least + (peak - least) * share


def _since_restart(step: int, length: int, factor: int) -> float:
    """How much of the cosine under way is behind (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
    if factor == 1:
        return step % length / length
    while step >= length:
        step, length = step - length, length * factor
    return step / length


def plateau_reductions(losses: Sequence[float], patience: int) -> int:
    """How often the rate is reduced: after more than `patience` epochs without a loss 0.01 % below the least one.

    A function of the losses alone, so that a resumed run has the rates of an uninterrupted one.

    Args:
        losses: Validation losses of the epochs so far.
        patience: Epochs that may pass.
    """
    least, stale, reductions = math.inf, 0, 0
    for loss in losses:
        if loss < least * _BETTER:
            least, stale = loss, 0
        else:
            stale += 1
        if stale > patience:
            reductions, stale = reductions + 1, 0
    return reductions


def step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """A seed of its own for each step.

    Randomness inside a step (dropout, random signs) depends on where the run is, not on what ran before: a run that was
    killed and resumed at any step draws the same numbers as one that was never interrupted.
    """
    return int(np.random.SeedSequence((seed, epoch, step, rank)).generate_state(1, np.uint64)[0])
