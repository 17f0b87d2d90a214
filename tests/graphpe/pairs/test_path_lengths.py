from __future__ import annotations

import networkx as nx
import pytest
import torch

import graphpe
from graphpe.distances.shortest_paths import shortest_paths
from graphpe.errors import GraphPEValueError
from graphpe.pairs import path_lengths as module
from graphpe.pairs.path_lengths import asked_distances


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("max_distance", [None, 1, 3])
def test_values_are_those_of_all_pairs(two_graphs, at_pairs, monkeypatch, seed, undirected, weighted, max_distance):
    graphs, pairs, n = two_graphs(seed, weighted=weighted)
    expected = at_pairs(shortest_paths(graphs, max_distance, undirected, weighted), pairs, n)
    found = asked_distances(graphs, pairs, max_distance, undirected, weighted)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for worth in (0.0, 1e9):  # one search for all pairs of a node, and one for each
        monkeypatch.setattr(module, "_cost", lambda *_, worth=worth: (worth, 10.0))
        torch.testing.assert_close(
            asked_distances(graphs, pairs, max_distance, undirected, weighted), expected, rtol=1e-12, atol=0
        )


def test_networkx_agrees(two_graphs):
    graphs, pairs, _ = two_graphs(3, weighted=True)
    there = nx.DiGraph()
    there.add_nodes_from(range(graphs.num_nodes))
    for (u, v), w in zip(graphs.edge_index.t().tolist(), graphs.edge_weight.tolist(), strict=True):
        there.add_edge(u, v, weight=w + there.get_edge_data(u, v, {"weight": 0.0})["weight"])
    for (u, v), length in zip(pairs.t().tolist(), asked_distances(graphs, pairs, None, False, True), strict=True):
        expected = nx.dijkstra_path_length(there, u, v) if nx.has_path(there, u, v) else -1.0
        assert float(length) == pytest.approx(expected, rel=1e-12)


def test_nothing_asked_and_limits(two_graphs):
    graphs, pairs, _ = two_graphs(2)
    assert asked_distances(graphs, pairs[:, :0]).shape == (0,)
    with pytest.raises(GraphPEValueError, match="max_distance must be a whole number of hops"):
        asked_distances(graphs, pairs, 1.5)
    with graphpe.limits(pair_limit=10), pytest.raises(GraphPEValueError, match=r"shortest paths between \d+ pairs"):
        asked_distances(graphs, pairs)
