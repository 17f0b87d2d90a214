"""Places for the nodes of one graph in a picture, without chance: the same graph gives the same places."""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from graphpe.graphs.packed import PackedGraphs

# Up to here all pairs of hop distances are taken into account; beyond, that takes minutes.
_STRESS_NODES = 300


def layout(graphs: PackedGraphs) -> NDArray[np.float64]:
    """Positions `[n, 2]` of the nodes of one graph.

    Components are laid out one by one, by stress majorisation of their hop distances (Kamada, Kawai 1989; above 300
    nodes by springs from a fixed start), and stand in a grid, the largest first.

    Args:
        graphs: The graph, alone.
    """
    graph: nx.Graph = nx.Graph(graphs.structure().to_networkx(0))
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    nx.set_edge_attributes(graph, 1.0, "weight")
    position = np.zeros((graphs.num_nodes, 2))
    components = sorted(nx.connected_components(graph), key=lambda nodes: (-len(nodes), min(nodes)))
    corner, row_height, width = np.zeros(2), 0.0, _row_width(components)
    for nodes in components:
        order = sorted(nodes)
        places = _component(graph.subgraph(order), order)
        low = places.min(axis=0)
        extent = places.max(axis=0) - low + 1.0
        if corner[0] > 0 and corner[0] + extent[0] > width:
            corner, row_height = np.array([0.0, corner[1] - row_height]), 0.0
        # Rows grow downwards, so that the largest component stands on top.
        position[order] = places - low + corner - np.array([0.0, extent[1] - 1.0])
        corner[0] += extent[0]
        row_height = max(row_height, float(extent[1]))
    return position


def _component(graph: nx.Graph, order: list[int]) -> NDArray[np.float64]:
    """Positions of a connected graph, about one unit between neighbours."""
    if len(order) == 1:
        return np.zeros((1, 2))
    copy = nx.Graph()  # a subgraph's order of nodes is that of a set
    copy.add_nodes_from(order)
    copy.add_edges_from(sorted(map(sorted, graph.edges)))
    start = nx.circular_layout(copy)
    if len(order) <= _STRESS_NODES:
        found = nx.kamada_kawai_layout(copy, pos=start, weight=None)
    else:
        found = nx.spring_layout(copy, pos=start, iterations=200, seed=0)
    places = np.array([found[node] for node in order])
    length = np.mean([np.linalg.norm(found[u] - found[v]) for u, v in copy.edges])
    return places / max(float(length), 1e-9)


def _row_width(components: list[set[int]]) -> float:
    """Of the grid: about square, and wide enough for the largest component."""
    if not components:
        return 1.0
    return max(2.0 * float(np.sqrt(sum(len(nodes) for nodes in components))), 1.5 * float(np.sqrt(len(components[0]))))
