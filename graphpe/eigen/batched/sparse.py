"""Lowest eigenpairs of sparse positive semi-definite matrices by Lanczos on their shifted inverses.

A matrix minus a small negative shift is positive definite, so that it is factored without pivoting in an order that
keeps fill low. Of a sparse graph with little fill (syntax trees with token edges, roads, meshes) this takes less than a
millisecond where a dense decomposition takes many; of an expander the factors fill up.

The matrices of a call go through the same steps side by side, so that the small eigenproblems that all of them leave
are solved together (see `graphpe.eigen.batched.eight_at_once`). What a matrix gets does not depend on those beside it.

Lanczos may miss a copy of a repeated eigenvalue. The result is checked by inertia (Sylvester): the signs of the pivots
of A - mu I count the eigenvalues below mu. What does not check out is not returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import is_ready, machine_code
from graphpe.compiled.lanes import LANES, empty_lanes
from graphpe.eigen.batched.block_lanczos import couple, extend
from graphpe.eigen.batched.eigh import KnownModes
from graphpe.eigen.batched.eight_at_once import WORTH_COMPILING, interleaved_eigenpairs
from graphpe.eigen.batched.lane_blocks import Modes, Small, small_matrices
from graphpe.eigen.batched.ldl import Inverse, SparseRows, Structure, eliminate, factorise, invert
from graphpe.eigen.batched.rotate import polish, rotate
from graphpe.structure.adjacency import Floats, Ints
from graphpe.structure.laplacian import Entries

# In units of the spectrum's upper end. The shift is far below the eigenvalues that matter (they converge the faster,
# the closer it is), and far above rounding; the margin of the inertia check separates eigenvalues that are worth
# telling apart.
_SHIFT = 1e-3
_MARGIN = 1e-7
_RESIDUAL = 1e-9
_SKEW = 1e-12
# Rounding errors of factors grow with their entries; up to here they are below the margin.
_GROWTH = 1e7
# L may have this share of a full matrix; with more, dense solvers are quicker.
_FILL = 1 / 8
# Of a Ritz value of the inverse's power, and of the largest one, below which there is only rounding; polishing mends
# both.
_CONVERGED = 1e-8
_ROUNDING = 1e-15
_BLOCKS, _MORE_BLOCKS, _MOST_BLOCKS = 3, 1, 16
# Elements of lanes of the bases that are kept at a time, 8 MiB, or one basis.
_CHUNK = 1 << 17


@dataclass
class _Task:
    """One matrix on its way: `blocks` of its basis are wanted, `done` are there; at most `most` would be tried."""

    graph: int
    matrix: SparseRows
    top: float
    structure: Structure
    inverse: Inverse
    modes: Modes
    basis: Floats
    projected: NDArray[Any]
    blocks: int
    most: int
    done: int = 0

    @property
    def number_of_parts(self) -> int:
        return self.modes.vector.shape[1]

    def entries(self) -> Floats:
        """The entries of the matrix as `[entries, parts]`."""
        return _numbers(self.matrix.data, self.number_of_parts)


def lowest_by_shift_invert(
    operator: Entries, ptr: Ints, k: int, known: KnownModes, graphs: Ints
) -> dict[int, tuple[Floats, NDArray[Any]]]:
    """The k lowest eigenpairs of some diagonal blocks in the complement of known ones, smallest first.

    O(fill) time and memory for the factors, O(n m) memory and O(n m^2) time for a basis of m = 40 to 150 vectors (more,
    if k is large). The start vectors are fixed: the result is the same every time.

    Args:
        operator: Hermitian, positive semi-definite and block diagonal, real or complex.
        ptr: `[B + 1]`: block b owns rows `ptr[b]` to `ptr[b + 1]`.
        k: Number of eigenpairs; k + c < n.
        known: Modes that are taken out; their shift is an upper bound of the spectrum.
        graphs: Ids of the blocks to solve.

    Returns:
        Values `[k]` and orthonormal vectors `[n, k]` of the blocks whose pairs could be found and verified.
    """
    small = small_matrices()
    edges = np.searchsorted(operator.row, ptr)
    mode = _numbers(known.vector.astype(operator.value.dtype), operator.value.itemsize // 8)
    found: dict[int, tuple[Floats, NDArray[Any]]] = {}
    elements = np.diff(ptr)[graphs] * mode.shape[1] * (_first_blocks(k) + 1 + 2 * _columns(k))
    room = empty_lanes(max(int(elements.max()), min(int(elements.sum()), _CHUNK)))
    for chunk in _chunks(elements):
        ends = LANES * np.cumsum(elements[chunk])
        bases = np.split(room, ends)
        tasks = [
            _prepare(operator, ptr, edges, k, known, mode, graph, basis)
            for graph, basis in zip(graphs[chunk].tolist(), bases, strict=False)
        ]
        found.update(_solve([task for task in tasks if task is not None], k, small))
    return found


def is_worth_it(operator: Entries, entries: int) -> bool:
    """Whether these loops are compiled, or worth compiling for matrices of so many entries, if they were dense.

    Args:
        operator: The matrices.
        entries: Entries they would have if they were dense.
    """
    return is_ready(_rows, entries, WORTH_COMPILING, *operator, 0, 1, 0, 1)


def _solve(tasks: list[_Task], k: int, small: Small) -> Iterator[tuple[int, tuple[Floats, NDArray[Any]]]]:
    polished = []
    is_complex = any(np.iscomplexobj(task.matrix.data) for task in tasks)
    while tasks:
        blocks = min(task.blocks for task in tasks)
        now, tasks = [t for t in tasks if t.blocks == blocks], [t for t in tasks if t.blocks != blocks]
        couplings = []
        for task in now:
            task.done = extend(task.basis, task.projected, small, task.inverse, task.modes, task.done, blocks)
            couplings.append(small.matrices[0].copy())
        projected = -np.stack([task.projected for task in now])
        values, vectors = _lowest(projected if is_complex else projected.real, LANES * _columns(k), 1)
        residual = np.linalg.norm(np.stack(couplings) @ vectors[:, -LANES:, :k], axis=1)
        converged = (residual <= -_CONVERGED * values[:, :k] - _ROUNDING * values[:, :1]).all(axis=1).tolist()
        for i, task in enumerate(now):
            if LANES * task.done < k:
                continue
            if converged[i]:
                out = np.empty((LANES * _columns(k),) * 2, np.complex128)
                first = (blocks + 1) * len(task.modes.label) * task.number_of_parts
                coefficients = vectors[i, : LANES * task.done].astype(np.complex128)
                rows = task.structure.place, task.matrix.indptr, task.matrix.indices, task.entries()
                if polish(task.basis, first, coefficients, small, task.inverse, task.modes, *rows, out):
                    polished.append((task, first, out))
            elif task.done == blocks < task.most:
                _widen(task, min(blocks + _MORE_BLOCKS, task.most), _columns(k), couplings[i])
                tasks.append(task)
    if polished:
        projected = np.stack([out for _, _, out in polished])
        projected = projected if is_complex else projected.real
        values, rotations = _lowest(projected, LANES * _columns(k), _columns(k))
        for (task, first, _), level, rotation in zip(polished, values[:, :k], rotations, strict=True):
            vectors = np.empty((len(task.modes.label), k), task.matrix.data.dtype)
            flat = vectors.view(np.float64).reshape(*vectors.shape, -1)
            rows = task.structure.place, task.matrix.indptr, task.matrix.indices, task.entries()
            residual, skew = rotate(task.basis, first, rotation.astype(np.complex128), level, small, *rows, flat)
            good = residual <= _RESIDUAL * task.top and skew <= _SKEW
            if good and _complete(task.matrix, task.structure, level, task.modes.supports, task.top):
                yield task.graph, (level, vectors)


def _prepare(
    operator: Entries, ptr: Ints, edges: Ints, k: int, known: KnownModes, mode: Floats, graph: int, basis: Floats
) -> _Task | None:
    """Factors and room; None where the factors fill up or the complement of the known modes is too small."""
    start, stop = int(ptr[graph]), int(ptr[graph + 1])
    size, top = stop - start, float(known.shift[graph])
    matrix = SparseRows(*_rows(*operator, start, stop, edges[graph], edges[graph + 1]))
    structure = eliminate(matrix, int(_FILL * size * size))
    if structure is None:
        return None
    factors = factorise(matrix, structure, -_SHIFT * top)
    if not factors.pivot.min() > 0:
        return None
    modes = Modes(*_modes(mode, known.component, start, structure.order))
    # Nothing is left to find when the blocks span the complement of what is known.
    most = min(_MOST_BLOCKS + k // 2, (size - modes.supports) // LANES)
    blocks = min(_first_blocks(k), most)
    if LANES * blocks < k:
        return None
    projected = np.zeros((LANES * blocks, LANES * blocks), np.complex128)
    return _Task(graph, matrix, top, structure, invert(structure, factors), modes, basis, projected, blocks, most)


def _widen(task: _Task, blocks: int, columns: int, coupling: NDArray[Any]) -> None:
    """Memory for more blocks."""
    basis = empty_lanes(len(task.modes.label) * task.number_of_parts * (blocks + 1 + 2 * columns))
    basis[: len(task.basis)] = task.basis
    projected = np.zeros((LANES * blocks, LANES * blocks), np.complex128)
    projected[: len(task.projected), : len(task.projected)] = task.projected
    couple(projected, coupling, task.done)
    task.basis, task.projected, task.blocks = basis, projected, blocks


def _lowest(stack: NDArray[Any], k: int, reach: int) -> tuple[Floats, NDArray[Any]]:
    """The k lowest eigenpairs of small Hermitian matrices `[G, n, n]` of blocks that reach so far from the diagonal."""
    count, n, _ = stack.shape
    i, j = _pattern(n, reach)
    offset = n * np.arange(count)[:, None]
    diagonal = np.diagonal(stack, axis1=1, axis2=2).ravel()
    operator = Entries((i + offset).ravel(), (j + offset).ravel(), stack[:, i, j].ravel(), diagonal)
    nothing = np.zeros(count * n)
    known = KnownModes(nothing, nothing.astype(np.int64), np.zeros(count, np.int64), np.zeros(count))
    solved = interleaved_eigenpairs(operator, n * np.arange(count + 1), k, known)
    return solved.values, solved.vectors.reshape(count, n, k)


@cache
def _pattern(n: int, reach: int) -> tuple[Ints, Ints]:
    """The entries off the diagonal of blocks that reach so far."""
    i, j = np.indices((n, n)).reshape(2, -1)
    inside = (i != j) & (np.abs(i // LANES - j // LANES) <= reach)
    return i[inside], j[inside]


def _first_blocks(k: int) -> int:
    return _BLOCKS + (k + 3) // 4


def _columns(k: int) -> int:
    """Blocks for k vectors."""
    return -(-k // LANES)


def _chunks(lanes: Ints) -> Iterator[slice]:
    """Runs of matrices whose bases fit together, or one matrix."""
    start, total = 0, 0
    for i, here in enumerate(lanes.tolist()):
        if total + here > _CHUNK and i > start:
            yield slice(start, i)
            start, total = i, 0
        total += here
    yield slice(start, len(lanes))


def _numbers(array: NDArray[Any], parts: int) -> Floats:
    """The same memory as `[..., parts]`."""
    return np.ascontiguousarray(array).view(np.float64).reshape(-1, parts)


def _complete(matrix: SparseRows, structure: Structure, values: Floats, known: int, top: float) -> bool:
    """Whether no eigenvalue clearly below the largest of `values` is missing."""
    level = values[-1] - _MARGIN * top
    if level <= _MARGIN * top:  # too close to the known modes to tell them apart
        return False
    factors = factorise(matrix, structure, level)
    if not factors.growth <= _GROWTH * top:
        return False
    below = int(np.count_nonzero(factors.pivot < 0))
    return below == known + int(np.count_nonzero(values < level))


@machine_code
def _rows(
    row: Ints, col: Ints, value: NDArray[Any], diagonal: NDArray[Any], start: int, stop: int, first: int, last: int
) -> tuple[Ints, Ints, NDArray[Any]]:
    """One block, rows `start` to `stop` and entries `first` to `last`, with the diagonal among its entries."""
    indptr = np.zeros(stop - start + 1, np.int64)
    indices = np.empty(stop - start + last - first, np.int64)
    data = np.empty(len(indices), value.dtype)
    count, e = 0, first
    for u in range(start, stop):
        indices[count], data[count] = u - start, diagonal[u]
        count += 1
        while e < last and row[e] == u:
            indices[count], data[count] = col[e] - start, value[e]
            count += 1
            e += 1
        indptr[u - start + 1] = count
    return indptr, indices, data


@machine_code
def _modes(mode: Floats, component: Ints, start: int, order: Ints) -> tuple[Floats, Ints, int]:
    """The modes of the block at row `start` by position, their supports numbered from 0."""
    size, parts = len(order), mode.shape[1]
    vector, label = np.empty((size, parts)), np.full(size, -1)
    least = component[start : start + size].min()
    number = np.full(component[start : start + size].max() - least + 1, -1)
    count = 0
    for j in range(size):
        row = start + order[j]
        present = False
        for part in range(parts):
            vector[j, part] = mode[row, part]
            present |= mode[row, part] != 0
        if present:
            name = component[row] - least
            if number[name] < 0:
                number[name] = count
                count += 1
            label[j] = number[name]
    return vector, label, count
