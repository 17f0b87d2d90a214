"""Reading an encoding from a batch, with an error that names the transform that writes it."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.models.batches.rows import check_rows

# The transform that writes each key by default, with the number of its columns filled in. The keys are the contract
# between transforms and models, which do not import each other.
_WRITERS = {
    "commute_time": "T.CommuteTimePE()",
    "cycle_pe": "T.CyclePE(max_length=...)",
    "degree_pe": "T.DegreePE(max_degree=...)",
    "depth_pe": "T.DepthPE(max_depth=...)",
    "diffusion_pe": "T.DiffusionPE(k={})",
    "directed_random_walk_pe": "T.DirectedRandomWalkPE(walk_length=...)",
    "electrostatic_pe": "T.ElectrostaticPE()",
    "gpse_pe": "T.GPSEPE()",
    "heat_kernel_pe": "T.HeatKernelPE(times=...)",
    "homomorphism_pe": "T.HomomorphismPE(patterns=...)",
    "hop_features": "T.HopFeatures(hops=..., features=...)",
    "laplacian_eigenvalues": "T.LaplacianPE(k={})",
    "laplacian_eigenvector_pe": "T.LaplacianPE(k={})",
    "laplacian_gap": "T.LaplacianPE(k={}, certificate=True)",
    "laplacian_mask": "T.LaplacianPE(k={})",
    "laplacian_residual": "T.LaplacianPE(k={}, certificate=True)",
    "magnetic_eigenvalues": "T.MagneticLaplacianPE(k={})",
    "magnetic_eigenvector_pe": "T.MagneticLaplacianPE(k={})",
    "magnetic_gap": "T.MagneticLaplacianPE(k={}, certificate=True)",
    "magnetic_mask": "T.MagneticLaplacianPE(k={})",
    "motif_pe": "T.MotifPE(motifs=...)",
    "magnetic_residual": "T.MagneticLaplacianPE(k={}, certificate=True)",
    "path_types": "T.EdgePathPE(max_distance=...)",
    "personalized_page_rank": "T.PersonalizedPageRankPE()",
    "random_walk_pe": "T.RandomWalkPE(walk_length={})",
    "reachability": "T.ReachabilityPE()",
    "resistance": "T.ResistancePE()",
    "rrwp": "T.RelativeRandomWalkPE(walk_length={})",
    "shortest_path": "T.ShortestPathPE(max_distance=...)",
    "spectral_coordinates": "T.SpectralCoordinates(k={})",
    "svd_pe": "T.SVDPE(k=...)",
    "tree_distance": "T.TreeDistancePE()",
    "tree_field_pe": "T.TreeFieldPE()",
    "tree_path_pe": "T.TreePathPE(max_depth={})",
    "weisfeiler_lehman_pe": "T.WeisfeilerLehmanPE(iterations=...)",
}

_OF_GRAPHS = ("_eigenvalues", "_mask", "_gap", "_residual")
ENCODING_KEYS = tuple(key for key in _WRITERS if not key.endswith(_OF_GRAPHS))
"""The keys that transforms write by default, without those beside eigenvectors."""


def read_encoding(
    batch: Data, key: str, channels: int, potentials: int = 1, *, level: Level = "node", rows: int | None = None
) -> Tensor:
    """`batch[key]`, `[rows, channels]`; an encoding `[rows, a, b]` has a b channels.

    An encoding at several potentials, `[rows, potentials, channels]`, comes back as `[rows, potentials * channels]`.

    Args:
        batch: The batch.
        key: Name of the encoding.
        channels: Columns that it is to have.
        potentials: Potentials that it is to have.
        level: What it has a row for: a node, an edge, a graph, or an ordered pair of nodes of one graph.
        rows: The number of these where the caller knows it.

    Raises:
        GraphPEValueError: If the batch has no tensor of that name, or one with another number of columns or rows.
    """
    value = getattr(batch, key, None)
    size = channels if potentials == 1 else f"{channels}, potentials={potentials}"
    writer = _WRITERS.get(key, "the transform that writes it").format(size)
    if not isinstance(value, Tensor):
        raise GraphPEValueError(f"batch has no `{key}`: add {writer} to the transforms")
    flat = value.flatten(1) if value.dim() > 2 else value
    other_split = potentials > 1 and value.dim() > 2 and value.shape[1] != potentials
    if flat.dim() != 2 or flat.shape[1] != potentials * channels or other_split:
        wanted = f"{channels} columns" if potentials == 1 else f"{potentials} potentials of {channels} columns"
        raise GraphPEValueError(
            f"batch.{key} has shape {list(value.shape)}, but the model was built for {wanted}: "
            f"use {writer}, or build the model for what the transform writes"
        )
    check_rows(batch, key, level, f"apply {writer} after that", rows)
    return flat
