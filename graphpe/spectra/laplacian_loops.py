"""The loops of Laplacian eigenpairs, compiled: few calls, since on a small graph a call takes as long as its loops."""

from __future__ import annotations

import numpy as np

from graphpe.compiled.jit import compiled
from graphpe.structure.adjacency import Floats, Ints
from graphpe.structure.components import label_components
from graphpe.structure.laplacian import pair_up_entries


@compiled
def symmetrise(
    indptr: Ints, indices: Ints, weight: Floats, back_ptr: Ints, back_indices: Ints, back_weight: Floats, ptr: Ints
) -> tuple[Ints, Ints, Floats, Ints, Floats, Ints, Ints, Ints]:
    """Pairs, degrees, labels and first nodes of components, and the graph of each node."""
    row, col, weight, direction = pair_up_entries(indptr, indices, weight, back_ptr, back_indices, back_weight)
    size = len(indptr) - 1
    degree, batch = np.zeros(size), np.empty(size, np.int64)
    for e in range(len(row)):
        degree[row[e]] += weight[e]
    for b in range(len(ptr) - 1):
        batch[ptr[b] : ptr[b + 1]] = b
    label, first = label_components(row, col, size)
    return row, col, weight, direction, degree, label, first, batch


@compiled
def zero_modes(
    degree: Floats, label: Ints, first: Ints, batch: Ints, num_graphs: int, comb: bool
) -> tuple[Floats, Ints, Floats]:
    """The modes, their number in each graph, and a number above each graph's spectrum."""
    square, total = np.ones(len(degree)), np.zeros(len(first))
    top = np.full(num_graphs, 0.0 if comb else 2.0)
    for u in range(len(degree)):
        if comb:  # Gershgorin: the spectrum ends at twice the largest degree
            top[batch[u]] = max(top[batch[u]], 2 * degree[u])
        elif degree[u] > 0:
            square[u] = degree[u]
        total[label[u]] += square[u]
    for u in range(len(degree)):
        square[u] = np.sqrt(square[u] / total[label[u]])
    count = np.zeros(num_graphs, np.int64)
    for u in first:
        count[batch[u]] += 1
    for b in range(num_graphs):
        top[b] = 1.5 * top[b] if top[b] > 0 else 1.0
    return square, count, top
