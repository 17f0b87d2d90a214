"""Hermitian eigensolver for many small graphs: eight at a time, one in each lane of the vector registers.

LAPACK is made for one matrix; on a graph of some tens of nodes it spends most of its time on anything but arithmetic.
Here every operation is done for eight graphs of similar size at once (see `graphpe.compiled.lanes`): the operators are
assembled from their entries into interleaved triangles and tridiagonalised, and only the eigenvectors that are wanted
are computed and transformed back.

What a graph gets does not depend, bit for bit, on the graphs beside it. The residuals and the orthogonality of every
graph are checked, and what fails is left to LAPACK; so is everything, until compiling these loops is worth it (see
`graphpe.compiled.jit`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import is_ready, machine_code
from graphpe.compiled.lanes import LANES, empty_lanes, full, load, multiply_add, select, store
from graphpe.eigen.batched.eigh import KnownModes, Solved, dense_eigenpairs, dense_spectrum
from graphpe.eigen.batched.householder import (
    back_transform,
    back_transform_complex,
    tridiagonalise,
    tridiagonalise_complex,
)
from graphpe.eigen.batched.tridiagonal import eigenvalues, eigenvectors
from graphpe.structure.laplacian import Entries, Floats, Ints

# Of the norm of the operator; LAPACK's residuals are of this size at 10^4 nodes.
_RESIDUAL = 1e-12
_ORTHOGONALITY = 1e-11

WORTH_COMPILING = 1 << 22
"""Entries of dense matrices that LAPACK solves in a process before solvers are compiled: about a second of its work."""


class _Targets(NamedTuple):
    """Where eigenpairs go: mode j, node i of block b at `place[b] + i stride[b] + j`, its value at `first[b] + j`."""

    found: Ints
    place: Ints
    stride: Ints
    first: Ints


def interleaved_eigenpairs(
    operator: Entries, ptr: Ints, k: int, known: KnownModes, graphs: Ints | None = None
) -> Solved:
    """The k lowest eigenpairs of each diagonal block, the known modes apart.

    Arguments and result as in `graphpe.eigen.batched.eigh.dense_eigenpairs`. O(n^3) time; the memory of eight
    triangles.

    Args:
        operator: Hermitian and block diagonal.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        k: Number k of eigenpairs of each graph.
        known: Modes that are taken out.
        graphs: Ids of the graphs to solve, the others come back empty; None for all.
    """
    sizes = ptr[1:] - ptr[:-1]
    found = np.minimum(sizes - known.count, k)
    chosen = found > 0
    if graphs is not None:
        chosen &= np.bincount(graphs, minlength=len(sizes)).astype(bool)
    mask = (np.arange(k) < found[:, None]) & chosen[:, None]
    vectors, values = np.zeros((len(known.vector), k), dtype=operator.value.dtype), np.zeros((len(sizes), k))
    targets = _Targets(found, ptr[:-1] * k, np.full(len(sizes), k), np.arange(len(sizes)) * k)
    failed = _solve(operator, ptr, known, np.flatnonzero(chosen), targets, vectors, values)
    if len(failed):
        dense = dense_eigenpairs(operator, ptr, k, known, failed)
        rows = np.isin(np.repeat(np.arange(len(sizes)), sizes), failed)
        vectors[rows], values[failed] = dense.vectors[rows], dense.values[failed]
    return Solved(vectors, values, mask)


def interleaved_spectrum(
    operator: Entries, ptr: Ints, known: KnownModes, graphs: Ints | None = None
) -> tuple[Floats, NDArray[Any]]:
    """All eigenpairs of each diagonal block.

    Arguments and result as in `graphpe.eigen.batched.eigh.dense_spectrum`. O(n^3) time; the memory of eight triangles.

    Args:
        operator: Hermitian and block diagonal.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        known: Modes that are taken out.
        graphs: Ids of the graphs to solve, the others come back empty; None for all.
    """
    sizes = np.diff(ptr)
    begin = np.cumsum(sizes**2) - sizes**2
    chosen = np.arange(len(sizes)) if graphs is None else graphs
    values, vectors = np.zeros(len(known.vector)), np.zeros(int((sizes**2).sum()), dtype=operator.value.dtype)
    targets = _Targets(sizes - known.count, begin + known.count, sizes, ptr[:-1] + known.count)
    wanted = chosen[targets.found[chosen] > 0]
    failed = _solve(operator, ptr, known, wanted, targets, vectors, values)
    if len(failed):
        dense_values, dense_vectors = dense_spectrum(operator, ptr, known, failed)
        for graph in failed.tolist():
            rows, pairs = slice(ptr[graph], ptr[graph + 1]), slice(begin[graph], begin[graph] + sizes[graph] ** 2)
            values[rows], vectors[pairs] = dense_values[rows], dense_vectors[pairs]
    return values, vectors


def _solve(
    operator: Entries,
    ptr: Ints,
    known: KnownModes,
    chosen: Ints,
    targets: _Targets,
    vectors: NDArray[Any],
    values: Floats,
) -> Ints:
    """Write the eigenpairs of the chosen blocks; which of them failed."""
    if not len(chosen):
        return chosen
    order = chosen if len(chosen) == 1 else chosen[np.argsort(np.diff(ptr)[chosen], kind="stable")]
    row, col, value, diagonal = operator
    entry_ptr = np.searchsorted(row, ptr)
    vectors, values = vectors.reshape(-1), values.reshape(-1)
    mode = known.vector.astype(value.dtype, copy=False)
    arguments = (
        row, col, _parts(value), _parts(diagonal), entry_ptr, ptr, _parts(mode), known.component, known.shift,
        order, *targets, _parts(vectors), values,
    )  # fmt: skip
    # On a few graphs these loops gain nothing over LAPACK, however often they are called.
    entries = int((np.diff(ptr)[order] ** 2).sum()) if len(order) >= LANES else 0
    if not is_ready(solve_groups, entries, WORTH_COMPILING, *arguments):
        return order
    solve_groups(*arguments)
    good = verify(row, col, value, diagonal, entry_ptr, ptr, order, *targets, vectors, values)
    return order[~good]


def _parts(array: NDArray[Any]) -> Floats:
    """The numbers as rows of their parts: `[..., 1]` real, or `[..., 2]` real and imaginary; shares memory."""
    return np.ascontiguousarray(array).view(np.float64).reshape(len(array), array.dtype.itemsize // 8)


@machine_code
def solve_groups(
    row: Ints,
    col: Ints,
    value: Floats,
    diagonal: Floats,
    entry_ptr: Ints,
    ptr: Ints,
    mode: Floats,
    component: Ints,
    shift: Floats,
    order: Ints,
    found: Ints,
    place: Ints,
    stride: Ints,
    first: Ints,
    vectors: Floats,
    values: Floats,
) -> None:
    """Solve the blocks `order` in groups of `LANES`; blocks that follow each other should be of similar size.

    Args:
        row: Row of each entry off the diagonal, ascending.
        col: Its column.
        value: Its parts, `[M, 1 or 2]`: real, and imaginary.
        diagonal: Parts of the diagonal, `[N, 1 or 2]`.
        entry_ptr: First entry of each block and, last, their number.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        mode: Parts of the known modes' vectors, `[N, 1 or 2]`.
        component: The support that each node belongs to, `[N]`.
        shift: Added to the eigenvalues of each block's known modes: above its spectrum, `[B]`.
        order: Blocks to solve.
        found: Eigenpairs that are wanted of each block.
        place: Where the block's vectors begin in `vectors`.
        stride: Distance from one row of its vectors to the next.
        first: Where its eigenvalues begin in `values`.
        vectors: Parts of the vectors, written.
        values: The eigenvalues, written.
    """
    parts = value.shape[1]
    rows, columns = 0, 0
    for g in order:
        rows, columns = max(rows, ptr[g + 1] - ptr[g]), max(columns, found[g])
    a, vector = empty_lanes(parts * (rows * (rows + 1) // 2)), empty_lanes(parts * rows * columns)
    real = vector if parts == 1 else empty_lanes(rows * columns)
    main, beside, tau, spectrum = empty_lanes(rows), empty_lanes(rows), empty_lanes(rows), empty_lanes(rows)
    square, phase, few = empty_lanes(rows + 1), empty_lanes(2 * rows), empty_lanes(4)
    scratch = empty_lanes(8 * rows + columns + 3)
    size, wanted, scale = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.ones(LANES)
    for start in range(0, len(order), LANES):
        group = order[start : start + LANES]
        for lane in range(LANES):
            size[lane], wanted[lane] = 0, 0
            if lane < len(group):
                g = group[lane]
                size[lane], wanted[lane] = ptr[g + 1] - ptr[g], found[g]
                scale[lane] = _scale(value, diagonal, shift[g], entry_ptr[g], entry_ptr[g + 1], ptr[g], ptr[g + 1])
                few[lane] = shift[g] * scale[lane]
        n, k = size.max(), wanted.max()
        _assemble_modes(mode, component, ptr, group, n, few, scratch, a)
        for lane in range(len(group)):
            g = group[lane]
            for x in range(entry_ptr[g], entry_ptr[g + 1]):
                i, j = row[x] - ptr[g], col[x] - ptr[g]
                if j <= i:
                    for part in range(parts):
                        a[LANES * (parts * (i * (i + 1) // 2 + j) + part) + lane] += value[x, part] * scale[lane]
            for i in range(size[lane]):
                a[LANES * parts * (i * (i + 3) // 2) + lane] += diagonal[ptr[g] + i, 0] * scale[lane]
        if parts == 1:
            tridiagonalise(a, n, main, beside, tau, scratch)
        else:
            tridiagonalise_complex(a, n, main, beside, tau, phase, scratch)
        eigenvalues(main, beside, size, n, spectrum, square, few)
        eigenvectors(main, beside, size, wanted, n, k, spectrum, real, scratch)
        if parts == 1:
            back_transform(a, n, tau, k, vector)
        else:
            back_transform_complex(a, n, tau, phase, k, real, vector)
        for lane in range(len(group)):
            g = group[lane]
            for j in range(wanted[lane]):
                values[first[g] + j] = spectrum[LANES * j + lane] / scale[lane]
            for i in range(size[lane]):
                for j in range(wanted[lane]):
                    for part in range(parts):
                        at = LANES * (parts * (j * n + i) + part) + lane
                        vectors[place[g] + i * stride[g] + j, part] = vector[at]


@machine_code
def _scale(
    value: Floats, diagonal: Floats, shift: float, first: int, last: int, first_row: int, last_row: int
) -> float:
    """A power of two that brings the largest entry near to 1."""
    largest = abs(shift)
    for x in range(first, last):
        for part in range(value.shape[1]):
            largest = max(largest, abs(value[x, part]))
    for i in range(first_row, last_row):
        largest = max(largest, abs(diagonal[i, 0]))
    return math.ldexp(1.0, -math.frexp(largest)[1])


@machine_code
def _assemble_modes(
    mode: Floats, component: Ints, ptr: Ints, group: Ints, n: int, shift: Any, scratch: Any, a: Any
) -> None:
    """Write shift z z^H of the mode z of every component; zeros elsewhere. `shift` is one element of lanes."""
    parts = mode.shape[1]
    owner = 2 * n
    for lane in range(LANES):
        for i in range(n):
            scratch[LANES * i + lane], scratch[LANES * (n + i) + lane], scratch[LANES * (owner + i) + lane] = 0, 0, -1
        if lane < len(group):
            begin = ptr[group[lane]]
            for i in range(ptr[group[lane] + 1] - begin):
                for part in range(parts):
                    scratch[LANES * (part * n + i) + lane] = mode[begin + i, part]
                scratch[LANES * (owner + i) + lane] = component[begin + i]
        else:
            shift[lane] = 0.0
    zero, top = full(0.0), load(shift, 0)
    at = 0
    for i in range(n):
        label, re, im = load(scratch, owner + i), top * load(scratch, i), top * load(scratch, n + i)
        for j in range(i + 1):
            same = load(scratch, owner + j) == label
            if parts == 1:
                store(a, at, select(same, re * load(scratch, j), zero))
            else:
                other_re, other_im = load(scratch, j), load(scratch, n + j)
                store(a, at, select(same, multiply_add(re, other_re, im * other_im), zero))
                store(a, at + 1, select(same, multiply_add(im, other_re, zero - re * other_im), zero))
            at += parts


@machine_code
def verify(
    row: Ints,
    col: Ints,
    value: NDArray[Any],
    diagonal: NDArray[Any],
    entry_ptr: Ints,
    ptr: Ints,
    order: Ints,
    found: Ints,
    place: Ints,
    stride: Ints,
    first: Ints,
    vectors: NDArray[Any],
    values: Floats,
) -> NDArray[np.bool_]:
    """Whether the eigenpairs of each block of `order` have small residuals and are orthonormal.

    Orthonormality is seen on one linear combination of the vectors with coefficients +1 and -1: O(n k).

    Args:
        row: Row of each entry off the diagonal, ascending.
        col: Its column.
        value: Its value.
        diagonal: The diagonal, `[N]`.
        entry_ptr: First entry of each block and, last, their number.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        order: Blocks that were solved.
        found: Eigenpairs that are wanted of each block.
        place: Where the block's vectors begin in `vectors`.
        stride: Distance from one row of its vectors to the next.
        first: Where its eigenvalues begin in `values`.
        vectors: The vectors.
        values: The eigenvalues.
    """
    good = np.zeros(len(order), np.bool_)
    columns = 0
    for g in order:
        columns = max(columns, found[g])
    residual, inner = np.empty(columns, value.dtype), np.empty(columns, value.dtype)
    sign = np.empty(columns)
    state = np.uint64(1)
    for j in range(columns):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        sign[j] = 1.0 if state >> np.uint64(63) else -1.0
    for index in range(len(order)):
        g = order[index]
        k, start, step, begin = found[g], place[g], stride[g], ptr[g]
        worst, norm = 0.0, 0.0
        for j in range(k):
            inner[j] = 0
        x = entry_ptr[g]
        for i in range(ptr[g + 1] - begin):
            own = start + i * step
            length = abs(diagonal[begin + i])
            combination = vectors[own] * 0
            for j in range(k):
                residual[j] = (diagonal[begin + i] - values[first[g] + j]) * vectors[own + j]
                combination += vectors[own + j] * sign[j]
            while x < entry_ptr[g + 1] and row[x] == begin + i:
                other = start + (col[x] - begin) * step
                for j in range(k):
                    residual[j] += value[x] * vectors[other + j]
                length += abs(value[x])
                x += 1
            norm = max(norm, length)
            for j in range(k):
                inner[j] += np.conj(vectors[own + j]) * combination
                square = residual[j].real ** 2 + residual[j].imag ** 2
                if not square <= worst:
                    worst = square
        skew = 0.0
        for j in range(k):
            square = abs(inner[j] - sign[j])
            if not square <= skew:
                skew = square
        good[index] = math.sqrt(worst) <= _RESIDUAL * norm and skew <= _ORTHOGONALITY
    return good
