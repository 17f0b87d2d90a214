from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from graphpe.drawing.node_positions import layout
from graphpe.graphs.packed import PackedGraphs


@pytest.mark.parametrize(
    "graph",
    [nx.path_graph(9), nx.grid_2d_graph(4, 5), nx.disjoint_union(nx.star_graph(5), nx.empty_graph(3))],
    ids=["path", "grid", "components"],
)
def test_nodes_stand_apart_and_neighbours_close(graph):
    place = layout(PackedGraphs.from_networkx(graph))
    distance = np.linalg.norm(place[:, None] - place, axis=-1)
    assert np.isfinite(place).all()
    assert distance[np.triu_indices(len(place), 1)].min() > 0.3
    matrix = nx.to_numpy_array(graph) > 0
    if matrix.any():
        assert 0.5 < distance[matrix].mean() < 1.5


def test_large_graphs_are_laid_out_too():
    place = layout(PackedGraphs.from_networkx(nx.path_graph(400)))
    assert np.isfinite(place).all()


def test_weights_and_directions_do_not_matter():
    graph = nx.cycle_graph(5)
    heavy = nx.DiGraph()
    heavy.add_nodes_from(graph)
    heavy.add_weighted_edges_from((u, v, 100.0 * u + 1) for u, v in graph.edges)
    assert np.array_equal(layout(PackedGraphs.from_networkx(graph)), layout(PackedGraphs.from_networkx(heavy)))
