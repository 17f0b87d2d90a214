"""Some nodes of one graph and a sample of their neighbours, hop by hop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphpe.arguments import check_fanouts
from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.sampling.subgraph import EdgesByNode, Part


class NeighborSampler:
    """Samples in-neighbours as GraphSAGE and PyG's `NeighborLoader` do.

    Every node of a hop gets min(fanout, in-degree) of its incoming edges, uniformly without replacement (parallel edges
    are edges of their own); their sources that are new are the nodes of the next hop. A sample has the edges that were
    drawn, and no others. It depends on the seeds and the generator's state alone.

    Takes O(sum of fanout^2) steps and one array of n integers.

    Args:
        graph: One graph, on the CPU.
        fanouts: Edges of each node in each hop; -1 for all.

    Raises:
        GraphPETypeError: A fanout is no integer.
        GraphPEValueError: There are several graphs, or a fanout is neither positive nor -1.
    """

    def __init__(self, graph: PackedGraphs, fanouts: Sequence[int]) -> None:
        self.fanouts = check_fanouts(fanouts)
        self._into = EdgesByNode(graph, 1)
        self._number: Ints = np.full(graph.num_nodes, -1)

    def sample(self, seeds: Ints, rng: np.random.Generator) -> Part:
        """A sample around some nodes, which come first in it.

        Args:
            seeds: Ids of nodes, each once.
            rng: Where it draws from.
        """
        number, into = self._number, self._into
        number[seeds] = np.arange(len(seeds))
        nodes, frontier, count = [seeds], seeds, len(seeds)
        tails, heads, edges = [], [], []
        for fanout in self.fanouts:
            degrees = into.ptr[frontier + 1] - into.ptr[frontier]
            counts = degrees if fanout < 0 else np.minimum(degrees, fanout)
            offsets = np.zeros(len(frontier) + 1, dtype=np.int64)
            np.cumsum(counts, out=offsets[1:])
            picked = _draw(into.ptr, frontier, offsets, rng.random(int(offsets[-1])))
            neighbors = into.other[picked]
            new = _number_new(neighbors, number, count)
            tails.append(number[neighbors])
            heads.append(np.repeat(number[frontier], counts))
            edges.append(into.edges[picked])
            nodes.append(new)
            frontier, count = new, count + len(new)
        found = np.concatenate(nodes)
        number[found] = -1
        return Part(found, np.concatenate(edges), np.stack([np.concatenate(tails), np.concatenate(heads)]))


@compiled
def _draw(ptr: Any, frontier: Any, offsets: Any, uniform: Any) -> Any:
    """Places of drawn edges: `offsets[i + 1] - offsets[i]` of those of `frontier[i]`, by Floyd's algorithm."""
    picked = np.empty(offsets[-1], np.int64)
    for i in range(len(frontier)):
        first, begin = ptr[frontier[i]], offsets[i]
        degree, count = ptr[frontier[i] + 1] - first, offsets[i + 1] - begin
        if count == degree:
            for j in range(count):
                picked[begin + j] = first + j
            continue
        for j in range(count):
            last = degree - count + j
            chosen = min(int(uniform[begin + j] * (last + 1)), last)
            for k in range(j):
                if picked[begin + k] == first + chosen:
                    chosen = last
                    break
            picked[begin + j] = first + chosen
    return picked


@compiled
def _number_new(nodes: Any, number: Any, count: Any) -> Any:
    """Give nodes without a number the next ones, in the order they come; returns them."""
    new = np.empty(len(nodes), np.int64)
    found = 0
    for i in range(len(nodes)):
        if number[nodes[i]] < 0:
            number[nodes[i]] = count + found
            new[found] = nodes[i]
            found += 1
    return new[:found]
