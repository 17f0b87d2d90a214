"""Potentials of unit charges on trees, exactly, in time O(n).

Of a unit charge at j that a component of n nodes takes away evenly, the share s / n flows over an edge away from j,
with s the number of nodes beyond it. The potential falls by that over the weight of the edge. So V_ij = L+_ij - L+_jj
is minus the length of the way from j to i, where an edge of weight w has the length s / (n w), which differs by
direction; and seen from i, the same with s the number of nodes on its own side. Sums over all others come from one
sweep up the tree and one down: all terms have one sign, and nothing cancels whatever the weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled
from graphpe.structure.adjacency import Floats, Ints

# Columns of what is known of the ways to some nodes: how many nodes, mean length, sum of squared deviations, longest.
_COUNT, _MEAN, _SPREAD, _LONGEST = range(4)


@compiled
def tree_potentials(
    indptr: Ints, indices: Ints, weight: Floats, wanted: NDArray[np.bool_], label: Ints, sizes: Ints, out: Floats
) -> None:
    """The statistics of `graphpe.spectra.electrostatics` of the components that are trees.

    Args:
        indptr: Of the symmetric matrix of the weights; self-loops do nothing.
        indices: Likewise.
        weight: Likewise.
        wanted: `[C]`: which components to work on: trees, of one node or more.
        label: `[N]`: the component of each node.
        sizes: `[C]`: nodes of each.
        out: `[N, 10]`: written where the nodes of these components are.
    """
    size = len(label)
    order, parent, place = np.empty(size, np.int64), np.empty(size, np.int64), np.full(size, -1)
    conductance = np.ones(size)
    count = 0
    for root in range(size):
        if place[root] >= 0 or not wanted[label[root]]:
            continue
        order[count], parent[count], place[root] = root, -1, count
        head = count
        count += 1
        while head < count:
            u = order[head]
            for e in range(indptr[u], indptr[u + 1]):
                v = indices[e]
                if place[v] < 0 and v != u:
                    order[count], parent[count], place[v], conductance[count] = v, head, count, weight[e]
                    count += 1
            head += 1
    order, parent = order[:count], parent[:count]
    subtree = np.ones(count, np.int64)
    for i in range(count - 1, -1, -1):
        if parent[i] >= 0:
            subtree[parent[i]] += subtree[i]
    # Lengths of the edge to the parent: what a charge below causes beyond it, and what one beyond causes below.
    up, down = np.zeros(count), np.zeros(count)
    strength = np.zeros(count)
    for i in range(count):
        if parent[i] >= 0:
            n = sizes[label[order[i]]]
            up[i] = (n - subtree[i]) / n / conductance[i]
            down[i] = subtree[i] / n / conductance[i]
            strength[i] += conductance[i]
            strength[parent[i]] += conductance[i]
    _ways(order, parent, up, down, out[:, 0:4])
    _ways(order, parent, down, up, out[:, 4:8])
    for i in range(count):
        out[order[i], 8] = out[order[i], 9] = 0.0
    for i in range(count):
        p = parent[i]
        if p >= 0:
            u, v = order[i], order[p]
            # A step from one of them to the other, and the potential there or here of a charge at the other end.
            ahead, back = conductance[i] / strength[i], conductance[i] / strength[p]
            out[u, 8] -= back * up[i]
            out[v, 9] -= back * up[i]
            out[v, 8] -= ahead * down[i]
            out[u, 9] -= ahead * down[i]


@compiled
def _ways(order: Ints, parent: Ints, up: Floats, down: Floats, out: Floats) -> None:
    """Minus the longest, the shortest, the mean way from each node to the others; and their standard deviation."""
    size = len(parent)
    below, before, after, above = np.zeros((size, 4)), np.zeros((size, 4)), np.zeros((size, 4)), np.zeros((size, 4))
    shortest = np.full(size, np.inf)
    for i in range(size - 1, -1, -1):
        p = parent[i]
        if p >= 0:
            # What the parent has of the children that come later; those that come earlier follow in the second sweep.
            before[i] = below[p]
            _add_with_node(below[p], below[i], down[i])
            shortest[i], shortest[p] = min(shortest[i], up[i]), min(shortest[p], down[i])
    for i in range(size):
        p = parent[i]
        if p >= 0:
            rest = before[i]
            _add(rest, after[p], 0.0)
            _add_with_node(after[p], below[i], down[i])
            _add(rest, above[p], 0.0)
            _add_with_node(above[i], rest, up[i])
        row = out[order[i]]
        _add(below[i], above[i], 0.0)
        row[:] = 0.0
        if below[i, _COUNT] > 0:
            row[0], row[1], row[2] = -below[i, _LONGEST], -shortest[i], -below[i, _MEAN]
            row[3] = np.sqrt(below[i, _SPREAD] / below[i, _COUNT])


@compiled
def _add(ways: Floats, others: Floats, length: float) -> None:
    """Add ways that are `length` longer than the `others`."""
    if others[_COUNT] == 0:
        return
    count = ways[_COUNT] + others[_COUNT]
    share, apart = others[_COUNT] / count, others[_MEAN] + length - ways[_MEAN]
    ways[_SPREAD] += others[_SPREAD] + ways[_COUNT] * share * apart**2
    ways[_MEAN] += share * apart
    ways[_LONGEST] = max(ways[_LONGEST], others[_LONGEST] + length)
    ways[_COUNT] = count


@compiled
def _add_with_node(ways: Floats, others: Floats, length: float) -> None:
    """Add the way of `length` to a node, and through it those to `others`."""
    count = ways[_COUNT] + 1
    apart = length - ways[_MEAN]
    ways[_SPREAD] += ways[_COUNT] / count * apart**2
    ways[_MEAN] += apart / count
    ways[_LONGEST] = max(ways[_LONGEST], length)
    ways[_COUNT] = count
    _add(ways, others, length)
