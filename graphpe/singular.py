"""Singular vectors of the adjacency matrices of many graphs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from graphpe.adjacency import Adjacency, Floats, Ints, adjacency
from graphpe.compiled import compiled
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.laplacian import check_edge_weight
from graphpe.packed import PackedGraphs
from graphpe.plan import Plan
from graphpe.threads import one_blas_thread

# From this size on, the k largest singular triplets by Lanczos are cheaper than all of them (k = 8: 0.3 s at 500).
_SPARSE_FROM = 500
_LEAST_ROWS_PER_VECTOR = 8
_DENSE_TO = 2048
# A singular value below this share of the largest is rounding: its vectors are left out.
_NEGLIGIBLE = 1e-10
_RESIDUAL = 1e-11
_EXTRA_VECTORS = 8
_MOST_WIDTHS = 12
_MOST_BLOCKS = 2000
# 32 MiB of float64 dense at a time.
_STACK_ENTRIES = 1 << 22


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
    free, and so is the basis within a repeated singular value. Dense, O(n^3) time and O(n^2) memory a graph; from 500
    nodes on by block Lanczos from a fixed start, O(n k) memory, if k is at most n / 8.

    Args:
        graphs: The graphs, or a plan that shares their work.
        k: Number of triplets.

    Returns:
        The triplets, on the device of the graphs.

    Raises:
        GraphPEValueError: `k` < 1, or weights that are negative or not finite.
        GraphPERuntimeError: Lanczos did not converge.
    """
    plan = Plan.of(graphs)
    packed = plan.graphs
    if k < 1:
        raise GraphPEValueError(f"k must be at least 1, got {k}")
    check_edge_weight(packed.edge_weight, packed.num_edges)
    matrix: Adjacency = plan.once(adjacency)
    left, right = np.zeros((2, packed.num_nodes, k))
    values = np.zeros((packed.num_graphs, k))
    for ids in packed.buckets(ratio=1.0, max_pairs=_STACK_ENTRIES):
        size = int(packed.sizes[ids[0]])
        if size == 0:
            continue
        first = packed.ptr[ids].numpy(force=True)
        if (size >= _SPARSE_FROM and size >= _LEAST_ROWS_PER_VECTOR * k) or size > _DENSE_TO:
            found = [_sparse_triplets(_block(matrix, start, size), k) for start in first.tolist()]
            u, s, v = (np.stack(part) for part in zip(*found, strict=True))
        else:
            u, s, v = _dense_triplets(_dense_blocks(*matrix, first, size), k)
        rows, count = (first[:, None] + np.arange(size)).ravel(), u.shape[2]
        left[rows, :count], right[rows, :count] = u.reshape(-1, count), v.reshape(-1, count)
        values[ids.numpy(force=True), :count] = s
    parts = (torch.from_numpy(part).to(packed.device) for part in (left, right, values))
    return SingularTriplets(*parts)


@compiled
def _dense_blocks(indptr: Ints, indices: Ints, weight: Floats, first: Ints, size: int) -> Floats:
    """The diagonal blocks `[G, size, size]` of graphs of one size."""
    dense = np.zeros((len(first), size, size))
    for g in range(len(first)):
        for u in range(size):
            for e in range(indptr[first[g] + u], indptr[first[g] + u + 1]):
                dense[g, u, indices[e] - first[g]] = weight[e]
    return dense


def _block(matrix: Adjacency, start: int, size: int) -> csr_matrix:
    begin, end = matrix.indptr[start], matrix.indptr[start + size]
    indptr = matrix.indptr[start : start + size + 1] - begin
    return csr_matrix((matrix.weight[begin:end], matrix.indices[begin:end] - start, indptr), shape=(size, size))


def _dense_triplets(dense: Floats, k: int) -> tuple[Floats, Floats, Floats]:
    with one_blas_thread():
        u, s, vt = np.linalg.svd(dense)
    count = min(k, dense.shape[1])
    return _without_rounding(u[:, :, :count], s[:, :count], vt[:, :count].transpose(0, 2, 1))


def _sparse_triplets(block: csr_matrix, k: int) -> tuple[Floats, Floats, Floats]:
    """The k largest triplets by block Lanczos on A^T A, restarted from its best vectors.

    Blocks of more than k vectors hold all copies of a repeated singular value that are wanted, which single vectors
    may miss. (ARPACK, besides, breaks down on matrices of low rank, such as a star's.)
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
    for _ in range(_MOST_BLOCKS):
        u, s, rotation = np.linalg.svd(images, full_matrices=False)
        v = basis @ rotation.T
        residual = np.abs(reverse @ u[:, :k] - v[:, :k] * s[:k]).max()
        if residual <= _RESIDUAL * s[0]:
            u, s, v = (part[0] for part in _without_rounding(u[None, :, :k], s[None, :k], v[None, :, :k]))
            return u, s * scale, v
        if basis.shape[1] > _MOST_WIDTHS * width:
            basis, images = v[:, :width], u[:, :width] * s[:width]
            newest = basis
        newest = _extend(basis, reverse @ (block @ newest))
        basis, images = np.hstack([basis, newest]), np.hstack([images, block @ newest])
    raise GraphPERuntimeError(f"singular vectors of a graph of {size} nodes did not converge: ask for other k than {k}")


def _extend(basis: Floats, block: Floats) -> Floats:
    """An orthonormal basis of what the block adds to the span of the basis."""
    for _ in range(2):  # once leaves rounding of the size of what is taken off
        block = block - basis @ (basis.T @ block)
        u, s, _ = np.linalg.svd(block, full_matrices=False)
        block = u[:, s > _NEGLIGIBLE * max(s.max(initial=0), _NEGLIGIBLE)]
    return block


def _without_rounding(u: Floats, s: Floats, v: Floats) -> tuple[Floats, Floats, Floats]:
    kept = s > _NEGLIGIBLE * s[:, :1]
    return u * kept[:, None], s * kept, v * kept[:, None]
