"""How long a search for cycles would take, told before it begins."""

from __future__ import annotations

from collections.abc import Callable
from math import log2

import numpy as np
from scipy.sparse import csr_matrix

from graphpe.errors import GraphPEValueError
from graphpe.structure.adjacency import Ints

_PROBES = 512
_LOOKS = 1 << 15
"""Nodes of random paths that are looked at; where paths are long, fewer paths tell."""
_MOST_WALKS = 1e200
_DOUBT = 8
"""An estimate has to be this many times too large: it is of random paths, and now and then one is far off."""


def check_effort(
    indptr: Ints, indices: Ints, ptr: Ints, max_length: int, most_steps: int, core: Callable[[], np.ndarray]
) -> None:
    """Raise where the depth-first search for cycles would take far more steps than are allowed.

    Graphs of few nodes of small degree, and those on which walks are few, are let pass at once. On others random paths
    of the search are followed down; each gives an unbiased estimate of the steps, those on the way divided by the
    probability of getting there (Knuth 1975).
    Roots and branches are drawn in proportion to the walks that begin with them: on large graphs most of the search is
    at a few hubs, which even draws would miss. O(L E) and some thousand looks at neighbours a graph.

    Args:
        indptr: Of the symmetric adjacency matrix of all graphs.
        indices: Of the same.
        ptr: First node of each graph.
        max_length: The most nodes of a cycle.
        most_steps: Steps that one graph may take.
        core: Gives the nodes that are on cycles or between them.

    Raises:
        GraphPEValueError: One would take more; the message says how many.
    """
    degree, size = np.diff(indptr).max(initial=2), np.diff(ptr).max(initial=1)
    if log2(size) + max_length * log2(degree) <= log2(most_steps):
        return
    walks = _walks(indptr, indices, max_length - 1)
    before = np.concatenate([[0.0], np.cumsum(sum(walks[1:]))])
    for graph in np.flatnonzero(before[ptr[1:]] - before[ptr[:-1]] > most_steps).tolist():
        roots = ptr[graph] + np.flatnonzero(core()[ptr[graph] : ptr[graph + 1]])
        expected = _estimate(indptr, indices, roots, walks) if len(roots) else 0.0
        if expected > _DOUBT * most_steps:
            raise GraphPEValueError(
                f"graph {graph} of {ptr[graph + 1] - ptr[graph]:,} nodes has too many paths to count cycles of up to "
                f"{max_length} nodes: about {expected:.0e} steps, and {most_steps:,} are allowed; lower max_length, or "
                "count closed walks (kind='walks')"
            )


def _walks(indptr: Ints, indices: Ints, most: int) -> list[np.ndarray]:
    """The number of walks of 0, ..., `most` steps that begin at each node, each `[N]`."""
    matrix = csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(indptr) - 1,) * 2)
    walks = [np.ones(len(indptr) - 1)]
    for _ in range(most):
        walks.append(np.minimum(matrix @ walks[-1], _MOST_WALKS))
    return walks


def _estimate(indptr: Ints, indices: Ints, roots: np.ndarray, walks: list[np.ndarray]) -> float:
    """Steps of the search from all roots: the mean over random paths."""
    rng = np.random.default_rng(0)
    alive = np.zeros(len(indptr) - 1, dtype=bool)
    alive[roots] = True
    chance = walks[-1][roots] / walks[-1][roots].sum()
    on_path = np.zeros(len(alive), dtype=bool)
    total, looks, probes = 0.0, 0, 0
    for number in rng.choice(len(roots), _PROBES, p=chance).tolist():
        if looks > _LOOKS:
            break
        root, weight = int(roots[number]), 1 / chance[number]
        path = [root]
        on_path[root] = True
        while len(path) < len(walks):
            near = indices[indptr[path[-1]] : indptr[path[-1] + 1]]
            total += weight * len(near)
            ahead = near[(near > root) & alive[near] & ~on_path[near]]
            if not len(ahead):
                break
            share = walks[-1 - len(path)][ahead]
            share = share / share.sum()
            chosen = int(rng.choice(len(ahead), p=share))
            weight /= share[chosen]
            path.append(int(ahead[chosen]))
            on_path[path[-1]] = True
        on_path[path] = False
        looks += len(path)
        probes += 1
    return total / probes
