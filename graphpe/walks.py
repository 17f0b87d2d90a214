"""Random walks: probabilities of returning after a number of steps."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags_array
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.laplacian import Floats, Ints, check_edge_weight
from graphpe.packed import PackedGraphs
from graphpe.threads import one_blas_thread

# Entries of a strip (see `_strip_returns`): 2 MiB of float64, so that a strip and the next one stay in cache.
_STRIP_ENTRIES = 1 << 18

# Up to here dense matrices are quicker than sparse ones, whose calls cost some 10 us each.
_DENSE_NODES = 128


class _Factors(NamedTuple):
    """Matrices L, R with diag(P^(a+b))_i = sum_j (L^a)_ij (R^b)_ij; the same object where one serves for both."""

    left: csr_matrix
    right: csr_matrix


def return_probabilities(graphs: PackedGraphs, walk_length: int, undirected: bool = False) -> Tensor:
    """The probability that a random walk from each node is back after 1, ..., K steps: diag(P^k).

    P_uv = A_uv / sum_w A_uw, with A the weights of the edges u -> v. The meaning of edges is that of
    `graphpe.laplacian`: parallel edges count once without weights and add with them, self-loops are steps that stay,
    weight 0 is no edge. Directed edges are walked in their direction only. A node that edges enter and none leaves is
    absorbing: P_uu = 1. An isolated node has no walk: its probabilities are 0, as in PyG.

    diag(P^(a+b)) needs the powers a and b only, so that K steps cost K/2 products with the sparse P on blocks of
    columns: O(K |E_b| n_b) time per graph and O(N + 2^18) memory, on the CPU in float64.

    Args:
        graphs: The graphs.
        walk_length: K.
        undirected: Walk every edge both ways: A becomes max(A, A^T), as for `laplacian`.

    Returns:
        `[N, K]` float64, on the device of the graphs.

    Raises:
        GraphPEValueError: `walk_length` < 1, or weights that are negative or not finite.

    References:
        Dwivedi, Luu, Laurent, Bengio, Bresson: Graph Neural Networks with Learnable Structural and Positional
        Representations. ICLR 2022, equation 11.
    """
    if walk_length < 1:
        raise GraphPEValueError(f"walk_length must be at least 1, got {walk_length}")
    check_edge_weight(graphs.edge_weight, graphs.num_edges)
    if graphs.num_nodes <= _DENSE_NODES and walk_length <= _DENSE_NODES:
        with one_blas_thread():
            returns = _dense_returns(*_dense_factors(graphs, undirected), walk_length)
        return torch.from_numpy(returns).to(graphs.device)
    place, ordered = _by_size(graphs)
    factors = _factors(ordered, undirected)
    ptr = ordered.ptr.numpy(force=True)
    out = np.zeros((graphs.num_nodes, walk_length))
    for first, last in _strips(np.diff(ptr)):
        out[place[ptr[first] : ptr[last]]] = _strip_returns(factors, ptr[first : last + 1], walk_length)
    return torch.from_numpy(out).to(graphs.device)


def _by_size(graphs: PackedGraphs) -> tuple[Ints, PackedGraphs]:
    """The graphs by size, so that those that share a strip are about equally wide, and where each node stood before."""
    place = torch.arange(graphs.num_nodes, device=graphs.device)
    if graphs.num_graphs > 1:
        order = torch.argsort(graphs.sizes, stable=True)
        graphs = graphs.structure().with_values(node={"place": place}).select(order)
        place = graphs.node["place"]
    return place.numpy(force=True), graphs


def _factors(graphs: PackedGraphs, undirected: bool) -> _Factors:
    """P and P^T; or, where A is symmetric, D^-1/2 A D^-1/2, whose powers have the same diagonals."""
    edge_index, weight = _edges(graphs)
    value = np.ones(edge_index.shape[1]) if weight is None else weight
    adjacency = csr_matrix((value, tuple(edge_index)), shape=(graphs.num_nodes, graphs.num_nodes))
    adjacency.sum_duplicates()
    if weight is None:
        adjacency.data[:] = 1.0
    adjacency.eliminate_zeros()
    reverse = adjacency.T.tocsr()
    if undirected:
        adjacency = reverse = adjacency.maximum(reverse)
    row = np.repeat(np.arange(graphs.num_nodes), np.diff(adjacency.indptr))
    leaving = np.bincount(row, adjacency.data, graphs.num_nodes)
    divisor = np.where(leaving > 0, leaving, 1.0)
    if adjacency is reverse or _equal(adjacency, reverse):
        scale = 1.0 / np.sqrt(divisor)
        adjacency.data = adjacency.data * scale[row] * scale[adjacency.indices]
        return _Factors(adjacency, adjacency)
    adjacency.data = adjacency.data / divisor[row]
    sink = (leaving == 0) & (np.diff(reverse.indptr) > 0)
    step = (adjacency + diags_array(sink.astype(np.float64))).tocsr()
    return _Factors(step, step.T.tocsr())


def _equal(a: csr_matrix, b: csr_matrix) -> bool:
    """Whether two matrices in canonical format are the same."""
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in ("indptr", "indices", "data"))


def _strips(sizes: Ints) -> list[tuple[int, int]]:
    """Runs (first, last) of graphs that make up about `_STRIP_ENTRIES` entries, or one graph, each."""
    if len(sizes) == 1:
        return [(0, 1)]
    total = np.cumsum(sizes**2)
    number = total // _STRIP_ENTRIES
    cuts = np.flatnonzero(np.diff(number, prepend=-1, append=np.iinfo(np.int64).max)).tolist()
    return list(pairwise(cuts))


def _strip_returns(factors: _Factors, ptr: Ints, walk_length: int) -> Floats:
    """diag(P^k), k = 1..K, of neighbouring graphs: `[rows, K]`.

    The powers stand in strips `[rows, width]`: entry (i, j) of a strip is (P^a)_i,j with j counted from the first
    node of the graph of i. Columns go in blocks, over which the sums run.
    """
    start, stop = int(ptr[0]), int(ptr[-1])
    rows = stop - start
    left, right = factors
    if rows < left.shape[0]:
        left, right = (factor[start:stop, start:stop] for factor in factors)
    mirrored = factors.left is factors.right
    column = np.arange(rows) - np.repeat(ptr[:-1] - start, np.diff(ptr))
    width = int(column.max(initial=-1)) + 1
    block = max(1, width if rows * width <= 2 * _STRIP_ENTRIES else _STRIP_ENTRIES // rows)
    out = np.zeros((rows, walk_length))
    out[:, 0] = left.diagonal()
    for begin in range(0, width if walk_length > 1 else 0, block):
        inside = np.flatnonzero((column >= begin) & (column < begin + block))
        identity = np.zeros((rows, min(block, width - begin)))
        identity[inside, column[inside] - begin] = 1.0
        ahead = left @ identity  # L^a
        behind = ahead if mirrored else right @ identity  # R^a
        for steps in range(2, walk_length + 1):
            if steps % 2:
                ahead = left @ ahead
            out[:, steps - 1] += np.einsum("ij,ij->i", ahead, behind)
            if steps % 2:
                behind = ahead if mirrored else right @ behind
    return out


def _dense_factors(graphs: PackedGraphs, undirected: bool) -> tuple[Floats, Floats]:
    """What `_factors` returns, as dense matrices: on a few nodes they are quicker than the calls of sparse ones."""
    edge_index, weight = _edges(graphs)
    adjacency = np.zeros((graphs.num_nodes, graphs.num_nodes))
    if weight is None:
        adjacency[tuple(edge_index)] = 1.0
    else:
        np.add.at(adjacency, tuple(edge_index), weight)
    if undirected:
        adjacency = np.maximum(adjacency, adjacency.T)
    leaving = adjacency.sum(axis=1)
    divisor = np.where(leaving > 0, leaving, 1.0)
    if undirected or np.array_equal(adjacency, adjacency.T):
        scale = 1.0 / np.sqrt(divisor)
        symmetric = adjacency * scale[:, None] * scale
        return symmetric, symmetric
    step = adjacency / divisor[:, None]
    sink = np.flatnonzero((leaving == 0) & (adjacency.sum(axis=0) > 0))
    step[sink, sink] = 1.0
    return step, np.ascontiguousarray(step.T)


def _dense_returns(left: Floats, right: Floats, walk_length: int) -> Floats:
    """diag(P^k), k = 1..K, from all powers up to K/2 at once: `[n, K]`."""
    ahead = _powers(left, (walk_length + 1) // 2)
    behind = ahead if left is right else _powers(right, (walk_length + 1) // 2)
    out = np.empty((len(left), walk_length))
    out[:, 0] = left.diagonal()
    count = walk_length // 2
    out[:, 1::2] = np.einsum("aij,aij->ia", ahead[:count], behind[:count])
    out[:, 2::2] = np.einsum("aij,aij->ia", ahead[1:], behind[:-1])
    return out


def _powers(matrix: Floats, count: int) -> Floats:
    """matrix^1, ..., matrix^count: `[count, n, n]`."""
    out = np.empty((count, *matrix.shape))
    out[0] = matrix
    for a in range(1, count):
        np.matmul(matrix, out[a - 1], out=out[a])
    return out


def _edges(graphs: PackedGraphs) -> tuple[Ints, Floats | None]:
    weight = None if graphs.edge_weight is None else graphs.edge_weight.double().numpy(force=True)
    return graphs.edge_index.numpy(force=True), weight
