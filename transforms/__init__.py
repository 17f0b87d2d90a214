"""Structural encodings as PyTorch Geometric transforms, thin over the functions of `graphpe`."""

from __future__ import annotations

from graphpe.transforms.compose import Compose
from graphpe.transforms.laplacian_pe import LaplacianPE
from graphpe.transforms.magnetic_laplacian_pe import MagneticLaplacianPE
from graphpe.transforms.random_walk_pe import RandomWalkPE

__all__ = ["Compose", "LaplacianPE", "MagneticLaplacianPE", "RandomWalkPE"]
