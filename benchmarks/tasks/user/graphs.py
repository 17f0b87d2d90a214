"""Graphs that users wrote down node by node and edge by edge, packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.user.features import Columns, Features, column_features
from graphpe.benchmarks.tasks.user.targets import Where, as_float
from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs

WEIGHT = "weight"
"""The edge column that encodings read as edge weights."""


@dataclass
class WrittenGraph:
    """A graph as it was written.

    Attributes:
        nodes: Number of nodes.
        edges: Pairs of node numbers.
        node_cells: Cells of each column of node features.
        edge_cells: Cells of each column of edge features.
    """

    nodes: int
    edges: list[tuple[int, int]]
    node_cells: dict[str, list[Any]] = field(default_factory=dict)
    edge_cells: dict[str, list[Any]] = field(default_factory=dict)

    def both_ways(self) -> WrittenGraph:
        """With the reverse of every edge whose reverse is not there, after the edges."""
        there = set(self.edges)
        added = [place for place, (u, v) in enumerate(self.edges) if (v, u) not in there]
        return WrittenGraph(
            self.nodes,
            self.edges + [(self.edges[place][1], self.edges[place][0]) for place in added],
            self.node_cells,
            {name: cells + [cells[place] for place in added] for name, cells in self.edge_cells.items()},
        )


def pack_written(
    graphs: Sequence[WrittenGraph], where: Where, known: tuple[Columns, Columns] | None = None
) -> tuple[PackedGraphs, Features, Features]:
    """Structure (with weights), features of nodes and features of edges.

    Args:
        graphs: The graphs.
        where: Names a graph in messages.
        known: Columns of features of nodes and of edges that these are read like.

    Raises:
        GraphPERuntimeError: If graphs differ in their columns, or a cell is missing or not finite.
    """
    sizes, edge_sizes = [graph.nodes for graph in graphs], [len(graph.edges) for graph in graphs]
    owners = np.repeat(np.arange(len(graphs)), sizes), np.repeat(np.arange(len(graphs)), edge_sizes)
    node_columns = _columns([graph.node_cells if graph.nodes else None for graph in graphs], "nodes", where)
    edge_columns = _columns([graph.edge_cells if graph.edges else None for graph in graphs], "edges", where)
    node_kinds, edge_kinds = (None, None) if known is None else known
    nodes = column_features(node_columns, owners[0].tolist(), where, node_kinds)
    edges = column_features(edge_columns, owners[1].tolist(), where, edge_kinds if edge_columns else None)
    weight = None
    if WEIGHT in edge_columns:
        weight = _weights(edge_columns[WEIGHT], owners[1], where)
    ptr, edge_ptr = (torch.tensor([0, *np.cumsum(counts).tolist()], dtype=torch.long) for counts in (sizes, edge_sizes))
    pairs = np.array(list(chain.from_iterable(graph.edges for graph in graphs)), dtype=np.int64).reshape(-1, 2)
    index = torch.from_numpy(np.ascontiguousarray(pairs.T)) + ptr[:-1].repeat_interleave(edge_ptr.diff())
    return PackedGraphs(edge_index=index, ptr=ptr, edge_ptr=edge_ptr, edge_weight=weight), nodes, edges


def _weights(cells: Sequence[Any], owner: np.ndarray, where: Where) -> Tensor:
    """The weights of edges, which are finite where they are numbers: `column_features` saw to that."""
    for cell, graph in zip(cells, owner.tolist(), strict=True):
        try:
            usable = as_float(cell) >= 0
        except ValueError:
            usable = False
        if not usable:
            raise GraphPERuntimeError(
                f"{where(graph)}: an edge has the {WEIGHT} {str(cell)[:40]!r}, expected a number that is not negative; "
                f"rename the column {WEIGHT!r} if it is none"
            )
    return torch.tensor([float(cell) for cell in cells])


def _columns(graphs: Sequence[dict[str, list[Any]] | None], what: str, where: Where) -> dict[str, list[Any]]:
    """The columns of all graphs, one after the other; a graph without such rows is None."""
    first = next((number for number, cells in enumerate(graphs) if cells is not None), None)
    if first is None:
        return {}
    names = list(graphs[first] or {})
    for number, cells in enumerate(graphs):
        if cells is not None and set(cells) != set(names):
            raise GraphPERuntimeError(
                f"{where(number)}: {what} have the features {sorted(cells)}, those of {where(first)} {sorted(names)}; "
                "give every graph the same"
            )
    return {name: list(chain.from_iterable(cells[name] for cells in graphs if cells is not None)) for name in names}
