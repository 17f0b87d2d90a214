"""Laplacian and Magnetic-Laplacian operators of weighted, directed multigraphs with self-loops.

What a graph means is settled once, in `symmetric_pairs`, for every operator here and every encoding built on them:

* **Weights** are non-negative magnitudes; an edge of weight 0 is no edge. Directions come from the edges, never from
  weights.
* **Parallel edges** (same tail, same head) count once without `edge_weight`; with it, their weights add. To count
  multiplicities, pass ones as weights.
* **Directed edges** are symmetrised by S_uv = max(A_uv, A_vu); without weights that is "A or A^T". A list that holds
  both directions of every undirected edge, as in PyG, gives S = A.
* **Self-loops** are kept: a loop adds its weight once to the degree and stands on the diagonal of S (a walk that
  stays). Hence it cancels in `"comb"` and counts in `"sym"` and `"rw"`.
* **Isolated nodes** have an empty row in every normalization, so that each is one zero eigenvalue.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from torch import Tensor

from graphpe.arguments import check_choice, check_integer, check_number
from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.checks import check_integers
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency, Floats, Ints, from_edges, transpose, union

Normalization = Literal["comb", "sym", "rw"]
_KNOWN = get_args(Normalization)

Magnetic = Literal["pairs", "edges"]
"""What a phase belongs to in a Magnetic Laplacian: a pair of nodes (Geisler et al.), or an edge (Huang et al.)."""

# Of weights that are not 0: sums of them, their inverses and sums of these are finite.
_LEAST, _MOST = 1e-300, 1e300


class SymmetricPairs(NamedTuple):
    """The symmetrised graph: one entry per ordered pair of nodes that an edge joins, sorted by (row, col).

    It is held in NumPy arrays, whose calls cost a third of torch's on one small graph.

    Attributes:
        row: `[P]`.
        col: `[P]`; every (u, v) comes with its (v, u).
        weight: `[P]` positive: S of the module's text.
        direction: `[P]`: 1 where only row -> col is an edge, -1 where only col -> row is, 0 where both are.
    """

    row: Ints
    col: Ints
    weight: Floats
    direction: Ints


class Entries(NamedTuple):
    """A square operator: `value` at (row, col), sorted by row and col, plus the diagonal `[num_nodes]`, added up."""

    row: Ints
    col: Ints
    value: NDArray[Any]
    diagonal: NDArray[Any]


def laplacian(
    edge_index: Tensor,
    num_nodes: int,
    edge_weight: Tensor | None = None,
    normalization: Normalization = "sym",
) -> Tensor:
    """Laplacian of the symmetrised graph as a sparse matrix.

    With S the symmetrised weights (see the module's text) and D the diagonal of its row sums:

        "comb": L = D - S      "sym": L = I - D^-1/2 S D^-1/2      "rw": L = I - D^-1 S

    where a row of an isolated node is empty. "comb" and "sym" are symmetric and positive semi-definite; the eigenvalues
    of "sym" and "rw" lie in [0, 2]. O(E log E).

    Args:
        edge_index: `[2, E]` integers; (u, v) is the edge u -> v.
        num_nodes: Number of nodes, n.
        edge_weight: `[E]` finite, non-negative; None for an unweighted graph.
        normalization: `"comb"`, `"sym"` or `"rw"`.

    Returns:
        `[n, n]` torch CSR tensor, float64, on the device of `edge_index`.

    Raises:
        GraphPETypeError: `edge_index` is no tensor of integers or `num_nodes` no integer.
        GraphPEValueError: A shape, node id, weight or normalization is not one that is accepted.
    """
    check_normalization(normalization)
    check_edges(edge_index, num_nodes, edge_weight)
    pairs = symmetric_pairs(edge_index, num_nodes, edge_weight)
    entries = laplacian_entries(pairs, degrees(pairs, num_nodes), normalization)
    return _to_csr(entries, edge_index.device)


def magnetic_laplacian(
    edge_index: Tensor,
    num_nodes: int,
    q: float,
    edge_weight: Tensor | None = None,
    normalization: Normalization = "sym",
    relative_q: bool = False,
    phases: Magnetic = "pairs",
) -> Tensor:
    """Magnetic Laplacian of a directed graph as a sparse matrix; follows Geisler et al. 2023, or Huang et al. 2025.

    With S and D as in `laplacian` and Theta_uv = 2 pi q where only u -> v is an edge, -2 pi q where only v -> u is, 0
    where both are:

        H = S * exp(i Theta) entrywise
        "comb": L = D - H      "sym": L = I - D^-1/2 H D^-1/2      "rw": L = I - D^-1 H

    with empty rows for isolated nodes. "comb" and "sym" are Hermitian and positive semi-definite. Reversing all edges
    conjugates L; q and q + 1 give the same L; q = 0 gives `laplacian`. Weights scale magnitudes only, never phases.

    Differs from the paper's code: isolated nodes have eigenvalue 0 (there, "sym" gives 1), and weights are supported.

    With `phases="edges"`, the definition of Huang et al. for several potentials: every edge u -> v adds A_uv exp(2 pi i
    q) to H_uv and its conjugate to H_vu, so that

        H_uv = A_uv exp(2 pi i q) + A_vu exp(-2 pi i q),      d_u = sum_v A_uv + A_vu

    and a reciprocal pair has 2 cos(2 pi q) instead of 1; self-loops are left out; and an isolated node has 1 on the
    diagonal of "sym" and "rw". As in their code, apart from parallel edges, which count as everywhere here (there,
    they add). On graphs without reciprocal pairs, loops and isolated nodes both definitions agree.

    Args:
        edge_index: `[2, E]` integers; (u, v) is the edge u -> v.
        num_nodes: Number of nodes, n.
        q: Potential: the phase of an edge in turns.
        edge_weight: `[E]` finite, non-negative; None for an unweighted graph.
        normalization: `"comb"`, `"sym"` or `"rw"`.
        relative_q: Divide `q` by max(min(m, n), 1), with m the number of node pairs joined in one direction only, so
            that no path turns the phase by more than 2 pi q.
        phases: `"pairs"` or `"edges"`.

    Returns:
        `[n, n]` torch CSR tensor, complex128, on the device of `edge_index`.

    Raises:
        GraphPETypeError: `edge_index` is no tensor of integers or `num_nodes` no integer.
        GraphPEValueError: A shape, node id, weight, normalization, `phases` or `q` is not one that is accepted.

    References:
        Geisler, Li, Mankowitz, Cemgil, Günnemann, Paduraru: Transformers Meet Directed Graphs. ICML 2023, section 4.
        Huang, Wang, Li: What Are Good Positional Encodings for Directed Graphs? ICLR 2025.
    """
    check_normalization(normalization)
    check_phases(phases)
    check_edges(edge_index, num_nodes, edge_weight)
    q = check_number("q", q)
    matrix = _adjacency(edge_index, num_nodes, edge_weight)
    if phases == "edges":
        pairs, balance = pair_up_edges(matrix, transpose(matrix))
    else:
        pairs = pair_up(matrix, transpose(matrix))
    entries = laplacian_entries(pairs, degrees(pairs, num_nodes), normalization)
    potential = np.full(len(pairs.row), float(q))
    if relative_q:
        owner = np.zeros_like(pairs.row)
        potential = relative_potential(pairs, owner, np.array([num_nodes]), q)[owner]
    if phases == "edges":
        return _to_csr(edge_phase_entries(entries, balance, potential, normalization), edge_index.device)
    return _to_csr(magnetic_entries(entries, pairs, potential), edge_index.device)


def symmetric_pairs(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None) -> SymmetricPairs:
    """The symmetrised graph S with the direction of each pair; the meaning of edges is the module's text.

    Trusts its arguments (see `check_edges`). O(N + E).

    Args:
        edge_index: Edges (tail, head), `[2, E]`.
        num_nodes: Number N of nodes.
        edge_weight: Weights of the edges, `[E]`; None for 1.
    """
    ahead = _adjacency(edge_index, num_nodes, edge_weight)
    return pair_up(ahead, transpose(ahead))


def _adjacency(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None) -> Adjacency:
    tail, head = edge_index.numpy(force=True).astype(np.int64, copy=False)
    weight = None if edge_weight is None else edge_weight.double().numpy(force=True)
    return from_edges(tail, head, weight, num_nodes)


def pair_up(matrix: Adjacency, reverse: Adjacency) -> SymmetricPairs:
    """The symmetrised graph of an adjacency matrix and its transpose.

    Args:
        matrix: The adjacency matrix A.
        reverse: Its transpose.
    """
    return SymmetricPairs(*pair_up_entries(*matrix, *reverse))


@compiled
def pair_up_entries(
    indptr: Ints, indices: Ints, weight: Floats, back_ptr: Ints, back_indices: Ints, back_weight: Floats
) -> tuple[Ints, Ints, Floats, Ints]:
    """Rows, columns, weights and directions of the symmetrised graph.

    Args:
        indptr: Row pointers of A, `[N + 1]`.
        indices: Columns of its entries, ascending in each row, `[M]`.
        weight: Their weights, `[M]`.
        back_ptr: Row pointers of A^T, `[N + 1]`.
        back_indices: Columns of its entries, ascending in each row, `[M]`.
        back_weight: Their weights, `[M]`.
    """
    row_ptr, col, ahead, behind = union(indptr, indices, weight, back_ptr, back_indices, back_weight)
    row, direction = np.empty(len(col), np.int64), np.empty(len(col), np.int64)
    for u in range(len(row_ptr) - 1):
        for e in range(row_ptr[u], row_ptr[u + 1]):
            row[e] = u
            direction[e] = int(ahead[e] > 0.0) - int(behind[e] > 0.0)
            ahead[e] = max(ahead[e], behind[e])
    return row, col, ahead, direction


def pair_up_edges(matrix: Adjacency, reverse: Adjacency) -> tuple[SymmetricPairs, Floats]:
    """The pairs for `phases="edges"`: weights A_uv + A_vu, no self-loops; and (A_uv - A_vu) / (A_uv + A_vu), `[P]`.

    Args:
        matrix: The adjacency matrix A.
        reverse: Its transpose.
    """
    indptr, col, ahead, behind = union(*matrix, *reverse)
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    kept = row != col
    row, col, ahead, behind = row[kept], col[kept], ahead[kept], behind[kept]
    total = ahead + behind
    direction = (ahead > 0).astype(np.int64) - (behind > 0)
    return SymmetricPairs(row, col, total, direction), (ahead - behind) / total


def degrees(pairs: SymmetricPairs, num_nodes: int) -> Floats:
    """Row sums of S, `[num_nodes]`; 0 for isolated nodes.

    Args:
        pairs: The symmetrised graph S, each pair in both directions.
        num_nodes: Number N of nodes, over all graphs.
    """
    # Without edges NumPy counts in integers.
    return np.bincount(pairs.row, pairs.weight, num_nodes).astype(np.float64, copy=False)


def inverse_sqrt_degrees(degree: Floats) -> Floats:
    """D^-1/2 `[num_nodes]`, with 1 for isolated nodes.

    Args:
        degree: Row sums of S, `[N]`, at least 0.
    """
    return 1.0 / np.sqrt(np.where(degree > 0, degree, 1.0))


def laplacian_entries(pairs: SymmetricPairs, degree: Floats, normalization: Normalization) -> Entries:
    """Entries of the Laplacian of the symmetrised graph, float64.

    Args:
        pairs: The symmetrised graph S, each pair in both directions.
        degree: Its row sums, `[N]`.
        normalization: `sym`, `rw` or `comb`, as in `laplacian`.
    """
    row, col, weight, _ = pairs
    if normalization == "comb":
        return Entries(row, col, -weight, degree)
    return Entries(row, col, *normalised(row, col, weight, degree, normalization == "sym"))


@compiled
def normalised(row: Ints, col: Ints, weight: Floats, degree: Floats, symmetric: bool) -> tuple[Floats, Floats]:
    """The entries off the diagonal and on it: -D^-1/2 S D^-1/2 or -D^-1 S, and 1 where there is an edge.

    Args:
        row: Row of each entry, `[P]`.
        col: Column of each entry, `[P]`.
        weight: Weight of each entry, `[P]`.
        degree: Row sums of S, `[N]`.
        symmetric: True for D^-1/2 S D^-1/2, False for D^-1 S.
    """
    inverse, diagonal, value = np.ones(len(degree)), np.zeros(len(degree)), np.empty(len(weight))
    for u in range(len(degree)):
        if degree[u] > 0:
            inverse[u] = 1.0 / np.sqrt(degree[u])
            diagonal[u] = 1.0
    for e in range(len(weight)):
        if symmetric:
            value[e] = -(weight[e] * inverse[row[e]] * inverse[col[e]])
        else:
            value[e] = -(weight[e] / degree[row[e]])
    return value, diagonal


def magnetic_entries(entries: Entries, pairs: SymmetricPairs, potential: Floats) -> Entries:
    """The entries with phase exp(2 pi i q direction), complex128; `potential` is the q of each entry `[P]`.

    Args:
        entries: Entries of the Laplacian.
        pairs: The symmetrised graph S, each pair in both directions, in the same order.
        potential: q of each entry, in turns, `[P]`.
    """
    phase = turn(potential * pairs.direction)
    return Entries(entries.row, entries.col, entries.value * phase, entries.diagonal.astype(np.complex128))


def edge_phase_entries(entries: Entries, balance: Floats, potential: Floats, normalization: Normalization) -> Entries:
    """The entries with a phase for each edge, complex128; `balance` is that of `pair_up_edges`.

    Args:
        entries: Entries of the Laplacian.
        balance: (A_uv - A_vu) / (A_uv + A_vu) of each entry, `[P]`.
        potential: q of each entry, in turns, `[P]`.
        normalization: `sym`, `rw` or `comb`.
    """
    phase = turn(potential)
    diagonal = entries.diagonal if normalization == "comb" else np.ones_like(entries.diagonal)
    value = entries.value * (phase.real + 1j * balance * phase.imag)
    return Entries(entries.row, entries.col, value, diagonal.astype(np.complex128))


def relative_potential(pairs: SymmetricPairs, owner: Ints, sizes: Ints, q: float) -> Floats:
    """Each graph's q / max(min(m, n), 1), `[B]`; m counts the pairs joined in one direction only.

    Args:
        pairs: The symmetrised graphs.
        owner: Graph of each pair `[P]`.
        sizes: Number of nodes of each graph `[B]`.
        q: The potential that is divided.
    """
    # Each pair stands in the list twice, once with direction 1.
    one_way = np.bincount(owner[pairs.direction > 0], minlength=len(sizes))
    return q / np.maximum(np.minimum(one_way, sizes), 1)


def turn(turns: Floats) -> NDArray[np.complex128]:
    """exp(2 pi i turns); whole turns are taken off first, so that large arguments stay exact.

    Args:
        turns: Angles in turns: 1 is 2 pi.
    """
    return np.exp(2j * math.pi * (turns - np.rint(turns)))


def check_normalization(normalization: str) -> None:
    """Raise unless `normalization` is one of the three names.

    Args:
        normalization: The argument.
    """
    check_choice("normalization", normalization, _KNOWN)


def check_phases(phases: str) -> None:
    """Raise unless `phases` is one of the two names.

    Args:
        phases: The argument.
    """
    check_choice("phases", phases, get_args(Magnetic))


def check_edges(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None) -> None:
    """Raise unless these are the edges of a graph that the operators accept.

    Args:
        edge_index: Edges (tail, head): integers `[2, E]` from 0 to `num_nodes` - 1.
        num_nodes: Number of nodes, at least 0.
        edge_weight: Weights, `[E]`, or None.
    """
    check_integer("num_nodes", num_nodes, least=0)
    check_integers("edge_index", edge_index)
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise GraphPEValueError(f"edge_index must be [2, num_edges], got {list(edge_index.shape)}")
    if edge_index.numel() > 0:
        if edge_index.device.type == "cpu":  # NumPy takes a third of torch's time
            host = edge_index.numpy(force=True)
            low, high = int(host.min()), int(host.max())
        else:
            low, high = (int(bound) for bound in edge_index.aminmax())
        if low < 0 or high >= num_nodes:
            wrong = low if low < 0 else high
            raise GraphPEValueError(f"edge_index holds node {wrong}, but num_nodes is {num_nodes}")
    check_edge_weight(edge_weight, edge_index.size(1))


def check_weights(graphs: PackedGraphs) -> None:
    """As `check_edge_weight`, for the weights of graphs: a weight that is wrong is told with its graph."""
    try:
        check_edge_weight(graphs.edge_weight, graphs.num_edges)
    except _WrongWeight as error:
        graph = int(torch.searchsorted(graphs.edge_ptr, error.edge, right=True)) - 1
        edge = error.edge - int(graphs.edge_ptr[graph])
        raise GraphRangeError(graph, f"edge_weight holds {error.problem} at edge {edge}: {error.advice}") from None


class _WrongWeight(GraphPEValueError):
    def __init__(self, edge: int, problem: str, advice: str) -> None:
        super().__init__(f"edge_weight holds {problem} at edge {edge}: {advice}")
        self.edge, self.problem, self.advice = edge, problem, advice


def check_edge_weight(edge_weight: Tensor | None, num_edges: int) -> None:
    """Raise unless `edge_weight` is None or `[num_edges]` magnitudes: 0, or from `_LEAST` to `_MOST`.

    Args:
        edge_weight: The argument.
        num_edges: Number E of edges.
    """
    if edge_weight is None:
        return
    if not isinstance(edge_weight, Tensor) or edge_weight.is_complex():
        given = edge_weight.dtype if isinstance(edge_weight, Tensor) else type(edge_weight).__name__
        raise GraphPETypeError(f"edge_weight must be a tensor of real numbers, got {given}")
    if edge_weight.dtype.itemsize == 1 and edge_weight.is_floating_point():
        raise GraphPETypeError(f"edge_weight is of {edge_weight.dtype}, which holds no sums: give it as float32")
    if edge_weight.shape != (num_edges,):
        raise GraphPEValueError(f"edge_weight must be [{num_edges}], one per edge, got {list(edge_weight.shape)}")
    # nan compares false, so that it is wrong, too; float32 makes 0 and inf of the limits.
    wrong = ~((edge_weight == 0) | ((edge_weight >= _LEAST) & (edge_weight <= _MOST) & torch.isfinite(edge_weight)))
    if not bool(wrong.any()):
        return
    edge = int(wrong.nonzero()[0])
    value = edge_weight[edge].item()
    if 0 < value < math.inf:
        limits = f"weights must be 0 or from {_LEAST:.0e} to {_MOST:.0e}"
        raise _WrongWeight(edge, f"{value:.3g}", f"{limits}, so that their sums and inverses are numbers: rescale them")
    raise _WrongWeight(edge, str(value), "weights must be finite and not negative")


def _to_csr(entries: Entries, device: torch.device) -> Tensor:
    size = len(entries.diagonal)
    node = np.arange(size)
    row, col = np.concatenate([entries.row, node]), np.concatenate([entries.col, node])
    matrix = coo_matrix((np.concatenate([entries.value, entries.diagonal]), (row, col)), shape=(size, size)).tocsr()
    matrix.sum_duplicates()
    row_ptr, column = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    with warnings.catch_warnings():  # torch says once per process that its CSR layout is young
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            row_ptr, column, torch.from_numpy(matrix.data), (size, size), device=device, check_invariants=False
        )
