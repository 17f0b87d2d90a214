"""Which solver for which graph: dense stacks for small ones, sparse shift-invert for large ones.

On a CPU the two cost the same at about 150 nodes for graphs with little fill (measured on syntax trees with token
edges, complex, k = 8: 2.8 against 3.6 ms at 150 nodes, 31 against 13 ms at 300, 413 against 17 ms at 800). Denser
graphs fill up, which the number of their edges tells before anything is factored.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import torch

from graphpe.eigen.dense import KnownModes, Solved, dense_eigenpairs
from graphpe.eigen.shift_invert import lowest_by_shift_invert
from graphpe.laplacian import Entries, Ints
from graphpe.threads import one_blas_thread

_SPARSE_FROM = 160
_MOST_ENTRIES_PER_ROW = 8
_LEAST_ROWS_PER_VECTOR = 8


def lowest_eigenpairs(
    operator: Entries,
    ptr: Ints,
    k: int,
    known: KnownModes,
    graphs: Ints | None = None,
    device: torch.device | None = None,
) -> Solved:
    """The k lowest eigenpairs of each diagonal block, the known modes apart.

    Arguments and result as in `graphpe.eigen.dense.dense_eigenpairs`. What the sparse solver cannot verify is solved
    densely.
    """
    sizes = np.diff(ptr)
    chosen = np.arange(len(sizes)) if graphs is None else graphs
    sparse_ids = chosen[:0]
    if device is None or device.type == "cpu":
        entries = np.diff(np.searchsorted(operator.row, ptr))[chosen]
        n = sizes[chosen]
        suits = (n >= _SPARSE_FROM) & (entries <= _MOST_ENTRIES_PER_ROW * n)
        suits &= n - known.count[chosen] >= _LEAST_ROWS_PER_VECTOR * k
        sparse_ids = chosen[suits]
    if not len(sparse_ids):
        return dense_eigenpairs(operator, ptr, k, known, graphs, device)
    found = {}
    with one_blas_thread():
        for graph in sparse_ids.tolist():
            if (pairs := _solve_sparse(operator, ptr, k, known, graph)) is not None:
                found[graph] = pairs
    solved = dense_eigenpairs(operator, ptr, k, known, np.setdiff1d(chosen, list(found)), device)
    for graph, (values, vectors) in found.items():
        solved.values[graph], solved.mask[graph] = values, True
        solved.vectors[ptr[graph] : ptr[graph + 1]] = vectors
    return solved


def _solve_sparse(operator: Entries, ptr: Ints, k: int, known: KnownModes, graph: int) -> tuple | None:
    """The eigenpairs of one block by shift-invert; None where they could not be verified."""
    start, stop = int(ptr[graph]), int(ptr[graph + 1])
    first, last = np.searchsorted(operator.row, (start, stop))
    size, part = stop - start, slice(first, last)
    off_diagonal = sparse.csc_matrix(
        (operator.value[part], (operator.row[part] - start, operator.col[part] - start)), shape=(size, size)
    )
    matrix = (off_diagonal + sparse.diags(operator.diagonal[start:stop])).tocsc()
    mode, component = known.vector[start:stop], known.component[start:stop]
    rows = np.flatnonzero(mode)
    supports, column = np.unique(component[rows], return_inverse=True)
    modes = sparse.csc_matrix((mode[rows], (rows, column)), shape=(size, len(supports)))
    return lowest_by_shift_invert(matrix, k, modes, known.shift[graph])
