"""Compiled passes of relational attention over pairs.

What they compute is written in `graphpe.models.attention.relational.attention`. Pairs are worked on in blocks that stay
in cache: a product of the block with a matrix, then a pass over it, and so on. A block is a few whole segments, pairs
that end in one node. Channels are worked on eight at a time.

N nodes, P pairs, D channels of a pair, H heads of C channels, a multiple of eight. Arrays of nodes and weights are
flat; `first` and `last` are nodes, for a part of the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import exponential, load, plus, spread, store, times, total

LANES = 8
BLOCK = 256  # pairs: a few arrays of D numbers each fit the second-level cache


@machine_code
def block_end(first: Any, last: Any, ptr: Any) -> Any:
    """The node after those whose pairs, together, are one block: at least one node.

    Args:
        first: First node of the part.
        last: The node after its last.
        ptr: First pair that ends in each node, `[N + 1]`.
    """
    end = first + 1
    while end < last and ptr[end + 1] - ptr[first] <= BLOCK:
        end += 1
    return end


@machine_code
def longest_block(first: Any, last: Any, ptr: Any) -> Any:
    """The most pairs in a block.

    Args:
        first: First node of the part.
        last: The node after its last.
        ptr: First pair that ends in each node, `[N + 1]`.
    """
    most = 0
    while first < last:
        end = block_end(first, last, ptr)
        most = max(most, ptr[end] - ptr[first])
        first = end
    return most


@machine_code
def _sum_rows(p: Any, q: Any, rows: Any, width: Any, weight: Any, heads: Any, out: Any, at: Any, wide: Any) -> None:
    """Of pairs p to q, for each head, the sum of weight times row: `[H, D]` in `out` from `at` on."""
    step, zero = len(wide), spread(weight[0] - weight[0], wide)
    for h in range(heads):
        c = 0
        while c + 4 * step <= width:  # four registers at a time
            s0, s1, s2, s3 = zero, zero, zero, zero
            for pair in range(p, q):
                w, o = spread(weight[pair * heads + h], wide), pair * width + c
                s0 = plus(s0, times(w, load(rows, o, wide)))
                s1 = plus(s1, times(w, load(rows, o + step, wide)))
                s2 = plus(s2, times(w, load(rows, o + 2 * step, wide)))
                s3 = plus(s3, times(w, load(rows, o + 3 * step, wide)))
            o = at + h * width + c
            store(out, o, s0)
            store(out, o + step, s1)
            store(out, o + 2 * step, s2)
            store(out, o + 3 * step, s3)
            c += 4 * step
        while c < width:
            s0 = zero
            for pair in range(p, q):
                s0 = plus(s0, times(spread(weight[pair * heads + h], wide), load(rows, pair * width + c, wide)))
            store(out, at + h * width + c, s0)
            c += step


@machine_code
def _add_sums(p: Any, q: Any, rows: Any, width: Any, weight: Any, heads: Any, of: Any, at: Any, wide: Any) -> None:
    """To pairs p to q is added the sum over heads of weight times a row of `[H, D]` in `of` from `at` on."""
    step = len(wide)
    for pair in range(p, q):
        c = 0
        while c + 4 * step <= width:  # four registers at a time
            o = pair * width + c
            s0, s1 = load(rows, o, wide), load(rows, o + step, wide)
            s2, s3 = load(rows, o + 2 * step, wide), load(rows, o + 3 * step, wide)
            for h in range(heads):
                w, place = spread(weight[pair * heads + h], wide), at + h * width + c
                s0 = plus(s0, times(w, load(of, place, wide)))
                s1 = plus(s1, times(w, load(of, place + step, wide)))
                s2 = plus(s2, times(w, load(of, place + 2 * step, wide)))
                s3 = plus(s3, times(w, load(of, place + 3 * step, wide)))
            store(rows, o, s0)
            store(rows, o + step, s1)
            store(rows, o + 2 * step, s2)
            store(rows, o + 3 * step, s3)
            c += 4 * step
        while c < width:
            s0 = load(rows, pair * width + c, wide)
            for h in range(heads):
                s0 = plus(s0, times(spread(weight[pair * heads + h], wide), load(of, at + h * width + c, wide)))
            store(rows, pair * width + c, s0)
            c += step


@machine_code
def _softmax(p: Any, q: Any, heads: Any, weight: Any, top: Any, bound: Any, one: Any, scratch: Any, eight: Any) -> None:
    """Softmax over pairs p to q, for each head, of `weight`, in place."""
    numbers = (q - p) * heads
    for h in range(heads):
        top[h] = weight[p * heads + h]
    for pair in range(p + 1, q):
        for h in range(heads):
            top[h] = max(top[h], weight[pair * heads + h])
    for pair in range(p, q):
        for h in range(heads):
            scratch[(pair - p) * heads + h] = weight[pair * heads + h] - top[h]
    for at in range(0, numbers, LANES):
        store(scratch, at, exponential(load(scratch, at, eight), bound))
    for h in range(heads):
        top[h] = scratch[h]
    for at in range(heads, numbers, heads):
        for h in range(heads):
            top[h] += scratch[at + h]
    for h in range(heads):
        top[h] = one / top[h]
    for at in range(0, numbers, heads):
        for h in range(heads):
            weight[p * heads + at + h] = scratch[at + h] * top[h]


@machine_code
def forward_rows(
    first: Any, last: Any, layer: Any, bound: Any, kept: Any, message: Any, gathered: Any, eight: Any, wide: Any
) -> None:
    """Weights `[P, H]` in `kept`, sums of weight times value `[N, H C]` and of weight times pair `[N, H, D]`.

    Args:
        first: First node of the part.
        last: The node after its last.
        layer: What is read (`Layer`).
        bound: Bound of what is exponentiated: exp(-bound) is nothing beside 1.
        kept: What the backward pass reads too (`Kept`).
        message: Sums of weight times value, `[N H C]`, written.
        gathered: Sums of weight times pair, `[N H D]`, written.
        eight: A tuple of `LANES` numbers: registers of channels.
        wide: A tuple as long as the registers of a pair's numbers.
    """
    source, ptr, pair, query, key, value, maps, scale = layer
    stored, mapped, weight = kept
    width, across = pair.shape[1], maps.shape[1] // 2
    nodes = len(ptr) - 1
    heads = len(gathered) // max(nodes * width, 1)
    channels = across // max(heads, 1)
    most = longest_block(first, last, ptr)
    room = mapped if stored else np.empty((most, 2 * across), pair.dtype)
    scratch = np.zeros(most * heads + LANES, pair.dtype)
    top = np.empty(heads, pair.dtype)
    x, rows = room.reshape(-1), pair.reshape(-1)
    one = scale / scale
    while first < last:
        end = block_end(first, last, ptr)
        start, stop = ptr[first], ptr[end]
        base = 0 if stored else start
        np.dot(pair[start:stop], maps, room[start - base : stop - base])
        for i in range(first, end):
            p, q = ptr[i], ptr[i + 1]
            if p == q:
                continue
            for h in range(heads):
                for number in range(p, q):
                    sum_h = scale - scale
                    for c in range(h * channels, (h + 1) * channels, LANES):
                        at = (number - base) * 2 * across + c
                        q_ij = plus(load(query, i * across + c, eight), load(x, at, eight))
                        k_ij = plus(load(key, source[number] * across + c, eight), load(x, at + across, eight))
                        sum_h += total(times(q_ij, k_ij))
                    weight[number * heads + h] = sum_h * scale
            _softmax(p, q, heads, weight, top, bound, one, scratch, eight)
            for h in range(heads):
                for c in range(h * channels, (h + 1) * channels, LANES):
                    s = spread(scale - scale, eight)
                    for number in range(p, q):
                        w = spread(weight[number * heads + h], eight)
                        s = plus(s, times(w, load(value, source[number] * across + c, eight)))
                    store(message, i * across + c, s)
            _sum_rows(p, q, rows, width, weight, heads, gathered, i * heads * width, wide)
        first = end


@machine_code
def backward_rows(
    first: Any,
    last: Any,
    layer: Any,
    kept: Any,
    upstream: Any,
    gradients: Any,
    gathered: Any,
    eight: Any,
    wide: Any,
) -> None:
    """`Gradients` from `Upstream`, and `gathered` as in the forward pass.

    Args:
        first: First node of the part.
        last: The node after its last.
        layer: What is read (`Layer`).
        kept: What the forward pass kept (`Kept`).
        upstream: What it starts from (`Upstream`).
        gradients: What is written (`Gradients`).
        gathered: Sums of weight times pair, `[N H D]`, written.
        eight: A tuple of `LANES` numbers: registers of channels.
        wide: A tuple as long as the registers of a pair's numbers.
    """
    source, ptr, pair, query, key, value, maps, scale = layer
    stored, mapped, weight = kept
    grad_message, grad_gathered, mean_slope = upstream
    grad_query, grad_key, grad_value, grad_pair, grad_maps = gradients
    width, across = pair.shape[1], maps.shape[1] // 2
    nodes = len(ptr) - 1
    heads = len(gathered) // max(nodes * width, 1)
    channels = across // max(heads, 1)
    most = longest_block(first, last, ptr)
    room = mapped if stored else np.empty((most, 2 * across), pair.dtype)
    grad_mapped = np.empty((most, 2 * across), pair.dtype)
    slope = np.empty(most * heads, pair.dtype)
    block_maps = np.empty((width, 2 * across), pair.dtype)
    back = np.ascontiguousarray(maps.T)
    x, grad_x, rows, grad_rows = room.reshape(-1), grad_mapped.reshape(-1), pair.reshape(-1), grad_pair.reshape(-1)
    zero, wide_zero = spread(scale - scale, eight), spread(scale - scale, wide)
    while first < last:
        end = block_end(first, last, ptr)
        start, stop = ptr[first], ptr[end]
        if start == stop:
            first = end
            continue
        base = 0 if stored else start
        if not stored:
            np.dot(pair[start:stop], maps, room[: stop - start])
        for i in range(first, end):
            p, q = ptr[i], ptr[i + 1]
            if p == q:
                continue
            for h in range(heads):
                own = (i * heads + h) * width
                for number in range(p, q):
                    s = wide_zero
                    for c in range(0, width, len(wide)):
                        s = plus(s, times(load(grad_gathered, own + c, wide), load(rows, number * width + c, wide)))
                    sum_h = total(s)
                    j = source[number] * across
                    for c in range(h * channels, (h + 1) * channels, LANES):
                        sum_h += total(times(load(grad_message, i * across + c, eight), load(value, j + c, eight)))
                    w = weight[number * heads + h]
                    slope[(number - start) * heads + h] = scale * w * (sum_h - mean_slope[i * heads + h])
                for c in range(h * channels, (h + 1) * channels, LANES):
                    q_i, grad_i = load(query, i * across + c, eight), load(grad_message, i * across + c, eight)
                    grad_q = zero
                    for number in range(p, q):
                        at, j = (number - base) * 2 * across + c, source[number] * across + c
                        change = spread(slope[(number - start) * heads + h], eight)
                        of_query = times(change, plus(load(key, j, eight), load(x, at + across, eight)))
                        of_key = times(change, plus(q_i, load(x, at, eight)))
                        at = (number - start) * 2 * across + c
                        store(grad_x, at, of_query)
                        store(grad_x, at + across, of_key)
                        grad_q = plus(grad_q, of_query)
                        store(grad_key, j, plus(load(grad_key, j, eight), of_key))
                        w = spread(weight[number * heads + h], eight)
                        store(grad_value, j, plus(load(grad_value, j, eight), times(w, grad_i)))
                    store(grad_query, i * across + c, grad_q)
            _sum_rows(p, q, rows, width, weight, heads, gathered, i * heads * width, wide)
        np.dot(grad_mapped[: stop - start], back, grad_pair[start:stop])
        np.dot(pair[start:stop].T, grad_mapped[: stop - start], block_maps)
        grad_maps += block_maps
        for i in range(first, end):
            _add_sums(ptr[i], ptr[i + 1], grad_rows, width, weight, heads, grad_gathered, i * heads * width, wide)
        first = end
