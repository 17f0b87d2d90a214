"""Softmax attention in tiles: the forward pass; see `graphpe.models.attention.gpu.softmax`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpe.compiled.kernel import Kernel
from graphpe.models.attention.gpu.tiles.parts import block_at, logits_of, of_pairs, of_relations, rows_of, store_rows

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


@Kernel
def attend(
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    v_ptr: tl.tensor,
    left_ptr: tl.tensor,
    right_ptr: tl.tensor,
    add_ptr: tl.tensor,
    multiply_ptr: tl.tensor,
    relation_ptr: tl.tensor,
    add_table_ptr: tl.tensor,
    multiply_table_ptr: tl.tensor,
    out_ptr: tl.tensor,
    exact_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    node_ptr: tl.tensor,
    pair_ptr: tl.tensor,
    graph_ptr: tl.tensor,
    first_ptr: tl.tensor,
    q_stride: tl.tensor,
    k_stride: tl.tensor,
    v_stride: tl.tensor,
    relations: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    WIDE: tl.constexpr,
    SIZE: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """One head of one block of queries over the keys of its graph."""
    # The heads of a block are neighbours: they read the same sectors of the pairs' rows.
    block, h = tl.program_id(0) // H, tl.program_id(0) % H
    start, pair, n, low = block_at(block, graph_ptr, node_ptr, pair_ptr, first_ptr, SIZE)
    if low >= n:
        return
    # Large offsets once a program: numbers within a graph, or within a block of its pairs, have 32 bits.
    k_ptr += start * k_stride + h * C
    v_ptr += start * v_stride + h * C
    if K:
        left_ptr += (start * H + h) * K
        right_ptr += (start * H + h) * K
    pair += low.to(tl.int64) * n
    r = tl.arange(0, SIZE)
    i = low + r
    q = rows_of(q_ptr + start * q_stride + h * C, q_stride, i, n, C, WIDE).to(KIND)
    top = tl.full([SIZE], float("-inf"), tl.float32)
    total = tl.zeros([SIZE], tl.float32)
    sums = tl.zeros([SIZE, WIDE], tl.float32)
    for j0 in range(0, n, SIZE):
        j = j0 + r
        k = rows_of(k_ptr, k_stride, j, n, C, WIDE).to(KIND)
        v = rows_of(v_ptr, v_stride, j, n, C, WIDE).to(KIND)
        at = r[:, None] * n + j[None, :]
        real = (i < n)[:, None] & (j < n)[None, :]
        logit = logits_of(
            q,
            k,
            left_ptr,
            right_ptr,
            add_ptr,
            relation_ptr,
            add_table_ptr,
            relations,
            i,
            j,
            n,
            pair,
            at,
            real,
            h,
            H,
            C,
            K,
            PRECISION,
        )
        logit = tl.where((j < n)[None, :], logit, float("-inf"))
        higher = tl.maximum(top, tl.max(logit, 1))
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        weight = tl.exp(logit - shift[:, None])
        fade = tl.exp(top - shift)
        total = total * fade + tl.sum(weight, 1)
        if multiply_ptr is not None:
            weight *= of_pairs(multiply_ptr, pair, at, real, h, H, 1.0)
        if multiply_table_ptr is not None:
            weight *= of_relations(relation_ptr, multiply_table_ptr, relations, pair, at, real, h, H, 1.0)
        sums = sums * fade[:, None] + tl.dot(weight.to(KIND), v, input_precision=PRECISION)
        top = higher
    empty = total == 0
    total = tl.where(empty, 1.0, total)
    out = sums / total[:, None]
    first = start * (H * C) + h * C
    store_rows(out_ptr + first, H * C, i, n, out, C, WIDE)
    if exact_ptr is not None:
        store_rows(exact_ptr + first, H * C, i, n, out, C, WIDE)
    # Infinite where no key has weight: exp(logit - l) is zero there.
    log_sum = tl.where(empty, float("inf"), top + tl.log(total))
    tl.store(log_sum_ptr + start * H + h + i * H, log_sum, mask=i < n)
