"""Paths from the root of a tree to each node, as numbers of children: what tree-path encodings hold."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_choice, check_integer
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, Ints, adjacency, rows_of
from graphpe.structure.plan import Plan
from graphpe.trees.fields import trees_of
from graphpe.trees.spanning import SpanningTree, checked, colours_of, components_of, matrix_of

Order = Literal["auto", "number", "colour"]


class RootedForest(NamedTuple):
    """A rooted tree for each connected component of some graphs.

    Attributes:
        parent: The parent of each node, -1 for roots, `[N]`.
        given: Whether the directions of the edges give the tree of a node, `[N]`; otherwise it is a spanning tree.
    """

    parent: Ints
    given: np.ndarray


def rooted_forest(plan: Plan) -> RootedForest:
    """The trees that the directions of edges give, and breadth-first spanning trees elsewhere (a part of a plan).

    The edges of a connected component give its tree if no node has two predecessors and there is no cycle: its root is
    the node without any. Loops and edges of weight 0 are none, parallel edges are one. Other components have the tree
    of `graphpe.trees.spanning.shortest_path_trees` with edges of length 1. O(E log N).

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    matrix: Adjacency = plan.once(adjacency)
    tail, head = rows_of(matrix), matrix.indices
    tail, head = tail[tail != head], head[tail != head]
    size = plan.graphs.num_nodes
    label, components = components_of(matrix_of(plan, False))
    given = np.ones(components, np.bool_)
    given[label[np.bincount(head, minlength=size) > 1]] = False
    parent = np.full(size, -1, np.int64)
    parent[head] = tail
    parent[~given[label]] = -1
    given[label[parent[_top(parent)] >= 0]] = False  # up from a cycle there is no root
    given = given[label]
    if not given.all():
        trees: list[SpanningTree] = plan.once(trees_of, "shortest", False, 1, 0)
        above, below = trees[0].edge_index.numpy(force=True)
        spanned = ~given[below]
        parent[~given] = -1
        parent[below[spanned]] = above[spanned]
    return RootedForest(parent, given)


def tree_paths(graphs: PackedGraphs | Plan, max_depth: int, max_children: int, order: Order = "auto") -> Tensor:
    """The path from the root to each node, as the number of the child that is taken at each step.

    Row v is (c_1, ..., c_d, 0, ..., 0) for a node of depth d: the root's c_1-th child, of that the c_2-th, ... Children
    are counted from 1 on; those from number `max_children` on share it. A node deeper than `max_depth` has the row of
    its ancestor of that depth. Trees are those of `rooted_forest`. O(N max_depth) beside them, on the CPU.

    Args:
        graphs: The graphs, or a plan that shares their work.
        max_depth: Steps that are told, D.
        max_children: Children that are told apart.
        order: In which order children are counted: by the `number` of their node; by `colour`, after 16 rounds of
            colour refinement on the symmetrised graph, where children of one colour share a number; or `auto`: by
            number in trees that the directions of edges give, by colour in spanning trees.

    Returns:
        `[N, D]` int64, on the device of the graphs.

    Raises:
        GraphPEValueError: A parameter is out of range; weights are negative or not finite.
    """
    check_integer("max_depth", max_depth, least=1)
    check_integer("max_children", max_children, least=1)
    check_order(order)
    plan = checked(graphs)
    parent, given = plan.once(rooted_forest)
    by_number = {"auto": given, "number": np.ones_like(given), "colour": np.zeros_like(given)}[order]
    child = np.flatnonzero(parent >= 0)
    key = child if by_number.all() else np.where(by_number[child], child, colours_of(plan, False)[child])
    number = np.zeros(len(parent), np.int64)
    number[child] = np.minimum(_counted(parent[child], key), max_children)

    out = np.zeros((len(parent), max_depth), np.int64)
    reached, left = np.flatnonzero(parent < 0), child
    for step in range(max_depth):
        above = np.zeros(len(parent), np.bool_)
        above[reached] = True
        now = above[parent[left]]
        reached, left = left[now], left[~now]
        if not len(reached):
            break
        out[reached] = out[parent[reached]]
        out[reached, step] = number[reached]
    up = np.full(len(parent), -1, np.int64)
    up[left] = parent[left]
    out[left] = out[_top(up)[left]]
    return torch.from_numpy(out).to(plan.graphs.device)


def check_order(order: str) -> None:
    """Raise unless `order` is one of the three names.

    Args:
        order: The argument.
    """
    check_choice("order", order, get_args(Order))


def _top(parent: Ints) -> Ints:
    """The node that is reached from each one by going up to the end; on a cycle, and below one, a node of the cycle."""
    up = np.where(parent < 0, np.arange(len(parent)), parent)
    for _ in range(len(parent).bit_length()):
        further = up[up]
        if np.array_equal(further, up):
            break
        up = further
    return up


def _counted(parent: Ints, key: Ints) -> Ints:
    """The number of each child among those of its parent, from 1 on, in the order of keys; equal keys share one."""
    order = np.lexsort((key, parent))
    parent, key = parent[order], key[order]
    first, new = np.ones(len(order), np.bool_), np.ones(len(order), np.bool_)
    first[1:] = parent[1:] != parent[:-1]
    new[1:] = first[1:] | (key[1:] != key[:-1])
    count = np.cumsum(new)
    before = np.maximum.accumulate(np.where(first, count, 0))  # the count at each parent's first child
    out = np.empty(len(order), np.int64)
    out[order] = count - before + 1
    return out
