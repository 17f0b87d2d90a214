"""Eigensolvers for Hermitian operators on graphs."""

from __future__ import annotations

from graphpe.eigen.result import Eigenpairs

__all__ = ["Eigenpairs"]
