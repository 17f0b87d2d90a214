"""Centroid decomposition of a forest, flattened to index tensors.

Removing a centroid of a tree (a node whose removal leaves branches of at most half the nodes) and decomposing each
branch in the same way gives one *group* a node: the centroid of the group and the nodes of the tree that it was taken
from, each in a branch. Two nodes of one tree meet, in different branches, in exactly one group, where their distance is
the sum of their distances to its centroid. For a matrix of f(d) therefore

    Y_v = sum over the groups of v: sum_(u in the group) f(d_u + d_v) X_u - sum_(u in v's branch) f(d_u + d_v) X_u

where centroids are in no branch, so that f(0) counts once. Every node is in at most log2(N) + 1 groups.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.trees.forest import Floats, Forest, Ints, Shorts


class Level(NamedTuple):
    """The groups of one level: M entries (group, node), the entries of a group together, those of a branch, too.

    Attributes:
        node: `[M]` int32.
        distance: `[M]` float64: from the node to the group's centroid.
        group: `[M]` int32: counted within the level.
        branch: `[M]` int32: counted within the level; `num_branches` for centroids.
        num_groups: Groups.
        num_branches: Branches.
    """

    node: Tensor
    distance: Tensor
    group: Tensor
    branch: Tensor
    num_groups: int
    num_branches: int

    def to(self, device: torch.device) -> Level:
        """The level on a device.

        Args:
            device: The device.
        """
        node, distance, group, branch = (part.to(device) for part in self[:4])
        return Level(node, distance, group, branch, self.num_groups, self.num_branches)


def decompose(forest: Forest) -> list[Level]:
    """The levels of the decomposition, largest groups first; O(N log N) time and memory, on the CPU.

    Args:
        forest: The trees.
    """
    size = forest.num_nodes
    if size == 0:
        return []
    most = int(np.log2(size)) + 1
    # What is never written takes no memory.
    node, group, branch = (np.empty((most, size), np.int32) for _ in range(3))
    distance = np.empty((most, size))
    filled, groups, branches = _decompose(*forest, node, distance, group, branch)
    levels = []
    for i in range(most):
        if filled[i]:
            nodes, distances, owners, sides = (
                torch.from_numpy(part[i, : filled[i]]) for part in (node, distance, group, branch)
            )
            levels.append(Level(nodes, distances, owners, sides, int(groups[i]), int(branches[i])))
    return levels


@compiled
def _decompose(
    order: Ints,
    parent: Ints,
    below: Ints,
    to_parent: Floats,
    node: Shorts,
    distance: Floats,
    group: Shorts,
    branch: Shorts,
) -> tuple[Ints, Ints, Ints]:
    """Fills the entries of each level; how many these are, and how many groups and branches.

    The nodes of a component stand in depth-first order from a root, and so do those of every branch: below the centroid
    in runs, one for each child, and above it in what these leave, from the same root. All is read and written in order.
    """
    size, most = len(order), len(node)
    filled, groups, branches = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most, np.int64)
    # Nodes, the steps back to their parents, and the lengths of these steps: of even levels, and of odd ones.
    name, back, length = np.empty((2, size), np.int32), np.empty((2, size), np.int32), np.empty((2, size))
    count, far = np.empty(size, np.int32), np.empty(size)
    begin, end, depth = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    waiting = 0
    for v in range(size):
        name[0, v], back[0, v], length[0, v] = order[v], v - parent[v], to_parent[v]
        if parent[v] < 0:
            begin[waiting], end[waiting], depth[waiting] = v, v + below[v], 0
            waiting += 1
    while waiting > 0:
        waiting -= 1
        first, last, level = begin[waiting], end[waiting], depth[waiting]
        old, new = level % 2, (level + 1) % 2
        centre = _centroid(first, last, back[old], count)
        after = centre + count[centre]
        out, place, owner = filled[level], first, groups[level]
        node[level, out], distance[level, out], group[level, out], branch[level, out] = (
            name[old, centre],
            0.0,
            owner,
            -1,
        )
        out += 1
        far[centre] = 0.0
        if centre > first:
            v = centre
            while v > first:
                p = v - back[old, v]
                far[p] = far[v] + length[old, v]
                count[p] = 0  # marks those whose distance is known
                v = p
            for v in range(first, last):
                step = back[old, v]
                if v >= after:
                    if v - step < centre:
                        step -= after - centre
                elif v >= centre:
                    continue
                if count[v] > 0:
                    far[v] = far[v - back[old, v]] + length[old, v]
                node[level, out], distance[level, out] = name[old, v], far[v]
                group[level, out], branch[level, out] = owner, branches[level]
                name[new, place], back[new, place], length[new, place] = name[old, v], step, length[old, v]
                out += 1
                place += 1
            begin[waiting], end[waiting], depth[waiting] = first, place, level + 1
            waiting += 1
            branches[level] += 1
        for v in range(centre + 1, after):
            p = v - back[old, v]
            if p == centre:
                begin[waiting], depth[waiting] = place, level + 1
                waiting += 1
                branches[level] += 1
            far[v] = far[p] + length[old, v]
            node[level, out], distance[level, out] = name[old, v], far[v]
            group[level, out], branch[level, out] = owner, branches[level] - 1
            name[new, place], back[new, place], length[new, place] = name[old, v], back[old, v], length[old, v]
            out += 1
            place += 1
            end[waiting - 1] = place
        filled[level] = out
        groups[level] += 1
    for level in range(most):
        for i in range(filled[level]):
            if branch[level, i] < 0:
                branch[level, i] = branches[level]
    return filled, groups, branches


@compiled
def _centroid(first: int, last: int, back: Shorts, count: Shorts) -> int:
    """The deepest place with more than half of the component below it: nothing around it has more."""
    for v in range(first, last):
        count[v] = 1
    for v in range(last - 1, first, -1):
        if 2 * count[v] > last - first:
            return v
        count[v - back[v]] += count[v]
    return first
