"""Softmax attention in tiles: gradients of rows of nodes and pairs; see `graphpe.models.attention.gpu.softmax`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpe.compiled.kernel import Kernel
from graphpe.models.attention.gpu.tiles.parts import block_at, logits_of, of_pairs, of_relations, rows_of, store_rows

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


@Kernel
def gradients_of_queries(
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
    grad_out_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    grad_q_ptr: tl.tensor,
    grad_add_ptr: tl.tensor,
    grad_multiply_ptr: tl.tensor,
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
    """One head of one block of queries: its gradients, those of the rows of its pairs, and delta."""
    block, h = tl.program_id(0) // H, tl.program_id(0) % H
    start, pair, n, low = block_at(block, graph_ptr, node_ptr, pair_ptr, first_ptr, SIZE)
    if low >= n:
        return
    k_ptr += start * k_stride + h * C
    v_ptr += start * v_stride + h * C
    pair += low.to(tl.int64) * n
    r = tl.arange(0, SIZE)
    i = low + r
    first = start * (H * C) + h * C
    if K:
        left_ptr += (start * H + h) * K
        right_ptr += (start * H + h) * K
    q = rows_of(q_ptr + start * q_stride + h * C, q_stride, i, n, C, WIDE).to(KIND)
    g = rows_of(grad_out_ptr + first, H * C, i, n, C, WIDE)
    out = rows_of(out_ptr + first, H * C, i, n, C, WIDE)
    delta = tl.sum(g.to(tl.float32) * out.to(tl.float32), 1)
    tl.store(delta_ptr + start * H + h + i * H, delta, mask=i < n)
    g = g.to(KIND)
    log_sum = tl.load(log_sum_ptr + start * H + h + i * H, mask=i < n, other=0.0)
    grad_q = tl.zeros([SIZE, WIDE], tl.float32)
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
        weight = tl.where(real, tl.exp(logit - log_sum[:, None]), 0.0)
        grad = tl.dot(g, tl.trans(v), input_precision=PRECISION)
        if multiply_table_ptr is not None:
            grad *= of_relations(relation_ptr, multiply_table_ptr, relations, pair, at, real, h, H, 1.0)
        if grad_multiply_ptr is not None:
            kind = grad_multiply_ptr.dtype.element_ty
            tl.store(grad_multiply_ptr + pair * H + h + at * H, (weight * grad).to(kind), mask=real)
        if multiply_ptr is not None:
            grad *= of_pairs(multiply_ptr, pair, at, real, h, H, 1.0)
        grad = weight * (grad - delta[:, None])
        if grad_add_ptr is not None:
            tl.store(grad_add_ptr + pair * H + h + at * H, grad.to(grad_add_ptr.dtype.element_ty), mask=real)
        grad_q += tl.dot(grad.to(KIND), k, input_precision=PRECISION)
    store_rows(grad_q_ptr + first, H * C, i, n, grad_q * C**-0.5, C, WIDE)


@Kernel
def gradients_of_keys(
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
    grad_k_ptr: tl.tensor,
    grad_v_ptr: tl.tensor,
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
    """One head of one block of keys: gradients of keys, values and factors of keys."""
    block, h = tl.program_id(0) // H, tl.program_id(0) % H
    start, pair, n, low = block_at(block, graph_ptr, node_ptr, pair_ptr, first_ptr, SIZE)
    if low >= n:
        return
    q_ptr += start * q_stride + h * C
    first = start * (H * C) + h * C
    if K:
        left_ptr += (start * H + h) * K
        right_ptr += (start * H + h) * K
    r = tl.arange(0, SIZE)
    j = low + r
    k = rows_of(k_ptr + start * k_stride + h * C, k_stride, j, n, C, WIDE).to(KIND)
    v = rows_of(v_ptr + start * v_stride + h * C, v_stride, j, n, C, WIDE).to(KIND)
    grad_k = tl.zeros([SIZE, WIDE], tl.float32)
    grad_v = tl.zeros([SIZE, WIDE], tl.float32)
    for i0 in range(0, n, SIZE):
        i = i0 + r
        q = rows_of(q_ptr, q_stride, i, n, C, WIDE).to(KIND)
        g = rows_of(grad_out_ptr + first, H * C, i, n, C, WIDE).to(KIND)
        log_sum = tl.load(log_sum_ptr + start * H + h + i * H, mask=i < n, other=0.0)
        delta = tl.load(delta_ptr + start * H + h + i * H, mask=i < n, other=0.0)
        # Keys down, queries across.
        at = r[None, :] * n + j[:, None]
        real = (j < n)[:, None] & (i < n)[None, :]
        logit = logits_of(
            k,
            q,
            right_ptr,
            left_ptr,
            add_ptr,
            relation_ptr,
            add_table_ptr,
            relations,
            j,
            i,
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
        weight = tl.where(real, tl.exp(logit - log_sum[None, :]), 0.0)
        grad = tl.dot(v, tl.trans(g), input_precision=PRECISION)
        factor = weight
        if multiply_ptr is not None:
            multiply = of_pairs(multiply_ptr, pair, at, real, h, H, 1.0)
            factor *= multiply
            grad *= multiply
        if multiply_table_ptr is not None:
            multiply = of_relations(relation_ptr, multiply_table_ptr, relations, pair, at, real, h, H, 1.0)
            factor *= multiply
            grad *= multiply
        grad = weight * (grad - delta[None, :])
        grad_v += tl.dot(factor.to(KIND), g, input_precision=PRECISION)
        grad_k += tl.dot(grad.to(KIND), q, input_precision=PRECISION)
        pair += SIZE * n.to(tl.int64)
    store_rows(grad_k_ptr + first, H * C, j, n, grad_k * C**-0.5, C, WIDE)
    store_rows(grad_v_ptr + first, H * C, j, n, grad_v, C, WIDE)
