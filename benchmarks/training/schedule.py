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
    step: int, *, schedule: Schedule = "cosine", peak: float, warmup_steps: int, total_steps: int, halvings: int = 0
) -> float:
    """Linear warm-up, then as the schedule says.

    The first of `warmup_steps` steps uses `peak / warmup_steps`, not zero: no step is spent on nothing.

    Args:
        step: Steps already made.
        peak: The largest rate.
        warmup_steps: Length of the warm-up; cut to the run's length where it is longer.
        total_steps: Steps of the whole run.
        schedule: What follows the warm-up.
        halvings: How often a plateau was met so far.
    """
    warmup_steps = min(warmup_steps, total_steps)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule in ("plateau", "constant"):
        return peak * 0.5**halvings
    progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
    return peak * (1.0 - progress) if schedule == "linear" else peak * 0.5 * (1.0 + math.cos(math.pi * progress))


def plateau_halvings(losses: Sequence[float], patience: int) -> int:
    """How often the rate is halved: after more than `patience` epochs without a loss 0.01 % below the least one.

    A function of the losses alone, so that a resumed run has the rates of an uninterrupted one.

    Args:
        losses: Validation losses of the epochs so far.
        patience: Epochs that may pass.
    """
    least, stale, halvings = math.inf, 0, 0
    for loss in losses:
        if loss < least * _BETTER:
            least, stale = loss, 0
        else:
            stale += 1
        if stale > patience:
            halvings, stale = halvings + 1, 0
    return halvings


def step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """A seed of its own for each step.

    Randomness inside a step (dropout, random signs) depends on where the run is, not on what ran before: a run that was
    killed and resumed at any step draws the same numbers as one that was never interrupted.
    """
    return int(np.random.SeedSequence((seed, epoch, step, rank)).generate_state(1, np.uint64)[0])
