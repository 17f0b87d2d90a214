"""Weights of attention, where somebody asks for them: the functions of this room note what they attend with.

Nothing is noted, and nothing more is computed, outside `record_attention`. What is noted is computed beside the fast
path, by the formulas of the reference; the result of the attention is the fast path's in either case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Attended:
    """The weights of one layer.

    Attributes:
        source: Node j of each pair, `[P]`.
        target: Node i of each pair, `[P]`.
        weight: What its message is multiplied with, `[P, H]`: those of the pairs that end in a node sum to 1, unless
            biases have factors.
        num_nodes: Number of nodes, extra ones of the model included.
    """

    source: Tensor
    target: Tensor
    weight: Tensor
    num_nodes: int

    def matrix(self) -> Tensor:
        """The weights as `[H, num_nodes, num_nodes]` (query i, key j), those of parallel edges added; 0 elsewhere."""
        place = self.target * self.num_nodes + self.source
        out = self.weight.new_zeros(self.num_nodes**2, self.weight.shape[1]).index_add(0, place, self.weight)
        return out.t().reshape(-1, self.num_nodes, self.num_nodes)


_RECORD: ContextVar[list[Attended] | None] = ContextVar("attention", default=None)


@contextmanager
def record_attention() -> Iterator[list[Attended]]:
    """A list to which each attention inside appends its weights, in the order of the layers.

    Example:
        >>> with record_attention() as layers:
        ...     output = model(batch)  # doctest: +SKIP
    """
    found: list[Attended] = []
    token = _RECORD.set(found)
    try:
        yield found
    finally:
        _RECORD.reset(token)


def recording() -> bool:
    """Whether weights are asked for."""
    return not torch.compiler.is_compiling() and _RECORD.get() is not None


def note_pairs(source: Tensor, target: Tensor, weight: Tensor, num_nodes: int) -> None:
    """Note the weights of pairs.

    Args:
        source: Node j of each, `[P]`.
        target: Node i of each, `[P]`.
        weight: `[P, H]`.
        num_nodes: Number of nodes.
    """
    found = _RECORD.get()
    assert found is not None, "asked for `recording` first"
    found.append(Attended(source, target, weight.detach(), num_nodes))


def note_blocks(weights: Sequence[Tensor], node: Tensor, place: Tensor) -> None:
    """Note the weights of all pairs of each graph, from padded blocks.

    Args:
        weights: Of each block, `[b, H, n, n]`.
        node: Node at each place of the blocks.
        place: Place of each node, `[N]`.
    """
    real = torch.zeros_like(node, dtype=torch.bool).index_fill(0, place, True)
    sources, targets, rows, start = [], [], [], 0
    for weight in weights:
        b, heads, n, _ = weight.shape
        here, inside = (x[start : start + b * n].view(b, n) for x in (node, real))
        pair = (inside.unsqueeze(2) & inside.unsqueeze(1)).flatten()
        targets.append(here.unsqueeze(2).expand(b, n, n).flatten()[pair])
        sources.append(here.unsqueeze(1).expand(b, n, n).flatten()[pair])
        rows.append(weight.permute(0, 2, 3, 1).reshape(-1, heads)[pair])
        start += b * n
    if rows:
        note_pairs(torch.cat(sources), torch.cat(targets), torch.cat(rows), place.numel())
