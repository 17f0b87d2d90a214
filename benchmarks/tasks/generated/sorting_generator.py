"""Random sorting networks, over sets of 0/1 vectors as bit masks.

By the 0-1 principle a network of L wires sorts every input if it sorts the 2^L vectors of zeros and ones. A vector is a
number of L bits; what can leave the operators so far is a list of distinct numbers. An operator (i, j), i < j, puts the
smaller value on wire i: it exchanges bits i and j of the vectors with bit i set and bit j not. The network sorts as
soon as the list has its least length, the L + 1 sorted vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.generated.splitmix import random_below, start_stream
from graphpe.compiled.jit import machine_code

MAX_WIRES = 20
MAX_OPERATORS = 512
"""A network that is not done by then is discarded, as in the published generator."""


@dataclass(frozen=True)
class Networks:
    """Lists of operators.

    Attributes:
        wires: Number of wires of each network `[M]`.
        ptr: `[M + 1]`: network m owns operators `ptr[m]` to `ptr[m + 1]`.
        first: The wire that gets the smaller value, of each operator.
        second: The other wire.
    """

    wires: NDArray[np.int64]
    ptr: NDArray[np.int64]
    first: NDArray[np.int8]
    second: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.wires)


def generate_networks(
    count: int, wires: tuple[int, int], seed: int, *, workers: int = 1, progress: Callable[[int], Any] | None = None
) -> Networks:
    """Random networks that sort; network m depends on `seed`, `wires` and m alone.

    The number of wires is uniform. Then, as Geisler et al. (2023): operators on two wires drawn uniformly among those
    that some vector still has wrong (never the last operator again), until everything is sorted. Takes about 0.2 ms a
    network of 11 wires, 10 ms one of 16.

    Args:
        count: Number of networks.
        wires: Least and most wires.
        seed: Of everything random.
        workers: Threads.
        progress: Called with a number of networks that are done.
    """
    chunks = np.array_split(np.arange(count), max(1, -(-count // 200)))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        parts = []
        for part in pool.map(lambda ids: _generate(ids, wires[0], wires[1], np.uint64(seed)), chunks):
            parts.append(part)
            if progress is not None:
                progress(len(part[0]))
    lengths = np.concatenate([part[1] for part in parts])
    return Networks(
        wires=np.concatenate([part[0] for part in parts]),
        ptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        first=np.concatenate([part[2] for part in parts]),
        second=np.concatenate([part[3] for part in parts]),
    )


def sorting(networks: Networks, *, reverse: bool = False, workers: int = 1) -> NDArray[np.bool_]:
    """Whether each network sorts, tested on every vector of zeros and ones.

    Args:
        networks: The networks.
        reverse: Whether to test each with its operators in reverse order.
        workers: Threads.
    """
    chunks = np.array_split(np.arange(len(networks)), max(1, -(-len(networks) // 200)))

    def test(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        return _test(ids, networks.wires, networks.ptr, networks.first, networks.second, reverse)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        return np.concatenate(list(pool.map(test, chunks)))


@machine_code
def _apply(vectors: Any, size: int, stamp: Any, mark: int, i: int, j: int) -> Any:
    """Apply an operator to `vectors[:size]` and drop repeats; the new size. `stamp` tells what is in the list."""
    bit_i, bit_j = 1 << i, 1 << j
    kept = 0
    for index in range(size):
        vector = vectors[index]
        if vector & bit_i and not vector & bit_j:
            vector ^= bit_i | bit_j
        if stamp[vector] != mark:
            stamp[vector] = mark
            vectors[kept] = vector
            kept += 1
    return kept


@machine_code
def _sorted_vectors(wires: int) -> Any:
    """What a sorted vector looks like for each number of ones."""
    out = np.zeros(wires + 1, np.int64)
    for ones in range(1, wires + 1):
        out[ones] = out[ones - 1] | (1 << (wires - ones))
    return out


@machine_code
def _generate(ids: Any, least: int, most: int, seed: Any) -> Any:
    """Wires, lengths and operators of the networks `ids`."""
    wires_of, lengths = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    first, second = np.empty(len(ids) * 512, np.int8), np.empty(len(ids) * 512, np.int8)
    vectors, stamp, ones = np.empty(1 << most, np.int64), np.zeros(1 << most, np.int64), np.zeros(1 << most, np.int64)
    for vector in range(1, 1 << most):
        ones[vector] = ones[vector >> 1] + (vector & 1)
    unsorted = np.empty(most, np.int64)
    state = np.empty(1, np.uint64)
    total, mark = 0, 0
    for place in range(len(ids)):
        start_stream(state, seed, ids[place])
        wires = least + random_below(state, most - least + 1)
        goal = _sorted_vectors(wires)
        length = 512
        while length == 512:  # discarded: draw another
            size = 1 << wires
            for vector in range(size):
                vectors[vector] = vector
            length = 0
            last_i, last_j = -1, -1
            while size > wires + 1 and length < 512:
                wrong = 0
                for index in range(size):
                    wrong |= vectors[index] ^ goal[ones[vectors[index]]]
                number = 0
                for wire in range(wires):
                    if wrong & (1 << wire):
                        unsorted[number] = wire
                        number += 1
                a = random_below(state, number)
                b = random_below(state, number - 1)
                if b >= a:
                    b += 1
                i, j = min(unsorted[a], unsorted[b]), max(unsorted[a], unsorted[b])
                if i == last_i and j == last_j:
                    continue
                last_i, last_j = i, j
                mark += 1
                size = _apply(vectors, size, stamp, mark, i, j)
                first[total + length], second[total + length] = i, j
                length += 1
        wires_of[place], lengths[place] = wires, length
        total += length
    return wires_of, lengths, first[:total].copy(), second[:total].copy()


@machine_code
def _test(ids: Any, wires_of: Any, ptr: Any, first: Any, second: Any, reverse: bool) -> Any:
    out = np.empty(len(ids), np.bool_)
    most = 0
    for place in range(len(ids)):
        most = max(most, wires_of[ids[place]])
    vectors, stamp = np.empty(1 << most, np.int64), np.zeros(1 << most, np.int64)
    mark = 0
    for place in range(len(ids)):
        network = ids[place]
        start, stop = ptr[network], ptr[network + 1]
        size = 1 << wires_of[network]
        for vector in range(size):
            vectors[vector] = vector
        for step in range(stop - start):
            at = stop - 1 - step if reverse else start + step
            i, j = first[at], second[at]
            mark += 1
            size = _apply(vectors, size, stamp, mark, i, j)
        out[place] = size == wires_of[network] + 1
    return out
