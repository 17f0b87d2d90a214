"""How much the factors of a sparse matrix would fill up, estimated in about the time of some products with it.

Rows of few entries are eliminated first, which leaves nothing of forests, chains and syntax trees, and a core of meshes
and expanders. What fills up is the core: its factors end in a dense block about as large as the front of a
breadth-first search, which is narrow in meshes and roads (sqrt(n)) and a third of all nodes in expanders.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import is_ready, machine_code
from graphpe.eigen.batched.eight_at_once import WORTH_COMPILING
from graphpe.structure.adjacency import Ints

# Rows of more entries are eliminated last: with each neighbour that is eliminated, they would be read once.
_HUB = 200
_DEGREE = 8


class Fill(NamedTuple):
    """Estimates of the factors L of a matrix.

    Attributes:
        core: Rows that are left when those of few entries are eliminated.
        front: Rows of the last, dense block.
    """

    core: int
    front: int


def estimate_fill(indptr: Ints, indices: Ints) -> Fill:
    """Estimate the fill of a matrix of symmetric structure; O(nnz) time and memory.

    Args:
        indptr: Row pointers, `[n + 1]`.
        indices: Columns of the entries.
    """
    pool, begin, length, gone, hubs = _eliminate_low(indptr, indices, _DEGREE, _HUB)
    core = int(len(gone) - np.count_nonzero(gone))
    return Fill(core, _widest_level(pool, begin, length, gone) + hubs)


def is_fill_worth_it(indptr: Ints, indices: Ints) -> bool:
    """Whether these loops are compiled, or worth compiling for a matrix of this size."""
    return is_ready(_eliminate_low, (len(indptr) - 1) ** 2, WORTH_COMPILING, indptr, indices, _DEGREE, _HUB)


@machine_code
def _eliminate_low(indptr: Ints, indices: Ints, most: int, hub: int) -> tuple[Ints, Ints, Ints, NDArray[np.bool_], int]:
    """Eliminate rows while they have at most `most` entries, lowest first.

    Returns:
        The neighbours of what is left, row u at `pool[begin[u]:begin[u] + length[u]]`; which rows are gone; hubs.
    """
    size = len(indptr) - 1
    begin, length, room = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    gone = np.diff(indptr) > hub
    hubs = int(np.count_nonzero(gone))
    pool = np.empty(3 * len(indices) + 16, np.int64)
    end = 0
    for u in range(size):
        begin[u] = end
        for e in range(indptr[u], indptr[u + 1]):
            if indices[e] != u and not gone[u] and not gone[indices[e]]:
                pool[end] = indices[e]
                end += 1
        length[u] = room[u] = end - begin[u]
    mark = np.full(size, -1)
    queue, queued = np.empty(size, np.int64), np.zeros(size, np.bool_)
    clique = np.empty(most, np.int64)
    stamp = 0
    for bound in range(most + 1):
        head, tail = 0, 0
        for u in range(size):
            if not gone[u] and length[u] <= bound:
                queue[tail], queued[u] = u, True
                tail += 1
        while head < tail:
            v = queue[head % size]
            head += 1
            queued[v] = False
            if length[v] > bound:
                continue
            gone[v] = True
            count = length[v]
            clique[:count] = pool[begin[v] : begin[v] + count]
            for u in clique[:count]:
                # Take v out, then join u with the others.
                stamp += 1
                mark[u] = stamp
                new = begin[u]
                for e in range(begin[u], begin[u] + length[u]):
                    w = pool[e]
                    mark[w] = stamp
                    if w != v:
                        pool[new] = w
                        new += 1
                new -= begin[u]
                if new + count > room[u]:
                    need = 2 * (new + count)
                    if end + need > len(pool):
                        larger = np.empty(2 * (end + need), np.int64)
                        larger[:end] = pool[:end]
                        pool = larger
                    pool[end : end + new] = pool[begin[u] : begin[u] + new]
                    begin[u], room[u] = end, need
                    end += need
                for w in clique[:count]:
                    if mark[w] != stamp:
                        pool[begin[u] + new] = w
                        new += 1
                length[u] = new
                if new <= bound and not queued[u]:
                    queue[tail % size], queued[u] = u, True
                    tail += 1
    return pool, begin, length, gone, hubs


@machine_code
def _widest_level(pool: Ints, begin: Ints, length: Ints, gone: NDArray[np.bool_]) -> int:
    """The most nodes at one distance from a node at the rim of its component."""
    size = len(gone)
    queue = np.empty(size, np.int64)
    seen = np.full(size, -1)
    widest = 0
    for root in range(size):
        if gone[root] or seen[root] >= 0:
            continue
        source = root
        for attempt in range(2):  # the second search starts where the first one ended
            queue[0] = source
            seen[source] = 2 * root + attempt
            head, tail, width = 0, 1, 1
            while head < tail:
                width = max(width, tail - head)
                level_end = tail
                while head < level_end:
                    u = queue[head]
                    head += 1
                    for e in range(begin[u], begin[u] + length[u]):
                        if seen[pool[e]] != 2 * root + attempt:
                            seen[pool[e]] = 2 * root + attempt
                            queue[tail] = pool[e]
                            tail += 1
            source = queue[tail - 1]
        widest = max(widest, width)
    return widest
