"""A part of one graph with all of its values: those of nodes, edges and pairs travel with what they belong to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints, Segments, take


class Part(NamedTuple):
    """Which nodes and edges of a graph are in a part of it.

    Attributes:
        nodes: Ids of the nodes, `[n]`; node i of the part is node `nodes[i]` of the graph.
        edges: Numbers of the edges, `[e]`.
        edge_index: These edges between numbers of nodes of the part, `[2, e]`.
    """

    nodes: Ints
    edges: Ints
    edge_index: Ints


def cut_out(graph: PackedGraphs, part: Part) -> PackedGraphs:
    """A part of a graph: values of its nodes, edges and pairs of nodes, and those of the graph as they are.

    Args:
        graph: One graph.
        part: The part.

    Raises:
        GraphPEValueError: There is not one graph.
    """
    check_one_graph(graph)
    rows = part.nodes
    pairs = (rows[:, None] * graph.num_nodes + rows[None, :]).reshape(-1) if graph.pair else rows
    return PackedGraphs(
        edge_index=torch.from_numpy(part.edge_index),
        ptr=torch.tensor([0, len(part.nodes)]),
        edge_ptr=torch.tensor([0, len(part.edges)]),
        edge_weight=None if graph.edge_weight is None else take(graph.edge_weight, part.edges),
        node={key: take(value, rows) for key, value in graph.node.items()},
        edge={key: take(value, part.edges) for key, value in graph.edge.items()},
        graph=dict(graph.graph),
        pair={key: take(value, pairs) for key, value in graph.pair.items()},
        objects=dict(graph.objects),
    )


def check_one_graph(graph: PackedGraphs) -> None:
    """Reject anything but one graph.

    Raises:
        GraphPEValueError: There are none, or several.
    """
    if graph.num_graphs != 1:
        raise GraphPEValueError(f"parts are cut out of one graph, got {graph.num_graphs}")


class EdgesByNode:
    """The edges of one graph in the order of one of their ends.

    Args:
        graph: The graph.
        end: 0 for the source of an edge, 1 for its target.

    Attributes:
        ptr: First edge of each node in that order and, last, their number, `[N + 1]`.
        edges: Numbers of the edges in that order.
        other: The other end of each of them.
    """

    def __init__(self, graph: PackedGraphs, end: int) -> None:
        check_one_graph(graph)
        index = graph.edge_index.numpy(force=True)
        self.edges: Ints = np.argsort(index[end], kind="stable")
        self.other: Ints = index[1 - end][self.edges]
        self.ptr: Ints = np.zeros(graph.num_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(index[end], minlength=graph.num_nodes), out=self.ptr[1:])


class Induced:
    """Parts of a graph that have all edges between their nodes.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: PackedGraphs) -> None:
        self._out = EdgesByNode(graph, 0)
        self._number: Ints = np.full(graph.num_nodes, -1)

    def on(self, nodes: Ints) -> Part:
        """The part on these nodes, each of them once.

        Args:
            nodes: Ids of nodes.
        """
        picked = Segments.pick(self._out.ptr, nodes)
        rows = picked.rows(torch.device("cpu"))
        assert isinstance(rows, np.ndarray)
        self._number[nodes] = np.arange(len(nodes))
        head = self._number[self._out.other[rows]]
        self._number[nodes] = -1
        inside = head >= 0
        tail = np.repeat(np.arange(len(nodes)), picked.sizes)[inside]
        return Part(nodes, self._out.edges[rows[inside]], np.stack([tail, head[inside]]))
