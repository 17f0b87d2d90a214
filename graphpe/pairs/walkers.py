"""Random walkers: what sparse vectors from one end say of a pair, on the average over walks from the other end.

A pair draws by the seed and its own two ids, counted in its graph: it gets the same whatever is asked beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, Floats, Ints, rows_of

STEP_SECONDS = 4e-8
"""A step of a walker on a large graph, measured on one core."""


class Estimate(NamedTuple):
    """How values of pairs are estimated, where that is cheaper than to compute them.

    Attributes:
        walks: Walks of each pair.
        seed: Of their steps.
    """

    walks: int
    seed: int


def walkers(walks: int | None, seed: int) -> Estimate | None:
    """How values are estimated, or None.

    Args:
        walks: Walks of each pair; None for no estimate.
        seed: Of their steps.
    """
    return None if walks is None else Estimate(walks, seed)


class Roads(NamedTuple):
    """Where walkers go.

    Attributes:
        indptr: Row pointers of the step matrix.
        indices: Columns of its entries.
        reached: Sums of the entries of a row up to each; nothing where all of a row are equal.
    """

    indptr: Ints
    indices: Ints
    reached: Floats


def roads(step: Adjacency) -> Roads:
    """Where walkers go.

    Args:
        step: The step matrix, whose rows sum to 1 or are empty.
    """
    row = rows_of(step)
    if np.allclose(step.weight * np.diff(step.indptr)[row], 1.0, rtol=1e-12):
        return Roads(step.indptr, step.indices, np.zeros(0))
    total = np.concatenate([[0.0], np.cumsum(step.weight)])
    return Roads(step.indptr, step.indices, total[1:] - total[step.indptr[row]])


def drawn_by(graphs: PackedGraphs, source: Ints, target: Ints, seed: int) -> NDArray[np.uint64]:
    """What each pair draws from: `[U]`.

    Args:
        graphs: The graphs.
        source: First node of each pair.
        target: Second node of each pair.
        seed: The seed.
    """
    first = graphs.host_ptr[np.searchsorted(graphs.host_ptr, source, side="right") - 1]
    state = np.full(len(source), seed, dtype=np.uint64)
    for part in (source - first, target - first):
        state = _mixed(state + part.astype(np.uint64) + _GOLDEN)
    return state


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> _S30)) * _FIRST
    state = (state ^ (state >> _S27)) * _SECOND
    return state ^ (state >> _S31)


@compiled
def drawn(state: np.uint64) -> tuple[np.uint64, float]:
    """The next state of a generator (splitmix64), and a number from [0, 1).

    Args:
        state: Its state.
    """
    state = state + _GOLDEN
    bits = (state ^ (state >> _S30)) * _FIRST
    bits = (bits ^ (bits >> _S27)) * _SECOND
    bits = bits ^ (bits >> _S31)
    return state, np.float64(bits >> _S11) / 9007199254740992.0


@compiled
def stepped(u: int, chance: float, indptr: Ints, indices: Ints, reached: Floats) -> int:
    """Where a walker at u goes; u has an entry at least.

    Args:
        u: The node.
        chance: A number from [0, 1).
        indptr: Of the roads.
        indices: Of the roads.
        reached: Of the roads.
    """
    low, high = indptr[u], indptr[u + 1] - 1
    if len(reached) == 0:
        return indices[low + min(int(chance * (high + 1 - low)), high - low)]
    while low < high:
        middle = (low + high) // 2
        if reached[middle] > chance:
            high = middle
        else:
            low = middle + 1
    return indices[low]
