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
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled import compiled
from graphpe.trees.forest import Floats, Forest, Ints

Shorts = NDArray[np.int32]


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
        """The level on a device."""
        node, distance, group, branch = (part.to(device) for part in self[:4])
        return Level(node, distance, group, branch, self.num_groups, self.num_branches)


def decompose(forest: Forest) -> list[Level]:
    """The levels of the decomposition, largest groups first; O(N log N) time and memory, on the CPU."""
    size = forest.num_nodes
    if size == 0:
        return []
    before = _preorder(forest.parent, forest.children)
    most = int(np.log2(size)) + 1
    # What is never written takes no memory.
    node, group, branch = (np.empty((most, size), np.int32) for _ in range(3))
    distance = np.empty((most, size))
    filled, groups, branches = _decompose(
        *_neighbours(forest.parent, forest.length, before),
        forest.order[np.argsort(before)],
        node,
        distance,
        group,
        branch,
    )
    levels = []
    for i in range(most):
        if filled[i]:
            nodes, distances, owners, sides = (
                torch.from_numpy(part[i, : filled[i]].copy()) for part in (node, distance, group, branch)
            )
            levels.append(Level(nodes, distances, owners, sides, int(groups[i]), int(branches[i])))
    return levels


@compiled
def _preorder(parent: Ints, children: Ints) -> Ints:
    """The place of each place in depth-first order, where subtrees stand together: what is worked on stays in cache."""
    count = np.ones(len(parent), np.int64)
    for v in range(len(parent) - 1, -1, -1):
        if parent[v] >= 0:
            count[parent[v]] += count[v]
    out = np.empty(len(parent), np.int64)
    start = 0
    for v in range(len(parent)):
        if parent[v] < 0:
            out[v] = start
            start += count[v]
        at = out[v] + 1
        for u in range(children[v, 0], children[v, 1]):
            out[u] = at
            at += count[u]
    return out


@compiled
def _neighbours(parent: Ints, length: Floats, before: Ints) -> tuple[Ints, Shorts, Floats, Shorts]:
    """Pointers, neighbours and lengths of the tree, and parents, in depth-first order."""
    size = len(parent)
    above = np.empty(size, np.int32)
    weight = np.empty(size)
    ptr = np.zeros(size + 1, np.int64)
    for v in range(size):
        p = parent[v]
        above[before[v]] = before[p] if p >= 0 else -1
        weight[before[v]] = length[v]
        if p >= 0:
            ptr[before[v] + 1] += 1
            ptr[before[p] + 1] += 1
    for v in range(size):
        ptr[v + 1] += ptr[v]
    place = ptr[:-1].copy()
    near = np.empty(ptr[size], np.int32)
    apart = np.empty(ptr[size])
    for v in range(size):
        p = above[v]
        if p >= 0:
            near[place[v]], apart[place[v]] = p, weight[v]
            near[place[p]], apart[place[p]] = v, weight[v]
            place[v] += 1
            place[p] += 1
    return ptr, near, apart, above


@compiled
def _decompose(
    ptr: Ints,
    near: Shorts,
    apart: Floats,
    above: Shorts,
    name: Ints,
    node: Shorts,
    distance: Floats,
    group: Shorts,
    branch: Shorts,
) -> tuple[Ints, Ints, Ints]:
    size = len(above)
    most = node.shape[0]
    filled, groups, branches = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most, np.int64)
    # Components stand in `queue`, parents first; `up` is the place of the parent, counted from the component's start.
    queue, up, count = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    far = np.empty(size)
    removed = np.zeros(size, np.bool_)
    begin, end, depth = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    waiting = 0
    for v in range(size - 1, -1, -1):
        queue[v] = v
        if above[v] < 0:
            last = size if waiting == 0 else begin[waiting - 1]
            begin[waiting], end[waiting], depth[waiting] = v, last, 0
            waiting += 1
            for u in range(v, last):
                up[u] = above[u] - v if above[u] >= 0 else -1
    while waiting > 0:
        waiting -= 1
        first, last, level = begin[waiting], end[waiting], depth[waiting]
        total = last - first
        for i in range(first, last):
            count[i] = 1
        centre = -1
        for i in range(last - 1, first - 1, -1):
            if 2 * count[i] > total:  # the deepest with more than half of the nodes below: nothing around it has more
                centre = queue[i]
                break
            count[first + up[i]] += count[i]
        removed[centre] = True
        out = filled[level]
        here = groups[level]
        node[level, out], distance[level, out], group[level, out], branch[level, out] = name[centre], 0.0, here, -1
        out += 1
        groups[level] += 1
        place = first  # the centroid's place is left to the branches
        for a in range(ptr[centre], ptr[centre + 1]):
            if removed[near[a]]:
                continue
            start = place
            queue[place], up[place], far[place] = near[a], -1, apart[a]
            place += 1
            i = start
            while i < place:
                u = queue[i]
                node[level, out], distance[level, out] = name[u], far[i]
                group[level, out], branch[level, out] = here, branches[level]
                out += 1
                came = queue[start + up[i]] if up[i] >= 0 else centre
                for b in range(ptr[u], ptr[u + 1]):
                    w = near[b]
                    if w != came and not removed[w]:
                        queue[place], up[place], far[place] = w, i - start, far[i] + apart[b]
                        place += 1
                i += 1
            branches[level] += 1
            begin[waiting], end[waiting], depth[waiting] = start, place, level + 1
            waiting += 1
        filled[level] = out
    for level in range(most):
        for i in range(filled[level]):
            if branch[level, i] < 0:
                branch[level, i] = branches[level]
    return filled, groups, branches
