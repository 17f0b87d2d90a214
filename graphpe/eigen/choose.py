"""Which solver for which operator: the one of the least estimated time.

On another device than a CPU there are `Dense`, assumed to be ten times as quick there (not measured),
`ChebyshevFilter`, and, where cuDSS is installed, `ShiftInvert`; Lanczos vectors one at a time are the host's. Filters
and factors are compared by their seconds on a host, none being measured on a device: what decides is how much the
factors fill up.

The estimates were fitted to measurements on one core with k = 16, seconds:

| graph | front | Dense | ShiftInvert | ChebyshevFilter | PartialLanczos |
|---|---|---|---|---|---|
| ring, n = 1e3 | 0 | 0.28 | 0.003 | | |
| grid, 1e3 | 46 | 0.4 | 0.009 | 0.011 | 0.019 |
| grid, 1e4 | 149 | | 0.091 | 0.11 | 0.19 |
| grid, 1e5 | 471 | | 2.0 | 3.9 | |
| nearest neighbours in the plane, 1e5 | 865 | | 2.2 | 7.0 | 6.4 |
| grid in space, 1e4 | 409 | | 0.45 | 0.095 | 0.18 |
| grid in space, 1e5 | 1669 | | | 1.6 | 4.3 |
| Barabasi-Albert, 1e3 | 320 | | 0.089 | 0.013 | 0.013 |
| Barabasi-Albert, 1e4 | 2892 | | | 0.15 | 0.14 |
| Barabasi-Albert, 1e5 | 38294 | | | 5.9 | 4.1 |
| random digraph (complex), 1e4 | 4173 | | | 0.42 | 0.30 |
| random digraph (complex), 1e5 | 37742 | | | 12 | 4.5 |
"""

from __future__ import annotations

import logging
import math

from graphpe.eigen.factors import cudss
from graphpe.eigen.fill import Fill, estimate_fill, is_fill_worth_it
from graphpe.eigen.operators.base import MatrixOperator
from graphpe.eigen.operators.problem import Problem, Solver
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.partial_lanczos import PartialLanczos
from graphpe.eigen.solvers.shift_invert import ShiftInvert
from graphpe.limits import format_seconds

# Dense matrices take their memory, too.
_MOST_DENSE = 10_000
# Of entries a row, where they are not known.
_ENTRIES = 10
# From this tolerance on, the filter works in single precision.
_SINGLE_FROM = 1e-8
# Expanders end where grids in space do: at the edge of their spectrum, eigenvalues are as dense.
_MOST_DIMENSIONS = 3.0
_COMPLEX = 2.5  # products of complex numbers, in those of real ones
_LONG = 60.0  # seconds from which on one should know before


def choose(problem: Problem, factors: bool = True) -> tuple[Solver, str]:
    """A solver, and why in one sentence. One that will take minutes says so, as a warning of the logger `graphpe`.

    Args:
        problem: The operator and the eigenpairs that are wanted of it.
        factors: Whether `ShiftInvert` may be chosen.
    """
    operator, size, k = problem.operator, problem.size, problem.k
    on_cpu = operator.device.type == "cpu"
    factor = _COMPLEX if operator.dtype.is_complex else 1.0
    times: dict[Solver, float] = {}
    if size <= _MOST_DENSE or 4 * k > size:
        times[Dense()] = factor * (_dense_time(size) if on_cpu else 0.1 * _dense_time(size))
    entries, dimension, front = _ENTRIES * size, 2.0, ""
    if isinstance(operator, MatrixOperator):
        matrix = operator.matrix
        entries = matrix.values().numel() if operator.is_sparse else size * size
        if operator.is_sparse and (on_cpu or cudss.is_there(operator.device)) and size > 1:
            structure = matrix.crow_indices().numpy(force=True), matrix.col_indices().numpy(force=True)
            if Dense() in times and not is_fill_worth_it(*structure):
                return Dense(), f"as {size} rows are too few to compile the others for"
            fill = estimate_fill(*structure)
            if factors:
                times[ShiftInvert()] = factor * _factor_time(size, k, fill)
            dimension = _dimension(size, fill)
            front = f", whose factors would end in a dense block of about {fill.front} rows"
    if 4 * k <= size:
        times[ChebyshevFilter()] = factor * _filter_time(size, k, entries, dimension, problem.tol)
        if on_cpu:
            times[PartialLanczos()] = factor * _lanczos_time(size, k, entries, dimension, problem.tol)
    solver = min(times, key=lambda solver: times[solver])
    if times[solver] > _LONG:
        logging.getLogger("graphpe").warning(
            "%d eigenpairs of %s rows (%s entries) will take %s by %s on one core of 2020",
            *(k, f"{size:,}", f"{entries:,}", format_seconds(times[solver]), type(solver).__name__),
        )
    estimates = ", ".join(f"{type(solver).__name__} {seconds:.2g} s" for solver, seconds in times.items())
    where = "" if on_cpu else f" on {operator.device.type}"
    return solver, f"of least estimated time for {size} rows{where}{front} ({estimates})"


def _dense_time(size: int) -> float:
    return 1e-4 + 4e-10 * size**3


def _factor_time(size: int, k: int, fill: Fill) -> float:
    """Factors, and some solves with each entry of them for each eigenpair."""
    solves = (0.5 + k / 32) * 4e-6 * (size + fill.core)
    return 1e-3 + solves + 2e-9 * fill.front**3 + 1e-9 * size * k**2


def _dimension(size: int, fill: Fill) -> float:
    """Of a graph that falls apart by n^(1 - 1/d) nodes."""
    return 1 / max(1 - math.log(max(fill.front, 1)) / math.log(size), 0.05)


def _filter_time(size: int, k: int, entries: int, dimension: float, tol: float) -> float:
    """Products as k (n / k)^(1 / d): the k-th eigenvalue of a d-dimensional mesh is as (k / n)^(2 / d)."""
    factor = 10 * min(max(dimension, 2.0), 4.0)
    products = factor * k * (size / k) ** (1 / min(dimension, _MOST_DIMENSIONS)) * _digits(tol)
    per_entry = (3.2e-10 if tol >= _SINGLE_FROM else 6e-10) * (1 + _far(size, dimension))
    return 0.012 + per_entry * products * entries + 1e-9 * size * k**2


def _lanczos_time(size: int, k: int, entries: int, dimension: float, tol: float) -> float:
    """Products as n^(1 / d), each with a few passes over the basis of 5 k vectors."""
    factor = 14 + 32 * max(dimension - 2, 0) if dimension <= _MOST_DIMENSIONS else 34
    products = factor * (k / 16) ** 0.5 * size ** (1 / min(dimension, _MOST_DIMENSIONS)) * _digits(tol)
    return 0.004 + products * (2e-5 + 6e-10 * (1 + 2 * _far(size, dimension)) * entries + 4e-10 * size * k)


def _digits(tol: float) -> float:
    return math.log(1 / tol) / math.log(1e6)


def _far(size: int, dimension: float) -> float:
    """How much longer an entry takes where neighbours are far apart in memory, and vectors fit in no cache."""
    return min(size / 1e5, 3.0) * (1.2 if dimension > _MOST_DIMENSIONS else 0.5)
