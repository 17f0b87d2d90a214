"""Structural encodings as PyTorch Geometric transforms, thin over the functions of `graphpe`."""

from __future__ import annotations

from graphpe.transforms.commute_time_pe import CommuteTimePE
from graphpe.transforms.compose import Compose
from graphpe.transforms.cycle_pe import CyclePE
from graphpe.transforms.degree_pe import DegreePE
from graphpe.transforms.depth_pe import DepthPE
from graphpe.transforms.diffusion_pe import DiffusionPE
from graphpe.transforms.directed_random_walk_pe import DirectedRandomWalkPE
from graphpe.transforms.edge_path_pe import EdgePathPE
from graphpe.transforms.electrostatic_pe import ElectrostaticPE
from graphpe.transforms.gpse_pe import GPSEPE
from graphpe.transforms.heat_kernel_pe import HeatKernelPE
from graphpe.transforms.laplacian_pe import LaplacianPE
from graphpe.transforms.magnetic_laplacian_pe import MagneticLaplacianPE
from graphpe.transforms.personalized_page_rank_pe import PersonalizedPageRankPE
from graphpe.transforms.random_walk_pe import RandomWalkPE
from graphpe.transforms.reachability_pe import ReachabilityPE
from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE
from graphpe.transforms.resistance_pe import ResistancePE
from graphpe.transforms.shortest_path_pe import ShortestPathPE
from graphpe.transforms.spectral_coordinates import SpectralCoordinates
from graphpe.transforms.svd_pe import SVDPE
from graphpe.transforms.tree_distance_pe import TreeDistancePE
from graphpe.transforms.tree_field_pe import TreeFieldPE
from graphpe.transforms.weisfeiler_lehman_pe import WeisfeilerLehmanPE

__all__ = [
    "GPSEPE",
    "SVDPE",
    "CommuteTimePE",
    "Compose",
    "CyclePE",
    "DegreePE",
    "DepthPE",
    "DiffusionPE",
    "DirectedRandomWalkPE",
    "EdgePathPE",
    "ElectrostaticPE",
    "HeatKernelPE",
    "LaplacianPE",
    "MagneticLaplacianPE",
    "PersonalizedPageRankPE",
    "RandomWalkPE",
    "ReachabilityPE",
    "RelativeRandomWalkPE",
    "ResistancePE",
    "ShortestPathPE",
    "SpectralCoordinates",
    "TreeDistancePE",
    "TreeFieldPE",
    "WeisfeilerLehmanPE",
]
