"""How long a search for cycles would take, told before it begins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from graphpe.errors import GraphPEValueError
from graphpe.structure.adjacency import Ints

_PROBES = 512
_DOUBT = 8
"""An estimate has to be this many times too large: it is of random paths, and now and then one is far off."""


def check_effort(
    indptr: Ints, indices: Ints, ptr: Ints, max_length: int, most_steps: int, core: Callable[[], np.ndarray]
) -> None:
    """Raise where the depth-first search for cycles would take far more steps than are allowed.

    Graphs on which walks are few are let pass at once. On others random paths of the search are followed down; each
    gives an unbiased estimate of the steps, the product of the branches beside it (Knuth 1975). O(L E) and some
    thousand looks at neighbours a graph.

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
    matrix = csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(indptr) - 1,) * 2)
    walks, steps = np.ones(len(indptr) - 1), np.zeros(len(indptr) - 1)
    for _ in range(max_length - 1):
        walks = matrix @ walks
        steps += walks
        if not np.isfinite(walks).all():
            break
    before = np.concatenate([[0.0], np.cumsum(np.nan_to_num(steps, posinf=np.finfo(np.float64).max / 1e9))])
    for graph in np.flatnonzero(before[ptr[1:]] - before[ptr[:-1]] > most_steps).tolist():
        roots = ptr[graph] + np.flatnonzero(core()[ptr[graph] : ptr[graph + 1]])
        expected = _estimate(indptr, indices, roots, max_length) if len(roots) else 0.0
        if expected > _DOUBT * most_steps:
            raise GraphPEValueError(
                f"graph {graph} of {ptr[graph + 1] - ptr[graph]:,} nodes has too many paths to count cycles of up to "
                f"{max_length} nodes: about {expected:.0e} steps, and {most_steps:,} are allowed; lower max_length, or "
                "count closed walks (kind='walks')"
            )


def _estimate(indptr: Ints, indices: Ints, roots: np.ndarray, max_length: int) -> float:
    """Steps of the search from all roots: the mean over random ones, times their number."""
    rng = np.random.default_rng(0)
    alive = np.zeros(len(indptr) - 1, dtype=bool)
    alive[roots] = True
    total = 0.0
    for root in rng.choice(roots, _PROBES).tolist():
        path, weight = [root], 1.0
        while len(path) < max_length:
            near = indices[indptr[path[-1]] : indptr[path[-1] + 1]]
            total += weight * len(near)
            ahead = near[(near > root) & alive[near]]
            ahead = ahead[~np.isin(ahead, path)]
            if not len(ahead):
                break
            weight *= len(ahead)
            path.append(int(rng.choice(ahead)))
    return total / _PROBES * len(roots)
