"""What pairs do to attention: numbers of pairs, of relations and of low rank, and how several of them go together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from graphpe.errors import GraphPEValueError


@dataclass(frozen=True, eq=False)
class RelationValues:
    """Vectors of relations that are added to values: out_i += sum_j weight_ij table[relation_ij].

    Example:
        >>> M.RelationValues(torch.tensor([0, 1, 1, 0]), torch.zeros(2, 1, 4)).table.shape
        torch.Size([2, 1, 4])

    Attributes:
        relation: Relation of each pair, `[P]` integers.
        table: Vector of each relation, `[R, H, C]`, or `[R, 1, C]` for all heads.
    """

    relation: Tensor
    table: Tensor


@dataclass(frozen=True, eq=False)
class RelationBias:
    """Numbers of relations: logits get add[relation_ij] more, weights are multiplied by multiply[relation_ij].

    Example:
        >>> M.RelationBias(torch.tensor([0, 1, 1, 0]), add=torch.zeros(2, 8)).size
        2

    Attributes:
        relation: Relation of each pair, `[P]` integers, int32 or int64.
        add: Number of each relation and head, `[R, H]`; None for 0.
        multiply: Factor of each relation and head, `[R, H]`; None for 1.
    """

    relation: Tensor
    add: Tensor | None = None
    multiply: Tensor | None = None

    @property
    def size(self) -> int:
        """Number R of relations that have numbers."""
        return next((x.shape[0] for x in (self.add, self.multiply) if x is not None), 0)

    def rows(self) -> PairFactors:
        """The same as rows of pairs, `[P, H]`."""
        add, multiply = (
            None if x is None else functional.embedding(self.relation, x) for x in (self.add, self.multiply)
        )
        return PairFactors(add, multiply)


@dataclass(frozen=True, eq=False)
class PairFactors:
    """What pairs do to attention: softmax(q k / sqrt(C) + add + left right) * multiply, not normalised again.

    Example:
        >>> M.PairFactors(add=torch.zeros(9, 2)).multiply is None
        True

    Attributes:
        add: Added to the logits, `[P, H]`, or None.
        multiply: Factor of the weights, `[P, H]`, or None.
        left: Of the query of a pair, `[N, H, K]`; its product with `right` is added to the logit. A bias of low rank
            needs nothing of the size of the pairs.
        right: Of the key of a pair, `[N, H, K]`; given together with `left`.
        values: What is added to values by relations of pairs.
        relations: What numbers of relations do besides: nothing of the size of P H where Triton's kernels run.
    """

    add: Tensor | None = None
    multiply: Tensor | None = None
    left: Tensor | None = None
    right: Tensor | None = None
    values: tuple[RelationValues, ...] = ()
    relations: tuple[RelationBias, ...] = ()

    def with_rows(self, most: int = 0) -> PairFactors:
        """The same with at most so many kinds of relations; numbers of all others as rows of pairs.

        Args:
            most: How many.
        """
        if len(self.relations) <= most:
            return self
        others = (each.rows() for each in self.relations[most:])
        return combine([replace(self, relations=self.relations[:most]), *others])


def combine(factors: Iterable[PairFactors]) -> PairFactors:
    """The sum of all that is added, the product of all that multiplies, and all columns, values and relations.

    Args:
        factors: What each encoding does.

    Raises:
        GraphPEValueError: They have different numbers of heads.
    """
    add: Tensor | None = None
    multiply: Tensor | None = None
    left, right = [], []
    values: tuple[RelationValues, ...] = ()
    relations: tuple[RelationBias, ...] = ()
    for each in factors:
        values += each.values
        relations += each.relations
        if each.add is not None:
            check_same_heads(add, each.add)
            add = each.add if add is None else add + each.add
        if each.multiply is not None:
            check_same_heads(multiply, each.multiply)
            multiply = each.multiply if multiply is None else multiply * each.multiply
        if each.left is not None and each.right is not None:
            left.append(each.left)
            right.append(each.right)
    if not left:
        return PairFactors(add, multiply, values=values, relations=relations)
    return PairFactors(add, multiply, torch.cat(left, dim=2), torch.cat(right, dim=2), values, relations)


def check_same_heads(one: Tensor | None, other: Tensor) -> None:
    """Raise unless two biases have numbers of the same heads in their last column.

    Args:
        one: `[..., H]`, or None.
        other: `[..., H]`.

    Raises:
        GraphPEValueError: They have not.
    """
    if one is not None and one.shape[-1] != other.shape[-1]:
        raise GraphPEValueError(
            f"biases of attention have {one.shape[-1]} and {other.shape[-1]} heads: build all for those of the model"
        )
