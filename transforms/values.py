"""What encodings write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class AskedValues(NamedTuple):
    """Values of chosen pairs of nodes.

    Attributes:
        key: Key of the pairs.
        source: The first node of each, ids counted over all graphs: `[P]`.
        values: `[P, ...]`.
    """

    key: str
    source: Tensor
    values: Tensor


@dataclass(frozen=True)
class Values:
    """What an encoding writes, by key: values of nodes `[N, ...]`, graphs `[B, ...]` and pairs `[sum n_b^2, ...]`.

    Pairs are ordered pairs of nodes of one graph, row-major (query i, key j). What is of double precision is written in
    single (`graphpe.transforms.precision`). Values of nodes whose key is None are appended to `x`.

    Attributes:
        node: Values of nodes by key.
        graph: Values of graphs.
        pair: Values of pairs.
        asked: Values of chosen pairs, which are not ordered like those.

    Example:
        >>> T.Values(node={"ones_pe": torch.ones(2, 1)})
        Values(node={'ones_pe': tensor([[1.],
                [1.]])}, graph={}, pair={}, asked={})
    """

    node: dict[str | None, Tensor] = field(default_factory=dict)
    graph: dict[str, Tensor] = field(default_factory=dict)
    pair: dict[str, Tensor] = field(default_factory=dict)
    asked: dict[str, AskedValues] = field(default_factory=dict)
