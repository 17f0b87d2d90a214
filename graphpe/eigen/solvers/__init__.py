"""Solvers for one operator: a frozen dataclass a file, each with `solve(problem) -> Found`."""

from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.lanczos import Lanczos
from graphpe.eigen.solvers.lobpcg import LOBPCG
from graphpe.eigen.solvers.partial_lanczos import PartialLanczos
from graphpe.eigen.solvers.preconditioners import AMG, ChebyshevPolynomial, Jacobi
from graphpe.eigen.solvers.shift_invert import ShiftInvert

__all__ = [
    "AMG",
    "LOBPCG",
    "ChebyshevFilter",
    "ChebyshevPolynomial",
    "Dense",
    "Jacobi",
    "Lanczos",
    "PartialLanczos",
    "ShiftInvert",
]
