"""Effective resistances between chosen pairs of nodes, from sparse factors, or by conjugate gradients with a bound.

With one node of each component grounded, nodes are eliminated one after the other (`graphpe.spectra.resistance`:
positive numbers are added and multiplied, nothing is subtracted). A unit current into i and out of j is then followed
through the factors: R_ij = sum_k y_k^2 / d_k, where only the nodes between i, j and the root of the elimination are
met. Where the factors would fill up, each pair is solved by conjugate gradients between two bounds: potentials x give R
>= (x_i - x_j)^2 / x^T L x (Dirichlet), and the currents of x, whose defects a spanning tree carries away, dissipate R
or more (Thomson).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu
from torch import Tensor

from graphpe.compiled.jit import compiled, compiled_by_steps
from graphpe.eigen.fill import estimate_fill, is_fill_worth_it
from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds, current
from graphpe.pairs.asked import Asked, asked_pairs, in_threads, thread_count
from graphpe.pairs.path_lengths import component_of_nodes
from graphpe.spectra.resistance import DISCONNECTED
from graphpe.structure.adjacency import Adjacency, Floats, Ints, rows_of, symmetric_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan

ACCURACY = 1e-6
"""The relative error that is allowed where factors would fill up; otherwise it is that of rounding."""

# Measured on one core: an operation of the elimination, an entry of the factors for one pair, and one of the matrix for
# an iteration.
_ELIMINATE_SECONDS, _ENTRY_SECONDS, _ITERATE_SECONDS = 1e-9, 2e-9, 2e-9
_FRONT_SECONDS = 5e-10
_FACTOR_BYTES, _NODE_BYTES = 40.0, 64
_MOST_ITERATIONS, _CHECKED = 100_000, 8
_LARGE = 20_000  # smaller graphs are factored without looking at them first


def asked_resistances(graphs: PackedGraphs | Plan, pairs: Tensor | Asked) -> Tensor:
    """The effective resistance between i and j, for chosen pairs (i, j): see `graphpe.spectra.resistance`.

    Values are those of `effective_resistances` at these pairs: to rounding where factors are sparse (paths, grids,
    meshes, roads; time O(fill) once and O(its share above i and j) a pair), and within `ACCURACY` of it, which two
    bounds enclose, where they are not (O(E) an iteration and pair). Memory O(N + E + fill).

    Args:
        graphs: The graphs, or a plan that shares their work.
        pairs: `[2, P]`: i and j, ids counted over all graphs, nodes of one graph; or what `asked_pairs` returns for
            them.

    Returns:
        `[P]` float64, on the device of the graphs; `DISCONNECTED`, -1, for nodes of different components.

    Raises:
        GraphPETypeError: `pairs` are no tensor of integers.
        GraphPEValueError: Pairs that are not there, weights that are negative or not finite, or more time or memory
            than `graphpe.limits` allow.
        GraphPERuntimeError: Weights are so far apart that conjugate gradients do not converge.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    asked = asked_pairs(pairs, plan.graphs)
    matrix: Adjacency = plan.once(symmetric_adjacency)
    component = plan.once(component_of_nodes)
    out = np.where(asked.source == asked.target, 0.0, DISCONNECTED)
    joined = np.flatnonzero((component[asked.source] == component[asked.target]) & (asked.source != asked.target))
    owner = np.searchsorted(plan.graphs.host_ptr, asked.source[joined], side="right") - 1
    inside = _Part(matrix, component, plan.graphs.host_ptr, np.unique(owner))
    if len(joined):
        out[joined] = inside.solve(asked.source[joined], asked.target[joined])
    return torch.from_numpy(out[asked.place]).to(plan.graphs.device)


def asked_commute_times(graphs: PackedGraphs | Plan, pairs: Tensor | Asked) -> Tensor:
    """The expected number of steps of a random walk from i to j and back, for chosen pairs: C_ij = vol R_ij.

    See `graphpe.spectra.resistance.commute_times`; arguments, result and errors as in `asked_resistances`.

    Args:
        graphs: The graphs, or a plan that shares their work.
        pairs: `[2, P]`: i and j.
    """
    plan = Plan.of(graphs)
    check_weights(plan.graphs)
    asked = asked_pairs(pairs, plan.graphs)
    resistance = asked_resistances(plan, asked).numpy(force=True)
    matrix: Adjacency = plan.once(symmetric_adjacency)
    component = plan.once(component_of_nodes)
    volume = np.bincount(component[rows_of(matrix)], matrix.weight, minlength=int(component.max(initial=0)) + 1)
    at = component[asked.source[asked.place]]
    times = np.where(resistance == DISCONNECTED, DISCONNECTED, volume[at] * resistance)
    return torch.from_numpy(times).to(plan.graphs.device)


class _Part:
    """The graphs that pairs are asked of, as one matrix without self-loops."""

    def __init__(self, matrix: Adjacency, component: Ints, ptr: Ints, graphs: Ints) -> None:
        nodes = np.zeros(len(matrix.indptr) - 1, dtype=bool)
        for graph in graphs.tolist() if len(graphs) < len(ptr) - 1 else ():
            nodes[ptr[graph] : ptr[graph + 1]] = True
        self.nodes = np.flatnonzero(nodes) if len(graphs) < len(ptr) - 1 else np.arange(len(nodes))
        size = len(nodes)
        whole = csr_array((matrix.weight, matrix.indices, matrix.indptr), shape=(size, size))
        part = whole if len(self.nodes) == size else whole[self.nodes][:, self.nodes]
        row, column, weight = part.tocoo().row, part.tocoo().col, part.tocoo().data
        kept = row != column
        self.size = len(self.nodes)
        self.weights = csr_array((weight[kept], (row[kept], column[kept])), shape=(self.size, self.size))
        self.component = np.unique(component[self.nodes], return_inverse=True)[1]

    def solve(self, source: Ints, target: Ints) -> Floats:
        """Resistances between different nodes of one component each."""
        source, target = np.searchsorted(self.nodes, source), np.searchsorted(self.nodes, target)
        if self.factors_are_sparse():
            return self.by_factors(source, target)
        return self.by_iterations(source, target)

    def factors_are_sparse(self) -> bool:
        """Whether the estimated fill is within the limits."""
        indptr, indices = self.weights.indptr.astype(np.int64), self.weights.indices.astype(np.int64)
        if self.size < _LARGE or not is_fill_worth_it(indptr, indices):
            return True
        front = float(estimate_fill(indptr, indices).front)
        fits = _FACTOR_BYTES * front**2 / 2 < current().pair_limit
        return fits and _FRONT_SECONDS * front**3 < current().seconds / 2

    def by_factors(self, source: Ints, target: Ints) -> Floats:
        """Resistances from factors."""
        degree = np.diff(self.weights.indptr)
        # The node of each component with the most neighbours is grounded.
        ranked = np.lexsort((degree, self.component))
        ground = np.zeros(self.size, dtype=bool)
        ground[ranked[np.append(np.flatnonzero(np.diff(self.component[ranked])), self.size - 1)]] = True
        free = np.flatnonzero(~ground)
        ones = csr_array((np.ones(self.weights.nnz), self.weights.indices, self.weights.indptr), self.weights.shape)
        # Only where the factors fill up is taken from this; conductances of 1 keep it from under- and overflow.
        unit = (diags_array(degree[free].astype(float)) - ones[free][:, free]).tocsc()
        unit.indices, unit.indptr = unit.indices.astype(np.int32), unit.indptr.astype(np.int32)
        factors = splu(unit, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        lower = factors.L.tocsc()
        lower.sort_indices()
        order = np.append(free[np.argsort(factors.perm_c)], np.flatnonzero(ground))
        del factors
        inner = len(free)
        below = lower.indices != np.repeat(np.arange(inner), np.diff(lower.indptr))
        start = (lower.indptr - np.arange(inner + 1)).astype(np.int64)
        row = lower.indices[below].astype(np.int64)
        del lower
        counts = np.diff(start)
        place = np.empty(self.size, np.int64)
        place[order] = np.arange(self.size)
        moved = self.weights[order][:, order].tocsr()
        moved.sort_indices()
        arrays = moved.indptr.astype(np.int64), moved.indices.astype(np.int64), moved.data
        above = _elimination_tree(arrays[0], arrays[1], inner)
        path = _path_entries(above, counts)
        ends = np.append(path, np.zeros(self.size - inner))
        entries = float(ends[place[source]].sum() + ends[place[target]].sum())
        operations = float((counts.astype(float) ** 2).sum()) / 2
        seconds = _ELIMINATE_SECONDS * operations + _ENTRY_SECONDS * entries
        memory = _FACTOR_BYTES * len(row) + _NODE_BYTES * self.size * thread_count(len(source))
        check_seconds(
            f"effective resistances of {len(source):,} pairs", self.size, seconds, memory, "ask for fewer pairs"
        )
        entry, pivot = _eliminate(*arrays, start, row, inner, operations)
        found = np.zeros(len(source))
        ends_of = place[source], place[target]

        def run(first: int, last: int) -> None:
            _follow(first, last, *ends_of, start, row, entry, pivot, above, entries, found)

        in_threads(run, len(source), _ENTRY_SECONDS * entries)
        return found

    def by_iterations(self, source: Ints, target: Ints) -> Floats:
        """Resistances by conjugate gradients; the first pair tells what all of them take."""
        indptr, indices = self.weights.indptr.astype(np.int64), self.weights.indices.astype(np.int64)
        arrays = indptr, indices, self.weights.data
        found = np.zeros(len(source))
        steps = np.zeros(len(source), dtype=np.int64)
        effort = float(len(indices))

        def run(first: int, last: int) -> None:
            _iterate(first, last, source, target, *arrays, ACCURACY, most, effort, found, steps)

        what = f"effective resistances of {len(source):,} pairs within {ACCURACY:g}"
        memory = _NODE_BYTES * self.size * thread_count(len(source)) + 24.0 * len(indices)
        each = _ITERATE_SECONDS * (len(indices) + 8 * self.size)
        instead = "ask for fewer pairs"
        # Ten iterations a pair are the least; the first pair may take all the time that there is.
        check_seconds(what, self.size, 10 * each * len(source), memory, instead)
        most = int(min(_MOST_ITERATIONS, max(current().seconds / each, 10)))
        run(0, 1)
        check_seconds(what, self.size, float(steps[0]) * each * len(source), memory, instead)
        in_threads(lambda first, last: run(first + 1, last + 1), len(source) - 1, 1.0)
        if (found < 0).any():
            p = int(np.argmax(found < 0))
            raise GraphPERuntimeError(
                f"the resistance between nodes {self.nodes[source[p]]} and {self.nodes[target[p]]} is not within "
                f"{ACCURACY:g} after {most:,} iterations: make weights more alike, or allow more time, "
                "`with graphpe.limits(seconds=...):`"
            )
        return found


@compiled
def _elimination_tree(indptr: Ints, indices: Ints, inner: int) -> Ints:
    """The next node that the elimination of each of the first `inner` nodes reaches; -1 for none."""
    above, oldest = np.full(inner, -1, np.int64), np.full(inner, -1, np.int64)
    for k in range(inner):
        for e in range(indptr[k], indptr[k + 1]):
            i = indices[e]
            while i < k and i >= 0:
                following = oldest[i]
                oldest[i] = k
                if following < 0:
                    above[i] = k
                i = following if following >= 0 else k
    return above


@compiled
def _path_entries(above: Ints, counts: Ints) -> Floats:
    """Entries of the columns between each node and its root."""
    out = np.zeros(len(above))
    for k in range(len(above) - 1, -1, -1):
        out[k] = counts[k] + 1.0 + (out[above[k]] if above[k] >= 0 else 0.0)
    return out


@compiled_by_steps(lambda *arguments: arguments[-1])
def _eliminate(
    indptr: Ints, indices: Ints, weight: Floats, start: Ints, row: Ints, inner: int, effort: float
) -> tuple[Floats, Floats]:
    """Shares of the current that each eliminated node passes on, below the diagonal, and its conductance to the rest.

    Column after column; those that add to a column wait in a list of the node that is their next row.
    """
    entry, pivot = np.zeros(len(row)), np.zeros(inner)
    to_ground = np.zeros(inner)
    collected = np.zeros(inner)
    first, following = np.full(inner, -1, np.int64), np.full(inner, -1, np.int64)
    at = start[:-1].copy()
    for k in range(inner):
        grounded = 0.0
        for e in range(indptr[k], indptr[k + 1]):
            if indices[e] >= inner:
                grounded += weight[e]
            elif indices[e] > k:
                collected[indices[e]] = weight[e]
        p = first[k]
        while p >= 0:
            waiting = following[p]
            share = entry[at[p]]
            conductance = share * pivot[p]
            grounded += share * to_ground[p]
            at[p] += 1
            for e in range(at[p], start[p + 1]):
                collected[row[e]] += conductance * entry[e]
            if at[p] < start[p + 1]:
                following[p], first[row[at[p]]] = first[row[at[p]]], p
            p = waiting
        total = grounded
        for e in range(start[k], start[k + 1]):
            total += collected[row[e]]
        pivot[k], to_ground[k] = total, grounded
        for e in range(start[k], start[k + 1]):
            entry[e] = collected[row[e]] / total
            collected[row[e]] = 0.0
        if start[k] < start[k + 1]:
            following[k], first[row[start[k]]] = first[row[start[k]]], k
    return entry, pivot


@compiled_by_steps(lambda *arguments: arguments[-2])
def _follow(
    first: int,
    last: int,
    source: Ints,
    target: Ints,
    start: Ints,
    row: Ints,
    entry: Floats,
    pivot: Floats,
    above: Ints,
    entries: float,
    out: Floats,
) -> None:
    """Follow unit currents of the pairs `first` to `last` to the ground: the last nodes of the elimination."""
    inner = len(pivot)
    current_in = np.zeros(inner)
    for pair in range(first, last):
        a, b = source[pair], target[pair]
        if a < inner:
            current_in[a] = 1.0
        if b < inner:
            current_in[b] = -1.0
        a, b = a if a < inner else -1, b if b < inner else -1
        total = 0.0
        while a >= 0 or b >= 0:
            k = a if b < 0 or (a >= 0 and a < b) else b
            value = current_in[k]
            current_in[k] = 0.0
            total += value / pivot[k] * value
            for e in range(start[k], start[k + 1]):
                current_in[row[e]] += entry[e] * value
            both = a == b
            if k == a:
                a = above[k]
            if k == b or both:
                b = above[k]
        out[pair] = total


@compiled_by_steps(lambda *arguments: 100 * arguments[-3])
def _iterate(
    first: int,
    last: int,
    source: Ints,
    target: Ints,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    accuracy: float,
    most: int,
    effort: float,
    out: Floats,
    steps: Ints,
) -> None:
    """Conjugate gradients with the degrees as preconditioner, for the pairs `first` to `last`; -1 where they fail."""
    size = len(indptr) - 1
    strength = np.zeros(size)
    for u in range(size):
        for e in range(indptr[u], indptr[u + 1]):
            strength[u] += weight[e]
    members, above, through = np.empty(size, np.int64), np.full(size, -2, np.int64), np.zeros(size)
    count = 0
    x, r, d, product, carried = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    for pair in range(first, last):
        i, j = source[pair], target[pair]
        if above[i] == -2:  # another component: a spanning tree by breadth
            above[:] = -2
            members[0], above[i], count, head = i, -1, 1, 0
            while head < count:
                u = members[head]
                head += 1
                for e in range(indptr[u], indptr[u + 1]):
                    v = indices[e]
                    if above[v] == -2:
                        above[v], through[v] = u, weight[e]
                        members[count] = v
                        count += 1
        nodes = members[:count]
        for u in nodes:
            x[u], r[u], d[u] = 0.0, 0.0, 0.0
        r[i], r[j] = 1.0, -1.0
        squared = 1.0 / strength[i] + 1.0 / strength[j]
        d[i], d[j] = 1.0 / strength[i], -1.0 / strength[j]
        out[pair], done = -1.0, 0
        while done < most:
            done += 1
            curved = 0.0
            for u in nodes:
                value = strength[u] * d[u]
                for e in range(indptr[u], indptr[u + 1]):
                    value -= weight[e] * d[indices[e]]
                product[u] = value
                curved += value * d[u]
            if curved <= 0.0:
                break
            step = squared / curved
            after = 0.0
            for u in nodes:
                x[u] += step * d[u]
                r[u] -= step * product[u]
                after += r[u] * r[u] / strength[u]
            if done % _CHECKED == 0 or done == most or after == 0.0:
                low, high = _bounds(i, j, indptr, indices, weight, strength, nodes, above, through, x, carried)
                if high - low <= accuracy * low:
                    out[pair] = 0.5 * (low + high)
                    break
            ratio = after / squared
            squared = after
            for u in nodes:
                d[u] = r[u] / strength[u] + ratio * d[u]
        steps[pair] = done


@compiled
def _bounds(
    i: int,
    j: int,
    indptr: Ints,
    indices: Ints,
    weight: Floats,
    strength: Floats,
    nodes: Ints,
    above: Ints,
    through: Floats,
    x: Floats,
    carried: Floats,
) -> tuple[float, float]:
    """Bounds of the resistance from potentials: see the module's text."""
    energy, defect = 0.0, 0.0
    for u in nodes:
        value = strength[u] * x[u]
        for e in range(indptr[u], indptr[u + 1]):
            value -= weight[e] * x[indices[e]]
        carried[u] = (1.0 if u == i else 0.0) - (1.0 if u == j else 0.0) - value
        energy += value * x[u]
        defect += carried[u] * x[u]
    low = (x[i] - x[j]) ** 2 / energy if energy > 0 else 0.0
    lost = 0.0
    for place in range(len(nodes) - 1, 0, -1):
        u = nodes[place]
        lost += carried[u] * carried[u] / through[u]
        carried[above[u]] += carried[u]
    return low, energy + 2.0 * defect + lost
