"""A few shapes that all batches of a run are padded to, so that steps have the same kernels on the same memory.

A batch is filled up with dummy graphs: nodes without features, each with edges to itself, in graphs of such sizes that
nodes, edges and pairs of nodes come to those of the shape. Which shapes there are follows from the sizes of the graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.ragged import Ints
from graphpe.models.batches.nodes import Groups, joined_groups

MOST_SHAPES = 12
_WASTE = 0.1
"""Nodes, edges and pairs of dummy graphs, each relative to the real ones, below which there are enough shapes."""

_ENOUGH_BATCHES = 256
_MOST_EPOCHS = 16
"""Batches, and epochs of a small task, whose sizes say which shapes there should be."""


@dataclass(frozen=True)
class Shape:
    """What batches are padded to.

    Attributes:
        nodes: Number of nodes.
        edges: Number of edges.
        pairs: Number of ordered pairs of nodes of one graph.
        graphs: Number of graphs.
        groups: Graphs by size, as in `graphpe.models.batches.nodes.NodeToGraph.groups`.
    """

    nodes: int
    edges: int
    pairs: int
    graphs: int
    groups: Groups

    def dummies(self, sizes: Ints, edges: int) -> Ints | None:
        """Nodes of the dummy graphs that fill a batch up; None if it does not fit.

        Args:
            sizes: Nodes of each graph of the batch.
            edges: Number of its edges.
        """
        slots = self.graphs - len(sizes)
        if edges > self.edges or slots < 0:
            return None
        most = self.groups[-1][1]
        found = dummy_sizes(self.nodes - int(sizes.sum()), self.pairs - int(sizes @ sizes), slots, most)
        if found is None or (edges < self.edges and not found.any()):
            return None
        return found if _fit(np.concatenate([sizes, found]), self.groups) else None


def dummy_sizes(nodes: int, pairs: int, slots: int, most: int) -> Ints | None:
    """Sizes of `slots` graphs that have so many nodes and so many pairs in all; None if there are none such.

    A graph of n nodes has n (n - 1) pairs of two nodes: of half of what is missing of these the largest triangular
    number n (n - 1) / 2 is taken, again and again; what nodes are left are graphs of one.

    Args:
        nodes: Sum of the sizes.
        pairs: Sum of their squares.
        slots: Number of graphs; some may be empty.
        most: The largest size.
    """
    missing = pairs - nodes
    if nodes < 0 or missing < 0 or missing % 2:
        return None
    half, left, found = missing // 2, nodes, []
    while half:
        n = min(int((1 + np.sqrt(1 + 8 * half)) / 2), most)
        if n < 2 or n > left:
            return None
        found.append(n)
        left -= n
        half -= n * (n - 1) // 2
    found += [1] * left
    if len(found) > slots:
        return None
    return np.array(found + [0] * (slots - len(found)), np.int64)


def choose_shapes(batches: Sequence[tuple[Ints, int]]) -> list[Shape]:
    """As few shapes as waste little on these batches, the smallest first; at most `MOST_SHAPES`.

    Batches are sorted by their pairs and cut where shapes of the largest pairs on each side waste least.

    Args:
        batches: Nodes of each graph, and the number of edges, of batches such as will come.
    """
    usable = [each for each in batches if int(each[0].sum()) > 1 and each[1] > 1]
    order = sorted(usable, key=lambda each: int(each[0] @ each[0]))
    shapes: list[Shape] = []
    for count in range(1, min(MOST_SHAPES, len(order)) + 1):
        bounds = _cuts(np.array([int(sizes @ sizes) for sizes, _ in order]), count)
        shapes = [shape_of(order[a:b]) for a, b in pairwise(bounds)]
        if max(wasted(shapes, order).values()) < _WASTE:
            break
    return shapes


def sizes_of_batches(loader: PackedLoader) -> list[tuple[Ints, int]]:
    """Nodes of each graph, and the number of edges, of a loader's first batches.

    Args:
        loader: The loader.
    """
    nodes, edges = np.diff(loader.graphs.host_ptr), np.diff(loader.graphs.host_edge_ptr)
    found: list[tuple[Ints, int]] = []
    for epoch in range(_MOST_EPOCHS):
        if len(found) >= _ENOUGH_BATCHES:
            break
        chosen = [ids.numpy() for ids in loader.batch_indices(epoch)[:_ENOUGH_BATCHES]]
        found += [(nodes[ids], int(edges[ids].sum())) for ids in chosen]
    return found


def wasted(shapes: Sequence[Shape], batches: Sequence[tuple[Ints, int]]) -> dict[str, float]:
    """Dummy nodes, edges and pairs, each relative to the real ones, of the batches that fit into a shape.

    Args:
        shapes: The shapes.
        batches: Nodes of each graph, and the number of edges, of batches.
    """
    real, padded = np.zeros(3), np.zeros(3)
    for sizes, edges in batches:
        shape = shape_for(shapes, sizes, edges)
        if shape is not None:
            real += np.array([sizes.sum(), edges, sizes @ sizes])
            padded += np.array([shape.nodes, shape.edges, shape.pairs])
    share = np.divide(padded, real, out=np.ones(3), where=real > 0) - 1
    return dict(zip(("nodes", "edges", "pairs"), share.tolist(), strict=True))


def shape_for(shapes: Sequence[Shape], sizes: Ints, edges: int) -> Shape | None:
    """The first shape that a batch fits into.

    Args:
        shapes: The shapes, the smallest first.
        sizes: Nodes of each graph of the batch.
        edges: Number of its edges.
    """
    return next((shape for shape in shapes if shape.dummies(sizes, edges) is not None), None)


def _cuts(pairs: Ints, count: int) -> list[int]:
    """Where a sorted list is cut into `count` parts so that the sum of (part's largest) x (part's length) is least."""
    number = len(pairs)
    ends = np.arange(1, number + 1)
    lengths = ends[None, :] - ends[:, None]  # of the part after one that ends there
    last = np.where(lengths > 0, lengths * pairs[None, :], np.inf)
    cost, before = (ends * pairs).astype(float), []
    for _ in range(count - 1):
        total = cost[:, None] + last
        before.append(total.argmin(0))
        cost = total.min(0)
    bounds = [number]
    for back in reversed(before):
        bounds.append(int(back[bounds[-1] - 1]) + 1)
    return [0, *reversed(bounds)]


def shape_of(batches: Sequence[tuple[Ints, int]]) -> Shape:
    """A small shape into which all of these fit.

    Args:
        batches: Nodes of each graph, and the number of edges, of batches: at least one.
    """
    nodes = np.array([int(sizes.sum()) for sizes, _ in batches])
    pairs = np.array([int(sizes @ sizes) for sizes, _ in batches])
    edges = max(count for _, count in batches) + 1
    graphs = max(len(sizes) for sizes, _ in batches)
    largest = max(int(sizes.max()) for sizes, _ in batches)
    more = 2
    while True:
        # Enough nodes that dummy graphs of them can have the pairs that the smallest batch lacks.
        most = int(nodes.max()) + more
        squares = int((pairs + most - nodes).max())
        squares += (squares - most) % 2
        slots = most - int(nodes.min())
        found = [
            dummy_sizes(most - int(n), squares - int(p), slots, largest) for n, p in zip(nodes, pairs, strict=True)
        ]
        if all(each is not None for each in found):
            break
        more += max(2, more // 4)
    while edges in (most, squares):
        edges += 1
    filled = [
        np.concatenate([sizes, each]) for (sizes, _), each in zip(batches, found, strict=True) if each is not None
    ]
    return Shape(most, edges, squares, graphs + slots, _groups(filled, graphs + slots, largest))


def _groups(batches: Sequence[Ints], graphs: int, largest: int) -> Groups:
    """Groups of sizes by powers of two into which each of these batches fits, and batches that are a little larger."""
    caps = [1]
    while caps[-1] < largest:
        caps.append(min(2 * caps[-1], largest))
    above = [max(int((sizes > cap).sum()) for sizes in batches) for cap in caps]  # the last is 0
    slack = [min(count + 2, graphs) if cap < largest else 0 for cap, count in zip(caps, above, strict=True)]
    counts = [graphs - slack[0], *(slack[i - 1] - slack[i] for i in range(1, len(caps)))]
    return joined_groups(zip(counts, caps, strict=True))


def _fit(sizes: Ints, groups: Groups) -> bool:
    """Whether graphs, sorted by size and dealt to the groups in their order, are nowhere too large."""
    limits = np.repeat([size for _, size in groups], [count for count, _ in groups])
    return len(limits) == len(sizes) and bool((np.sort(sizes) <= limits).all())
