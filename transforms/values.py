"""What encodings write."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Values:
    """What an encoding writes, by key: values of nodes `[N, ...]`, graphs `[B, ...]` and pairs `[sum n_b^2, ...]`.

    Pairs are ordered pairs of nodes of one graph, row-major (query i, key j). What is of double precision is written in
    single (`graphpe.transforms.precision`). Values of nodes whose key is None are appended to `x`.

    Attributes:
        node: Values of nodes by key.
        graph: Values of graphs.
        pair: Values of pairs.

    Example:
        >>> T.Values(node={"ones_pe": torch.ones(2, 1)})
        Values(node={'ones_pe': tensor([[1.],
                [1.]])}, graph={}, pair={})
    """

    node: dict[str | None, Tensor] = field(default_factory=dict)
    graph: dict[str, Tensor] = field(default_factory=dict)
    pair: dict[str, Tensor] = field(default_factory=dict)
