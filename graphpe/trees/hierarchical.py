"""Random hierarchical trees with O(log n) expected distortion (Fakcharoenphol, Rao, Talwar)."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Floats, Ints
from graphpe.structure.plan import Plan
from graphpe.trees import spanning_loops
from graphpe.trees.spanning import SpanningTree, check_draws, checked, matrix_of


def hierarchical_trees(graphs: PackedGraphs | Plan, seed: int = 0, weighted: bool = True) -> SpanningTree:
    """A random tree over each component whose leaves are its nodes, with d_T >= d_G and E d_T <= O(log n) d_G.

    No spanning tree: up to N - 1 nodes that stand for clusters are added after the N of the graphs. With a random order
    of the nodes and a random beta in [1, 2), density 1 / (beta log 2), a node belongs, at each radius r = beta 2^i, to
    the first node in the order that is at most r away; clusters are the nodes that belong to the same at r and at all
    larger radii. A cluster that falls apart below r stands at height r, so that nodes that it separates are 2 r apart;
    clusters that do not are left out. The metric is an ultrametric.

    A graph's draw depends on `seed`, its size and its numbering alone; another numbering gives another tree of the same
    distribution (`unique` is False but for graphs without edges). O((N + E) log^2 N) expected, and O(N) for each
    doubling between the smallest and the largest distance.

    Args:
        graphs: The graphs, or a plan that shares their work.
        seed: Not negative.
        weighted: Take `edge_weight` as lengths; otherwise all edges have length 1.

    Raises:
        GraphPETypeError: `seed` is no integer.
        GraphPEValueError: `seed` < 0, or weights are negative or not finite.

    References:
        Fakcharoenphol, Rao, Talwar: A tight bound on approximating arbitrary metrics by tree metrics. JCSS 2004.
    """
    check_draws(1, seed)
    plan = checked(graphs)
    matrix, ptr = matrix_of(plan, weighted), plan.graphs.ptr.numpy(force=True)
    order, beta = np.empty(plan.graphs.num_nodes, np.int64), np.empty(plan.graphs.num_nodes)
    for first, last in itertools.pairwise(ptr):
        generator = np.random.default_rng([seed, last - first])
        order[first:last] = first + generator.permutation(last - first)
        beta[first:last] = 2.0 ** generator.random()
    start, rank, distance = spanning_loops.first_in_reach(*matrix, ptr, order)
    edges, length, num_nodes = _clusters(start, rank, distance, beta)
    edged = np.bincount(plan.graphs.batch.numpy(force=True)[edges[1][edges[1] < len(order)]], minlength=len(ptr) - 1)
    device = plan.graphs.device
    return SpanningTree(
        torch.from_numpy(edges).to(device),
        torch.from_numpy(length).to(device),
        len(order),
        num_nodes,
        torch.from_numpy(edged == 0).to(device),
    )


def _clusters(start: Ints, rank: Ints, distance: Floats, beta: Floats) -> tuple[Ints, Floats, int]:
    """Edges (parent, child) of the hierarchy, their lengths, and its number of nodes."""
    size = len(start) - 1
    far = distance[start[:-1]] if size else np.zeros(0)
    positive = distance[distance > 0]
    parents, children, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    if len(positive) == 0:
        return np.zeros((2, 0), np.int64), np.zeros(0), size
    top = math.ceil(math.log2(far.max())) + 1
    bottom = math.floor(math.log2(positive.min())) - 2
    # Of each node that is not alone yet: its cluster, and where it stands in its list of first nodes.
    node = np.arange(size)
    place = start[:-1].copy()
    cluster = np.unique(rank[place], return_inverse=True)[1]
    above = np.full(int(cluster.max()) + 1, -1)  # the node of the tree above each cluster
    heights = np.zeros(2 * size)
    num_nodes = size
    for level in range(top, bottom - 1, -1):
        radius = beta[node] * 2.0**level
        while True:
            farther = distance[place] > radius
            if not farther.any():
                break
            place[farther] += 1
        _, first, part = np.unique(cluster * np.int64(size) + rank[place], return_index=True, return_inverse=True)
        whole = cluster[first]
        splits = np.bincount(whole, minlength=len(above)) > 1
        split = np.flatnonzero(splits)
        if len(split):
            number = np.full(len(above), -1)
            number[split] = num_nodes + np.arange(len(split))
            example = np.empty(len(above), np.int64)
            example[cluster] = node
            heights[number[split]] = beta[example[split]] * 2.0 ** (level + 1)
            joined = split[above[split] >= 0]
            parents.append(above[joined])
            children.append(number[joined])
            lengths.append(heights[above[joined]] - heights[number[joined]])
            num_nodes += len(split)
            above = np.where(splits, number, above)
        above = above[whole]
        cluster = part
        alone = np.bincount(part, minlength=len(above))[part] == 1
        leaf = alone & (above[cluster] >= 0)
        parents.append(above[cluster[leaf]])
        children.append(node[leaf])
        lengths.append(heights[above[cluster[leaf]]])
        node, place, cluster = node[~alone], place[~alone], cluster[~alone]
        if len(node) == 0:
            break
        kept, cluster = np.unique(cluster, return_inverse=True)
        above = above[kept]
    edges = np.stack([np.concatenate(parents), np.concatenate(children)])
    return edges, np.concatenate(lengths), num_nodes
