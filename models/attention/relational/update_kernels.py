"""Compiled passes of the update of pairs; `graphpe.models.attention.relational.update` says what they compute.

Pairs are worked on in blocks of rows that stay in cache: a product of the block with a matrix, then a pass over it, and
so on. Channels are worked on as many at a time as the tuple `lanes` is long.

P pairs, D channels, F and G hidden channels, all multiples of that. Vectors and arrays of nodes are flat; `first` and
`last` are pairs, for a part of the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import (
    load,
    minus,
    plus,
    positive,
    spread,
    store,
    times,
    total,
    where_positive,
)

BLOCK = 256  # pairs: a few arrays of D numbers each fit the second-level cache


@machine_code
def _centre(
    size: Any,
    x: Any,
    at: Any,
    rows: Any,
    place: Any,
    bias: Any,
    inverse: Any,
    width: Any,
    share: Any,
    eps: Any,
    lanes: Any,
) -> None:
    """Rows of `x` from `at` on become themselves + rows from `place` on + bias, each less its mean.

    `inverse` is 1 / their standard deviations; `share` is 1 / D.
    """
    zero, one = spread(share - share, lanes), share / share
    for row in range(size):
        s = zero
        for c in range(row * width, (row + 1) * width, len(lanes)):
            value = plus(plus(load(x, at + c, lanes), load(rows, place + c, lanes)), load(bias, c - row * width, lanes))
            s = plus(s, value)
            store(x, at + c, value)
        mean = spread(total(s) * share, lanes)
        s = zero
        for c in range(row * width, (row + 1) * width, len(lanes)):
            value = minus(load(x, at + c, lanes), mean)
            s = plus(s, times(value, value))
            store(x, at + c, value)
        inverse[row] = one / np.sqrt(total(s) * share + eps)


@machine_code
def _scale(size: Any, x: Any, at: Any, inverse: Any, scale: Any, shift: Any, out: Any, width: Any, lanes: Any) -> None:
    """Rows of `out` from `at` on, from the centred rows of `x` there: over their deviation, times scale, plus shift."""
    for row in range(size):
        r = spread(inverse[row], lanes)
        for c in range(0, width, len(lanes)):
            value = times(times(load(x, at + row * width + c, lanes), r), load(scale, c, lanes))
            store(out, at + row * width + c, plus(value, load(shift, c, lanes)))


@machine_code
def _reversed_rows(
    start: Any, stop: Any, reverse: Any, rows: Any, width: Any, out: Any, step: Any, shift: Any, lanes: Any
) -> None:
    """Rows of the reverses of pairs `start` to `stop`, in `out` at `step` apart; zeros where there is none."""
    zero = spread(rows[0] - rows[0], lanes)
    for number in range(start, stop):
        back, at = reverse[number] * width, (number - start) * step + shift
        if back >= 0:
            for c in range(0, width, len(lanes)):
                store(out, at + c, load(rows, back + c, lanes))
        else:
            for c in range(0, width, len(lanes)):
                store(out, at + c, zero)


@machine_code
def update_rows(
    first: Any,
    last: Any,
    ends: Any,
    pair: Any,
    source_term: Any,
    target_term: Any,
    weights: Any,
    share: Any,
    eps: Any,
    written: Any,
    lanes: Any,
) -> None:
    """The new pairs and the hidden layers, `Rows`, in `written`; `share` is 1 / D.

    Args:
        first: First pair of the part.
        last: The pair after its last.
        ends: Nodes and reverses of the pairs (`Ends`).
        pair: The pairs, `[P, D]`.
        source_term: s_j of each node, `[N F]`.
        target_term: t_i of each node, `[N F]`.
        weights: Parameters (`Weights`).
        share: 1 / D.
        eps: Added to variances.
        written: What is written (`Rows`).
        lanes: A tuple as long as the registers that are used.
    """
    source, target, reverse = ends
    of_pair, of_reverse, out_1, bias_1, scale_1, shift_1, hidden, hidden_bias, out_2, bias_2, scale_2, shift_2 = weights
    hidden_1, hidden_2, out = written
    width, narrow, narrower = pair.shape[1], of_pair.shape[1], hidden.shape[1]
    back, middle = np.empty((BLOCK, width), pair.dtype), np.empty((BLOCK, width), pair.dtype)
    mixed, inverse = np.empty((BLOCK, narrow), pair.dtype), np.empty(BLOCK, pair.dtype)
    b, y, m, rows = back.reshape(-1), middle.reshape(-1), mixed.reshape(-1), pair.reshape(-1)
    h_1, h_2, z = hidden_1.reshape(-1), hidden_2.reshape(-1), out.reshape(-1)
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        size = stop - start
        np.dot(pair[start:stop], of_pair, hidden_1[start:stop])
        _reversed_rows(start, stop, reverse, rows, width, b, width, 0, lanes)
        np.dot(back[:size], of_reverse, mixed[:size])
        for number in range(start, stop):
            j, i = source[number] * narrow, target[number] * narrow
            for c in range(0, narrow, len(lanes)):
                at = number * narrow + c
                others = plus(load(source_term, j + c, lanes), load(target_term, i + c, lanes))
                others = plus(others, load(m, at - start * narrow, lanes))
                store(h_1, at, positive(plus(load(h_1, at, lanes), others)))
        np.dot(hidden_1[start:stop], out_1, middle[:size])
        _centre(size, y, 0, rows, start * width, bias_1, inverse, width, share, eps, lanes)
        _scale(size, y, 0, inverse, scale_1, shift_1, y, width, lanes)
        np.dot(middle[:size], hidden, hidden_2[start:stop])
        for number in range(start, stop):
            for c in range(0, narrower, len(lanes)):
                at = number * narrower + c
                store(h_2, at, positive(plus(load(h_2, at, lanes), load(hidden_bias, c, lanes))))
        np.dot(hidden_2[start:stop], out_2, out[start:stop])
        _centre(size, z, start * width, y, 0, bias_2, inverse, width, share, eps, lanes)
        _scale(size, z, start * width, inverse, scale_2, shift_2, z, width, lanes)


@machine_code
def _normalisation_back(
    size: Any,
    grad: Any,
    at: Any,
    x: Any,
    inverse: Any,
    scale: Any,
    width: Any,
    share: Any,
    grad_scale: Any,
    grad_shift: Any,
    grad_bias: Any,
    lanes: Any,
) -> None:
    """From gradients of normalised rows, in place from `at` on, to those of the rows before; `x` are centred rows."""
    zero = spread(share - share, lanes)
    for row in range(size):
        r = spread(inverse[row], lanes)
        sum_g, sum_x = zero, zero
        for c in range(0, width, len(lanes)):
            g, v = load(grad, at + row * width + c, lanes), times(load(x, row * width + c, lanes), r)
            store(grad_scale, c, plus(load(grad_scale, c, lanes), times(g, v)))
            store(grad_shift, c, plus(load(grad_shift, c, lanes), g))
            g = times(g, load(scale, c, lanes))
            sum_g, sum_x = plus(sum_g, g), plus(sum_x, times(g, v))
        mean_g, mean_x = spread(total(sum_g) * share, lanes), times(spread(total(sum_x) * share, lanes), r)
        for c in range(0, width, len(lanes)):
            g = times(load(grad, at + row * width + c, lanes), load(scale, c, lanes))
            g = times(minus(g, plus(mean_g, times(load(x, row * width + c, lanes), mean_x))), r)
            store(grad, at + row * width + c, g)
            store(grad_bias, c, plus(load(grad_bias, c, lanes), g))


@machine_code
def update_back_rows(
    first: Any,
    last: Any,
    ends: Any,
    pair: Any,
    weights: Any,
    share: Any,
    eps: Any,
    hidden_1: Any,
    hidden_2: Any,
    grad_out: Any,
    gradients: Any,
    lanes: Any,
) -> None:
    """`UpdateGradients`: of all but the first map; `weights`, `share` and hidden layers as in `update_rows`.

    Args:
        first: First pair of the part.
        last: The pair after its last.
        ends: Nodes and reverses of the pairs (`Ends`).
        pair: The pairs, `[P, D]`.
        weights: Parameters (`Weights`).
        share: 1 / D.
        eps: Added to variances.
        hidden_1: First hidden layer, as the forward pass left it.
        hidden_2: Second hidden layer.
        grad_out: The gradient of the new pairs, `[P, D]`.
        gradients: What is written (`UpdateGradients`).
        lanes: A tuple as long as the registers that are used.
    """
    source, target, _ = ends
    _, _, out_1, bias_1, scale_1, shift_1, hidden, _, out_2, bias_2, scale_2, _ = weights
    grad_pair, grad_hidden, grad_source, grad_target, grad_out_1 = gradients[:5]
    grad_vectors, grad_hidden_map, grad_hidden_bias, grad_out_2 = gradients[5:]
    width, narrow, narrower = pair.shape[1], out_1.shape[0], out_2.shape[0]
    first_rows, second_rows = np.empty((BLOCK, width), pair.dtype), np.empty((BLOCK, width), pair.dtype)
    middle, grad_rows = np.empty((BLOCK, width), pair.dtype), np.empty((BLOCK, width), pair.dtype)
    grad_narrow = np.empty((BLOCK, narrower), pair.dtype)
    block_1, block_2 = np.empty_like(out_1), np.empty_like(out_2)
    block_map = np.empty((narrower, width), pair.dtype)
    back_1, back_2 = np.ascontiguousarray(out_1.T), np.ascontiguousarray(out_2.T)
    back_map = np.ascontiguousarray(hidden.T)
    inverse_1, inverse_2 = np.empty(BLOCK, pair.dtype), np.empty(BLOCK, pair.dtype)

    sums = (
        *(grad_vectors[0], grad_vectors[1], grad_vectors[2]),
        *(grad_vectors[3], grad_vectors[4], grad_vectors[5]),
    )
    x_1, x_2, y, g = first_rows.reshape(-1), second_rows.reshape(-1), middle.reshape(-1), grad_rows.reshape(-1)
    rows, grads, outs = pair.reshape(-1), grad_pair.reshape(-1), grad_out.reshape(-1)
    h_1, h_2, g_2, g_1 = hidden_1.reshape(-1), hidden_2.reshape(-1), grad_narrow.reshape(-1), grad_hidden.reshape(-1)
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        size = stop - start
        np.dot(hidden_1[start:stop], out_1, first_rows[:size])
        _centre(size, x_1, 0, rows, start * width, bias_1, inverse_1, width, share, eps, lanes)
        _scale(size, x_1, 0, inverse_1, scale_1, shift_1, y, width, lanes)
        np.dot(hidden_2[start:stop], out_2, second_rows[:size])
        _centre(size, x_2, 0, y, 0, bias_2, inverse_2, width, share, eps, lanes)
        for at in range(0, size * width, len(lanes)):
            store(g, at, load(outs, at + start * width, lanes))
        _normalisation_back(size, g, 0, x_2, inverse_2, scale_2, width, share, *sums[3:], lanes)
        np.dot(hidden_2[start:stop].T, grad_rows[:size], block_2)
        grad_out_2 += block_2
        np.dot(grad_rows[:size], back_2, grad_narrow[:size])
        for row in range(size):
            for c in range(0, narrower, len(lanes)):
                at = row * narrower + c
                s = where_positive(load(h_2, at + start * narrower, lanes), load(g_2, at, lanes))
                store(g_2, at, s)
                store(grad_hidden_bias, c, plus(load(grad_hidden_bias, c, lanes), s))
        np.dot(grad_narrow[:size].T, middle[:size], block_map)
        grad_hidden_map += block_map
        np.dot(grad_narrow[:size], back_map, grad_pair[start:stop])
        for at in range(0, size * width, len(lanes)):
            place = at + start * width
            store(grads, place, plus(load(grads, place, lanes), load(g, at, lanes)))
        _normalisation_back(size, grads, start * width, x_1, inverse_1, scale_1, width, share, *sums[:3], lanes)
        np.dot(hidden_1[start:stop].T, grad_pair[start:stop], block_1)
        grad_out_1 += block_1
        np.dot(grad_pair[start:stop], back_1, grad_hidden[start:stop])
        for number in range(start, stop):
            j, i = source[number] * narrow, target[number] * narrow
            for c in range(0, narrow, len(lanes)):
                at = number * narrow + c
                s = where_positive(load(h_1, at, lanes), load(g_1, at, lanes))
                store(g_1, at, s)
                store(grad_source, j + c, plus(load(grad_source, j + c, lanes), s))
                store(grad_target, i + c, plus(load(grad_target, i + c, lanes), s))


@machine_code
def mix_back_rows(
    first: Any,
    last: Any,
    reverse: Any,
    pair: Any,
    mix: Any,
    grad_hidden: Any,
    grad_pair: Any,
    grad_mix: Any,
    lanes: Any,
) -> None:
    """What comes to pairs through the first map `mix` `[2 F, D]`, added to `grad_pair`; its gradient in `grad_mix`.

    Args:
        first: First pair of the part.
        last: The pair after its last.
        reverse: Reverse of each pair, `[P]`; -1 for none.
        pair: The pairs, `[P, D]`.
        mix: A over B, `[2 F, D]`.
        grad_hidden: The gradient of the first hidden layer, `[P, F]`.
        grad_pair: The gradient of the pairs, `[P, D]`, added to.
        grad_mix: The gradient of `mix`, added to.
        lanes: A tuple as long as the registers that are used.
    """
    width, narrow = pair.shape[1], grad_hidden.shape[1]
    both = np.empty((BLOCK, 2 * narrow), pair.dtype)
    change = np.empty((BLOCK, width), pair.dtype)
    block_mix = np.empty_like(mix)
    joined, flat_change, flat_hidden, grads = (
        both.reshape(-1),
        change.reshape(-1),
        grad_hidden.reshape(-1),
        grad_pair.reshape(-1),
    )
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        size = stop - start
        for number in range(start, stop):
            for c in range(0, narrow, len(lanes)):
                store(joined, (number - start) * 2 * narrow + c, load(flat_hidden, number * narrow + c, lanes))
        _reversed_rows(start, stop, reverse, flat_hidden, narrow, joined, 2 * narrow, narrow, lanes)
        np.dot(both[:size], mix, change[:size])
        np.dot(both[:size].T, pair[start:stop], block_mix)
        grad_mix += block_mix
        for at in range(0, size * width, len(lanes)):
            place = at + start * width
            store(grads, place, plus(load(grads, place, lanes), load(flat_change, at, lanes)))
