"""Softmax attention in tiles: gradients of biases of low rank; see `graphpe.models.attention.gpu.softmax`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpe.compiled.kernel import Kernel
from graphpe.models.attention.gpu.tiles.parts import block_at, logits_of, of_pairs, of_relations, rows_of, store_rows

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


@Kernel
def gradients_of_factors(
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
    grad_out_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    grad_ptr: tl.tensor,
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
    NARROW: tl.constexpr,
    RIGHT: tl.constexpr,
) -> None:
    """One head of one block of queries or, for the right factors, of keys."""
    block, h = tl.program_id(0) // H, tl.program_id(0) % H
    start, pair, n, low = block_at(block, graph_ptr, node_ptr, pair_ptr, first_ptr, SIZE)
    if low >= n:
        return
    q_ptr += start * q_stride + h * C
    k_ptr += start * k_stride + h * C
    v_ptr += start * v_stride + h * C
    grad_out_ptr += start * (H * C) + h * C
    left_ptr += (start * H + h) * K
    right_ptr += (start * H + h) * K
    r = tl.arange(0, SIZE)
    own = low + r
    if RIGHT:
        a = rows_of(k_ptr, k_stride, own, n, C, WIDE).to(KIND)
        b = rows_of(v_ptr, v_stride, own, n, C, WIDE).to(KIND)
    else:
        a = rows_of(q_ptr, q_stride, own, n, C, WIDE).to(KIND)
        b = rows_of(grad_out_ptr, H * C, own, n, C, WIDE).to(KIND)
        pair += low.to(tl.int64) * n
    sums = tl.zeros([SIZE, NARROW], tl.float32)
    few = tl.arange(0, 16)  # so that three products of 11 bits fit into registers
    for first in range(0, n, 16):
        other = first + few
        real = (own < n)[:, None] & (other < n)[None, :]
        # Own nodes down, others across.
        if RIGHT:
            i, at = other, few[None, :] * n + own[:, None]
            c = rows_of(q_ptr, q_stride, other, n, C, WIDE).to(KIND)
            d = rows_of(grad_out_ptr, H * C, other, n, C, WIDE).to(KIND)
            mine, theirs = right_ptr, left_ptr
        else:
            i, at = own, r[:, None] * n + other[None, :]
            c = rows_of(k_ptr, k_stride, other, n, C, WIDE).to(KIND)
            d = rows_of(v_ptr, v_stride, other, n, C, WIDE).to(KIND)
            mine, theirs = left_ptr, right_ptr
        logit = logits_of(
            a,
            c,
            mine,
            theirs,
            add_ptr,
            relation_ptr,
            add_table_ptr,
            relations,
            own,
            other,
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
        log_sum = tl.expand_dims(tl.load(log_sum_ptr + start * H + h + i * H, mask=i < n, other=0.0), 1 - RIGHT)
        delta = tl.expand_dims(tl.load(delta_ptr + start * H + h + i * H, mask=i < n, other=0.0), 1 - RIGHT)
        weight = tl.where(real, tl.exp(logit - log_sum), 0.0)
        grad = tl.dot(b, tl.trans(d), input_precision=PRECISION)
        if multiply_ptr is not None:
            grad *= of_pairs(multiply_ptr, pair, at, real, h, H, 1.0)
        if multiply_table_ptr is not None:
            grad *= of_relations(relation_ptr, multiply_table_ptr, relations, pair, at, real, h, H, 1.0)
        grad = weight * (grad - delta)
        rows = rows_of(theirs, H * K, other, n, K, NARROW).to(tl.float32)
        sums += tl.dot(grad, rows, input_precision="tf32x3")
        if RIGHT:
            pair += 16 * n.to(tl.int64)
    store_rows(grad_ptr + (start * H + h) * K, H * K, own, n, sums, K, NARROW)
