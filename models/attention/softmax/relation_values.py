"""What relations of pairs add to values, from sums of weights over the pairs of a node of each relation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.attention.softmax.padded_factors import PaddedFactors


def with_relations(out: Tensor, weight: Tensor, pairs: PairSet, factors: PairFactors | None) -> Tensor:
    """The result of attention and what relations add to values.

    Args:
        out: The result without relations, `[N, D]`.
        weight: What values of pairs are multiplied with, `[P, H]`.
        pairs: The pairs.
        factors: What pairs do, relations among it.

    Raises:
        GraphPEValueError: Relations or their vectors have another shape.
    """
    nodes, heads = out.shape[0], weight.shape[1]
    for each in () if factors is None else factors.values:
        count = each.table.shape[0]
        check_shapes(relation=(each.relation, (pairs.num_pairs,)))
        check_table(each.table, heads, out.shape[1] // heads)
        place = pairs.target * count + each.relation
        sums = weight.new_zeros(nodes * count, heads).index_add(0, place, weight).view(nodes, count, heads)
        out = out + _of_sums(sums, each.table).flatten(1).to(out.dtype)
    return out


def check_table(table: Tensor, heads: int, channels: int) -> None:
    """Raise unless vectors of relations are `[R, H or 1, C]`.

    Args:
        table: The vectors.
        heads: Number H of heads.
        channels: Channels C of a head.

    Raises:
        GraphPEValueError: They have another shape.
    """
    check_shapes(table=(table, (table.shape[0], 1 if table.dim() > 1 and table.shape[1] == 1 else heads, channels)))


def relations_of_block(weight: Tensor, relation: Tensor, table: Tensor) -> Tensor:
    """What relations add to values in a padded block, `[b, H, n, C]`.

    Args:
        weight: What values are multiplied with, `[b, H, n, n]`.
        relation: Relation of each pair, `[b, n, n]`.
        table: Vectors of relations, `[R, H or 1, C]`.
    """
    sums = weight.new_zeros(*weight.shape[:3], table.shape[0])
    sums = sums.scatter_add(3, relation.unsqueeze(1).expand_as(weight), weight)  # [b, H, n, R]
    return _of_sums(sums.permute(0, 2, 3, 1), table).transpose(1, 2)


def with_wider_values(factors: PairFactors | PaddedFactors | None, more: int) -> PairFactors | PaddedFactors | None:
    """The factors with so many zeros more in each vector of a relation.

    Args:
        factors: Rows of pairs, or padded.
        more: How many.
    """
    if isinstance(factors, PairFactors) and factors.values:
        return replace(
            factors, values=tuple(replace(x, table=functional.pad(x.table, (0, more))) for x in factors.values)
        )
    if isinstance(factors, PaddedFactors) and factors.values:
        return replace(factors, values=tuple((x, functional.pad(table, (0, more))) for x, table in factors.values))
    return factors


def _of_sums(sums: Tensor, table: Tensor) -> Tensor:
    """From sums of weights `[..., R, H]` and vectors `[R, H or 1, C]` to `[..., H, C]`."""
    return torch.einsum("...rh,rhc->...hc", sums, table.to(sums.dtype).expand(-1, sums.shape[-1], -1))
