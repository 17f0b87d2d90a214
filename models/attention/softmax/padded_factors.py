"""What pairs do to attention in padded blocks: made once, shared by the layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.padding import PaddedNodes
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.shapes import check_shapes


@dataclass(frozen=True, eq=False)
class PaddedFactors:
    """`PairFactors` of all pairs in the blocks of a `PaddedNodes`: made once, shared by the layers.

    Attributes:
        add: Of each block `[b, H, n, n]`, -inf at padding keys; None for none.
        multiply: Of each block `[b, H, n, n]`; None for none.
        left: Rows of nodes as they are, `[N, H, K]`; None for none.
        right: Rows of nodes as they are, `[N, H, K]`; None for none.
        values: Relations of each block `[b, n, n]` and their vectors `[R, H or 1, C]`, of each kind of relation.
    """

    add: list[Tensor] | None
    multiply: list[Tensor] | None
    left: Tensor | None = None
    right: Tensor | None = None
    values: tuple[tuple[list[Tensor], Tensor], ...] = ()


def pad_factors(
    factors: PairFactors, pairs: PairSet, nodes: PaddedNodes, rows: list[Tensor] | None = None
) -> PaddedFactors:
    """The factors of all pairs of each graph in padded blocks. One gather of rows `[H]`; its gradient is a scatter.

    Args:
        factors: Biases and factors of the pairs, `[P, H]`.
        pairs: All pairs of each graph.
        nodes: The nodes as padded blocks.
        rows: What `rows_of_blocks` gave for these pairs and nodes; None to find it.
    """
    factors = factors.with_rows()
    for name, value in (("add", factors.add), ("multiply", factors.multiply)):
        check_shapes(**{name: (value, (pairs.num_pairs, 0 if value is None else value.shape[-1]))})
    given = factors.add is not None or factors.multiply is not None or factors.values
    rows = rows_of_blocks(pairs, nodes) if rows is None and given else rows or []
    values = []
    for each in factors.values:
        check_shapes(relation=(each.relation, (pairs.num_pairs,)))
        values.append(([x.squeeze(1) for x in _blocks(each.relation.unsqueeze(1), rows, nodes, False)], each.table))
    return PaddedFactors(
        None if factors.add is None else _blocks(factors.add, rows, nodes, True),
        None if factors.multiply is None else _blocks(factors.multiply, rows, nodes, False),
        factors.left,
        factors.right,
        tuple(values),
    )


def rows_of_blocks(pairs: PairSet, nodes: PaddedNodes) -> list[Tensor]:
    """The pair at each place of each block, `[b n n]`; at padding keys of a query whichever pair follows its own.

    A padding query has the pairs of its graph's first node, among them that with itself, which no mask hides: no row of
    logits is -inf, and nothing that is not a number has to be kept out of gradients.

    Args:
        pairs: All pairs of each graph.
        nodes: The nodes as padded blocks.
    """
    lengths = [block.graphs * block.size for block in nodes.blocks]
    out = []
    for block, node in zip(nodes.blocks, nodes.node.split(lengths), strict=True):
        # Pairs of a query are consecutive.
        row = pairs.ptr.index_select(0, node).unsqueeze(1) + torch.arange(block.size, device=node.device)
        out.append(row.clamp(max=pairs.num_pairs - 1).flatten())
    return out


def _blocks(value: Tensor, rows: list[Tensor], nodes: PaddedNodes, masked: bool) -> list[Tensor]:
    out = []
    for block, row in zip(nodes.blocks, rows, strict=True):
        padded = value.index_select(0, row).view(block.graphs, block.size, block.size, -1).permute(0, 3, 1, 2)
        out.append(padded + block.key_mask.to(padded.dtype) if masked else padded)
    return out
