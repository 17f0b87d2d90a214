"""Compiled passes of triplet attention over pairs.

What they compute is written in `graphpe.models.attention.triplet.attention`. The work is cut into units: one head of
one graph, and as many of its nodes as a register has lanes. What a unit writes no other does, so that units may run in
any order, and in threads.

P pairs, H heads of C channels, L lanes. Arrays are flat; what is read most is by head, then pair, `[H P C]`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import (
    add_multiple,
    exponential,
    keep_some,
    larger,
    load,
    minus,
    plus,
    scale,
    spread,
    store,
    times,
)

_MIX = 0x9E3779B1  # odd, of which multiples spread over 32 bits


class Work(NamedTuple):
    """The graphs, and what the passes have in common.

    Attributes:
        first: First pair of each graph, `[G]`.
        size: Nodes of each graph, `[G]`.
        before: Units of the graphs before each, and of all, `[G + 1]`.
        pairs: P.
        width: H C.
        channels: C.
        scale: 1 / sqrt(C).
        bound: Bound of what is exponentiated: exp(-bound) is nothing beside 1.
        seed: Of what is dropped.
        dropped: The share of weights that is dropped, of 2^32; 0 for none.
        kept: What the others are multiplied with.
    """

    first: Any
    size: Any
    before: Any
    pairs: Any
    width: Any
    channels: Any
    scale: Any
    bound: Any
    seed: Any
    dropped: Any
    kept: Any


@machine_code
def _largest(size: Any) -> Any:
    """Nodes of the largest graph."""
    most = 0
    for n in size:
        most = max(most, n)
    return most


@machine_code
def _pack(
    rows: Any, at: Any, n: Any, by_row: Any, by_lane: Any, channels: Any, most: Any, lanes: Any, tile: Any
) -> None:
    """C numbers of n rows and the first `most` lanes, from `at` on: `[n, C, L]`, with zeros where there are no more."""
    for row in range(n):
        for c in range(channels):
            o, x = (row * channels + c) * lanes, at + row * by_row + c
            for k in range(most):
                tile[o + k] = rows[x + k * by_lane]
            for k in range(most, lanes):
                tile[o + k] = 0


@machine_code
def _unpack(tile: Any, channels: Any, lanes: Any, most: Any, rows: Any, at: Any, by_lane: Any) -> None:
    """The first `most` lanes of `[C, L]`, from `at` on."""
    for k in range(most):
        for c in range(channels):
            rows[at + k * by_lane + c] = tile[c * lanes + k]


@machine_code
def forward_units(
    begin: Any, end: Any, work: Any, q: Any, k: Any, u: Any, v: Any, out: Any, top: Any, sums: Any, lanes: Any
) -> None:
    """The result, and for each pair and head the largest logit and the sum of exponentials.

    Args:
        begin: First unit of the part.
        end: The unit after its last.
        work: The graphs (`Work`).
        q: Rows (i, l), `[H P C]`.
        k: Rows (l, j).
        u: Rows (i, l).
        v: Rows (l, j).
        out: Rows (i, j), `[P H C]`, written.
        top: Of (i, j), `[H P]`, written.
        sums: Likewise.
        lanes: A tuple of L numbers.
    """
    step, channels, zero = len(lanes), work.channels, work.scale - work.scale
    most = _largest(work.size)
    keys, values = np.empty(most * channels * step, q.dtype), np.empty(most * channels * step, q.dtype)
    weight, row = np.empty(most * step, q.dtype), np.empty(channels * step, q.dtype)
    total, factor = np.empty(step, q.dtype), np.empty(step, q.dtype)
    nothing = spread(zero, lanes)
    for graph in range(len(work.size)):
        n = work.size[graph]
        tiles = -(-n // step)
        for unit in range(max(begin, work.before[graph]), min(end, work.before[graph + 1])):
            head, lane = (unit - work.before[graph]) // tiles, (unit - work.before[graph]) % tiles * step
            here = min(n - lane, step)
            base = head * work.pairs + work.first[graph]
            key = work.seed + (graph * 1021 + head) * _MIX
            place = (base + lane) * channels
            _pack(k, place, n, n * channels, channels, channels, here, step, keys)
            _pack(v, place, n, n * channels, channels, channels, here, step, values)
            for i in range(n):
                at = (base + i * n) * channels
                highest = nothing
                for middle in range(n):
                    logit = nothing
                    for c in range(middle * channels, (middle + 1) * channels):
                        logit = add_multiple(q, at + c, load(keys, c * step, lanes), logit)
                    logit = scale(work.scale, logit)
                    store(weight, middle * step, logit)
                    highest = larger(logit, highest) if middle else logit
                total_of = nothing
                for middle in range(n):
                    w = exponential(minus(load(weight, middle * step, lanes), highest), work.bound)
                    total_of = plus(total_of, w)
                    if work.dropped:
                        w = keep_some(w, key + (i * n + middle) * n + lane, 1, work.dropped)
                    store(weight, middle * step, w)
                store(total, 0, total_of)
                store(factor, 0, highest)
                for lane_ in range(here):
                    top[base + i * n + lane + lane_] = factor[lane_]
                    sums[base + i * n + lane + lane_] = total[lane_]
                for lane_ in range(step):
                    factor[lane_] = work.kept / total[lane_]
                share = load(factor, 0, lanes)
                c = 0
                while c + 4 <= channels:  # four registers at a time
                    s0, s1, s2, s3 = nothing, nothing, nothing, nothing
                    for middle in range(n):
                        w, o = load(weight, middle * step, lanes), (middle * channels + c) * step
                        a = at + middle * channels + c
                        s0 = add_multiple(u, a, times(w, load(values, o, lanes)), s0)
                        s1 = add_multiple(u, a + 1, times(w, load(values, o + step, lanes)), s1)
                        s2 = add_multiple(u, a + 2, times(w, load(values, o + 2 * step, lanes)), s2)
                        s3 = add_multiple(u, a + 3, times(w, load(values, o + 3 * step, lanes)), s3)
                    store(row, c * step, times(s0, share))
                    store(row, (c + 1) * step, times(s1, share))
                    store(row, (c + 2) * step, times(s2, share))
                    store(row, (c + 3) * step, times(s3, share))
                    c += 4
                while c < channels:
                    s0 = nothing
                    for middle in range(n):
                        w, a = load(weight, middle * step, lanes), middle * channels + c
                        s0 = add_multiple(u, at + a, times(w, load(values, a * step, lanes)), s0)
                    store(row, c * step, times(s0, share))
                    c += 1
                place = (work.first[graph] + i * n + lane) * work.width + head * channels
                _unpack(row, channels, step, here, out, place, work.width)


@machine_code
def backward_units(
    begin: Any,
    end: Any,
    work: Any,
    a: Any,
    b: Any,
    k: Any,
    v: Any,
    grad: Any,
    peak: Any,
    mean: Any,
    across: Any,
    grad_k: Any,
    grad_v: Any,
    lanes: Any,
) -> None:
    """The gradients of keys and right values; with everything transposed, those of queries and left values.

    Args:
        begin: First unit of the part.
        end: The unit after its last.
        work: The graphs (`Work`).
        a: q in rows (l, i), `[H P C]`. Transposed: k in rows (l, j).
        b: u in rows (l, i). Transposed: v in rows (l, j).
        k: Rows (l, j). Transposed: q in rows (l, i).
        v: Rows (l, j). Transposed: u in rows (l, i).
        grad: The gradient of the result, rows (i, j), `[P H C]`; likewise transposed.
        peak: The logarithm of the sum of exponentials of (i, j), `[H P]`; likewise transposed.
        mean: The sum over channels of result times gradient, likewise.
        across: 1 if everything is transposed, else 0.
        grad_k: Of `k`, rows (l, j), `[P H C]`, written. Transposed: rows (i, l).
        grad_v: Of `v`, likewise.
        lanes: A tuple of L numbers.
    """
    step, channels, zero = len(lanes), work.channels, work.scale - work.scale
    most, kind = _largest(work.size), a.dtype
    room = most * channels * step
    keys, values, slopes = np.empty(room, kind), np.empty(room, kind), np.empty(room, kind)
    weight, change = np.empty(most * step, kind), np.empty(most * step, kind)
    peaks, means = np.empty(most * step, kind), np.empty(most * step, kind)
    row_k, row_v = np.empty(channels * step, kind), np.empty(channels * step, kind)
    nothing = spread(zero, lanes)
    for graph in range(len(work.size)):
        n = work.size[graph]
        tiles = -(-n // step)
        # What the number of a triplet, (i n + l) n + j, grows by from a lane to the next, and from a row to the next.
        by_lane, by_row = (n * n, 1) if across else (1, n * n)
        # And a row of pairs (i, j): from lane to lane, and from row to row.
        to_lane, to_row = (n, 1) if across else (1, n)
        for unit in range(max(begin, work.before[graph]), min(end, work.before[graph + 1])):
            head, lane = (unit - work.before[graph]) // tiles, (unit - work.before[graph]) % tiles * step
            here = min(n - lane, step)
            base = head * work.pairs + work.first[graph]
            key = work.seed + (graph * 1021 + head) * _MIX
            place = (base + lane) * channels
            _pack(k, place, n, n * channels, channels, channels, here, step, keys)
            _pack(v, place, n, n * channels, channels, channels, here, step, values)
            place, width = work.first[graph] + lane * to_lane, work.width
            of_head = place * width + head * channels
            _pack(grad, of_head, n, to_row * width, to_lane * width, channels, here, step, slopes)
            place += head * work.pairs
            _pack(peak, place, n, to_row, to_lane, 1, here, step, peaks)
            _pack(mean, place, n, to_row, to_lane, 1, here, step, means)
            for middle in range(n):
                at, own = (base + middle * n) * channels, middle * channels * step
                for i in range(n):
                    logit, slope = nothing, nothing
                    for c in range(channels):
                        x = at + i * channels + c
                        logit = add_multiple(a, x, load(keys, own + c * step, lanes), logit)
                        of_value = times(
                            load(slopes, (i * channels + c) * step, lanes), load(values, own + c * step, lanes)
                        )
                        slope = add_multiple(b, x, of_value, slope)
                    w = exponential(minus(scale(work.scale, logit), load(peaks, i * step, lanes)), work.bound)
                    kept = w
                    if work.dropped:
                        number = key + middle * n + i * by_row + lane * by_lane
                        kept = scale(work.kept, keep_some(w, number, by_lane, work.dropped))
                    store(weight, i * step, kept)
                    slope = minus(times(kept, slope), times(w, load(means, i * step, lanes)))
                    store(change, i * step, scale(work.scale, slope))
                c = 0
                while c + 4 <= channels:  # eight registers at a time
                    s0, s1, s2, s3 = nothing, nothing, nothing, nothing
                    t0, t1, t2, t3 = nothing, nothing, nothing, nothing
                    for i in range(n):
                        w, d, o = load(weight, i * step, lanes), load(change, i * step, lanes), i * channels + c
                        x = at + o
                        s0, s1 = add_multiple(a, x, d, s0), add_multiple(a, x + 1, d, s1)
                        s2, s3 = add_multiple(a, x + 2, d, s2), add_multiple(a, x + 3, d, s3)
                        o *= step
                        t0 = add_multiple(b, x, times(w, load(slopes, o, lanes)), t0)
                        t1 = add_multiple(b, x + 1, times(w, load(slopes, o + step, lanes)), t1)
                        t2 = add_multiple(b, x + 2, times(w, load(slopes, o + 2 * step, lanes)), t2)
                        t3 = add_multiple(b, x + 3, times(w, load(slopes, o + 3 * step, lanes)), t3)
                    store(row_k, c * step, s0)
                    store(row_k, (c + 1) * step, s1)
                    store(row_k, (c + 2) * step, s2)
                    store(row_k, (c + 3) * step, s3)
                    store(row_v, c * step, t0)
                    store(row_v, (c + 1) * step, t1)
                    store(row_v, (c + 2) * step, t2)
                    store(row_v, (c + 3) * step, t3)
                    c += 4
                while c < channels:
                    s0, t0 = nothing, nothing
                    for i in range(n):
                        o = i * channels + c
                        s0 = add_multiple(a, at + o, load(change, i * step, lanes), s0)
                        t0 = add_multiple(
                            b, at + o, times(load(weight, i * step, lanes), load(slopes, o * step, lanes)), t0
                        )
                    store(row_k, c * step, s0)
                    store(row_v, c * step, t0)
                    c += 1
                place = of_head + middle * to_row * width
                _unpack(row_k, channels, step, here, grad_k, place, to_lane * width)
                _unpack(row_v, channels, step, here, grad_v, place, to_lane * width)
