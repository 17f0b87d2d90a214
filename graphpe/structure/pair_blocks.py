"""Values of pairs of nodes: from flat rows to padded stacks of matrices and back.

Flat, graph b owns n_b^2 rows, row-major (query i, key j), one graph after the other; nothing is wasted. Padded, a stack
`[B, n, n]` holds one matrix a graph, which is what batched products and decompositions want. Both ways are one gather,
on any device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints, Segments

# Entries of a padded stack: 32 MiB of float64, so that a whole dataset is never dense at once.
_STACK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class PairLayout:
    """Graphs whose matrices are padded to one size.

    Example:
        >>> import torch
        >>> from graphpe.structure.pair_blocks import PairLayout
        >>> layout = PairLayout.of([2, 1])
        >>> padded = layout.pad(torch.tensor([1, 2, 3, 4, 5]))
        >>> padded.tolist()
        [[[1, 2], [3, 4]], [[5, 0], [0, 0]]]
        >>> layout.flatten(padded).tolist()
        [1, 2, 3, 4, 5]

    Attributes:
        num_graphs: B.
        size: n, to which all are padded.
        place: `[P]`: where each flat row stands in the stack, its B n^2 entries counted row-major.
    """

    num_graphs: int
    size: int
    place: Tensor

    @classmethod
    def of(cls, sizes: Sequence[int] | Ints, device: torch.device | str = "cpu", size: int | None = None) -> PairLayout:
        """The layout of graphs of `sizes` nodes, padded to `size` (the largest) nodes. O(P), one copy to the device.

        Args:
            sizes: Number of nodes of each graph, `[B]`.
            device: Where the layout's tensors are put.
            size: Nodes to which graphs are padded; None for the largest graph's.
        """
        numbers = np.asarray(sizes, dtype=np.int64)
        n = int(numbers.max(initial=0)) if size is None else size
        graph = np.repeat(np.arange(len(numbers)), numbers)
        begin = np.concatenate([[0], np.cumsum(numbers)])
        row = np.arange(len(graph)) - begin[graph] + graph * n  # of each node, in the stack
        length = numbers[graph]
        # How much later in the stack than flat the pairs of each node stand.
        shift = row * n - (np.cumsum(length) - length)
        pairs = int(length.sum())
        both = torch.from_numpy(np.stack([shift, length])).to(device)
        spread = both[0].repeat_interleave(both[1], output_size=pairs)
        return cls(len(numbers), n, spread.add_(torch.arange(pairs, device=device)))

    def pad(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Flat values `[P, ...]` as a stack `[B, n, n, ...]`, with `fill` where a graph has no such pair.

        Args:
            values: Values of all pairs, `[P, ...]`.
            fill: What padding holds.
        """
        total = self.num_graphs * self.size**2
        stack = (self.num_graphs, self.size, self.size)
        if total == len(values):  # equal sizes: nothing to pad
            return values.reshape(*stack, *values.shape[1:])
        out = values.new_full((total, *values.shape[1:]), fill)
        return out.index_copy_(0, self.place, values).view(*stack, *values.shape[1:])

    def flatten(self, padded: Tensor) -> Tensor:
        """A stack `[B, n, n, ...]` as flat values `[P, ...]`.

        Args:
            padded: The stack.
        """
        rows = padded.reshape(self.num_graphs * self.size**2, *padded.shape[3:])
        return rows if len(rows) == len(self.place) else rows.index_select(0, self.place)

    @cached_property
    def mask(self) -> Tensor:
        """Which entries of the stack are pairs of a graph: `[B, n, n]` bool."""
        return self.pad(torch.ones(len(self.place), dtype=torch.bool, device=self.place.device), fill=False)


@dataclass(frozen=True, eq=False)
class PairBlock:
    """Some of the graphs of a `PackedGraphs`, of similar size, as a padded stack.

    Attributes:
        graphs: Their ids, `[b]`, on the CPU.
        rows: Their flat rows among those of all graphs: `[p]`.
        layout: Where these rows stand in the stack.
    """

    graphs: Tensor
    rows: Tensor
    layout: PairLayout

    @property
    def size(self) -> int:
        """Nodes to which all are padded, n."""
        return self.layout.size

    def pad(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Of flat values of all graphs `[P, ...]`, those of these graphs as a stack `[b, n, n, ...]`.

        Args:
            values: Values of all pairs of all graphs, `[P, ...]`.
            fill: What padding holds.
        """
        return self.layout.pad(values.index_select(0, self.rows), fill)

    def flatten(self, padded: Tensor) -> Tensor:
        """A stack as values `[p, ...]` of the rows `rows`.

        Args:
            padded: The stack `[b, n, n, ...]`.
        """
        return self.layout.flatten(padded)


def pair_blocks(graphs: PackedGraphs, *, ratio: float = 1.25, max_pairs: int = _STACK_ENTRIES) -> Iterator[PairBlock]:
    """All graphs with nodes, in blocks of similar size.

    Args:
        graphs: The graphs.
        ratio: How much larger the largest graph of a block may be than the smallest; 1 for equal sizes, unpadded.
        max_pairs: Most entries of a stack; a larger single graph stands alone.
    """
    pair_ptr, ptr = (value.numpy(force=True) for value in (graphs.pair_ptr, graphs.ptr))
    for ids in graphs.buckets(ratio=ratio, max_pairs=max_pairs):
        chosen = ids.numpy()
        layout = PairLayout.of(ptr[chosen + 1] - ptr[chosen], graphs.device)
        if layout.size:
            rows = Segments.pick(pair_ptr, chosen).rows(graphs.device)
            yield PairBlock(ids, torch.as_tensor(rows), layout)


def empty_pairs(rows: int, channels: int, device: torch.device | str = "cpu") -> Tensor:
    """Values of pairs to be filled in, `[rows, channels]` float32.

    On the CPU the memory is NumPy's, which asks for large pages: small ones cost more than the values in them.

    Args:
        rows: Number of pairs.
        channels: Numbers of each pair.
        device: Where the values are put.
    """
    if torch.device(device).type == "cpu":
        return torch.from_numpy(np.empty((rows, channels), dtype=np.float32))
    return torch.empty(rows, channels, device=device)


def diagonal_rows(graphs: PackedGraphs) -> Tensor:
    """The flat row of the pair (i, i) of each node: `[N]`, on the device of the graphs.

    `values[diagonal_rows(graphs)]` turns values of pairs into values of nodes.

    Args:
        graphs: The graphs.
    """
    node = np.arange(graphs.num_nodes)
    return torch.from_numpy(flat_rows(graphs, node, node)).to(graphs.device)


def flat_rows(graphs: PackedGraphs, i: Ints, j: Ints) -> Ints:
    """The flat row of each pair (i, j) of nodes of one graph, counted over all graphs.

    Args:
        graphs: The graphs.
        i: Node i of each pair, counted over all graphs.
        j: Node j of each pair, of the same graph as i.
    """
    pair_ptr, ptr = (value.numpy(force=True) for value in (graphs.pair_ptr, graphs.ptr))
    size = np.diff(ptr)
    graph = np.repeat(np.arange(len(size)), size)[i]
    return pair_ptr[graph] + (i - ptr[graph]) * size[graph] + j - ptr[graph]
