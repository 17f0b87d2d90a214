"""Compiled passes over the pairs of GRIT's layer; `graphpe.models.attention.grit.attention` says what they compute.

Pairs are worked on in blocks that stay in cache: a product of the block with a matrix, then a pass over the block, and
so on. A pass goes through segments, pairs that end in one node, head by head, so that what belongs to the node and
sums over pairs are in registers. Memory is passed through once in each direction, and the rows of the next block are
asked for while one is worked on.

N nodes, P pairs, D channels, H heads, C = D / H: the length of the tuple `head`, which the compiler therefore knows.
Arrays of nodes `[N D]` or `[N H]` and masks are flat; those of pairs `[P, D]`: `graphpe.models.attention.grit.arrays`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import (
    exponential,
    load,
    minus,
    plus,
    positive,
    prefetch,
    signed_root,
    signed_root_slope,
    spread,
    store,
    times,
    total,
    where_positive,
)

SEGMENT = 32  # pairs: a few arrays of D numbers each fit the first-level cache

# Multiply-adds of the largest product of a block. OpenBLAS multiplies up to a million at once without packing its
# arguments, at 113 Gflop/s where it reached 75 to 90 above (D = 64); a few such arrays also fit the second-level cache.
_PRODUCT = 900_000


def block_rows(width: int) -> int:
    """Pairs of a block: a multiple of `SEGMENT`.

    Args:
        width: D.
    """
    return SEGMENT * max(1, min(8, _PRODUCT // (2 * SEGMENT * width * width)))


@machine_code
def _features(
    p: Any, q: Any, base: Any, i: Any, source: Any, query: Any, key: Any, scale: Any, feature: Any, bias: Any, head: Any
) -> None:
    """Of pairs p to q, which end in i: s = W_s z + b_s in `scale`, relu(rho((q_i + k_j) s) + W_f z + b_f) in `feature`.

    Both hold the products with z before; the pair in row 0 of them is `base`.
    """
    channels, width = len(head), feature.shape[1]
    scales, features = scale.reshape(-1), feature.reshape(-1)
    for c in range(0, width, channels):
        q_i = load(query, i * width + c, head)
        b_s, b_f = load(bias, c, head), load(bias, width + c, head)
        for pair in range(p, q):
            at = (pair - base) * width + c
            s = plus(load(scales, at, head), b_s)
            store(scales, at, s)
            root = signed_root(times(plus(q_i, load(key, source[pair] * width + c, head)), s))
            store(features, at, positive(plus(root, plus(load(features, at, head), b_f))))


@machine_code
def _drop(feature: Any, keep: Any, keep_scale: Any, dropped: Any, first: Any) -> None:
    """`feature` with dropout in `dropped`; the mask of its first row is that of pair `first`."""
    rows, width = feature.shape
    for row in range(rows):
        for c in range(width):
            dropped[row, c] = feature[row, c] * keep_scale if keep[(first + row) * width + c] else 0


@machine_code
def forward_rows(first_node: Any, last_node: Any, layer: Any, update: Any, products: Any, sums: Any, head: Any) -> None:
    """The forward pass over the pairs that end in some nodes: from a `Layer`, `Update` and `Products` to `Sums`.

    Args:
        first_node: First node of the part.
        last_node: The node after its last.
        layer: What is read (`Layer`).
        update: How rows of pairs are updated (`Update`).
        products: Products with z, or room for them (`Products`).
        sums: What is written (`Sums`).
        head: A tuple of C numbers: registers of a head's channels.
    """
    source, ptr, z, query, key, value, w_scale, w_feature, bias, score, keep, keep_scale, bound = layer
    w_out, out_scale, out_shift, drop, drop_scale = update
    scale, feature, stored, block_size = products
    logit, weight_sum, message, edge_message, out, mean, square = sums
    channels, width = len(head), z.shape[1]
    heads = width // channels
    weights = np.empty(SEGMENT * heads + channels, z.dtype)
    dropped = np.empty((block_size if drop.size else 0, width), z.dtype)
    z_flat, out_flat = z.reshape(-1), out.reshape(-1)
    scales, features = scale.reshape(-1), feature.reshape(-1)
    has_out = w_out.size > 0
    block_sums = np.empty(2 * width, z.dtype)
    pivot = np.empty(width, z.dtype)
    count = 0
    i = first_node
    for block in range(ptr[first_node], ptr[last_node], block_size):
        end = min(block + block_size, ptr[last_node])
        base = 0 if stored else block
        at_scale, at_feature = scale[block - base : end - base], feature[block - base : end - base]
        np.dot(z[block:end], w_scale, at_scale)
        np.dot(z[block:end], w_feature, at_feature)
        p = block
        while p < end:
            while ptr[i + 1] <= p:
                i += 1
            q = min(ptr[i + 1], end, p + SEGMENT)
            _features(p, q, base, i, source, query, key, scale, feature, bias, head)
            for h in range(heads):
                a = load(score, h * channels, head)
                for pair in range(p, q):
                    at = (pair - base) * width + h * channels
                    logit[pair * heads + h] = total(times(a, load(features, at, head)))
            for at in range(0, (q - p) * heads, channels):
                store(weights, at, exponential(load(logit, p * heads + at, head), bound))
            for h in range(heads):
                c = h * channels
                node = i * width + c
                message_i, edge_i = load(message, node, head), load(edge_message, node, head)
                sum_i = weight_sum[i * heads + h]
                for pair in range(p, q):
                    ahead = (pair + block_size) * width + c
                    prefetch(z_flat, ahead)
                    if has_out:
                        prefetch(out_flat, ahead)
                    if stored:
                        prefetch(scales, ahead)
                        prefetch(features, ahead)
                    w = weights[(pair - p) * heads + h]
                    sum_i += w
                    if keep.size:
                        w = w * keep_scale if keep[pair * heads + h] else w - w
                    wide = spread(w, head)
                    message_i = plus(message_i, times(wide, load(value, source[pair] * width + c, head)))
                    edge_i = plus(edge_i, times(wide, load(features, (pair - base) * width + c, head)))
                store(message, node, message_i)
                store(edge_message, node, edge_i)
                weight_sum[i * heads + h] = sum_i
            p = q
        if not has_out:
            continue
        if drop.size:
            _drop(at_feature, drop, drop_scale, dropped, block)
            np.dot(dropped[: end - block], w_out, out[block:end])
        else:
            np.dot(at_feature, w_out, out[block:end])
        block_sums[:] = 0
        for p in range(block, end, SEGMENT):
            q = min(p + SEGMENT, end)
            for c in range(0, width, channels):
                a, b = load(out_scale, c, head), load(out_shift, c, head)
                s1, s2 = load(block_sums, c, head), load(block_sums, width + c, head)
                if p == block:  # block_sums of squares around a value that occurs lose no digits
                    at = p * width + c
                    store(pivot, c, plus(load(out_flat, at, head), plus(times(a, load(z_flat, at, head)), b)))
                around = load(pivot, c, head)
                for pair in range(p, q):
                    at = pair * width + c
                    row = plus(load(out_flat, at, head), plus(times(a, load(z_flat, at, head)), b))
                    store(out_flat, at, row)
                    row = minus(row, around)
                    s1, s2 = plus(s1, row), plus(s2, times(row, row))
                store(block_sums, c, s1)
                store(block_sums, width + c, s2)
        if mean.size:
            rows = end - block
            for c in range(width):
                shift = np.float64(block_sums[c]) / rows
                distance = np.float64(pivot[c]) + shift - mean[c]
                square[c] += np.float64(block_sums[width + c]) - rows * shift * shift
                square[c] += distance * distance * count * rows / (count + rows)
                mean[c] += distance * rows / (count + rows)
            count += rows


@machine_code
def backward_rows(
    first_node: Any,
    last_node: Any,
    layer: Any,
    weight: Any,
    smallest: Any,
    update: Any,
    products: Any,
    upstream: Any,
    gradients: Any,
    head: Any,
) -> None:
    """The backward pass over the pairs that end in some nodes, from `Upstream` to `Gradients`.

    `weight` `[2 D, D]` is W_s over W_f; the slope of the signed root is that at `smallest` nearer to zero.

    Args:
        first_node: First node of the part.
        last_node: The node after its last.
        layer: What the forward pass read (`Layer`).
        weight: W_s over W_f, `[2 D, D]`.
        smallest: Below this, the slope of the signed root is that of this number.
        update: How rows of pairs were updated (`Update`).
        products: Products with z, or room for them (`Products`).
        upstream: What it starts from (`Upstream`).
        gradients: What is written (`Gradients`).
        head: A tuple of C numbers: registers of a head's channels.
    """
    source, ptr, z, query, key, value, w_scale, w_feature, bias, score, keep, keep_scale, bound = layer
    w_out, out_scale, _, drop, drop_scale = update
    scale, feature, stored, block_size = products
    logit, sum_inverse, grad_message, grad_edge_message, mean_grad, grad_out, out, out_slope, out_offset = upstream
    grad_z, grad_query, grad_key, grad_value, grad_weight, grad_w_out = gradients[:6]
    grad_bias, grad_score, grad_scale, grad_shift = gradients[6:]
    channels, width = len(head), z.shape[1]
    heads = width // channels
    has_out = w_out.size > 0
    weights = np.empty(SEGMENT * heads + channels, z.dtype)
    dropped = np.empty((block_size if drop.size else 0, width), z.dtype)
    grad_rows = np.zeros((block_size, width), z.dtype)  # of out
    grad_features = np.zeros((block_size, width), z.dtype)
    grad_products = np.empty((block_size, 2 * width), z.dtype)
    block_weight = np.empty((2 * width, width), z.dtype)
    block_out = np.empty((width, width), z.dtype)
    # Of one block: gradients of scale, shift, bias (2 D), score.
    sums = np.empty(5 * width, z.dtype)
    z_flat, out_flat, grad_out_flat, grad_z_flat = (
        z.reshape(-1),
        out.reshape(-1),
        grad_out.reshape(-1),
        grad_z.reshape(-1),
    )
    rows_flat, features_flat, products_flat = (
        grad_rows.reshape(-1),
        grad_features.reshape(-1),
        grad_products.reshape(-1),
    )
    scales, features = scale.reshape(-1), feature.reshape(-1)
    i = first_node
    for block in range(ptr[first_node], ptr[last_node], block_size):
        end = min(block + block_size, ptr[last_node])
        rows = end - block
        base = 0 if stored else block
        at_scale, at_feature = scale[block - base : end - base], feature[block - base : end - base]
        if not stored:
            np.dot(z[block:end], w_scale, at_scale)
            np.dot(z[block:end], w_feature, at_feature)
            node = i
            p = block
            while p < end:
                while ptr[node + 1] <= p:
                    node += 1
                q = min(ptr[node + 1], end, p + SEGMENT)
                _features(p, q, base, node, source, query, key, scale, feature, bias, head)
                p = q
        sums[:] = 0
        if has_out:
            for p in range(block, end, SEGMENT):
                q = min(p + SEGMENT, end)
                for c in range(0, width, channels):
                    slope, offset = load(out_slope, c, head), load(out_offset, c, head)
                    s1, s2 = load(sums, c, head), load(sums, width + c, head)
                    for pair in range(p, q):
                        at = pair * width + c
                        row = plus(load(grad_out_flat, at, head), plus(times(slope, load(out_flat, at, head)), offset))
                        store(rows_flat, at - block * width, row)
                        s1, s2 = plus(s1, times(row, load(z_flat, at, head))), plus(s2, row)
                    store(sums, c, s1)
                    store(sums, width + c, s2)
            np.dot(grad_rows[:rows], w_out, grad_features[:rows])
            if drop.size:
                _drop(at_feature, drop, drop_scale, dropped, block)
                np.dot(grad_rows[:rows].T, dropped[:rows], block_out)
                _drop(grad_features[:rows], drop, drop_scale, grad_features[:rows], block)
            else:
                np.dot(grad_rows[:rows].T, at_feature, block_out)
            grad_w_out += block_out
        p = block
        while p < end:
            while ptr[i + 1] <= p:
                i += 1
            q = min(ptr[i + 1], end, p + SEGMENT)
            for at in range(0, (q - p) * heads, channels):
                store(weights, at, exponential(load(logit, p * heads + at, head), bound))
            for h in range(heads):
                c = h * channels
                node = i * width + c
                q_i, grad_i, grad_edge_i = (
                    load(query, node, head),
                    load(grad_message, node, head),
                    load(grad_edge_message, node, head),
                )
                a = load(score, c, head)
                inverse, mean_i = sum_inverse[i * heads + h], mean_grad[i * heads + h]
                grad_q = load(grad_query, node, head)
                s_scale, s_feature = load(sums, 2 * width + c, head), load(sums, 3 * width + c, head)
                s_score = load(sums, 4 * width + c, head)
                for pair in range(p, q):
                    at, j = (pair - base) * width + c, source[pair] * width + c
                    ahead = (pair + block_size) * width + c
                    prefetch(z_flat, ahead)
                    prefetch(grad_z_flat, ahead)
                    if has_out:
                        prefetch(out_flat, ahead)
                        prefetch(grad_out_flat, ahead)
                    if stored:
                        prefetch(scales, ahead)
                        prefetch(features, ahead)
                    f = load(features, at, head)
                    attention = weights[(pair - p) * heads + h] * inverse
                    slope = total(plus(times(grad_i, load(value, j, head)), times(grad_edge_i, f)))
                    used = attention
                    if keep.size:
                        if keep[pair * heads + h]:
                            used, slope = used * keep_scale, slope * keep_scale
                        else:
                            used, slope = used - used, slope - slope
                    logit_p = logit[pair * heads + h]
                    slope = attention * (slope - mean_i)
                    if logit_p < -bound or logit_p > bound:
                        slope = slope - slope
                    wide_used, wide_slope = spread(used, head), spread(slope, head)
                    store(grad_value, j, plus(load(grad_value, j, head), times(wide_used, grad_i)))
                    s_score = plus(s_score, times(wide_slope, f))
                    row = load(features_flat, (pair - block) * width + c, head)
                    row = plus(row, plus(times(wide_used, grad_edge_i), times(wide_slope, a)))
                    row = where_positive(f, row)
                    s = load(scales, at, head)
                    joint = plus(q_i, load(key, j, head))
                    grad_score_p = times(row, signed_root_slope(times(joint, s), smallest))
                    grad_s, grad_joint = times(grad_score_p, joint), times(grad_score_p, s)
                    store(products_flat, 2 * (pair - block) * width + c, grad_s)
                    store(products_flat, (2 * (pair - block) + 1) * width + c, row)
                    grad_q = plus(grad_q, grad_joint)
                    store(grad_key, j, plus(load(grad_key, j, head), grad_joint))
                    s_scale, s_feature = plus(s_scale, grad_s), plus(s_feature, row)
                store(grad_query, node, grad_q)
                store(sums, 2 * width + c, s_scale)
                store(sums, 3 * width + c, s_feature)
                store(sums, 4 * width + c, s_score)
            p = q
        np.dot(grad_products[:rows], weight, grad_z[block:end])
        np.dot(grad_products[:rows].T, z[block:end], block_weight)
        grad_weight += block_weight
        if has_out:
            for p in range(block, end):
                for c in range(0, width, channels):
                    at = p * width + c
                    more = times(load(out_scale, c, head), load(rows_flat, at - block * width, head))
                    store(grad_z_flat, at, plus(load(grad_z_flat, at, head), more))
        for c in range(width):
            grad_scale[c] += sums[c]
            grad_shift[c] += sums[width + c]
            grad_bias[c] += sums[2 * width + c]
            grad_bias[width + c] += sums[3 * width + c]
            grad_score[c] += sums[4 * width + c]
