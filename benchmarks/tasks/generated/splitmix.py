"""A small random generator for compiled loops (splitmix64), so that what is generated depends on nobody's version."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphpe.compiled.jit import machine_code


@machine_code
def start_stream(state: Any, seed: Any, number: int) -> None:
    """Begin the stream `number` of a seed; `state` is one uint64 in an array."""
    state[0] = seed
    state[0] = random_bits(state) ^ np.uint64(number)
    random_bits(state)


@machine_code
def random_bits(state: Any) -> Any:
    """The next 64 random bits."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@machine_code
def random_below(state: Any, bound: int) -> Any:
    """A random integer in [0, bound), for bounds much smaller than 2^50."""
    return np.int64((random_bits(state) >> np.uint64(11)) % np.uint64(bound))


@machine_code
def random_uniform(state: Any) -> Any:
    """A random number in [0, 1)."""
    return np.float64(random_bits(state) >> np.uint64(11)) * 2.0**-53
