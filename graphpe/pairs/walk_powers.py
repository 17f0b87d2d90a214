"""Probabilities of random walks between chosen pairs of nodes: sparse vectors that meet in the middle.

P^(a+b)_ij = sum_v (P^a)_iv (P^b)_vj: of walks that leave i and of walks that arrive at j only the neighbourhoods within
a and b steps are ever touched. Pairs that share an end share its walks: those are taken once, and the others' for each
pair. Which end that is, and how many of the steps it takes, is what a sample of the nodes says is cheapest; hubs,
within a few steps of which everything lies, count for what they cost.

Where that is too much (expanders, in which a few steps reach millions of nodes), walkers estimate what is left:
P^(a+b)_ij is the mean of (P^b)_vj over the nodes v that walks of a steps from i end at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled.jit import compiled, compiled_by_steps
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds
from graphpe.pairs.asked import Asked, asked_pairs, grouped, in_threads, sampled, thread_count
from graphpe.pairs.walkers import STEP_SECONDS, Estimate, drawn, drawn_by, roads, stepped
from graphpe.structure.adjacency import Adjacency, Floats, Ints
from graphpe.structure.plan import Plan
from graphpe.walks.local_walks import advance
from graphpe.walks.steps import Direction, checked, reverse_steps, steps

# Measured on one core: an entry of the matrix that a sparse vector meets, while vectors are cached and beyond.
_SECONDS, _FAR_SECONDS, _CACHED_NODES = 5e-9, 1.6e-8, 1 << 15
_SAMPLES, _MOST_SAMPLED = 64, 1 << 26
_MATRIX_BYTES, _NODE_BYTES = 32, 66


class Split(NamedTuple):
    """Who takes which steps.

    Attributes:
        by_source: Whether pairs are grouped by their source; otherwise by their target.
        own: Steps that a group takes once.
        entries: Entries of the matrices that all of it meets.
    """

    by_source: bool
    own: int
    entries: float


def asked_walk_powers(
    graphs: PackedGraphs | Plan,
    pairs: Tensor | Asked,
    walk_length: int,
    undirected: bool = False,
    estimate: Estimate | None = None,
) -> Tensor:
    """The probability that a walk from i is at j after 0, 1, ..., K - 1 steps, for chosen pairs (i, j).

    Channels [I, P, P^2, ..., P^(K-1)]_ij with P as in `graphpe.walks.steps.walk_powers`, whose values at these pairs
    they are: exact, in float64. Time as in the module's text: O(K) a pair on a path, what K/2 steps reach on others.
    Memory O(N + E), and O(N) for each thread.

    Args:
        graphs: The graphs, or a plan that shares their work.
        pairs: `[2, P]`: i and j, ids counted over all graphs, nodes of one graph; or what `asked_pairs` returns for
            them.
        walk_length: K, the number of channels.
        undirected: Walk every edge both ways.
        estimate: Walkers that estimate the later channels, where that is cheaper than to compute them: as many of the
            first, s = 0, ..., b, are exact as cost about as much; the mean over W walks has a standard error of at most
            sqrt((P^s)_ij max_v (P^b)_vj / W). None: all are exact.

    Returns:
        `[P, K]` float64, on the device of the graphs.

    Raises:
        GraphPETypeError: `pairs` are no tensor of integers.
        GraphPEValueError: `walk_length` < 1, pairs that are not there, weights that are negative or not finite, or more
            time or memory than `graphpe.limits` allow.
    """
    plan = checked(graphs, walk_length)
    asked = asked_pairs(pairs, plan.graphs)
    direction: Direction = "both" if undirected else "forward"
    ahead, back = plan.once(steps, direction), plan.once(reverse_steps, direction)
    reach = Reach.of(asked, ahead, back, walk_length)
    split = reach.choose_split()
    size = len(ahead.indptr) - 1
    each = _SECONDS if size <= _CACHED_NODES else _FAR_SECONDS
    seconds, behind = split.entries * each, walk_length - 1
    if estimate is not None:
        behind = reach.exact_channels(estimate.walks * STEP_SECONDS / each)
        guessed = reach.estimate_entries(behind) * each
        guessed += len(asked.source) * estimate.walks * (walk_length - 1 - behind) * STEP_SECONDS
        if guessed >= seconds:
            estimate = None
        else:
            seconds, split = guessed, Split(False, behind, guessed / each)
    groups = grouped(*((asked.source, asked.target) if split.by_source else (asked.target, asked.source)))
    memory = _MATRIX_BYTES * len(ahead.indices) + _NODE_BYTES * size * thread_count(len(groups.node))
    memory += 16 * walk_length * (len(asked.source) + len(asked.place))
    what = f"probabilities of walks of up to {walk_length - 1} steps between {len(asked.source):,} pairs"
    instead = "ask for fewer pairs or a smaller walk_length"
    check_seconds(what, size, seconds, memory, instead if estimate else f"{instead}, or estimate them (estimate=1000)")
    own, other = (ahead, back) if split.by_source else (back, ahead)
    arrays: tuple[Any, ...] = (groups.node, groups.ptr, groups.other, *own)
    found = np.zeros((len(asked.source), walk_length))
    if estimate is None:
        arrays = (*arrays, *other, split.own, split.entries, found)
    else:
        state = drawn_by(plan.graphs, asked.source, asked.target, estimate.seed)[groups.order]
        arrays = (*arrays, *roads(ahead), state, estimate.walks, behind, split.entries, found)
    compute: Callable[..., None] = _powers if estimate is None else _estimates

    def run(start: int, stop: int) -> None:
        compute(start, stop, *arrays)

    in_threads(run, len(groups.node), seconds)
    out = np.empty_like(found)
    out[groups.order] = found
    return torch.from_numpy(out[asked.place]).to(plan.graphs.device)


class Reach(NamedTuple):
    """What walks meet.

    Attributes:
        pairs: Number of pairs.
        sources: Number of different sources.
        targets: Number of different targets.
        ahead: Entries that 0, 1, ..., K - 1 steps from a source meet, on the average.
        behind: Entries that steps backwards from a target meet.
    """

    pairs: int
    sources: int
    targets: int
    ahead: Floats
    behind: Floats

    @classmethod
    def of(cls, asked: Asked, ahead: Adjacency, back: Adjacency, walk_length: int) -> Reach:
        """From a sample of the nodes.

        Args:
            asked: The pairs.
            ahead: P.
            back: P^T.
            walk_length: K.
        """
        counts: list[int] = []
        met: list[Floats] = []
        for matrix, nodes in ((ahead, asked.source), (back, asked.target)):
            distinct = np.unique(nodes)
            some = sampled(distinct, _SAMPLES)
            each = np.zeros(walk_length - 1)
            if walk_length > 1 and len(some):
                each = _met(some, matrix.indptr, matrix.indices, walk_length - 1, float(_MOST_SAMPLED))
            counts.append(len(distinct))
            met.append(np.concatenate([[0.0], np.cumsum(each)]))
        return cls(len(asked.source), counts[0], counts[1], met[0], met[1])

    def choose_split(self) -> Split:
        """The cheapest way."""
        found = []
        own = np.arange(len(self.ahead))
        for by_source, groups, mine, others in (
            (True, self.sources, self.ahead, self.behind),
            (False, self.targets, self.behind, self.ahead),
        ):
            entries = groups * mine[own] + self.pairs * (others[::-1] + 2 * len(own))
            best = int(np.argmin(entries))
            found.append(Split(by_source, best, float(entries[best])))
        return min(found, key=lambda split: split.entries)

    def exact_channels(self, step_entries: float) -> int:
        """How many steps backwards take no longer than walkers do for the rest.

        Args:
            step_entries: How many entries take as long as a step of the walkers of a pair.
        """
        rest = np.arange(len(self.behind))[::-1]
        return int(np.flatnonzero(self.targets * self.behind <= self.pairs * step_entries * (rest + 1))[-1])

    def estimate_entries(self, behind: int) -> float:
        """Entries that so many steps backwards from all targets meet."""
        return float(self.targets * self.behind[behind] + 2 * self.pairs)


@compiled_by_steps(lambda nodes, indptr, indices, count, most: min(most, len(nodes) * count * len(indices)))
def _met(nodes: Ints, indptr: Ints, indices: Ints, count: int, most: float) -> Floats:
    """Entries that the steps 1, ..., `count` of walks from a node meet, the mean over some nodes: `[count]`.

    A step that meets half of all entries is followed by steps that meet all of them.
    """
    size = len(indptr) - 1
    seen = np.full(size, -1, np.int64)
    here, there = np.empty(size, np.int64), np.empty(size, np.int64)
    out = np.zeros(count)
    total, stamp, done = 0.0, 0, 0
    for root in nodes:
        here[0], length = root, 1
        for step in range(count):
            following, entries = 0, 0
            for i in range(length):
                entries += indptr[here[i] + 1] - indptr[here[i]]
            out[step] += entries
            if 2 * entries > len(indices):
                out[step + 1 :] += len(indices)
                break
            total += entries
            for i in range(length):
                for e in range(indptr[here[i]], indptr[here[i] + 1]):
                    v = indices[e]
                    if seen[v] != stamp:
                        seen[v] = stamp
                        there[following] = v
                        following += 1
            stamp += 1
            here, there, length = there, here, following
        done += 1
        if total > most:
            break
    return out / done


@compiled_by_steps(lambda *arguments: arguments[-2])
def _powers(
    start: int,
    stop: int,
    node: Ints,
    ptr: Ints,
    other: Ints,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    other_ptr: Ints,
    other_indices: Ints,
    other_weight: Floats,
    steps_taken: int,
    effort: float,
    out: Floats,
) -> None:
    """Channels of the pairs of groups `start` to `stop` into `out` `[U, K]`; a group takes `steps_taken` steps."""
    size, count = len(indptr) - 1, out.shape[1]
    mine, spare, theirs = np.zeros(size), np.zeros(size), np.zeros(size)
    in_mine, in_spare, in_theirs = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    reached = np.zeros(size, np.bool_)
    for group in range(start, stop):
        mine[node[group]], in_mine[0], length = 1.0, node[group], 1
        for pair in range(ptr[group], ptr[group + 1]):
            out[pair, 0] = mine[other[pair]]
        for step in range(1, steps_taken + 1):
            following = advance(0, indptr, indices, weight, mine, in_mine, length, spare, in_spare, reached)
            _clear(mine, in_mine, length)
            mine, in_mine, spare, in_spare, length = spare, in_spare, mine, in_mine, following
            for pair in range(ptr[group], ptr[group + 1]):
                out[pair, step] = mine[other[pair]]
        for pair in range(ptr[group], ptr[group + 1]):
            if steps_taken == count - 1:
                break
            theirs[other[pair]], in_theirs[0], theirs_length = 1.0, other[pair], 1
            for step in range(steps_taken + 1, count):
                following = advance(
                    0, other_ptr, other_indices, other_weight,
                    theirs, in_theirs, theirs_length, spare, in_spare, reached,
                )  # fmt: skip
                _clear(theirs, in_theirs, theirs_length)
                theirs, in_theirs, spare, in_spare = spare, in_spare, theirs, in_theirs
                theirs_length = following
                total = 0.0
                if length < theirs_length:
                    for i in range(length):
                        total += mine[in_mine[i]] * theirs[in_mine[i]]
                else:
                    for i in range(theirs_length):
                        total += mine[in_theirs[i]] * theirs[in_theirs[i]]
                out[pair, step] = total
            _clear(theirs, in_theirs, theirs_length)
        _clear(mine, in_mine, length)


@compiled_by_steps(lambda *arguments: 8 * arguments[-2])
def _estimates(
    start: int,
    stop: int,
    node: Ints,
    ptr: Ints,
    other: Ints,
    back_ptr: Ints,
    back_indices: Ints,
    back_weight: Floats,
    indptr: Ints,
    indices: Ints,
    reached_by: Floats,
    state: NDArray[np.uint64],
    walks: int,
    behind: int,
    effort: float,
    out: Floats,
) -> None:
    """Channels of the pairs of groups `start` to `stop`, which share their target: `behind` of them exact after I."""
    size, count = len(indptr) - 1, out.shape[1]
    theirs, spare = np.zeros(size), np.zeros(size)
    in_theirs, in_spare = np.empty(size, np.int64), np.empty(size, np.int64)
    reached = np.zeros(size, np.bool_)
    place = np.empty(walks, np.int64)
    for group in range(start, stop):
        theirs[node[group]], in_theirs[0], length = 1.0, node[group], 1
        for step in range(behind + 1):
            for pair in range(ptr[group], ptr[group + 1]):
                out[pair, step] = theirs[other[pair]]
            if step < behind:
                following = advance(
                    0, back_ptr, back_indices, back_weight, theirs, in_theirs, length, spare, in_spare, reached
                )
                _clear(theirs, in_theirs, length)
                theirs, in_theirs, spare, in_spare, length = spare, in_spare, theirs, in_theirs, following
        for pair in range(ptr[group], ptr[group + 1]):
            random = state[pair]
            place[:] = other[pair]
            if indptr[other[pair]] == indptr[other[pair] + 1]:
                continue  # no walk leaves it, nor any other node that a walk can come to
            for step in range(behind + 1, count):
                total = 0.0
                for walker in range(walks):  # all of them at once: none waits for the memory of another
                    random, chance = drawn(random)
                    v = stepped(place[walker], chance, indptr, indices, reached_by)
                    place[walker] = v
                    total += theirs[v]
                out[pair, step] = total / walks
        _clear(theirs, in_theirs, length)


@compiled
def _clear(vector: Floats, inside: Ints, count: int) -> None:
    for i in range(count):
        vector[inside[i]] = 0.0
