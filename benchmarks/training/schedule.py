"""The learning rate and the seed of every step, as functions of where the run is."""

from __future__ import annotations

import math

import numpy as np


def learning_rate(step: int, *, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Linear warm-up, then half a cosine to zero.

    The first of `warmup_steps` steps uses `peak / warmup_steps`, not zero: no step is spent on nothing.

    Args:
        step: Steps already made.
        peak: The largest rate.
        warmup_steps: Length of the warm-up; cut to the run's length where it is longer.
        total_steps: Steps of the whole run.
    """
    warmup_steps = min(warmup_steps, total_steps)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """A seed of its own for each step.

    Randomness inside a step (dropout, random signs) depends on where the run is, not on what ran before: a run that was
    killed and resumed at any step draws the same numbers as one that was never interrupted.
    """
    return int(np.random.SeedSequence((seed, epoch, step, rank)).generate_state(1, np.uint64)[0])
