"""Encodings of nodes and pairs from the distances along trees that stand for graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_choice
from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.checks import describe
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, Floats, Ints, rows_of
from graphpe.structure.plan import Plan
from graphpe.trees.forest import measure
from graphpe.trees.functions.closed_form import TreeFunction
from graphpe.trees.hierarchical import hierarchical_trees
from graphpe.trees.spanning import (
    SpanningTree,
    matrix_of,
    minimum_spanning_trees,
    random_spanning_trees,
    shortest_path_trees,
)

TreeKind = Literal["minimum", "shortest", "random", "hierarchical"]
Field = Literal["ones", "degree"]


def trees_of(plan: Plan, kind: TreeKind, weighted: bool, count: int, seed: int) -> list[SpanningTree]:
    """The trees of some graphs (a part of a plan): `count` draws of random kinds, one of others.

    Args:
        plan: The graphs, and the work that several encodings share.
        kind: `minimum`, `shortest`, `random` or `hierarchical`, as in `tree_fields`.
        weighted: Whether `edge_weight` is taken as lengths; otherwise every edge has length 1.
        count: Number of draws of random trees.
        seed: Seed of the random trees.
    """
    if kind == "minimum":
        return [minimum_spanning_trees(plan, weighted)]
    if kind == "shortest":
        return [shortest_path_trees(plan, weighted=weighted)]
    if kind == "random":
        return random_spanning_trees(plan, count, seed, weighted)
    return [hierarchical_trees(plan, seed * count + draw, weighted) for draw in range(count)]


def tree_fields(
    graphs: PackedGraphs | Plan,
    functions: Sequence[TreeFunction],
    fields: Sequence[Field] = ("ones",),
    *,
    features: Tensor | None = None,
    random_fields: int = 0,
    tree: TreeKind = "minimum",
    weighted: bool = False,
    num_trees: int = 1,
    seed: int = 0,
) -> Tensor:
    """Sums of functions of tree distances times fields: column (f, x) is sum_j f(d(i, j)) x_j, functions outermost.

    Fields come in the order of the arguments.

    Args:
        graphs: The graphs, or a plan that shares their work.
        functions: F functions.
        fields: `"ones"`; `"degree"`: of the symmetrised graph without loops, the sum of lengths if weighted.
        features: Further fields, `[N, D]` numbers.
        random_fields: Fields of standard normal numbers, drawn by `seed` and the number of the node in its graph.
        tree: Trees, see `graphpe.trees.spanning` and `graphpe.trees.hierarchical`.
        weighted: Take `edge_weight` as lengths; otherwise all edges have length 1.
        num_trees: Draws of `"random"` and `"hierarchical"` trees, over which results are averaged.
        seed: Of the draws, and of the random fields.

    Returns:
        `[N, F * (fields + D + random_fields)]` float64, on the device of the graphs.

    Raises:
        GraphPETypeError: Features are no real numbers.
        GraphPEValueError: A name is unknown; features are of another length, or not finite in float32; weights are
            negative or not finite (as lengths, in float32); a function overflows; a table's unit divides a distance
            not.
    """
    plan = Plan.of(graphs)
    check_tree(tree)
    trees: list[SpanningTree] = plan.once(trees_of, tree, weighted, num_trees, seed)
    parts = [_fields(plan, fields, weighted)]
    if features is not None:
        parts.append(feature_fields("features", features, plan.graphs.num_nodes))
    x = torch.cat([*parts, _random_fields(plan, random_fields, seed)], dim=1)
    columns = [_mean_of(trees, f, x) for f in functions]
    return torch.cat([x[:, :0], *columns], dim=1).to(plan.graphs.device)


def tree_shape(
    graphs: PackedGraphs | Plan,
    *,
    tree: TreeKind = "minimum",
    weighted: bool = False,
    num_trees: int = 1,
    seed: int = 0,
) -> Tensor:
    """Each node's place in its tree: its eccentricity, and its distance to the nearest centroid; averaged over draws.

    Centroids split the nodes of the graph in halves at most; a tree has one, or two that are neighbours. O(N) a tree.
    Arguments and errors as those of `tree_fields`.

    Args:
        graphs: The graphs, or a plan that shares their work.
        tree: `minimum`, `shortest`, `random` or `hierarchical`, as in `tree_fields`.
        weighted: Whether `edge_weight` is taken as lengths; otherwise every edge has length 1.
        num_trees: Number of draws of random trees.
        seed: Seed of the random trees.

    Returns:
        `[N, 2]` float64, on the device of the graphs.
    """
    plan = Plan.of(graphs)
    check_tree(tree)
    trees: list[SpanningTree] = plan.once(trees_of, tree, weighted, num_trees, seed)
    size = plan.graphs.num_nodes
    total = np.zeros((size, 2))
    for one in trees:
        forest = one.integrator.forest
        inside = forest.order < size
        columns = measure(forest)[2], _to_centroid(forest.parent, forest.length, inside)
        total[forest.order[inside]] += np.stack(columns, axis=1)[inside]
    return torch.from_numpy(total / len(trees)).to(plan.graphs.device)


def tree_distances(
    graphs: PackedGraphs | Plan,
    *,
    tree: TreeKind = "minimum",
    weighted: bool = False,
    num_trees: int = 1,
    seed: int = 0,
) -> Tensor:
    """Distances along a tree of all ordered pairs of nodes of one graph; -1 where there is no path. O(n^2) a graph.

    Means over the draws, of trees that are drawn. Arguments and errors as those of `tree_fields`.

    Args:
        graphs: The graphs, or a plan that shares their work.
        tree: `minimum`, `shortest`, `random` or `hierarchical`, as in `tree_fields`.
        weighted: Whether `edge_weight` is taken as lengths; otherwise every edge has length 1.
        num_trees: Number of draws of random trees.
        seed: Seed of the random trees.

    Returns:
        `[sum n_b^2]` float64, row-major in each graph, on the device of the graphs.
    """
    plan = Plan.of(graphs)
    check_tree(tree)
    trees: list[SpanningTree] = plan.once(trees_of, tree, weighted, num_trees, seed)
    ptr, pair_ptr = plan.graphs.ptr.numpy(force=True), plan.graphs.pair_ptr.numpy(force=True)
    total = np.zeros(int(pair_ptr[-1]))
    for one in trees:
        forest = one.integrator.forest
        owner = np.full(forest.num_nodes, -1)
        owner[: plan.graphs.num_nodes] = plan.graphs.batch.numpy(force=True)
        total += _all_pairs(forest.order, forest.parent, forest.length, owner, ptr, pair_ptr)
    return torch.from_numpy(total / len(trees)).to(plan.graphs.device)


def check_tree(tree: str) -> None:
    """Raise unless `tree` is one of the four names.

    Args:
        tree: The argument.
    """
    check_choice("tree", tree, get_args(TreeKind))


def check_fields(fields: Sequence[str]) -> None:
    """Raise unless these are names of fields.

    Args:
        fields: The argument.
    """
    for name in fields:
        if name not in get_args(Field):
            raise GraphPEValueError(f"fields must be of {', '.join(map(repr, get_args(Field)))}, got {name!r}")


def feature_fields(name: str, value: Tensor, num_nodes: int) -> Tensor:
    """Node values as fields `[N, D]` in float64 on the CPU; a vector is one field.

    Args:
        name: What messages call the values.
        value: The values, `[N]` or `[N, D]`.
        num_nodes: Number N of nodes, over all graphs.

    Raises:
        GraphPETypeError: They are no real numbers.
        GraphPEValueError: They are of another shape, or not finite in float32.
    """
    if not isinstance(value, Tensor) or value.is_complex():
        raise GraphPETypeError(f"{name} must be a tensor of real numbers, got {describe(value)}")
    if value.dim() not in (1, 2) or value.size(0) != num_nodes:
        raise GraphPEValueError(f"{name} must be [{num_nodes}] or [{num_nodes}, D], got {list(value.shape)}")
    out = value.detach().to("cpu", torch.float64)
    out = out.unsqueeze(1) if out.dim() == 1 else out
    wrong = ~out.float().isfinite()
    if bool(wrong.any()):
        first = int(wrong.any(dim=1).nonzero()[0])
        raise GraphPEValueError(f"{name} must be finite in float32, got {out[first].tolist()[:8]} at node {first}")
    return out


def overflow(f: TreeFunction) -> GraphPEValueError:
    """The error of a function that grows beyond float64 at distances of the graphs.

    Args:
        f: The function.
    """
    return GraphPEValueError(f"{f!r} overflows at distances of these graphs: take one that decays, or shorter lengths")


def _mean_of(trees: Sequence[SpanningTree], f: TreeFunction, x: Tensor) -> Tensor:
    """The mean over trees of f's sums."""
    with np.errstate(over="ignore", invalid="ignore"):
        out = torch.stack([one.integrate(f, x) for one in trees]).mean(0)
    if bool(out.isnan().any()):
        raise overflow(f)
    return out


def _fields(plan: Plan, fields: Sequence[Field], weighted: bool) -> Tensor:
    check_fields(fields)
    matrix: Adjacency = matrix_of(plan, weighted)
    size = plan.graphs.num_nodes
    columns = [
        np.ones(size) if name == "ones" else np.bincount(rows_of(matrix), matrix.weight, size).astype(np.float64)
        for name in fields
    ]
    return torch.from_numpy(np.stack(columns, axis=1) if columns else np.zeros((size, 0)))


def _random_fields(plan: Plan, count: int, seed: int) -> Tensor:
    """The first rows of one table for every graph."""
    table = np.random.default_rng([seed, count]).standard_normal((plan.graphs.max_size, count))
    ptr = plan.graphs.ptr.numpy(force=True)
    within = np.arange(plan.graphs.num_nodes) - np.repeat(ptr[:-1], np.diff(ptr))
    return torch.from_numpy(table[within])


@compiled
def _to_centroid(parent: Ints, length: Floats, inside: np.ndarray) -> Floats:
    """Distances to the nearest centroid, of places that count or not."""
    size = len(parent)
    count, largest = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for v in range(size - 1, -1, -1):
        count[v] += inside[v]
        if parent[v] >= 0:
            count[parent[v]] += count[v]
            largest[parent[v]] = max(largest[parent[v]], count[v])
    total = count.copy()
    out = np.full(size, np.inf)
    for v in range(size):
        if parent[v] >= 0:
            total[v] = total[parent[v]]
        if 2 * max(largest[v], total[v] - count[v]) <= total[v]:
            out[v] = 0.0
    for v in range(size - 1, -1, -1):
        if parent[v] >= 0:
            out[parent[v]] = min(out[parent[v]], out[v] + length[v])
    for v in range(size):
        if parent[v] >= 0:
            out[v] = min(out[v], out[parent[v]] + length[v])
    return out


@compiled
def _all_pairs(order: Ints, parent: Ints, length: Floats, owner: Ints, ptr: Ints, pair_ptr: Ints) -> Floats:
    """Distances between all nodes that graphs own, tree by tree."""
    out = np.full(pair_ptr[-1], -1.0)
    size = len(order)
    root = 0
    while root < size:
        last = root + 1
        while last < size and parent[last] >= 0:
            last += 1
        n = last - root
        table = np.zeros((n, n))
        for v in range(1, n):
            p, step = parent[root + v] - root, length[root + v]
            for u in range(v):
                table[v, u] = table[u, v] = table[p, u] + step
        for v in range(n):
            i = order[root + v]
            b = owner[i]
            if b < 0:
                continue
            nodes = ptr[b + 1] - ptr[b]
            start = pair_ptr[b] + (i - ptr[b]) * nodes - ptr[b]
            for u in range(n):
                if owner[order[root + u]] >= 0:
                    out[start + order[root + u]] = table[v, u]
        root = last
    return out
