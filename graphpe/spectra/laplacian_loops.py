"""The loops of Laplacian eigenpairs, compiled; of one small graph all of them in one call.

On a graph of some tens of nodes a call from Python takes as long as the loops in it.
"""

from __future__ import annotations

import numpy as np

from graphpe.compiled.jit import compiled, machine_code
from graphpe.eigen.batched.eight_at_once import solve_groups, verify
from graphpe.structure.adjacency import Floats, Ints, structure_of
from graphpe.structure.components import label_components
from graphpe.structure.laplacian import normalised, pair_up_entries


@compiled
def symmetrise(
    indptr: Ints, indices: Ints, weight: Floats, back_ptr: Ints, back_indices: Ints, back_weight: Floats, ptr: Ints
) -> tuple[Ints, Ints, Floats, Ints, Floats, Ints, Ints, Ints]:
    """Pairs, degrees, labels and first nodes of components, and the graph of each node.

    Args:
        indptr: Row pointers of A, `[N + 1]`.
        indices: Columns of its entries.
        weight: Their weights.
        back_ptr: Row pointers of A^T, `[N + 1]`.
        back_indices: Columns of its entries.
        back_weight: Their weights.
        ptr: First node of each graph and, last, N: `[B + 1]`.
    """
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
    """The modes, their number in each graph, and a number above each graph's spectrum.

    Args:
        degree: Row sums of the symmetrised graph, `[N]`.
        label: Component of each node.
        first: First node of each component.
        batch: Graph of each node.
        num_graphs: Number of graphs.
        comb: Whether for `comb`; otherwise for `sym`.
    """
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


@machine_code
def eigenpairs_of_edges(
    edges: Ints, value: Floats, weighted: bool, size: int, k: int, comb: bool
) -> tuple[Floats, Floats, int]:
    """The k lowest eigenpairs of one small graph, zero modes left out.

    The steps are those that many graphs take, and so are the results, bit for bit.

    Returns:
        Vectors `[n, k]`, values `[1, k]`, and how many of them there are; -1 where they are not good enough.
    """
    ptr, zero = np.array([0, size]), np.zeros(1, np.int64)
    indptr, indices, weight, back_ptr, back_indices, back_weight, _ = structure_of(edges, value, weighted, size)
    row, col, entry, _, degree, label, first, batch = symmetrise(
        indptr, indices, weight, back_ptr, back_indices, back_weight, ptr
    )
    if comb:
        entry, diagonal = -entry, degree
    else:
        entry, diagonal = normalised(row, col, entry, degree, True)
    mode, count, shift = zero_modes(degree, label, first, batch, 1, comb)
    found = np.minimum(size - count, k)
    vectors, values = np.zeros((size, k)), np.zeros((1, k))
    if found[0] <= 0:
        return vectors, values, 0
    entry_ptr, stride = np.array([0, len(row)]), np.array([k])
    solve_groups(
        row, col, entry.reshape(-1, 1), diagonal.reshape(-1, 1), entry_ptr, ptr, mode.reshape(-1, 1), label, shift,
        zero, found, zero, stride, zero, vectors.reshape(-1, 1), values.reshape(-1, 1),
    )  # fmt: skip
    good = verify(
        row, col, entry, diagonal, entry_ptr, ptr,
        zero, found, zero, stride, zero, vectors.reshape(-1), values.reshape(-1),
    )  # fmt: skip
    return vectors, values, found[0] if good[0] else -1
