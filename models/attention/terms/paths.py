"""Sums over the nodes of shortest paths, or of paths along trees, between all nodes of each graph.

The pairs of a node i are sums along the pairs before them: with u one step nearer to i than j,

    S_ij = g_ij + sum_u s_uj S_iu,    S_ii = g_ii,

where s_uj is the share of the shortest paths from i to j whose last node but one is u. So S_ij is the mean, over all
shortest paths from i to j, of the sum of g_iv over the nodes v of the path, both ends included. Nothing decides between
paths of one length: the mean depends on the graph alone, and is the sum where the path is unique, as along trees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch_geometric.data import Data

from graphpe.graphs.ragged import Ints
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.batches.on_host import structure_of
from graphpe.structure.plan import Plan
from graphpe.trees.fields import trees_of

PathKind = Literal["shortest", "tree"]


@dataclass(frozen=True, eq=False)
class Paths:
    """The pairs of nodes that paths join, in the order of their distance, each with the pairs one step before.

    Attributes:
        pair: Row of the pair (i, j), `[S]`.
        before: Row of a pair (i, u) one step before, `[S]`.
        share: Share of the paths from i to j that come by u, `[S]` float32.
        sizes: How many entries there are at distance 1, 2 and so on.
        joined: Whether a path joins each pair, `[P, 1]`; every node is joined to itself.
    """

    pair: Tensor
    before: Tensor
    share: Tensor
    sizes: tuple[int, ...]
    joined: Tensor


@torch.compiler.disable
def read_paths(batch: Data, members: NodeToGraph, kind: PathKind, directed: bool) -> Paths:
    """The paths of a batch; on the host, from its structure there where the batch tells that.

    O(sum of n_b E_b) time and memory, times the logarithm for sorting.

    Args:
        batch: The batch.
        members: Its partition into graphs.
        kind: `shortest`: of the graph, in hops; `tree`: of its tree of shortest paths from a node of largest degree.
        directed: Whether only paths along edges from j to i count (`shortest`).
    """
    plan = Plan(structure_of(batch, members))
    if kind == "tree":
        edges = trees_of(plan, "shortest", False, 1, 0)[0].edge_index.numpy(force=True)
    else:
        edges = plan.graphs.edge_index.numpy(force=True)
    steps = edges[::-1] if directed else np.concatenate([edges, edges[::-1]], axis=1)
    found = _list_paths(steps, plan.graphs.ptr.numpy(force=True))
    pair, before, share, joined = (
        torch.from_numpy(x).to(members.ptr.device, non_blocking=True) for x in (*found[:3], found[4])
    )
    return Paths(pair, before, share, found[3], joined.unsqueeze(1))


def _list_paths(steps: Ints, ptr: Ints) -> tuple[Ints, Ints, Any, tuple[int, ...], Any]:
    """`pair`, `before`, `share`, `sizes` and `joined` of `Paths`, from steps (from, to) `[2, S]`."""
    size, nodes = np.diff(ptr), int(ptr[-1])
    first = np.repeat(ptr[:-1], size)  # of the graph of each node
    length = np.repeat(size, size)
    row = np.cumsum(length) - length - first  # the pair (i, j) stands at row[i] + j
    steps = steps[:, steps[0] != steps[1]]
    start, end = np.divmod(np.unique(steps[0] * nodes + steps[1]), max(nodes, 1))
    begin = np.searchsorted(start, np.arange(nodes + 1))
    node = np.arange(nodes)
    reached = node  # by the nodes i of the frontier
    own = row + node
    joined = np.zeros(int((size * size).sum()), bool)
    joined[own] = True
    paths = np.ones(nodes)
    pairs, befores, shares = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    while len(node):
        degree = begin[reached + 1] - begin[reached]
        at = np.repeat(np.arange(len(node)), degree)
        entry = np.arange(len(at)) - np.repeat(np.cumsum(degree) - degree, degree) + begin[reached][at]
        to = end[entry]
        candidate = row[node[at]] + to
        new = ~joined[candidate]
        at, to, candidate = at[new], to[new], candidate[new]
        unique, index, inverse = np.unique(candidate, return_index=True, return_inverse=True)
        # A path to j comes by u with probability paths_u / paths_j; numbers relative to the largest of each i.
        total = np.bincount(inverse, paths[at], len(unique))
        pairs.append(candidate)
        befores.append(own[at])
        shares.append((paths[at] / total[inverse]).astype(np.float32))
        node, reached, own = node[at][index], to[index], unique
        joined[own] = True
        largest = np.zeros(nodes)
        np.maximum.at(largest, node, total)
        paths = np.maximum(total / largest[node], 1e-300)
    sizes = tuple(len(x) for x in pairs[1:] if len(x))
    return np.concatenate(pairs), np.concatenate(befores), np.concatenate(shares), sizes, joined


def sum_along(value: Tensor, paths: Paths) -> Tensor:
    """S from g, `[P, H]` each; S is g where no path joins a pair. O(S H) time, nothing kept for the backward pass.

    Args:
        value: g of each pair.
        paths: The paths.
    """
    return _SumAlong.apply(value, paths)


class _SumAlong(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, paths: Paths) -> Tensor:
        ctx.paths = paths
        out = value.clone()
        share = paths.share.to(value.dtype).unsqueeze(1)
        start = 0
        for size in paths.sizes:  # a distance after the other
            part = slice(start, start + size)
            out.index_add_(0, paths.pair[part], out.index_select(0, paths.before[part]).mul_(share[part]))
            start += size
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        paths: Paths = ctx.paths
        out = grad.clone()
        share = paths.share.to(grad.dtype).unsqueeze(1)
        end = len(paths.pair)
        for size in reversed(paths.sizes):
            part = slice(end - size, end)
            out.index_add_(0, paths.before[part], out.index_select(0, paths.pair[part]).mul_(share[part]))
            end -= size
        return out, None
