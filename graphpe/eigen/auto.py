"""Which solver for which operator: the one of the least estimated time.

The estimates were fitted to measurements on one core with k = 16 (real operators; complex ones take about three times
as long with each solver), seconds:

| graph | front | Dense | ShiftInvert | ChebyshevFilter | Lanczos |
|---|---|---|---|---|---|
| ring, n = 1e3 | 0 | 0.28 | 0.003 | | |
| grid, 1e3 | 47 | 0.4 | 0.009 | 0.030 | 0.17 |
| grid, 1e4 | 149 | | 0.075 | 0.082 | 2.7 |
| grid, 1e5 | 471 | | 1.5 | 2.0 | |
| nearest neighbours in the plane, 1e5 | 650 | | 1.5 | 4.8 | |
| grid in space, 3e4 | 733 | | 2.7 | 0.27 | 2.8 |
| Barabasi-Albert, 3e3 | 1209 | | 1.0 | 0.033 | 0.14 |
| Barabasi-Albert, 1e4 | 3408 | | | 0.25 | 1.6 |
"""

from __future__ import annotations

import math

from graphpe.eigen.fill import Fill, estimate_fill
from graphpe.eigen.operators import MatrixOperator
from graphpe.eigen.problem import Problem, Solver
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.shift_invert import ShiftInvert

# Dense matrices take their memory, too.
_MOST_DENSE = 10_000
# Of entries a row, where they are not known.
_ENTRIES = 10
# From this tolerance on, the filter works in single precision.
_SINGLE_FROM = 1e-7


def choose(problem: Problem) -> tuple[Solver, str]:
    """A solver, and why in one sentence."""
    operator, size = problem.operator, problem.size
    on_cpu = operator.device.type == "cpu"
    times: dict[Solver, float] = {}
    if size <= _MOST_DENSE or 2 * problem.k > size:
        times[Dense()] = _dense_time(size) if on_cpu else 0.1 * _dense_time(size)
    entries, dimension, front = _ENTRIES * size, 2.0, ""
    if isinstance(operator, MatrixOperator):
        matrix = operator.matrix
        entries = matrix.values().numel() if operator.is_sparse else size * size
        if operator.is_sparse and on_cpu and size > 1:
            fill = estimate_fill(matrix.crow_indices().numpy(), matrix.col_indices().numpy())
            times[ShiftInvert()] = _factor_time(size, problem.k, fill)
            dimension = _dimension(size, fill)
            front = f", whose factors would end in a dense block of about {fill.front} rows"
    if 4 * problem.k <= size:
        times[ChebyshevFilter()] = _filter_time(size, problem.k, entries, dimension, problem.tol)
    solver = min(times, key=lambda solver: times[solver])
    estimates = ", ".join(f"{type(solver).__name__} {seconds:.2g} s" for solver, seconds in times.items())
    return solver, f"of least estimated time for {size} rows{front} ({estimates})"


def _dense_time(size: int) -> float:
    return 1e-4 + 4e-10 * size**3


def _factor_time(size: int, k: int, fill: Fill) -> float:
    """Factors, and some solves with each entry of them for each eigenpair."""
    per_row = (0.5 + k / 32) * (4e-6 * size + 2e-5 * fill.core)
    return 1e-3 + per_row + 5e-9 * fill.front**3 + 1e-9 * size * k**2


def _dimension(size: int, fill: Fill) -> float:
    """Of a graph that falls apart by n^(1 - 1/d) nodes."""
    return 1 / max(1 - math.log(max(fill.front, 1)) / math.log(size), 0.05)


def _filter_time(size: int, k: int, entries: int, dimension: float, tol: float) -> float:
    """About 20 k (n / k)^(1 / d) products: the k-th eigenvalue of a d-dimensional mesh is as (k / n)^(2 / d)."""
    products = 20 * k * (size / k) ** (1 / dimension) * math.log(1 / tol) / math.log(1e6)
    per_entry = 4e-10 if tol >= _SINGLE_FROM else 1e-9
    return 0.015 + per_entry * products * entries + 1e-9 * size * k**2
