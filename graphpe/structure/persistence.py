"""Persistent homology of graphs under a filtration of their nodes: when components and cycles begin and end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.laplacian import Floats, Ints
from graphpe.structure.union_find import find_root

Bools = NDArray[np.bool_]


class Persistence(NamedTuple):
    """Persistence diagrams of F filtrations of graphs with N nodes and P edges, as points at nodes and edges.

    Dimension 0: the points (birth, death) of the components, one at each node. Dimension 1: the points (entry,
    infinity) of the independent cycles, one at each edge that closes one.

    Attributes:
        edges: `[2, P]`: every edge once, its smaller node first; no self-loops.
        entry: `[P, F]`: when each edge enters.
        birth: `[N, F]`: when each node enters.
        death: `[N, F]`: when the component that began at the node ends in an older one; infinity where it does not.
        last: `[N, F]`: the edge that enters at `death`; where that is infinity the last edge of the node's component,
            -1 of a node without edges.
        tie: `[N, F]`: one of the nodes that share their points, itself one of them.
        closes: `[P, F]`: the edges that close a cycle.
        share: `[P, F]`: how many cycles an edge closes, among those that share them.
    """

    edges: Ints
    entry: Floats
    birth: Floats
    death: Floats
    last: Ints
    tie: Ints
    closes: Bools
    share: Floats


def persistence(
    graphs: PackedGraphs, value: Tensor, edge_value: Tensor | None = None, *, tolerance: float = 0.0
) -> Persistence:
    """Persistence diagrams of sublevel filtrations, exactly, by union-find over sorted edges; O(F (N + E) log E).

    At t a graph has its nodes with f(v) <= t and its edges with f(e) <= t, where f(u, v) = max(f(u), f(v)), or the
    edge's own value if that is larger. A node begins a component; an edge joins two, of which the younger ends (elder
    rule), or closes a cycle. Directions and self-loops do not count, and parallel edges are one, the earliest. Up to
    t, as many points of `death` have begun and not ended as the graph has components, and as many edges of `closes`
    have entered as it has independent cycles, edges - nodes + components.

    Where values tie, diagrams (as multisets, with the points that end as they begin) do not depend on who is said to
    be older; which node has which point does, and is no function of the graph. So nodes of one value whose components
    met before an older one came share their points, and so do edges that enter at one value into what is then one
    component, their cycles: node v has each point of its `tie` equally, edge e has `share` cycles. That is equivariant:
    renumbered nodes have renumbered shares.

    Args:
        graphs: The graphs.
        value: f of the nodes, `[N, F]`.
        edge_value: Own values of the edges, `[E, F]`.
        tolerance: Values of a graph tie that stand next to each other, in order, and differ by no more.

    Raises:
        GraphPEValueError: Values are of another shape, or not finite.

    References:
        Edelsbrunner, Harer: Computational Topology. 2010. Hofer, Graf, Rieck, Niethammer, Kwitt: Graph filtration
        learning. ICML 2020. Horn, De Brouwer, Moor, Moreau, Rieck, Borgwardt: Topological graph neural networks.
        ICLR 2022.
    """
    birth = _values("value", value, graphs.num_nodes)
    own = None if edge_value is None else _values("edge_value", edge_value, graphs.num_edges, birth.shape[1])
    size = max(graphs.num_nodes, 1)
    tail, head = graphs.edge_index.numpy(force=True)
    ends = np.minimum(tail, head) * size + np.maximum(tail, head)
    order = np.flatnonzero(tail != head)
    order = order[np.argsort(ends[order], kind="stable")]
    keys = ends[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    edges = np.stack(np.divmod(keys[first], size))
    entry = np.maximum(birth[edges[0]], birth[edges[1]])
    if own is not None:
        earliest = np.minimum.reduceat(own[order], first) if len(first) else entry
        entry = np.maximum(entry, earliest)
    ptr = graphs.ptr.numpy(force=True)
    edge_ptr = np.searchsorted(edges[0], ptr)
    dies, last, tie, closes, share = _join(
        edges, ptr, edge_ptr, np.ascontiguousarray(birth.T), np.ascontiguousarray(entry.T), float(tolerance)
    )
    padded = np.concatenate([entry, np.full((1, entry.shape[1]), np.inf)])
    death = np.take_along_axis(padded, np.where(dies.T, last.T, len(entry)), axis=0)
    return Persistence(edges, entry, birth, death, last.T, tie.T, closes.T, share.T)


def _values(name: str, value: Tensor, rows: int, columns: int | None = None) -> Floats:
    found = value.detach().to(torch.float64).numpy(force=True)
    if value.dim() != 2 or len(value) != rows or (columns is not None and value.shape[1] != columns):
        what, width = "node" if name == "value" else "edge", "filtrations" if columns is None else columns
        raise GraphPEValueError(f"{name} must have a row for each {what}, [{rows}, {width}] (got {list(value.shape)})")
    if not np.isfinite(found).all():
        raise GraphPEValueError(f"{name} holds numbers that are not finite, which order nothing: NaN or infinity")
    return found


@compiled
def _join(
    edges: Ints, ptr: Ints, edge_ptr: Ints, birth: Floats, entry: Floats, tolerance: float
) -> tuple[Bools, Ints, Ints, Bools, Floats]:
    """`last`, `tie`, `closes` and `share` of `Persistence`, a row for each filtration, after which nodes end.

    Args:
        edges: Edges, those of a graph together.
        ptr: The first node of each graph.
        edge_ptr: The first edge of each graph.
        birth: Values of nodes, `[F, N]`.
        entry: Values of edges, `[F, P]`.
        tolerance: Largest difference of neighbours in order that tie.
    """
    filtrations, size = birth.shape
    count = edges.shape[1]
    dies, last = np.zeros((filtrations, size), np.bool_), np.full((filtrations, size), -1, np.int64)
    tie = np.empty((filtrations, size), np.int64)
    closes, share = np.zeros((filtrations, count), np.bool_), np.zeros((filtrations, count))
    level, leader = np.empty(size, np.int64), np.empty(size, np.int64)
    elder, final = np.empty(size, np.int64), np.empty(size, np.int64)  # of a root: its oldest node, its last edge
    # Of a root, at one level: edges that entered, and those of them that close cycles.
    entered, surplus = np.zeros(size, np.int64), np.zeros(size, np.int64)
    met = np.empty((2, size), np.int64)
    for f in range(filtrations):
        for g in range(len(ptr) - 1):
            start, first = ptr[g], edge_ptr[g]
            nodes = ptr[g + 1] - start
            values = np.concatenate((birth[f, start : ptr[g + 1]], entry[f, first : edge_ptr[g + 1]]))
            order = np.argsort(values, kind="mergesort")
            rank = np.zeros(len(order), np.int64)
            for k in range(1, len(order)):
                rank[k] = rank[k - 1] + (values[order[k]] - values[order[k - 1]] > tolerance)
            for k in range(len(order)):
                if order[k] < nodes:
                    v = start + order[k]
                    level[v], leader[v], tie[f, v], elder[v], final[v] = rank[k], v, v, v, -1
            begin = 0
            while begin < len(order):
                end = begin + 1
                while end < len(order) and rank[end] == rank[begin]:
                    end += 1
                meetings = 0
                for k in range(begin, end):
                    if order[k] < nodes:
                        continue
                    e = first + order[k] - nodes
                    u, v = find_root(leader, edges[0, e]), find_root(leader, edges[1, e])
                    if u == v:
                        closes[f, e] = True
                        continue
                    old, young = elder[u], elder[v]
                    if level[young] < level[old]:
                        old, young = young, old
                    if level[young] == level[old]:
                        met[0, meetings], met[1, meetings] = old, young
                        meetings += 1
                    dies[f, young], last[f, young] = True, e
                    leader[v] = u
                    elder[u] = old
                # Equals share only where no older one came at this level, whatever the order of its edges.
                for k in range(meetings):
                    old = met[0, k]
                    if level[elder[find_root(leader, old)]] == level[old]:
                        tie[f, find_root(tie[f], met[1, k])] = find_root(tie[f], old)
                for k in range(begin, end):
                    if order[k] >= nodes:
                        e = first + order[k] - nodes
                        root = find_root(leader, edges[0, e])
                        entered[root] += 1
                        surplus[root] += closes[f, e]
                        final[root] = e
                for k in range(begin, end):
                    if order[k] >= nodes:
                        e = first + order[k] - nodes
                        root = find_root(leader, edges[0, e])
                        share[f, e] = surplus[root] / entered[root]
                for k in range(begin, end):
                    if order[k] >= nodes:
                        root = find_root(leader, edges[0, first + order[k] - nodes])
                        entered[root] = surplus[root] = 0
                begin = end
            for v in range(start, ptr[g + 1]):
                tie[f, v] = find_root(tie[f], v)
                if not dies[f, v]:
                    last[f, v] = final[find_root(leader, v)]
    return dies, last, tie, closes, share
