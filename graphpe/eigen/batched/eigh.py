"""Dense Hermitian eigensolver over many graphs: graphs of equal size are stacked and solved together.

The operator is block diagonal and sparse; the blocks of a stack become dense matrices by one scatter. A block costs
O(n^3) time and O(n^2) memory; stacks are cut so that at most `_STACK_ENTRIES` entries (or one block) are dense at a
time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from graphpe.compiled.threads import one_blas_thread
from graphpe.structure.laplacian import Entries, Floats, Ints

# From this size on BLAS may use the threads it has; see `graphpe.compiled.threads`.
_THREADS_FROM = 1024
# 32 MiB of float64: stacks stay near the caches, and no stack makes a large dataset need much memory.
_STACK_ENTRIES = 1 << 22
# On a CPU, from this size on, computing the wanted eigenvectors only (one LAPACK call per graph) is quicker than
# computing all of them in a stack; measured at k = 8 from n = 12 to 800, real and complex.
_SUBSET_FROM = 64
_SKEW = 100  # units of rounding times n, by which X^H X may differ from the identity


@dataclass(frozen=True)
class KnownModes:
    """Eigenvectors of eigenvalue 0 with disjoint supports (the connected components), known in closed form.

    They are shifted above the spectrum, so that the solver returns the eigenpairs of their orthogonal complement:
    exactly, even when the next eigenvalue is as good as zero.

    Attributes:
        vector: `[N]`: the entries of all of them; zero at nodes in no support. Of unit norm within each support.
        component: `[N]`: the support that each node belongs to, if any.
        count: `[B]`: how many each graph has.
        shift: `[B]`: added to their eigenvalue; above the spectrum of the graph's operator.
    """

    vector: NDArray[Any]
    component: Ints
    count: Ints
    shift: Floats


class Solved(NamedTuple):
    """Eigenpairs as arrays: vectors `[N, k]`, values `[B, k]`, mask `[B, k]`; see `graphpe.eigen.Eigenpairs`."""

    vectors: NDArray[Any]
    values: Floats
    mask: NDArray[np.bool_]


def dense_eigenpairs(
    operator: Entries,
    ptr: Ints,
    k: int,
    known: KnownModes,
    graphs: Ints | None = None,
    device: torch.device | None = None,
) -> Solved:
    """The k lowest eigenpairs of each diagonal block, the known modes apart.

    Args:
        operator: Hermitian and block diagonal.
        ptr: `[B + 1]`: block b owns rows `ptr[b]` to `ptr[b + 1]`.
        k: Columns to return; a block of n rows with c known modes has min(k, n - c) of them.
        known: Modes that are taken out.
        graphs: Ids of the blocks to solve; None for all. The others come back empty.
        device: Where to solve; None for the CPU.

    Returns:
        Eigenpairs in the dtype of the operator.
    """
    sizes = np.diff(ptr)
    found = np.minimum(sizes - known.count, k)
    chosen = found > 0
    if graphs is not None:
        chosen &= np.bincount(graphs, minlength=len(sizes)).astype(bool)
    mask = (np.arange(k) < found[:, None]) & chosen[:, None]
    vectors = np.zeros((int(ptr[-1]), k), dtype=operator.value.dtype)
    values = np.zeros((len(sizes), k))

    if len(sizes) == 1 and chosen[0]:  # one graph at a time is how PyG applies a `pre_transform`
        dense = np.zeros((1, sizes[0], sizes[0]), dtype=operator.value.dtype)
        dense[0, operator.row, operator.col] = operator.value
        _finish_stack(dense, operator.diagonal[None], known.vector[None], known.component[None], known.shift)
        with _threads(int(sizes[0])):
            stack_values, stack_vectors = _solve(dense, min(k, int(sizes[0])), device)
        vectors[:, : found[0]], values[:, : found[0]] = stack_vectors[0, :, : found[0]], stack_values[:, : found[0]]
        return Solved(vectors, values, mask)

    order = np.flatnonzero(chosen)
    order = order[np.argsort(sizes[order], kind="stable")]
    # Everything in the order of the solve, where each stack is a slice.
    entry_ptr = np.searchsorted(operator.row, ptr)
    entries, entry_rank = _ragged_rows(entry_ptr, order)
    nodes, _ = _ragged_rows(ptr, order)
    first = ptr[order][entry_rank]
    target = (operator.row[entries] - first) * sizes[order][entry_rank] + operator.col[entries] - first
    value, diagonal = operator.value[entries], operator.diagonal[nodes]
    mode, component = known.vector[nodes], known.component[nodes]

    entry_start, node_start = np.searchsorted(entry_rank, np.arange(len(order) + 1)).tolist(), 0
    for start, stop, n in _stacks(sizes[order]):
        ids, count = order[start:stop], stop - start
        here = slice(node_start, node_start + count * n)
        part = slice(entry_start[start], entry_start[stop])
        dense = np.zeros((count, n, n), dtype=value.dtype)
        dense.reshape(-1)[target[part] + (entry_rank[part] - start) * (n * n)] = value[part]
        shape = count, n
        _finish_stack(
            dense,
            diagonal[here].reshape(shape),
            mode[here].reshape(shape),
            component[here].reshape(shape),
            known.shift[ids],
        )
        wanted = min(k, n)
        with _threads(n):
            stack_values, stack_vectors = _solve(dense, wanted, device)
        has = mask[ids, :wanted]
        values[ids, :wanted] = stack_values * has
        vectors[nodes[here], :wanted] = (stack_vectors * has[:, None, :]).reshape(count * n, wanted)
        node_start = here.stop
    return Solved(vectors, values, mask)


def dense_spectrum(
    operator: Entries, ptr: Ints, known: KnownModes, graphs: Ints | None = None, device: torch.device | None = None
) -> tuple[Floats, NDArray[Any]]:
    """All eigenpairs of each diagonal block, the known modes apart, in ascending order.

    Args:
        operator: Hermitian and block diagonal.
        ptr: `[B + 1]`: block b owns rows `ptr[b]` to `ptr[b + 1]`.
        known: Modes that are taken out; a block with c of them has zeros in the places of its first c eigenpairs.
        graphs: Ids of the blocks to solve; None for all. The others come back zero.
        device: Where to solve; None for the CPU.

    Returns:
        Values `[N]`, mode j of block b at `ptr[b] + j`, and vectors `[sum n_b^2]`, block after block and row-major
        (node i, mode j), in the dtype of the operator.
    """
    sizes = np.diff(ptr)
    begin = np.cumsum(sizes**2) - sizes**2
    values, vectors = np.zeros(int(ptr[-1])), np.zeros(int((sizes**2).sum()), dtype=operator.value.dtype)
    entry_ptr = np.searchsorted(operator.row, ptr)
    chosen = np.arange(len(sizes)) if graphs is None else graphs
    order = chosen[np.argsort(sizes[chosen], kind="stable")]
    order = order[sizes[order] > 0]
    for start, stop, n in _stacks(sizes[order]):
        ids = order[start:stop]
        node = ptr[ids][:, None] + np.arange(n)
        entries, rank = _ragged_rows(entry_ptr, ids)
        first = ptr[ids][rank]
        dense = np.zeros((len(ids), n, n), dtype=operator.value.dtype)
        dense[rank, operator.row[entries] - first, operator.col[entries] - first] = operator.value[entries]
        _finish_stack(dense, operator.diagonal[node], known.vector[node], known.component[node], known.shift[ids])
        with _threads(n):
            stack_values, stack_vectors = _solve(dense, n, device)
        # The known modes were shifted to the end.
        source = (np.arange(n) - known.count[ids][:, None]) % n
        others = source < n - known.count[ids][:, None]
        values[node] = np.take_along_axis(stack_values, source, axis=1) * others
        block = np.take_along_axis(stack_vectors, source[:, None], axis=2) * others[:, None]
        vectors[begin[ids][:, None] + np.arange(n * n)] = block.reshape(len(ids), -1)
    return values, vectors


def _finish_stack(
    dense: NDArray[Any], diagonal: NDArray[Any], mode: NDArray[Any], component: Ints, shift: Floats
) -> None:
    """Add the diagonal and shift * z z^H for the mode z of every component to matrices `[G, n, n]`, in place."""
    dense.reshape(len(dense), -1)[:, :: dense.shape[1] + 1] += diagonal
    outer = (mode * shift[:, None])[:, :, None] * mode.conj()[:, None, :]
    if (component != component[:, :1]).any():
        outer *= component[:, :, None] == component[:, None, :]
    dense += outer


def _solve(dense: NDArray[Any], k: int, device: torch.device | None) -> tuple[Floats, NDArray[Any]]:
    """The k lowest eigenpairs of each matrix of a stack `[G, n, n]`: `[G, k]` and `[G, n, k]`."""
    if device is not None and device.type != "cpu":
        return _solve_there(dense, k, device)
    n = dense.shape[-1]
    if n >= _SUBSET_FROM and 3 * k <= n:
        pairs = [scipy.linalg.eigh(matrix, subset_by_index=[0, k - 1], check_finite=False) for matrix in dense]
        return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
    # NumPy copies each matrix to one place before LAPACK gets it. Torch (MKL) does not: there the result depends on
    # where in a stack a matrix stands, by rounding, which in the eigenspace of a repeated eigenvalue decides
    # everything.
    values, vectors = np.linalg.eigh(dense)
    return values[:, :k], vectors[:, :, :k]


def _solve_there(dense: NDArray[Any], k: int, device: torch.device) -> tuple[Floats, NDArray[Any]]:
    """As `_solve`, on a device; a stack whose vectors are not orthonormal is solved again by LAPACK.

    Batched solvers of devices have returned such vectors. The check is one number for the stack, which is waited for
    with its result.
    """
    values, vectors = torch.linalg.eigh(torch.from_numpy(dense).to(device))
    gram = vectors.mH @ vectors
    gram.diagonal(dim1=-2, dim2=-1).sub_(1)
    if not float(gram.abs().max()) <= _SKEW * torch.finfo(vectors.dtype).eps * dense.shape[-1]:  # nan compares false
        return _solve(dense, k, None)
    return values[:, :k].numpy(force=True), vectors[:, :, :k].numpy(force=True)


def _threads(n: int) -> AbstractContextManager[None]:
    return one_blas_thread() if n < _THREADS_FROM else nullcontext()


def _stacks(sizes: Ints) -> list[tuple[int, int, int]]:
    """Runs (start, stop, n) of equal sizes in a sorted list, of at most `_STACK_ENTRIES` entries or one graph."""
    edges = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)] if len(sizes) else []
    out = []
    for first, last in pairwise(edges):
        n = int(sizes[first])
        step = max(1, _STACK_ENTRIES // (n * n))
        out += [(start, min(start + step, last), n) for start in range(first, last, step)]
    return out


def _ragged_rows(ptr: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Rows of the segments `order` of `ptr`, one segment after the other, and the position in `order` of each row."""
    start = ptr[order]
    length = ptr[order + 1] - start
    rank = np.repeat(np.arange(len(order)), length)
    begin = np.cumsum(length) - length
    return np.arange(len(rank)) + (start - begin)[rank], rank
