from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T


def _random_graph(seed: int, *, weighted: bool = False, undirected: bool = False) -> Data:
    """A graph with features; parallel edges, self-loops and isolated nodes included unless it is undirected."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 14))
    edges = rng.integers(0, n, (2, int(rng.integers(0, 2 * n))))
    if undirected:
        upper = np.unique(np.sort(edges[:, edges[0] != edges[1]], axis=0), axis=1)
        edges = np.concatenate([upper, upper[::-1]], axis=1)
    data = Data(
        x=torch.from_numpy(rng.standard_normal((n, 2))),
        edge_index=torch.from_numpy(edges),
        edge_attr=torch.from_numpy(rng.standard_normal((edges.shape[1], 3))),
        y=torch.tensor([[float(seed % 7)]]),
    )
    if weighted:
        data.edge_weight = torch.from_numpy(rng.uniform(0.1, 3, edges.shape[1]))
    return data


@pytest.fixture(scope="session")
def random_graph() -> Callable[..., Data]:
    return _random_graph


TRANSFORMS = {
    "laplacian": lambda: T.LaplacianPE(4),
    "laplacian comb": lambda: T.LaplacianPE(3, normalization="comb", sign="canonical", drop_zero_modes=False),
    "laplacian rw": lambda: T.LaplacianPE(5, normalization="rw", sign="none", attr_name="rw_pe"),
    "laplacian scaled": lambda: T.LaplacianPE(3, scaling="wavelength-asin", sign="none"),
    "laplacian, certified": lambda: T.LaplacianPE(3, sign="map", certificate=True, attr_name="sure"),
    "magnetic": lambda: T.MagneticLaplacianPE(4),
    "magnetic comb": lambda: T.MagneticLaplacianPE(6, q=0.25, relative_q=False, normalization="comb", sign="canonical"),
    "magnetic rw": lambda: T.MagneticLaplacianPE(2, normalization="rw", sign="none", attr_name="m_pe"),
    "magnetic, three potentials": lambda: T.MagneticLaplacianPE(3, potentials=3, attr_name="multi_pe"),
    "magnetic, certified": lambda: T.MagneticLaplacianPE(2, potentials=2, sign="map", certificate=True),
    "coordinates": lambda: T.SpectralCoordinates(3),
    "singular": lambda: T.SVDPE(3),
    "degree": lambda: T.DegreePE(),
    "degree, counted": lambda: T.DegreePE(max_degree=3, attr_name="counts"),
    "colours": lambda: T.WeisfeilerLehmanPE(3, num_colours=64),
    "cycles": lambda: T.CyclePE(4),
    "closed walks": lambda: T.CyclePE(5, kind="walks"),
    "homomorphisms": lambda: T.HomomorphismPE(["Trees(4)", "Cycles(5)", {"edges": [(0, 1), (1, 2)], "root": 1}]),
    "homomorphisms, weighted": lambda: T.HomomorphismPE(
        "Clique(3)", weights="inverse_degree", scale="none", attr_name="returns"
    ),
    "motifs": lambda: T.MotifPE("Connected(4)", scale="none"),
    "motifs, induced": lambda: T.MotifPE("Connected(4)", induced=True, attr_name="graphlets"),
    "heat": lambda: T.HeatKernelPE([0.5, 2.0]),
    "heat of pairs": lambda: T.HeatKernelPE([1.0], level="pair", normalization="rw"),
    "diffusion": lambda: T.DiffusionPE(3, kernel="ppr"),
    "diffusion of pairs": lambda: T.DiffusionPE(kernel="p-step", level="pair", attr_name="steps"),
    "electrostatic": lambda: T.ElectrostaticPE(),
    "relative walks": lambda: T.RelativeRandomWalkPE(4),
    "relative walks, undirected": lambda: T.RelativeRandomWalkPE(3, undirected=True, attr_name="both_ways"),
    "directed walks": lambda: T.DirectedRandomWalkPE(2),
    "directed walks of pairs": lambda: T.DirectedRandomWalkPE(2, level="pair", ppr=0.3),
    "PageRank": lambda: T.PersonalizedPageRankPE(0.2),
    "hops": lambda: T.ShortestPathPE(),
    "hops, cut": lambda: T.ShortestPathPE(3, undirected=False),
    "lengths": lambda: T.ShortestPathPE(weighted=True),
    "resistance": lambda: T.ResistancePE(),
    "commute time": lambda: T.CommuteTimePE(),
    "reachability": lambda: T.ReachabilityPE(),
    "depth": lambda: T.DepthPE(),
    "depth, cut": lambda: T.DepthPE(2, path="shortest"),
    "height": lambda: T.DepthPE(direction="leaves", attr_name="height"),
    "tree fields": lambda: T.TreeFieldPE(fields=["ones", "degree"], random_fields=2, eigenvalues=3),
    "tree fields, weighted": lambda: T.TreeFieldPE(["Gaussian(2.0) * Cosine(0.5)"], weighted=True, attr_name="near"),
    "tree fields, random": lambda: T.TreeFieldPE(["Table([0, 1])"], tree="random", num_trees=3, attr_name="drawn"),
    "tree fields, hierarchical": lambda: T.TreeFieldPE(tree="hierarchical", shape=True, attr_name="clusters"),
    "hops of ones": lambda: T.HopFeatures(3),
    "hops of features": lambda: T.HopFeatures(2, attr_name="around"),
    "tree paths": lambda: T.TreePathPE(3, max_children=2),
    "tree paths, by colour": lambda: T.TreePathPE(4, order="colour", attr_name="way"),
    "tree distances": lambda: T.TreeDistancePE(),
    "tree distances, cut": lambda: T.TreeDistancePE(3, tree="shortest", attr_name="near_in_tree"),
    "walk": lambda: T.RandomWalkPE(5),
    "walk undirected": lambda: T.RandomWalkPE(4, undirected=True),
    "compose": lambda: T.Compose([T.LaplacianPE(3), T.MagneticLaplacianPE(2), T.RandomWalkPE(4)]),
}


@pytest.fixture(params=list(TRANSFORMS))
def make_transform(request: pytest.FixtureRequest) -> Callable[[], T.Compose]:
    """Builds a fresh transform, in the state in which it starts."""
    return TRANSFORMS[request.param]
