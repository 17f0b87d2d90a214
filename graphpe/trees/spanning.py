"""Trees that stand for graphs: spanning trees, and how far their distances are from those of the graphs.

Edges mean what they mean in `graphpe.laplacian`, symmetrised by max(A, A^T): parallel edges count once without weights
and add with them, weight 0 is no edge, self-loops do nothing. `edge_weight` is taken as lengths (finite in float32, so
that sums over paths and their powers are finite in float64), or not at all. Every function takes many graphs and gives
one forest over all of them, a tree for each connected component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from torch import Tensor

from graphpe.arguments import check_integer, check_seed
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, Floats, Ints, rows_of, symmetric_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan
from graphpe.structure.weisfeiler_lehman import bits, refine
from graphpe.trees import spanning_loops
from graphpe.trees.functions.closed_form import Parameter, TreeFunction
from graphpe.trees.integrator import TreeIntegrator

_LONGEST = float(np.finfo(np.float32).max)
# Beside cycles, smaller trees are walked on, too, as they always were: draws of a seed stay what they are.
_LONG_WALK = 1000
_ROUNDS = 16  # of colour refinement: keys tell edges apart by their surroundings up to as many steps


@dataclass(frozen=True, eq=False)
class SpanningTree:
    """A tree for each connected component of some graphs.

    Attributes:
        edge_index: `[2, E]`: each edge once.
        length: `[E]` float64.
        num_nodes: Nodes of the graphs, N: the first nodes of the trees.
        num_tree_nodes: Nodes of the trees, N and those that are added.
        unique: `[B]`: whether the graph alone decides its tree, not the numbering of nodes.
    """

    edge_index: Tensor
    length: Tensor
    num_nodes: int
    num_tree_nodes: int
    unique: Tensor

    @cached_property
    def integrator(self) -> TreeIntegrator:
        """The integrator over all nodes of the trees."""
        return TreeIntegrator(self.edge_index, self.length, self.num_tree_nodes)

    def integrate(self, f: TreeFunction | Parameter, field: Tensor) -> Tensor:
        """Y_i = sum_j f(d(i, j)) X_j over the nodes of the graphs, d along the trees; see `TreeIntegrator.integrate`.

        Nodes that are added have no field. Raises as there.

        Args:
            f: The function of the distance, or a constant one.
            field: X, `[N]` or `[N, D]`.
        """
        extra = self.num_tree_nodes - self.num_nodes
        if not extra or not isinstance(field, Tensor) or field.dim() == 0 or field.size(0) != self.num_nodes:
            return self.integrator.integrate(f, field)
        padded = torch.cat([field, field.new_zeros(extra, *field.shape[1:])])
        return self.integrator.integrate(f, padded)[: self.num_nodes]


def minimum_spanning_trees(graphs: PackedGraphs | Plan, weighted: bool = True) -> SpanningTree:
    """Spanning trees of least total length, by Kruskal's algorithm. O(E log E).

    Ties are broken without regard to the numbering of nodes as far as that is possible: of edges of equal length, those
    come first whose ends have the smaller colours after 16 rounds of colour refinement. Edges that this does not
    tell apart (images of each other under an automorphism, as the edges of a cycle, and others that refinement cannot
    distinguish) come in the order of their nodes' numbers: where that decides, `unique` is False, and another numbering
    may give another tree. The average over `random_spanning_trees` has no such choice but in its expectation.

    Args:
        graphs: The graphs, or a plan that shares their work.
        weighted: Take `edge_weight` as lengths; otherwise all edges have length 1.

    Raises:
        GraphPEValueError: Weights are negative or not finite.
    """
    plan = checked(graphs)
    row, col, length = _edges(plan, weighted)
    colour = colours_of(plan, weighted)
    high, low = np.maximum(colour[row], colour[col]), np.minimum(colour[row], colour[col])
    order = np.lexsort((col, row, low, high, length))
    length, high, low = length[order], high[order], low[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (length[1:] != length[:-1]) | (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    owner = plan.graphs.batch.numpy(force=True)
    kept, unique = spanning_loops.kruskal(row[order], col[order], new, owner, plan.graphs.num_graphs)
    chosen = order[kept]
    return _tree(plan, row[chosen], col[chosen], length[kept], unique)


def shortest_path_trees(
    graphs: PackedGraphs | Plan, roots: Sequence[int] | Tensor | None = None, weighted: bool = True
) -> SpanningTree:
    """Trees in which every node is as far from the root as in the graph, by Dijkstra's algorithm. O(E log N).

    A root is the node of largest degree (sum of lengths, if weighted), of those the one of the smallest colour after 16
    rounds of colour refinement. Of several shortest paths, the one is taken whose last node but one has the smallest
    colour. What colours do not tell apart is decided by the numbers of nodes, and `unique` is False. Edges lead
    from parent to child.

    Args:
        graphs: The graphs, or a plan that shares their work.
        roots: One node of each connected component, in any order, counted over all graphs; None to choose.
        weighted: Take `edge_weight` as lengths; otherwise all edges have length 1.

    Raises:
        GraphPEValueError: Roots are not one for each connected component; weights are negative or not finite.
    """
    plan = checked(graphs)
    matrix = matrix_of(plan, weighted)
    label, count = components_of(matrix)
    colour = colours_of(plan, weighted)
    owner = plan.graphs.batch.numpy(force=True)
    unique = np.ones(plan.graphs.num_graphs, np.bool_)
    if roots is None:
        row = rows_of(matrix)
        by_length = np.lexsort((matrix.weight, row))  # sums that rounding does not tell apart by the order of edges
        degree = np.bincount(row, matrix.weight[by_length], minlength=len(label))
        order = np.lexsort((np.arange(len(label)), colour, -degree, label))
        first = np.ones(len(order), np.bool_)
        first[1:] = label[order[1:]] != label[order[:-1]]
        start = order[first]
        next_best = np.flatnonzero(first) + 1
        next_best = next_best[next_best < len(order)]
        tied = order[next_best[~first[next_best]]]
        best = np.empty(count, np.int64)
        best[label[start]] = start
        best = best[label[tied]]
        unique[owner[tied[(colour[tied] == colour[best]) & (degree[tied] == degree[best])]]] = False
    else:
        start = torch.as_tensor(roots).long().numpy(force=True).reshape(-1)
        inside = (start >= 0) & (start < len(label))
        if not inside.all() or len(start) != count or len(np.unique(label[start])) != count:
            raise GraphPEValueError(
                f"roots must be one node of each of the {count} connected components, got {start.tolist()[:8]}"
            )
    parent, length, tied = spanning_loops.shortest_paths(*matrix, start, colour)
    unique[owner[tied]] = False
    child = np.flatnonzero(parent >= 0)
    return _tree(plan, parent[child], child, length[child], unique)


def random_spanning_trees(
    graphs: PackedGraphs | Plan, count: int, seed: int = 0, weighted: bool = True
) -> list[SpanningTree]:
    """Spanning trees drawn uniformly from all, independently of each other, by Wilson's algorithm.

    A graph's draws depend on `seed` and the numbering of its nodes alone, not on other graphs; another numbering gives
    other trees of the same distribution (`unique` is False but for forests, which are their own, in O(N)). Takes the
    mean hitting time of a random walk, O(N^2) on a cycle, on a lollipop at worst O(N^3), about O(N) on most graphs.

    Args:
        graphs: The graphs, or a plan that shares their work.
        count: Number of trees.
        seed: Not negative.
        weighted: Take `edge_weight` as lengths (trees are drawn without regard to them); otherwise all are 1.

    Raises:
        GraphPETypeError: `count` or `seed` is no integer.
        GraphPEValueError: `count` < 1, `seed` < 0, or weights are negative or not finite.

    References:
        Wilson: Generating random spanning trees more quickly than the cover time. STOC 1996.
    """
    check_draws(count, seed)
    plan = checked(graphs)
    matrix = matrix_of(plan, weighted)
    label, components = components_of(matrix)
    owner, ptr = plan.graphs.batch.numpy(force=True), plan.graphs.ptr.numpy(force=True)
    edges = np.bincount(owner[rows_of(matrix)], minlength=plan.graphs.num_graphs) // 2
    first = np.unique(label, return_index=True)[1]
    trees = np.bincount(owner[first], minlength=plan.graphs.num_graphs)
    unique = edges == plan.graphs.sizes.numpy(force=True) - trees
    nodes = np.bincount(label, minlength=components)
    is_tree = np.bincount(label[rows_of(matrix)], minlength=components) == 2 * (nodes - 1)
    is_tree &= unique[owner[first]] | (nodes > _LONG_WALK)
    out = []
    for draw in range(count):
        parent, length = spanning_loops.wilson(*matrix, ptr, label, is_tree, np.array([seed, draw], np.uint64))
        child = np.flatnonzero(parent >= 0)
        out.append(_tree(plan, parent[child], child, length[child], unique))
    return out


def average(trees: Sequence[SpanningTree], f: TreeFunction | Parameter, field: Tensor) -> Tensor:
    """The mean over trees of `tree.integrate(f, field)`: of random ones, an estimate of its expectation.

    Args:
        trees: The trees, each of the same graphs.
        f: The function of the distance, or a constant one.
        field: X, `[N]` or `[N, D]`.

    Raises:
        GraphPEValueError: There is no tree.
    """
    if not trees:
        raise GraphPEValueError("trees must be at least one spanning tree, got none")
    total = trees[0].integrate(f, field)
    for tree in trees[1:]:
        total = total + tree.integrate(f, field)
    return total / len(trees)


class Distortion(NamedTuple):
    """How tree distances d_T differ from graph distances d_G over pairs of nodes of one component.

    Attributes:
        mean: Of d_T / d_G.
        largest: d_T / d_G.
        smallest: d_T / d_G: at least 1 (to rounding) for spanning trees and hierarchical ones.
        relative_error: (sum (d_T - d_G)^2 / sum d_G^2)^1/2.
        pairs: Ordered pairs that were measured.
    """

    mean: float
    largest: float
    smallest: float
    relative_error: float
    pairs: int


def distortion(
    graphs: PackedGraphs | Plan, tree: SpanningTree, sources: int = 256, seed: int = 0, weighted: bool = True
) -> Distortion:
    """Compare distances from some nodes (from all, if there are no more) to all others. O(sources E log N).

    Without any pair, everything is 1 and the error 0.

    Args:
        graphs: The graphs, or a plan that shares their work.
        tree: Their trees.
        sources: Number of nodes, drawn without repetition.
        seed: Of the draw, not negative.
        weighted: As the trees were made.

    Raises:
        GraphPETypeError: `sources` or `seed` is no integer.
        GraphPEValueError: `sources` < 1, `seed` < 0, the tree is that of other graphs, or weights are negative or not
            finite.
    """
    check_draws(sources, seed, "sources")
    plan = checked(graphs)
    if tree.num_nodes != plan.graphs.num_nodes:
        raise GraphPEValueError(f"the tree has {tree.num_nodes} nodes of graphs, which have {plan.graphs.num_nodes}")
    size = tree.num_nodes
    chosen = np.random.default_rng(seed).permutation(size)[:sources]
    matrix = matrix_of(plan, weighted)
    graph = csr_array((matrix.weight, matrix.indices, matrix.indptr), shape=(size, size))
    forest = tree.integrator.forest
    place = np.empty(forest.num_nodes, np.int64)
    place[forest.order] = np.arange(forest.num_nodes)
    total, largest, smallest, error, scale, pairs = 0.0, 1.0, np.inf, 0.0, 0.0, 0
    for source in chosen:
        exact = dijkstra(graph, directed=False, indices=source)
        along = np.empty(forest.num_nodes)
        along[forest.order] = spanning_loops.distances_from(forest.parent, forest.length, place[source])
        reached = np.isfinite(exact) & (exact > 0)
        ratio = along[:size][reached] / exact[reached]
        total += float(ratio.sum())
        largest, smallest = max(largest, ratio.max(initial=0.0)), min(smallest, ratio.min(initial=np.inf))
        error += float(((along[:size][reached] - exact[reached]) ** 2).sum())
        scale += float((exact[reached] ** 2).sum())
        pairs += int(reached.sum())
    if pairs == 0:
        return Distortion(1.0, 1.0, 1.0, 0.0, 0)
    return Distortion(total / pairs, float(largest), float(smallest), float(np.sqrt(error / scale)), pairs)


def check_draws(count: int, seed: int, name: str = "count") -> None:
    """Raise unless these are a number of draws and a seed.

    Args:
        count: Number of draws, at least 1.
        seed: The seed.
        name: What messages call the number.
    """
    check_integer(name, count, least=1)
    check_seed(seed)


def checked(graphs: PackedGraphs | Plan) -> Plan:
    """A plan of the graphs, whose weights are lengths or missing.

    Args:
        graphs: The graphs, or a plan that shares their work.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    return plan


def matrix_of(plan: Plan, weighted: bool) -> Adjacency:
    """The symmetrised graph without loops, with lengths.

    Args:
        plan: The graphs, and the work that several encodings share.
        weighted: Whether `edge_weight` is taken as lengths; otherwise every edge has length 1.
    """
    matrix: Adjacency = plan.once(symmetric_adjacency)
    row = rows_of(matrix)
    kept = matrix.indices != row
    indptr = np.concatenate(
        [np.zeros(1, np.int64), np.cumsum(np.bincount(row[kept], minlength=len(matrix.indptr) - 1))]
    )
    weight = matrix.weight[kept] if weighted else np.ones(int(kept.sum()))
    longest = weight.max(initial=0.0)
    if longest > _LONGEST:
        raise GraphPEValueError(
            f"edge_weight holds {longest:.3g} (parallel edges added): lengths must be at most {_LONGEST:.3g}"
        )
    return Adjacency(indptr, matrix.indices[kept], weight)


def _edges(plan: Plan, weighted: bool) -> tuple[Ints, Ints, Floats]:
    """Each edge once, from the smaller node."""
    matrix = matrix_of(plan, weighted)
    row = rows_of(matrix)
    once = row < matrix.indices
    return row[once], matrix.indices[once], matrix.weight[once]


def colours_of(plan: Plan, weighted: bool) -> Ints:
    """Colours of the nodes of the symmetrised graph after 16 rounds of refinement, `[N]`.

    Args:
        plan: The graphs, and the work that several encodings share.
        weighted: Whether `edge_weight` tells edges apart.
    """
    matrix = matrix_of(plan, weighted)
    half = matrix.indptr, matrix.indices, bits(matrix.weight)
    return refine(*half, *half, _ROUNDS)[:, -1].view(np.int64) if len(matrix.indptr) > 1 else np.zeros(0, np.int64)


def components_of(matrix: Adjacency) -> tuple[Ints, int]:
    """The connected component of each node, `[N]`, and their number.

    Args:
        matrix: A symmetric matrix.
    """
    size = len(matrix.indptr) - 1
    if size == 0:
        return np.zeros(0, np.int64), 0
    count, label = connected_components(csr_array((matrix.weight, matrix.indices, matrix.indptr), shape=(size, size)))
    return label.astype(np.int64), int(count)


def _tree(plan: Plan, row: Ints, col: Ints, length: Floats, unique: np.ndarray) -> SpanningTree:
    device, size = plan.graphs.device, plan.graphs.num_nodes
    edges = torch.from_numpy(np.stack([row, col]).astype(np.int64)).to(device)
    return SpanningTree(edges, torch.from_numpy(length).to(device), size, size, torch.from_numpy(unique).to(device))
