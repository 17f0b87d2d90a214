"""Which solver for which graph: by its size and number of edges.

Interleaved for small ones, sparse shift-invert for larger ones, LAPACK for what fills up, and `graphpe.eigsh` for the
large ones.

Measured on one core with AVX-512, syntax trees with token edges, microseconds per graph: k = 8 real, k = 15 complex.

| nodes | interleaved, many graphs | one graph | LAPACK | shift-invert, many graphs | one graph |
|---|---|---|---|---|---|
| 25 | 7, 15 | 74, 113 | 57, 102 | | |
| 100 | 80, 226 | 500, 1430 | 510, 1070 | 200 | 460, 1040 |
| 150 | 205, 590 | 1530 | 900 | 225, 630 | 490 |
| 200 | 430, 1310 | 3000, 11600 | 1300, 4490 | 270, 790 | 510, 1310 |
| 300 | 1350, 4560 | 9900, 33900 | 2700, 10300 | 350, 1050 | 600, 1450 |
| 500 | 6030, 21900 | 48500, 198000 | 9300, 37700 | 550 | 760, 2020 |

One graph alone costs the interleaved solver what eight do. Dense graphs fill up when they are factored, which the
number of their edges tells before anything is done; so do sparse ones with hubs or without locality, which an estimate
tells (Barabasi-Albert, 8 entries a row, milliseconds, one graph):

| nodes | shift-invert | `eigsh` | ARPACK |
|---|---|---|---|
| 500 | 20 | | 8 |
| 700 | 35 | 15 | 9 |
| 1000 | 80 | 20 | 13 |
| 1500 | 200 | 24 | 15 |
| 2500 | 670 | 37 | 30 |

The choice depends on the graph alone, never on the batch, so that
a graph gets the same eigenvectors everywhere; except that LAPACK takes the place of what is not compiled yet (see
`graphpe.compiled.jit`), which for repeated eigenvalues gives another basis of the same space.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled
from graphpe.eigen.batched.eigh import KnownModes, Solved, dense_eigenpairs, dense_spectrum
from graphpe.eigen.batched.eight_at_once import interleaved_eigenpairs, interleaved_spectrum
from graphpe.eigen.batched.sparse import is_worth_it, lowest_by_shift_invert
from graphpe.eigen.fill import estimate_fill
from graphpe.eigen.large import lowest_by_eigsh
from graphpe.structure.laplacian import Entries, Floats, Ints

SPARSE_FROM = 140
_INTERLEAVED_BELOW = 300
_INTERLEAVED_BELOW_FOR_ALL = 120  # all eigenvectors: 78 against 245 us at 50 nodes, 461 against 764 at 100
_MOST_ENTRIES_PER_ROW = 14
# From _FILLS_FROM nodes on, graphs whose factors would end in a dense block of more than _MOST_FRONT rows.
_FILLS_FROM, _MOST_FRONT = 600, 140
_LEAST_ROWS_PER_VECTOR = 8
# From here on `eigsh` takes over: elimination in exact order of minimum degree takes longer than SuperLU's, and dense
# matrices take seconds.
_LARGE_FROM = 5000
_DENSE_BELOW = 2000


def lowest_eigenpairs(
    operator: Entries,
    ptr: Ints,
    k: int,
    known: KnownModes,
    graphs: Ints | None = None,
    device: torch.device | None = None,
) -> Solved:
    """The k lowest eigenpairs of each diagonal block, the known modes apart.

    Arguments and result as in `graphpe.eigen.batched.eigh.dense_eigenpairs`. What the other solvers cannot verify is
    solved densely by LAPACK, or, from 2000 nodes on, by `graphpe.eigsh`.

    Args:
        operator: Hermitian and block diagonal.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        k: Number k of eigenpairs of each graph.
        known: Modes that are taken out.
        graphs: Ids of the graphs to solve, the others come back empty; None for all.
        device: Where dense matrices are solved; None for the CPU.

    Raises:
        EigenError: An eigenpair of a large graph did not converge.
    """
    sizes = ptr[1:] - ptr[:-1]  # on one small graph such calls are what costs: `np.diff` takes four times as long
    on_cpu = device is None or device.type == "cpu"
    if on_cpu and sizes.max(initial=0) < SPARSE_FROM:
        return interleaved_eigenpairs(operator, ptr, k, known, graphs)
    chosen = np.arange(len(sizes)) if graphs is None else graphs
    entries = np.diff(np.searchsorted(operator.row, ptr))[chosen]
    n = sizes[chosen]
    suits = on_cpu & (n >= SPARSE_FROM) & (n < _LARGE_FROM) & (entries <= _MOST_ENTRIES_PER_ROW * n)
    suits &= n - known.count[chosen] >= _LEAST_ROWS_PER_VECTOR * k
    if suits.any() and not is_worth_it(operator, int((n[suits] ** 2).sum())):
        suits &= n >= _DENSE_BELOW
    fills = np.zeros_like(suits)
    for i in np.flatnonzero(suits & (n >= _FILLS_FROM)).tolist():
        fills[i] = _front(operator, *ptr[chosen[i] : chosen[i] + 2].tolist()) > _MOST_FRONT
    suits &= ~fills
    found = lowest_by_shift_invert(operator, ptr, k, known, chosen[suits]) if suits.any() else {}
    small = on_cpu & ~suits & (n < _INTERLEAVED_BELOW)
    solved = interleaved_eigenpairs(operator, ptr, k, known, chosen[small])
    others = ~small & ~np.isin(chosen, list(found))
    if (medium := others & ~fills & (n < _DENSE_BELOW)).any():
        dense = dense_eigenpairs(operator, ptr, k, known, chosen[medium], device)
        solved = Solved(*(a + b for a, b in zip(solved, dense, strict=True)))
    for graph in chosen[others & ~medium].tolist():
        found[graph] = lowest_by_eigsh(operator, ptr, k, known, graph, device)
    for graph, (values, vectors) in found.items():
        solved.values[graph, : len(values)], solved.mask[graph, : len(values)] = values, True
        solved.vectors[ptr[graph] : ptr[graph + 1], : len(values)] = vectors
    return solved


def _front(operator: Entries, first: int, last: int) -> int:
    """Rows of the dense block in which the factors of rows `first` to `last` would end."""
    begin, end = np.searchsorted(operator.row, (first, last))
    indptr = np.searchsorted(operator.row[begin:end], np.arange(first, last + 1))
    return estimate_fill(indptr, operator.col[begin:end] - first).front


def all_eigenpairs(
    operator: Entries, ptr: Ints, known: KnownModes, device: torch.device | None = None
) -> tuple[Floats, NDArray[Any]]:
    """All eigenpairs of each diagonal block: the known modes (eigenvalue 0), then the others in ascending order.

    Args:
        operator: Hermitian and block diagonal.
        ptr: `[B + 1]`: block b owns rows `ptr[b]` to `ptr[b + 1]`.
        known: Modes known in closed form; they are ordered by the first node of their support.
        device: Where to solve; None for the CPU.

    Returns:
        Values `[N]`, mode j of block b at `ptr[b] + j`, and vectors `[sum n_b^2]`, block after block and row-major
        (node i, mode j), in the dtype of the operator.
    """
    if device is not None and device.type != "cpu":
        values, vectors = dense_spectrum(operator, ptr, known, device=device)
    else:
        small = np.diff(ptr) < _INTERLEAVED_BELOW_FOR_ALL
        values, vectors = interleaved_spectrum(operator, ptr, known, np.flatnonzero(small))
        if not small.all():
            dense = dense_spectrum(operator, ptr, known, np.flatnonzero(~small))
            values, vectors = values + dense[0], vectors + dense[1]
    _place_known(known.vector, known.component, ptr, vectors)
    return values, vectors


@compiled
def _place_known(mode: NDArray[Any], component: Ints, ptr: Ints, vectors: NDArray[Any]) -> None:
    """Write the known modes into the first columns of each block of `vectors`."""
    column = np.full(component.max() + 1 if len(component) else 0, -1)
    begin = 0
    for g in range(len(ptr) - 1):
        n, count = ptr[g + 1] - ptr[g], 0
        for i in range(n):
            here = mode[ptr[g] + i]
            if here == 0:
                continue
            label = component[ptr[g] + i]
            if column[label] < 0:
                column[label] = count
                count += 1
            vectors[begin + i * n + column[label]] = here
        begin += n * n
