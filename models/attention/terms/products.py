"""Products of the query and the key of each pair along a list of pairs: nothing of size `[P, D]` is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.models.attention.pairs import PairSet
from graphpe.models.layers.precision import exactly

# Bytes of one [rows, D] block, as in `graphpe.models.attention.softmax.softmax`.
_BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 26}


def pair_products(
    query: Tensor, key: Tensor, pairs: PairSet, relation: Tensor | None = None, table: Tensor | None = None
) -> Tensor:
    """sum_c q_ic k_jc table[relation_ij]_c of every pair and head, `[P, H]`, in float32 or better.

    O(P D) time in blocks of pairs that stay in cache, forward and backward.

    Args:
        query: Queries by heads, `[N, H, C]`.
        key: Keys by heads, `[N, H, C]`.
        pairs: The pairs.
        relation: Relation of each pair, `[P]`, or None.
        table: A vector of each relation, `[R, H, C]`, or None for ones.
    """
    query, key = exactly(query), exactly(key)
    table = None if table is None else table.to(query.dtype)
    if torch.compiler.is_compiling():
        product = query.index_select(0, pairs.target) * key.index_select(0, pairs.source)
        if table is not None and relation is not None:
            product = product * table.index_select(0, relation)
        return product.sum(-1)
    return _Products.apply(query, key, table, pairs.target, pairs.source, relation)


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        table: Tensor | None,
        target: Tensor,
        source: Tensor,
        relation: Tensor | None,
    ) -> Tensor:
        out = query.new_empty(target.numel(), query.shape[1])
        for part in _parts(target.numel(), query):
            product = query.index_select(0, target[part]).mul_(key.index_select(0, source[part]))
            if table is not None and relation is not None:
                product.mul_(table.index_select(0, relation[part]))
            torch.sum(product, -1, out=out[part])
        ctx.save_for_backward(query, key, table, target, source, relation)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, table, target, source, relation = ctx.saved_tensors
        grad_query, grad_key = torch.zeros_like(query), torch.zeros_like(key)
        grad_table = None if table is None else torch.zeros_like(table)
        for part in _parts(target.numel(), query):
            i, j, g = target[part], source[part], grad[part].unsqueeze(-1)
            q, k = query.index_select(0, i), key.index_select(0, j)
            if table is not None and grad_table is not None:
                grad_table.index_add_(0, relation[part], q * k * g)
                g = g * table.index_select(0, relation[part])
            grad_query.index_add_(0, i, k.mul_(g))
            grad_key.index_add_(0, j, q.mul_(g))
        return grad_query, grad_key, grad_table, None, None, None


def _parts(pairs: int, like: Tensor) -> Iterator[slice]:
    size = _BLOCK_BYTES.get(like.device.type, 1 << 26)
    step = max(1, size // max(like[:1].numel() * like.element_size(), 1))
    return (slice(start, start + step) for start in range(0, pairs, step))
