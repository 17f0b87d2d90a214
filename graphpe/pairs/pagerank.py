"""Personalised PageRank of chosen pairs of nodes, by pushes from both ends, with a bound of the error.

Forward pushes from i leave masses r_v, backward pushes from j residuals s_w, and

    PPR_ij = q_i + sum_w p_w s_w + sum_vw r_v PPR_vw s_w

with p and q what the pushes have settled (Andersen, Chung, Lang 2006; Andersen et al. 2007). The last sum is left out:
it is at least 0 and, since rows of PPR sum to 1, at most (sum_v r_v) (max_w s_w). Pushes end where that is small
enough.

Where that takes too long, only backward pushes are made, and PPR_ij - q_i = sum_w PPR_iw s_w is the mean over walks
from i, stopped with probability alpha before each step, of alpha times the residuals at the nodes that they meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_number
from graphpe.compiled.jit import compiled, compiled_by_steps
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds
from graphpe.pairs.asked import Asked, asked_pairs, grouped, in_threads, sampled, thread_count
from graphpe.pairs.walkers import STEP_SECONDS, Estimate, drawn, drawn_by, roads, stepped
from graphpe.structure.adjacency import Adjacency, Floats, Ints, rows_of
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan
from graphpe.walks.personalized_pagerank import check_restart
from graphpe.walks.steps import Direction, isolated_nodes, reverse_steps, steps

TOLERANCE = 1e-6
"""The most that a value is too small by, where nothing else is asked for."""

# Measured on one core: an entry of the matrix that a push meets, while vectors are cached and beyond.
_SECONDS, _FAR_SECONDS, _CACHED_NODES = 5e-9, 1.6e-8, 1 << 15
_SAMPLES, _MOST_SAMPLED = 8, 1 << 23
_MATRIX_BYTES, _NODE_BYTES = 32, 90
_ENDS = 10.0 ** np.arange(0.0, -6.5, -0.5)  # residuals at which walkers may take over
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the logarithm of the bound, that the grouped end pushes for


class Split(NamedTuple):
    """Who pushes how far.

    Attributes:
        by_source: Whether pairs are grouped by their source; otherwise by their target.
        ahead: The sum of masses at which forward pushes end; 1 for none.
        behind: The largest residual at which backward pushes end; 1 for none.
        entries: Entries of the matrices that all of it meets.
    """

    by_source: bool
    ahead: float
    behind: float
    entries: float


def asked_pagerank(
    graphs: PackedGraphs | Plan,
    pairs: Tensor | Asked,
    alpha: float = 0.15,
    undirected: bool = False,
    tolerance: float = TOLERANCE,
    estimate: Estimate | None = None,
) -> Tensor:
    """The probability that a walk from i, stopped before each step with probability alpha, stops at j; chosen pairs.

    Values are those of `graphpe.walks.personalized_pagerank.personalized_pagerank` at these pairs, or too small by at
    most `tolerance`: 0 <= PPR_ij - value <= tolerance (and rounding, about 1e-15). A pair costs O(d / (alpha
    tolerance)) with d the mean degree at the very most, far less where PageRank falls off quickly (paths, grids,
    meshes). Memory O(N + E), and O(N) for each thread.

    Args:
        graphs: The graphs, or a plan that shares their work.
        pairs: `[2, P]`: i and j, ids counted over all graphs, nodes of one graph; or what `asked_pairs` returns for
            them.
        alpha: Restart probability, above 0 and at most 1.
        undirected: Walk every edge both ways.
        tolerance: The most that a value may be too small by; from 1e-12 to below 1.
        estimate: Walkers that estimate values without bias, where that is cheaper than to compute them. They begin
            where backward pushes that take as long have ended, with residuals of at most s: the standard error over W
            walks is at most sqrt(2 s PPR_ij / W). None: within the tolerance.

    Returns:
        `[P]` float64, on the device of the graphs.

    Raises:
        GraphPETypeError: `alpha` or `tolerance` is no number, or `pairs` are no tensor of integers.
        GraphPEValueError: One of them is out of range, pairs that are not there, weights that are negative or not
            finite, or more time or memory than `graphpe.limits` allow.

    References:
        Andersen, Chung, Lang: Local Graph Partitioning using PageRank Vectors. FOCS 2006.
        Andersen, Borgs, Chayes, Hopcroft, Mirrokni, Teng: Local Computation of PageRank Contributions. WAW 2007.
        Lofgren, Banerjee, Goel: Personalized PageRank Estimation and Search: A Bidirectional Approach. WSDM 2016.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    alpha, tolerance = check_restart("alpha", alpha), check_tolerance(tolerance)
    asked = asked_pairs(pairs, plan.graphs)
    direction: Direction = "both" if undirected else "forward"
    ahead, back = plan.once(steps, direction), plan.once(reverse_steps, direction)
    stay = plan.once(staying, direction)
    split = choose_split(asked, ahead, back, stay, alpha, tolerance)
    size = len(stay)
    each = _SECONDS if size <= _CACHED_NODES else _FAR_SECONDS
    if estimate is not None:
        guess = choose_estimate(asked, back, stay, alpha, estimate.walks * STEP_SECONDS / each)
        estimate, split = (estimate, guess) if guess.entries < split.entries else (None, split)
    seconds = split.entries * each
    groups = grouped(*((asked.source, asked.target) if split.by_source else (asked.target, asked.source)))
    memory = _MATRIX_BYTES * len(ahead.indices) + _NODE_BYTES * size * thread_count(len(groups.node))
    what, instead = f"personalised PageRank of {len(asked.source):,} pairs", "ask for fewer pairs or walks"
    if estimate is None:
        what += f" to within {tolerance:g}"
        instead = "ask for fewer pairs, for a larger tolerance, or estimate them (estimate=1000)"
    check_seconds(what, size, seconds, memory, instead)
    found = np.zeros(len(asked.source))
    arrays: tuple[Any, ...] = (groups.node, groups.ptr, groups.other)
    if estimate is None:
        arrays = (*arrays, *ahead, *back, stay, alpha, split.by_source, split.ahead, split.behind)
    else:
        state = drawn_by(plan.graphs, asked.source, asked.target, estimate.seed)[groups.order]
        arrays = (*arrays, *roads(ahead), state, estimate.walks, *back, stay, alpha, split.behind)
    compute: Callable[..., None] = _push_pairs if estimate is None else _walk_pairs

    def run(start: int, stop: int) -> None:
        compute(start, stop, *arrays, found, split.entries)

    in_threads(run, len(groups.node), seconds)
    out = np.empty_like(found)
    out[groups.order] = found
    return torch.from_numpy(out[asked.place]).to(plan.graphs.device)


def check_tolerance(value: float) -> float:
    """The most that a value may be too small by.

    Args:
        value: The argument.
    """
    tolerance = check_number("tolerance", value)
    if not 1e-12 <= tolerance < 1:
        raise GraphPEValueError(f"tolerance must be from 1e-12 to below 1, got {value!r}")
    return tolerance


def staying(plan: Plan, direction: Direction) -> Floats:
    """The probability that a step stays: of self-loops, and 1 where no edge leaves a node; `[N]` (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        direction: `forward` along the edges, `reverse` against them, or `both` ways.
    """
    step: Adjacency = plan.once(steps, direction)
    row = rows_of(step)
    loop = row == step.indices
    out = np.zeros(plan.graphs.num_nodes)
    out[row[loop]] = step.weight[loop]
    out[plan.once(isolated_nodes)] = 1.0
    return out


def choose_split(
    asked: Asked, ahead: Adjacency, back: Adjacency, stay: Floats, alpha: float, tolerance: float
) -> Split:
    """The cheapest way, from what pushes from some of the nodes meet.

    Args:
        asked: The pairs.
        ahead: T.
        back: T^T.
        stay: Its diagonal.
        alpha: Restart probability.
        tolerance: The most that values may be too small by.
    """
    sources, targets = np.unique(asked.source), np.unique(asked.target)
    ends = np.array([tolerance**share for share in _SHARES])
    some = sampled(sources, _SAMPLES), sampled(targets, _SAMPLES)
    forward = _cost(some[0], *ahead, stay, alpha, True, ends, float(_MOST_SAMPLED))
    backward = _cost(some[1], *back, stay, alpha, False, ends, float(_MOST_SAMPLED))[::-1]
    count = len(asked.source)
    found = []
    for by_source, entries in (
        (True, len(sources) * forward + count * backward),
        (False, count * forward + len(targets) * backward),
    ):
        best = int(np.argmin(entries))
        found.append(Split(by_source, ends[best], tolerance / ends[best], float(entries[best] + count)))
    return min(found, key=lambda split: split.entries)


def choose_estimate(asked: Asked, back: Adjacency, stay: Floats, alpha: float, step_entries: float) -> Split:
    """How far to push before walkers take over: until pushes take as long as they do.

    Args:
        asked: The pairs.
        back: T^T.
        stay: Its diagonal.
        alpha: Restart probability.
        step_entries: How many entries take as long as a step of the walkers of a pair.
    """
    targets = np.unique(asked.target)
    walked = len(asked.source) * step_entries / alpha
    pushed = len(targets) * _cost(sampled(targets, _SAMPLES), *back, stay, alpha, False, _ENDS, float(_MOST_SAMPLED))
    last = int(np.flatnonzero(pushed <= walked)[-1])
    return Split(False, 1.0, float(_ENDS[last]), float(pushed[last] + walked))


@compiled_by_steps(lambda nodes, indptr, indices, *others: min(others[-1], len(nodes) * 1000 * len(indices)))
def _cost(
    nodes: Ints,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    stay: Floats,
    alpha: float,
    is_ahead: bool,
    ends: Floats,
    most: float,
) -> Floats:
    """Entries that the pushes of a node meet until they end, the mean over some nodes, for each of the `ends`."""
    size = len(stay)
    settled, left = np.zeros(size), np.zeros(size)
    inside, queue = np.empty(size, np.int64), np.empty(size, np.int64)
    touched = np.zeros(size, np.bool_)
    out = np.zeros(len(ends))
    for at in range(len(ends)):
        if ends[at] >= 1.0:
            continue
        done, met = 0, 0.0
        for root in nodes:
            if is_ahead:
                count, cost = _push_ahead(
                    root, indptr, indices, weight, stay, alpha, ends[at], most, settled, left, inside, touched
                )
            else:
                count, cost = _push_back(
                    root, indptr, indices, weight, stay, alpha, ends[at], most, settled, left, inside, touched, queue
                )
            _forget(settled, left, inside, touched, count)
            met += cost
            done += 1
            if met > most:
                break
        if done > 0:
            out[at] = met / done
    return out


@compiled_by_steps(lambda *arguments: arguments[-1])
def _push_pairs(
    start: int,
    stop: int,
    node: Ints,
    ptr: Ints,
    other: Ints,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    back_ptr: Ints,
    back_indices: Ints,
    back_weight: Floats,
    stay: Floats,
    alpha: float,
    by_source: bool,
    ahead: float,
    behind: float,
    out: Floats,
    effort: float,
) -> None:
    """PPR of the pairs of groups `start` to `stop` into `out`."""
    size = len(stay)
    p, r, q, s = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    in_p, in_q, queue = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    has_p, has_q = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    count_p, count_q = 0, 0
    for group in range(start, stop):
        for pair in range(ptr[group], ptr[group + 1]):
            first = pair == ptr[group]
            if first or not by_source:
                _forget(p, r, in_p, has_p, count_p)
                source = node[group] if by_source else other[pair]
                count_p, _ = _push_ahead(source, indptr, indices, weight, stay, alpha, ahead, np.inf, p, r, in_p, has_p)
            if first or by_source:
                _forget(q, s, in_q, has_q, count_q)
                target = other[pair] if by_source else node[group]
                count_q, _ = _push_back(
                    target, back_ptr, back_indices, back_weight, stay, alpha, behind, np.inf, q, s, in_q, has_q, queue
                )
            total = q[source]
            if count_p < count_q:
                for i in range(count_p):
                    total += p[in_p[i]] * s[in_p[i]]
            else:
                for i in range(count_q):
                    total += p[in_q[i]] * s[in_q[i]]
            out[pair] = total


@compiled_by_steps(lambda *arguments: 8 * arguments[-1])
def _walk_pairs(
    start: int,
    stop: int,
    node: Ints,
    ptr: Ints,
    other: Ints,
    indptr: Ints,
    indices: Ints,
    reached_by: Floats,
    state: NDArray[np.uint64],
    walks: int,
    back_ptr: Ints,
    back_indices: Ints,
    back_weight: Floats,
    stay: Floats,
    alpha: float,
    behind: float,
    out: Floats,
    effort: float,
) -> None:
    """Estimates of PPR of the pairs of groups `start` to `stop`, which share their target, into `out`."""
    size = len(stay)
    q, s = np.zeros(size), np.zeros(size)
    inside, queue, touched = np.empty(size, np.int64), np.empty(size, np.int64), np.zeros(size, np.bool_)
    place = np.empty(walks, np.int64)
    for group in range(start, stop):
        count, _ = _push_back(
            node[group], back_ptr, back_indices, back_weight, stay, alpha, behind, np.inf, q, s, inside, touched, queue
        )
        for pair in range(ptr[group], ptr[group + 1]):
            random, met, alive = state[pair], 0.0, walks
            place[:] = other[pair]
            while alive > 0:  # all of them at once: none waits for the memory of another
                left = 0
                for walker in range(alive):
                    v = place[walker]
                    if stay[v] == 1.0:  # until it is stopped
                        met += s[v] / alpha
                        continue
                    met += s[v]
                    random, chance = drawn(random)
                    if chance >= alpha:
                        chance = (chance - alpha) / (1.0 - alpha)
                        place[left] = stepped(v, chance, indptr, indices, reached_by)
                        left += 1
                alive = left
            out[pair] = q[other[pair]] + alpha * met / walks
        _forget(q, s, inside, touched, count)


@compiled
def _push_ahead(
    source: int,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    stay: Floats,
    alpha: float,
    end: float,
    most: float,
    p: Floats,
    r: Floats,
    inside: Ints,
    touched: NDArray[np.bool_],
) -> tuple[int, float]:
    """Forward pushes from a node until what is left of its mass is `end`: nodes that were touched, and entries met.

    A round pushes the nodes that have at least half as much mass for each of their entries as all have: half of the
    mass, or more. After `most` entries the cost of the rest is guessed.
    """
    r[source] = 1.0
    touched[source], inside[0], count = True, source, 1
    mass, cost, volume = 1.0, 0.0, 1.0 + indptr[source + 1] - indptr[source]
    if end >= 1.0:
        return count, cost
    while mass > end:
        least = 0.5 * mass / volume
        for i in range(count):
            v = inside[i]
            degree = indptr[v + 1] - indptr[v]
            if r[v] <= least * (degree + 1):
                continue
            each = r[v] / (1.0 - (1.0 - alpha) * stay[v])
            p[v] += alpha * each
            mass -= r[v]
            r[v] = 0.0
            cost += degree + 1
            moved = (1.0 - alpha) * each
            mass += moved * (1.0 - stay[v])
            for e in range(indptr[v], indptr[v + 1]):
                w = indices[e]
                if w == v:
                    continue
                if not touched[w]:
                    touched[w], inside[count] = True, w
                    count += 1
                    volume += 1.0 + indptr[w + 1] - indptr[w]
                r[w] += moved * weight[e]
        cost += count
        if cost > most:
            # Each round halves as much as it would if all masses were pushed.
            rate = -np.log(mass) / cost if mass < 0.5 else -np.log(1.0 - 0.5 * alpha) / len(indices)
            return count, cost + np.log(mass / end) / rate if mass > end else cost
    return count, cost


@compiled
def _push_back(
    target: int,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    stay: Floats,
    alpha: float,
    end: float,
    most: float,
    q: Floats,
    s: Floats,
    inside: Ints,
    touched: NDArray[np.bool_],
    queue: Ints,
) -> tuple[int, float]:
    """Backward pushes from a node until no residual is above `end`: nodes that were touched, and entries met.

    The matrix is that of steps backwards. After `most` entries it gives up.
    """
    s[target] = 1.0
    touched[target], inside[0], count = True, target, 1
    cost = 0.0
    if end >= 1.0:
        return count, cost
    size = len(queue)
    queue[0], head, waiting = target, 0, 1
    while waiting > 0:
        v = queue[head]
        head = head + 1 if head + 1 < size else 0
        waiting -= 1
        each = s[v] / (1.0 - (1.0 - alpha) * stay[v])
        s[v] = 0.0
        q[v] += alpha * each
        cost += 1.0 + indptr[v + 1] - indptr[v]
        moved = (1.0 - alpha) * each
        for e in range(indptr[v], indptr[v + 1]):
            u = indices[e]
            if u == v:
                continue
            if not touched[u]:
                touched[u], inside[count] = True, u
                count += 1
            before = s[u]
            s[u] = before + moved * weight[e]
            if before <= end < s[u]:
                at = head + waiting
                queue[at if at < size else at - size] = u
                waiting += 1
        if cost > most:
            break
    return count, cost


@compiled
def _forget(a: Floats, b: Floats, inside: Ints, touched: NDArray[np.bool_], count: int) -> None:
    for i in range(count):
        v = inside[i]
        a[v], b[v], touched[v] = 0.0, 0.0, False
