"""Lowest eigenpairs of the Laplacian and the Magnetic Laplacian of many graphs.

The null space is treated in closed form, component by component, so that "drop the zero modes" is exact even when the
graph is nearly disconnected, and a graph of several components gives one indicator-like vector for each.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphpe.eigen.dense import KnownModes, lowest_eigenpairs
from graphpe.eigen.result import Eigenpairs
from graphpe.errors import GraphPEValueError
from graphpe.gauge import Components, balanced_components, find_components, potentials
from graphpe.laplacian import (
    Normalization,
    check_edge_weight,
    check_normalization,
    degrees,
    inverse_sqrt_degrees,
    laplacian_entries,
    magnetic_entries,
    relative_potential,
    symmetric_pairs,
    turn,
)
from graphpe.packed import PackedGraphs


def laplacian_eigenpairs(
    graphs: PackedGraphs, k: int, normalization: Normalization = "sym", drop_zero_modes: bool = True
) -> Eigenpairs:
    """The k lowest eigenpairs of the Laplacian of each graph, symmetrised as in `graphpe.laplacian`.

    For "rw" the vectors are the right eigenvectors of I - D^-1 S: D^-1/2 u with u those of "sym", scaled to unit norm
    (orthogonal in the inner product of D); the eigenvalues are those of "sym".

    Repeated eigenvalues leave the vectors free within their eigenspace; only the projectors are well defined.
    Signs are as the solver leaves them (see `graphpe.signs`).

    Args:
        graphs: The graphs.
        k: Number of eigenpairs.
        normalization: `"comb"`, `"sym"` or `"rw"`.
        drop_zero_modes: Leave out the zero eigenvalues, one per connected component (isolated nodes included).
            Otherwise they come first, ordered by the first node of their component; their vectors are the components'
            indicators (times D^1/2 for "sym"), of unit norm and positive.

    Returns:
        Eigenpairs, float64. A graph with fewer than k has zero columns, zero eigenvalues and False in the mask.

    Raises:
        GraphPEValueError: `k` < 1, an unknown normalization, or weights that are negative or not finite.
    """
    _check(graphs, k, normalization)
    pairs = symmetric_pairs(graphs.edge_index, graphs.num_nodes, graphs.edge_weight)
    degree = degrees(pairs, graphs.num_nodes)
    hermitian: Normalization = "sym" if normalization == "rw" else normalization
    entries = laplacian_entries(pairs, degree, hermitian)
    components = find_components(pairs, graphs.num_nodes)
    modes = _zero_modes(graphs, degree, hermitian, components)
    solved = lowest_eigenpairs(entries, graphs.ptr, k, modes)
    solved = solved._replace(values=solved.values.clamp(min=0))
    if not drop_zero_modes:
        solved = _prepend(solved, modes, components, graphs)
    if normalization == "rw":
        solved = solved._replace(vectors=_right_vectors(solved.vectors, degree, graphs))
    return solved


def magnetic_eigenpairs(
    graphs: PackedGraphs, k: int, q: float, relative_q: bool = True, normalization: Normalization = "sym"
) -> Eigenpairs:
    """The k lowest eigenpairs of the Magnetic Laplacian of each graph (`graphpe.magnetic_laplacian`); none is dropped.

    A balanced component (see `graphpe.gauge`: every forest, every undirected graph) has one zero mode, of constant
    modulus up to D^1/2; these come first, ordered by the first node of their component. A graph whose components are
    all balanced is solved with real arithmetic and gauge phases, about 3 times as fast; the result is the same.

    For "rw" the vectors are D^-1/2 u with u those of "sym", scaled to unit norm. Phases are as the solver leaves them
    (see `graphpe.signs`). Reversing all edges conjugates the eigenspaces.

    Args:
        graphs: The graphs.
        k: Number of eigenpairs.
        q: Potential, in turns per one-way edge.
        relative_q: Divide `q` by max(min(m, n), 1), with m the number of one-way node pairs of each graph.
        normalization: `"comb"`, `"sym"` or `"rw"`.

    Returns:
        Eigenpairs, complex128. A graph of fewer than k nodes has zero columns, zero eigenvalues and False in the mask.

    Raises:
        GraphPEValueError: `k` < 1, an unknown normalization, `q` or weights that are not finite, or negative weights.
    """
    _check(graphs, k, normalization)
    if not math.isfinite(q):
        raise GraphPEValueError(f"q must be a finite number of turns, got {q}")
    pairs = symmetric_pairs(graphs.edge_index, graphs.num_nodes, graphs.edge_weight)
    degree = degrees(pairs, graphs.num_nodes)
    hermitian: Normalization = "sym" if normalization == "rw" else normalization
    entries = laplacian_entries(pairs, degree, hermitian)
    owner = graphs.batch[pairs.row]
    q_graph = torch.full((graphs.num_graphs,), q, dtype=torch.float64, device=graphs.device)
    if relative_q:
        q_graph = relative_potential(pairs, owner, graphs.sizes, q)

    components = find_components(pairs, graphs.num_nodes)
    potential = potentials(pairs, graphs.num_nodes, components)
    balanced = balanced_components(pairs, potential, q_graph[owner], components)
    gauge = turn(-q_graph[graphs.batch] * potential)
    real_modes = _zero_modes(graphs, degree, hermitian, components)
    modes = _zero_modes(graphs, degree, hermitian, components, balanced, gauge)

    frustrated = torch.zeros(graphs.num_graphs, dtype=torch.bool, device=graphs.device)
    frustrated[graphs.batch[components.first[~balanced]]] = True
    easy = lowest_eigenpairs(entries, graphs.ptr, k, real_modes, (~frustrated).nonzero().flatten())
    vectors, values, mask = easy.vectors * gauge[:, None], easy.values, easy.mask
    if bool(frustrated.any()):
        magnetic = magnetic_entries(entries, pairs, q_graph[owner])
        hard = lowest_eigenpairs(magnetic, graphs.ptr, k, modes, frustrated.nonzero().flatten())
        vectors, values, mask = vectors + hard.vectors, values + hard.values, mask | hard.mask
    solved = _prepend(Eigenpairs(vectors, values.clamp(min=0), mask), modes, components, graphs)
    if normalization == "rw":
        solved = solved._replace(vectors=_right_vectors(solved.vectors, degree, graphs))
    return solved


def _check(graphs: PackedGraphs, k: int, normalization: str) -> None:
    check_normalization(normalization)
    check_edge_weight(graphs.edge_weight, graphs.num_edges)
    if k < 1:
        raise GraphPEValueError(f"k must be at least 1, got {k}")


def _zero_modes(
    graphs: PackedGraphs,
    degree: Tensor,
    normalization: Normalization,
    components: Components,
    balanced: Tensor | None = None,
    gauge: Tensor | None = None,
) -> KnownModes:
    """The zero modes of the (balanced) components: D^1/2 1 or 1, times the gauge phases, of unit norm."""
    label, first = components
    # 2 is the top of the "sym" spectrum, twice the largest degree that of "comb" (Gershgorin).
    if normalization == "comb":
        amplitude = torch.ones_like(degree)
        top = torch.zeros(graphs.num_graphs, dtype=torch.float64, device=graphs.device)
        top = 2 * top.scatter_reduce(0, graphs.batch, degree, "amax")
    else:
        amplitude = torch.where(degree > 0, degree, 1.0).sqrt()
        top = torch.full((graphs.num_graphs,), 2.0, dtype=torch.float64, device=graphs.device)
    amplitude = amplitude / torch.bincount(label, amplitude.square(), minlength=first.numel()).sqrt()[label]
    known = graphs.batch[first]
    if balanced is not None:
        amplitude, known = amplitude * balanced[label], known[balanced]
    count = torch.bincount(known, minlength=graphs.num_graphs)
    vector = amplitude if gauge is None else amplitude * gauge
    return KnownModes(vector, label, count, torch.where(top > 0, 1.5 * top, 1.0))


def _prepend(solved: Eigenpairs, modes: KnownModes, components: Components, graphs: PackedGraphs) -> Eigenpairs:
    """The eigenpairs with the known zero modes before them, cut to k columns."""
    k = solved.values.size(1)
    column = torch.arange(k, device=graphs.device)
    source = column - modes.count[:, None]  # [B, k]; negative where a zero mode goes
    later = source >= 0
    source = source.clamp(min=0)
    values = solved.values.gather(1, source) * later
    mask = solved.mask.gather(1, source) | ~later
    vectors = solved.vectors.gather(1, source[graphs.batch]) * later[graphs.batch]
    # Rank of each component among those of its graph that have a known mode.
    has_mode = modes.vector[components.first] != 0
    before = has_mode.long().cumsum(0) - has_mode.long()
    rank = before - (modes.count.cumsum(0) - modes.count)[graphs.batch[components.first]]
    rank = torch.where(has_mode, rank, k)[components.label]
    node = (rank < k).nonzero().flatten()
    vectors[node, rank[node]] = modes.vector[node].to(vectors.dtype)
    return Eigenpairs(vectors, values, mask)


def _right_vectors(vectors: Tensor, degree: Tensor, graphs: PackedGraphs) -> Tensor:
    """D^-1/2 u, of unit norm in each graph."""
    scaled = vectors * inverse_sqrt_degrees(degree)[:, None]
    square = scaled.abs().square()
    norm = torch.zeros(graphs.num_graphs, vectors.size(1), dtype=square.dtype, device=graphs.device)
    norm.index_add_(0, graphs.batch, square)
    return scaled / norm.clamp(min=torch.finfo(norm.dtype).tiny).sqrt()[graphs.batch]
