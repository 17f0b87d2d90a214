"""Structural encodings as PyTorch Geometric transforms, thin over the functions of `graphpe`."""

from __future__ import annotations

from graphpe.transforms.compose import Compose
from graphpe.transforms.cycle_pe import CyclePE
from graphpe.transforms.degree_pe import DegreePE
from graphpe.transforms.gpse_pe import GPSEPE
from graphpe.transforms.laplacian_pe import LaplacianPE
from graphpe.transforms.magnetic_laplacian_pe import MagneticLaplacianPE
from graphpe.transforms.random_walk_pe import RandomWalkPE
from graphpe.transforms.spectral_coordinates import SpectralCoordinates
from graphpe.transforms.svd_pe import SVDPE
from graphpe.transforms.weisfeiler_lehman_pe import WeisfeilerLehmanPE

__all__ = [
    "GPSEPE",
    "SVDPE",
    "Compose",
    "CyclePE",
    "DegreePE",
    "LaplacianPE",
    "MagneticLaplacianPE",
    "RandomWalkPE",
    "SpectralCoordinates",
    "WeisfeilerLehmanPE",
]
