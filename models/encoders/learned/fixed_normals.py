"""Random numbers that are a function of where they stand: the same on every machine, in every batch, at every call."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The increment and the multipliers of SplitMix64 as signed words: torch's integers wrap around.
_STEP, _FIRST, _SECOND = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def fixed_normals(place: Tensor, columns: int, seed: int) -> Tensor:
    """Standard normal numbers `[N, columns]` in float32, each a function of its row's place, its column and a seed.

    SplitMix64 of a counter gives 24 random bits twice, the Box-Muller transform a normal number of them.

    Args:
        place: Not negative, less than 2^40, `[N]` int64.
        columns: Number of columns, less than 2^22.
        seed: From 0 to 2^64 - 1.
    """
    column = torch.arange(columns, device=place.device)
    start = (seed + 2**63) % 2**64 - 2**63  # the same bits as a signed word
    counter = place.unsqueeze(1) * 2**23 + 2 * column
    first, second = (_uniform(mixed(mixed(counter + half + _STEP) + start + _STEP)) for half in (0, 1))
    return (-2 * first.log()).sqrt() * (2 * math.pi * second).cos()


def mixed(word: Tensor) -> Tensor:
    """SplitMix64's bijection of 64-bit words, whose output bits depend on all input bits.

    Args:
        word: Words, int64.
    """
    word = (word ^ shifted(word, 30)) * _FIRST
    word = (word ^ shifted(word, 27)) * _SECOND
    return word ^ shifted(word, 31)


def shifted(word: Tensor, bits: int) -> Tensor:
    """Shifted to the right as an unsigned word: torch repeats the sign.

    Args:
        word: Words, int64.
        bits: How far.
    """
    return (word >> bits) & (2 ** (64 - bits) - 1)


def _uniform(word: Tensor) -> Tensor:
    """The upper 24 bits as a number in (0, 1)."""
    return (shifted(word, 40).float() + 0.5) * 2.0**-24
