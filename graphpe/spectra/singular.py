"""Singular vectors of the adjacency matrices of many graphs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.compiled.jit import compiled
from graphpe.compiled.threads import one_blas_thread
from graphpe.eigen.batched.eigh import KnownModes
from graphpe.eigen.batched.eight_at_once import interleaved_eigenpairs
from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.operators.base import csr_tensor
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds
from graphpe.structure.adjacency import Adjacency, Floats, Ints, adjacency
from graphpe.structure.laplacian import Entries, check_weights
from graphpe.structure.plan import Plan

# Up to this size the eigenvectors of A^T A are quicker than the singular vectors of A: 14 against 110 us at 20 nodes.
_SQUARED_BELOW = 512
_ZERO, _COARSE = 1e-7, 1e-3
_LEAST_ROWS_PER_VECTOR = 8
# A singular value below this share of the largest is rounding: its vectors are left out.
_NEGLIGIBLE = 1e-10
_RESIDUAL = 1e-11
_EXTRA_VECTORS = 8
_MOST_WIDTHS = 12
_BLOCKS_A_CHECK, _MOST_CHECKS = 4, 50
# From this size on nothing dense is made of a graph if few triplets are wanted.
_LARGE = 2000
_MOST_PRODUCTS = 16  # of A^T A, for each edge
_SQUARE_TOLERANCE = 1e-9
_DENSE_SECONDS = 4e-9


class SingularTriplets(NamedTuple):
    """The largest singular triplets of each of B graphs with N nodes in total, values descending.

    Attributes:
        left: `[N, k]` float64: columns u, of unit norm in each graph.
        right: `[N, k]` float64: columns v.
        values: `[B, k]` float64; zero, like the columns, where a graph has no further non-zero singular value.
    """

    left: Tensor
    right: Tensor
    values: Tensor


def singular_triplets(graphs: PackedGraphs | Plan, k: int) -> SingularTriplets:
    """The k largest singular triplets A = U diag(s) V^T of the directed, weighted adjacency matrix of each graph.

    u sums up what a node points to, v what points to it; on an undirected graph v = +-u. The sign of a pair (u, v) is
    free, and so is the basis within a repeated singular value. Singular values below 1e-7 of a graph's largest count as
    zero. O(n^3) time a graph; if k is at most n / 8, in O(n k) memory: from 512 nodes on by
    block Lanczos from a fixed start, from 2000 on by `graphpe.eigsh` of A^T A.

    Args:
        graphs: The graphs, or a plan that shares their work.
        k: Number of triplets.

    Returns:
        The triplets, on the device of the graphs.

    Raises:
        GraphPEValueError: `k` < 1, or weights that are negative or not finite.
    """
    plan = Plan.of(graphs)
    packed = plan.graphs
    check_integer("k", k, least=1)
    check_weights(packed)
    matrix: Adjacency = plan.once(adjacency)
    ptr, sizes = packed.ptr.numpy(force=True), packed.sizes.numpy(force=True)
    small = np.flatnonzero((sizes > 0) & (sizes < _SQUARED_BELOW))
    left, values, right, unsure = _squared_triplets(matrix, ptr, k, small)
    for graph in np.union1d(unsure, np.flatnonzero(sizes >= _SQUARED_BELOW)).tolist():
        rows = slice(int(ptr[graph]), int(ptr[graph + 1]))
        block = _block(matrix, rows.start, int(sizes[graph]))
        few = _LEAST_ROWS_PER_VECTOR * k <= sizes[graph] >= _SQUARED_BELOW
        large = few and sizes[graph] >= _LARGE
        found = _large_triplets if large else _sparse_triplets if few else _dense_triplets
        left[rows], values[graph], right[rows] = found(block, k)
    parts = (torch.from_numpy(part).to(packed.device) for part in (left, right, values))
    return SingularTriplets(*parts)


def _squared_triplets(matrix: Adjacency, ptr: Ints, k: int, graphs: Ints) -> tuple[Floats, Floats, Floats, Ints]:
    """Triplets of small graphs by the eigenvectors v of A^T A, many at a time, and which graphs that is too coarse for.

    Squaring loses small singular values to rounding: what comes out below `_ZERO` of the largest is taken for zero,
    and a graph with one between `_ZERO` and `_COARSE` is named.
    """
    size = int(ptr[-1])
    # Each graph's weights are divided by its largest: squares neither overflow nor vanish.
    owner = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    scale = _largest(*matrix[::2], ptr)
    weight = matrix.weight / np.repeat(scale, np.diff(matrix.indptr[ptr]))
    sparse = csr_matrix((weight, matrix.indices, matrix.indptr), shape=(size, size))
    square = (sparse.T @ sparse).tocsr()
    square.sort_indices()
    row = np.repeat(np.arange(size), np.diff(square.indptr))
    none = KnownModes(np.zeros(size), np.zeros(size, np.int64), np.zeros(len(ptr) - 1, np.int64), np.ones(len(ptr) - 1))
    operator = Entries(row, square.indices.astype(np.int64), -square.data, np.zeros(size))
    right, negative, _ = interleaved_eigenpairs(operator, ptr, k, none, graphs)
    values = np.sqrt(np.maximum(-negative, 0))
    share = values / np.where(values[:, :1] > 0, values[:, :1], 1)
    kept = share > _ZERO
    unsure = np.flatnonzero((kept & (share < _COARSE)).any(axis=1))
    right *= kept[owner]
    left = sparse @ right / np.where(kept, values, 1)[owner]
    return left, values * kept * scale[:, None], right, unsure


@compiled
def _largest(indptr: Ints, weight: Floats, ptr: Ints) -> Floats:
    """The largest weight of each graph; 1 without edges."""
    out = np.ones(len(ptr) - 1)
    for b in range(len(ptr) - 1):
        first, last = indptr[ptr[b]], indptr[ptr[b + 1]]
        if last > first:
            out[b] = weight[first:last].max()
    return out


def _block(matrix: Adjacency, start: int, size: int) -> csr_matrix:
    begin, end = matrix.indptr[start], matrix.indptr[start + size]
    indptr = matrix.indptr[start : start + size + 1] - begin
    return csr_matrix((matrix.weight[begin:end], matrix.indices[begin:end] - start, indptr), shape=(size, size))


def _dense_triplets(block: csr_matrix, k: int) -> tuple[Floats, Floats, Floats]:
    size = block.shape[0]
    if size >= _LARGE:
        check_seconds(f"{k} singular vectors", size, _DENSE_SECONDS * size**3, 4 * 8.0 * size**2, "take a smaller k")
    with one_blas_thread():
        u, s, vt = np.linalg.svd(block.toarray())
    return _first(u, s, vt.T, k)


class _Gram:
    """A^T A as an operator for `graphpe.eigsh`: products only."""

    def __init__(self, block: csr_matrix) -> None:
        self.block, self.reverse = block, block.T.tocsr()
        self.shape = block.shape
        self.dtype, self.device = torch.float64, torch.device("cpu")

    def matmul(self, vectors: Tensor) -> Tensor:
        """A^T A times a block `[n, m]`."""
        return torch.from_numpy(self.reverse @ (self.block @ vectors.numpy()))


def _large_triplets(block: csr_matrix, k: int) -> tuple[Floats, Floats, Floats]:
    """The k largest triplets of a large graph by `graphpe.eigsh` of A^T A, which finds values however close they lie.

    A^T A is formed where it stays sparse, so that it can be factored; hubs fill it, but set their values apart.
    """
    size = block.shape[0]
    if block.nnz == 0:
        return np.zeros((size, k)), np.zeros(k), np.zeros((size, k))
    scale = block.data.max()
    block = block / scale
    products = int((np.diff(block.indptr).astype(np.float64) ** 2).sum())
    sparse = products <= _MOST_PRODUCTS * block.nnz
    gram = csr_tensor((block.T @ block).tocsr()) if sparse else _Gram(block)
    found = eigsh(gram, k, which="largest", tol=_SQUARE_TOLERANCE)
    v = found.vectors.numpy()
    s = np.sqrt(np.maximum(found.values.numpy(), 0))
    if s[-1] < _COARSE * s[0]:  # such squares are not told from rounding
        return _sparse_triplets(block * scale, k)
    return _first(block @ v / s, s * scale, v, k)


def _sparse_triplets(block: csr_matrix, k: int) -> tuple[Floats, Floats, Floats]:
    """The k largest triplets by block Lanczos on A^T A, restarted from its best vectors.

    Blocks of more than k vectors hold all copies of a repeated singular value that are wanted, which single vectors
    may miss. (ARPACK, besides, breaks down on matrices of low rank, such as a star's.) What does not converge, because
    many values lie close together or some are very small, is solved densely.
    """
    size, width = block.shape[0], k + _EXTRA_VECTORS
    if block.nnz == 0:
        return np.zeros((size, k)), np.zeros(k), np.zeros((size, k))
    scale = block.data.max()
    block = block / scale
    reverse = block.T.tocsr()
    basis = _extend(np.zeros((size, 0)), np.random.default_rng(size).standard_normal((size, width)))
    images = block @ basis
    newest = basis
    for _ in range(_MOST_CHECKS):
        for _ in range(_BLOCKS_A_CHECK):
            newest = _extend(basis, reverse @ (block @ newest))
            basis, images = np.hstack([basis, newest]), np.hstack([images, block @ newest])
        square, rotation = np.linalg.eigh(images.T @ images)
        s, rotation = np.sqrt(np.maximum(square[::-1], 0)), rotation[:, ::-1][:, :width]
        s[s <= _ZERO * s[0]] = 0  # rounding, where the rank is low
        v = basis @ rotation
        u = images @ rotation / np.where(s > 0, s, np.inf)[:width]
        residual = np.abs(reverse @ u[:, :k] - v[:, :k] * s[:k]).max()
        if residual <= _RESIDUAL * s[0]:
            return _first(u, s * scale, v, k)
        if basis.shape[1] > _MOST_WIDTHS * width:
            basis, images = v, block @ v
            newest = basis
    return _dense_triplets(block * scale, k)


def _extend(basis: Floats, block: Floats) -> Floats:
    """An orthonormal basis of what the block adds to the span of the basis."""
    for _ in range(2):  # once leaves rounding of the size of what is taken off
        block = block - basis @ (basis.T @ block)
        u, s, _ = np.linalg.svd(block, full_matrices=False)
        block = u[:, s > _NEGLIGIBLE * max(s.max(initial=0), _NEGLIGIBLE)]
    return block


def _first(u: Floats, s: Floats, v: Floats, k: int) -> tuple[Floats, Floats, Floats]:
    """The first k triplets, zero where there are fewer that are more than rounding."""
    found = int(np.count_nonzero(s[:k] > _ZERO * max(s[0], np.finfo(np.float64).tiny)))
    left, values, right = np.zeros((len(u), k)), np.zeros(k), np.zeros((len(v), k))
    left[:, :found], values[:found], right[:, :found] = u[:, :found], s[:found], v[:, :found]
    return left, values, right
