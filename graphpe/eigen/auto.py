"""Which solver for which operator."""

from __future__ import annotations

from graphpe.eigen.problem import Problem, Solver
from graphpe.eigen.solvers.dense import Dense


def choose(problem: Problem) -> tuple[Solver, str]:
    """A solver, and why in one sentence."""
    return Dense(), f"n = {problem.size} is small"
