"""Solvers for one operator: a frozen dataclass a file, each with `solve(problem) -> Found`."""
