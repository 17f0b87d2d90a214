"""Lowest eigenpairs of the Laplacian and the Magnetic Laplacian of many graphs.

The null space is treated in closed form, component by component, so that "drop the zero modes" is exact even when the
graph is nearly disconnected, and a graph of several components gives one indicator-like vector for each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.arguments import check_integer, check_number
from graphpe.compiled.jit import is_ready
from graphpe.eigen.batched.eigh import KnownModes, Solved
from graphpe.eigen.batched.eight_at_once import WORTH_COMPILING
from graphpe.eigen.lowest import SPARSE_FROM, all_eigenpairs, lowest_eigenpairs
from graphpe.eigen.result import Eigenpairs
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra import laplacian_loops
from graphpe.structure.adjacency import (
    Floats,
    Ints,
    Structure,
    adjacency,
    edge_arrays,
    reverse_adjacency,
    structure,
)
from graphpe.structure.components import Components, balanced_components, find_components, potentials
from graphpe.structure.laplacian import (
    Magnetic,
    Normalization,
    SymmetricPairs,
    check_normalization,
    check_phases,
    check_weights,
    degrees,
    edge_phase_entries,
    inverse_sqrt_degrees,
    laplacian_entries,
    magnetic_entries,
    pair_up_edges,
    relative_potential,
    turn,
)
from graphpe.structure.plan import Plan

# From this size on the lowest eigenpairs cost far less than all.
_LARGE = 2000


class Symmetrised(NamedTuple):
    """The symmetrised graphs, and what is read off them.

    Attributes:
        pairs: Joined pairs of nodes.
        degree: `[N]`.
        components: Connected components.
        ptr: `[B + 1]`: graph b owns nodes `ptr[b]` to `ptr[b + 1]`.
        batch: `[N]`: the graph of each node.
    """

    pairs: SymmetricPairs
    degree: Floats
    components: Components
    ptr: Ints
    batch: Ints


def symmetrised(plan: Plan) -> Symmetrised:
    """The symmetrised graphs (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    ptr = plan.graphs.host_ptr
    both: Structure = plan.once(structure)
    found = laplacian_loops.symmetrise(*both.matrix, *both.reverse, ptr)
    return Symmetrised(SymmetricPairs(*found[:4]), found[4], Components(*found[5:7]), ptr, found[7])


class FullSpectrum(NamedTuple):
    """All eigenpairs of the Laplacian of each graph, zero modes first, eigenvalues ascending.

    Attributes:
        values: `[N]`: eigenvalue j of graph b at `ptr[b] + j`.
        vectors: `[sum n_b^2]`: graph b owns `pair_ptr[b]` to `pair_ptr[b + 1]`, row-major (node i, mode j).
    """

    values: Floats
    vectors: Floats


def full_spectrum(plan: Plan, normalization: Literal["comb", "sym"]) -> FullSpectrum:
    """All eigenpairs of the Laplacian of each graph (a part of a plan); O(n^3) time and O(n^2) memory a graph.

    The zero modes, one per connected component, come first, ordered by the first node of their component: in closed
    form (see `zero_modes`), with eigenvalues that are exactly 0. Rounding leaves no eigenvalue below 0.

    Args:
        plan: The graphs, and the work that several encodings share.
        normalization: `comb` or `sym`.
    """
    pairs, degree, _, ptr, _ = plan.once(symmetrised)
    entries = laplacian_entries(pairs, degree, normalization)
    values, vectors = all_eigenpairs(entries, ptr, plan.once(zero_modes, normalization), plan.graphs.device)
    return FullSpectrum(np.maximum(values, 0), vectors)


def spectrum_serves(plan: Plan, normalization: Literal["comb", "sym"]) -> bool:
    """Whether the full spectrum is there, or expected for small graphs: others may then take their share of it.

    Of large graphs it may be announced and never asked for, where there is a quicker way.

    Args:
        plan: The graphs, and the work that several encodings share.
        normalization: `comb` or `sym`.
    """
    if plan.has(full_spectrum, normalization):
        return True
    return plan.graphs.max_size < _LARGE and plan.expects(full_spectrum, normalization)


def nonzero_eigenpairs(plan: Plan, k: int, normalization: Literal["comb", "sym"]) -> Solved:
    """The k lowest eigenpairs of the Laplacian of each graph, the zero modes left out (a part of a plan).

    Where the plan expects the full spectrum, they are taken from it.

    Args:
        plan: The graphs, and the work that several encodings share.
        k: Number k of eigenpairs of each graph.
        normalization: `comb` or `sym`.
    """
    served = spectrum_serves(plan, normalization)
    if not served and not plan.has(symmetrised) and (solved := _of_one_graph(plan.graphs, k, normalization)):
        return solved
    pairs, degree, _, ptr, batch = plan.once(symmetrised)
    modes = plan.once(zero_modes, normalization)
    if served:
        return _lowest(plan.once(full_spectrum, normalization), k, modes.count, ptr, batch)
    entries = laplacian_entries(pairs, degree, normalization)
    return lowest_eigenpairs(entries, ptr, k, modes, device=plan.graphs.device)


def _of_one_graph(graphs: PackedGraphs, k: int, normalization: Literal["comb", "sym"]) -> Solved | None:
    """`nonzero_eigenpairs` of one small graph in one compiled call; None for other graphs, and until it is compiled."""
    size = graphs.num_nodes
    if graphs.num_graphs != 1 or not 0 < size < SPARSE_FROM or graphs.device.type != "cpu":
        return None
    arguments = *edge_arrays(graphs), size, k, normalization == "comb"
    if not is_ready(laplacian_loops.eigenpairs_of_edges, size**2, WORTH_COMPILING, *arguments):
        return None
    vectors, values, found = laplacian_loops.eigenpairs_of_edges(*arguments)
    return None if found < 0 else Solved(vectors, values, (np.arange(k) < found)[None])


def laplacian_eigenpairs(
    graphs: PackedGraphs | Plan, k: int, normalization: Normalization = "sym", drop_zero_modes: bool = True
) -> Eigenpairs:
    """The k lowest eigenpairs of the Laplacian of each graph, symmetrised as in `graphpe.laplacian`.

    For "rw" the vectors are the right eigenvectors of I - D^-1 S: D^-1/2 u with u those of "sym", scaled to unit norm
    (orthogonal in the inner product of D); the eigenvalues are those of "sym".

    Repeated eigenvalues leave the vectors free within their eigenspace; only the projectors are well defined.
    Signs are as the solver leaves them (see `graphpe.spectra.signs`).

    Args:
        graphs: The graphs, or a plan that shares their work.
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
    plan = Plan.of(graphs)
    _check(plan.graphs, k, normalization)
    hermitian = "sym" if normalization == "rw" else normalization
    solved = _first(plan.up_to(nonzero_eigenpairs, k, hermitian), k)
    if drop_zero_modes and normalization != "rw":
        return _finish(solved, plan.graphs)
    _, degree, components, _, batch = plan.once(symmetrised)
    if not drop_zero_modes:
        solved = _prepend(solved, plan.once(zero_modes, hermitian), components, batch)
    if normalization == "rw":
        solved = _right(solved, degree, batch)
    return _finish(solved, plan.graphs)


def magnetic_eigenpairs(
    graphs: PackedGraphs | Plan,
    k: int,
    q: float,
    relative_q: bool = True,
    normalization: Normalization = "sym",
    phases: Magnetic = "pairs",
) -> Eigenpairs:
    """The k lowest eigenpairs of the Magnetic Laplacian of each graph (`graphpe.magnetic_laplacian`); none is dropped.

    A balanced component (see `graphpe.structure.components`: every forest, every undirected graph) has one zero mode,
    of constant modulus up to D^1/2; these come first, ordered by the first node of their component. A graph whose
    components are all balanced is solved with real arithmetic and gauge phases, in half the time or less; the result is
    the same.

    For "rw" the vectors are D^-1/2 u with u those of "sym", scaled to unit norm. Phases are as the solver leaves them
    (see `graphpe.spectra.signs`). Reversing all edges conjugates the eigenspaces.

    Args:
        graphs: The graphs, or a plan that shares their work.
        k: Number of eigenpairs.
        q: Potential, in turns per one-way edge.
        relative_q: Divide `q` by max(min(m, n), 1), with m the number of one-way node pairs of each graph.
        normalization: `"comb"`, `"sym"` or `"rw"`.
        phases: `"pairs"` or `"edges"`, as in `graphpe.magnetic_laplacian`. With `"edges"`, components with a reciprocal
            pair, and isolated nodes unless "comb", have no zero mode.

    Returns:
        Eigenpairs, complex128. A graph of fewer than k nodes has zero columns, zero eigenvalues and False in the mask.

    Raises:
        GraphPEValueError: `k` < 1, an unknown normalization, `q` or weights that are not finite, or negative weights.
    """
    plan = Plan.of(graphs)
    _check(plan.graphs, k, normalization)
    check_number("q", q)
    check_phases(phases)
    hermitian = "sym" if normalization == "rw" else normalization
    spectrum = magnetic_spectrum if phases == "pairs" else edge_phase_spectrum
    solved = _first(plan.up_to(spectrum, k, float(q), relative_q, hermitian), k)
    _, degree, _, _, batch = plan.once(symmetrised) if phases == "pairs" else plan.once(symmetrised_edges)[0]
    if normalization == "rw":
        solved = _right(solved, degree, batch)
    return _finish(solved, plan.graphs)


def magnetic_spectrum(plan: Plan, k: int, q: float, relative_q: bool, normalization: Literal["comb", "sym"]) -> Solved:
    """The k lowest eigenpairs of the Magnetic Laplacian of each graph (a part of a plan).

    Where no graph is frustrated, or the plan expects the Laplacian's eigenpairs, they are shared with it.

    Args:
        plan: The graphs, and the work that several encodings share.
        k: Number k of eigenpairs of each graph.
        q: Potential in turns: an edge turns by 2 pi q.
        relative_q: Whether q is divided by max(min(m, n), 1), with m the number of one-way node pairs of each graph of
            n nodes.
        normalization: `comb` or `sym`.
    """
    pairs, degree, components, ptr, batch = plan.once(symmetrised)
    owner = batch[pairs.row]
    q_graph = relative_potential(pairs, owner, np.diff(ptr), q) if relative_q else np.full(len(ptr) - 1, q)
    potential = potentials(pairs, len(batch), components)
    balanced = balanced_components(pairs, potential, q_graph[owner], components)
    gauge = turn(-q_graph[batch] * potential)
    modes = plan.once(zero_modes, normalization)
    frustrated = np.zeros(len(ptr) - 1, dtype=bool)
    frustrated[batch[components.first[~balanced]]] = True
    entries = laplacian_entries(pairs, degree, normalization)
    device = plan.graphs.device
    shared = plan.expects(nonzero_eigenpairs, normalization) or spectrum_serves(plan, normalization)
    if shared or not frustrated.any():
        easy = _only(_first(plan.up_to(nonzero_eigenpairs, k, normalization), k), ~frustrated, batch)
    else:
        easy = lowest_eigenpairs(entries, ptr, k, modes, np.flatnonzero(~frustrated), device)
    solved = Solved(easy.vectors * gauge[:, None], easy.values, easy.mask)
    modes = _known_modes(modes, balanced, gauge, components, batch)
    if frustrated.any():
        magnetic = magnetic_entries(entries, pairs, q_graph[owner])
        hard = lowest_eigenpairs(magnetic, ptr, k, modes, np.flatnonzero(frustrated), device)
        solved = Solved(solved.vectors + hard.vectors, solved.values + hard.values, solved.mask | hard.mask)
    return _prepend(solved, modes, components, batch)


def symmetrised_edges(plan: Plan) -> tuple[Symmetrised, Floats]:
    """As `symmetrised`, for a phase for each edge; and the share of each pair's direction (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
    """
    pairs, balance = pair_up_edges(plan.once(adjacency), plan.once(reverse_adjacency))
    ptr = plan.graphs.host_ptr
    batch = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    return Symmetrised(pairs, degrees(pairs, len(batch)), find_components(pairs, len(batch)), ptr, batch), balance


def edge_phase_spectrum(
    plan: Plan, k: int, q: float, relative_q: bool, normalization: Literal["comb", "sym"]
) -> Solved:
    """The k lowest eigenpairs of the Magnetic Laplacian with a phase for each edge (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        k: Number k of eigenpairs of each graph.
        q: Potential in turns: an edge turns by 2 pi q.
        relative_q: Whether q is divided by max(min(m, n), 1), with m the number of one-way node pairs of each graph of
            n nodes.
        normalization: `comb` or `sym`.
    """
    graphs, balance = plan.once(symmetrised_edges)
    pairs, degree, components, ptr, batch = graphs
    owner = batch[pairs.row]
    q_graph = relative_potential(pairs, owner, np.diff(ptr), q) if relative_q else np.full(len(ptr) - 1, q)
    potential = potentials(pairs, len(batch), components)
    balanced = balanced_components(pairs, potential, q_graph[owner], components)
    # The two edges of a reciprocal pair cancel in part, unless q is whole.
    cancelling = (pairs.direction == 0) & (q_graph[owner] != np.rint(q_graph[owner]))
    balanced[components.label[pairs.row[cancelling]]] = False
    if normalization == "sym":  # an isolated node has eigenvalue 1
        balanced[components.label[degree == 0]] = False
    gauge = turn(-q_graph[batch] * potential)
    modes = _known_modes(_modes(graphs, normalization), balanced, gauge, components, batch)
    entries = laplacian_entries(pairs, degree, normalization)
    magnetic = edge_phase_entries(entries, balance, q_graph[owner], normalization)
    return _prepend(lowest_eigenpairs(magnetic, ptr, k, modes, device=plan.graphs.device), modes, components, batch)


def _only(solved: Solved, chosen: NDArray[np.bool_], batch: Ints) -> Solved:
    """The eigenpairs of the chosen graphs; the others' are empty."""
    if chosen.all():
        return solved
    return Solved(solved.vectors * chosen[batch, None], solved.values * chosen[:, None], solved.mask & chosen[:, None])


def _check(graphs: PackedGraphs, k: int, normalization: str) -> None:
    check_normalization(normalization)
    check_weights(graphs)
    check_integer("k", k, least=1)


def zero_modes(plan: Plan, normalization: Literal["comb", "sym"]) -> KnownModes:
    """The zero modes of the Laplacian: D^1/2 1 ("sym") or 1 ("comb") of each component, of unit norm.

    Args:
        plan: The graphs, and the work that several encodings share.
        normalization: `comb` or `sym`.
    """
    return _modes(plan.once(symmetrised), normalization)


def _modes(graphs: Symmetrised, normalization: Literal["comb", "sym"]) -> KnownModes:
    _, degree, (label, first), ptr, batch = graphs
    vector, count, shift = laplacian_loops.zero_modes(
        degree, label, first, batch, len(ptr) - 1, normalization == "comb"
    )
    return KnownModes(vector, label, count, shift)


def _known_modes(
    modes: KnownModes, balanced: NDArray[np.bool_], gauge: NDArray[np.complex128], components: Components, batch: Ints
) -> KnownModes:
    """The zero modes of the Magnetic Laplacian: those of the balanced components, with the gauge phases."""
    vector = np.where(balanced[components.label], modes.vector * gauge, 0)
    count = np.bincount(batch[components.first[balanced]], minlength=len(modes.count))
    return replace(modes, vector=vector, count=count)


def _lowest(spectrum: FullSpectrum, k: int, zeros: Ints, ptr: Ints, batch: Ints) -> Solved:
    """The k lowest eigenpairs after the zero modes, of which each graph has `zeros`."""
    sizes = np.diff(ptr)
    begin = np.cumsum(sizes**2) - sizes**2
    mode = zeros[:, None] + np.arange(k)
    mask = mode < sizes[:, None]
    mode = np.where(mask, mode, 0)
    has_some = mask[:, 0]
    graphs, rows = np.flatnonzero(has_some), np.flatnonzero(has_some[batch])
    values, vectors = np.zeros(mask.shape), np.zeros((len(batch), k))
    values[graphs] = spectrum.values[ptr[graphs, None] + mode[graphs]] * mask[graphs]
    owner = batch[rows]
    at = (begin[owner] + (rows - ptr[owner]) * sizes[owner])[:, None] + mode[owner]
    vectors[rows] = spectrum.vectors[at] * mask[owner]
    return Solved(vectors, values, mask)


def _first(solved: Solved, k: int) -> Solved:
    """The first k eigenpairs."""
    return Solved(solved.vectors[:, :k], solved.values[:, :k], solved.mask[:, :k])


def _prepend(solved: Solved, modes: KnownModes, components: Components, batch: Ints) -> Solved:
    """The eigenpairs with the known zero modes before them, cut to k columns."""
    k = solved.values.shape[1]
    source = np.arange(k) - modes.count[:, None]  # [B, k]; negative where a zero mode goes
    later = source >= 0
    source = np.maximum(source, 0)
    values = np.where(later, np.take_along_axis(solved.values, source, axis=1), 0)
    mask = np.take_along_axis(solved.mask, source, axis=1) | ~later
    vectors = np.where(later[batch], np.take_along_axis(solved.vectors, source[batch], axis=1), 0)
    # The column of a component: its rank among those of its graph that have a known mode.
    has_mode = modes.vector[components.first] != 0
    before = np.cumsum(modes.count) - modes.count
    column = np.where(has_mode, np.cumsum(has_mode) - 1 - before[batch[components.first]], k)[components.label]
    node = np.flatnonzero(column < k)
    vectors[node, column[node]] = modes.vector[node]
    return Solved(vectors, values, mask)


def _right(solved: Solved, degree: Floats, batch: Ints) -> Solved:
    """The right eigenvectors of "rw" from those of "sym": D^-1/2 u, of unit norm."""
    vectors = solved.vectors * inverse_sqrt_degrees(degree)[:, None]
    square = np.zeros(solved.values.shape)
    np.add.at(square, batch, np.abs(vectors) ** 2)
    return solved._replace(vectors=vectors / np.sqrt(np.where(square > 0, square, 1.0))[batch])


def _finish(solved: Solved, graphs: PackedGraphs) -> Eigenpairs:
    """As tensors on the graphs' device."""
    # Rounding may leave an eigenvalue of a positive semi-definite operator a little below zero.
    parts = (torch.from_numpy(each) for each in (solved.vectors, np.maximum(solved.values, 0), solved.mask))
    return Eigenpairs(*(parts if graphs.device.type == "cpu" else (part.to(graphs.device) for part in parts)))
