"""Colour refinement, to which theory compares networks: 1-WL, SPD-WL and 2-FWL, exactly.

A colour is a 64-bit hash of the colours that it is made of, and a multiset the sum of hashes modulo 2^64: whatever the
order of nodes, bits are the same. Two colours that should differ agree by chance of 2^-64.

    1-WL, SPD-WL   c_i  <- h(c_i, {{(d_ij, c_j) : j}})          d_ij: whether there is an edge; the number of hops
    2-FWL          c_ij <- h(c_ij, {{(c_ik, c_kj) : k}})        as strong as 3-WL

until no colour is split any more. Message passing without features is at most as strong as 1-WL (Xu et al. 2019),
attention with hops as biases as SPD-WL (Zhang et al. 2023), networks that update pairs through triplets as 2-FWL (Maron
et al. 2019). 2-FWL takes O(n^3) a round, and tells no two strongly regular graphs of the same parameters apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from graphpe.benchmarks.expressivity.graph_sets import GraphSet
from graphpe.graphs.packed import PackedGraphs

Colours = NDArray[np.uint64]

Refinement = Literal["1-WL", "SPD-WL", "2-FWL"]
REFINEMENTS: tuple[Refinement, ...] = get_args(Refinement)

_FIRST, _SECOND, _THIRD = (np.uint64(odd) for odd in (0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB))


def refined(kind: Refinement, graphs: PackedGraphs) -> Colours:
    """A colour of each graph, `[B]`: different where refinement tells two graphs apart.

    Args:
        kind: Which refinement.
        graphs: Undirected graphs, with a type of each node as `x` `[N, 1]`.
    """
    out = np.zeros(len(graphs), dtype=np.uint64)
    for ids in graphs.size_groups():
        some = graphs.select(ids)
        size = int(some.sizes[0])
        near, types = _dense(some, size)
        if kind == "2-FWL":
            colours = _stable(_of_pairs(near, types), _next_pairs)
        else:
            labels = (near if kind == "1-WL" else _hops(near)).astype(np.uint64)
            colours = _stable(_mixed(types), lambda old, labels=labels: _next_nodes(old, labels))  # type: ignore[misc]
        total = _mixed(colours).reshape(len(ids), -1).sum(1, dtype=np.uint64)
        out[ids.numpy()] = _mixed(total * _FIRST + np.uint64(size))
    return out


def pairs_apart(kind: Refinement, data: GraphSet) -> int:
    """How many pairs of a set refinement tells apart.

    Args:
        kind: Which refinement.
        data: The set.
    """
    return data.pairs - len(pairs_alike(kind, data))


def pairs_alike(kind: Refinement, data: GraphSet) -> NDArray[np.int64]:
    """The pairs of a set that refinement does not tell apart, `[pairs, 2]`.

    Args:
        kind: Which refinement.
        data: The set.
    """
    colours = refined(kind, data.graphs)
    if data.consecutive:
        pairs = data.pair_index()
        return pairs[colours[pairs[:, 0]] == colours[pairs[:, 1]]]
    order = np.argsort(colours, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(colours[order])) + 1)
    each = [group[np.stack(np.triu_indices(len(group), 1), axis=1)] for group in groups if len(group) > 1]
    return np.concatenate([np.zeros((0, 2), dtype=np.int64), *each])


def _stable(colours: Colours, step: Callable[[Colours], Colours]) -> Colours:
    """Colours after as many steps as split any of them, in any graph."""
    count = 0
    while (found := len(np.unique(colours))) > count:
        count, colours = found, step(colours)
    return colours


def _next_nodes(colours: Colours, labels: Colours) -> Colours:
    seen = _mixed(colours[:, None, :] * _FIRST + labels).sum(2, dtype=np.uint64)
    return _mixed(colours * _SECOND + seen)


def _next_pairs(colours: Colours) -> Colours:
    to, through = colours * _FIRST, colours * _SECOND
    seen = np.zeros_like(colours)
    for k in range(colours.shape[1]):
        seen += _mixed(to[:, :, k, None] + through[:, None, k, :])
    return _mixed(colours * _THIRD + seen)


def _of_pairs(near: NDArray[np.bool_], types: Colours) -> Colours:
    """Colours of pairs to begin with: types of both nodes, whether they are one, and whether there is an edge."""
    same = np.eye(near.shape[1], dtype=np.uint64)
    ends = _mixed(types)[:, :, None] * _FIRST + _mixed(types)[:, None, :] * _SECOND
    return _mixed(ends + near.astype(np.uint64) + np.uint64(2) * same)


def _dense(graphs: PackedGraphs, size: int) -> tuple[NDArray[np.bool_], Colours]:
    """Adjacency `[B, n, n]` and types `[B, n]` of graphs of one size."""
    source, target = graphs.edge_index.numpy()
    near = np.zeros((len(graphs), size, size), dtype=bool)
    if size:
        near[source // size, source % size, target % size] = True
    return near, graphs.node["x"].numpy().astype(np.uint64).reshape(len(graphs), size)


def _hops(near: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers of hops, n where there is no path."""
    size = near.shape[1]
    out = np.full(near.shape, size)
    step = near.astype(np.float32)
    reached = np.broadcast_to(np.eye(size, dtype=bool), near.shape)
    out[reached] = 0
    for hop in range(1, size):
        new = (reached.astype(np.float32) @ step > 0) & (out == size)
        if not new.any():
            break
        out[new] = hop
        reached = new
    return out


def _mixed(values: Colours) -> Colours:
    """Bits mixed (the last step of splitmix64)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
