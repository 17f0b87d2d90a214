"""Dense Hermitian eigensolver over many graphs: graphs of equal size are stacked and solved together.

The operator is block diagonal and sparse; each block becomes a dense matrix by one scatter. A block costs O(n^3) time
and O(n^2) memory; stacks are cut so that at most `_STACK_ENTRIES` entries (or one block) are dense at a time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from graphpe.eigen.result import Eigenpairs
from graphpe.laplacian import Entries

# 32 MiB of float64: stacks stay near the caches, and no stack makes a large dataset need much memory.
_STACK_ENTRIES = 1 << 22
# On a CPU, from this size on, computing the wanted eigenvectors only (one LAPACK call per graph) is the quicker of
# the two; measured at k = 8 from n = 12 to 800, real and complex.
_SUBSET_FROM = 64


class KnownModes(NamedTuple):
    """Eigenvectors of eigenvalue 0 with disjoint supports (the connected components), known in closed form.

    They are shifted above the spectrum, so that the solver returns the eigenpairs of their orthogonal complement:
    exactly, even when the next eigenvalue is as good as zero.

    Attributes:
        vector: `[N]`: the entries of all of them; zero at nodes in no support. Of unit norm within each support.
        component: `[N]` int64: the support that each node belongs to, if any.
        count: `[B]` int64: how many each graph has.
        shift: `[B]` float64: added to their eigenvalue; above the spectrum of the graph's operator.
    """

    vector: Tensor
    component: Tensor
    count: Tensor
    shift: Tensor


def lowest_eigenpairs(
    operator: Entries, ptr: Tensor, k: int, known: KnownModes, graphs: Tensor | None = None
) -> Eigenpairs:
    """The k lowest eigenpairs of each diagonal block, the known modes apart.

    Args:
        operator: Hermitian and block diagonal; entries sorted by row.
        ptr: `[B + 1]`: block b owns rows `ptr[b]` to `ptr[b + 1]`.
        k: Columns to return; a block of n rows with c known modes has min(k, n - c) of them.
        known: Modes that are taken out.
        graphs: Ids of the blocks to solve; None for all. The others come back empty.

    Returns:
        Eigenpairs in the dtype of the operator, on its device.
    """
    device = operator.value.device
    sizes = ptr.diff()
    found = (sizes - known.count).clamp(max=k)
    if graphs is None:
        graphs = torch.arange(sizes.numel(), device=device)
    graphs = graphs[found[graphs] > 0]
    order = graphs[torch.argsort(sizes[graphs], stable=True)]
    vectors = torch.zeros(int(ptr[-1]), k, dtype=operator.value.dtype, device=device)
    values = torch.zeros(sizes.numel(), k, dtype=torch.float64, device=device)
    mask = torch.zeros(sizes.numel(), k, dtype=torch.bool, device=device)
    mask[graphs] = torch.arange(k, device=device) < found[graphs, None]

    # Everything in the order of the solve, where each stack is a slice.
    entry_ptr = torch.searchsorted(operator.row, ptr)
    entries, entry_rank = _ragged_rows(entry_ptr, order)
    nodes, _ = _ragged_rows(ptr, order)
    size = sizes[order]
    first = ptr[order][entry_rank]
    target = (operator.row[entries] - first) * size[entry_rank] + operator.col[entries] - first
    value, diagonal = operator.value[entries], operator.diagonal[nodes]
    mode, component = known.vector[nodes], known.component[nodes]

    node_at = entry_at = 0
    entry_total = torch.cat([entry_ptr.new_zeros(1), entry_ptr.diff()[order].cumsum(0)]).tolist()
    for start, stop, n in _stacks(size.cpu().numpy()):
        count = stop - start
        entry_stop, node_stop = entry_total[stop], node_at + count * n
        part = slice(entry_at, entry_stop)
        dense = torch.zeros(count, n, n, dtype=value.dtype, device=device)
        dense.view(-1)[target[part] + (entry_rank[part] - start) * (n * n)] = value[part]
        here = slice(node_at, node_stop)
        dense.diagonal(dim1=1, dim2=2).add_(diagonal[here].view(count, n))
        ids = order[start:stop]
        _shift(dense, mode[here].view(count, n), component[here].view(count, n), known.shift[ids])
        wanted = min(k, n)
        stack_values, stack_vectors = _solve(dense, wanted)
        has = mask[ids, :wanted]
        values[ids, :wanted] = stack_values * has
        vectors[nodes[here], :wanted] = (stack_vectors * has[:, None, :]).reshape(count * n, wanted)
        node_at, entry_at = node_stop, entry_stop
    return Eigenpairs(vectors, values, mask)


def _shift(dense: Tensor, mode: Tensor, component: Tensor, shift: Tensor) -> None:
    """Add shift * z z^H for the mode z of every component, in place; matrices `[G, n, n]`, modes `[G, n]`."""
    left = (mode * shift[:, None])[:, :, None]
    right = mode.conj()[:, None, :]
    if bool((component == component[:, :1]).all()):
        dense.addcmul_(left, right)
    else:
        dense.addcmul_(left, right * (component[:, :, None] == component[:, None, :]))


def _solve(dense: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k lowest eigenpairs of each matrix of a stack `[G, n, n]`: `[G, k]` and `[G, n, k]`."""
    n = dense.size(-1)
    if dense.device.type != "cpu" or n < _SUBSET_FROM or 3 * k > n:
        values, vectors = torch.linalg.eigh(dense)
        return values[:, :k], vectors[:, :, :k]
    pairs = [scipy.linalg.eigh(matrix, subset_by_index=[0, k - 1], check_finite=False) for matrix in dense.numpy()]
    values = torch.from_numpy(np.stack([pair[0] for pair in pairs]))
    return values, torch.from_numpy(np.stack([pair[1] for pair in pairs]))


def _stacks(sizes: np.ndarray) -> list[tuple[int, int, int]]:
    """Runs (start, stop, n) of equal sizes in a sorted list, of at most `_STACK_ENTRIES` entries or one graph."""
    edges = np.flatnonzero(np.diff(sizes, prepend=-1, append=-1)).tolist() if len(sizes) else []
    out = []
    for first, last in pairwise(edges):
        n = int(sizes[first])
        step = max(1, _STACK_ENTRIES // (n * n))
        out += [(start, min(start + step, last), n) for start in range(first, last, step)]
    return out


def _ragged_rows(ptr: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the segments `order` of `ptr`, one segment after the other, and the position in `order` of each row."""
    length = ptr.diff()[order]
    rank = torch.repeat_interleave(length)
    begin = length.cumsum(0) - length
    rows = torch.arange(rank.numel(), device=ptr.device) + (ptr[order] - begin)[rank]
    return rows, rank
