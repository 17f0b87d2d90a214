"""Softmax attention in tiles: the gradient of a table of relations; see `graphpe.models.attention.gpu.softmax`.

Logits are made again, so that nothing of the size of the pairs is stored. A program takes one head, some relations and
every so many-th block of queries; for each relation it keeps a tile of 256 numbers, to each of which it adds the
gradient of the pair at that place, if the pair is of that relation. Tiles are summed at the end and written once; the
sums of all programs are added in one order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpe.compiled.kernel import Kernel
from graphpe.models.attention.gpu.tiles.parts import block_at, logits_of, of_pairs, of_relations, relations_of, rows_of

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


@Kernel
def gradient_of_table(
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
    blocks: tl.tensor,
    shares: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    WIDE: tl.constexpr,
    SIZE: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
    RELATIONS: tl.constexpr,
    MULTIPLY: tl.constexpr,
) -> None:
    """One head of every `shares`-th block of queries, and `RELATIONS` rows of one of the two tables."""
    h, share, part = tl.program_id(0) % H, tl.program_id(0) // H % shares, tl.program_id(0) // (H * shares)
    r, row = tl.arange(0, 16), part * RELATIONS + tl.arange(0, RELATIONS)
    sums = tl.zeros([RELATIONS, 256], tl.float32)
    for block in range(share, blocks, shares):
        start, of_graph, n, low = block_at(block, graph_ptr, node_ptr, pair_ptr, first_ptr, SIZE)
        first = start * (H * C) + h * C
        left, right = left_ptr, right_ptr
        if K:
            left += (start * H + h) * K
            right += (start * H + h) * K
        for i0 in range(low, tl.minimum(low + SIZE, n), 16):
            i = i0 + r
            pair = of_graph + n.to(tl.int64) * i0
            q = rows_of(q_ptr + start * q_stride + h * C, q_stride, i, n, C, WIDE).to(KIND)
            g = rows_of(grad_out_ptr + first, H * C, i, n, C, WIDE).to(KIND)
            log_sum = tl.load(log_sum_ptr + start * H + h + i * H, mask=i < n, other=0.0)
            delta = tl.load(delta_ptr + start * H + h + i * H, mask=i < n, other=0.0)
            for j0 in range(0, n, 16):
                j = j0 + r
                k = rows_of(k_ptr + start * k_stride + h * C, k_stride, j, n, C, WIDE).to(KIND)
                v = rows_of(v_ptr + start * v_stride + h * C, v_stride, j, n, C, WIDE).to(KIND)
                at = r[:, None] * n + j[None, :]
                real = (i < n)[:, None] & (j < n)[None, :]
                logit = logits_of(
                    q,
                    k,
                    left,
                    right,
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
                if multiply_ptr is not None:
                    grad *= of_pairs(multiply_ptr, pair, at, real, h, H, 1.0)
                if not MULTIPLY:
                    if multiply_table_ptr is not None:
                        grad *= of_relations(relation_ptr, multiply_table_ptr, relations, pair, at, real, h, H, 1.0)
                    grad -= delta[:, None]
                relation = tl.reshape(relations_of(relation_ptr, pair, at, real), [256])
                grad = tl.reshape(weight * grad, [256])
                sums += tl.where(relation[None, :] == row[:, None], grad[None, :], 0.0)
    tl.store(grad_ptr + (share * relations + row) * H + h, tl.sum(sums, 1), mask=row < relations)
