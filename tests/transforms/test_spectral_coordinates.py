from __future__ import annotations

import networkx as nx
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.spectral_coordinates import spectral_coordinates


def test_the_function_up_to_signs():
    packed = PackedGraphs.from_networkx([nx.lollipop_graph(4, 5), nx.path_graph(3)])
    for scale in ("resistance", "hops"):
        for sign in ("random", "canonical", "none"):
            out = T.SpectralCoordinates(3, scale=scale, sign=sign)(packed).node["spectral_coordinates"]
            torch.testing.assert_close(out.abs(), spectral_coordinates(packed, 3, scale).abs().float())


def test_weak_edges_stay_finite():
    weight = torch.tensor([1e-200, 1e-250], dtype=torch.float64)
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=weight, num_nodes=3)
    assert T.SpectralCoordinates(2)(data).spectral_coordinates.isfinite().all()
