from __future__ import annotations

import networkx as nx
import pytest
import torch

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.resistance import commute_times
from graphpe.spectra.spectral_coordinates import spectral_coordinates


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_effective_resistances(seed):
    graph = nx.connected_watts_strogatz_graph(12, 4, 0.4, seed=seed)
    packed = PackedGraphs.from_networkx(graph)
    exact = nx.resistance_distance(graph)
    expected = torch.tensor([[exact[i][j] for j in range(12)] for i in range(12)], dtype=torch.float64)
    full = spectral_coordinates(packed, 11)
    torch.testing.assert_close(torch.cdist(full, full).square(), expected, atol=1e-9, rtol=0)
    part = spectral_coordinates(packed, 4)
    assert (torch.cdist(part, part).square() <= expected + 1e-9).all()


def test_distances_are_commute_times():
    """Of two components, one with a self-loop, whose degrees count."""
    first, second = nx.connected_watts_strogatz_graph(9, 4, 0.4), nx.path_graph(4)
    second.add_edge(0, 0)
    packed = PackedGraphs.from_networkx([nx.disjoint_union(first, second), nx.path_graph(3)])
    found = spectral_coordinates(packed, 12, "commute")
    times = commute_times(packed)
    for start, nodes, expected in ((0, 13, times[: 13 * 13]), (13, 3, times[13 * 13 :])):
        rows = found[start : start + nodes]
        squared = torch.cdist(rows, rows).square()
        joined = expected.view(nodes, nodes) >= 0
        torch.testing.assert_close(squared[joined], expected.view(nodes, nodes)[joined], atol=1e-8, rtol=0)


@pytest.mark.parametrize("n", [2, 3, 10, 57])
def test_hops_are_positions_on_a_path(n):
    packed = PackedGraphs.from_networkx([nx.path_graph(n), nx.path_graph(5)])
    position = spectral_coordinates(packed, 3, "hops")[:n, 0]
    expected = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    torch.testing.assert_close(position * torch.sign(position[-1]), expected, atol=1e-7, rtol=0)


def test_columns_that_a_graph_does_not_have_are_zero():
    for scale in ("resistance", "hops"):
        out = spectral_coordinates(PackedGraphs.from_networkx([nx.empty_graph(4), nx.path_graph(2)]), 3, scale)
        assert not out[:4].any()
        assert not out[4:, 1:].any()
        assert out[4:, 0].abs().min() > 0.1


def test_unknown_scale():
    with pytest.raises(GraphPEValueError, match="scale must be one of 'resistance', 'commute', 'hops', got 'rope'"):
        spectral_coordinates(PackedGraphs.from_networkx(nx.path_graph(2)), 1, "rope")
