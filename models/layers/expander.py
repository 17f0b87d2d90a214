"""Random regular graphs beside the graphs of a batch, as in Exphormer: few edges, every node a few steps from any."""

from __future__ import annotations

import torch
from torch import Tensor

from graphpe.models.batches.nodes import NodeToGraph

_LOW_BITS = (1 << 62) - 1


def expander_edges(members: NodeToGraph, degree: int, seed: int) -> Tensor:
    """Edges of a random 2 `degree`-regular multigraph on the nodes of each graph, `[2, 2 degree N]`.

    The union of `degree` random permutations pi: edges v -> pi(v) and pi(v) -> v (Friedman 2003: nearly Ramanujan with
    high probability). A permutation is the order of hashes of (seed, its number, size of the graph, place of the node):
    it depends on a graph's size and on the numbering of its nodes, not on the batch or on a global generator.
    O(N log N) without a loop over graphs, on any device and without waiting for it.

    Args:
        members: The partition of the nodes into graphs.
        degree: Number of permutations.
        seed: Seed.
    """
    node = torch.arange(members.graph.numel(), device=members.graph.device)
    place = node - members.ptr.index_select(0, members.graph)
    size = members.sizes.index_select(0, members.graph)
    ends = [node.new_empty(2, 0)]
    for number in range(degree):
        value = _mix(_mix(_mix(_mix(torch.full_like(node, seed)) + number) + size) + place)
        order = value.argsort()
        order = order[members.graph.index_select(0, order).argsort(stable=True)]
        ends += [torch.stack([node, order]), torch.stack([order, node])]
    return torch.cat(ends, dim=1)


def _mix(x: Tensor) -> Tensor:
    """A hash of 62 bits (the finaliser of SplitMix64, on non-negative numbers)."""
    x = (x + 0x1E3779B97F4A7C15) & _LOW_BITS
    x = ((x ^ (x >> 30)) * 0x3F58476D1CE4E5B9) & _LOW_BITS
    x = ((x ^ (x >> 27)) * 0x14D049BB133111EB) & _LOW_BITS
    return x ^ (x >> 31)
