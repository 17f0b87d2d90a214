from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.resistance import effective_resistances
from graphpe.spectra.spectral_coordinates import spectral_coordinates


def test_the_function_up_to_signs():
    packed = PackedGraphs.from_networkx([nx.lollipop_graph(4, 5), nx.path_graph(3)])
    for scale in ("resistance", "hops"):
        for sign in ("random", "canonical", "none"):
            out = T.SpectralCoordinates(3, scale=scale, sign=sign)(packed).node["spectral_coordinates"]
            torch.testing.assert_close(out.abs(), spectral_coordinates(packed, 3, scale).abs().float())


def test_weak_edges_are_refused():
    weight = torch.tensor([1e-200, 1e-250], dtype=torch.float64)
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=weight, num_nodes=3)
    with pytest.raises(GraphPEValueError, match="graph 0: spectral_coordinates reaches"):
        T.SpectralCoordinates(2)(data)


def test_weights_of_very_different_sizes():
    """Eigenvalues are 1e-24 of each other, but squared distances of all coordinates are resistances."""
    tail, head = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 2]])
    weight = torch.tensor([1e12, 1e-12, 1.0, 1e-12, 1e12], dtype=torch.float64)
    graph = Data(edge_index=torch.stack([tail, head]), edge_weight=weight, num_nodes=5)
    place = T.SpectralCoordinates(4)(graph).spectral_coordinates.double()
    found = (place[:, None] - place).square().sum(-1)
    exact = effective_resistances(PackedGraphs.from_data_list([graph])).view(5, 5)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-6 * float(exact.max()))
