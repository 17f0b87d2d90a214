"""Diagonals of the powers of sparse matrices, diag(M^k): closed walks, by whichever way is quickest for each graph.

| how | cost a graph of n nodes and m entries, K powers |
|---|---|
| neighbourhoods (`graphpe.walks.local_walks`) | what walks of K/2 steps reach, summed over nodes: O(n) on meshes |
| dense blocks (`graphpe.walks.loops`) | O(K m n), some ten times quicker an entry: small graphs |
| dense blocks in registers (`graphpe.walks.block_walks`) | the same, some thirty times quicker an entry: hubs |
| random vectors, where they are asked for | O(K m) a vector, with an error (see `Estimate`) |

The choice depends on the graph alone. Graphs on which all of them take too long are refused (`graphpe.limits`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, kron
from scipy.sparse.csgraph import connected_components

from graphpe.limits import check_seconds
from graphpe.structure.adjacency import Adjacency, Floats, Ints
from graphpe.walks import block_walks, local_walks
from graphpe.walks import loops as walk_loops

# Entries of a block of columns: with up to two others it fills a small second-level cache.
_BLOCK_ENTRIES = 1 << 15
# Smaller graphs are quick whatever is done.
_LARGE = 256
_SAMPLED_ROWS, _MOST_SAMPLES, _MOST_SAMPLED = 32, 64, 1e7
# Measured on one core: an entry of a sparse vector, and of a dense block while its vectors are cached and beyond.
_SPARSE_SECONDS, _DENSE_SECONDS, _FAR_DENSE_SECONDS, _CACHED_NODES = 1e-8, 3e-10, 5e-10, 1 << 15
_FAR_SPARSE_SECONDS, _NODE_SECONDS, _FAR_SECONDS = 1.6e-8, 3e-8, 2e-9
_VECTORS_AT_ONCE = 16


class Estimate(NamedTuple):
    """How diagonals are estimated, on graphs where that is cheaper than to compute them.

    diag(M^(a+b)) is the mean of (M^a z) * ((M^b)^T z) over vectors z of random signs. What is known is not estimated:
    of symmetric M with a stationary vector, its part (and that of bipartite components) is added exactly; and the first
    powers are exact as far as that takes no longer. For symmetric M the standard error of an even power is at most
    sqrt(2 / vectors) times what is estimated, and of an odd power k at most sqrt(2 / vectors) times the mean of what is
    estimated of k - 1 and k + 1.

    Attributes:
        vectors: Number of random vectors.
        seed: Of the signs; a graph gets the same whatever the graphs beside it.
    """

    vectors: int
    seed: int


class Powers(NamedTuple):
    """Matrices of B graphs as one block-diagonal matrix M, and what is known of them.

    Attributes:
        matrix: M.
        reverse: M^T.
        symmetric: `[B]`: which graphs' matrices are symmetric.
        stationary: `[N]`: of graphs with symmetric M whose largest eigenvalue is 1, its eigenvector, up to a factor in
            each connected component; or None where it is not known.
    """

    matrix: Adjacency
    reverse: Adjacency
    symmetric: NDArray[np.bool_]
    stationary: Floats | None


def diagonal_powers(
    powers: Powers, ptr: Ints, count: int, what: str, estimate: Estimate | None = None, instead: str = ""
) -> Floats:
    """diag(M^k) of each graph, k = 1, ..., K: `[N, K]`.

    Args:
        powers: M.
        ptr: `[B + 1]`: graph b owns rows `ptr[b]` to `ptr[b + 1]`.
        count: K.
        what: What a message calls it.
        estimate: How to estimate where that is cheaper; None: always exact.
        instead: What a message says can be done where it takes too long.

    Raises:
        GraphPEValueError: It would take longer than `graphpe.limits` allow.
    """
    sizes = ptr[1:] - ptr[:-1]
    small = sizes < _LARGE
    large = [_Block(powers, ptr, graph) for graph in np.flatnonzero(~small).tolist()]
    chosen = [_chosen(block, count, what, estimate, instead) for block in large]
    out = np.zeros((int(ptr[-1]), count))  # only now: what is refused may not fit
    for block, compute in chosen:
        compute(out[block.first : block.first + block.size])
    if small.any():
        graphs = np.flatnonzero(small)
        walk_loops.returns(ptr, *powers.matrix, *powers.reverse, powers.symmetric, graphs, _BLOCK_ENTRIES, out)
    return out


def _chosen(
    block: _Block, count: int, what: str, estimate: Estimate | None, instead: str
) -> tuple[_Block, Callable[[Floats], None]]:
    """How the diagonals of a large graph are computed, after the limits were looked at."""
    if estimate is not None and (known := block.affordable(count, estimate)) < count:
        check_seconds(what, block.size, block.estimate_seconds(count, estimate), block.memory(count))

        def estimated(rows: Floats) -> None:
            rows[:] = _estimated(block, count, estimate)
            if known:
                rows[:, :known] = block.exact(known, local_walks.local_returns)

        return block, estimated
    nearby, blocks = block.local_seconds(count), block.dense_seconds(count)
    check_seconds(what, block.size, min(nearby, blocks), block.memory(count), instead)
    how = local_walks.local_returns if nearby < blocks else block_walks.block_returns

    def exact(rows: Floats) -> None:
        rows[:] = block.exact(count, how)

    return block, exact


def returns_of_small_graph(
    edges: Ints, value: Floats, weighted: bool, size: int, both: bool, count: int
) -> Floats | None:
    """diag(P^k) of the steps P of one graph from its edges, in one compiled call; None for larger graphs.

    Args:
        edges: `[2, E]`.
        value: `[E]`: their weights, if they are `weighted`.
        weighted: Whether they are.
        size: Nodes.
        both: Whether every edge is walked both ways.
        count: Steps.
    """
    if size >= _LARGE:
        return None
    return walk_loops.returns_of_edges(edges, value, weighted, size, both, _BLOCK_ENTRIES, count)


def exact_seconds(powers: Powers, ptr: Ints, count: int, graph: int) -> float:
    """About what the exact diagonals of a graph take.

    Args:
        powers: The matrix, its transpose, and which graphs are symmetric.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        count: Number K of powers.
        graph: Number of the graph.
    """
    block = _Block(powers, ptr, graph)
    return min(block.local_seconds(count), block.dense_seconds(count))


class _Block:
    """The matrix of one graph, and what its diagonal takes."""

    def __init__(self, powers: Powers, ptr: Ints, graph: int) -> None:
        self.powers = powers
        self.first, self.size = int(ptr[graph]), int(ptr[graph + 1] - ptr[graph])
        self.symmetric = bool(powers.symmetric[graph])
        bounds = powers.matrix.indptr[self.first], powers.matrix.indptr[self.first + self.size]
        self.entries = int(bounds[1] - bounds[0])

    def products(self, count: int) -> int:
        """Vectors that are multiplied for each column."""
        return (count + 1) // 2 if self.symmetric else count

    def work(self, count: int) -> float:
        """Entries of sparse vectors, estimated from some of them."""
        samples = max(1, min(_MOST_SAMPLES, self.size // _SAMPLED_ROWS))
        matrix, reverse = self.powers.matrix, self.powers.reverse
        arrays = matrix.indptr, matrix.indices, reverse.indptr, reverse.indices
        return local_walks.work(self.first, self.size, *arrays, self.symmetric, count, samples, _MOST_SAMPLED)

    def local_seconds(self, count: int) -> float:
        """Time of neighbourhoods."""
        each = _SPARSE_SECONDS if self.size <= _CACHED_NODES else _FAR_SPARSE_SECONDS
        return each * self.work(count) + _NODE_SECONDS * count * self.size

    def dense_seconds(self, count: int) -> float:
        """Time of dense blocks; the first product is a copy."""
        each = _DENSE_SECONDS if self.size <= _CACHED_NODES else _FAR_DENSE_SECONDS
        return each * float(self.size) * (self.entries + self.size) * max(self.products(count) - 1, 1)

    def estimate_seconds(self, count: int, estimate: Estimate) -> float:
        """Time of random vectors."""
        return _FAR_SECONDS * estimate.vectors * (self.products(count) * self.entries + count * self.size)

    def affordable(self, count: int, estimate: Estimate) -> int:
        """How many of the first powers take no longer exactly than estimated."""
        known = 0
        while known < count and self.work(known + 1) * _SPARSE_SECONDS <= self.estimate_seconds(known + 1, estimate):
            known += 1
        return known

    def memory(self, count: int) -> float:
        """Bytes that are held beside the graph."""
        return 8.0 * self.size * (count + 3 * block_walks.LANES)

    def exact(self, count: int, returns: Callable[..., None]) -> Floats:
        """The diagonals from neighbourhoods, or from dense blocks."""
        matrix, reverse = self.powers.matrix, self.powers.reverse
        out = np.zeros((self.size, count))
        returns(self.first, self.size, *matrix, *reverse, self.symmetric, out)
        return out

    def sparse(self, matrix: Adjacency) -> csr_array:
        """The graph's own part of a matrix."""
        indptr = matrix.indptr[self.first : self.first + self.size + 1]
        entries = slice(indptr[0], indptr[-1])
        parts = matrix.weight[entries], matrix.indices[entries] - self.first, indptr - indptr[0]
        return csr_array(parts, shape=(self.size, self.size))


def _estimated(block: _Block, count: int, estimate: Estimate) -> Floats:
    """The diagonals from random vectors; see `Estimate`."""
    matrix = block.sparse(block.powers.matrix)
    reverse = matrix if block.symmetric else block.sparse(block.powers.reverse)
    out = np.zeros((block.size, count))
    project: Callable[[Floats], Floats] | None = None
    even = np.zeros(block.size, dtype=bool)
    if block.symmetric and block.powers.stationary is not None:
        known = block.powers.stationary[block.first : block.first + block.size]
        project, share, even = _stationary(matrix, known)
        power = np.arange(1, count + 1)
        out += share[:, None] * np.where(even[:, None], 1 + (-1.0) ** power, 1.0)
    random = np.random.default_rng(estimate.seed)
    for start in range(0, estimate.vectors, _VECTORS_AT_ONCE):
        width = min(_VECTORS_AT_ONCE, estimate.vectors - start)
        signs = np.where(random.integers(0, 2, (block.size, width)) == 0, -1.0, 1.0)
        ahead = signs if project is None else project(signs)
        behind = ahead
        for step in range(1, count + 1):
            if step % 2:
                ahead = matrix @ ahead
            else:
                behind = ahead if block.symmetric else reverse @ behind
            out[:, step - 1] += np.einsum("ij,ij->i", ahead, behind) / estimate.vectors
    out[even, ::2] = 0.0  # no walk of an odd number of steps returns
    return np.maximum(out, 0.0)


def _stationary(matrix: csr_array, vector: Floats) -> tuple[Callable[[Floats], Floats], Floats, NDArray[np.bool_]]:
    """Of eigenvalues 1 and -1: what takes their vectors out of a block, their squares, and which nodes have -1."""
    size = len(vector)
    label = connected_components(matrix, directed=False)[1]
    # A component is bipartite where two copies of it, each edge leading from one to the other, fall apart.
    double = connected_components(kron(np.array([[0, 1], [1, 0]]), matrix, format="csr"), directed=False)[1]
    even = (double[:size] != double[size:]) & (vector > 0)
    unit = vector / np.sqrt(np.maximum(np.bincount(label, vector**2), np.finfo(np.float64).tiny))[label]
    sign = np.where(even, np.where(double[:size] < double[size:], 1.0, -1.0), 0.0) * unit
    members = csr_array((np.ones(size), (label, np.arange(size))), shape=(label.max() + 1, size))

    def project(block: Floats) -> Floats:
        for mode in (unit, sign):
            block = block - mode[:, None] * (members @ (mode[:, None] * block))[label]
        return block

    return project, unit**2, even
