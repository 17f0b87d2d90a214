"""Softmax attention over all pairs of each graph as Triton kernels: the formulas of `softmax.softmax`.

N nodes, P pairs, D channels, H heads, C = D / H, K columns of factors, R relations. A program takes one head and one
block of nodes of one graph, as queries, and goes over the keys of the graph in blocks of the same size; maximum and sum
of the softmax are corrected as it goes (Milakov & Gimelshein 2018, Dao et al. 2022), so that weights are never written.
What pairs do is read as it is stored, and never becomes rows `[P, H]` that were not there:

    logit_ij    = q_i k_j / sqrt(C) + left_i right_j + add_ij + add_table[relation_ij]
    multiply_ij = multiply_ij multiply_table[relation_ij]

With G = d loss / d out,

    l_i    = log sum_j exp(logit_ij)                     kept, [N, H]
    delta_i = sum_c G_ic out_ic = sum_j weight_ij multiply_ij (G_i v_j)
    d multiply_ij = weight_ij (G_i v_j)
    d add_ij = weight_ij (multiply_ij (G_i v_j) - delta_i)
    d q_i  = sum_j d add_ij k_j / sqrt(C)                programs over queries, which write d add and d multiply, too
    d k_j  = sum_i d add_ij q_i / sqrt(C)                programs over keys
    d v_j  = sum_i weight_ij multiply_ij G_i
    d left_i = sum_j d add_ij right_j, d right_j = sum_i d add_ij left_i    with those of queries and keys
    d add_table[r] = sum of d add_ij over the pairs of relation r, and so for factors        `tiles.tables`

Every number is written by one program, in one order: results are the same every time. Memory beyond what is returned
is O(N H + R). Rows of float32 are multiplied as `torch.set_float32_matmul_precision` says, those of half precision as
they are; `left` and `right`, and all sums, are float32. Where keys have much in common, delta times their mean cancels
in d q_i: delta is of the output before it is rounded to half precision, which is kept for it, `[N, D]` float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import dot_options, power_of_two
from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.gpu.ragged import RaggedNodes
from graphpe.models.attention.gpu.tiles.backward import gradients_of_keys, gradients_of_queries
from graphpe.models.attention.gpu.tiles.factors import gradients_of_factors
from graphpe.models.attention.gpu.tiles.forward import attend
from graphpe.models.attention.gpu.tiles.tables import gradient_of_table
from graphpe.models.attention.shapes import check_attention, check_shapes

_PROGRAMS = 1024
"""Programs over all blocks that write sums for a part of a table: some for each processor of a GPU."""


def ragged_softmax(
    query: Tensor, key: Tensor, value: Tensor, nodes: RaggedNodes, factors: PairFactors | None = None, *, heads: int
) -> Tensor:
    """Attention of each node over all nodes of its graph, `[N, D]`.

    A node all of whose logits are -inf receives zero.

    Args:
        query: `[N, D]`; float32 or half precision.
        key: `[N, D]`.
        value: `[N, D]`.
        nodes: The nodes in blocks.
        factors: Biases and factors of all pairs, with relations of one kind at most, and no values.
        heads: Number of heads; divides D.

    Raises:
        GraphPEValueError: A shape is another.
    """
    check_attention(query, key, value, nodes.members.num_nodes, heads)
    factors = PairFactors() if factors is None else factors
    add, multiply, left, right = factors.add, factors.multiply, factors.left, factors.right
    known = factors.relations[0] if factors.relations else None
    relation, add_table, multiply_table = (None,) * 3 if known is None else (known.relation, known.add, known.multiply)
    rows = next((x.shape[0] for x in (add, multiply, relation) if x is not None), 0)
    rows = rows if nodes.members.num_pairs is None else nodes.members.num_pairs
    check_shapes(add=(add, (rows, heads)), multiply=(multiply, (rows, heads)), relation=(relation, (rows,)))
    columns, relations = 0 if left is None else left.shape[-1], 0 if known is None else known.size
    check_shapes(left=(left, (query.shape[0], heads, columns)), right=(right, (query.shape[0], heads, columns)))
    check_shapes(add=(add_table, (relations, heads)), multiply=(multiply_table, (relations, heads)))
    if not query.shape[0]:
        return value
    key, value = key.to(query.dtype), value.to(query.dtype)
    given = left, right, add, multiply, relation, add_table, multiply_table
    return _RaggedSoftmax.apply(query, key, value, *given, nodes, heads)


class _RaggedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> Tensor:
        *given, nodes, heads = rest
        query, key, value = (x if x.stride(1) == 1 else x.contiguous() for x in (query, key, value))
        given = [None if x is None else x.contiguous() for x in given]
        out = query.new_empty(query.shape)
        exact = None if out.dtype == torch.float32 else out.new_empty(out.shape, dtype=torch.float32)
        log_sum = query.new_empty(query.shape[0], heads, dtype=torch.float32)
        attend(
            nodes.blocks * heads,
            *(query, key, value, *given, out, exact, log_sum),
            *_where(nodes, query, key, value, given),
            **_options(query, nodes, heads, given),
        )
        ctx.save_for_backward(query, key, value, *given, out if exact is None else exact, log_sum)
        ctx.nodes, ctx.heads = nodes, heads
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        *rows, out, log_sum = ctx.saved_tensors
        nodes, heads, (query, key, value, *given) = ctx.nodes, ctx.heads, rows
        # New ones without the strides of what came, which may be parts of wider rows.
        grads = [
            x.new_empty(x.shape) if x is not None and asked else None
            for x, asked in zip(rows, (True, True, True, *ctx.needs_input_grad[3:]), strict=False)
        ]
        of_query, of_key, of_value, of_left, of_right, of_add, of_multiply, _, of_add_table, of_multiply_table = grads
        grad_out, delta = grad_out.contiguous(), torch.empty_like(log_sum)
        where, options = _where(nodes, query, key, value, given), _options(query, nodes, heads, given)
        programs = nodes.blocks * heads
        read = grad_out, log_sum, delta
        gradients_of_queries(programs, *rows, out, *read, of_query, of_add, of_multiply, *where, **options)
        gradients_of_keys(programs, *rows, *read, of_key, of_value, *where, **options)
        for right, of_ends in enumerate((of_left, of_right)):
            if of_ends is not None:
                narrow = power_of_two(options["K"], 16)
                gradients_of_factors(programs, *rows, *read, of_ends, *where, **options, NARROW=narrow, RIGHT=right)
        shares = min(nodes.blocks, -(-_PROGRAMS // heads))
        for multiply, of_table in enumerate((of_add_table, of_multiply_table)):
            if of_table is not None:
                relations = of_table.shape[0]
                at_once = min(power_of_two(relations, 16), 64)  # more do not fit into registers
                sums = log_sum.new_empty(shares, *of_table.shape)
                gradient_of_table(
                    shares * heads * -(-relations // at_once),
                    *(*rows, *read, sums, *where, nodes.blocks, shares),
                    **{**options, "RELATIONS": at_once, "MULTIPLY": multiply, "warps": 8},
                )
                grads[8 + multiply] = sums.sum(0).to(of_table.dtype)
        return *grads, None, None


def _where(
    nodes: RaggedNodes, query: Tensor, key: Tensor, value: Tensor, given: Sequence[Tensor | None]
) -> tuple[Tensor | int, ...]:
    """Where the nodes and pairs of each block are, strides of rows, and the number of relations."""
    relations = next((x.shape[0] for x in given[5:] if x is not None), 0)
    strides = query.stride(0), key.stride(0), value.stride(0)
    return nodes.members.ptr, nodes.pair_ptr, nodes.graph, nodes.first, *strides, relations


def _options(query: Tensor, nodes: RaggedNodes, heads: int, given: Sequence[Tensor | None]) -> dict[str, Any]:
    channels, columns = query.shape[1] // heads, 0 if given[0] is None else given[0].shape[2]
    # Products of matrices have at least 16 rows and columns.
    shape = {"H": heads, "C": channels, "K": columns, "WIDE": power_of_two(channels, 16), "SIZE": nodes.size}
    return {**shape, **dot_options(query), "warps": nodes.size // 8, "stages": 2}
