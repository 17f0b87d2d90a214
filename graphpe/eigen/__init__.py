"""Eigensolvers for Hermitian operators on graphs."""

from __future__ import annotations

from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.result import Eigenpairs, EigenResult

__all__ = ["EigenResult", "Eigenpairs", "eigsh"]
